//! The confidential cloud with its real TA on a real Agent: who gets the tenant's key, and who does not.

use std::sync::Arc;

use anyhow::Result;
use example_apps::cloud::{Carrier, KeyService, Tenant, Total, VAULT, Vault, vault};
use tamarack_agent::{
    Agent, AgentConfig, AnchorState, Input, Operations, Output, Principal, Seed, SessionId, SignerAnchor,
    TaName, TamAnchor,
};
use tamarack_attest::{Grade, Policy, ProviderRole, ReferenceProvider, References, TeeCa};
use tamarack_corim::{
    Class, ClassId, Comid, Corim, Digest, Environment, Id, MeasuredElement, Measurement, MeasurementValues,
    Profile, Signer, Triple,
};
use tamarack_cose::{Purpose, SignOptions, VerificationKey, thumbprint};
use tamarack_crypto::{Provider, Sign};
use tamarack_model::{Code, ComponentId, Hex, OwnerId, Protocol, UnixTime, codes};
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_tee::{Identity, Params, Persona, Platform};
use tamarack_teep::{CipherSuite, DataItems, Message, QueryRequest, SignedMessage, SuitCoseProfile, Update};
use tamarack_testkit::memory_platform::{MemoryPlatform, ed25519};
use tamarack_testkit::otrp_pki::{NOW, OtrpPki};
use tamarack_x509::Anchor;

const DOMAIN: &str = "com.acme";
const AGENT: &str = "urn:x-tamarack:agent";

fn crypto() -> Provider {
    tamarack_crypto_rustcrypto::provider()
}

fn key(label: &str) -> Box<dyn Sign> {
    ed25519(&crypto(), 1, label.as_bytes())
}

fn module() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../ta/built/vault.wasm")).unwrap()
}

/// The host: a device with the vault, driven by a scripted TAM.
struct Host {
    agent: Agent<MemoryPlatform>,
    now: UnixTime,
    session: Option<SessionId>,
}

impl Carrier for Host {
    fn invoke(&mut self, command: u32, mut params: Params) -> Result<Params> {
        let session = self.session.expect("a session");
        self.agent.invoke(self.now, session, command, &mut params).map_err(|e| anyhow::anyhow!("{e}"))?;
        Ok(params)
    }
}

impl Host {
    /// With this vault installed, on a device of the maker that runs the Agent with this digest.
    fn new(pki: &OtrpPki, module: Vec<u8>, agent: Option<[u8; 32]>) -> Self {
        let crypto = crypto();
        let mut platform = MemoryPlatform::new(crypto, 1);
        let identity = platform.identity(Persona(0)).unwrap().clone();
        let agent_digest = agent.unwrap_or(identity.agent_digest);
        platform = platform.with_identity(Identity { agent_digest, ..identity });
        let chain = pki.attestation_chain(platform.attestation_public_key(Persona(0)));
        platform = platform
            .with_certificate_chain(Persona(0), chain)
            .with_loader(Arc::new(tamarack_tee_sandbox::wasm::load));
        let seed = Seed {
            tams: vec![TamAnchor {
                owner: OwnerId([1; 16]),
                principal: Principal::Keys(vec![key("tam").public_key()]),
                otrp: None,
                protocol: Protocol::Teep,
                uri: Some("https://tam.example/tam".into()),
                scopes: vec![vec![]],
                require_binding: true,
                domains: 0,
                domain_quota: 0,
                persona: Persona(0),
                state: AnchorState::Active,
            }],
            signers: vec![SignerAnchor {
                provider: "acme".into(),
                principal: Principal::Keys(vec![key("signer").public_key()]),
                prefixes: vec![vec![DOMAIN.as_bytes().to_vec()]],
                operations: Operations::ALL,
                quota: 1 << 20,
                epoch: 0,
                state: AnchorState::Active,
            }],
            peripherals: Vec::new(),
            device_authority: None,
            device_owner: None,
        };
        Agent::enrol(&mut platform, &crypto, &seed).unwrap();
        let mut host =
            Self { agent: Agent::new(platform, crypto, AgentConfig::default()), now: NOW, session: None };
        host.install(module);
        let name = TaName::Uuid(VAULT);
        host.session = Some(host.agent.open_session(host.now, &name, None, &mut Params::new()).unwrap());
        host
    }

    fn install(&mut self, module: Vec<u8>) {
        let query = Message::QueryRequest(QueryRequest {
            challenge: Some(vec![7; 32]),
            supported_teep_cipher_suites: CipherSuite::MANDATORY.to_vec(),
            supported_suit_cose_profiles: SuitCoseProfile::LISTED.to_vec(),
            data_item_requested: DataItems::ATTESTATION,
            ..QueryRequest::default()
        });
        let Message::QueryResponse(response) = self.send(&query) else { panic!("a QueryResponse") };
        let suit = ComponentId::tamarack(DOMAIN, VAULT, "suit").unwrap();
        let payload = Payload::integrated("#ta", module, &crypto());
        let builder = Builder::new(suit, 1).component(Component::new(vault(DOMAIN), payload));
        let signer = key("signer");
        let kid = thumbprint(&signer.public_key(), &crypto());
        let options = SignOptions { kid: Some(&kid.0), ..SignOptions::default() };
        let envelope = builder.build(&crypto()).unwrap().sign(&*signer, &options).unwrap().envelope();
        let update = Message::Update(Update {
            token: Some(vec![5; 16]),
            manifest_list: vec![envelope],
            agent_nonce: response.agent_nonce,
            ..Update::default()
        });
        let answer = self.send(&update);
        assert!(matches!(answer, Message::Success(_)), "{answer:?}");
    }

    fn send(&mut self, message: &Message) -> Message {
        let signer = key("tam");
        let kid = thumbprint(&signer.public_key(), &crypto());
        let options = SignOptions { kid: Some(&kid.0), ..SignOptions::default() };
        let bytes = tamarack_teep::sign(message, &*signer, &options).unwrap();
        self.agent.handle(self.now, Input::ProcessTeepMessage(bytes)).unwrap();
        let mut answer = None;
        while let Some(output) = self.agent.poll_output() {
            if let Output::Transmit { message, .. } = output {
                answer =
                    Some(SignedMessage::parse(&message, &Default::default()).unwrap().unverified().unwrap());
            }
        }
        answer.expect("an answer")
    }
}

/// Reference values of one component, signed.
fn corim(signer: &str, tag: &str, environment: Environment, name: String, digest: [u8; 32]) -> Vec<u8> {
    let values = MeasurementValues { digests: vec![Digest::sha256(digest)], ..MeasurementValues::default() };
    let element = Some(MeasuredElement::Text(name));
    let measurement = Measurement { element, values, authorized_by: Vec::new() };
    let mut comid = Comid::new(Id::Text(tag.into()), 1);
    comid.reference_values.push(Triple { environment, measurements: vec![measurement] });
    let corim = Corim {
        profile: Some(Profile::Uri(tamarack_attest::REFERENCE_PROFILE.into())),
        ..Corim::new(Id::Text(format!("{tag}/1")), comid)
    };
    tamarack_corim::sign(&corim, &Signer::new(signer), &*key(signer), None).unwrap()
}

/// The key service of a tenant that wants the vault of acme, and TEEs of this maker.
fn service(pki: &OtrpPki, key_bytes: [u8; 32]) -> KeyService {
    let crypto = crypto();
    let platform = MemoryPlatform::new(crypto, 1);
    let identity = platform.identity(Persona(0)).unwrap();
    let maker = Environment {
        class: Some(Class {
            class_id: Some(ClassId::Uuid(identity.oemid)),
            vendor: Some(Hex(&identity.oemid).to_string()),
            model: Some(String::from_utf8(identity.hwmodel.clone()).unwrap()),
            ..Class::default()
        }),
        ..Environment::default()
    };
    let ta = tamarack_attest::ta_environment(&vault(DOMAIN));
    let provider = |name: &str, role, scope: &Environment| ReferenceProvider {
        name: name.into(),
        role,
        keys: vec![VerificationKey::new(key(name).public_key(), Purpose::ReferenceValues, &crypto)],
        scope: vec![scope.clone()],
        elements: None,
        cap: Grade::Hardware,
    };
    let mut references = References::new(vec![
        provider("maker", ProviderRole::Maker, &maker),
        provider("ta-signer", ProviderRole::TaSigner, &ta),
    ]);
    let released = [
        corim("maker", "firmware", maker, AGENT.into(), identity.agent_digest),
        corim("ta-signer", "vault", ta, vault(DOMAIN).to_string(), crypto.sha256(&module())),
    ];
    for signed in &released {
        references.add(signed, NOW, &crypto).unwrap();
    }
    let anchor = Anchor::from_der(pki.tee.cert_der()).unwrap();
    let policy = Policy::new(vec![TeeCa { anchor, cap: Grade::Software }], Grade::Software);
    KeyService::new(Tenant::new(key_bytes, crypto), policy, references, vault(DOMAIN))
}

const KEY: [u8; 32] = *b"the tenant's key, seen by nobody";

#[test]
fn a_released_vault_gets_the_key_and_adds_up() {
    let pki = OtrpPki::new(&crypto(), 1);
    let (mut host, mut service) = (Vault(Host::new(&pki, module(), None)), service(&pki, KEY));
    assert_eq!(host.status().unwrap(), (false, 0));
    let nonce = service.challenge(NOW).unwrap();
    let evidence = host.attest(&nonce).unwrap();
    let release = service.release(NOW, &evidence).unwrap();
    host.unlock(&release).unwrap();
    let tenant = Tenant::new(KEY, crypto());
    for (number, amount) in [(1, 1_000), (2, 337)] {
        assert_eq!(host.add(&tenant.seal(number, amount).unwrap()).unwrap(), number);
    }
    let total = host.total().unwrap();
    assert_eq!(tenant.open(&total).unwrap(), Total { records: 2, sum: 1_337 });
    assert!(Tenant::new([0; 32], crypto()).open(&total).is_err());
    // What passed the host shows neither key nor sum, and none of it is good for anything more.
    for passed in [&evidence, &release, &total] {
        assert!(!passed.windows(32).any(|window| window == KEY), "the key went past");
    }
    assert!(host.unlock(&release).is_err(), "a release came twice");
    assert_eq!(code(&mut service, &evidence), codes::EVIDENCE_STALE, "Evidence came twice");
}

#[track_caller]
fn code(service: &mut KeyService, evidence: &[u8]) -> Code {
    service.release(NOW, evidence).expect_err("the key was released").code
}

#[test]
fn a_changed_vault_gets_no_key() {
    let pki = OtrpPki::new(&crypto(), 1);
    // A custom section more: it does the same, and is another TA.
    let changed = [&module()[..], &[0, 2, 1, b'x']].concat();
    let mut service = service(&pki, KEY);
    let nonce = service.challenge(NOW).unwrap();
    let evidence = Vault(Host::new(&pki, changed, None)).attest(&nonce).unwrap();
    assert_eq!(code(&mut service, &evidence), codes::MEASUREMENT_MISMATCH);
}

#[test]
fn a_changed_agent_gets_no_key() {
    let pki = OtrpPki::new(&crypto(), 1);
    let mut service = service(&pki, KEY);
    let nonce = service.challenge(NOW).unwrap();
    let evidence = Vault(Host::new(&pki, module(), Some([0xd1; 32]))).attest(&nonce).unwrap();
    assert_eq!(code(&mut service, &evidence), codes::MEASUREMENT_MISMATCH);
}

#[test]
fn evidence_that_nobody_asked_for_gets_no_key() {
    let pki = OtrpPki::new(&crypto(), 1);
    let (mut host, mut service) = (Vault(Host::new(&pki, module(), None)), service(&pki, KEY));
    let foreign = host.attest(&[9; 32]).unwrap();
    assert_eq!(code(&mut service, &foreign), codes::EVIDENCE_STALE);
    // Too late.
    let nonce = service.challenge(NOW).unwrap();
    let evidence = host.attest(&nonce).unwrap();
    let late = service.release(NOW + 301, &evidence).unwrap_err();
    assert_eq!(late.code, codes::EVIDENCE_STALE);
    // A TEE of another maker.
    let nonce = service.challenge(NOW).unwrap();
    let other = OtrpPki::new(&crypto(), 1);
    let evidence = Vault(Host::new(&other, module(), None)).attest(&nonce).unwrap();
    assert_eq!(code(&mut service, &evidence), codes::EVIDENCE_UNTRUSTED);
    assert_eq!(code(&mut service, b"nothing at all").0 / 1000, 3);
}

/// The host hands in a key of its own: it learns nothing of what the tenant's key was for.
#[test]
fn the_hosts_own_key_opens_nothing() {
    let pki = OtrpPki::new(&crypto(), 1);
    let (mut host, mut service) = (Vault(Host::new(&pki, module(), None)), service(&pki, KEY));
    let nonce = service.challenge(NOW).unwrap();
    let evidence = host.attest(&nonce).unwrap();
    host.unlock(&service.release(NOW, &evidence).unwrap()).unwrap();
    let tenant = Tenant::new(KEY, crypto());
    host.add(&tenant.seal(1, 4_711).unwrap()).unwrap();

    let mut hosts = self::service(&pki, [0x68; 32]);
    let nonce = hosts.challenge(NOW).unwrap();
    let evidence = host.attest(&nonce).unwrap();
    host.unlock(&hosts.release(NOW, &evidence).unwrap()).unwrap();
    let own = Tenant::new([0x68; 32], crypto());
    assert_eq!(own.open(&host.total().unwrap()).unwrap(), Total { records: 0, sum: 0 });
    assert!(host.add(&tenant.seal(2, 1).unwrap()).is_err());
}
