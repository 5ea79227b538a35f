//! The shared nouns of Tamarack: who owns what on a device, what is asked of it, and what came of it.
//!
//! Both protocols (TEEP and OTrP) are mapped onto these types, so that one engine serves both. Nothing here parses a
//! message, reads a clock or touches storage.
//!
//! | type | meaning | source of the term |
//! |---|---|---|
//! | [`OwnerId`] | a TAM as the Agent sees it | RFC 9397 section 2 (TAM) |
//! | [`ComponentId`] | name of a Trusted Component | draft-ietf-suit-manifest-37, SUIT_Component_Identifier |
//! | [`Protocol`] | what a TAM and a device speak | |
//! | [`DeviceId`] | a TEE as the TAM sees it | thumbprint of the attestation key (RFC 9679) |
//! | [`Code`] | stable error code `TMK-nnnn` | ours |
//! | [`permission`] | who may do what | ours |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod code;
mod component;
mod digest;
mod id;
mod intent;
pub mod permission;

pub use code::{CODES, Code, CodeInfo, codes};
pub use component::{ComponentId, ComponentIdError};
pub use digest::Sha256Digest;
pub use id::{DeviceId, Hex, OwnerId};
pub use intent::{DomainChanges, HeldBack, Intent, Outcome, OwnerSays, Protocol, TcEntry, View};

/// Seconds since 1970-01-01T00:00:00Z, as every engine of Tamarack takes and keeps time.
pub type UnixTime = u64;
