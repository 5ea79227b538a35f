//! The real server on a free port with SQLite in a temporary folder, asked over HTTP.

mod api;
mod config;
mod keep;
mod publish;
mod support;
mod teep;
