//! Agent and TAM in one process under one fake clock, with a link between them that tests can make hostile.

use std::sync::Arc;

use tamarack_agent::{
    Agent, AgentConfig, AnchorState, Finished, Input, Operations, Output, Principal, Seed, SignerAnchor,
    TaName, TamAnchor,
};
use tamarack_attest::{Grade, Policy, TeeCa};
use tamarack_crypto::{KeyType, Provider, Secret, Sign};
use tamarack_model::{ComponentId, OwnerId, Sha256Digest, UnixTime};
use tamarack_pki::{Authority, Subject, Validity, certificates_from_pem};
use tamarack_store::{
    CatalogueEntry, MemoryStore, Provider as ServiceProvider, Read, Store, StoreOp, TenantId,
};
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_tam::{ChallengeKey, Reply, Tam, TamConfig, TamSigner, catalog};
use tamarack_tee::{Param, StateRoot};
use tamarack_testkit::memory_platform::{MemoryPlatform, ed25519};
use tamarack_x509::{Anchor, Role};

pub const NOW: UnixTime = 1_800_000_000;
pub const TAM_URI: &str = "https://tam.example/tam";
const WALLET: [u8; 16] = [0x11; 16];
const PAYEE: &[u8] = b"Bakery";

pub fn wallet(kind: &str) -> ComponentId {
    ComponentId::tamarack("com.acme", WALLET, kind).unwrap()
}

pub fn wallet_module(version: u8) -> Vec<u8> {
    let file = format!("{}/../../examples/ta/built/wallet-v{version}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&file).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// What the link does to each message; it sees the number of the message and may answer with anything.
pub type Link = Box<dyn FnMut(usize, &[u8]) -> Delivery>;

/// What arrives.
pub enum Delivery {
    /// The message as it was sent.
    Intact,
    /// Another one.
    Altered(Vec<u8>),
    /// Nothing.
    Lost,
    /// The message twice.
    Twice,
}

pub struct Pair {
    pub agent: Agent<MemoryPlatform>,
    pub tam: Tam,
    pub store: MemoryStore,
    pub now: UnixTime,
    pub link: Link,
    /// Every message that was sent, in order, as it left its sender.
    pub sent: Vec<Vec<u8>>,
    /// What was published first, for tests that compare with it.
    pub publication: Option<CatalogueEntry>,
    signer: Box<dyn Sign>,
    device_crypto: Provider,
    crypto: Provider,
}

impl Pair {
    /// A device (RustCrypto) under a TEE CA that the TAM (aws-lc) lists, a provider with its signer; nothing published.
    pub fn new() -> Self {
        let (crypto, device_crypto) =
            (tamarack_crypto_aws_lc::provider(), tamarack_crypto_rustcrypto::provider());
        let make = |key_type| {
            let pkcs8 = crypto.keys.generate_pkcs8(key_type).unwrap();
            crypto.keys.load_pkcs8(pkcs8.expose()).unwrap()
        };
        let validity = Validity::days(NOW - 3600, 30);
        let tee_ca = Authority::create(Role::Tee, "TEE CA", KeyType::P256, validity).unwrap();
        let policy = Policy::new(
            vec![TeeCa { anchor: Anchor::from_der(tee_ca.cert_der()).unwrap(), cap: Grade::Software }],
            Grade::Software,
        );
        let tam_keys = [make(KeyType::Ed25519), make(KeyType::P256)];
        let tam_anchor = TamAnchor {
            owner: OwnerId([1; 16]),
            principal: Principal::Keys(tam_keys.iter().map(|key| key.public_key()).collect()),
            otrp: None,
            protocol: tamarack_model::Protocol::Teep,
            uri: Some(TAM_URI.into()),
            scopes: vec![vec![]],
            require_binding: true,
            domains: 0,
            domain_quota: 0,
            state: AnchorState::Active,
        };
        let signers = tam_keys.into_iter().map(|key| TamSigner::new(key, Vec::new(), &crypto)).collect();
        let challenge_key = ChallengeKey { generation: 0, key: Secret::new([7; 32]) };
        let tam = Tam::new(TamConfig::new(signers, policy, challenge_key, [3; 16]), crypto);

        let signer = ed25519(&crypto, 9, b"signer");
        let signer_anchor = SignerAnchor {
            provider: "acme".into(),
            principal: Principal::Keys(vec![signer.public_key()]),
            prefixes: vec![vec![b"com.acme".to_vec()]],
            operations: Operations::ALL,
            quota: 1 << 20,
            epoch: 0,
            state: AnchorState::Active,
        };
        let store = MemoryStore::new(crypto);
        let provider = ServiceProvider {
            tenant: TenantId::default(),
            id: "acme".into(),
            name: "Acme".into(),
            prefixes: vec![ComponentId::new(["com.acme"]).unwrap()],
            signers: vec![signer.public_key()],
            enabled: true,
        };
        store.apply(vec![StoreOp::InsertProvider(provider)]).unwrap();

        let blank = MemoryPlatform::new(device_crypto, 1);
        let subject = Subject { uri: "urn:example:device".into(), common_name: "device".into() };
        let key = blank.attestation_public_key();
        let certificate = tee_ca.issue(key, subject, validity.not_before, validity.not_after).unwrap();
        let mut platform = blank
            .with_certificate_chain(certificates_from_pem(&certificate).unwrap())
            .with_loader(Arc::new(tamarack_tee_sandbox::wasm::load));
        let seed = Seed {
            tams: vec![tam_anchor],
            signers: vec![signer_anchor],
            peripherals: vec![],
            device_authority: None,
        };
        Agent::enrol(&mut platform, &device_crypto, &seed).unwrap();
        let agent = Agent::new(platform, device_crypto, AgentConfig::default());
        let link: Link = Box::new(|_, _| Delivery::Intact);
        Self {
            agent,
            tam,
            store,
            now: NOW,
            link,
            sent: Vec::new(),
            publication: None,
            signer,
            device_crypto,
            crypto,
        }
    }

    /// Publishes the wallet in this version with this sequence number.
    pub fn publish(&self, version: u8, sequence: u64) -> CatalogueEntry {
        let payload = Payload::integrated("#ta", wallet_module(version), &self.crypto);
        let builder = Builder::new(wallet("suit"), sequence).component(Component::new(wallet("ta"), payload));
        let kid = tamarack_cose::thumbprint(&self.signer.public_key(), &self.crypto);
        let options = tamarack_cose::SignOptions { kid: Some(&kid.0), ..Default::default() };
        let envelope = builder.build(&self.crypto).unwrap().sign(&*self.signer, &options).unwrap().envelope();
        let tenant = TenantId::default();
        let provider = self.store.provider(&tenant, "acme").unwrap().unwrap();
        let publication =
            catalog::check_publication(&envelope, &provider, &self.store, &self.crypto).unwrap();
        let entry = CatalogueEntry {
            tenant,
            provider: provider.id,
            manifest: publication.manifest,
            sequence: publication.sequence,
            digest: publication.digest,
            components: publication.components,
            artifact: Sha256Digest(self.store.put_artifact(&envelope).unwrap()),
            size: envelope.len() as u64,
            published: self.now,
            withdrawn: None,
        };
        self.store.apply(vec![StoreOp::Publish(entry.clone())]).unwrap();
        entry
    }

    /// Hands `input` to the Agent and plays on until nobody has anything more to say; gives how it ended for the
    /// application.
    pub fn play(&mut self, input: Input) -> Option<Finished> {
        let mut finished = None;
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            // What the Agent refuses is in its outputs too.
            let _ = self.agent.handle(self.now, input);
            while let Some(output) = self.agent.poll_output() {
                match output {
                    Output::Connect { .. } => inputs.extend(self.post(&[])),
                    Output::Transmit { message, .. } => {
                        for message in self.carry(&message) {
                            inputs.extend(self.post(&message));
                        }
                    }
                    Output::Fetch { fetch, .. } => inputs.push(Input::FetchFailed { fetch }),
                    Output::Progress(_) => {}
                    Output::Finished(end) => finished = Some(end),
                }
            }
        }
        finished
    }

    /// POSTs to the TAM; gives what arrives at the Agent of its answer.
    fn post(&mut self, body: &[u8]) -> Vec<Input> {
        match self.tam.respond(self.now, &self.store, TenantId::default(), body) {
            Reply::Transmit { message, .. } => {
                self.carry(&message).into_iter().map(Input::ProcessTeepMessage).collect()
            }
            Reply::NoContent { .. } => Vec::new(),
            Reply::Refuse { .. } => vec![Input::ProcessError],
        }
    }

    fn carry(&mut self, message: &[u8]) -> Vec<Vec<u8>> {
        let number = self.sent.len();
        self.sent.push(message.to_vec());
        match (self.link)(number, message) {
            Delivery::Intact => vec![message.to_vec()],
            Delivery::Altered(other) => vec![other],
            Delivery::Lost => Vec::new(),
            Delivery::Twice => vec![message.to_vec(), message.to_vec()],
        }
    }

    pub fn request(&mut self) -> Option<Finished> {
        self.play(Input::RequestTa { component: wallet("ta"), tam_uri: None })
    }

    pub fn check_policy(&mut self) -> Option<Finished> {
        self.play(Input::RequestPolicyCheck)
    }

    /// Sequence number of the installed wallet.
    pub fn installed(&self) -> Option<u64> {
        let status = self.agent.status().unwrap();
        status.components.iter().find(|c| c.component == wallet("ta")).map(|c| c.sequence)
    }

    /// State of the device and digest of the TAM's registry.
    pub fn digests(&self) -> (StateRoot, [u8; 32]) {
        (self.agent.state_root(), tamarack_store::registry_digest(&self.store, &self.crypto).unwrap())
    }

    /// The device's row at the TAM.
    pub fn device(&self) -> Option<tamarack_store::Device> {
        let id =
            tamarack_cose::thumbprint(&self.agent.platform().attestation_public_key(), &self.device_crypto);
        self.store.device(&TenantId::default(), &tamarack_model::DeviceId(id.0)).unwrap()
    }

    /// Public key, number of payments and amount spent, as the wallet says.
    pub fn wallet_state(&mut self) -> (Vec<u8>, u32, u32) {
        let session = self.open();
        let mut key = vec![Param::MemrefOutput { capacity: 64, data: vec![] }];
        self.agent.invoke(self.now, session, 1, &mut key).unwrap();
        let mut status = vec![Param::ValueOutput(0, 0), Param::ValueOutput(0, 0)];
        self.agent.invoke(self.now, session, 3, &mut status).unwrap();
        self.agent.close_session(self.now, session).unwrap();
        match (key.remove(0), status.remove(0), status.remove(0)) {
            (
                Param::MemrefOutput { data, .. },
                Param::ValueOutput(payments, _),
                Param::ValueOutput(spent, _),
            ) => (data, payments, spent),
            other => panic!("{other:?}"),
        }
    }

    /// Pays; gives the receipt.
    pub fn pay(&mut self, amount: u32) -> Vec<u8> {
        let session = self.open();
        let mut params = vec![
            Param::ValueInput(amount, 0),
            Param::MemrefInput(PAYEE.to_vec()),
            Param::MemrefInput(b"order 0001".to_vec()),
            Param::MemrefOutput { capacity: 320, data: vec![] },
        ];
        self.agent.invoke(self.now, session, 2, &mut params).unwrap();
        self.agent.close_session(self.now, session).unwrap();
        match params.pop() {
            Some(Param::MemrefOutput { data, .. }) => data,
            other => panic!("{other:?}"),
        }
    }

    fn open(&mut self) -> tamarack_agent::SessionId {
        self.agent.open_session(self.now, &TaName::Uuid(WALLET), None, &mut Vec::new()).unwrap()
    }
}
