//! A device that speaks for real (its own keys, a certificate, fresh Evidence, signed messages and reports) and installs
//! nothing: it costs as little as it can, for what is measured is the TAM.

use tamarack_attest::Policy;
use tamarack_cbor::Limits;
use tamarack_cose::{SignOptions, thumbprint};
use tamarack_crypto::{KeyType, Provider, PublicKey, Sign};
use tamarack_eat::{
    Claims, Confirmation, DebugStatus, HardwareVersion, Manifest, OemId, PlatformClaims, Profile,
    SOFTWARE_TEE_FORMAT, SOFTWARE_TEE_PROFILE,
};
use tamarack_model::{ComponentId, Sha256Digest, TcEntry, codes};
use tamarack_pki::{Authority, Subject};
use tamarack_suit::{Envelope, Reason, Report, ReportResult};
use tamarack_teep::{Message, QueryResponse, RequestedTc, SignedMessage, Success, UPDATE_BINDING_EXTENSION};

use crate::cmd::pki::pki;
use crate::fail::{Fail, Outcome};
use crate::keys;

/// Sends a message, or nothing to connect, and gives the answer.
pub type Post<'p> = dyn FnMut(Option<&[u8]>) -> Outcome<Option<Vec<u8>>> + 'p;

pub struct Device {
    attestation_key: Box<dyn Sign>,
    teep_key: Box<dyn Sign>,
    report_key: Box<dyn Sign>,
    chain: Vec<Vec<u8>>,
    wanted: ComponentId,
    ueid: Vec<u8>,
    agent: TcEntry,
}

impl Device {
    /// A device under `tee_ca` that asks for `wanted` in every session.
    pub fn new(tee_ca: &Authority, wanted: ComponentId, crypto: &Provider) -> Outcome<Self> {
        let failed = |e| Fail::new(codes::INTERNAL, e);
        let key = || {
            let pkcs8 = crypto.keys.generate_pkcs8(KeyType::Ed25519)?;
            crypto.keys.load_pkcs8(pkcs8.expose())
        };
        let attestation_key = key().map_err(failed)?;
        let subject = Subject { uri: "urn:x-tamarack:bench".into(), common_name: "bench".into() };
        let now = keys::now();
        let leaf =
            tee_ca.issue(attestation_key.public_key(), subject, now - 60, now + 86_400).map_err(pki)?;
        let chain = tamarack_pki::certificates_from_pem(&leaf).map_err(pki)?;
        let mut ueid = vec![1; 17];
        crypto.random.fill(&mut ueid[1..]).map_err(failed)?;
        let id = ComponentId::new(["tamarack", "agent"]).map_err(|e| Fail::new(codes::INTERNAL, e))?;
        let agent = TcEntry { id, digest: Some(Sha256Digest([4; 32])), size: Some(1) };
        let (teep_key, report_key) = (key().map_err(failed)?, key().map_err(failed)?);
        Ok(Self { attestation_key, teep_key, report_key, chain, wanted, ueid, agent })
    }

    /// One whole session: empty POST, QueryResponse with Evidence, Success with a report.
    pub fn session(&self, post: &mut Post<'_>, crypto: &Provider) -> Outcome {
        let Message::QueryRequest(request) = answer(post(None)?)? else {
            return Err(unexpected("a QueryRequest"));
        };
        let challenge = request.challenge.ok_or_else(|| unexpected("a challenge"))?;
        let response = self.sign(&Message::QueryResponse(self.response(&challenge)?), crypto)?;
        let update = match answer(post(Some(&response))?)? {
            Message::Update(update) => update,
            Message::Error(error) => {
                return Err(Fail::new(codes::HTTP_PEER, format_args!("the TAM sent an Error: {error:?}")));
            }
            _ => return Err(unexpected("an Update")),
        };
        if update.manifest_list.is_empty() {
            return Err(unexpected("an Update with a manifest"));
        }
        let token = update.token.clone().unwrap_or_default();
        let reports = update.manifest_list.iter().map(|envelope| self.report(envelope, &token));
        let suit_reports = reports.collect::<Outcome<_>>()?;
        let success = Success { token: update.token, msg: None, suit_reports };
        match post(Some(&self.sign(&Message::Success(success), crypto)?))? {
            None => Ok(()),
            Some(_) => Err(unexpected("the end of the session")),
        }
    }

    fn sign(&self, message: &Message, crypto: &Provider) -> Outcome<Vec<u8>> {
        let kid = thumbprint(&self.teep_key.public_key(), crypto);
        let options = SignOptions { kid: Some(&kid.0), ..SignOptions::default() };
        tamarack_teep::sign(message, &*self.teep_key, &options).map_err(|e| Fail::new(e.code(), e))
    }

    fn response(&self, challenge: &[u8]) -> Outcome<QueryResponse> {
        let wanted =
            RequestedTc { component_id: self.wanted.clone(), sequence_number: None, have_binary: None };
        Ok(QueryResponse {
            attestation_payload_format: Some(SOFTWARE_TEE_FORMAT.into()),
            attestation_payload: Some(self.evidence(challenge, self.teep_key.public_key())?),
            tc_list: vec![self.agent.clone()],
            requested_tc_list: vec![wanted],
            ext_list: vec![UPDATE_BINDING_EXTENSION],
            agent_nonce: Some([7; 16]),
            ..QueryResponse::default()
        })
    }

    /// Evidence over this challenge that vouches for this key.
    pub fn evidence(&self, challenge: &[u8], confirm: PublicKey) -> Outcome<Vec<u8>> {
        let claims = self.claims(challenge, confirm);
        tamarack_eat::sign(&claims, &*self.attestation_key, &self.chain).map_err(|e| Fail::new(e.code(), e))
    }

    /// What it asks for.
    pub fn wanted(&self) -> &ComponentId {
        &self.wanted
    }

    fn claims(&self, challenge: &[u8], confirm: PublicKey) -> Claims {
        Claims {
            eat_nonce: vec![challenge.to_vec()],
            ueid: Some(self.ueid.clone()),
            oemid: Some(OemId::Random([2; 16])),
            hwmodel: Some(b"bench".to_vec()),
            hwversion: Some(HardwareVersion { version: "1".into(), scheme: None }),
            eat_profile: Some(Profile::Uri(SOFTWARE_TEE_PROFILE.into())),
            dbgstat: Some(DebugStatus::DisabledSinceBoot),
            cnf: Some(Confirmation::Key(confirm)),
            manifests: vec![Manifest::sha256("urn:x-tamarack:agent", [4; 32])],
            platform: Some(PlatformClaims {
                class: PlatformClaims::SOFTWARE_TEE.into(),
                layers: Policy::SOFTWARE_LAYERS,
                root_secret: "file".into(),
                counter_quality: "file".into(),
                time_quality: "untrusted".into(),
                state_epoch: 1,
                state_root: [5; 32],
                trust_store_sequence: 1,
                decryption_key: None,
            }),
            ..Claims::default()
        }
    }

    fn report(&self, envelope: &[u8], token: &[u8]) -> Outcome<Vec<u8>> {
        let envelope = Envelope::parse(envelope, &tamarack_suit::Limits::default())
            .map_err(|e| Fail::new(e.code(), e))?;
        let mut report =
            Report::refusal(&envelope, codes::SUIT_CONDITION, Reason::ConditionFailed, Some(token));
        report.result = ReportResult::Success;
        report.sign(&*self.report_key, &SignOptions::default()).map_err(|e| Fail::new(e.code(), e))
    }
}

fn answer(bytes: Option<Vec<u8>>) -> Outcome<Message> {
    let bytes = bytes.ok_or_else(|| unexpected("a message"))?;
    let signed = SignedMessage::parse(&bytes, &Limits::default());
    signed.and_then(|signed| signed.unverified()).map_err(|e| Fail::new(e.code(), e))
}

fn unexpected(what: &str) -> Fail {
    Fail::new(codes::HTTP_PEER, format_args!("the TAM did not send {what}"))
}
