//! X.509 certificates of the principals that Tamarack knows: TAMs, TEEs and developers.
//!
//! [`validate`] turns a chain as it came, leaf first, into a [`ValidChain`], and only that gives out the leaf's key
//! (security rule K4). Path building is webpki's; the signatures are checked by the program's own
//! [`tamarack_crypto::Provider`].
//!
//! | certificate | what is asked of it |
//! |---|---|
//! | all | version 3, P-256 with SHA-256 or Ed25519, inside its validity period, no unknown critical extension |
//! | leaf | not a CA, keyUsage with digitalSignature, the extended key usage of its [`Role`] and of no other role |
//! | intermediate, anchor | basicConstraints CA, path length, keyUsage with keyCertSign, if it has extended key usages: the role's |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod anchor;
mod error;
mod path;
mod profile;
mod role;
mod signature;

pub use anchor::Anchor;
pub use error::{Error, Usage};
pub use path::{MAX_CHAIN, ValidChain, validate};
pub use profile::{DEVELOPMENT_ORGANIZATION, is_development};
pub use role::Role;
pub use signature::{ecdsa_from_der, ecdsa_to_der};

/// The public key of a DER certificate, with nothing checked but its form. For tools that show or compare; a key that is
/// to be trusted comes out of [`validate`].
pub fn unvalidated_key(der: &[u8]) -> Result<tamarack_crypto::PublicKey, Error> {
    profile::Profile::read(der).map(|profile| profile.key)
}
