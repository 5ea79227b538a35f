//! Whose device it is and what it may be believed: the TEEP signature, the Evidence, the device's history.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_attest::{
    Appraisal, Expectations, Hints, Policy, Refusal, ResultExpectations, ResultPolicy, appraise,
    hints_unverified, result,
};
use tamarack_cose::{Encrypted, KeyId, Purpose, VerificationKey, Verified, thumbprint};
use tamarack_crypto::Provider;
use tamarack_model::{Code, UnixTime, codes};
use tamarack_store::{Device, Held, Proof, Read, Recorded, StateMark, StoreError, TeepKey, TenantId};
use tamarack_teep::{CHALLENGE_HEADER, DataItems, EVIDENCE_CONTEXT, Message, QueryResponse, SignedMessage};

use crate::Tam;
use crate::challenge::{Challenge, Invalid, Question};
use crate::history::{state_fault, summary};
use crate::release::recorded;

/// How a COSE_Encrypt begins: tag 96.
const ENCRYPTED: [u8; 2] = [0xd8, 0x60];

/// Why a QueryResponse is not believed.
pub(crate) enum Disbelief {
    /// The message itself is not authentic: an HTTP status.
    Message(tamarack_teep::Error),
    /// The Evidence does not hold: an Update that says so.
    Evidence(Refusal),
    /// The challenge was answered before: no content.
    Burned,
    /// The store failed.
    Store(StoreError),
    /// It is for a verifier to say.
    Appraise(AppraisalRequest),
}

/// What a verifier is asked: Evidence that is fresh, and whose sender holds the key in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppraisalRequest {
    /// Its attestation-payload-format.
    pub format: String,
    /// The Evidence, decrypted.
    pub evidence: Vec<u8>,
    /// The challenge that it answers.
    pub nonce: Vec<u8>,
}

impl From<StoreError> for Disbelief {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

/// A QueryResponse of a device that proved itself, with the row to be written for it.
pub(crate) struct Believed {
    pub response: QueryResponse,
    pub challenge: Challenge,
    /// What was asked for.
    pub items: DataItems,
    pub device: Box<Device>,
    /// What it proved itself by.
    pub recorded: Box<Recorded>,
    /// Why it gets nothing all the same.
    pub refused: Option<Code>,
}

fn evidence(code: Code, reason: impl Into<String>) -> Disbelief {
    Disbelief::Evidence(Refusal { code, reason: reason.into() })
}

/// Checks in the order that costs an attacker most and us least (security rule C7): the MAC of the challenge, then if need
/// be the decryption of the Evidence, the TEEP signature by the key that the Evidence vouches for, then the Evidence with its
/// chain. The challenge is only read here;
/// it is burned in the transaction that writes the device.
///
/// `appraised` is what a verifier said about this message, if one was asked. It is looked at like any other claim, and all else
/// again, because time has passed.
pub(crate) fn believe(
    tam: &Tam,
    read: &dyn Read,
    tenant: &TenantId,
    now: UnixTime,
    message: &SignedMessage,
    unverified: &QueryResponse,
    appraised: Option<&Result<Vec<u8>, Refusal>>,
) -> Result<Believed, Disbelief> {
    let Some(payload) = &unverified.attestation_payload else {
        return Err(evidence(codes::EVIDENCE_MISSING, "no attestation payload"));
    };
    let format = unverified.attestation_payload_format.as_deref();
    let payload = opened(tam, tenant, now, payload)?;
    // No format means an Attestation Result.
    let hints = match (format, &tam.config.results) {
        (None, Some(_)) => result::hints_unverified(&payload),
        (format, _) => hints_unverified(format, &payload),
    };
    let Hints { nonce, teep_key } = hints.map_err(Disbelief::Evidence)?;
    let challenge = Challenge::verify(&tam.config, tenant, &nonce, now, &tam.crypto);

    let Some(key) = teep_key else {
        return Err(evidence(codes::EVIDENCE_KEY_BINDING, "the Evidence does not carry the TEEP key"));
    };
    let (response, teep_key) = verify_signature(tam, message, key)?;

    let challenge = challenge.map_err(stale)?;
    let Question::Evidence(items) = challenge.question else {
        return Err(evidence(codes::EVIDENCE_STALE, "the nonce is not one of this endpoint"));
    };
    if read.is_burned(&challenge.id)? {
        return Err(Disbelief::Burned);
    }
    // The verified message is the one that was parsed before, so what was decrypted is its payload too.
    let format = response.attestation_payload_format.as_deref();
    let policy = tam.evidence_policy(read, tenant)?;
    let asked = Asked { nonce: &nonce, teep_key, now };
    let appraisal = match (format, &tam.config.results, appraised) {
        (None, Some(results), _) => accept(results, &payload, &asked, &policy, &tam.crypto),
        (Some(format), Some(_), None) if tam.config.remote_verifier => {
            return Err(Disbelief::Appraise(AppraisalRequest {
                format: format.into(),
                evidence: payload.into_owned(),
                nonce,
            }));
        }
        (Some(_), Some(results), Some(Ok(ear))) => accept(results, ear, &asked, &policy, &tam.crypto),
        (_, _, Some(Err(refusal))) => Err(refusal.clone()),
        (format, _, _) => {
            let expected = Expectations { nonce: &nonce, teep_key: Some(teep_key), now };
            appraise(format, &payload, &expected, &policy, &tam.crypto)
        }
    };
    let appraisal = appraisal.map_err(Disbelief::Evidence)?;
    let known = read.device(tenant, &appraisal.device)?;
    let was_quarantined = known.as_ref().is_some_and(|device| device.quarantine.is_some());
    let recorded = Box::new(recorded(tenant, now, false, format, &payload, &appraisal));
    let device = device_row(known, tenant, now, &appraisal, (key, teep_key), &response)?;
    let refused = device.quarantine.is_some().then_some(match was_quarantined {
        true => codes::DEVICE_QUARANTINED,
        false => codes::EVIDENCE_ROLLED_BACK,
    });
    Ok(Believed { response, challenge, items, device: Box::new(device), recorded, refused })
}

/// What an Attestation Result must be about.
struct Asked<'a> {
    nonce: &'a [u8],
    teep_key: KeyId,
    now: UnixTime,
}

/// Takes the word of a verifier (security rule E3), as far as the tenant's own reference values do not say otherwise.
fn accept(
    results: &ResultPolicy,
    ear: &[u8],
    asked: &Asked<'_>,
    policy: &Policy,
    provider: &Provider,
) -> Result<Appraisal, Refusal> {
    let Asked { nonce, teep_key, now } = *asked;
    let expected = ResultExpectations { nonce: Some(nonce), key: Some(teep_key), now };
    let appraisal = results.accept(ear, &expected, provider)?.appraisal(policy.minimum)?;
    match &policy.references {
        Some(references) => appraisal.compared(references, now),
        None => Ok(appraisal),
    }
}

/// The Evidence itself. What is encrypted names the challenge on the outside: only for one of ours is it decrypted. Nobody
/// vouches for that copy, so the nonce inside is looked at like any other.
fn opened<'p>(
    tam: &Tam,
    tenant: &TenantId,
    now: UnixTime,
    payload: &'p [u8],
) -> Result<Cow<'p, [u8]>, Disbelief> {
    if !payload.starts_with(&ENCRYPTED) {
        return Ok(Cow::Borrowed(payload));
    }
    let encrypted = Encrypted::parse(payload, &tam.config.limits)
        .map_err(|e| evidence(e.code(), format!("encrypted Evidence: {e}")))?;
    let challenge = encrypted.unprotected(CHALLENGE_HEADER).unwrap_or_default();
    Challenge::verify(&tam.config, tenant, challenge, now, &tam.crypto).map_err(stale)?;
    // Whether it was altered or is for another key nobody can tell, so nobody vouches for the message: a status, no signature.
    let undecryptable = || Disbelief::Message(tamarack_cose::Error::Decrypt.into());
    let key = tam.config.evidence_key.as_deref().ok_or_else(undecryptable)?;
    let kid = thumbprint(&key.public_key(), &tam.crypto);
    let plain = encrypted.decrypt(key, Some(&kid.0), EVIDENCE_CONTEXT, &tam.crypto);
    plain.map(|plain| Cow::Owned(plain.expose().clone())).map_err(|_| undecryptable())
}

fn stale(invalid: Invalid) -> Disbelief {
    match invalid {
        Invalid::Foreign => evidence(codes::EVIDENCE_STALE, "the nonce is not one of this endpoint"),
        Invalid::Expired => evidence(codes::EVIDENCE_STALE, "the challenge has expired"),
    }
}

/// Proof of possession: the key in the Evidence signed the message. A message that names another key is one whose Evidence
/// vouches for someone else; one that names this key and does not verify was altered.
fn verify_signature(
    tam: &Tam,
    message: &SignedMessage,
    key: tamarack_crypto::PublicKey,
) -> Result<(QueryResponse, KeyId), Disbelief> {
    let id = thumbprint(&key, &tam.crypto);
    let other_key =
        || evidence(codes::EVIDENCE_KEY_BINDING, "another key signed than the Evidence vouches for");
    if message.kid().is_some_and(|kid| kid != id.0) {
        return Err(other_key());
    }
    let trusted = VerificationKey::new(key, Purpose::TeepMessage, &tam.crypto);
    let verified: Verified<Message> = message.verify(&[trusted], &tam.crypto).map_err(|e| match e {
        tamarack_teep::Error::Cose(tamarack_cose::Error::AlgorithmForKey) => other_key(),
        e => Disbelief::Message(e),
    })?;
    match verified.into_value() {
        Message::QueryResponse(response) => Ok((response, id)),
        Message::QueryRequest(_) | Message::Update(_) | Message::Success(_) | Message::Error(_) => {
            Err(Disbelief::Message(tamarack_teep::Error::MessageType(0)))
        }
    }
}

/// The device as it will be stored: created by its first Evidence, its attested state replaced by each later one (security
/// rule E4), in quarantine from the moment that its state falls or forks (R9).
fn device_row(
    known: Option<Device>,
    tenant: &TenantId,
    now: UnixTime,
    appraisal: &Appraisal,
    (teep_key, teep_key_id): (tamarack_crypto::PublicKey, KeyId),
    response: &QueryResponse,
) -> Result<Device, Disbelief> {
    let claims = &appraisal.claims;
    let mark = claims.platform.as_ref().map(|p| StateMark { epoch: p.state_epoch, root: p.state_root });
    if mark.is_some_and(|mark| i64::try_from(mark.epoch).is_err()) {
        return Err(evidence(codes::EAT_MALFORMED, "the state epoch is beyond 2^63 - 1"));
    }
    let highest = known.as_ref().and_then(|device| device.state);
    let fault = highest.zip(mark).and_then(|(highest, mark)| state_fault(&highest, &mark));
    if let Some(device) = &known
        && let Some(reason) = device.quarantine.clone().or(fault)
    {
        // Everything else stays as it was, for whoever looks into it.
        return Ok(Device { quarantine: Some(reason), last_seen: now, ..device.clone() });
    }
    let attested = Held { entries: response.tc_list.clone(), at: now, proof: Proof::Evidence };
    Ok(Device {
        tenant: tenant.clone(),
        id: appraisal.device,
        revision: known.as_ref().map_or(0, |device| device.revision),
        teep: Some(TeepKey { key: teep_key, id: teep_key_id.0 }),
        otrp: known.as_ref().and_then(|device| device.otrp.clone()),
        ueid: claims.ueid.clone().unwrap_or_default(),
        grade: appraisal.grade.to_string(),
        claims: summary(appraisal),
        state: mark.or(highest),
        quarantine: None,
        first_seen: known.as_ref().map_or(now, |device| device.first_seen),
        last_seen: now,
        reported: Some(attested.clone()),
        attested: Some(attested),
        held_back: response.owner_policy.clone(),
    })
}
