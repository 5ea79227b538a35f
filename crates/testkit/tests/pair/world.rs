//! Agent and TAM in one process under one fake clock, with a link between them that tests can make hostile.

use std::sync::Arc;

use tamarack_agent::Peripheral;
use tamarack_agent::{
    Agent, AgentConfig, AnchorState, BUNDLE_SCHEME, Finished, Input, Operations, OtrpPrincipal, Output,
    Principal, Seed, SignerAnchor, TaName, TamAnchor,
};
use tamarack_attest::{Grade, Policy, ProviderRole, ReferenceProvider, TeeCa};
use tamarack_corim::{Class, ClassId, Environment};
use tamarack_cose::{Purpose, VerificationKey};
use tamarack_crypto::{KeyType, Provider, Secret, Sign};
use tamarack_model::{ComponentId, OwnerId, Protocol, Sha256Digest, UnixTime};
use tamarack_otrp::ErrorCode as BrokerErrorCode;
use tamarack_pki::{Authority, Validity};
use tamarack_store::{
    CatalogueEntry, Domain, DomainSigner, MemoryStore, Provider as ServiceProvider, Read, Store, StoreOp,
    TenantId,
};
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_tam::{ChallengeKey, OtrpConfig, OtrpSigner, Reply, Staple, Tam, TamConfig, TamSigner, catalog};
use tamarack_tee::{Identity, Param, Persona, Platform, StateRoot};
use tamarack_testkit::memory_platform::{MemoryPlatform, PERSONAS, ed25519};
use tamarack_testkit::otrp_pki::{OtrpPki, TestTam};
use tamarack_x509::{Anchor, Name, Role};

pub const NOW: UnixTime = 1_800_000_000;
pub const TAM_URI: &str = "https://tam.example/tam";
/// Where the other TAM is, if there is one.
pub const OTHER_URI: &str = "https://other.example/tam";
const WALLET: [u8; 16] = [0x11; 16];
pub const VALVE: [u8; 16] = [0x51; 16];
const PAYEE: &[u8] = b"Bakery";

pub fn wallet(kind: &str) -> ComponentId {
    ComponentId::tamarack("com.acme", WALLET, kind).unwrap()
}

/// The names of the TA that the device has bound its valve to.
pub fn valve(kind: &str) -> ComponentId {
    ComponentId::tamarack("com.acme", VALVE, kind).unwrap()
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

/// Number of the first device.
const DEVICE: u8 = 1;

pub fn signer_anchor(key: tamarack_crypto::PublicKey) -> SignerAnchor {
    SignerAnchor {
        provider: "acme".into(),
        principal: Principal::Keys(vec![key]),
        prefixes: vec![vec![b"com.acme".to_vec()]],
        operations: Operations::ALL,
        quota: 1 << 20,
        epoch: 0,
        state: AnchorState::Active,
    }
}

fn principal(tam: &TestTam) -> OtrpPrincipal {
    OtrpPrincipal { anchor: tam.root().to_vec(), name: tam.name.clone(), draft: false }
}

/// A TAM that speaks TEEP, by its keys.
pub fn teep_anchor(owner: OwnerId, keys: Vec<tamarack_crypto::PublicKey>) -> TamAnchor {
    TamAnchor {
        owner,
        principal: Principal::Keys(keys),
        otrp: None,
        protocol: Protocol::Teep,
        uri: Some(TAM_URI.into()),
        scopes: vec![vec![]],
        require_binding: true,
        domains: 0,
        domain_quota: 0,
        persona: Persona(0),
        state: AnchorState::Active,
    }
}

/// Devices under the TEE CAs of these makers.
pub fn policy(makers: &[&OtrpPki]) -> Policy {
    let ca = |pki: &&OtrpPki| {
        let anchor = Anchor::from_der(pki.tee.cert_der()).unwrap();
        TeeCa { anchor, cap: Grade::Software }
    };
    Policy::new(makers.iter().map(ca).collect(), Grade::Software)
}

/// Who may say what devices of a class run.
fn maker(crypto: &Provider) -> ReferenceProvider {
    let class = Class { class_id: Some(ClassId::Uuid([2; 16])), ..Class::default() };
    ReferenceProvider {
        name: "Maker".into(),
        role: ProviderRole::Maker,
        keys: vec![VerificationKey::new(authority(crypto).public_key(), Purpose::ReferenceValues, crypto)],
        scope: vec![Environment::of_class(class)],
        elements: None,
        cap: Grade::None,
    }
}

/// The key of the provider that publishes.
pub fn developer(crypto: &Provider) -> Box<dyn Sign> {
    ed25519(crypto, 9, b"signer")
}

/// The key of the device authority; it signs reference values as well, as the maker who has it would not.
pub fn authority(crypto: &Provider) -> Box<dyn Sign> {
    ed25519(crypto, 9, b"authority")
}

/// The key of the device's owner.
pub fn device_owner(crypto: &Provider) -> Box<dyn Sign> {
    ed25519(crypto, 9, b"device owner")
}

/// The TAM's side of OTrP.
fn otrp_config(tam: &TestTam, pki: &OtrpPki, crypto: &Provider) -> OtrpConfig {
    let sign = crypto.keys.load_pkcs8(tam.pkcs8.expose()).unwrap();
    let agree = crypto.agree.load_pkcs8(tam.pkcs8.expose()).unwrap();
    let signer = OtrpSigner::new(sign, agree, tam.chain[..1].to_vec(), tam.name.text().into(), crypto);
    let mut otrp = OtrpConfig::new(signer);
    otrp.firmware_cas = vec![Anchor::from_der(pki.firmware.cert_der()).unwrap()];
    otrp.staple = Some(Staple { responses: tam.staple(NOW), until: NOW + 86_400 });
    otrp
}

/// A signed manifest of one component.
pub fn envelope(
    crypto: &Provider,
    signer: &dyn Sign,
    (manifest, component): (ComponentId, ComponentId),
    module: Vec<u8>,
    sequence: u64,
) -> Vec<u8> {
    let payload = Payload::integrated("#ta", module, crypto);
    let builder = Builder::new(manifest, sequence).component(Component::new(component, payload));
    let kid = tamarack_cose::thumbprint(&signer.public_key(), crypto);
    let options = tamarack_cose::SignOptions { kid: Some(&kid.0), ..Default::default() };
    builder.build(crypto).unwrap().sign(signer, &options).unwrap().envelope()
}

/// Publishes what a TAM takes from this provider.
pub fn publish(
    crypto: &Provider,
    store: &MemoryStore,
    provider: &ServiceProvider,
    envelope: &[u8],
    now: UnixTime,
) -> CatalogueEntry {
    let publication = catalog::check_publication(envelope, provider, store, crypto).unwrap();
    let entry = CatalogueEntry {
        tenant: provider.tenant.clone(),
        provider: provider.id.clone(),
        manifest: publication.manifest,
        sequence: publication.sequence,
        digest: publication.digest,
        components: publication.components,
        artifact: Sha256Digest(store.put_artifact(envelope).unwrap()),
        size: envelope.len() as u64,
        published: now,
        withdrawn: None,
    };
    store.apply(vec![StoreOp::Publish(entry.clone())]).unwrap();
    entry
}

/// An enrolled device of the maker whose CA the TAM lists.
pub fn device(pki: &OtrpPki, crypto: Provider, number: u8, seed: &Seed) -> Agent<MemoryPlatform> {
    device_like(pki, crypto, number, seed, |platform| platform)
}

/// The same with something changed.
fn device_like(
    pki: &OtrpPki,
    crypto: Provider,
    number: u8,
    seed: &Seed,
    change: impl FnOnce(MemoryPlatform) -> MemoryPlatform,
) -> Agent<MemoryPlatform> {
    let blank = change(MemoryPlatform::new(crypto, number));
    let mut platform = (0..PERSONAS).map(Persona).fold(blank, |platform, persona| {
        let key = platform.attestation_public_key(persona);
        platform.with_certificate_chain(persona, pki.attestation_chain(key))
    });
    platform = platform
        .with_otrp(number, pki.device(&crypto, number))
        .with_loader(Arc::new(tamarack_tee_sandbox::wasm::load));
    Agent::enrol(&mut platform, &crypto, seed).unwrap();
    Agent::new(platform, crypto, AgentConfig::default())
}

/// What a Broker makes of its TEE's message: the part of the one TEE becomes the response of the device.
fn assembled(protocol: Protocol, message: Vec<u8>) -> Vec<u8> {
    match protocol {
        Protocol::Teep => message,
        Protocol::Otrp => {
            let parts = [&message];
            tamarack_otrp::broker::assemble(&parts, &tamarack_otrp::Limits::default()).unwrap_or(message)
        }
    }
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
    /// What the Broker says to each of its TAM's messages of OTrP instead of handing it on, if anything.
    pub broker: Option<BrokerErrorCode>,
    /// The keys of providers that the TAM signed at the end of the latest exchange.
    pub keys: Option<Vec<u8>>,
    /// What an application brought along, if it did.
    pub bundle: Option<Vec<u8>>,
    /// Another TAM of the device, at [`OTHER_URI`], with its store.
    pub other: Option<(Tam, MemoryStore)>,
    seed: u8,
    tam_keys: Vec<tamarack_crypto::PublicKey>,
    pub pki: OtrpPki,
    /// The authorities of another maker, whose TEE CA the TAM lists as well.
    second_maker: OtrpPki,
    signer: Box<dyn Sign>,
    device_crypto: Provider,
    crypto: Provider,
}

impl Pair {
    /// A device (RustCrypto) under a TEE CA that the TAM (aws-lc) lists, a provider with its signer; nothing published.
    pub fn new() -> Self {
        Self::speaking(Protocol::Teep, &[])
    }

    /// The same where TAM and device speak OTrP. The device knows no signer of its own accord: what it takes is what the
    /// TAM's domains bring.
    pub fn otrp() -> Self {
        let mut pair = Self::speaking(Protocol::Otrp, &[]);
        pair.create_domain();
        pair
    }

    /// A device that knows the TAM by keys for TEEP and by a name for OTrP, which binds the two.
    pub fn bound() -> Self {
        let signer = ed25519(&tamarack_crypto_aws_lc::provider(), 9, b"signer").public_key();
        let mut pair = Self::speaking(Protocol::Otrp, &[signer_anchor(signer)]);
        pair.create_domain();
        pair
    }

    fn speaking(protocol: Protocol, more_signers: &[SignerAnchor]) -> Self {
        let (crypto, device_crypto) =
            (tamarack_crypto_aws_lc::provider(), tamarack_crypto_rustcrypto::provider());
        let make = |key_type| {
            let pkcs8 = crypto.keys.generate_pkcs8(key_type).unwrap();
            crypto.keys.load_pkcs8(pkcs8.expose()).unwrap()
        };
        let pki = OtrpPki::new(&crypto, 1);
        let second_maker = OtrpPki::new(&crypto, 0);
        let policy = policy(&[&pki, &second_maker]);
        let tam_keys = [make(KeyType::Ed25519), make(KeyType::P256)];
        let public_keys: Vec<_> = tam_keys.iter().map(|key| key.public_key()).collect();
        let tam_anchor = TamAnchor {
            owner: OwnerId([1; 16]),
            principal: Principal::Keys(public_keys.clone()),
            otrp: (protocol == Protocol::Otrp).then(|| principal(&pki.tams[0])),
            protocol,
            uri: Some(TAM_URI.into()),
            scopes: vec![vec![]],
            require_binding: true,
            domains: 4,
            domain_quota: 1 << 20,
            persona: Persona(0),
            state: AnchorState::Active,
        };
        let signers = tam_keys.into_iter().map(|key| TamSigner::new(key, Vec::new(), &crypto)).collect();
        let challenge_key = ChallengeKey { generation: 0, key: Secret::new([7; 32]) };
        let mut config = TamConfig::new(signers, policy, challenge_key, [3; 16]);
        config.otrp = Some(otrp_config(&pki.tams[0], &pki, &crypto));
        config.reference_providers = vec![maker(&crypto)];
        let tam = Tam::new(config, crypto);

        let signer = developer(&crypto);
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

        let signers = match protocol {
            Protocol::Teep => vec![signer_anchor(signer.public_key())],
            Protocol::Otrp => more_signers.to_vec(),
        };
        let enrolment = Seed {
            tams: vec![tam_anchor],
            signers,
            peripherals: vec![Peripheral {
                name: "valve".into(),
                owner: OwnerId([1; 16]),
                manifest: valve("suit"),
            }],
            device_authority: Some(authority(&crypto).public_key()),
            device_owner: Some(device_owner(&crypto).public_key()),
        };
        let agent = device(&pki, device_crypto, DEVICE, &enrolment);
        let link: Link = Box::new(|_, _| Delivery::Intact);
        Self {
            agent,
            tam,
            store,
            now: NOW,
            link,
            sent: Vec::new(),
            publication: None,
            broker: None,
            keys: None,
            bundle: None,
            other: None,
            second_maker,
            seed: DEVICE,
            tam_keys: public_keys,
            pki,
            signer,
            device_crypto,
            crypto,
        }
    }

    /// Publishes the wallet in this version with this sequence number.
    pub fn publish(&self, version: u8, sequence: u64) -> CatalogueEntry {
        let provider = self.store.provider(&TenantId::default(), "acme").unwrap().unwrap();
        self.publish_for(&provider, &*self.signer, (wallet("suit"), wallet("ta")), version, sequence)
    }

    fn publish_for(
        &self,
        provider: &ServiceProvider,
        signer: &dyn Sign,
        names: (ComponentId, ComponentId),
        version: u8,
        sequence: u64,
    ) -> CatalogueEntry {
        self.publish_in(&self.store, provider, signer, names, wallet_module(version), sequence)
    }

    fn publish_in(
        &self,
        store: &MemoryStore,
        provider: &ServiceProvider,
        signer: &dyn Sign,
        (manifest, component): (ComponentId, ComponentId),
        module: Vec<u8>,
        sequence: u64,
    ) -> CatalogueEntry {
        let envelope = envelope(&self.crypto, signer, (manifest, component), module, sequence);
        publish(&self.crypto, store, provider, &envelope, self.now)
    }

    /// Publishes the valve TA under these names: those that the device has bound the valve to, or others.
    pub fn publish_valve(&self, names: (ComponentId, ComponentId)) {
        let provider = self.store.provider(&TenantId::default(), "acme").unwrap().unwrap();
        let file = format!("{}/../../examples/ta/built/valve.wasm", env!("CARGO_MANIFEST_DIR"));
        let module = std::fs::read(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
        self.publish_in(&self.store, &provider, &*self.signer, names, module, 1);
    }

    /// Where the valve is.
    pub fn valve_position(&self) -> Vec<u8> {
        self.agent.status().unwrap().peripherals.remove(0).1
    }

    /// Gives the same TAM a device of another maker, with another TEE CA, vendor and class, which speaks TEEP and knows the
    /// TAM by its keys; gives back the one before.
    pub fn second_makers_device(&mut self) -> Agent<MemoryPlatform> {
        let seed = Seed {
            tams: vec![teep_anchor(OwnerId([9; 16]), self.tam_keys.clone())],
            signers: vec![signer_anchor(self.signer.public_key())],
            peripherals: vec![],
            device_authority: None,
            device_owner: None,
        };
        self.seed += 1;
        let number = self.seed;
        let other = device_like(&self.second_maker, self.device_crypto, number, &seed, |platform| {
            let identity = platform.identity(Persona(0)).unwrap().clone();
            platform.with_identity(Identity {
                vendor_id: [0x71; 16],
                class_id: [0x72; 16],
                oemid: [0x73; 16],
                hwmodel: b"sensor-9".to_vec(),
                ..identity
            })
        });
        std::mem::replace(&mut self.agent, other)
    }

    /// Gives the device a second TAM, for which it is another Owner; nobody has published anything there.
    pub fn with_another_tam(mut self) -> Self {
        let make = |key_type| {
            let pkcs8 = self.crypto.keys.generate_pkcs8(key_type).unwrap();
            self.crypto.keys.load_pkcs8(pkcs8.expose()).unwrap()
        };
        let keys = [make(KeyType::Ed25519), make(KeyType::P256)];
        let public: Vec<_> = keys.iter().map(|key| key.public_key()).collect();
        let signers = keys.into_iter().map(|key| TamSigner::new(key, Vec::new(), &self.crypto)).collect();
        let challenge_key = ChallengeKey { generation: 0, key: Secret::new([8; 32]) };
        let config = TamConfig::new(signers, policy(&[&self.pki]), challenge_key, [4; 16]);
        self.other = Some((Tam::new(config, self.crypto), MemoryStore::new(self.crypto)));
        let other = TamAnchor {
            uri: Some(OTHER_URI.into()),
            persona: Persona(1),
            ..teep_anchor(OwnerId([2; 16]), public)
        };
        let seed = Seed {
            tams: vec![teep_anchor(OwnerId([1; 16]), self.tam_keys.clone()), other],
            signers: vec![signer_anchor(self.signer.public_key())],
            peripherals: vec![],
            device_authority: None,
            device_owner: None,
        };
        self.seed += 1;
        self.agent = device(&self.pki, self.device_crypto, self.seed, &seed);
        self
    }

    /// The provider has an account at the other TAM, and publishes the same wallet there.
    pub fn publish_at_the_other(&self) {
        let (_, store) = self.other.as_ref().expect("another TAM");
        let provider = self.store.provider(&TenantId::default(), "acme").unwrap().unwrap();
        store.apply(vec![StoreOp::InsertProvider(provider.clone())]).unwrap();
        let names = (wallet("suit"), wallet("ta"));
        self.publish_in(store, &provider, &*self.signer, names, wallet_module(1), 1);
    }

    /// How many wallets there are on the device, of all Owners.
    pub fn wallets(&self) -> usize {
        let status = self.agent.status().unwrap();
        status.components.iter().filter(|c| c.component == wallet("ta")).count()
    }

    /// Puts somebody else in the TAM's place, who has all that it has but its keys.
    pub fn usurp(&mut self, keys: Vec<Box<dyn Sign>>, otrp: Option<TestTam>) {
        let signers = keys.into_iter().map(|key| TamSigner::new(key, Vec::new(), &self.crypto)).collect();
        let challenge_key = ChallengeKey { generation: 0, key: Secret::new([7; 32]) };
        let mut config = TamConfig::new(signers, policy(&[&self.pki]), challenge_key, [3; 16]);
        let tam = otrp.as_ref().unwrap_or(&self.pki.tams[0]);
        config.otrp = Some(otrp_config(tam, &self.pki, &self.crypto));
        self.tam = Tam::new(config, self.crypto);
    }

    /// Has the TAM take this key for the provider's, and publishes the wallet signed by it.
    pub fn publish_signed_by(&self, signer: &dyn Sign) {
        let provider = self.store.provider(&TenantId::default(), "acme").unwrap().unwrap();
        let provider = ServiceProvider { signers: vec![signer.public_key()], ..provider };
        self.store.apply(vec![StoreOp::UpdateProvider(provider.clone())]).unwrap();
        self.publish_for(&provider, signer, (wallet("suit"), wallet("ta")), 1, 1);
    }

    /// The certificates that the device shows with its Evidence.
    pub fn chain_of_the_device(&self) -> Vec<Vec<u8>> {
        self.pki.attestation_chain(self.agent.platform().attestation_public_key(Persona(0)))
    }

    /// Certificates of the attestation key of the device of this number, by an authority.
    pub fn certify(&self, number: u8, authority: &Authority, role: Role) -> Vec<Vec<u8>> {
        let key = MemoryPlatform::new(self.device_crypto, number).attestation_public_key(Persona(0));
        let name = Name::Uri(format!("urn:test:device:{number}"));
        let validity = Validity::days(NOW - 3600, 30);
        let leaf = authority.issue_named(key, role, &name, "test", validity).unwrap();
        let mut chain = tamarack_pki::certificates_from_pem(&leaf).unwrap();
        chain.push(authority.cert_der().to_vec());
        chain
    }

    /// Puts another device in the device's place, with keys of this number and these certificates of its attestation key.
    pub fn pose(&mut self, number: u8, chain: Vec<Vec<u8>>) {
        let mut platform = MemoryPlatform::new(self.device_crypto, number)
            .with_certificate_chain(Persona(0), chain)
            .with_loader(Arc::new(tamarack_tee_sandbox::wasm::load));
        let anchor = teep_anchor(OwnerId([1; 16]), self.tam_keys.clone());
        let seed = Seed {
            tams: vec![anchor],
            signers: vec![signer_anchor(self.signer.public_key())],
            peripherals: vec![],
            device_authority: None,
            device_owner: None,
        };
        Agent::enrol(&mut platform, &self.device_crypto, &seed).unwrap();
        self.agent = Agent::new(platform, self.device_crypto, AgentConfig::default());
    }

    /// Creates the domain of the wallet with the certificate that the TAM makes for its provider.
    pub fn create_domain(&mut self) {
        let tam = &self.pki.tams[0];
        let validity = Validity::days(NOW - 3600, 30);
        let key = self.signer.public_key();
        let made = tamarack_pki::provider_certificate(&tam.chain[0], &*tam.signer, key, "acme", validity);
        let signer = DomainSigner { provider: "acme".into(), certificate: made.unwrap() };
        let domain = Domain {
            tenant: TenantId::default(),
            name: "com.acme".into(),
            provider: "acme".into(),
            signers: vec![signer],
            quota: None,
            created: NOW,
            deleted: None,
        };
        self.store.apply(vec![StoreOp::InsertDomain(domain)]).unwrap();
    }

    /// Lets another provider publish into that domain, and publishes a TA of its own there; gives its component.
    pub fn publish_as_guest(&self) -> ComponentId {
        let tenant = TenantId::default();
        let (key, tam) = (ed25519(&self.crypto, 10, b"signer"), &self.pki.tams[0]);
        let guest = ServiceProvider {
            tenant: tenant.clone(),
            id: "isv".into(),
            name: "ISV".into(),
            prefixes: vec![ComponentId::new(["com.isv"]).unwrap()],
            signers: vec![key.public_key()],
            enabled: true,
        };
        let validity = Validity::days(NOW - 3600, 30);
        let certificate = tamarack_pki::provider_certificate(
            &tam.chain[0],
            &*tam.signer,
            key.public_key(),
            "isv",
            validity,
        );
        let mut domain = self.store.domain(&tenant, "com.acme").unwrap().unwrap();
        domain.signers.push(DomainSigner { provider: "isv".into(), certificate: certificate.unwrap() });
        let ops = vec![StoreOp::InsertProvider(guest.clone()), StoreOp::UpdateDomain(domain)];
        self.store.apply(ops).unwrap();
        let id = |kind| ComponentId::tamarack("com.acme", [0x22; 16], kind).unwrap();
        self.publish_for(&guest, &*key, (id("suit"), id("ta")), 1, 1);
        id("ta")
    }

    /// Deletes that domain.
    pub fn delete_domain(&self) {
        let (tenant, name) = (TenantId::default(), "com.acme".to_string());
        self.store.apply(vec![StoreOp::DeleteDomain { tenant, name, at: self.now }]).unwrap();
    }

    /// Hands the same TAM another device, which speaks TEEP; gives back the one before.
    pub fn other_device(&mut self) -> Agent<MemoryPlatform> {
        let anchor = teep_anchor(OwnerId([2; 16]), self.tam_keys.clone());
        let seed = Seed {
            tams: vec![anchor],
            signers: vec![signer_anchor(self.signer.public_key())],
            peripherals: vec![],
            device_authority: None,
            device_owner: None,
        };
        self.seed += 1;
        let other = device(&self.pki, self.device_crypto, self.seed, &seed);
        std::mem::replace(&mut self.agent, other)
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
                    Output::Connect { tam_uri, protocol } => {
                        inputs.extend(self.post(&tam_uri, protocol, &[]))
                    }
                    Output::Transmit { tam_uri, protocol, message } => {
                        for message in self.carry(&assembled(protocol, message)) {
                            inputs.extend(self.post(&tam_uri, protocol, &message));
                        }
                    }
                    Output::Fetch { fetch, uri, .. } => match &self.bundle {
                        Some(data) if uri.starts_with(BUNDLE_SCHEME) => {
                            inputs.push(Input::Chunk { fetch, data: data.clone(), last: true });
                        }
                        _ => inputs.push(Input::FetchFailed { fetch }),
                    },
                    Output::Progress(_) => {}
                    Output::Finished(end) => finished = Some(end),
                }
            }
        }
        finished
    }

    /// POSTs to the TAM; gives what arrives at the Agent of its answer.
    fn post(&mut self, uri: &str, protocol: Protocol, body: &[u8]) -> Vec<Input> {
        // The other TAM answers at its own address.
        let elsewhere = if uri == OTHER_URI { self.other.take() } else { None };
        let Some((tam, store)) = elsewhere else { return self.ask(protocol, body) };
        let own = (std::mem::replace(&mut self.tam, tam), std::mem::replace(&mut self.store, store));
        let inputs = self.ask(protocol, body);
        let tam = std::mem::replace(&mut self.tam, own.0);
        self.other = Some((tam, std::mem::replace(&mut self.store, own.1)));
        inputs
    }

    fn ask(&mut self, protocol: Protocol, body: &[u8]) -> Vec<Input> {
        let tenant = TenantId::default();
        let reply = match protocol {
            Protocol::Teep => self.tam.respond(self.now, &self.store, tenant, body),
            Protocol::Otrp => self.tam.respond_otrp(self.now, &self.store, tenant, body, true),
        };
        match reply {
            Reply::Transmit { message, .. } => match (protocol, self.broker) {
                (Protocol::Otrp, Some(code)) => {
                    let lie = tamarack_otrp::broker::BrokerError::new(code).to_vec();
                    self.sent.push(lie.clone());
                    self.ask(protocol, &lie)
                }
                (Protocol::Otrp, None) => {
                    self.carry(&message).into_iter().map(Input::ProcessOtrpMessage).collect()
                }
                (Protocol::Teep, _) => {
                    self.carry(&message).into_iter().map(Input::ProcessTeepMessage).collect()
                }
            },
            Reply::Keys { message, .. } => {
                self.keys = Some(message);
                Vec::new()
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
        let id = tamarack_cose::thumbprint(
            &self.agent.platform().attestation_public_key(Persona(0)),
            &self.device_crypto,
        );
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
