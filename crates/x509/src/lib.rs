//! X.509 certificates of the principals that Tamarack knows: TAMs, TEEs, developers and firmware.
//!
//! [`validate`] turns a chain as it came, leaf first, into a [`ValidChain`], and only that gives out the leaf's key
//! (security rule K4). [`validate_any`] does the same for OTrP, where keys of other makers may also be RSA and P-384.
//! Path building is webpki's; the signatures are checked by the program's own [`tamarack_crypto::Provider`]. Whether the
//! certificates of a path are revoked is asked of [`ocsp`] and [`crl`].
//!
//! | certificate | what is asked of it |
//! |---|---|
//! | all | version 3, P-256 with SHA-256 or Ed25519, inside its validity period, no unknown critical extension |
//! | all, for [`validate_any`] | also P-384 with SHA-384, RSA from 2,048 bits with SHA-256; never SHA-1 |
//! | leaf | not a CA, keyUsage with digitalSignature, the extended key usage of its [`Role`] and of no other role |
//! | intermediate, anchor | basicConstraints CA, path length, keyUsage with keyCertSign, if it has extended key usages: the role's |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod anchor;
mod any_chain;
pub mod crl;
mod error;
mod name;
pub mod ocsp;
mod path;
mod profile;
mod raw;
mod role;
mod signature;

pub use anchor::Anchor;
pub use any_chain::AnyChain;
pub use error::{Error, Usage};
pub use name::{Name, NameKind};
pub use path::{MAX_ANY_CHAIN, MAX_CHAIN, PathOptions, ValidChain, validate, validate_any};
pub use profile::{DEVELOPMENT_ORGANIZATION, is_development};
pub use role::Role;
pub use signature::{ecdsa_from_der, ecdsa_to_der};

/// The public key of a DER certificate, with nothing checked but its form. For tools that show or compare; a key that is
/// to be trusted comes out of [`validate`].
pub fn unvalidated_key(der: &[u8]) -> Result<tamarack_crypto::PublicKey, Error> {
    profile::Profile::read(der)?.key.ok_or(Error::Malformed)
}

/// The key of a DER certificate as DER SubjectPublicKeyInfo, with nothing checked but its form: for a certificate that was
/// validated before and kept.
pub fn unvalidated_spki(der: &[u8]) -> Result<alloc::vec::Vec<u8>, Error> {
    Ok(profile::Profile::read(der)?.spki)
}

/// The public key of a DER certificate that is trusted for what it is and not for who issued it, as OTrP pins SP
/// certificates: read as by [`unvalidated_key`], and if the certificate says that it issued itself, its signature holds.
pub fn pinned_key(
    der: &[u8],
    provider: &tamarack_crypto::Provider,
) -> Result<tamarack_crypto::PublicKey, Error> {
    let key = unvalidated_key(der)?;
    let certificate = raw::Certificate::read(der).map_err(|_| Error::Malformed)?;
    if certificate.issuer == certificate.subject {
        let signed = &certificate.signed;
        signature::verify(signed.algorithm, certificate.spki, signed.content, signed.signature, provider)?;
    }
    Ok(key)
}

/// The serial number of a DER certificate, content octets of the INTEGER, if `issuer` (DER) did sign it. Nothing else is
/// checked: this is for the issuer's own bookkeeping.
pub fn issued_serial(
    certificate: &[u8],
    issuer: &[u8],
    provider: &tamarack_crypto::Provider,
) -> Result<alloc::vec::Vec<u8>, Error> {
    let read = |der| raw::Certificate::read(der).map_err(|_| Error::Malformed);
    let (certificate, issuer) = (read(certificate)?, read(issuer)?);
    if certificate.issuer != issuer.subject {
        return Err(Error::UnknownIssuer);
    }
    let signed = &certificate.signed;
    signature::verify(signed.algorithm, issuer.spki, signed.content, signed.signature, provider)?;
    Ok(certificate.serial.to_vec())
}
