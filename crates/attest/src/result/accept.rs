use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Error as CborError, ErrorKind};
use tamarack_corim::{Environment, Triple};
use tamarack_cose::{KeyId, VerificationKey};
use tamarack_crypto::{ConstantTimeEq, Provider};
use tamarack_eat::ear::{Details, Ear, EarAppraisal, LIMITS, SignedEar, Tier};
use tamarack_eat::{Claims, Confirmation, Error as EatError, MeasuredComponent, MeasuredTa};
use tamarack_model::{Code, DeviceId, UnixTime, codes};

use super::issue::label;
use super::{TA, TEE};
use crate::{Appraisal, ComponentFinding, Grade, Refusal, ShownTa, TaAppraisal, TrustResult};

/// A verifier that is believed, and about what (security rule E3).
#[derive(Clone, Debug)]
pub struct Verifier {
    /// What the operator calls it.
    pub name: String,
    /// Its keys, for [`tamarack_cose::Purpose::AttestationResult`].
    pub keys: Vec<VerificationKey>,
    /// The makers and models that it may speak of: all devices that show at least what one of these says. None means any,
    /// an empty list none.
    pub scope: Option<Vec<Environment>>,
    /// The best grade of a device for which only it speaks.
    pub cap: Grade,
}

/// Which Attestation Results are accepted.
#[derive(Clone, Debug)]
pub struct ResultPolicy {
    /// The verifiers. A result by nobody else counts.
    pub verifiers: Vec<Verifier>,
    /// How old a result may be, in seconds, however long it says that it lasts.
    pub maximum_age: u64,
    /// How far the verifier's clock may be ahead, in seconds.
    pub skew: u64,
    /// Refuse results that name no key: whoever holds one could be anybody. Off only outside of production.
    pub require_confirmation: bool,
}

/// What this result in particular must show.
#[derive(Clone, Copy, Debug)]
pub struct ResultExpectations<'a> {
    /// The nonce that was asked for; none if only the age counts.
    pub nonce: Option<&'a [u8]>,
    /// Thumbprint of the key that verified the message around the result; none if there is none.
    pub key: Option<KeyId>,
    /// Time of the check.
    pub now: UnixTime,
}

/// A result that a trusted verifier signed, in its scope, fresh, and about who shows it. What it says is another matter.
#[derive(Clone, Debug)]
pub struct AcceptedResult {
    /// Name of the verifier.
    pub verifier: String,
    /// The key that signed.
    pub key: KeyId,
    /// The best grade that the verifier can give.
    pub cap: Grade,
    /// What it says.
    pub ear: Ear,
}

fn refuse(code: Code, reason: impl Into<String>) -> Refusal {
    Refusal { code, reason: reason.into() }
}

impl ResultPolicy {
    /// A policy with the usual bounds: results count for 5 minutes, clocks differ by at most one, and keys are asked for.
    pub fn new(verifiers: Vec<Verifier>) -> Self {
        Self { verifiers, maximum_age: 300, skew: 60, require_confirmation: true }
    }

    /// Accepts a result (security rule E3), or says why not. Must not panic on any input.
    pub fn accept(
        &self,
        result: &[u8],
        expected: &ResultExpectations<'_>,
        provider: &Provider,
    ) -> Result<AcceptedResult, Refusal> {
        let signed = SignedEar::parse(result).map_err(malformed)?;
        let (verifier, key, ear) = self.verify(&signed, provider)?;
        self.check_time(&ear, expected.now)?;
        if let Some(nonce) = expected.nonce {
            match ear.eat_nonce.as_slice() {
                [shown] if bool::from(shown.ct_eq(nonce)) => {}
                _ => return Err(refuse(codes::RESULT_STALE, "it was made for another nonce")),
            }
        }
        check_scope(verifier, &ear)?;
        match (confirmation(&ear), &expected.key) {
            (None, None) if !self.require_confirmation => {}
            (None, _) => return Err(refuse(codes::RESULT_BINDING, "it names no key of the attester")),
            (Some(cnf), Some(key)) if !cnf.confirms(key, provider) => {
                return Err(refuse(codes::RESULT_BINDING, format!("it is about another key than {key}")));
            }
            (Some(_), _) => {}
        }
        Ok(AcceptedResult { verifier: verifier.name.clone(), key, cap: verifier.cap, ear })
    }

    /// Each verifier is asked apart: a result is one verifier's, never "somebody's".
    fn verify(&self, signed: &SignedEar, provider: &Provider) -> Result<(&Verifier, KeyId, Ear), Refusal> {
        let mut why = String::from("no verifier is configured");
        for verifier in &self.verifiers {
            match signed.verify(&verifier.keys, provider) {
                Ok(verified) => return Ok((verifier, *verified.key(), verified.into_value())),
                Err(e @ EatError::Claims(_)) => return Err(malformed(e)),
                Err(e) => why = e.to_string(),
            }
        }
        Err(refuse(codes::RESULT_UNTRUSTED, why))
    }

    fn check_time(&self, ear: &Ear, now: UnixTime) -> Result<(), Refusal> {
        let reason = if ear.iat > now.saturating_add(self.skew) {
            format!("it was issued {} seconds from now", ear.iat - now)
        } else if ear.exp.is_some_and(|exp| exp <= now) {
            "it has expired".into()
        } else if now.saturating_sub(ear.iat) > self.maximum_age {
            format!("it is {} seconds old, {} are accepted", now - ear.iat, self.maximum_age)
        } else {
            return Ok(());
        };
        Err(refuse(codes::RESULT_STALE, reason))
    }
}

pub(super) fn malformed(error: EatError) -> Refusal {
    refuse(codes::RESULT_MALFORMED, error.to_string())
}

/// The key of whoever shows it: TEEP needs one and the draft has no place for it, so that it stands at the top or in the
/// appraisal of the TEE. That of a TA is its own, and no device's.
pub(super) fn confirmation(ear: &Ear) -> Option<&Confirmation> {
    ear.cnf.as_ref().or_else(|| ear.submods.get(TEE)?.cnf.as_ref())
}

/// What the result says that the attester shows, in the words of CoRIM.
fn shown(ear: &Ear) -> Option<Triple> {
    let details = ear.submods.get(TEE)?.details.as_ref()?;
    Triple::from_cbor(details.shown.as_deref()?, &LIMITS).ok()
}

fn check_scope(verifier: &Verifier, ear: &Ear) -> Result<(), Refusal> {
    let Some(scope) = &verifier.scope else { return Ok(()) };
    let shown = shown(ear);
    if shown.is_some_and(|shown| scope.iter().any(|scope| scope.includes(&shown.environment))) {
        return Ok(());
    }
    let reason = format!("{} may not speak of devices of this maker and model", verifier.name);
    Err(refuse(codes::RESULT_SCOPE, reason))
}

impl AcceptedResult {
    /// What the result says of the TEE and of each TA that it measured, as if it had been appraised here; refused unless the
    /// TEE is affirmed and of at least grade `minimum`. The grade is the lower of what the result says and what the verifier is
    /// capped at (security rule E1).
    pub fn appraisal(self, minimum: Grade) -> Result<Appraisal, Refusal> {
        let missing = |what| refuse(codes::RESULT_MALFORMED, format!("it says nothing of {what}"));
        let Self { verifier, key, cap, ear } = self;
        let cnf = confirmation(&ear).cloned();
        let shown = shown(&ear);
        let Ear { mut submods, eat_nonce, .. } = ear;
        let tee = submods.remove(TEE).ok_or_else(|| missing("a TEE"))?;
        if submods.contains_key(TA) {
            // As the Evidence that it was made from (security rule L4).
            return Err(refuse(codes::RESULT_BINDING, "it is about a TA that proves itself, and no device"));
        }
        let EarAppraisal { status, vector, policies, teep, details, .. } = tee;
        let Details { device, grade, reasons: found, platform, code, findings, debug, .. } =
            details.unwrap_or_default();
        if status != Tier::Affirming {
            let code = code.map(|code| format!(", {}", Code(code))).unwrap_or_default();
            let reason = format!("{verifier} says {status}{code}: {}", found.join("; "));
            return Err(refuse(codes::RESULT_STATUS, reason));
        }
        let device = DeviceId(device.ok_or_else(|| missing("the attestation key"))?);
        let claimed = grade.as_deref().and_then(Grade::parse).ok_or_else(|| missing("a grade"))?;
        let grade = claimed.min(cap);
        if grade < minimum {
            let reason =
                format!("grade {grade} is below the minimum {minimum}: {verifier} is capped at {cap}");
            return Err(refuse(codes::RESULT_STATUS, reason));
        }
        let claims = Claims { eat_nonce, cnf, platform, dbgstat: debug, ..teep.unwrap_or_default() };
        let shown = shown.ok_or_else(|| missing("what was measured"))?;
        let components = read_findings(findings.as_deref()).map_err(|e| unreadable(TEE, &e))?;
        let tas = measured_tas(submods)?;
        let mut reasons = alloc::vec![format!("affirmed by {verifier} with key {key}")];
        reasons.extend(found);
        let result =
            TrustResult { status, vector: vector.unwrap_or_default(), policies, reasons: reasons.clone() };
        Ok(Appraisal { device, grade, claims, reasons, shown, components, endorsed: Vec::new(), tas, result })
    }
}

fn unreadable(name: &str, why: &dyn core::fmt::Display) -> Refusal {
    refuse(codes::RESULT_MALFORMED, format!("submodule {name:?}: {why}"))
}

/// The TAs that a result tells of. Whatever calls itself one and cannot be read, or says that it is another, makes the whole
/// result worthless: a TA that is stepped over would run unseen. Submodules of other names are nobody's that is known here.
fn measured_tas(submods: BTreeMap<String, EarAppraisal>) -> Result<Vec<TaAppraisal>, Refusal> {
    let is_ta = |name: &str| name.strip_prefix(TA).is_some_and(|rest| rest.starts_with(':'));
    let tas = submods.into_iter().filter(|(name, _)| is_ta(name));
    tas.map(|(name, appraisal)| measured_ta(&name, appraisal)).collect()
}

fn measured_ta(name: &str, appraisal: EarAppraisal) -> Result<TaAppraisal, Refusal> {
    let EarAppraisal { status, vector, policies, details, .. } = appraisal;
    let Details { reasons, shown, findings, .. } = details.unwrap_or_default();
    let missing = || unreadable(name, &"it says nothing of what was measured");
    let measured = MeasuredComponent::from_cbor(&shown.ok_or_else(missing)?, &LIMITS);
    let measured = measured.map_err(|e| unreadable(name, &e))?;
    let measured = MeasuredTa::try_from(&measured).map_err(|e| unreadable(name, &e))?;
    let shown = ShownTa { measured, proof: None };
    if label(&shown) != name {
        return Err(unreadable(name, &format_args!("it is about {}", label(&shown))));
    }
    let mut findings = read_findings(findings.as_deref()).map_err(|e| unreadable(name, &e))?.into_iter();
    let finding = findings.next();
    if findings.next().is_some() {
        return Err(unreadable(name, &"several findings about one component"));
    }
    let result = TrustResult { status, vector: vector.unwrap_or_default(), policies, reasons };
    Ok(TaAppraisal { shown, finding, result })
}

fn read_findings(item: Option<&[u8]>) -> Result<Vec<ComponentFinding>, CborError> {
    let Some(item) = item else { return Ok(Vec::new()) };
    let d = &mut Decoder::new(item, &LIMITS)?;
    match d.array()? {
        0 => Err(d.error(ErrorKind::Value("at least one finding"))),
        count => (0..count).map(|_| ComponentFinding::decode(d)).collect(),
    }
}
