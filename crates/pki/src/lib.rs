//! Development certificate authorities: a root for TAMs, one for TEEs, one for developers, one for firmware and one for
//! TLS servers; and the status of what they issued, by OCSP ([`ocsp`]) and revocation lists
//! ([`Authority::revocation_list`]).
//!
//! Everything on disk is PEM; private keys are PKCS#8. The certificates have the profiles that [`tamarack_x509`] asks for.
//! All carry the organization [`DEVELOPMENT_ORGANIZATION`], so that production profiles can tell and refuse them.
//!
//! ```
//! use tamarack_crypto::KeyType;
//! use tamarack_pki::{Authority, Subject, Validity, generate_key, load_key};
//! use tamarack_x509::Role;
//!
//! # fn main() -> Result<(), tamarack_pki::Error> {
//! let validity = Validity::days(1_800_000_000, 365);
//! let authority = Authority::create(Role::Tam, "TAM root", KeyType::P256, validity)?;
//! let key = load_key(&generate_key(KeyType::Ed25519)?)?;
//! let subject = Subject { uri: "urn:example:tam".into(), common_name: "TAM".into() };
//! let certificate = authority.issue(key.public_key(), subject, validity.not_before, validity.not_after)?;
//! assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----"));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod authority;
mod error;
pub mod ocsp;
mod pem;
mod provider;
mod remote;
mod request;
mod revoked;

pub use authority::{Authority, Kind, Subject, Validity};
pub use error::Error;
pub use pem::{
    certificate_to_pem, certificates_from_pem, generate_key, list_to_pem, lists_from_pem, load_agreement_key,
    load_key, public_key_from_pem, public_key_to_pem,
};
pub use provider::provider_certificate;
pub use request::csr;
pub use revoked::{Reason, Revocations, Revoked};
pub use tamarack_x509::{DEVELOPMENT_ORGANIZATION, is_development};

#[cfg(test)]
mod tests;
