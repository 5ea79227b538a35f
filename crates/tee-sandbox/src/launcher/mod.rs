//! What goes on between the launcher, which holds the root of trust, and the Agent, which must not.
//!
//! The launcher measures the Agent's code and starts it ([`crate::isolation`]); from then on it only answers what the Agent
//! asks over a socket pair. There is no way to tell it a digest: what Evidence says about code and configuration is what the
//! launcher measured itself, so that a changed Agent gets Evidence with its true digest or none.
//!
//! A frame is 4 bytes of length, big-endian, and one item of deterministic CBOR; the Agent asks, the launcher answers, one
//! at a time. A frame that is anything else ends the conversation. The greeting comes first and once: out of turn every
//! question is refused.
//!
//! | question | answer |
//! |---|---|
//! | `[0]` hello | `[agent digest, launcher digest, configuration digest, protection, counter quality, layers, [missing], pid]` |
//! | `[1]` storage secret | 32 bytes: HKDF of the root's storage secret, label "tamarack agent storage" |
//! | `[2, slot, length]` read the rollback counter | bytes |
//! | `[3, slot, commit, data]` write it | null |
//! | `[4, use, persona]` public key; use 0 attestation, 1 firmware; persona 0 to 255 | SubjectPublicKeyInfo |
//! | `[5, use, persona, name]` certificate request with that common name | PKCS #10, DER |
//! | `[6, persona, statement, chain]` Evidence | the signed token |
//! | `[7, persona, tid]` the firmware's signature over 1 to 64 bytes of text | 64 bytes |
//!
//! A statement is `[nonce, ueid, trust store sequence, epoch, state digest, [component], TA claims or null, cnf key, [oemid,
//! hwmodel, hwversion], layers]`. An answer is `[0, value]`, or `[1, kind, text]` for what the launcher could not do.

mod client;
mod evidence;
mod message;
mod service;

pub use client::Launcher;
pub use message::{Hello, Statement};
pub use service::{Measured, Service};

#[cfg(test)]
pub(crate) mod tests;
