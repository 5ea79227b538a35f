//! What the owner of a device orders, and what the device tells its owner.
//!
//! An [`Order`] is signed by the owner's key over a challenge that the TEE gave a moment before, so that it fits one device
//! and one time. What comes back is a [`Statement`], signed by a key that the TEE has for its owner alone, over the digest
//! of that very order: whoever carries both can lose them, and can neither alter nor repeat them, nor say that an order
//! was obeyed that never arrived.
//!
//! | type | what it is |
//! |---|---|
//! | [`Rules`] | which TAMs, providers and components are allowed, denied, or need the owner's consent |
//! | [`Order`] | changes of rules, approvals and the owner's key; none at all is a question |
//! | [`Statement`] | the rules in force, the TAMs of the device, and what waits or was refused |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod order;
mod rules;
mod statement;

pub use order::{CHALLENGE_SIZE, Change, Digest, MAX_CHANGES, Order};
pub use rules::{Effect, MAX_RULES, Rule, Rules, Selector};
pub use statement::{Statement, TamView, Waiting, verify_with};

use core::fmt;

use tamarack_model::{Code, codes};

/// Why an order or a statement is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is no COSE_Sign1, or not signed by the key that it must be signed by.
    Cose(tamarack_cose::Error),
    /// What is signed is no order or statement.
    Cbor(tamarack_cbor::Error),
    /// More rules than a device keeps.
    TooManyRules,
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Cose(e) => e.code(),
            Self::Cbor(_) | Self::TooManyRules => codes::OWNER_ORDER,
        }
    }
}

impl From<tamarack_cose::Error> for Error {
    fn from(e: tamarack_cose::Error) -> Self {
        Self::Cose(e)
    }
}

impl From<tamarack_cbor::Error> for Error {
    fn from(e: tamarack_cbor::Error) -> Self {
        Self::Cbor(e)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cose(e) => e.fmt(f),
            Self::Cbor(e) => e.fmt(f),
            Self::TooManyRules => write!(f, "a device keeps at most {MAX_RULES} rules"),
        }
    }
}

impl core::error::Error for Error {}

/// What is read here comes from outside: small, and not deep.
fn limits() -> tamarack_cbor::Limits {
    tamarack_cbor::Limits { bytes: 256 << 10, ..tamarack_cbor::Limits::default() }
}

#[cfg(test)]
mod tests;
