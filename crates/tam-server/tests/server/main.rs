//! The real server on a free port with SQLite in a temporary folder, asked over HTTP.

mod api;
mod config;
mod domains;
mod keep;
mod otrp;
mod publish;
mod references;
mod release;
mod support;
mod teep;
mod verifier;
