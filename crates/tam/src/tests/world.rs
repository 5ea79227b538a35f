use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use tamarack_attest::{Grade, Policy, TeeCa};
use tamarack_cbor::Limits;
use tamarack_cose::{Purpose, SignOptions, VerificationKey, thumbprint};
use tamarack_crypto::{KeyType, Provider as Crypto, PublicKey, Secret, Sign};
use tamarack_eat::{
    Claims, Confirmation, DebugStatus, HardwareVersion, Manifest, OemId, PlatformClaims, Profile,
    SOFTWARE_TEE_FORMAT, SOFTWARE_TEE_PROFILE,
};
use tamarack_model::{ComponentId, DeviceId, Sha256Digest, TcEntry};
use tamarack_pki::{Authority, Subject as CertSubject, Validity, certificates_from_pem};
use tamarack_store::{
    CatalogueEntry, MemoryStore, Provider, Read, Session, Store, StoreOp, TenantId, registry_digest,
};
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_suit::{Envelope, Report, ReportResult};
use tamarack_teep::{
    ErrorMessage, Message, QueryResponse, RequestedTc, SignedMessage, Success, UPDATE_BINDING_EXTENSION,
    Update,
};
use tamarack_x509::{Anchor, Role};

use crate::{ChallengeKey, Reply, Tam, TamConfig, TamSigner, catalog};

pub const NOW: u64 = 1_760_000_000;

pub fn crypto() -> Crypto {
    tamarack_crypto_aws_lc::provider()
}

pub fn key(key_type: KeyType) -> Box<dyn Sign> {
    let pkcs8 = crypto().keys.generate_pkcs8(key_type).unwrap();
    crypto().keys.load_pkcs8(pkcs8.expose()).unwrap()
}

pub fn id(text: &str) -> ComponentId {
    ComponentId::parse_text(text).unwrap()
}

/// What the memory store is asked besides.
pub trait Frank {
    fn time_persisted(&self) -> u64;
}

impl Frank for MemoryStore {
    fn time_persisted(&self) -> u64 {
        self.time().unwrap()
    }
}

/// A TAM with its store, a provider, and the authority of its devices.
pub struct World {
    pub crypto: Crypto,
    pub tam: Tam,
    pub store: MemoryStore,
    pub clock: Cell<u64>,
    pub tee_ca: Authority,
    pub signer: Box<dyn Sign>,
    tam_keys: Vec<PublicKey>,
}

pub fn challenge_key(generation: u8) -> ChallengeKey {
    ChallengeKey { generation, key: Secret::new([generation + 1; 32]) }
}

impl World {
    pub fn new() -> Self {
        let crypto = crypto();
        let tee_ca = authority(Role::Tee);
        let anchor = Anchor::from_der(tee_ca.cert_der()).unwrap();
        let policy = Policy::new(alloc::vec![TeeCa { anchor, cap: Grade::Software }], Grade::Software);
        let keys = [key(KeyType::Ed25519), key(KeyType::P256)];
        let tam_keys = keys.iter().map(|key| key.public_key()).collect();
        let signers = keys.into_iter().map(|key| TamSigner::new(key, Vec::new(), &crypto)).collect();
        let tam = Tam::new(TamConfig::new(signers, policy, challenge_key(0), [3; 16]), crypto);
        let store = MemoryStore::new(crypto);
        let signer = key(KeyType::P256);
        let world = Self { crypto, tam, store, clock: Cell::new(NOW), tee_ca, signer, tam_keys };
        world.apply([StoreOp::InsertProvider(world.provider())]);
        world
    }

    pub fn provider(&self) -> Provider {
        Provider {
            tenant: TenantId::default(),
            id: "acme".into(),
            name: "Acme".into(),
            prefixes: alloc::vec![id("acme")],
            signers: alloc::vec![self.signer.public_key()],
            enabled: true,
        }
    }

    pub fn apply(&self, ops: impl IntoIterator<Item = StoreOp>) {
        self.store.apply(ops.into_iter().collect()).unwrap();
    }

    pub fn digest(&self) -> [u8; 32] {
        registry_digest(&self.store, &self.crypto).unwrap()
    }

    pub fn post(&self, body: &[u8]) -> Reply {
        self.tam.respond(self.clock.get(), &self.store, TenantId::default(), body)
    }

    pub fn connect(&self) -> Reply {
        self.post(&[])
    }

    /// The answer to an empty POST, checked as an Agent would.
    pub fn query_request(&self) -> SignedMessage {
        let reply = self.connect();
        let Reply::Transmit { message, .. } = reply else { panic!("{reply:?}") };
        let message = SignedMessage::parse(&message, &Limits::default()).unwrap();
        for key in &self.tam_keys {
            let key = VerificationKey::new(*key, Purpose::TeepMessage, &self.crypto);
            message.verify(&[key], &self.crypto).unwrap();
        }
        message
    }

    /// A whole round: empty POST, QueryResponse, what comes of it.
    pub fn query(&self, device: &Device) -> Reply {
        self.post(&device.response(&self.query_request()))
    }

    /// The Update in a reply, with its signature checked.
    #[track_caller]
    pub fn update(&self, reply: &Reply) -> Update {
        let Reply::Transmit { message, .. } = reply else { panic!("no Update: {reply:?}") };
        let message = SignedMessage::parse(message, &Limits::default()).unwrap();
        let keys: Vec<_> = self
            .tam_keys
            .iter()
            .map(|key| VerificationKey::new(*key, Purpose::TeepMessage, &self.crypto))
            .collect();
        match message.verify(&keys, &self.crypto).unwrap().into_value() {
            Message::Update(update) => update,
            other => panic!("{other:?}"),
        }
    }

    pub fn session(&self, reply: &Reply) -> Session {
        let session = reply.event().session.expect("the reply names a session");
        self.store.session(&TenantId::default(), &session).unwrap().unwrap()
    }

    pub fn row(&self, device: &Device) -> tamarack_store::Device {
        self.store.device(&TenantId::default(), &device.id(&self.crypto)).unwrap().unwrap()
    }

    /// An envelope of the wallet.
    pub fn wallet(&self, sequence: u64) -> Vec<u8> {
        self.envelope("acme/wallet/suit", "acme/wallet/ta", sequence)
    }

    pub fn envelope(&self, manifest: &str, component: &str, sequence: u64) -> Vec<u8> {
        let mut builder = Builder::new(id(manifest), sequence);
        let content = alloc::format!("{component} version {sequence}").into_bytes();
        builder.components =
            alloc::vec![Component::new(id(component), Payload::integrated("#ta", content, &self.crypto))];
        let unsigned = builder.build(&self.crypto).unwrap();
        unsigned.sign(self.signer.as_ref(), &SignOptions::default()).unwrap().envelope()
    }

    /// Publishes a version of the wallet as the REST interface would.
    pub fn publish(&self, sequence: u64) -> CatalogueEntry {
        self.publish_envelope(&self.wallet(sequence))
    }

    pub fn publish_envelope(&self, envelope: &[u8]) -> CatalogueEntry {
        let provider = self.provider();
        let publication = catalog::check_publication(envelope, &provider, &self.store, &self.crypto).unwrap();
        let entry = CatalogueEntry {
            tenant: provider.tenant,
            provider: provider.id,
            manifest: publication.manifest,
            sequence: publication.sequence,
            digest: publication.digest,
            components: publication.components,
            artifact: Sha256Digest(self.store.put_artifact(envelope).unwrap()),
            size: envelope.len() as u64,
            published: NOW,
            withdrawn: None,
        };
        self.apply([StoreOp::Publish(entry.clone())]);
        entry
    }

    pub fn device(&self) -> Device {
        self.device_with(KeyType::Ed25519)
    }

    pub fn device_with(&self, teep_key: KeyType) -> Device {
        Device::new(&self.tee_ca, teep_key)
    }
}

pub fn authority(role: Role) -> Authority {
    Authority::create(role, "Maker", KeyType::P256, Validity::days(NOW - 86_400, 365)).unwrap()
}

/// A device in memory: keys, state, and what it holds.
pub struct Device {
    pub attestation_key: Box<dyn Sign>,
    pub teep_key: Box<dyn Sign>,
    pub report_key: Box<dyn Sign>,
    /// The key that payloads for it are encrypted to.
    pub decryption: PublicKey,
    pub chain: Vec<Vec<u8>>,
    pub epoch: u64,
    pub root: [u8; 32],
    pub held: Vec<TcEntry>,
    pub requested: Vec<ComponentId>,
    pub unneeded: Vec<ComponentId>,
    pub agent_nonce: [u8; 16],
}

impl Device {
    pub fn new(tee_ca: &Authority, teep_key: KeyType) -> Self {
        let attestation_key = key(KeyType::P256);
        let subject = CertSubject { uri: "urn:x-tamarack:device:1".into(), common_name: "device".into() };
        let certificate =
            tee_ca.issue(attestation_key.public_key(), subject, NOW - 10, NOW + 86_400).unwrap();
        Self {
            attestation_key,
            teep_key: key(teep_key),
            report_key: key(KeyType::Ed25519),
            decryption: crypto().agree.ephemeral().unwrap().public_key(),
            chain: certificates_from_pem(&certificate).unwrap(),
            epoch: 5,
            root: [5; 32],
            held: alloc::vec![TcEntry {
                id: id("tamarack/agent"),
                digest: Some(Sha256Digest([4; 32])),
                size: Some(1),
            }],
            requested: Vec::new(),
            unneeded: Vec::new(),
            agent_nonce: [7; 16],
        }
    }

    pub fn id(&self, crypto: &Crypto) -> DeviceId {
        DeviceId(thumbprint(&self.attestation_key.public_key(), crypto).0)
    }

    pub fn claims(&self, nonce: &[u8]) -> Claims {
        Claims {
            eat_nonce: alloc::vec![nonce.to_vec()],
            ueid: Some(alloc::vec![1; 17]),
            oemid: Some(OemId::Random([2; 16])),
            hwmodel: Some(b"software-tee".to_vec()),
            hwversion: Some(HardwareVersion { version: "1".into(), scheme: None }),
            eat_profile: Some(Profile::Uri(SOFTWARE_TEE_PROFILE.into())),
            dbgstat: Some(DebugStatus::DisabledSinceBoot),
            cnf: Some(Confirmation::Key(self.teep_key.public_key())),
            manifests: alloc::vec![Manifest::sha256("urn:x-tamarack:agent", [4; 32])],
            platform: Some(PlatformClaims {
                class: PlatformClaims::SOFTWARE_TEE.into(),
                layers: Policy::SOFTWARE_LAYERS,
                root_secret: "file".into(),
                counter_quality: "file".into(),
                time_quality: "untrusted".into(),
                state_epoch: self.epoch,
                state_root: self.root,
                trust_store_sequence: 1,
                decryption_key: Some(self.decryption),
            }),
            ..Claims::default()
        }
    }

    pub fn evidence(&self, claims: &Claims) -> Vec<u8> {
        tamarack_eat::sign(claims, self.attestation_key.as_ref(), &self.chain).unwrap()
    }

    /// The honest answer to a challenge.
    pub fn query_response(&self, challenge: &[u8]) -> QueryResponse {
        QueryResponse {
            attestation_payload_format: Some(String::from(SOFTWARE_TEE_FORMAT)),
            attestation_payload: Some(self.evidence(&self.claims(challenge))),
            tc_list: self.held.clone(),
            requested_tc_list: self
                .requested
                .iter()
                .map(|id| RequestedTc { component_id: id.clone(), sequence_number: None, have_binary: None })
                .collect(),
            unneeded_manifest_list: self.unneeded.clone(),
            ext_list: alloc::vec![UPDATE_BINDING_EXTENSION],
            agent_nonce: Some(self.agent_nonce),
            ..QueryResponse::default()
        }
    }

    pub fn response(&self, request: &SignedMessage) -> Vec<u8> {
        self.sign(Message::QueryResponse(self.query_response(&challenge(request))))
    }

    pub fn sign(&self, message: Message) -> Vec<u8> {
        sign_with(self.teep_key.as_ref(), message)
    }

    pub fn success(&self, token: &[u8], reports: &[Vec<u8>]) -> Vec<u8> {
        let (token, suit_reports) = (Some(token.to_vec()), reports.to_vec());
        self.sign(Message::Success(Success { token, msg: None, suit_reports }))
    }

    pub fn error(&self, error: ErrorMessage) -> Vec<u8> {
        self.sign(Message::Error(error))
    }

    /// A signed SUIT report about an envelope.
    pub fn report(&self, envelope: &[u8], nonce: Option<&[u8]>, success: bool) -> Vec<u8> {
        let envelope = Envelope::parse(envelope, &tamarack_suit::Limits::default()).unwrap();
        let (code, reason) = (tamarack_model::codes::SUIT_CONDITION, tamarack_suit::Reason::ConditionFailed);
        let mut report = Report::refusal(&envelope, code, reason, nonce);
        if success {
            report.result = ReportResult::Success;
        }
        report.sign(self.report_key.as_ref(), &SignOptions::default()).unwrap()
    }

    /// Does what an Update asks for, without checking anything.
    pub fn install(&mut self, envelope: &[u8]) {
        let envelope = Envelope::parse(envelope, &tamarack_suit::Limits::default()).unwrap();
        let manifest = envelope.unauthenticated_manifest().unwrap();
        let id = manifest.manifest_component_id.unwrap();
        let digest = Sha256Digest(envelope.digest().bytes().try_into().unwrap());
        self.held.retain(|held| held.id != id);
        self.held.push(TcEntry { id, digest: Some(digest), size: None });
        self.epoch += 1;
        self.root = crypto().sha256(&[&self.root[..], &digest.0].concat());
    }
}

pub fn sign_with(key: &dyn Sign, message: Message) -> Vec<u8> {
    let kid = thumbprint(&key.public_key(), &crypto());
    let options = SignOptions { kid: Some(&kid.0), ..SignOptions::default() };
    tamarack_teep::sign(&message, key, &options).unwrap()
}

/// The challenge of a QueryRequest.
pub fn challenge(request: &SignedMessage) -> Vec<u8> {
    match request.unverified().unwrap() {
        Message::QueryRequest(request) => request.challenge.unwrap(),
        other => panic!("{other:?}"),
    }
}
