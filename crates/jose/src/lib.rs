//! JOSE (RFC 7515, RFC 7516, RFC 7517, RFC 7518) as OTrP uses it, over strict JSON (RFC 8259, RFC 7493) with the canonical
//! form of RFC 8785.
//!
//! | module | |
//! |---|---|
//! | [`json`] | strict parser, ordered writer, canonical writer |
//! | [`base64`] | both alphabets |
//! | [`jwk`] | public keys of P-256, P-384 and RSA, from and to JSON and SubjectPublicKeyInfo |
//! | [`jws`] | signatures: ES256, ES384, RS256, PS256 |
//! | [`jwe`] | encryption to a key: ECDH-ES+A128KW, RSA-OAEP-256 |
//!
//! What a signature vouches for comes out as [`jws::Verified`], which nothing outside this crate can make. What is signed
//! or authenticated is what arrived, never an encoding of our own of it. Keys come from the caller, who pins purpose and
//! through the type of key the algorithm; no header parameter chooses a key, and those that try are refused.
//!
//! Off-spec, on purpose narrower than the RFCs: one signature, one recipient, `enc` and the `alg` of a signature in the
//! protected header, no `aad`, no extensions (`crit`), no compression, no key by value or by reference.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod base64;
#[cfg(test)]
mod cookbook;
mod error;
mod header;
pub mod json;
pub mod jwe;
pub mod jwk;
pub mod jws;

pub use error::Error;
pub use json::Json;
pub use jwk::Jwk;

/// How closely a peer must keep to the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To the letter.
    Strict,
    /// Also what deployed implementations of OTrP send instead: `x5c` as one string, base64 in either alphabet there.
    Compat,
}
