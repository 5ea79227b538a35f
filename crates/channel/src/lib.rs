//! What Broker and TEE say to each other, and what normal apps say to the Broker: frames, requests and replies.
//!
//! A message is one item of deterministic CBOR, `[version, request id, op, body]`, and travels in frames: a length as
//! u32, big-endian, then so many bytes, at most [`MAX_FRAME`]. A message that does not fit into one frame travels as
//! several of op `Part`, whose contents put together are the message.
//!
//! The Broker asks and the TEE answers each request once; what it wants the Broker to do stands in the answer as
//! [`Action`]s. On the socket of normal apps a request that takes time is answered several times under its id, until an
//! answer carries [`Action::Finished`] or an error.
//!
//! | op | request | answer's value |
//! |---|---|---|
//! | 1 | RequestTA (RFC 9397 section 6.2.1) | |
//! | 2 | UnrequestTA | |
//! | 3 | ProcessTeepMessage | |
//! | 4 | RequestPolicyCheck | |
//! | 5 | ProcessError | |
//! | 6, 7 | a piece of a payload, or that it cannot be had | |
//! | 8, 9, 10 | open a session with a TA, invoke a command, close it | [`Value::Session`], [`Value::Returned`] |
//! | 11 | status | [`Value::Status`] |
//! | 12, 13 | certificate signing requests, enrolment | [`Value::Csr`] |
//! | 14 | an order of the device authority about a trust anchor | |
//! | 16 | ProcessOTrPMessage (draft-ietf-teep-opentrustprotocol-03 section 6.4.1) | |
//! | 17 | GetTAInformation (section 6.4.2) | [`Value::TaInformation`] |
//! | 18 | RequestTA of an app that carries the messages itself; for the Broker alone | |
//! | 0 | (an answer) | |
//! | 15 | (a part of a longer message) | |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod action;
mod codec;
mod enrol;
mod frame;
mod params;
mod reply;
mod request;

#[cfg(test)]
mod tests;

pub use action::{Action, BUNDLE_SCHEME, Failure, TaState};
pub use enrol::{
    Enrolment, NameKind, OtrpProfile, OtrpSeed, PeripheralSeed, Profile, Proof, SignerSeed, TamSeed,
};
pub use frame::{Assembler, Body, Error, MAX_CHUNK, MAX_FRAME, MAX_MESSAGE, Message, frame_length, receive};
pub use reply::{Domain, Installed, Reply, Requests, Status, Value};
pub use request::{Request, Target};

/// Version of this protocol; both ends come from one release, so another one is refused.
pub const VERSION: u64 = 1;
