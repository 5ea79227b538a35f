use alloc::vec::Vec;

use tamarack_crypto::Provider;
use tamarack_model::{ComponentId, OwnerId, Sha256Digest, TcEntry, UnixTime};
use tamarack_tee::{EvidenceRequest, Persona, Platform};
use tamarack_teep::{
    DataItems, Message, QueryRequest, QueryResponse, RequestedTc, UPDATE_BINDING_EXTENSION, VERSION,
    freshness,
};

use super::reply::{self, Refusal};
use super::state::Teep;
use crate::journal::Journal;
use crate::record::{self, UEID};
use crate::trust::{DEVICE_DOMAIN, TamAnchor};
use crate::{AgentConfig, Error, notes, slots};

/// Sizes of eat_nonce (RFC 9711 section 4.1).
const NONCE_SIZES: core::ops::RangeInclusive<usize> = 8..=64;

/// What answering needs of its surroundings.
pub(crate) struct Asked<'a> {
    pub platform: &'a dyn Platform,
    pub provider: &'a Provider,
    pub config: &'a AgentConfig,
    pub now: UnixTime,
    pub tam: &'a TamAnchor,
    /// Where the TAM is reached in this exchange; requests to another address are not told.
    pub tam_uri: &'a str,
    pub trust_store_sequence: u64,
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
        let ueid = ueid(asked.platform, &asked.tam.owner)?;
        let trust_store_sequence = asked.trust_store_sequence;
        let request = EvidenceRequest {
            nonce,
            ueid: &ueid,
            trust_store_sequence,
            confirm: None,
            state: asked.platform.state_root(),
            components: &[],
            ta: None,
        };
        Some(asked.platform.evidence(Persona(0), &request).map_err(Error::from)?)
    } else {
        None
    };
    let (format, payload) = evidence.map(|e| (e.format, e.payload)).unzip();
    let owner = &asked.tam.owner;
    let when = |item, list: fn(&dyn Platform, &OwnerId) -> Result<Vec<TcEntry>, Error>| {
        if items.contains(item) { list(asked.platform, owner) } else { Ok(Vec::new()) }
    };
    let requested = notes::requested(asked.platform, asked.tam_uri)?;
    let requested = requested.into_iter().filter(|id| asked.tam.covers(id)).map(|component_id| RequestedTc {
        component_id,
        sequence_number: None,
        have_binary: None,
    });
    Ok(Message::QueryResponse(QueryResponse {
        token: query.token.clone(),
        selected_version: Some(VERSION),
        attestation_payload_format: format,
        attestation_payload: payload,
        suit_reports: Vec::new(),
        tc_list: when(DataItems::TRUSTED_COMPONENTS, held)?,
        requested_tc_list: requested.collect(),
        unneeded_manifest_list: notes::unneeded(asked.platform, owner)?,
        ext_list: Vec::from_iter(items.contains(DataItems::EXTENSIONS).then_some(UPDATE_BINDING_EXTENSION)),
        agent_nonce: Some(teep.make_nonce(*owner, asked.provider)?),
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

/// The ueid that this Owner sees, made at enrolment (security rule E5).
fn ueid(platform: &dyn Platform, owner: &OwnerId) -> Result<Vec<u8>, Error> {
    platform.get(&record::owned(UEID, owner))?.ok_or(Error::Corrupt("Owner without ueid"))
}

/// tc-list: the Agent and the firmware, then what this Owner has installed, components and manifests.
fn held(platform: &dyn Platform, owner: &OwnerId) -> Result<Vec<TcEntry>, Error> {
    let identity = platform.identity(Persona(0))?;
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
