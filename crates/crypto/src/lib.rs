//! What Tamarack needs of cryptography, as a [`Provider`] that a program chooses once and hands down.
//!
//! A provider is a struct of small traits, so that a primitive nobody calls is not linked. Two exist:
//! `tamarack-crypto-aws-lc` for servers and `tamarack-crypto-rustcrypto` for the Agent; both pass the one suite in
//! `tamarack-testkit`. A key in an HSM implements only [`Sign`].
//!
//! | capability | primitive | used by |
//! |---|---|---|
//! | [`Sha2`] | SHA-256, SHA-384, SHA-512 | digests, thumbprints |
//! | [`Verify`], [`Sign`] | ECDSA P-256 with SHA-256, Ed25519 | COSE, X.509 |
//! | [`VerifySpki`] | the same with P-256 keys, and where the provider has them ECDSA P-384 and RSA | JWS, X.509 |
//! | [`HmacSha256`] | HMAC-SHA-256 | COSE_Mac0, stateless challenges |
//! | [`HkdfSha256`] | HKDF-SHA-256 | storage keys |
//! | [`Aes256Gcm`] | AES-256-GCM | sealed storage |
//! | [`Aes128Gcm`] | AES-128-GCM | encrypted COSE messages and SUIT payloads |
//! | [`HmacSha512`], [`AesCbc`] | HMAC-SHA-512, AES-CBC | JWE content encryption |
//! | [`AesKeyWrap`], [`Agreement`] | AES Key Wrap, ECDH P-256 | key encryption of JWE and COSE |
//! | [`Rsa`] | RSA-OAEP, RSA signatures; optional | JWE and JWS of a server |
//! | [`Random`] | the system's generator | tokens, keys |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod jose;
mod key;
mod provider;
mod secret;

pub use jose::{
    AesCbc, AesKeyWrap, Agreement, HmacSha512, KeyAgree, Rsa, RsaKey, SignatureAlgorithm, VerifySpki,
    is_wrappable,
};
pub use key::{KeyType, PublicKey, is_strict_ed25519_point};
pub use provider::{
    Aes128Gcm, Aes256Gcm, HashAlgorithm, Hasher, HkdfSha256, HmacSha256, Keys, Provider, Random, Sha2, Sign,
    Verify,
};
pub use secret::Secret;
pub use subtle::ConstantTimeEq;

/// Why a primitive gave no result. Deliberately says nothing about secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The signature, tag or ciphertext is not authentic.
    NotAuthentic,
    /// The key is not one that this provider reads (PKCS#8 of P-256 or Ed25519, a point on the curve, RSA of at least 2048
    /// bits), or does not fit the algorithm.
    InvalidKey,
    /// The output asked for is longer than the primitive can give.
    OutputLength,
    /// This provider has not the algorithm.
    Unsupported,
    /// The provider itself failed (no randomness, token removed).
    Unavailable,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotAuthentic => "not authentic",
            Self::InvalidKey => "not a usable key",
            Self::OutputLength => "output too long for the primitive",
            Self::Unsupported => "an algorithm that the cryptographic provider has not",
            Self::Unavailable => "the cryptographic provider failed",
        })
    }
}

impl core::error::Error for Error {}
