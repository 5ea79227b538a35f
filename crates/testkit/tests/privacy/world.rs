//! Several devices of one kind and two TAMs, and a Broker that writes down all that passes it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tamarack_agent::{
    Agent, AgentConfig, AnchorState, Input, Operations, OtrpPrincipal, Output, Principal, Progress, Seed,
    SignerAnchor, TaName, TamAnchor,
};
use tamarack_attest::{Grade, Policy, TeeCa};
use tamarack_crypto::{KeyAgree, KeyType, Provider, PublicKey, Secret};
use tamarack_model::{ComponentId, OwnerId, Protocol, Sha256Digest, UnixTime};
use tamarack_pki::Validity;
use tamarack_store::{
    CatalogueEntry, Domain, DomainSigner, MemoryStore, Policy as DevicePolicy, Provider as ServiceProvider,
    Read, Store, StoreOp, TenantId,
};
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_tam::{ChallengeKey, OtrpConfig, OtrpSigner, Reply, Staple, Tam, TamConfig, TamSigner, catalog};
use tamarack_tee::{Param, Persona};
use tamarack_testkit::memory_platform::{MemoryPlatform, PERSONAS, ed25519};
use tamarack_testkit::otrp_pki::OtrpPki;
use tamarack_x509::Anchor;

const NOW: UnixTime = 1_800_000_000;
const WALLET: [u8; 16] = [0x11; 16];
/// How many TAMs there are.
pub const TAMS: usize = 2;
/// How many devices, numbered from 1.
pub const DEVICES: u8 = 3;

fn wallet(kind: &str) -> ComponentId {
    ComponentId::tamarack("com.acme", WALLET, kind).unwrap()
}

fn tam_uri(tam: usize) -> String {
    format!("https://tam{tam}.example/tam")
}

fn number_of(uri: &str) -> usize {
    (0..TAMS).find(|tam| tam_uri(*tam) == uri).expect("a TAM's address")
}

/// Whether Evidence is encrypted, which is to be shown by what happens if it is not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    Encrypted,
    Clear,
}

struct TamWorld {
    tam: Tam,
    store: MemoryStore,
    evidence_key: Box<dyn KeyAgree>,
    otrp_key: Box<dyn KeyAgree>,
    public_keys: Vec<PublicKey>,
}

struct Device {
    agent: Agent<MemoryPlatform>,
}

/// One session as the Broker sees it: which device and TAM, and every byte string and text that passed.
pub struct Session {
    pub device: u8,
    pub tam: usize,
    pub seen: Vec<Vec<u8>>,
}

pub struct World {
    crypto: Provider,
    device_crypto: Provider,
    tams: Vec<TamWorld>,
    devices: Vec<Device>,
    now: UnixTime,
    pub sessions: Vec<Session>,
}

impl World {
    /// Devices that speak `protocol` with both TAMs; each TAM has the same wallet to give.
    pub fn new(protocol: Protocol, evidence: Evidence) -> Self {
        let (crypto, device_crypto) =
            (tamarack_crypto_aws_lc::provider(), tamarack_crypto_rustcrypto::provider());
        let pki = OtrpPki::new(&crypto, TAMS);
        let tams: Vec<_> = (0..TAMS).map(|tam| TamWorld::new(&pki, tam, evidence, &crypto)).collect();
        let signer = ed25519(&crypto, 9, b"signer").public_key();
        let anchor = |tam: usize, device: u8| TamAnchor {
            // An Owner's id is random, so none is on two devices.
            owner: OwnerId([device * 16 + tam as u8 + 1; 16]),
            principal: Principal::Keys(tams[tam].public_keys.clone()),
            otrp: (protocol == Protocol::Otrp).then(|| OtrpPrincipal {
                anchor: pki.tams[tam].root().to_vec(),
                name: pki.tams[tam].name.clone(),
                draft: false,
            }),
            protocol,
            uri: Some(tam_uri(tam)),
            scopes: vec![vec![]],
            require_binding: true,
            domains: 4,
            domain_quota: 1 << 20,
            persona: Persona(tam as u32),
            state: AnchorState::Active,
        };
        let signers = match protocol {
            Protocol::Teep => vec![SignerAnchor {
                provider: "acme".into(),
                principal: Principal::Keys(vec![signer]),
                prefixes: vec![vec![b"com.acme".to_vec()]],
                operations: Operations::ALL,
                quota: 1 << 20,
                epoch: 0,
                state: AnchorState::Active,
            }],
            Protocol::Otrp => Vec::new(),
        };
        let devices = (1..=DEVICES).map(|number| {
            let seed = Seed {
                tams: (0..TAMS).map(|tam| anchor(tam, number)).collect(),
                signers: signers.clone(),
                peripherals: Vec::new(),
                device_authority: None,
                device_owner: None,
            };
            let blank = MemoryPlatform::new(device_crypto, number);
            let platform = (0..PERSONAS).map(Persona).fold(blank, |platform, persona| {
                let key = platform.attestation_public_key(persona);
                platform.with_certificate_chain(persona, pki.attestation_chain(key))
            });
            let mut platform = platform
                .with_otrp(number, pki.device(&device_crypto, number))
                .with_loader(Arc::new(tamarack_tee_sandbox::wasm::load));
            Agent::enrol(&mut platform, &device_crypto, &seed).unwrap();
            Device { agent: Agent::new(platform, device_crypto, AgentConfig::default()) }
        });
        let devices = devices.collect();
        for (tam, world) in tams.iter().enumerate() {
            if protocol == Protocol::Otrp {
                world.create_domain(&pki, tam, &crypto);
            }
        }
        Self { crypto, device_crypto, tams, devices, now: NOW, sessions: Vec::new() }
    }

    /// Publishes this version of the wallet with every TAM; all of them but the first give it to every device.
    pub fn publish(&self, version: u8) {
        for (number, tam) in self.tams.iter().enumerate() {
            tam.publish(version, &self.crypto);
            if number > 0 {
                let policy =
                    DevicePolicy { tenant: TenantId::default(), component: wallet("ta"), since: self.now };
                tam.store.apply(vec![StoreOp::SetPolicy(policy)]).unwrap();
            }
        }
    }

    /// An app on the device asks the first TAM for the wallet.
    pub fn install(&mut self, device: u8) {
        self.play(device, Input::RequestTa { component: wallet("ta"), tam_uri: Some(tam_uri(0)) });
        assert!(self.installed(device, 0).is_some(), "nothing was installed, so nothing was seen");
    }

    /// The device asks both TAMs for news: two sessions.
    pub fn check(&mut self, device: u8) {
        for _ in 0..TAMS {
            self.play(device, Input::RequestPolicyCheck);
        }
    }

    /// No app needs the wallet of a TAM any more; the next check tells it so.
    pub fn forget(&mut self, device: u8) {
        let agent = &mut self.devices[usize::from(device) - 1].agent;
        agent.handle(self.now, Input::UnrequestTa { component: wallet("ta") }).unwrap();
        while agent.poll_output().is_some() {}
    }

    /// Sequence number of the wallet that a device has from a TAM.
    pub fn installed(&self, device: u8, tam: usize) -> Option<u64> {
        let status = self.devices[usize::from(device) - 1].agent.status().unwrap();
        let (owner, _, _) = status.tams.iter().find(|(_, uri, _)| *uri == Some(tam_uri(tam)))?;
        status.components.iter().find(|c| c.owner == *owner).map(|c| c.sequence)
    }

    /// Uses the wallet, as an app does through the Broker; the app's own data is none of this test's business.
    pub fn pay(&mut self, device: u8, tam: usize) {
        let agent = &mut self.devices[usize::from(device) - 1].agent;
        let name = TaName::Uuid(WALLET);
        let session = agent.open_session(self.now, &name, Some(&tam_uri(tam)), &mut Vec::new()).unwrap();
        let mut params = vec![Param::ValueOutput(0, 0), Param::ValueOutput(0, 0)];
        agent.invoke(self.now, session, 3, &mut params).unwrap();
        agent.close_session(self.now, session).unwrap();
    }

    /// The private keys of a TAM: it sees what is encrypted to it.
    pub fn keys_of(&self, tam: usize) -> [&dyn KeyAgree; 2] {
        [&*self.tams[tam].evidence_key, &*self.tams[tam].otrp_key]
    }

    /// What the TAMs know devices by: ueid, device ids and keys, of every row that any of them has.
    pub fn known_identifiers(&self) -> BTreeSet<Vec<u8>> {
        let mut known = BTreeSet::new();
        for (number, device) in (1..).zip(&self.devices) {
            for (persona, tam) in (0..TAMS as u32).map(Persona).zip(&self.tams) {
                let key = device.agent.platform().attestation_public_key(persona);
                let id = tamarack_cose::thumbprint(&key, &self.device_crypto);
                let row = tam.store.device(&TenantId::default(), &tamarack_model::DeviceId(id.0)).unwrap();
                let row = row.unwrap_or_else(|| panic!("device {number} is unknown to a TAM"));
                known.insert(id.0.to_vec());
                known.insert(row.ueid[1..].to_vec());
                known.extend(row.teep.iter().map(|teep| teep.id.to_vec()));
                known.extend(row.state.iter().map(|state| state.root.to_vec()));
                known.extend([key].iter().map(|key| key.to_point()));
                known.extend(row.teep.iter().map(|teep| teep.key.to_point()));
            }
        }
        known
    }

    fn play(&mut self, device: u8, input: Input) {
        self.now += 61;
        let mut tam = None;
        let mut seen = Vec::new();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let agent = &mut self.devices[usize::from(device) - 1].agent;
            let _ = agent.handle(self.now, input);
            let mut outputs = Vec::new();
            while let Some(output) = agent.poll_output() {
                outputs.push(output);
            }
            for output in outputs {
                match output {
                    Output::Connect { tam_uri, protocol } => {
                        tam = Some(number_of(&tam_uri));
                        seen.push(tam_uri.clone().into_bytes());
                        inputs.extend(self.post(&tam_uri, protocol, &[], &mut seen));
                    }
                    Output::Transmit { tam_uri, protocol, message } => {
                        // Both what comes out of the TEE and what the Broker makes of it.
                        seen.push(message.clone());
                        let message = match protocol {
                            Protocol::Teep => message,
                            Protocol::Otrp => {
                                let limits = tamarack_otrp::Limits::default();
                                tamarack_otrp::broker::assemble(&[&message], &limits).unwrap_or(message)
                            }
                        };
                        seen.push(message.clone());
                        inputs.extend(self.post(&tam_uri, protocol, &message, &mut seen));
                    }
                    Output::Fetch { fetch, uri, .. } => {
                        seen.push(uri.into_bytes());
                        inputs.push(Input::FetchFailed { fetch });
                    }
                    Output::Progress(Progress::TaLog { line, .. }) => seen.push(line.into_bytes()),
                    Output::Progress(progress) => seen.push(format!("{progress:?}").into_bytes()),
                    Output::Finished(end) => seen.push(end.detail.into_bytes()),
                }
            }
        }
        let tam = tam.expect("nobody spoke");
        self.sessions.push(Session { device, tam, seen });
    }

    fn post(&self, uri: &str, protocol: Protocol, body: &[u8], seen: &mut Vec<Vec<u8>>) -> Option<Input> {
        let TamWorld { tam, store, .. } = &self.tams[number_of(uri)];
        let tenant = TenantId::default();
        let reply = match protocol {
            Protocol::Teep => tam.respond(self.now, store, tenant, body),
            Protocol::Otrp => tam.respond_otrp(self.now, store, tenant, body, true),
        };
        assert_eq!(reply.event().code, None, "{reply:?}");
        match reply {
            Reply::Transmit { message, .. } => {
                seen.push(message.clone());
                Some(match protocol {
                    Protocol::Teep => Input::ProcessTeepMessage(message),
                    Protocol::Otrp => Input::ProcessOtrpMessage(message),
                })
            }
            // For applications, by their own wish: `docs/privacy.md` says what it tells.
            Reply::Keys { .. } | Reply::NoContent { .. } => None,
            Reply::Refuse { status, .. } => panic!("status {status}"),
        }
    }
}

impl TamWorld {
    fn new(pki: &OtrpPki, number: usize, evidence: Evidence, crypto: &Provider) -> Self {
        let make = |key_type| {
            let pkcs8 = crypto.keys.generate_pkcs8(key_type).unwrap();
            crypto.keys.load_pkcs8(pkcs8.expose()).unwrap()
        };
        let agreement = || {
            let pkcs8 = crypto.keys.generate_pkcs8(KeyType::P256).unwrap();
            let load = || crypto.agree.load_pkcs8(pkcs8.expose()).unwrap();
            (load(), load())
        };
        let tee_ca = Anchor::from_der(pki.tee.cert_der()).unwrap();
        let policy = Policy::new(vec![TeeCa { anchor: tee_ca, cap: Grade::Software }], Grade::Software);
        let keys = [make(KeyType::Ed25519), make(KeyType::P256)];
        let public_keys = keys.iter().map(|key| key.public_key()).collect();
        let signers = keys.into_iter().map(|key| TamSigner::new(key, Vec::new(), crypto)).collect();
        let challenge_key = ChallengeKey { generation: 0, key: Secret::new([7 + number as u8; 32]) };
        let mut config = TamConfig::new(signers, policy, challenge_key, [3 + number as u8; 16]);
        let (evidence_key, copy) = agreement();
        config.evidence_key = (evidence == Evidence::Encrypted).then_some(copy);

        let tam = &pki.tams[number];
        let agree = || crypto.agree.load_pkcs8(tam.pkcs8.expose()).unwrap();
        let sign = crypto.keys.load_pkcs8(tam.pkcs8.expose()).unwrap();
        let chain = tam.chain[..1].to_vec();
        let mut otrp = OtrpConfig::new(OtrpSigner::new(sign, agree(), chain, tam.name.text().into(), crypto));
        otrp.firmware_cas = vec![Anchor::from_der(pki.firmware.cert_der()).unwrap()];
        otrp.staple = Some(Staple { responses: tam.staple(NOW), until: NOW + 86_400 });
        config.otrp = Some(otrp);

        let store = MemoryStore::new(*crypto);
        let provider = ServiceProvider {
            tenant: TenantId::default(),
            id: "acme".into(),
            name: "Acme".into(),
            prefixes: vec![ComponentId::new(["com.acme"]).unwrap()],
            signers: vec![ed25519(crypto, 9, b"signer").public_key()],
            enabled: true,
        };
        store.apply(vec![StoreOp::InsertProvider(provider)]).unwrap();
        Self { tam: Tam::new(config, *crypto), store, evidence_key, otrp_key: agree(), public_keys }
    }

    fn create_domain(&self, pki: &OtrpPki, number: usize, crypto: &Provider) {
        let tam = &pki.tams[number];
        let key = ed25519(crypto, 9, b"signer").public_key();
        let validity = Validity::days(NOW - 3600, 30);
        let made = tamarack_pki::provider_certificate(&tam.chain[0], &*tam.signer, key, "acme", validity);
        let domain = Domain {
            tenant: TenantId::default(),
            name: "com.acme".into(),
            provider: "acme".into(),
            signers: vec![DomainSigner { provider: "acme".into(), certificate: made.unwrap() }],
            quota: None,
            created: NOW,
            deleted: None,
        };
        self.store.apply(vec![StoreOp::InsertDomain(domain)]).unwrap();
    }

    fn publish(&self, version: u8, crypto: &Provider) {
        let provider = self.store.provider(&TenantId::default(), "acme").unwrap().unwrap();
        let file = format!("{}/../../examples/ta/built/wallet-v{version}.wasm", env!("CARGO_MANIFEST_DIR"));
        let payload = Payload::integrated("#ta", std::fs::read(file).unwrap(), crypto);
        let component = Component::new(wallet("ta"), payload);
        let builder = Builder::new(wallet("suit"), version.into()).component(component);
        let signer = ed25519(crypto, 9, b"signer");
        let kid = tamarack_cose::thumbprint(&signer.public_key(), crypto);
        let options = tamarack_cose::SignOptions { kid: Some(&kid.0), ..Default::default() };
        let envelope = builder.build(crypto).unwrap().sign(&*signer, &options).unwrap().envelope();
        let checked = catalog::check_publication(&envelope, &provider, &self.store, crypto).unwrap();
        let entry = CatalogueEntry {
            tenant: provider.tenant.clone(),
            provider: provider.id.clone(),
            manifest: checked.manifest,
            sequence: checked.sequence,
            digest: checked.digest,
            components: checked.components,
            artifact: Sha256Digest(self.store.put_artifact(&envelope).unwrap()),
            size: envelope.len() as u64,
            published: NOW,
            withdrawn: None,
        };
        self.store.apply(vec![StoreOp::Publish(entry)]).unwrap();
    }
}
