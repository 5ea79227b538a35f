use alloc::vec::Vec;

use tamarack_cose::{Recipient, encrypt};
use tamarack_crypto::Provider;
use tamarack_model::{ComponentId, OwnerId, Sha256Digest, TcEntry, UnixTime};
use tamarack_tee::{Evidence, EvidenceRequest, Persona, Platform};
use tamarack_teep::{
    CHALLENGE_HEADER, DataItems, EVIDENCE_CONTEXT, Message, OWNER_POLICY_EXTENSION, QueryRequest,
    QueryResponse, RequestedTc, UPDATE_BINDING_EXTENSION, VERSION, freshness,
};

use super::reply::{self, Refusal};
use super::state::Teep;
use crate::journal::Journal;
use crate::ta::sessions::Sessions;
use crate::trust::{DEVICE_DOMAIN, TamAnchor};
use crate::{AgentConfig, Error, notes, owner, shown, slots};

/// Sizes of eat_nonce (RFC 9711 section 4.1).
const NONCE_SIZES: core::ops::RangeInclusive<usize> = 8..=64;

/// What answering needs of its surroundings.
pub(crate) struct Asked<'a> {
    pub platform: &'a dyn Platform,
    /// The TAs in memory.
    pub sessions: &'a Sessions,
    pub provider: &'a Provider,
    pub config: &'a AgentConfig,
    pub now: UnixTime,
    pub tam: &'a TamAnchor,
    /// Where the TAM is reached in this exchange; requests to another address are not told.
    pub tam_uri: &'a str,
    pub trust_store_sequence: u64,
    /// Whether the device has an owner.
    pub device_owner: bool,
    /// The component whose content the Broker says it has.
    pub bundled: Option<&'a ComponentId>,
}

/// Answers a QueryRequest (draft section 5.2, "Handling a QueryRequest Message"). This device demands no attestation of
/// TAMs, so an attestation payload and SUIT reports of the TAM are left alone.
pub(crate) fn answer(teep: &mut Teep, asked: &Asked<'_>, query: &QueryRequest) -> Result<Message, Refusal> {
    negotiate(asked.platform, query)?;
    let items = query.data_item_requested;
    let evidence = if items.contains(DataItems::ATTESTATION) {
        let nonce = fresh_nonce(query)?;
        if !teep.may_attest(asked.tam.owner, asked.now, asked.config.evidence_per_minute) {
            return Err(Refusal::TooOften);
        }
        Some(evidence(asked, query, nonce)?)
    } else {
        None
    };
    let (format, payload) = evidence.map(|e| (e.format, e.payload)).unzip();
    let of_owner = &asked.tam.owner;
    let requested = notes::requested(asked.platform, asked.tam_uri)?;
    let requested = requested.into_iter().filter(|(id, _)| asked.tam.covers(id));
    let requested = requested.map(|(component_id, minimum)| {
        let bundled = asked.bundled == Some(&component_id);
        // have-binary comes with a sequence number, any one if the application takes any.
        let sequence_number = minimum.or(bundled.then_some(0));
        RequestedTc { component_id, sequence_number, have_binary: bundled.then_some(true) }
    });
    let requested_tc_list: Vec<RequestedTc> = requested.collect();
    let owner_policy = if asked.device_owner {
        let ids: Vec<_> = requested_tc_list.iter().map(|one| one.component_id.clone()).collect();
        owner::report(&Journal::default(), asked.platform, asked.tam, &ids)?
    } else {
        Vec::new()
    };
    let extensions = [Some(UPDATE_BINDING_EXTENSION), asked.device_owner.then_some(OWNER_POLICY_EXTENSION)];
    Ok(Message::QueryResponse(QueryResponse {
        token: query.token.clone(),
        selected_version: Some(VERSION),
        attestation_payload_format: format,
        attestation_payload: payload,
        suit_reports: Vec::new(),
        tc_list: match items.contains(DataItems::TRUSTED_COMPONENTS) {
            true => held(asked.platform, asked.tam.persona, of_owner)?,
            false => Vec::new(),
        },
        requested_tc_list,
        unneeded_manifest_list: notes::unneeded(asked.platform, of_owner)?,
        ext_list: match items.contains(DataItems::EXTENSIONS) {
            true => extensions.into_iter().flatten().collect(),
            false => Vec::new(),
        },
        agent_nonce: Some(teep.make_nonce(*of_owner, asked.provider)?),
        owner_policy,
    }))
}

/// Errors 4, 5, 3 and 8, in this order: without a version in common nothing else means anything.
fn negotiate(platform: &dyn Platform, query: &QueryRequest) -> Result<(), Refusal> {
    if !query.versions.is_empty() && !query.versions.contains(&VERSION) {
        return Err(Refusal::Version);
    }
    if !query.supported_teep_cipher_suites.contains(&reply::cipher_suite(platform)) {
        return Err(Refusal::CipherSuite);
    }
    let mechanisms = &query.supported_freshness_mechanisms;
    if !mechanisms.is_empty() && !mechanisms.contains(&freshness::NONCE) {
        return Err(Refusal::Freshness);
    }
    let ours = reply::report_profiles(platform);
    if !query.supported_suit_cose_profiles.iter().any(|profile| ours.contains(profile)) {
        return Err(Refusal::SuitProfile);
    }
    Ok(())
}

/// What Evidence carries as eat_nonce: the challenge, or the token where there is no challenge (the passport model).
fn fresh_nonce(query: &QueryRequest) -> Result<&[u8], Refusal> {
    let nonce = query.challenge.as_deref().or(query.token.as_deref());
    nonce.filter(|nonce| NONCE_SIZES.contains(&nonce.len())).ok_or(Refusal::Freshness)
}

/// Evidence for this TAM, encrypted if it names a key for that: then whoever carries it sees the challenge, by which the TAM
/// knows that it has asked, and nothing of the device (security rule E5; draft section "EATs and SUIT Reports").
fn evidence(asked: &Asked<'_>, query: &QueryRequest, nonce: &[u8]) -> Result<Evidence, Error> {
    let Asked { platform, provider, tam, .. } = asked;
    let request = EvidenceRequest {
        nonce,
        ueid: &shown::ueid(*platform, &tam.owner)?,
        trust_store_sequence: asked.trust_store_sequence,
        confirm: None,
        state: shown::state_root(*platform, provider, &tam.owner)?,
        components: &shown::components(*platform, asked.sessions, &tam.owner)?,
        ta: None,
    };
    let evidence = platform.evidence(tam.persona, &request)?;
    let Some(key) = &query.evidence_key else { return Ok(evidence) };
    let recipient = Recipient { key, kid: None };
    let header = [(CHALLENGE_HEADER, nonce.to_vec())];
    let payload = encrypt(&evidence.payload, &[recipient], EVIDENCE_CONTEXT, &header, provider);
    Ok(Evidence { payload: payload.map_err(|_| Error::Encryption)?, ..evidence })
}

/// tc-list: the Agent and the firmware, then what this Owner has installed, components and manifests.
fn held(platform: &dyn Platform, persona: Persona, owner: &OwnerId) -> Result<Vec<TcEntry>, Error> {
    let identity = platform.identity(persona)?;
    let own = [("agent", identity.agent_digest), ("firmware", identity.firmware_digest)];
    let mut held = Vec::new();
    for (name, digest) in own {
        let id = ComponentId::new([DEVICE_DOMAIN, name]).map_err(|_| Error::Corrupt("component id"))?;
        held.push(TcEntry { id, digest: Some(Sha256Digest(digest)), size: None });
    }
    let journal = Journal::default();
    for (_, id, component) in slots::components(&journal, platform, Some(owner))? {
        held.push(TcEntry { id, digest: Some(component.digest), size: Some(component.size) });
    }
    for (_, id, manifest) in slots::manifests(&journal, platform, Some(owner))? {
        let size = Some(manifest.envelope.len() as u64);
        held.push(TcEntry { id, digest: Some(manifest.digest), size });
    }
    Ok(held)
}
