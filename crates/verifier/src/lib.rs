//! The verifier as a service: Evidence in, Attestation Results (EARs) out. What it says is `tamarack-attest`'s; here are its
//! key, its reference values, its clock and HTTP.
//!
//! | path | what |
//! |---|---|
//! | `GET /challenge` | a nonce for Evidence that will be shown to others (passport) |
//! | `POST /appraise[?nonce=HEX]` | Evidence under its media type; answers with an EAR |
//! | `GET /key` | the public key, PEM; who trusts it got it some other way |
//! | `/api/v1/references` | reference values, with the operator's token, as a TAM has them |
//! | `/livez` | health |
//!
//! Two forms (RFC 9334 section 5): in a *background check* the relying party sends the Evidence that it was shown, with the
//! nonce that it had asked for. With a *passport* the attester fetches the EAR itself and shows it; the relying party needs
//! nothing but the public key. Both are the same request, because an EAR names nonce and key, and says nothing to whoever
//! asked for others.
//!
//! Errors are RFC 9457 problem details. An EAR is given about Evidence that is genuine, fresh and bound, whatever it shows; about
//! anything else there is nothing to say but why.
#![forbid(unsafe_code)]

mod app;
mod challenge;
mod config;
mod http;
mod init;
mod references;

use std::net::SocketAddr;
use std::sync::Arc;

use tamarack_service::{Service, listener};

pub use app::{Appraised, Verifier};
pub use config::{Config, EvidenceRules, Limits, ResultRules};
pub use init::{InitOptions, Initialised, init};
pub use tamarack_service::{Error, GradeName, Profile, Running};

/// Serves until SIGTERM or SIGINT, then ends what has begun. `ready` is told the address once connections are accepted.
pub fn run(config: &Config, ready: impl FnOnce(SocketAddr)) -> Result<(), Error> {
    tamarack_service::run(|| service(config), ready)
}

/// Starts a verifier on threads of this process and waits until it accepts connections.
pub fn start(config: &Config) -> Result<Running, Error> {
    let config = config.clone();
    tamarack_service::start(move || service(&config))
}

fn service(config: &Config) -> Result<Service, Error> {
    config.check_plain_http(config.listen)?;
    let tls = listener::tls(config.document(), config.tls.as_ref(), config.profile)?;
    let verifier = Arc::new(Verifier::open(config)?);
    let keeper = verifier.clone();
    Ok(Service {
        name: "verifier",
        listen: config.listen,
        tls,
        connections: config.limits.connections,
        housekeeping: Arc::new(move || keeper.housekeeping()),
        router: http::router(verifier, config),
    })
}
