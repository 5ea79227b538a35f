//! CoRIM (draft-ietf-rats-corim, revision of August 2026): reference values and endorsements that makers of devices and
//! signers of TAs give to verifiers, signed.
//!
//! | item | what it is |
//! |---|---|
//! | [`SignedCorim`] | a COSE_Sign1 (tag 18) around a CoRIM as it arrived; [`SignedCorim::verify`] gives a [`Corim`] with proof |
//! | [`sign`] | the other direction |
//! | [`Corim`] | the map with identity, tags, profile, validity |
//! | [`Comid`] | a tag: what an environment measures when it is as it should be, and which keys attest for it |
//! | [`Environment`], [`Measurement`] | whose values they are, and the values |
//!
//! Authoring is filling these types and calling [`sign`]; what is written is read back before it is signed.
//!
//! Reading is strict: definite lengths, shortest encodings, no repeated key, sizes of texts and digests checked, times in
//! whole seconds. A CoRIM without a signature is [`Error::Unsigned`]: how it came says nothing about it here. So are
//! detached payloads and hash envelopes refused, because nobody here fetches the rest. What the draft lets others add (measured
//! values, triples and tags of other kinds) is kept as it came, so that whoever appraises can see that there is a
//! condition which he cannot check.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod comid;
mod document;
mod environment;
mod error;
mod key;
mod measurement;
mod read;
mod signed;

pub use comid::{AttestKeys, Comid, LinkedTag, Relation, Triple};
pub use document::{Corim, Entity, Id, Profile, Tag, Validity};
pub use environment::{Class, ClassId, Environment, Group, Instance};
pub use error::Error;
pub use key::CryptoKey;
pub use measurement::{
    Digest, DigestAlgorithm, MeasuredElement, Measurement, MeasurementValues, Svn, Version, flag,
};
pub use signed::{SignedCorim, Signer, sign};

use tamarack_cbor::Limits;

/// Media type of an unsigned CoRIM: what a signed one names as its content.
pub const MEDIA_TYPE_UNSIGNED: &str = "application/rim+cbor";
/// Media type of a signed CoRIM.
pub const MEDIA_TYPE: &str = "application/rim+cose";

/// CBOR tags of the draft (section "New CBOR Tags") and of those that it uses.
pub mod tag {
    /// A CoRIM map.
    pub const CORIM: u64 = 501;
    /// A CoSWID in a byte string.
    pub const COSWID: u64 = 505;
    /// A CoMID in a byte string.
    pub const COMID: u64 = 506;
    /// A CoTL in a byte string.
    pub const COTL: u64 = 508;
    /// A UEID.
    pub const UEID: u64 = 550;
    /// A security version number.
    pub const SVN: u64 = 552;
    /// A least security version number.
    pub const MIN_SVN: u64 = 553;
    /// A public key in PEM.
    pub const PKIX_KEY: u64 = 554;
    /// A certificate in PEM.
    pub const PKIX_CERT: u64 = 555;
    /// Certificates in PEM.
    pub const PKIX_CERT_PATH: u64 = 556;
    /// Digest of a key.
    pub const KEY_THUMBPRINT: u64 = 557;
    /// A COSE_Key.
    pub const COSE_KEY: u64 = 558;
    /// Digest of a certificate.
    pub const CERT_THUMBPRINT: u64 = 559;
    /// Opaque bytes.
    pub const BYTES: u64 = 560;
    /// Digest of a certification path.
    pub const CERT_PATH_THUMBPRINT: u64 = 561;
    /// A certificate in DER.
    pub const CERT_DER: u64 = 562;
    /// A UUID (RFC 9562).
    pub const UUID: u64 = 37;
    /// An object identifier (RFC 9090).
    pub const OID: u64 = 111;
    /// A URI.
    pub const URI: u64 = 32;
    /// Seconds since 1970.
    pub const TIME: u64 = 1;
}

/// What is read of a CoRIM at most: 256 KiB, nested 16 deep, 16384 items.
pub const LIMITS: Limits = Limits { bytes: 256 << 10, depth: 16, items: 16 << 10 };
