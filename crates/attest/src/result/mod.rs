//! Attestation Results: what a verifier says about Evidence as an EAR, and whom a relying party believes it.
//!
//! | submodule | about |
//! |---|---|
//! | [`TEE`] | the TEE, with its attestation key, grade and platform claims |
//! | [`TA`] | the TA whose Evidence it is (security rule L4), with the key that it named as cnf |
//! | `ta:` and a component id | each TA that the TEE measured besides |

mod accept;
mod issue;

pub use accept::{AcceptedResult, ResultExpectations, ResultPolicy, Verifier};

/// Label of the submodule about the TEE.
pub const TEE: &str = "tee";
/// Label of the submodule about the TA whose Evidence it is.
pub const TA: &str = "ta";
/// Profile of our extension of an appraisal ([`tamarack_eat::ear::Details`]).
pub const PROFILE: &str = "urn:x-tamarack:ear:1";

#[cfg(test)]
mod tests;
