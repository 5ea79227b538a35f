//! SUIT (draft-ietf-suit-manifest-37, draft-ietf-suit-trust-domains-12, draft-ietf-suit-report): envelopes, manifests, the
//! manifest processor, reports, and the authoring side.
//!
//! The order is fixed by types: [`Envelope::parse`] reads the outer map, [`Envelope::authenticate`] gives the only thing
//! that a [`Machine`] takes, and by then every command of every section has been looked at, so that a manifest with a
//! command that this crate does not carry out is refused before it had any effect.
//!
//! | module | what it holds | where a newcomer adds |
//! |---|---|---|
//! | `envelope`, `manifest`, `text`, `digest` | the wire format | |
//! | [`mod@command`] | one file per command | a file and a row of [`command::COMMANDS`] |
//! | [`mod@parameter`] | the parameters | a row of [`parameter::PARAMETERS`] |
//! | `machine` | the interpreter, which can stop at a fetch | |
//! | `effects` | what a device must be able to do | |
//! | `report` | SUIT_Report | |
//! | [`author`] | writing what the machine reads | |
//! | [`explain`] | an annotated tree of any envelope | |
//!
//! Payloads may be encrypted (draft-ietf-suit-firmware-encryption-24): A128GCM, its key by ECDH-ES+A128KW or A128KW, decrypted
//! by the directives write and copy. Commands of dependencies and of update management are in the tables by name, so that a refusal names
//! them; a row without a function is not carried out.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod author;
pub mod command;
mod digest;
mod effects;
mod envelope;
mod error;
pub mod explain;
mod limits;
mod machine;
mod manifest;
mod memory;
pub mod parameter;
mod report;
mod text;

pub use digest::{DigestAlgorithm, SuitDigest};
pub use effects::{Ciphertext, EffectError, EffectErrorKind, Effects, IdentifierKind, Measured, Operation};
pub use envelope::{AuthenticEnvelope, Envelope, TrustedKeys};
pub use error::{Error, Unsupported};
pub use limits::Limits;
pub use machine::{Failure, FetchRequest, LogEntry, Machine, Outcome, Procedure, Step};
pub use manifest::{Manifest, Member, Section};
pub use memory::{MemoryDevice, PayloadKey};
pub use report::{Claims, Reason, Record, Report, ReportResult, SignedReport};

/// An encoded envelope without tag 107: the form in which TEEP's manifest-list carries it (draft-ietf-teep-protocol-26
/// section 4.4 names SUIT_Envelope, not SUIT_Envelope_Tagged). No signature covers the tag.
pub fn untagged(envelope: &[u8]) -> &[u8] {
    envelope.strip_prefix(&[0xd8, TAG_ENVELOPE as u8]).unwrap_or(envelope)
}

/// CBOR tag of SUIT_Envelope.
pub const TAG_ENVELOPE: u64 = 107;
/// The use for which payloads are encrypted, in the context of the keys that are derived.
pub const PAYLOAD_ENCRYPTION: &str = "SUIT Payload Encryption";
/// CBOR tag of SUIT_Manifest.
pub const TAG_MANIFEST: u64 = 1070;
