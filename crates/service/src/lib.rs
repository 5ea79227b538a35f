//! What the services share: the TAM of `tamarack-tam-server` and the verifier of `tamarack-verifier`.
//!
//! | module | what |
//! |---|---|
//! | [`Document`] | a configuration file whose errors name file, line, key and fix |
//! | [`listener`] | TCP and TLS, with a bound on connections and on silence |
//! | [`read_body`] | bodies bounded in size and time |
//! | [`client`] | a client of other services |
//! | [`gate`] | requests per address |
//! | [`mod@reference`], [`lists`] | providers of reference values, revocation lists |
//! | [`Service`], [`run`], [`start`] | a router from its first connection to its last |
#![forbid(unsafe_code)]

mod body;
pub mod client;
pub mod clock;
mod document;
mod error;
pub mod gate;
pub mod listener;
pub mod lists;
mod problem;
pub mod reference;
pub mod reference_view;
mod run;
pub mod secret_file;
mod tee_ca;

pub use body::{BodyError, read_body};
pub use document::{
    Document, GradeName, Profile, ReferenceProviderFiles, ReferenceRole, ReferenceScope, TeeCaFile, TlsFiles,
};
pub use error::Error;
pub use problem::problem_json;
pub use run::{Running, Service, run, start};
pub use tee_ca::{TeeCas, refuse_development, tee_cas};
