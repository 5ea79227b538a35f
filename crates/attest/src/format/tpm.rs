//! TPM 2.0 quotes: what a TPM signs about the boot of the machine that it is part of.
//!
//! A quote comes in two ways. In Evidence of our own TEE it is the submodule [`TpmQuote`] of the claims that the same key signs
//! (`check_submodule`). A machine that has a TPM and none of our launchers sends it as a format of its own, [`FORMAT`]:
//! unsigned claims (UCCS, RFC 9781) with cnf, eat_nonce, eat_profile and `{"tpm": bytes}`, where the bytes are CBOR:
//!
//! | element of the array | type |
//! |---|---|
//! | `attest` | bytes: TPMS_ATTEST, whose extraData is the [`binding`] |
//! | `signature` | bytes: TPMT_SIGNATURE, ECDSA P-256 with SHA-256 |
//! | `pcrs` | map of PCR number to value, 32 bytes, of the SHA-256 bank |
//! | `chain` | array of at least one certificate, DER, of the attestation key, leaf first, up to a TEE CA |
//!
//! What it proves is that a key which a TEE CA has certified, and which that CA must have found to be in a TPM, signed
//! these PCRs for this nonce and this TEEP key. It shows no isolation at all: beside a policy that asks for layers of
//! isolation such a machine has [`Grade::None`], beside one that asks for none [`Grade::Software`], never more. Whether
//! what the PCRs show was released, the second step of appraisal says: each is a measured component
//! ([`pcr_element`]). Makers speak of such machines by the class-id, the SHA-256 thumbprint of the TEE CA's key, and of one of
//! them by that of its attestation key.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encoder, Error as CborError, ErrorKind, Limits};
use tamarack_corim::{Class, ClassId, Digest, DigestAlgorithm, Environment, Instance, Measurement, Triple};
use tamarack_cose::thumbprint;
use tamarack_crypto::{ConstantTimeEq, Provider, PublicKey};
use tamarack_eat::{
    Claims, Confirmation, LAUNCHER_PCR, Manifest, PlatformClaims, Profile, TpmQuote, decode_pcrs, encode_pcrs,
};
use tamarack_model::{Code, DeviceId, codes};

use super::software_tee::certify;
use crate::reference::component;
use crate::wrapped::Wrapping;
use crate::{EvidenceFormat, Expectations, Genuine, Grade, Hints, Policy, Refusal};

mod attest;

pub use attest::{Quote, QuoteError, signature};

/// eat_profile of the claims around a quote.
pub const PROFILE: &str = "urn:x-tamarack:eat:tpm-quote:1";
/// Their attestation-payload-format.
pub const FORMAT: &str = "application/eat-ucs+cbor; eat_profile=\"urn:x-tamarack:eat:tpm-quote:1\"";

/// What is around the quote.
const WRAPPING: Wrapping = Wrapping { name: "TPM quote", profile: PROFILE, submodule: "tpm" };
/// Largest Evidence that is read, in bytes.
const LIMITS: Limits = Limits { bytes: 16 << 10, depth: 8, items: 256 };

/// Quotes inside claims for which the Agent's signature stands.
pub struct TpmQuotes;

/// What the measured component of a PCR is called.
pub fn pcr_element(number: u8) -> String {
    format!("urn:x-tamarack:tpm:pcr:{number}")
}

/// The qualifying data to ask the TPM for.
pub fn binding(challenge: &[u8], teep_key: &PublicKey, provider: &Provider) -> [u8; 32] {
    WRAPPING.binding(challenge, teep_key, provider)
}

/// The Evidence: what the TPM gave, with the certificates of the key that it signed with, leaf first.
pub fn wrap(
    challenge: &[u8],
    teep_key: &PublicKey,
    attest: &[u8],
    signature: &[u8],
    pcrs: &[(u8, [u8; 32])],
    chain: &[Vec<u8>],
) -> Vec<u8> {
    let mut e = Encoder::new();
    encode_pcrs(e.array(4).bytes(attest).bytes(signature), pcrs);
    chain.iter().fold(e.array(chain.len()), |e, certificate| e.bytes(certificate));
    WRAPPING.wrap(challenge, teep_key, &e.into_bytes())
}

/// What [`wrap`] puts into the submodule.
struct Quoted<'b> {
    attest: &'b [u8],
    signature: &'b [u8],
    pcrs: Vec<(u8, [u8; 32])>,
    chain: Vec<Vec<u8>>,
}

impl<'b> Decode<'b> for Quoted<'b> {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, CborError> {
        d.array_of(4, "[attest, signature, pcrs, chain]")?;
        let (attest, signature, pcrs) = (d.bytes()?, d.bytes()?, decode_pcrs(d)?);
        let at = d.position();
        let chain = match d.array()? {
            0 => return Err(CborError::new(at, ErrorKind::Value("at least one certificate"))),
            count => (0..count).map(|_| Ok(d.bytes()?.to_vec())).collect::<Result<_, CborError>>()?,
        };
        Ok(Self { attest, signature, pcrs, chain })
    }
}

impl EvidenceFormat for TpmQuotes {
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
        let quoted = Quoted::from_cbor(wrapped.evidence, &LIMITS).map_err(malformed)?;
        // The key counts only once its chain does (security rule K4).
        let certified = certify(&quoted.chain, expected.now, policy, provider)?;
        let device = DeviceId(thumbprint(&certified.key, provider).0);
        let mut reasons =
            alloc::vec![format!("attestation key {device} is certified by TEE CA {}", certified.ca)];
        let signature = signature(quoted.signature).map_err(bad_quote)?;
        let qualifying = binding(wrapped.challenge, &wrapped.teep_key, provider);
        let pcrs = verify(quoted.attest, &signature, &quoted.pcrs, &certified.key, &qualifying, provider)?;
        reasons.push(format!("a TPM quote of {}", numbers(pcrs)));
        reasons.push("fresh: bound to the nonce that was asked for".into());
        reasons.push(format!("bound to the TEEP key {teep_key}"));

        let claimed = if policy.software_layers == 0 { Grade::Software } else { Grade::None };
        let grade = certified.cap.min(claimed);
        reasons.push(format!(
            "grade {grade}: a quote shows no layer of isolation, the TEE CA is capped at {}",
            certified.cap
        ));
        if grade < policy.minimum {
            let why = reasons.pop().unwrap_or_default();
            let reason = format!("grade {grade} is below the minimum {}: {why}", policy.minimum);
            return Err(refusal(codes::EVIDENCE_POLICY, reason));
        }
        let class = Class {
            class_id: certified.ca_key.map(|key| ClassId::Bytes(thumbprint(&key, provider).0.to_vec())),
            ..Class::default()
        };
        let environment =
            Environment { class: Some(class), instance: Some(Instance::of_key(device.0)), group: None };
        let shown = Triple { environment, measurements: pcrs.iter().map(measured).collect() };
        let claims = Claims {
            eat_nonce: alloc::vec![wrapped.challenge.to_vec()],
            eat_profile: Some(Profile::Uri(PROFILE.into())),
            cnf: Some(Confirmation::Key(wrapped.teep_key)),
            ..Claims::default()
        };
        Ok(Genuine { device, grade, claims, reasons, shown, tas: Vec::new() })
    }
}

/// Checks a quote: made by a TPM, a quote, signed by `key`, bound to `qualifying`, and of exactly these PCRs. Gives the PCRs.
pub fn verify<'p>(
    attest: &[u8],
    signature: &[u8; 64],
    pcrs: &'p [(u8, [u8; 32])],
    key: &PublicKey,
    qualifying: &[u8; 32],
    provider: &Provider,
) -> Result<&'p [(u8, [u8; 32])], Refusal> {
    let quote = Quote::parse(attest).map_err(bad_quote)?;
    provider
        .verify
        .verify(key, attest, signature)
        .map_err(|_| refusal(codes::TPM_QUOTE_SIGNATURE, "the quote is not signed by the attestation key"))?;
    if !bool::from(quote.extra_data.ct_eq(qualifying)) {
        return Err(refusal(
            codes::TPM_QUOTE_STALE,
            "the quote is not bound to the nonce and the key of this Evidence",
        ));
    }
    if !quote.selected.iter().eq(pcrs.iter().map(|(number, _)| number)) {
        return Err(refusal(codes::TPM_PCR_DIGEST, "the PCRs shown are not those that were quoted"));
    }
    let values: Vec<&[u8]> = pcrs.iter().map(|(_, value)| &value[..]).collect();
    if provider.sha256_parts(&values) != quote.pcr_digest {
        return Err(refusal(codes::TPM_PCR_DIGEST, "the PCR values are not those that were quoted"));
    }
    Ok(pcrs)
}

/// Checks the quote in the submodule of claims that `key` signed and whose freshness was checked: the quote itself, and that
/// [`LAUNCHER_PCR`] holds the very Agent and configuration that the claims tell. Gives the components that it shows besides
/// those of the claims: the PCRs of the boot. Claims that tell of a TPM must come with one.
pub(super) fn check_submodule(
    claims: &Claims,
    platform: &PlatformClaims,
    key: &PublicKey,
    reasons: &mut Vec<String>,
    provider: &Provider,
) -> Result<Vec<Measurement>, Refusal> {
    let Some(quote) = TpmQuote::of(&claims.submods).map_err(malformed)? else {
        if platform.root_secret == TPM || platform.counter_quality == TPM {
            let reason = "the claims tell of a TPM and come without its quote";
            return Err(refusal(codes::TPM_QUOTE_MISSING, reason));
        }
        return Ok(Vec::new());
    };
    let [nonce] = claims.eat_nonce.as_slice() else {
        return Err(refusal(
            codes::TPM_QUOTE_STALE,
            "the claims have no nonce that a quote could be bound to",
        ));
    };
    let confirmed = match &claims.cnf {
        Some(Confirmation::Key(key)) => Some(key),
        // Evidence of a TA; whether a cnf is needed, the profile says.
        None => None,
        Some(Confirmation::Kid(_) | Confirmation::Thumbprint(_)) => {
            let reason = "the claims name no key that a quote could be bound to";
            return Err(refusal(codes::TPM_QUOTE_STALE, reason));
        }
    };
    let qualifying = TpmQuote::qualifying_data(nonce, confirmed, provider);
    let pcrs = verify(&quote.attest, &quote.signature, &quote.pcrs, key, &qualifying, provider)?;
    let launcher = |reason: &str| refusal(codes::TPM_PCR_LAUNCHER, reason);
    let told = |uri: &str| manifest(claims, uri).ok_or_else(|| launcher(&format!("the claims lack {uri}")));
    let (agent, configuration) = (told(AGENT)?, told(CONFIGURATION)?);
    let Some((_, value)) = pcrs.iter().find(|(number, _)| *number == LAUNCHER_PCR) else {
        return Err(launcher(&format!(
            "PCR {LAUNCHER_PCR}, into which the launcher measures, is not quoted"
        )));
    };
    if *value != TpmQuote::launcher_pcr(&agent, &configuration, provider) {
        return Err(launcher(
            "what was measured into the TPM is not the Agent and configuration of the claims",
        ));
    }
    reasons.push(format!("a TPM quote of {} by the same key, with the Agent of the claims", numbers(pcrs)));
    Ok(pcrs.iter().filter(|(number, _)| *number != LAUNCHER_PCR).map(measured).collect())
}

/// What the platform claims call a TPM.
const TPM: &str = "tpm";
/// What the manifests claim calls the Agent and its configuration.
const AGENT: &str = "urn:x-tamarack:agent";
const CONFIGURATION: &str = "urn:x-tamarack:configuration";

/// The SHA-256 digest of a manifest; none unless it stands there exactly once.
fn manifest(claims: &Claims, uri: &str) -> Option<[u8; 32]> {
    let mut digests = claims.manifests.iter().filter_map(|manifest| match manifest {
        Manifest::SuitReference { uri: named, digest } if named == uri => Some(digest),
        Manifest::SuitReference { .. } | Manifest::Other { .. } => None,
    });
    let digest = digests.next().filter(|digest| digest.algorithm == -16)?;
    if digests.next().is_some() { None } else { digest.bytes.as_slice().try_into().ok() }
}

fn measured((number, value): &(u8, [u8; 32])) -> Measurement {
    component(&pcr_element(*number), Digest { algorithm: DigestAlgorithm::Id(1), value: value.to_vec() })
}

/// `PCR 0, 2, 4`.
fn numbers(pcrs: &[(u8, [u8; 32])]) -> String {
    let numbers: Vec<String> = pcrs.iter().map(|(number, _)| number.to_string()).collect();
    format!("PCR {}", numbers.join(", "))
}

fn bad_quote(error: QuoteError) -> Refusal {
    refusal(error.code(), error.to_string())
}

fn refusal(code: Code, reason: impl Into<String>) -> Refusal {
    Refusal { code, reason: reason.into() }
}

fn malformed(error: CborError) -> Refusal {
    WRAPPING.malformed(error)
}

#[cfg(test)]
mod tests;
