//! PSA attestation tokens (RFC 9783): what a PSA root of trust signs about its firmware.
//!
//! A PSA token has a nonce and no key confirmation: alone it says nothing about who sends it. So it travels as a submodule of
//! unsigned claims (UCCS, RFC 9781) inside a TEEP message, whose signature stands for them (security rule C3):
//!
//! | label | claim |
//! |---|---|
//! | 8 | cnf: the TEEP key as a COSE_Key |
//! | 10 | eat_nonce: the challenge |
//! | 265 | eat_profile: [`PROFILE`] |
//! | 266 | submods: `{"psa": token}` |
//!
//! The nonce *of the token* is the SHA-256 of these claims without the submods ([`binding`]), which ties challenge and key to the
//! root of trust. Keys come from makers, as attest-key triples of [`crate::References`]; a token with a MAC has no public
//! key and is refused. Whether what runs was released, the second step of appraisal says.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Error as CborError, Limits};
use tamarack_corim::{
    Class, ClassId, CryptoKey, Digest, DigestAlgorithm, Environment, Instance, MeasuredElement, Measurement,
    MeasurementValues, Triple, Version,
};
use tamarack_cose::{Purpose, Sign1, TAG_MAC0, TAG_SIGN1, VerificationKey};
use tamarack_crypto::{ConstantTimeEq, Provider, PublicKey};
use tamarack_eat::{Claims, Confirmation, DebugStatus, Profile, TAG_CWT};
use tamarack_model::{Code, DeviceId, codes};

use crate::wrapped::{Wrapped, Wrapping};
use crate::{EvidenceFormat, Expectations, Genuine, Grade, Hints, Policy, Refusal};

mod claims;

pub use claims::{Lifecycle, PsaClaims, PsaProfile, SoftwareComponent};

/// eat_profile of the claims around a PSA token.
pub const PROFILE: &str = "urn:x-tamarack:eat:psa-token:1";
/// Their attestation-payload-format.
pub const FORMAT: &str = "application/eat-ucs+cbor; eat_profile=\"urn:x-tamarack:eat:psa-token:1\"";
/// What CoRIMs for PSA call every software component (draft-ietf-rats-corim, examples); its kind is in the name.
pub const SOFTWARE_COMPONENT: &str = "psa.software-component";

/// What is around the token.
const WRAPPING: Wrapping = Wrapping { name: "PSA token", profile: PROFILE, submodule: "psa" };
/// Largest Evidence that is read, in bytes.
const LIMITS: Limits = Limits { bytes: 16 << 10, depth: 12, items: 1024 };

/// PSA tokens inside claims for which the Agent's signature stands.
pub struct PsaToken;

/// The nonce to ask the root of trust for.
pub fn binding(challenge: &[u8], teep_key: &PublicKey, provider: &Provider) -> [u8; 32] {
    WRAPPING.binding(challenge, teep_key, provider)
}

/// The Evidence: `token` with what it is bound to.
pub fn wrap(challenge: &[u8], teep_key: &PublicKey, token: &[u8]) -> Vec<u8> {
    WRAPPING.wrap(challenge, teep_key, token)
}

impl EvidenceFormat for PsaToken {
    fn media_type(&self) -> &'static str {
        FORMAT
    }

    fn hints_unverified(&self, evidence: &[u8]) -> Result<Hints, Refusal> {
        WRAPPING.hints(evidence, &LIMITS)
    }

    fn verify(
        &self,
        evidence: &[u8],
        expected: &Expectations<'_>,
        policy: &Policy,
        provider: &Provider,
    ) -> Result<Genuine, Refusal> {
        let (wrapped, teep_key) = WRAPPING.expect(evidence, expected, &LIMITS, provider)?;
        let signed = verify_token(wrapped.evidence, expected, policy, provider)?;
        let SignedClaims { claims, device, cap } = signed;
        let mut reasons =
            alloc::vec![format!("signed by attestation key {device}, which its maker endorses")];

        check_binding(&claims, &wrapped, provider)?;
        reasons.push("fresh: bound to the nonce that was asked for".into());
        reasons.push(format!("bound to the TEEP key {teep_key}"));
        let (claimed, debug) = standing(claims.lifecycle)?;
        if debug < policy.debug {
            let reason = format!("life cycle {} allows debugging", claims.lifecycle);
            return Err(refusal(codes::EVIDENCE_POLICY, reason));
        }
        let grade = cap.min(claimed);
        reasons.push(format!("grade {grade}: life cycle {}, the maker is capped at {cap}", claims.lifecycle));
        if grade < policy.minimum {
            let why = reasons.pop().unwrap_or_default();
            let reason = format!("grade {grade} is below the minimum {}: {why}", policy.minimum);
            return Err(refusal(codes::EVIDENCE_POLICY, reason));
        }
        let shown = shown(&claims);
        let claims = Claims {
            eat_nonce: alloc::vec![wrapped.challenge.to_vec()],
            // One for all Owners, unlike ours (security rule E5): a PSA root of trust has no other.
            ueid: Some(claims.instance_id.to_vec()),
            eat_profile: Some(Profile::Uri(claims.profile.name().into())),
            dbgstat: Some(debug),
            cnf: Some(Confirmation::Key(wrapped.teep_key)),
            ..Claims::default()
        };
        Ok(Genuine { device, grade, claims, reasons, shown, tas: Vec::new() })
    }
}

struct SignedClaims {
    claims: PsaClaims,
    device: DeviceId,
    cap: Grade,
}

/// The claims, if a key that a maker endorses for exactly this implementation and instance signed them.
fn verify_token(
    token: &[u8],
    expected: &Expectations<'_>,
    policy: &Policy,
    provider: &Provider,
) -> Result<SignedClaims, Refusal> {
    let untrusted = |reason: String| refusal(codes::EVIDENCE_UNTRUSTED, reason);
    let mut d = Decoder::new(token, &LIMITS).map_err(malformed)?;
    let token = if d.optional_tag(TAG_CWT) { &token[d.position()..] } else { token };
    if d.optional_tag(TAG_MAC0) {
        return Err(untrusted("the token has a MAC, for which no maker can endorse a key".into()));
    }
    if !d.optional_tag(TAG_SIGN1) {
        return Err(malformed(d.expected("a COSE_Sign1 under tag 18")));
    }
    let object = Sign1::parse(token, &LIMITS).map_err(|e| refusal(codes::EAT_MALFORMED, e.to_string()))?;
    // RFC 9783 permits them; no provider here has their curves, so that no key of theirs can be endorsed either.
    if let Some(name) = object.protected.header().alg.and_then(unsupported_algorithm) {
        return Err(untrusted(format!("the token is signed with {name}, which is not supported; use ES256")));
    }
    // Which key it must be, the claims say (RFC 9783: Claim-Based Key Identification); that they are genuine, the key shows.
    let payload = object.unverified_payload().ok_or_else(|| untrusted("the claims are detached".into()))?;
    let claims = PsaClaims::from_cbor(payload, &LIMITS).map_err(malformed)?;
    let environment = shown(&claims).environment;
    let endorsed = match &policy.references {
        Some(references) => references.attest_keys(&environment, expected.now),
        None => Vec::new(),
    };
    if endorsed.is_empty() {
        return Err(untrusted("no maker endorses a key for this implementation and instance".into()));
    }
    let keys: Vec<VerificationKey> = endorsed
        .iter()
        .map(|(key, _)| {
            let key = VerificationKey::new(*key, Purpose::Evidence, provider);
            // The profile asks for ES256; a kid here is the device's own idea.
            let key = key.accepting_legacy_ids();
            match object.kid() {
                Some(kid) => key.known_as(kid),
                None => key,
            }
        })
        .collect();
    let verified = object
        .verify(&keys, Purpose::Evidence, None, &[], provider)
        .map_err(|e| untrusted(format!("PSA token: {e}")))?;
    let device = DeviceId(verified.key().0);
    // Of several makers who endorse one key, the most careful one counts.
    let caps = endorsed.iter().zip(&keys).filter(|(_, key)| key.id() == verified.key());
    let cap = caps.map(|((_, cap), _)| *cap).min().unwrap_or(Grade::None);
    Ok(SignedClaims { claims, device, cap })
}

/// Algorithms of the PSA profile that are not supported, by their COSE labels.
fn unsupported_algorithm(label: i64) -> Option<&'static str> {
    match label {
        -35 => Some("ES384"),
        -36 => Some("ES512"),
        _ => None,
    }
}

fn check_binding(claims: &PsaClaims, wrapped: &Wrapped<'_>, provider: &Provider) -> Result<(), Refusal> {
    let binding = binding(wrapped.challenge, &wrapped.teep_key, provider);
    if bool::from(claims.nonce.as_slice().ct_eq(&binding)) {
        return Ok(());
    }
    Err(match claims.nonce == wrapped.challenge {
        true => refusal(
            codes::EVIDENCE_KEY_BINDING,
            "the token holds the challenge itself, which binds it to no TEEP key",
        ),
        false => {
            refusal(codes::EVIDENCE_STALE, "the token's nonce is not bound to the challenge and the key")
        }
    })
}

/// The grade that a life cycle can give, and whether debugging is possible in it.
fn standing(lifecycle: Lifecycle) -> Result<(Grade, DebugStatus), Refusal> {
    Ok(match lifecycle {
        Lifecycle::Secured => (Grade::Hardware, DebugStatus::DisabledSinceBoot),
        Lifecycle::NonPsaRotDebug
        | Lifecycle::RecoverablePsaRotDebug
        | Lifecycle::AssemblyAndTest
        | Lifecycle::PsaRotProvisioning
        | Lifecycle::Unknown => (Grade::None, DebugStatus::Enabled),
        Lifecycle::Decommissioned => {
            return Err(refusal(codes::EVIDENCE_POLICY, "the device is decommissioned"));
        }
    })
}

/// What a PSA root of trust shows, as makers speak of it: the class is the implementation id, the instance the instance id.
fn shown(claims: &PsaClaims) -> Triple {
    let environment = Environment {
        class: Some(Class {
            class_id: Some(ClassId::Bytes(claims.implementation_id.to_vec())),
            ..Class::default()
        }),
        instance: Some(Instance::Ueid(claims.instance_id.to_vec())),
        group: None,
    };
    let measured = |component: &SoftwareComponent| {
        let algorithm = match component.measurement_value.len() {
            32 => 1,
            48 => 7,
            _ => 8,
        };
        let digest =
            Digest { algorithm: DigestAlgorithm::Id(algorithm), value: component.measurement_value.clone() };
        Measurement {
            element: Some(MeasuredElement::Text(SOFTWARE_COMPONENT.into())),
            values: MeasurementValues {
                version: component.version.clone().map(|version| Version { version, scheme: None }),
                digests: alloc::vec![digest],
                name: component.measurement_type.clone(),
                cryptokeys: alloc::vec![CryptoKey::Bytes(component.signer_id.clone())],
                ..MeasurementValues::default()
            },
            authorized_by: Vec::new(),
        }
    };
    Triple { environment, measurements: claims.software_components.iter().map(measured).collect() }
}

fn refusal(code: Code, reason: impl Into<String>) -> Refusal {
    Refusal { code, reason: reason.into() }
}

fn malformed(error: CborError) -> Refusal {
    WRAPPING.malformed(error)
}

#[cfg(test)]
mod tests;
