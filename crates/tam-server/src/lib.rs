//! The TAM as a service: the engine of `tamarack-tam` behind HTTP and HTTPS, with its store, its REST interface and its
//! configuration file.
//!
//! | path | what |
//! |---|---|
//! | `POST /tam`, `POST /t/{tenant}/tam` | TEEP and OTrP over HTTP (draft-ietf-teep-otrp-over-http-15), told apart by media type |
//! | `/api/v1/..` | REST with bearer tokens; errors are RFC 9457 problem details |
//! | `GET /artifacts/{sha256}` | envelopes and payloads by digest, for payloads by URI |
//! | `/livez`, `/readyz`, `/metrics` | health, and metrics for loopback clients or with a token |
//!
//! [`init`] makes a folder, [`Config`] reads its `tam.toml`, [`run`] serves it until a signal, [`start`] serves it on threads
//! of this process.
#![forbid(unsafe_code)]

mod app;
mod challenge_file;
mod config;
mod domains;
mod http;
mod init;
mod maintenance;
mod memo;
mod otrp;
mod staple;
mod telemetry;
mod token;
mod verifier;
mod wiring;

use tamarack_service::{clock, gate, listener, lists, reference, secret_file};

pub use config::{Config, EvidenceRules, FirmwareCaFile, Limits, OtrpFiles, SignerFiles};
pub use init::{InitOptions, Initialised, OtrpInit, init};
pub use maintenance::{add_token, backup, restore};
pub use tamarack_service::Running;
pub use tamarack_service::{Error, GradeName, Profile, TeeCaFile, TlsFiles};
pub use tamarack_store::{Role, TenantId};
pub use tamarack_store_sqlite::Summary;
pub use token::NewToken;
pub use verifier::{ResultRules, VerifierKeyFile, VerifierService};
pub use wiring::{run, start};
