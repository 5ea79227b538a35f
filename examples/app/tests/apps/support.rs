//! A device in memory with a real Agent, and the one TAM and the one signer that it knows.

use std::sync::Arc;

use anyhow::Result;
use example_apps::Carrier;
use tamarack_agent::{
    Agent, AgentConfig, AnchorState, Error, Input, Operations, Output, Principal, Seed, SessionId,
    SignerAnchor, TaName, TamAnchor,
};
use tamarack_cose::{SignOptions, thumbprint};
use tamarack_crypto::{Provider, Sign};
use tamarack_model::{ComponentId, OwnerId, Protocol};
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_tee::{Param, Params, Persona, TaError};
use tamarack_teep::{CipherSuite, DataItems, Message, QueryRequest, SignedMessage, SuitCoseProfile, Update};
use tamarack_testkit::memory_platform::{MemoryPlatform, ed25519};
pub use tamarack_testkit::otrp_pki::NOW;

pub const DOMAIN: &str = "com.acme";

pub fn crypto() -> Provider {
    tamarack_crypto_rustcrypto::provider()
}

pub fn key(label: &str) -> Box<dyn Sign> {
    ed25519(&crypto(), 1, label.as_bytes())
}

/// A TA as it is committed.
pub fn built(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../ta/built/{name}.wasm", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A device, and a session with its TA. `said` gathers every byte that leaves the TEE.
pub struct Device {
    pub agent: Agent<MemoryPlatform>,
    pub said: Vec<u8>,
    uuid: [u8; 16],
    session: Option<SessionId>,
    token: u8,
}

impl Carrier for &mut Device {
    fn invoke(&mut self, command: u32, mut params: Params) -> Result<Result<Params, u32>> {
        let session = match self.session {
            Some(session) => session,
            None => self.agent.open_session(NOW, &TaName::Uuid(self.uuid), None, &mut Params::new())?,
        };
        self.session = Some(session);
        let returned = self.agent.invoke(NOW, session, command, &mut params);
        for param in &params {
            if let Param::MemrefOutput { data, .. } = param {
                self.said.extend_from_slice(data);
            }
        }
        match returned {
            Ok(()) => Ok(Ok(params)),
            Err(Error::Ta(TaError::Returned(code))) => Ok(Err(code.0)),
            Err(e) => Err(e.into()),
        }
    }
}

impl Device {
    /// With the TA of this UUID installed.
    pub fn new(platform: MemoryPlatform, uuid: [u8; 16], module: Vec<u8>) -> Self {
        let mut platform = platform.with_loader(Arc::new(tamarack_tee_sandbox::wasm::load));
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
        Agent::enrol(&mut platform, &crypto(), &seed).unwrap();
        let agent = Agent::new(platform, crypto(), AgentConfig::default());
        let mut device = Self { agent, said: Vec::new(), uuid, session: None, token: 0 };
        let payload = Payload::integrated("#ta", module, &crypto());
        let id = |kind| ComponentId::tamarack(DOMAIN, uuid, kind).unwrap();
        assert!(device.update(&Builder::new(id("suit"), 1).component(Component::new(id("ta"), payload))));
        device
    }

    /// Has the device carry out a manifest; whether it did.
    pub fn update(&mut self, manifest: &Builder) -> bool {
        let query = Message::QueryRequest(QueryRequest {
            challenge: Some(vec![7; 32]),
            supported_teep_cipher_suites: CipherSuite::MANDATORY.to_vec(),
            supported_suit_cose_profiles: SuitCoseProfile::LISTED.to_vec(),
            data_item_requested: DataItems::ATTESTATION,
            ..QueryRequest::default()
        });
        let Message::QueryResponse(response) = self.send(&query) else { panic!("a QueryResponse") };
        let signer = key("signer");
        let kid = thumbprint(&signer.public_key(), &crypto());
        let options = SignOptions { kid: Some(&kid.0), ..SignOptions::default() };
        let envelope = manifest.build(&crypto()).unwrap().sign(&*signer, &options).unwrap().envelope();
        self.token += 1;
        let update = Message::Update(Update {
            token: Some(vec![self.token; 16]),
            manifest_list: vec![envelope],
            agent_nonce: response.agent_nonce,
            ..Update::default()
        });
        // An Update closes the sessions with what it replaces.
        self.session = None;
        matches!(self.send(&update), Message::Success(_))
    }

    fn send(&mut self, message: &Message) -> Message {
        let signer = key("tam");
        let kid = thumbprint(&signer.public_key(), &crypto());
        let options = SignOptions { kid: Some(&kid.0), ..SignOptions::default() };
        let bytes = tamarack_teep::sign(message, &*signer, &options).unwrap();
        self.agent.handle(NOW, Input::ProcessTeepMessage(bytes)).unwrap();
        let mut answer = None;
        while let Some(output) = self.agent.poll_output() {
            self.said.extend_from_slice(format!("{output:?}").as_bytes());
            if let Output::Transmit { message, .. } = output {
                self.said.extend_from_slice(&message);
                let signed = SignedMessage::parse(&message, &Default::default()).unwrap();
                answer = Some(signed.unverified().unwrap());
            }
        }
        answer.expect("an answer")
    }
}
