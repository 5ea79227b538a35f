use alloc::string::String;
use core::fmt;

use tamarack_model::{Code, Sha256Digest, codes};

/// Which rule a batch would have broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A row with this key is there already; which kind.
    Exists(&'static str),
    /// No such row, or not in the state that the change needs; which kind.
    Missing(&'static str),
    /// A prefix overlaps one of another provider.
    PrefixTaken,
    /// The sequence number is not higher than the highest published; that one.
    Sequence(u64),
    /// The device was written by someone else since it was read.
    Changed,
    /// A number is larger than 2^63 - 1.
    TooLarge,
    /// The challenge was burned before.
    Burned,
    /// The challenge has expired.
    Expired,
}

/// Why the store did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The batch breaks a rule; nothing of it was done.
    Conflict(Conflict),
    /// The storage cannot be read or written; a sentence with the cause.
    Failed(String),
    /// There is no artifact with this digest.
    ArtifactMissing(Sha256Digest),
    /// What is stored under this digest has another one.
    ArtifactDamaged(Sha256Digest),
}

impl StoreError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Conflict(Conflict::Exists(_) | Conflict::PrefixTaken | Conflict::Changed) => {
                codes::API_CONFLICT
            }
            Self::Conflict(Conflict::TooLarge) => codes::API_INVALID,
            Self::Conflict(Conflict::Missing("pending update")) => codes::TEEP_TOKEN,
            Self::Conflict(Conflict::Missing(_)) => codes::API_NOT_FOUND,
            Self::Conflict(Conflict::Sequence(_)) => codes::PUBLISH_ROLLBACK,
            Self::Conflict(Conflict::Burned | Conflict::Expired) => codes::EVIDENCE_STALE,
            Self::Failed(_) | Self::ArtifactMissing(_) | Self::ArtifactDamaged(_) => codes::STORE_FAILED,
        }
    }
}

impl From<Conflict> for StoreError {
    fn from(conflict: Conflict) -> Self {
        Self::Conflict(conflict)
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(what) => write!(f, "there is such a {what} already"),
            Self::Missing(what) => write!(f, "there is no such {what}, or not in that state any more"),
            Self::PrefixTaken => f.write_str("a prefix overlaps one of another provider"),
            Self::Sequence(highest) => write!(f, "sequence number {highest} is published already"),
            Self::Changed => f.write_str("the device was changed at the same time"),
            Self::TooLarge => f.write_str("a number is larger than the store can keep (2^63 - 1)"),
            Self::Burned => f.write_str("the challenge was used before"),
            Self::Expired => f.write_str("the challenge has expired"),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(conflict) => conflict.fmt(f),
            Self::Failed(why) => f.write_str(why),
            Self::ArtifactMissing(digest) => write!(f, "artifact {digest} is missing from the store"),
            Self::ArtifactDamaged(digest) => {
                write!(f, "artifact {digest} is damaged: its content has another digest")
            }
        }
    }
}

impl core::error::Error for StoreError {}
