//! The real verifier on a free port, asked over HTTP.

mod appraise;
mod references;
mod support;
