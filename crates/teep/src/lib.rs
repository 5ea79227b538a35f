//! The five messages of TEEP (draft-ietf-teep-protocol-26), how they are signed, and their HTTP binding
//! (draft-ietf-teep-otrp-over-http-15) as data.
//!
//! | item | what it is |
//! |---|---|
//! | [`Message`] | a message, read whole and within every size that section 4 sets |
//! | [`SignedMessage`] | a COSE_Sign1 or COSE_Sign as it arrived; [`SignedMessage::verify`] gives a [`Message`] with proof |
//! | [`sign`], [`sign_all`] | the other direction |
//! | [`http`] | media type, headers, statuses |
//!
//! Reading is strict where a mistake could be an attack (sizes, types, repeated or non-integer keys, non-shortest
//! encodings) and lenient where the draft grows: option labels that a message does not know are ignored, cipher suites,
//! profiles and freshness mechanisms that are not known are kept as data, so that the protocol's own errors can answer
//! them. SUIT envelopes, SUIT reports and attestation payloads travel as bytes; other crates read them.
//!
//! Besides the draft there are two extensions: the Update binding of [`UPDATE_BINDING_LABEL`], and the key that Evidence is to
//! be encrypted to, of [`EVIDENCE_KEY_LABEL`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod error;
pub mod http;
mod message;
mod option;
mod registry;
mod signed;

pub use error::Error;
pub use message::{ErrorMessage, Message, QueryRequest, QueryResponse, RequestedTc, Success, Update};
pub use option::{LABELS, label};
pub use registry::{CipherSuite, DataItems, ErrCode, MessageType, SuitCoseProfile, freshness};
pub use signed::{SignedMessage, Signer, sign, sign_all};

/// Ties an answer to its request: 8 to 64 bytes.
pub type Token = alloc::vec::Vec<u8>;

/// Version of the protocol that the draft defines.
pub const VERSION: u32 = 0;

/// Option label of the Update binding (security rule C6), in the range of labels above 255. A QueryResponse carries 16
/// random bytes of the Agent under it and the Update that answers repeats them, so that an Update fits one device and
/// one exchange; the draft's own Update names neither.
pub const UPDATE_BINDING_LABEL: i64 = 256;

/// What an Agent that makes and demands Update bindings announces in ext-list.
pub const UPDATE_BINDING_EXTENSION: u32 = 0x544d_0001;

/// Option label of what a device's owner withholds, in the range of labels above 255: in a QueryResponse, and in the Error
/// that answers an Update, `[+ [component-id, says, ? sequence-number]]` with says 1 (refused) or 2 (waits for the owner's
/// consent). It tells a TAM of what it has or wants there itself and of nothing else.
pub const OWNER_POLICY_LABEL: i64 = 258;

/// What an Agent whose device has an owner announces in ext-list.
pub const OWNER_POLICY_EXTENSION: u32 = 0x544d_0002;
/// Option label of the key in a QueryRequest that Evidence is to be encrypted to: a COSE_Key of P-256. The draft asks for
/// encryption (section "EATs and SUIT Reports") and leaves open how an Agent learns the key; the TAM signs the QueryRequest,
/// so nobody else can name one.
///
/// The answer's attestation-payload is then a COSE_Encrypt with [`EVIDENCE_CONTEXT`] in its key derivation and the challenge
/// under [`CHALLENGE_HEADER`]; attestation-payload-format names what is inside.
pub const EVIDENCE_KEY_LABEL: i64 = 257;

/// SuppPubInfo.other of the key derivation of encrypted Evidence.
pub const EVIDENCE_CONTEXT: &str = "EAT Encryption";

/// Label of the challenge in the unprotected header of encrypted Evidence, in the registry's range for private use. By it a
/// TAM recognises its own challenge before it decrypts anything.
pub const CHALLENGE_HEADER: i64 = -77_062;

#[cfg(test)]
mod tests;
