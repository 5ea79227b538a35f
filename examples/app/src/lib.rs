//! Normal apps that use Trusted Applications, and what stands behind them: an example for each use.
//!
//! | example | TA | what it shows |
//! |---|---|---|
//! | [`payment`] | wallet | a card that only its bank and the TA know, and a person's word for what it pays |
//! | [`cloud`] | vault | a tenant's data on a machine of somebody else, by attestation of the TA |
//! | [`iot`] | valve | an actuator that only its TA commands, on a device that nobody is at |
//!
//! `docs/use-cases.md` runs them and the attacks on them. [`search`] is how an attack looks for a secret.
#![forbid(unsafe_code)]

pub mod cloud;
pub mod iot;
pub mod payment;
pub mod search;
mod session;

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};

pub use session::{Carrier, Place, Session, domain, install};

/// Writes a file that only this user reads.
///
/// # Errors
/// If it cannot be written.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(bytes)).with_context(|| path.display().to_string())
}
