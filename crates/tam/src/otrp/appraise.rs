//! Whose device it is and what it may be believed: the MAC of its tid, the TEE's certificate and signature, the firmware's
//! signature, its Evidence, its history.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_attest::release::Shown;
use tamarack_attest::{Appraisal, Expectations, Grade, Policy, Refusal, appraise};
use tamarack_cose::thumbprint;
use tamarack_crypto::SignatureAlgorithm;
use tamarack_eat::SOFTWARE_TEE_FORMAT;
use tamarack_jose::jwe::DecryptionKey;
use tamarack_jose::jwk::KeyUse;
use tamarack_jose::jws;
use tamarack_model::{Code, DeviceId, HeldBack, Sha256Digest, TcEntry, UnixTime, View, codes};
use tamarack_otrp::{Dsi, EXTENSION_H1, MessageId, ResponseBody, SignedResponse, TfwData, Tolerance, taid};
use tamarack_store::{
    Device, Held, HeldDomain, OtrpDevice, Proof, ProviderKey, Read, Recorded, StateMark, StoreError, TenantId,
};
use tamarack_x509::{Anchor, AnyChain, PathOptions, Role, crl, validate_any};

use super::correlate::read_tid;
use super::plan::Told;
use crate::Tam;
use crate::challenge::{Challenge, Invalid};
use crate::config::{OtrpConfig, TeeRules};
use crate::history::{state_fault, summary};
use crate::release::{recorded, recorded_certificates};

/// Why a device state is not believed.
pub(crate) enum Disbelief {
    /// The message is not what it should be: an HTTP status.
    Message {
        /// The stable code.
        code: Code,
        /// Why, in words.
        reason: String,
    },
    /// The device is not what it should be.
    Evidence(Refusal),
    /// The tid was answered before: no content.
    Burned,
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Disbelief {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

impl From<tamarack_otrp::Error> for Disbelief {
    fn from(e: tamarack_otrp::Error) -> Self {
        Self::Message { code: e.code(), reason: e.to_string() }
    }
}

fn evidence(code: Code, reason: impl Into<String>) -> Disbelief {
    Disbelief::Evidence(Refusal { code, reason: reason.into() })
}

/// The state of a device that proved itself, with the row to be written for it.
pub(crate) struct Believed {
    pub challenge: Challenge,
    /// Whether the exchange began again.
    pub again: bool,
    pub tid: MessageId,
    pub device: Box<Device>,
    /// What it proved itself by.
    pub recorded: Box<Recorded>,
    pub told: Told,
    /// SHA-256 of the DSI, which the next request names.
    pub dsihash: [u8; 32],
    /// Why it gets nothing all the same.
    pub refused: Option<Code>,
}

/// One GetDeviceTEEStateResponse before anything vouches for it, apart from its tid.
pub(crate) struct Asked {
    pub challenge: Challenge,
    pub again: bool,
}

/// Finds the question that a response answers, before any private key is used.
pub(crate) fn asked(
    tam: &Tam,
    read: &dyn Read,
    tenant: &TenantId,
    now: UnixTime,
    response: &SignedResponse,
) -> Result<Asked, Disbelief> {
    let (challenge, again) =
        read_tid(&tam.config, tenant, response.tid(), now, &tam.crypto).map_err(|invalid| match invalid {
            Invalid::Foreign => evidence(codes::EVIDENCE_STALE, "the tid is not one of this endpoint"),
            Invalid::Expired => evidence(codes::EVIDENCE_STALE, "the tid has expired"),
        })?;
    if read.is_burned(&challenge.id)? {
        return Err(Disbelief::Burned);
    }
    Ok(Asked { challenge, again })
}

/// Checks as far as the draft's order lets it (section 9.1.7), where the certificate lies within the ciphertext: decrypts
/// once, validates the TEE's certificate, asks whether it is revoked, verifies the signature with it, then firmware and
/// Evidence. The tid is burned in the transaction that writes the device.
pub(crate) fn believe(
    tam: &Tam,
    otrp: &OtrpConfig,
    read: &dyn Read,
    tenant: &TenantId,
    now: UnixTime,
    asked: Asked,
    response: SignedResponse,
) -> Result<Believed, Disbelief> {
    let crypto = &tam.crypto;
    let key = DecryptionKey::Agree(otrp.signer.agree.as_ref());
    let ResponseBody::DeviceState { signerreq, .. } = response.body_unverified() else {
        return Err(evidence(codes::EVIDENCE_MISSING, "there is no state in it"));
    };
    let wants_status = *signerreq;
    let opened = response.open_device_state_unverified(key, crypto)?;
    let opened = opened.ok_or_else(|| evidence(codes::EVIDENCE_MISSING, "there is no state in it"))?;
    let dsihash = opened.hash(crypto);
    let dsi = opened.into_dsi();

    let (chain, rules) = tee_chain(tam, otrp, &dsi, now)?;
    let verification = jws::VerificationKey::new(chain.spki(), jws::Purpose::OtrpResponse)
        .map_err(|e| Disbelief::Message { code: e.code(), reason: e.to_string() })?;
    let tid = response.tid().clone();
    let authentic = response.verify(&verification, crypto)?;
    // A hash commits to the same bytes in every spelling.
    let tolerated = authentic.tolerances().iter().find(|t| **t != Tolerance::HashVariant);
    if let (false, Some(tolerance)) = (rules.draft, tolerated) {
        let reason = format!("not in the one form that this TEE CA's devices must use: {tolerance:?}");
        return Err(Disbelief::Message { code: codes::OTRP_MALFORMED, reason });
    }
    let recipient =
        chain.encryption_spki().map_err(|e| evidence(e.code(), format!("TEE certificate: {e}")))?;
    tamarack_jose::jwe::Recipient::from_spki(recipient)
        .map_err(|e| evidence(e.code(), format!("nothing can be encrypted to the TEE's key: {e}")))?;

    let firmware = firmware(tam, otrp, &dsi, &tid, now)?;
    let policy = tam.evidence_policy(read, tenant)?;
    let appraised = match &dsi.tee.eat {
        Some(eat) => Appraised::Evidence(Box::new(with_evidence(tam, &policy, &chain, eat, &tid, now)?)),
        // Certificates show nothing that reference values could be compared with.
        None if policy.references.is_some() => {
            return Err(evidence(codes::MEASUREMENT_UNKNOWN, "there is no Evidence of what the TEE runs"));
        }
        None => without_evidence(tam, &chain, firmware)?,
    };
    let id = appraised.device();
    let known = read.device(tenant, &id)?;
    let was_quarantined = known.as_ref().is_some_and(|device| device.quarantine.is_some());
    let did = crypto.sha256(&dsi.tee.cert);
    let told = told(&dsi, did, wants_status, known.as_ref());
    let device = device_row(known, tenant, now, id, &appraised, &told)?;
    let recorded = Box::new(match &appraised {
        Appraised::Evidence(appraisal) => {
            let eat = dsi.tee.eat.as_deref().unwrap_or_default();
            recorded(tenant, now, true, Some(SOFTWARE_TEE_FORMAT), eat, appraisal)
        }
        Appraised::Certificates { device, grade, reasons } => {
            let shown = Shown::of_certificates(*grade, reasons, now);
            recorded_certificates(tenant, now, *device, &shown)
        }
    });
    let refused = device.quarantine.is_some().then_some(match was_quarantined {
        true => codes::DEVICE_QUARANTINED,
        false => codes::EVIDENCE_ROLLED_BACK,
    });
    let Asked { challenge, again } = asked;
    Ok(Believed { challenge, again, tid, device: Box::new(device), recorded, told, dsihash, refused })
}

/// Validates the TEE's certificate with those above it against the operator's TEE CAs.
fn tee_chain<'c>(
    tam: &Tam,
    otrp: &'c OtrpConfig,
    dsi: &Dsi,
    now: UnixTime,
) -> Result<(AnyChain, &'c TeeRules), Disbelief> {
    static DEFAULT: TeeRules = TeeRules { draft: false, crls: Vec::new() };
    let rules = |index: usize| otrp.tee_rules.get(index).unwrap_or(&DEFAULT);
    let anchors: Vec<Anchor> = tam.config.evidence.tee_cas.iter().map(|ca| ca.anchor.clone()).collect();
    let mut certificates = alloc::vec![dsi.tee.cert.clone()];
    certificates.extend(dsi.tee.cacert.iter().cloned());
    let draft = otrp.tee_rules.iter().any(|rules| rules.draft);
    let validate = |require_role| {
        let options = PathOptions { require_role };
        validate_any(&certificates, &anchors, Role::OtrpTee, now, &options, &tam.crypto)
    };
    let chain = match validate(true) {
        // Only a CA that may leave the role out makes up for a leaf without it.
        Err(error) if draft => match validate(false) {
            Ok(chain) if rules(chain.anchor_index()).draft => Ok(chain),
            Ok(_) | Err(_) => Err(error),
        },
        outcome => outcome,
    };
    let chain = chain.map_err(|e| evidence(e.code(), format!("TEE certificate: {e}")))?;
    let rules = rules(chain.anchor_index());
    if !rules.crls.is_empty() {
        crl::check(&chain.path(), &rules.crls, now, &tam.crypto)
            .map_err(|e| evidence(e.code(), format!("TEE certificate: {e}")))?;
    }
    Ok((chain, rules))
}

/// Whether the firmware's signature over the tid verifies under an authority of the operator: true; false if there is none
/// or nothing to check it with. One that does not verify is refused.
fn firmware(
    tam: &Tam,
    otrp: &OtrpConfig,
    dsi: &Dsi,
    tid: &MessageId,
    now: UnixTime,
) -> Result<bool, Disbelief> {
    let refuse = |reason: String| evidence(codes::OTRP_TFW_NOT_TRUSTED, format!("firmware: {reason}"));
    let Some(TfwData { tbs, cert, sigalg, sig }) = &dsi.tfwdata else { return Ok(false) };
    if tbs != tid.as_str().as_bytes() {
        return Err(refuse("it signed something else than the tid".into()));
    }
    if otrp.firmware_cas.is_empty() {
        return Ok(false);
    }
    // Nothing is said of firmware certificates' usage in the draft; whoever wants that told lists the CA of such.
    let options = PathOptions { require_role: false };
    let certificates = core::slice::from_ref(cert);
    let chain = validate_any(certificates, &otrp.firmware_cas, Role::Firmware, now, &options, &tam.crypto)
        .map_err(|e| refuse(e.to_string()))?;
    if let Some(lists) = otrp.firmware_crls.get(chain.anchor_index()).filter(|lists| !lists.is_empty()) {
        crl::check(&chain.path(), lists, now, &tam.crypto).map_err(|e| refuse(e.to_string()))?;
    }
    let algorithm = match sigalg.as_str() {
        "ES256" => SignatureAlgorithm::Es256,
        "RS256" => SignatureAlgorithm::Rs256,
        other => return Err(refuse(format!("{} is no algorithm of the draft", crate::printable(other)))),
    };
    tam.crypto
        .certified
        .verify_spki(algorithm, chain.spki(), tbs, sig)
        .map_err(|e| refuse(format!("its signature: {e}")))?;
    Ok(true)
}

/// What an appraisal found, with Evidence or by the certificates alone.
enum Appraised {
    Evidence(Box<Appraisal>),
    Certificates { device: DeviceId, grade: Grade, reasons: Vec<String> },
}

impl Appraised {
    fn device(&self) -> DeviceId {
        match self {
            Self::Evidence(appraisal) => appraisal.device,
            Self::Certificates { device, .. } => *device,
        }
    }
}

/// Appraises the Evidence as TEEP does: its nonce are the bytes of the tid, and it vouches for the TEE's key.
fn with_evidence(
    tam: &Tam,
    policy: &Policy,
    chain: &AnyChain,
    eat: &[u8],
    tid: &MessageId,
    now: UnixTime,
) -> Result<Appraisal, Disbelief> {
    let key = chain.key().ok_or_else(|| {
        evidence(codes::EVIDENCE_KEY_BINDING, "Evidence cannot vouch for a TEE key of this type")
    })?;
    let expected =
        Expectations { nonce: tid.as_str().as_bytes(), teep_key: Some(thumbprint(key, &tam.crypto)), now };
    appraise(Some(SOFTWARE_TEE_FORMAT), eat, &expected, policy, &tam.crypto).map_err(Disbelief::Evidence)
}

/// What certificates alone prove of a TEE as the draft has it: in hardware, if its CA vouches for that and its firmware
/// signed this tid; otherwise nothing (security rule E1).
fn without_evidence(tam: &Tam, chain: &AnyChain, firmware: bool) -> Result<Appraised, Disbelief> {
    let device = DeviceId(match chain.key() {
        Some(key) => thumbprint(key, &tam.crypto).0,
        None => tam.crypto.sha256(chain.spki()),
    });
    let policy = &tam.config.evidence;
    let cap = policy.tee_cas.get(chain.anchor_index()).map_or(Grade::None, |ca| ca.cap);
    let grade = if firmware && cap == Grade::Hardware { Grade::Hardware } else { Grade::None };
    let reasons = alloc::vec![
        format!("certified as a TEE under TEE CA {}, which is capped at {cap}", chain.anchor_index()),
        match firmware {
            true => "its firmware signed the tid".into(),
            false => "no firmware that is known signed the tid".into(),
        },
    ];
    if grade < policy.minimum {
        let reason = format!("grade {grade} is below the minimum {}: {}", policy.minimum, reasons.join("; "));
        return Err(evidence(codes::EVIDENCE_POLICY, reason));
    }
    Ok(Appraised::Certificates { device, grade, reasons })
}

/// What a DSI says, put together with what this TAM knows of the device: one that has not our extensions tells neither
/// digests nor signers.
pub(crate) fn told(dsi: &Dsi, did: [u8; 32], wants_status: bool, known: Option<&Device>) -> Told {
    let tee = &dsi.tee;
    let extended = tee.has_extension(EXTENSION_H1);
    let record = known.and_then(|device| device.otrp.as_ref());
    let digests = known.and_then(|device| device.reported.as_ref());
    let recorded = |id: &tamarack_model::ComponentId| {
        let of = |held: &Held| held.entries.iter().find(|entry| entry.id == *id).and_then(|e| e.digest);
        digests.and_then(of)
    };
    let mut domains = Vec::with_capacity(tee.sdlist.len());
    let (mut held, mut present) = (Vec::new(), Vec::new());
    for sd in &tee.sdlist {
        let ours = || {
            let domains = record.iter().flat_map(|record| &record.domains);
            let mut same = domains.filter(|d| d.name == sd.name && d.provider == sd.spid);
            same.next().map(|domain| domain.signers.clone())
        };
        let signers = if extended { sd.spcert.clone() } else { ours().unwrap_or_default() };
        domains.push(HeldDomain { name: sd.name.clone(), provider: sd.spid.clone(), signers });
        for ta in &sd.talist {
            // What has no component id was not brought by this TAM.
            let Ok(id) = taid::to_manifest(&sd.name, &ta.taid) else { continue };
            let digest = if extended { ta.digest.map(Sha256Digest) } else { recorded(&id) };
            present.push(id.clone());
            // All that is in a domain of this TAM came from it. So a version that nobody recorded is an old one.
            if extended || digest.is_some() {
                held.push(TcEntry { id, digest, size: None });
            }
        }
    }
    let aiks = tee.teeaiklist.iter().map(|aik| ProviderKey {
        provider: aik.spid.clone(),
        purpose: aik.key.key_use().map(|key_use| purpose(key_use).into()),
        key: aik.key.to_spki(),
    });
    let device = OtrpDevice {
        certificate: tee.cert.clone(),
        did,
        name: tee.name.clone(),
        version: tee.ver.clone(),
        extended,
        wants_status,
        aiks: aiks.collect(),
        domains,
    };
    let requested = tee.requestedtalist.iter();
    let unneeded = tee.unneededtalist.iter();
    let withheld = tee.withheldtalist.iter();
    let view = View {
        held,
        requested: requested
            .filter_map(|ta| Some((taid::to_manifest(&ta.sdname, &ta.taid).ok()?, ta.seq)))
            .collect(),
        unneeded: unneeded.filter_map(|ta| taid::to_manifest(&ta.sdname, &ta.taid).ok()).collect(),
        held_back: withheld
            .filter_map(|ta| {
                let id = taid::to_manifest(&ta.sdname, &ta.taid).ok()?;
                Some(HeldBack { id, why: ta.why, sequence: ta.seq })
            })
            .collect(),
    };
    Told { device, view, present }
}

/// The name of a key's use, as JWK has it.
fn purpose(key_use: KeyUse) -> &'static str {
    match key_use {
        KeyUse::Signature => "sig",
        KeyUse::Encryption => "enc",
    }
}

impl Told {
    /// What the device says it holds.
    pub fn held(&self, now: UnixTime, proof: Proof) -> Held {
        let unknown = |id: &&tamarack_model::ComponentId| self.view.held.iter().all(|held| held.id != **id);
        let mut entries = self.view.held.clone();
        let more = self.present.iter().filter(unknown);
        entries.extend(more.map(|id| TcEntry { id: id.clone(), digest: None, size: None }));
        Held { entries, at: now, proof }
    }
}

/// The device as it will be stored. Its state may not fall or fork, over whichever protocol it proved it (security rule
/// R9).
fn device_row(
    known: Option<Device>,
    tenant: &TenantId,
    now: UnixTime,
    id: DeviceId,
    appraised: &Appraised,
    told: &Told,
) -> Result<Device, Disbelief> {
    let claims = match appraised {
        Appraised::Evidence(appraisal) => Some(&appraisal.claims),
        Appraised::Certificates { .. } => None,
    };
    let mark = claims.and_then(|claims| claims.platform.as_ref());
    let mark = mark.map(|p| StateMark { epoch: p.state_epoch, root: p.state_root });
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
    let (grade, rows, proof) = match appraised {
        Appraised::Evidence(appraisal) => (appraisal.grade, summary(appraisal), Proof::Evidence),
        Appraised::Certificates { grade, reasons, .. } => {
            (*grade, alloc::vec![("appraisal".into(), reasons.join("; "))], Proof::Report)
        }
    };
    let held = told.held(now, proof);
    let attested = match proof {
        Proof::Evidence => Some(held.clone()),
        Proof::Report | Proof::Unconfirmed => known.as_ref().and_then(|device| device.attested.clone()),
    };
    let before = known.as_ref();
    Ok(Device {
        tenant: tenant.clone(),
        id,
        revision: before.map_or(0, |device| device.revision),
        teep: before.and_then(|device| device.teep),
        otrp: Some(told.device.clone()),
        ueid: claims
            .and_then(|claims| claims.ueid.clone())
            .or(before.map(|device| device.ueid.clone()))
            .unwrap_or_default(),
        grade: grade.to_string(),
        claims: rows,
        state: mark.or(highest),
        quarantine: None,
        first_seen: before.map_or(now, |device| device.first_seen),
        last_seen: now,
        reported: Some(held),
        attested,
        held_back: told.view.held_back.clone(),
    })
}
