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
//! | the same with a result for those who only asked | [`assess`] |
//!
//! Appraisal has two steps. The format shows that the Evidence is genuine, fresh and bound to the TEEP key. Then, if the
//! policy has [`References`], every component that it shows is compared with what makers and TA signers released: a device
//! that runs anything else is refused, and so is one that shows what nobody speaks of.
//!
//! What it comes to is said for the TEE and, apart, for each TA that it shows ([`Assessment`]); a verifier says it to others as
//! an EAR ([`result`]).
//!
//! The grade of a device is the lower of what its TEE CA is capped at and what its claims say (security rule E1): claims
//! alone prove nothing.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod ear;
mod format;
mod reference;
pub mod release;
pub mod result;
mod ta;
mod wrapped;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use tamarack_corim::Triple;
use tamarack_cose::KeyId;
use tamarack_crypto::{Provider, PublicKey};
use tamarack_eat::{Claims, DebugStatus, layer};
use tamarack_model::{Code, DeviceId, UnixTime, codes};
use tamarack_x509::Anchor;

pub use ear::TrustResult;
pub use format::software_tee::SoftwareTee;
pub use format::ta_evidence::TaEvidence;
pub use format::{EvidenceFormat, FORMATS, find};
pub use format::{psa_token, tpm};
pub use reference::{
    Added, ComponentFinding, Endorsed, Finding, Floor, PROFILE as REFERENCE_PROFILE, ProviderRole,
    REPLACED as REFERENCE_REPLACED, ReferenceEntry, ReferenceProvider, References, StoredReference,
};
pub use result::{AcceptedResult, ResultExpectations, ResultPolicy, Verifier};
pub use ta::{ShownTa, TaAppraisal, TaProof, ta_environment};
pub use tamarack_eat::ear::{Tier, TrustVector, claim};

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

impl Grade {
    /// The grade of this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "software" => Some(Self::Software),
            "hardware" => Some(Self::Hardware),
            _ => None,
        }
    }
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
    pub crls: Arc<[Vec<Vec<u8>>]>,
    /// The lowest grade that is accepted.
    pub minimum: Grade,
    /// The layers (bits of [`tamarack_eat::layer`]) without which a software TEE has [`Grade::None`].
    pub software_layers: u64,
    /// The lowest debug status that is accepted.
    pub debug: DebugStatus,
    /// What devices should run. None means that nobody looks; references without values mean that nothing is accepted.
    pub references: Option<Arc<References>>,
}

impl Policy {
    /// Layers that [`Policy::new`] asks a software TEE for; without one of them the grade is [`Grade::None`] (security rule
    /// S1). A uid of its own is among them: without it the rich OS's user can read the file with the root secret.
    pub const SOFTWARE_LAYERS: u64 =
        layer::OWN_UID | layer::NOT_DUMPABLE | layer::NAMESPACES | layer::LANDLOCK | layer::SECCOMP;

    /// A policy that refuses debuggable devices, asks for [`Policy::SOFTWARE_LAYERS`] and has no reference values.
    pub fn new(tee_cas: Vec<TeeCa>, minimum: Grade) -> Self {
        Self {
            tee_cas,
            crls: Arc::default(),
            minimum,
            software_layers: Self::SOFTWARE_LAYERS,
            debug: DebugStatus::Disabled,
            references: None,
        }
    }
}

/// What this Evidence in particular must show.
#[derive(Clone, Copy, Debug)]
pub struct Expectations<'a> {
    /// The nonce that was asked for.
    pub nonce: &'a [u8],
    /// Thumbprint of the key that verified the TEEP message around the Evidence. None for whoever is shown Evidence without
    /// a message around it: then nobody proves to be its sender, and the key is in the result.
    pub teep_key: Option<KeyId>,
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
    /// Whose measurements it shows, and which.
    pub shown: Triple,
    /// What each component is, by the reference values. Empty without references.
    pub components: Vec<ComponentFinding>,
    /// What providers say of its environment besides.
    pub endorsed: Vec<Endorsed>,
    /// Each TA that it shows, appraised apart.
    pub tas: Vec<TaAppraisal>,
    /// What it comes to.
    pub result: TrustResult,
}

impl Appraisal {
    /// The same after comparing what it shows with more reference values, such as a tenant's when somebody else appraised.
    /// Refused if they do not all match; a TA is then what the worse of both says.
    pub fn compared(self, references: &References, now: UnixTime) -> Result<Self, Refusal> {
        let components = references.compare(&self.shown, now);
        if let Some(refusal) = platform_refusal(&components, &self.result) {
            return Err(refusal);
        }
        let mut appraisal = self;
        appraisal.reasons.extend(components.iter().map(|component| format!("{component}")));
        // One finding for each component, the tenant's before the verifier's.
        let new =
            |known: &ComponentFinding| components.iter().all(|found| found.component != known.component);
        appraisal.components.retain(new);
        appraisal.components.extend(components);
        appraisal.tas = appraisal.tas.into_iter().map(|ta| ta.compared(references, now)).collect();
        Ok(appraisal)
    }
}

/// Evidence that was looked at for somebody who decides for himself, such as a relying party of a verifier.
#[derive(Clone, Debug)]
pub struct Assessment {
    /// What the TEE comes to. Never affirming if the Evidence is refused for what it says of the TEE.
    pub result: TrustResult,
    /// Each TA that the Evidence shows, appraised apart.
    pub tas: Vec<TaAppraisal>,
    /// The Evidence, or why it is refused.
    pub outcome: Result<Appraisal, Refusal>,
    /// The Evidence, if it is genuine, fresh and bound, even if it is refused for what it shows.
    pub genuine: Option<Genuine>,
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
/// An absent format means an Attestation Result, which is for [`ResultPolicy::accept`]; here it is refused like any format that
/// has no row in [`FORMATS`].
pub fn appraise(
    format: Option<&str>,
    evidence: &[u8],
    expected: &Expectations<'_>,
    policy: &Policy,
    provider: &Provider,
) -> Result<Appraisal, Refusal> {
    assess(format, evidence, expected, policy, provider).outcome
}

/// The same, with a result also for Evidence that is refused.
pub fn assess(
    format: Option<&str>,
    evidence: &[u8],
    expected: &Expectations<'_>,
    policy: &Policy,
    provider: &Provider,
) -> Assessment {
    let verified = find(format).and_then(|format| format.verify(evidence, expected, policy, provider));
    match verified {
        Ok(genuine) => compare(genuine, policy, expected.now),
        Err(refusal) => {
            let untrusted = refusal.code == codes::EVIDENCE_UNTRUSTED;
            let instance_identity = untrusted.then_some(claim::UNRECOGNIZED_INSTANCE);
            let vector = TrustVector { instance_identity, ..TrustVector::default() };
            let result = TrustResult::new(vector, Vec::new(), alloc::vec![refusal.reason.clone()]);
            Assessment { result, tas: Vec::new(), outcome: Err(refusal), genuine: None }
        }
    }
}

/// Evidence that its format found genuine, fresh and bound, with what it shows.
#[derive(Clone, Debug)]
pub struct Genuine {
    /// Thumbprint of the attestation key.
    pub device: DeviceId,
    /// How far the device can be believed.
    pub grade: Grade,
    /// What it claims.
    pub claims: Claims,
    /// What was checked and found, in words.
    pub reasons: Vec<String>,
    /// Whose measurements it shows, and which.
    pub shown: Triple,
    /// The TAs that it shows.
    pub tas: Vec<ShownTa>,
}

/// The second step: what is genuine is compared with what was released.
fn compare(genuine: Genuine, policy: &Policy, now: UnixTime) -> Assessment {
    let Genuine { device, grade, shown, .. } = &genuine;
    let mut reasons = genuine.reasons.clone();
    let mut vector = TrustVector {
        instance_identity: Some(claim::RECOGNIZED_INSTANCE),
        hardware: (*grade == Grade::Hardware).then_some(claim::GENUINE_HARDWARE),
        ..TrustVector::default()
    };
    let (mut components, mut endorsed, mut policies) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(references) = &policy.references {
        components = references.compare(shown, now);
        endorsed = references.endorsed(&shown.environment, now);
        let worst = components.iter().map(|component| component.finding.executables());
        vector.executables = worst.max_by_key(|claim| Tier::of_claim(*claim));
        reasons.extend(components.iter().map(|component| format!("{component}")));
        if components.is_empty() {
            reasons.push("the Evidence shows no measured component".into());
        }
        policies.push(String::from(REFERENCE_PROFILE));
    }
    let result = TrustResult::new(vector, policies, reasons.clone());
    let tas: Vec<TaAppraisal> = genuine
        .tas
        .iter()
        .map(|ta| TaAppraisal::new(ta, result.status, policy.references.as_deref(), now))
        .collect();
    let refusal = match &policy.references {
        None => None,
        Some(_) => platform_refusal(&components, &result).or_else(|| {
            // Evidence of a TA is about the TA; what other Evidence says of TAs decides nothing about the device.
            let own = tas.iter().find(|ta| ta.shown.proof.is_some());
            own.and_then(TaAppraisal::refusal)
        }),
    };
    let outcome = match refusal {
        Some(refusal) => Err(refusal),
        None => Ok(Appraisal {
            device: *device,
            grade: *grade,
            claims: genuine.claims.clone(),
            reasons,
            shown: shown.clone(),
            components,
            endorsed,
            tas: tas.clone(),
            result: result.clone(),
        }),
    };
    Assessment { result, tas, outcome, genuine: Some(genuine) }
}

/// Why what a TEE runs is not accepted. The worst component decides which code; the status decides whether.
fn platform_refusal(components: &[ComponentFinding], result: &TrustResult) -> Option<Refusal> {
    let worst = components.iter().max_by_key(|c| Tier::of_claim(c.finding.executables()));
    let code = match worst {
        None => Some(codes::MEASUREMENT_UNKNOWN),
        Some(worst) => worst.finding.code(),
    };
    if code.is_none() && result.status == Tier::Affirming {
        return None;
    }
    let unreleased = components.iter().filter(|component| component.finding.code().is_some());
    let mut why: Vec<String> = unreleased.map(|component| format!("{component}")).collect();
    if why.is_empty() {
        why.extend(result.reasons.last().cloned());
    }
    Some(Refusal { code: code.unwrap_or(codes::EVIDENCE_POLICY), reason: why.join("; ") })
}

#[cfg(test)]
mod tests;
