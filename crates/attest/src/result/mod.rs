//! Attestation Results: what a verifier says about Evidence as an EAR, and whom a relying party believes it.
//!
//! | submodule | about |
//! |---|---|
//! | [`TEE`] | the TEE, with its attestation key, grade and platform claims |
//! | [`TA`] | the TA whose Evidence it is (security rule L4), with the key that it named as cnf |
//! | `ta:` and a component id | each TA that the TEE measured besides |

mod accept;
mod issue;

use tamarack_eat::Confirmation;
use tamarack_eat::ear::SignedEar;

use crate::{Hints, Refusal};

pub use accept::{AcceptedResult, ResultExpectations, ResultPolicy, Verifier};

/// Label of the submodule about the TEE.
pub const TEE: &str = "tee";
/// Label of the submodule about the TA whose Evidence it is.
pub const TA: &str = "ta";
/// Profile of our extension of an appraisal ([`tamarack_eat::ear::Details`]).
pub const PROFILE: &str = "urn:x-tamarack:ear:1";

/// Largest result that is read, in bytes.
pub const LARGEST: usize = tamarack_eat::ear::LIMITS.bytes;

/// Reads nonce and key of a result; nothing about them is proven.
pub fn hints_unverified(result: &[u8]) -> Result<Hints, Refusal> {
    let ear = SignedEar::parse(result).and_then(|signed| signed.unverified()).map_err(accept::malformed)?;
    let teep_key = match accept::confirmation(&ear) {
        Some(Confirmation::Key(key)) => Some(*key),
        Some(Confirmation::Kid(_) | Confirmation::Thumbprint(_)) | None => None,
    };
    let nonce = ear.eat_nonce.first().cloned().unwrap_or_default();
    Ok(Hints { nonce, teep_key })
}

#[cfg(test)]
mod tests;
