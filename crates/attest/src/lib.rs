//! Appraisal of Evidence: whether a device is what it says, how far that can be believed, and why.
//!
//! Appraisal is pure: no clock, no network, no storage. It never panics on any input and says in words what it found,
//! whether it accepts or refuses. Which Evidence can be read is one table, [`FORMATS`]; each format is a file beside
//! `software_tee`.
//!
//! | step of a TAM | function |
//! |---|---|
//! | find the challenge and the TEEP key to check first, both unproven | [`hints_unverified`] |
//! | appraise | [`appraise`] |
//!
//! The grade of a device is the lower of what its TEE CA is capped at and what its claims say (security rule E1): claims
//! alone prove nothing.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod format;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use tamarack_cose::KeyId;
use tamarack_crypto::{Provider, PublicKey};
use tamarack_eat::{Claims, DebugStatus, layer};
use tamarack_model::{Code, DeviceId, UnixTime};
use tamarack_x509::Anchor;

pub use format::software_tee::SoftwareTee;
pub use format::{EvidenceFormat, FORMATS, find};

/// How far a device's isolation can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// Genuine, but an isolation layer that the policy asks for is missing.
    None,
    /// A software TEE with all layers that the policy asks for.
    Software,
    /// A TEE in hardware.
    Hardware,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Software => "software",
            Self::Hardware => "hardware",
        })
    }
}

/// A certification authority of TEEs that the operator lists.
#[derive(Clone, Debug)]
pub struct TeeCa {
    /// Its certificate.
    pub anchor: Anchor,
    /// The best grade that a device under it can have.
    pub cap: Grade,
}

/// What the operator accepts.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The authorities; a device under no other is accepted.
    pub tee_cas: Vec<TeeCa>,
    /// For each of them, in the same order, revocation lists, DER, of it and of those under it. Where there are any, one in
    /// force must speak for each certificate of the path; a CA without an entry has none.
    pub crls: Vec<Vec<Vec<u8>>>,
    /// The lowest grade that is accepted.
    pub minimum: Grade,
    /// The layers (bits of [`tamarack_eat::layer`]) without which a software TEE has [`Grade::None`].
    pub software_layers: u64,
    /// The lowest debug status that is accepted.
    pub debug: DebugStatus,
}

impl Policy {
    /// Layers that [`Policy::new`] asks a software TEE for; without one of them the grade is [`Grade::None`] (security rule
    /// S1). A uid of its own is among them: without it the rich OS's user can read the file with the root secret.
    pub const SOFTWARE_LAYERS: u64 =
        layer::OWN_UID | layer::NOT_DUMPABLE | layer::NAMESPACES | layer::LANDLOCK | layer::SECCOMP;

    /// A policy that refuses debuggable devices and asks for [`Policy::SOFTWARE_LAYERS`].
    pub fn new(tee_cas: Vec<TeeCa>, minimum: Grade) -> Self {
        Self {
            tee_cas,
            crls: Vec::new(),
            minimum,
            software_layers: Self::SOFTWARE_LAYERS,
            debug: DebugStatus::Disabled,
        }
    }
}

/// What this Evidence in particular must show.
#[derive(Clone, Copy, Debug)]
pub struct Expectations<'a> {
    /// The nonce that was asked for.
    pub nonce: &'a [u8],
    /// Thumbprint of the key that verified the TEEP message around the Evidence.
    pub teep_key: KeyId,
    /// Time of the appraisal.
    pub now: UnixTime,
}

/// Evidence that was accepted.
#[derive(Clone, Debug)]
pub struct Appraisal {
    /// Thumbprint of the attestation key.
    pub device: DeviceId,
    /// How far the device can be believed.
    pub grade: Grade,
    /// What it claims.
    pub claims: Claims,
    /// What was checked and found, in words.
    pub reasons: Vec<String>,
}

/// Evidence that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code, of those that begin with 3.
    pub code: Code,
    /// Why, in words.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.code)
    }
}

impl core::error::Error for Refusal {}

/// What Evidence says about itself before anything vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hints {
    /// Its nonce: a TAM finds the challenge by it.
    pub nonce: Vec<u8>,
    /// The TEEP key that it vouches for, to check the message around it first (security rule C7).
    pub teep_key: Option<PublicKey>,
}

/// Reads the hints of Evidence in `format`. Nothing about them is proven.
pub fn hints_unverified(format: Option<&str>, evidence: &[u8]) -> Result<Hints, Refusal> {
    find(format)?.hints_unverified(evidence)
}

/// Appraises `evidence`, whose attestation-payload-format is `format`.
///
/// An absent format means an Attestation Result of the TEEP profile; as no verifier of such results can be configured
/// here, it is refused like any format that has no row in [`FORMATS`].
pub fn appraise(
    format: Option<&str>,
    evidence: &[u8],
    expected: &Expectations<'_>,
    policy: &Policy,
    provider: &Provider,
) -> Result<Appraisal, Refusal> {
    find(format)?.appraise(evidence, expected, policy, provider)
}

#[cfg(test)]
mod tests;
