use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_cbor::Limits;
use tamarack_corim::{Class, ClassId, Digest, DigestAlgorithm, Environment, Instance, Triple};
use tamarack_cose::{Purpose, VerificationKey};
use tamarack_crypto::{ConstantTimeEq, Provider, PublicKey};
use tamarack_eat::{
    Claims, Confirmation, Manifest, MeasuredTa, Measurement as EatMeasurement, OemId, PlatformClaims,
    Profile, SOFTWARE_TEE_FORMAT, SOFTWARE_TEE_PROFILE, TeepClaims, Token,
};
use tamarack_model::{Code, DeviceId, Hex, UnixTime, codes};
use tamarack_x509::{Anchor, Role, crl, validate};

use super::tpm;
use crate::reference::component;
use crate::{EvidenceFormat, Expectations, Genuine, Grade, Hints, Policy, Refusal, ShownTa};

/// Largest Evidence that is read, in bytes. A TA takes up to 200 of them and a dozen items, so there is room for three hundred
/// TAs of one Owner: a device that has too many could not even be told to remove one.
const LIMITS: Limits = Limits { bytes: 64 << 10, depth: 12, items: 4096 };

/// Evidence of the software TEE (security rule E2): a CWT signed by the attestation key, whose certificates in the
/// protected header lead to a TEE CA.
pub struct SoftwareTee;

impl EvidenceFormat for SoftwareTee {
    fn media_type(&self) -> &'static str {
        SOFTWARE_TEE_FORMAT
    }

    fn hints_unverified(&self, evidence: &[u8]) -> Result<Hints, Refusal> {
        let claims = claims_unverified(evidence)?;
        let teep_key = match claims.cnf {
            Some(Confirmation::Key(key)) => Some(key),
            Some(Confirmation::Kid(_) | Confirmation::Thumbprint(_)) | None => None,
        };
        let nonce = single_nonce(&claims)?.to_vec();
        Ok(Hints { nonce, teep_key })
    }

    fn verify(
        &self,
        evidence: &[u8],
        expected: &Expectations<'_>,
        policy: &Policy,
        provider: &Provider,
    ) -> Result<Genuine, Refusal> {
        let Attested { device, key, cap, claims, mut reasons } =
            authenticate(evidence, expected.now, policy, provider)?;
        let platform = check_profile(&claims)?;
        check_nonce(single_nonce(&claims)?, expected)?;
        check_expiry(&claims, expected.now)?;
        reasons.push("fresh: carries the nonce that was asked for".into());
        check_key(&claims, expected, provider, &mut reasons)?;
        check_debug(&claims, policy)?;
        let quoted = tpm::check_submodule(&claims, platform, &key, &mut reasons, provider)?;
        let grade = grade(platform, cap, policy, &mut reasons)?;
        let mut shown = shown(&claims, &device);
        shown.measurements.extend(quoted);
        let tas = measured_tas(&claims)?;
        Ok(Genuine { device, grade, claims, reasons, shown, tas })
    }
}

/// The claims of a token, for which nobody vouches.
pub(super) fn claims_unverified(evidence: &[u8]) -> Result<Claims, Refusal> {
    Token::parse(evidence, &LIMITS).and_then(|token| token.unverified()).map_err(malformed)
}

/// Claims that a TEE signed whose maker is trusted.
pub(super) struct Attested {
    /// Thumbprint of the attestation key.
    pub device: DeviceId,
    /// The attestation key.
    pub key: PublicKey,
    /// The best grade that the TEE CA allows.
    pub cap: Grade,
    pub claims: Claims,
    /// Who signed, in words.
    pub reasons: Vec<String>,
}

/// Chain, revocation and signature. What the claims say is for the format to check.
pub(super) fn authenticate(
    evidence: &[u8],
    now: UnixTime,
    policy: &Policy,
    provider: &Provider,
) -> Result<Attested, Refusal> {
    let token = Token::parse(evidence, &LIMITS).map_err(malformed)?;
    let Certified { key: attestation_key, ca, cap, .. } = certify(token.x5chain(), now, policy, provider)?;
    let key = VerificationKey::new(attestation_key, Purpose::Evidence, provider);
    let device = DeviceId(key.id().0);
    let verified = token.verify(&[key], Purpose::Evidence, provider).map_err(|e| match e {
        tamarack_eat::Error::Claims(_) => malformed(e),
        _ => untrusted(e.to_string()),
    })?;
    let reasons = alloc::vec![format!("signed by attestation key {device} under TEE CA {ca}")];
    Ok(Attested { device, key: attestation_key, cap, claims: verified.into_value(), reasons })
}

/// An attestation key whose certificates lead to a TEE CA.
pub(super) struct Certified {
    /// The key.
    pub key: PublicKey,
    /// Number of the TEE CA in the policy.
    pub ca: usize,
    /// Its key, if it is one that COSE can name.
    pub ca_key: Option<PublicKey>,
    /// The best grade under it.
    pub cap: Grade,
}

/// Finds the TEE CA that the chain, leaf first, leads to. The key counts only once its chain does (security rule K4).
pub(super) fn certify(
    chain: &[Vec<u8>],
    now: UnixTime,
    policy: &Policy,
    provider: &Provider,
) -> Result<Certified, Refusal> {
    if chain.is_empty() {
        return Err(untrusted("no certificates in the protected header".into()));
    }
    let anchors: Vec<Anchor> = policy.tee_cas.iter().map(|ca| ca.anchor.clone()).collect();
    let chain = validate(chain, &anchors, Role::Tee, now, provider)
        .map_err(|e| untrusted(format!("attestation key: {e}")))?;
    let index = chain.anchor_index();
    let Some(ca) = policy.tee_cas.get(index) else {
        return Err(untrusted("the chain leads to no TEE CA".into()));
    };
    if let Some(lists) = policy.crls.get(index).filter(|lists| !lists.is_empty()) {
        crl::check(&chain.path(), lists, now, provider)
            .map_err(|e| untrusted(format!("attestation key: {e}")))?;
    }
    Ok(Certified { key: *chain.leaf_key(), ca: index, ca_key: ca.anchor.key().copied(), cap: ca.cap })
}

/// The lower of what the TEE CA is capped at and what the claims say (security rule E1), if that is enough.
pub(super) fn grade(
    platform: &PlatformClaims,
    cap: Grade,
    policy: &Policy,
    reasons: &mut Vec<String>,
) -> Result<Grade, Refusal> {
    let grade = cap.min(claimed_grade(platform, policy, reasons));
    reasons.push(format!("grade {grade}: the TEE CA is capped at {cap}"));
    if grade < policy.minimum {
        let why = reasons.split_off(reasons.len().saturating_sub(2)).join("; ");
        let reason = format!("grade {grade} is below the minimum {}: {why}", policy.minimum);
        return Err(refusal(codes::EVIDENCE_POLICY, reason));
    }
    Ok(grade)
}

/// The TAs among the measurements. In our profile there is nothing else, and each stands there once: an entry that is stepped
/// over would run unseen.
pub(super) fn measured_tas(claims: &Claims) -> Result<Vec<ShownTa>, Refusal> {
    let fail = |reason: String| refusal(codes::EAT_MALFORMED, reason);
    let mut tas: Vec<ShownTa> = Vec::new();
    for (index, measurement) in claims.measurements.iter().enumerate() {
        let measured = match measurement {
            EatMeasurement::Component(component) => {
                MeasuredTa::try_from(component).map_err(|e| fail(format!("measurement {index}: {e}")))?
            }
            EatMeasurement::Other { format, .. } => {
                return Err(fail(format!("measurement {index}: content format {format} is not a TA's")));
            }
        };
        if tas.iter().any(|ta| ta.measured.component == measured.component) {
            return Err(fail(format!("measurement {index}: {} stands there twice", measured.component)));
        }
        tas.push(ShownTa { measured, proof: None });
    }
    Ok(tas)
}

/// What a software TEE shows, as makers speak of it:
///
/// | environment | from |
/// |---|---|
/// | class-id | oemid: a UUID of 16 random bytes, or 3 opaque bytes of an OUI |
/// | vendor | oemid: in hexadecimal, or the decimal number of an enterprise |
/// | model | hwmodel |
/// | instance | SHA-256 thumbprint of the attestation key |
///
/// Each entry of the manifests claim is a measured element whose name is its URI; so is each PCR of a TPM's quote
/// ([`tpm::pcr_element`]) but the one that repeats the manifests.
pub(super) fn shown(claims: &Claims, device: &DeviceId) -> Triple {
    let (class_id, vendor) = match claims.oemid {
        Some(OemId::Random(bytes)) => (Some(ClassId::Uuid(bytes)), Some(Hex(&bytes).to_string())),
        Some(OemId::Ieee(bytes)) => (Some(ClassId::Bytes(bytes.to_vec())), Some(Hex(&bytes).to_string())),
        Some(OemId::Pen(number)) => (None, Some(number.to_string())),
        None => (None, None),
    };
    let model = claims.hwmodel.as_ref().map(|model| match core::str::from_utf8(model) {
        Ok(text) => text.into(),
        Err(_) => Hex(model).to_string(),
    });
    let environment = Environment {
        class: Some(Class { class_id, vendor, model, layer: None, index: None }),
        instance: Some(Instance::of_key(device.0)),
        group: None,
    };
    let measured = |manifest: &Manifest| match manifest {
        Manifest::SuitReference { uri, digest } => {
            let algorithm = match digest.algorithm {
                -16 => DigestAlgorithm::Id(1),
                -43 => DigestAlgorithm::Id(7),
                -44 => DigestAlgorithm::Id(8),
                // Of another registry, so that no number of this one may come out.
                other => DigestAlgorithm::Name(format!("COSE {other}")),
            };
            component(uri, Digest { algorithm, value: digest.bytes.clone() })
        }
        Manifest::Other { format, body } => {
            let raw = Digest { algorithm: DigestAlgorithm::Name("none".into()), value: body.clone() };
            component(&format!("content format {format}"), raw)
        }
    };
    Triple { environment, measurements: claims.manifests.iter().map(measured).collect() }
}

pub(super) fn refusal(code: Code, reason: String) -> Refusal {
    Refusal { code, reason }
}

fn malformed(error: tamarack_eat::Error) -> Refusal {
    refusal(codes::EAT_MALFORMED, error.to_string())
}

fn untrusted(reason: String) -> Refusal {
    refusal(codes::EVIDENCE_UNTRUSTED, reason)
}

pub(super) fn single_nonce(claims: &Claims) -> Result<&[u8], Refusal> {
    match claims.eat_nonce.as_slice() {
        [nonce] => Ok(nonce),
        [] => Err(refusal(codes::EVIDENCE_STALE, "the Evidence carries no nonce".into())),
        _ => Err(refusal(codes::EAT_MALFORMED, "the Evidence carries several nonces".into())),
    }
}

/// The claims that the profile requires, and that it is the profile.
fn check_profile(claims: &Claims) -> Result<&PlatformClaims, Refusal> {
    let fail = |reason: String| refusal(codes::EAT_MALFORMED, reason);
    match &claims.eat_profile {
        Some(Profile::Uri(uri)) if uri == SOFTWARE_TEE_PROFILE => {}
        Some(Profile::Uri(_) | Profile::Oid(_)) => {
            return Err(fail("eat_profile is not the one that the format names".into()));
        }
        None => return Err(fail("the claim eat_profile is missing".into())),
    }
    TeepClaims::try_from(claims).map_err(|e| fail(e.to_string()))?;
    platform(claims)
}

/// What the TEE says about itself.
pub(super) fn platform(claims: &Claims) -> Result<&PlatformClaims, Refusal> {
    let fail = |reason: String| refusal(codes::EAT_MALFORMED, reason);
    let platform = claims.platform.as_ref().ok_or_else(|| fail("the platform claim is missing".into()))?;
    if platform.class != PlatformClaims::SOFTWARE_TEE {
        return Err(fail(format!("class {} is not {}", platform.class, PlatformClaims::SOFTWARE_TEE)));
    }
    Ok(platform)
}

pub(super) fn check_nonce(nonce: &[u8], expected: &Expectations<'_>) -> Result<(), Refusal> {
    if bool::from(nonce.ct_eq(expected.nonce)) {
        return Ok(());
    }
    Err(refusal(codes::EVIDENCE_STALE, "the nonce is not the one that was asked for".into()))
}

pub(super) fn check_expiry(claims: &Claims, now: UnixTime) -> Result<(), Refusal> {
    match claims.exp {
        Some(exp) if exp <= now => Err(refusal(codes::EVIDENCE_STALE, "the Evidence has expired".into())),
        _ => Ok(()),
    }
}

fn check_key(
    claims: &Claims,
    expected: &Expectations<'_>,
    provider: &Provider,
    reasons: &mut Vec<String>,
) -> Result<(), Refusal> {
    let Some(teep_key) = expected.teep_key else { return Ok(()) };
    if claims.cnf.as_ref().is_some_and(|cnf| cnf.confirms(&teep_key, provider)) {
        reasons.push(format!("vouches for the TEEP key {teep_key}"));
        return Ok(());
    }
    let reason = format!("the Evidence vouches for another key than {teep_key}");
    Err(refusal(codes::EVIDENCE_KEY_BINDING, reason))
}

pub(super) fn check_debug(claims: &Claims, policy: &Policy) -> Result<(), Refusal> {
    let Some(status) = claims.dbgstat else {
        return Err(refusal(codes::EAT_MALFORMED, "the claim dbgstat is missing".into()));
    };
    if status < policy.debug {
        let reason = format!("debug status {} is below {}", status.number(), policy.debug.number());
        return Err(refusal(codes::EVIDENCE_POLICY, reason));
    }
    Ok(())
}

/// A software TEE is one if it says that it has the layers; nothing that it says makes it more.
fn claimed_grade(platform: &PlatformClaims, policy: &Policy, reasons: &mut Vec<String>) -> Grade {
    let names = platform.layer_names().join(", ");
    let missing = platform.missing_layers(policy.software_layers);
    let lacks = policy.software_layers & !platform.layers != 0;
    if lacks {
        reasons.push(format!("layers in force: {names}; missing: {}", missing.join(", ")));
        Grade::None
    } else {
        reasons.push(format!("layers in force: {names}"));
        Grade::Software
    }
}
