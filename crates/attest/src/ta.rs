//! The TAs that Evidence shows, each appraised apart from the TEE that measured it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_corim::{Class, ClassId, Digest, Environment, Triple, Version};
use tamarack_crypto::PublicKey;
use tamarack_eat::MeasuredTa;
use tamarack_eat::ear::{Tier, TrustVector, claim};
use tamarack_model::{Code, ComponentId, Hex, UnixTime, codes};

use crate::reference::component;
use crate::{ComponentFinding, REFERENCE_PROFILE, References, Refusal, TrustResult};

/// What CoRIMs call the model of every TA.
pub(crate) const MODEL: &str = "trusted-application";

/// A TA that Evidence shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownTa {
    /// What the Agent measured.
    pub measured: MeasuredTa,
    /// What it says of itself, if the Evidence is its own.
    pub proof: Option<TaProof>,
}

/// What a TA says of itself in Evidence of its own (security rule L4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaProof {
    /// The nonce that its peer asked for.
    pub nonce: Vec<u8>,
    /// A key that only it holds.
    pub key: Option<PublicKey>,
}

/// What is said about one TA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaAppraisal {
    /// The TA.
    pub shown: ShownTa,
    /// How its code stands to the reference values. None without references.
    pub finding: Option<ComponentFinding>,
    /// What it comes to.
    pub result: TrustResult,
}

impl ShownTa {
    /// What it shows, as signers of TAs speak of it: in the environment of [`ta_environment`] a measured element that is
    /// called by the text of the component id, whose version is the sequence number of the manifest.
    pub(crate) fn triple(&self) -> Triple {
        let MeasuredTa { component: id, digest, sequence, .. } = &self.measured;
        let mut measurement = component(&id.to_string(), Digest::sha256(*digest));
        measurement.values.version = Some(Version { version: sequence.to_string(), scheme: None });
        Triple { environment: ta_environment(id), measurements: alloc::vec![measurement] }
    }

    fn compare(&self, references: &References, now: UnixTime) -> Option<ComponentFinding> {
        references.compare(&self.triple(), now).into_iter().next()
    }
}

/// The environment of the TA whose code is this component, the same on all devices:
///
/// | environment | from |
/// |---|---|
/// | class-id | the TA's UUID, if the component id has one in its second segment |
/// | vendor | the first segment of the component id: as text, else in hexadecimal |
/// | model | `trusted-application` |
pub fn ta_environment(component: &ComponentId) -> Environment {
    let segments = component.segments();
    let uuid = segments.get(1).and_then(|segment| <[u8; 16]>::try_from(segment.as_slice()).ok());
    let vendor = segments.first().map(|segment| match core::str::from_utf8(segment) {
        Ok(text) => text.to_string(),
        Err(_) => Hex(segment).to_string(),
    });
    let class_id = uuid.map(ClassId::Uuid);
    Environment::of_class(Class { class_id, vendor, model: Some(MODEL.into()), ..Class::default() })
}

impl TaAppraisal {
    /// Compares a TA with what its signers released. A TEE that is not affirmed says nothing that could be affirmed either:
    /// whatever Agent it runs did the measuring.
    pub(crate) fn new(shown: &ShownTa, tee: Tier, references: Option<&References>, now: UnixTime) -> Self {
        let MeasuredTa { component, sequence, loaded, provider, .. } = &shown.measured;
        let state = if *loaded { "loaded" } else { "installed" };
        let mut reasons =
            alloc::vec![format!("{component}: {state}, sequence {sequence}, signed by {provider}")];
        let mut vector = TrustVector::default();
        if tee == Tier::Affirming {
            vector.instance_identity = Some(claim::RECOGNIZED_INSTANCE);
        } else {
            vector.instance_identity = Some(claim::NO_ASSERTION);
            reasons.push(format!("the TEE that measured it is {tee}"));
        }
        let finding = references.and_then(|references| shown.compare(references, now));
        vector.executables = finding.as_ref().map(|found| found.finding.executables());
        reasons.extend(finding.as_ref().map(|found| format!("{found}")));
        let policies: Vec<String> = references.map(|_| REFERENCE_PROFILE.into()).into_iter().collect();
        Self { shown: shown.clone(), finding, result: TrustResult::new(vector, policies, reasons) }
    }

    /// The same after comparing it with more reference values; where both say something, the worse counts.
    pub(crate) fn compared(self, references: &References, now: UnixTime) -> Self {
        let Some(found) = self.shown.compare(references, now) else { return self };
        let Self { shown, mut finding, mut result } = self;
        let claim = found.finding.executables();
        let tier = Tier::of_claim(claim);
        result.status = result.status.max(tier);
        result.reasons.push(format!("{found}"));
        if !result.policies.iter().any(|policy| policy == REFERENCE_PROFILE) {
            result.policies.push(REFERENCE_PROFILE.into());
        }
        if result.vector.executables.is_none_or(|known| Tier::of_claim(known) <= tier) {
            result.vector.executables = Some(claim);
            finding = Some(found);
        }
        Self { shown, finding, result }
    }

    /// Why it is not affirmed; none if it is.
    pub fn refusal(&self) -> Option<Refusal> {
        if self.result.status == Tier::Affirming {
            return None;
        }
        let code: Option<Code> = self.finding.as_ref().and_then(|found| found.finding.code());
        let reason = self.result.reasons.last().cloned().unwrap_or_default();
        Some(Refusal { code: code.unwrap_or(codes::EVIDENCE_POLICY), reason })
    }
}

#[cfg(test)]
pub(crate) mod tests;
