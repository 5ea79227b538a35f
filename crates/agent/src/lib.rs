//! The Agent inside a TEE, for TEEP (draft-ietf-teep-protocol-26, RFC 9397) and OTrP
//! (draft-ietf-teep-opentrustprotocol-03), as a sans-IO engine on a [`tamarack_tee::Platform`].
//!
//! The Agent opens no socket and reads no clock. A driver feeds it [`Input`]s with the time, and after each one does what
//! [`Agent::poll_output`] gives, in order, until there is nothing more:
//!
//! 1. [`Output::Connect`] or [`Output::Transmit`]: an HTTP exchange with the TAM. What comes back goes in as
//!    [`Input::ProcessTeepMessage`] or [`Input::ProcessOtrpMessage`], a failure as [`Input::ProcessError`], nothing (204) not at all.
//! 2. [`Output::Fetch`]: a payload. It goes in as [`Input::Chunk`]s, the last one marked, or [`Input::FetchFailed`].
//! 3. [`Output::Progress`] and [`Output::Finished`]: for whoever watches.
//!
//! A change of the device is durable before the message that tells of it is given out; before any of it, or the result of a
//! call, leaves the device, [`Agent::count`] makes sure that it cannot be undone unseen. Sessions with TAs are calls:
//! [`Agent::open_session`], [`Agent::invoke`], [`Agent::close_session`]. The device's owner orders by
//! [`Agent::owner_challenge`] and [`Agent::owner_order`]. What an application may know of a TA in OTrP it
//! asks by [`Agent::ta_information`].
//!
//! | module | holds |
//! |---|---|
//! | `agent`, `api` | the engine's face: inputs, outputs, and what connects the rest |
//! | `requests`, `processing` | what applications ask; the transaction that is going on, whichever protocol brought it |
//! | `engine` | an Update or a command as one journaled transaction |
//! | `staging`, `journal` | what that transaction does not yet let the device see |
//! | `trust`, `authority` | anchors; what a signer may |
//! | `owner` | the rules of the device's owner, what they withheld, and the orders that change them |
//! | `slots`, `counters`, `domains`, `aik`, `views`, `answers`, `notes` | the records in sealed storage, all named in `record` |
//! | `teep`, `otrp` | messages |
//! | `shown` | what Evidence tells one Owner |
//! | `ta` | loading, sessions, objects, Evidence and peripherals of TAs |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod agent;
mod aik;
mod answers;
mod api;
mod authority;
mod config;
mod counters;
mod domains;
mod engine;
mod error;
mod journal;
mod measure;
mod notes;
mod otrp;
mod owner;
mod processing;
mod record;
mod reports;
mod requests;
mod shown;
mod slots;
mod staging;
mod ta;
mod teep;
mod trust;
mod views;

pub use agent::Agent;
pub use api::{BUNDLE_SCHEME, ComponentStatus, Finished, Input, Output, Progress, Seed, Status};
pub use config::AgentConfig;
pub use domains::DomainStatus;
pub use engine::Effect;
pub use error::Error;
pub use ta::peripheral::Peripheral;
pub use ta::sessions::{SessionId, TaName};
pub use trust::{
    AnchorChange, AnchorOrder, AnchorState, DEVICE_DOMAIN, Operations, OtrpPrincipal, Prefix, Principal,
    SignerAnchor, Subject, TamAnchor,
};
