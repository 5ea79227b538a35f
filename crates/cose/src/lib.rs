//! COSE (RFC 9052, RFC 9053, RFC 9864) as Tamarack uses it: COSE_Sign1, COSE_Sign, COSE_Mac0 and COSE_Encrypt with attached
//! or detached payloads, COSE_Key and its thumbprint (RFC 9679), x5chain (RFC 9360).
//!
//! What a signature vouches for comes out as [`Verified`], which nothing outside this crate can make. The bytes that
//! were signed are the bytes that arrived: the protected header is kept as received and never encoded again.
//!
//! Accepted algorithms are ESP256 (-9), Ed25519 (-19) and HMAC 256/256 (5). The deprecated ids ES256 (-7) and EdDSA (-8)
//! name the same mathematics; a [`VerificationKey`] accepts them only if it was made with
//! [`VerificationKey::accepting_legacy_ids`].
//!
//! Encryption is A128GCM (1) under a fresh key, which each recipient gets by ECDH-ES+A128KW (-29) with a P-256 key or by
//! A128KW (-3) with a shared one: [`encrypt`], [`Encrypted`], [`encrypt_detached`], [`EncryptionInfo`]. Whatever keeps a
//! message from being decrypted is one [`Error::Decrypt`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod algorithm;
mod encrypt;
mod error;
mod header;
mod key;
mod mac0;
mod sign;
mod sign1;
mod verified;

pub use algorithm::Algorithm;
pub use encrypt::{Encrypted, EncryptionInfo, Opener, Recipient, To, encrypt, encrypt_detached};
pub use error::Error;
pub use header::{ContentType, Header, Protected};
pub use key::{CoseKey, KeyId, MacKey, Purpose, VerificationKey, thumbprint, thumbprint_of_encoded};
pub use mac0::Mac0;
pub use sign::{Sign, Signature};
pub use sign1::{Sign1, SignOptions};
pub use verified::Verified;

/// CBOR tag of COSE_Sign1.
pub const TAG_SIGN1: u64 = 18;
/// CBOR tag of COSE_Sign.
pub const TAG_SIGN: u64 = 98;
/// CBOR tag of COSE_Mac0.
pub const TAG_MAC0: u64 = 17;
/// CBOR tag of COSE_Encrypt.
pub const TAG_ENCRYPT: u64 = 96;
/// Most keys that are tried on a signature that names none (security rule K5).
pub const MAX_KEYS_TRIED: usize = 8;
