//! A device, a TAM and a signer.

use std::collections::BTreeMap;
use std::sync::Arc;

use tamarack_agent::{
    Agent, AgentConfig, AnchorState, Finished, Input, Operations, Output, Peripheral, Principal, Seed,
    SignerAnchor, TamAnchor,
};
use tamarack_cose::{Purpose, SignOptions, VerificationKey, thumbprint};
use tamarack_crypto::{KeyType, Provider, Sign};
use tamarack_model::{Code, ComponentId, Outcome, OwnerId, Protocol, UnixTime};
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_suit::{Report, SignedReport};
use tamarack_tee::{Param, Params, Persona, TaError, TaInstance, TaReturn, TaServices};
use tamarack_teep::{
    CipherSuite, DataItems, ErrCode, ErrorMessage, Message, QueryRequest, QueryResponse, SignedMessage,
    SuitCoseProfile, Update,
};
use tamarack_testkit::memory_platform::{MemoryPlatform, MemoryStorage, OtrpDevice, ed25519};

pub const NOW: UnixTime = 1_800_000_000;
pub const OWNER: OwnerId = OwnerId([1; 16]);
pub const OTHER: OwnerId = OwnerId([2; 16]);
pub const TAM_URI: &str = "https://tam.example/tam";
pub const OTHER_URI: &str = "https://other.example/tam";
pub const WALLET: [u8; 16] = [0x11; 16];
pub const VALVE: [u8; 16] = [0x22; 16];

pub fn provider() -> Provider {
    tamarack_crypto_rustcrypto::provider()
}

/// The key number `seed` for `label`.
pub fn key(seed: u8, label: &str) -> Box<dyn Sign> {
    ed25519(&provider(), seed, label.as_bytes())
}

pub fn id(domain: &str, uuid: [u8; 16], kind: &str) -> ComponentId {
    ComponentId::tamarack(domain, uuid, kind).unwrap()
}

pub fn wallet(kind: &str) -> ComponentId {
    id("com.acme", WALLET, kind)
}

/// The anchor of a TAM. An Owner's persona is one less than the number that its id consists of.
pub fn tam_anchor(owner: OwnerId, signer: &dyn Sign, uri: &str) -> TamAnchor {
    TamAnchor {
        owner,
        principal: Principal::Keys(vec![signer.public_key()]),
        otrp: None,
        protocol: Protocol::Teep,
        uri: Some(uri.into()),
        scopes: vec![vec![]],
        require_binding: true,
        domains: 0,
        domain_quota: 0,
        persona: Persona(u32::from(owner.0[0]) - 1),
        state: AnchorState::Active,
    }
}

pub fn signer_anchor(provider: &str, signer: &dyn Sign, prefix: &str) -> SignerAnchor {
    SignerAnchor {
        provider: provider.into(),
        principal: Principal::Keys(vec![signer.public_key()]),
        prefixes: vec![vec![prefix.as_bytes().to_vec()]],
        operations: Operations::ALL,
        quota: 1 << 20,
        epoch: 0,
        state: AnchorState::Active,
    }
}

/// Two TAMs, two providers, a device authority and a valve.
pub fn seed() -> Seed {
    Seed {
        tams: vec![
            tam_anchor(OWNER, &*key(1, "tam"), TAM_URI),
            tam_anchor(OTHER, &*key(2, "tam"), OTHER_URI),
        ],
        signers: vec![
            signer_anchor("acme", &*key(1, "signer"), "com.acme"),
            signer_anchor("globex", &*key(2, "signer"), "com.globex"),
        ],
        peripherals: vec![Peripheral {
            name: "valve".into(),
            owner: OWNER,
            manifest: id("com.acme", VALVE, "suit"),
        }],
        device_authority: Some(key(1, "authority").public_key()),
        device_owner: None,
    }
}

/// What a TAM scripts: an Update in the making.
#[derive(Clone, Default)]
pub struct Script {
    pub install: Vec<Vec<u8>>,
    pub remove: Vec<ComponentId>,
    /// Instead of the nonce of the last QueryResponse.
    pub nonce: Option<Option<[u8; 16]>>,
    /// Instead of a new one.
    pub token: Option<Vec<u8>>,
    pub err_code: Option<ErrCode>,
}

impl Script {
    pub fn install(envelope: Vec<u8>) -> Self {
        Self { install: vec![envelope], ..Self::default() }
    }

    pub fn remove(manifest: ComponentId) -> Self {
        Self { remove: vec![manifest], ..Self::default() }
    }
}

/// What came of handing something to the Agent.
#[derive(Debug)]
pub struct Reply {
    pub message: Option<Message>,
    pub bytes: Vec<u8>,
    pub finished: Option<Finished>,
}

impl Reply {
    #[track_caller]
    pub fn error(&self) -> &ErrorMessage {
        match &self.message {
            Some(Message::Error(error)) => error,
            other => panic!("expected an Error, got {other:?}"),
        }
    }

    pub fn outcome(&self) -> Option<&Outcome> {
        self.finished.as_ref().map(|finished| &finished.outcome)
    }

    #[track_caller]
    pub fn expect_success(&self) {
        assert!(matches!(self.message, Some(Message::Success(_))), "{self:?}");
        assert!(!matches!(self.outcome(), Some(Outcome::Refused(_))), "{self:?}");
    }

    /// The reports in it, each verified with the device's report key.
    pub fn reports(&self, seed: u8) -> Vec<Report> {
        let reports = match &self.message {
            Some(Message::Error(error)) => &error.suit_reports,
            Some(Message::Success(success)) => &success.suit_reports,
            other => panic!("no reports in {other:?}"),
        };
        let key = VerificationKey::new(key(seed, "report").public_key(), Purpose::SuitReport, &provider());
        let read = |bytes: &Vec<u8>| {
            let report = SignedReport::parse(bytes, &tamarack_cbor::Limits::default()).unwrap();
            report.verify(std::slice::from_ref(&key), &provider()).unwrap().into_value()
        };
        reports.iter().map(read).collect()
    }
}

pub struct World {
    pub agent: Agent<MemoryPlatform>,
    pub device: u8,
    pub now: UnixTime,
    pub tam: Box<dyn Sign>,
    pub tam_chain: Vec<Vec<u8>>,
    pub payloads: BTreeMap<String, Vec<u8>>,
    pub fetched: Vec<String>,
    pub nonce: Option<[u8; 16]>,
    /// What the device is in OTrP.
    pub otrp: Option<OtrpDevice>,
    tokens: u8,
}

pub fn platform(device: u8, storage: MemoryStorage) -> MemoryPlatform {
    MemoryPlatform::open(provider(), device, storage).with_loader(Arc::new(|module, _| {
        if module.starts_with(b"not a TA") {
            return Err(TaError::Invalid("not a TA".into()));
        }
        Ok(Box::new(FakeTa { module: module.to_vec() }))
    }))
}

impl World {
    pub fn new() -> Self {
        Self::with_seed(1, &seed())
    }

    pub fn with_seed(device: u8, seed: &Seed) -> Self {
        let mut platform = platform(device, MemoryStorage::default());
        Agent::enrol(&mut platform, &provider(), seed).unwrap();
        Self::on(device, platform)
    }

    pub fn on(device: u8, platform: MemoryPlatform) -> Self {
        Self {
            agent: Agent::new(platform, provider(), AgentConfig::default()),
            device,
            now: NOW,
            tam: key(1, "tam"),
            tam_chain: Vec::new(),
            payloads: BTreeMap::new(),
            fetched: Vec::new(),
            nonce: None,
            otrp: None,
            tokens: 0,
        }
    }

    /// The same device after a restart.
    pub fn restart(&mut self) {
        self.restart_with(AgentConfig::default());
    }

    /// The same with another configuration.
    pub fn restart_with(&mut self, config: AgentConfig) {
        let platform = platform(self.device, self.storage());
        let platform = match self.otrp.clone() {
            Some(otrp) => platform.with_otrp(self.device, otrp),
            None => platform,
        };
        self.agent = Agent::new(platform, provider(), config);
    }

    pub fn storage(&self) -> MemoryStorage {
        self.agent.platform().storage()
    }

    pub fn digest(&self) -> [u8; 32] {
        self.agent.state_root().digest
    }

    /// Hands `input` in and plays Broker until nothing is left to do.
    pub fn drive(&mut self, input: Input) -> Reply {
        self.agent.handle(self.now, input).unwrap();
        self.settle()
    }

    /// Plays Broker until nothing is left to do.
    pub fn settle(&mut self) -> Reply {
        let mut reply = Reply { message: None, bytes: Vec::new(), finished: None };
        while let Some(output) = self.agent.poll_output() {
            match output {
                Output::Connect { .. } | Output::Progress(_) => {}
                Output::Transmit { protocol: Protocol::Otrp, message, .. } => reply.bytes = message,
                Output::Transmit { protocol: Protocol::Teep, message, .. } => {
                    let signed = SignedMessage::parse(&message, &tamarack_cbor::Limits::default()).unwrap();
                    reply.message = Some(signed.unverified().unwrap());
                    reply.bytes = message;
                }
                Output::Fetch { fetch, uri, .. } => {
                    let payload = self.payloads.get(&uri).cloned();
                    self.fetched.push(uri);
                    self.feed(fetch, payload);
                }
                Output::Finished(finished) => reply.finished = Some(finished),
            }
        }
        reply
    }

    fn feed(&mut self, fetch: u64, payload: Option<Vec<u8>>) {
        let Some(payload) = payload else {
            return self.agent.handle(self.now, Input::FetchFailed { fetch }).unwrap();
        };
        let mut chunks = payload.chunks(100).peekable();
        while let Some(chunk) = chunks.next() {
            let input = Input::Chunk { fetch, data: chunk.to_vec(), last: chunks.peek().is_none() };
            if self.agent.handle(self.now, input).is_err() {
                return;
            }
        }
    }

    /// Signs as the TAM of this world.
    pub fn sign(&self, message: &Message) -> Vec<u8> {
        let kid = thumbprint(&self.tam.public_key(), &provider());
        let options = match self.tam_chain.is_empty() {
            true => SignOptions { kid: Some(&kid.0), ..SignOptions::default() },
            false => SignOptions { x5chain: &self.tam_chain, ..SignOptions::default() },
        };
        tamarack_teep::sign(message, &*self.tam, &options).unwrap()
    }

    pub fn send(&mut self, message: &Message) -> Reply {
        let bytes = self.sign(message);
        self.drive(Input::ProcessTeepMessage(bytes))
    }

    pub fn query_request(&self) -> QueryRequest {
        QueryRequest {
            token: None,
            supported_freshness_mechanisms: Vec::new(),
            challenge: Some(vec![7; 32]),
            versions: vec![0],
            attestation_payload_format: None,
            attestation_payload: None,
            suit_reports: Vec::new(),
            evidence_key: None,
            supported_teep_cipher_suites: CipherSuite::MANDATORY.to_vec(),
            supported_suit_cose_profiles: SuitCoseProfile::LISTED.to_vec(),
            data_item_requested: DataItems::ALL,
        }
    }

    /// A whole query; keeps the Agent's nonce for the next Update.
    pub fn query(&mut self) -> QueryResponse {
        let reply = self.send(&Message::QueryRequest(self.query_request()));
        match reply.message {
            Some(Message::QueryResponse(response)) => {
                self.nonce = response.agent_nonce;
                response
            }
            _ => panic!("expected a QueryResponse: {reply:?}"),
        }
    }

    /// The Update that a script makes, signed.
    pub fn update_bytes(&mut self, script: Script) -> Vec<u8> {
        self.tokens += 1;
        let token = script.token.unwrap_or_else(|| vec![self.tokens; 16]);
        let agent_nonce = script.nonce.unwrap_or(self.nonce.take());
        self.sign(&Message::Update(Update {
            token: Some(token),
            unneeded_manifest_list: script.remove,
            manifest_list: script.install,
            attestation_payload_format: None,
            attestation_payload: None,
            err_code: script.err_code,
            err_msg: None,
            err_lang: None,
            agent_nonce,
        }))
    }

    /// Sends an Update in the exchange that is open.
    pub fn update(&mut self, script: Script) -> Reply {
        let bytes = self.update_bytes(script);
        self.drive(Input::ProcessTeepMessage(bytes))
    }

    /// Query and Update.
    pub fn exchange(&mut self, script: Script) -> Reply {
        self.query();
        self.update(script)
    }

    /// Installs the wallet with this sequence number.
    #[track_caller]
    pub fn install_wallet(&mut self, sequence: u64) {
        self.exchange(Script::install(wallet_envelope(sequence))).expect_success();
    }

    /// Sends `script` in an exchange of its own and checks that it is refused with `code` and changes nothing.
    #[track_caller]
    pub fn refused(&mut self, script: Script, err_code: ErrCode, code: Code) -> Reply {
        self.query();
        self.refused_now(script, err_code, code)
    }

    /// The same in the exchange that is open.
    #[track_caller]
    pub fn refused_now(&mut self, script: Script, err_code: ErrCode, code: Code) -> Reply {
        let bytes = self.update_bytes(script);
        self.refused_message(bytes, err_code, code)
    }

    #[track_caller]
    pub fn refused_message(&mut self, bytes: Vec<u8>, err_code: ErrCode, code: Code) -> Reply {
        let (before, blobs) = (self.digest(), self.storage().blobs());
        let reply = self.drive(Input::ProcessTeepMessage(bytes));
        assert_eq!(reply.error().err_code, err_code, "{reply:?}");
        assert_eq!(reply.outcome(), Some(&Outcome::Refused(code)), "{reply:?}");
        assert_eq!(self.digest(), before, "a refusal changed the device");
        assert_eq!(self.storage().blobs(), blobs, "a refusal left payloads behind");
        reply
    }

    /// Opens a session with the wallet, calls one command, closes.
    pub fn call(&mut self, command: u32, params: &mut Params) -> Result<(), tamarack_agent::Error> {
        self.call_ta(WALLET, command, params)
    }

    pub fn call_ta(
        &mut self,
        uuid: [u8; 16],
        command: u32,
        params: &mut Params,
    ) -> Result<(), tamarack_agent::Error> {
        let name = tamarack_agent::TaName::Uuid(uuid);
        let session = self.agent.open_session(self.now, &name, Some(TAM_URI), &mut Params::new())?;
        self.agent.invoke(self.now, session, command, params)?;
        self.agent.close_session(self.now, session)
    }

    /// Has the wallet do something with `inputs`; gives what comes out.
    pub fn prove(&mut self, command: u32, inputs: &[&[u8]]) -> Result<Vec<u8>, tamarack_agent::Error> {
        let mut params: Params = inputs.iter().map(|input| Param::MemrefInput(input.to_vec())).collect();
        self.call(command, &mut params)?;
        match params.pop() {
            Some(Param::MemrefOutput { data, .. }) => Ok(data),
            other => panic!("{other:?}"),
        }
    }

    /// Adds one to the wallet's counter and gives it.
    #[track_caller]
    pub fn count(&mut self) -> u32 {
        let mut params = vec![Param::ValueOutput(0, 0)];
        self.call(COUNT, &mut params).unwrap();
        match params[0] {
            Param::ValueOutput(count, _) => count,
            _ => unreachable!(),
        }
    }
}

/// The manifest of the wallet, with an integrated payload that names the sequence number.
pub fn wallet_envelope(sequence: u64) -> Vec<u8> {
    envelope(1, &wallet("suit"), &wallet("ta"), sequence, format!("wallet {sequence}").as_bytes())
}

/// A manifest with one component, signed by the signer number `signer`.
pub fn envelope(
    signer: u8,
    manifest: &ComponentId,
    component: &ComponentId,
    sequence: u64,
    content: &[u8],
) -> Vec<u8> {
    let payload = Payload::integrated("#ta", content.to_vec(), &provider());
    sign_manifest(signer, builder(manifest, component, sequence, payload))
}

pub fn builder(manifest: &ComponentId, component: &ComponentId, sequence: u64, payload: Payload) -> Builder {
    Builder::new(manifest.clone(), sequence).component(Component::new(component.clone(), payload))
}

pub fn sign_manifest(signer: u8, builder: Builder) -> Vec<u8> {
    let key = key(signer, "signer");
    let kid = thumbprint(&key.public_key(), &provider());
    let options = SignOptions { kid: Some(&kid.0), ..SignOptions::default() };
    builder.build(&provider()).unwrap().sign(&*key, &options).unwrap().envelope()
}

/// Adds one to the object "count", made at first use; value output: the count.
pub const COUNT: u32 = 1;
/// Writes the object "count" and stops abnormally.
pub const PANIC: u32 = 2;
/// Adds one to the count and returns an error.
pub const REFUSE: u32 = 3;
/// Sends the input to the peripheral "valve"; memory output: its answer.
pub const ACTUATE: u32 = 4;
/// Memory output: its module.
pub const MODULE: u32 = 5;
/// Makes the key "k" if there is none, signs the input; memory output: the signature.
pub const SIGN: u32 = 6;

/// Memory output: what it was personalized with.
pub const PERSONALIZATION: u32 = 7;

/// Makes the key "a" that others encrypt to, if there is none. Memory inputs: a nonce, the name of a key or nothing; memory
/// output: Evidence.
pub const ATTEST: u32 = 8;
/// Memory inputs: the name of a key, a message to it; memory output: what is in it.
pub const DECRYPT: u32 = 9;
/// Memory input: a question; value output: the answer.
pub const CONFIRM: u32 = 10;
/// Memory input: the name of a key; memory output: a signature of it over nothing.
pub const SIGN_WITH: u32 = 11;
/// Memory inputs: an object's name and content.
pub const KEEP: u32 = 12;
/// Memory inputs: the name of an object that is a key, a context, data; the data comes back sealed, or unsealed if it opens.
pub const SEAL: u32 = 13;

/// A TA in Rust.
struct FakeTa {
    module: Vec<u8>,
}

/// What a TA does to prove itself, and with what is meant for it alone.
fn proving(services: &mut dyn TaServices, command: u32, params: &mut Params) -> Result<(), TaReturn> {
    let inputs: Vec<Vec<u8>> = params
        .iter()
        .filter_map(|param| match param {
            Param::MemrefInput(data) => Some(data.clone()),
            _ => None,
        })
        .collect();
    let data = match (command, &inputs[..]) {
        (ATTEST, [nonce, key]) => {
            match services.generate_agreement_key(b"a") {
                Ok(()) | Err(TaReturn::ACCESS_CONFLICT) => {}
                Err(e) => return Err(e),
            }
            services.attest(nonce, (!key.is_empty()).then_some(key))?
        }
        (DECRYPT, [key, message]) => services.decrypt(key, message)?,
        (CONFIRM, [question]) => vec![u8::from(services.confirm(std::str::from_utf8(question).unwrap())?)],
        (SIGN_WITH, [key]) => services.sign(key, b"")?.to_vec(),
        (KEEP, [name, content]) => services.write_object(name, content).map(|()| Vec::new())?,
        (SEAL, [key, context, data]) => match services.unseal(key, context, data) {
            Err(TaReturn::MAC_INVALID) => services.seal(key, context, data)?,
            opened => opened?,
        },
        _ => return Err(TaReturn::BAD_PARAMETERS),
    };
    params.push(Param::MemrefOutput { capacity: 4096, data });
    Ok(())
}

fn count(services: &mut dyn TaServices) -> Result<u32, TaError> {
    let stored = match services.read_object(b"count") {
        Ok(stored) => u32::from_be_bytes(stored.try_into().unwrap()),
        Err(TaReturn::ITEM_NOT_FOUND) => 0,
        Err(e) => return Err(TaError::Returned(e)),
    };
    services.write_object(b"count", &(stored + 1).to_be_bytes()).map_err(TaError::Returned)?;
    Ok(stored + 1)
}

impl TaInstance for FakeTa {
    fn create(&mut self, _: &mut dyn TaServices) -> Result<(), TaError> {
        Ok(())
    }

    fn open_session(&mut self, services: &mut dyn TaServices, _: &mut Params) -> Result<u32, TaError> {
        services.log("opened");
        Ok(1)
    }

    fn invoke(
        &mut self,
        services: &mut dyn TaServices,
        _session: u32,
        command: u32,
        params: &mut Params,
    ) -> Result<(), TaError> {
        match command {
            COUNT => params[0] = Param::ValueOutput(count(services)?, 0),
            PANIC => {
                count(services)?;
                return Err(TaError::Panic("told to".into()));
            }
            REFUSE => {
                count(services)?;
                return Err(TaError::Returned(TaReturn::ACCESS_DENIED));
            }
            ACTUATE => {
                let Param::MemrefInput(command) = &params[0] else { unreachable!() };
                let data = services.peripheral(b"valve", command).map_err(TaError::Returned)?;
                params[1] = Param::MemrefOutput { capacity: 16, data };
            }
            MODULE => params[0] = Param::MemrefOutput { capacity: 64, data: self.module.clone() },
            SIGN => {
                match services.generate_key(b"k", KeyType::P256) {
                    Ok(()) | Err(TaReturn::ACCESS_CONFLICT) => {}
                    Err(e) => return Err(TaError::Returned(e)),
                }
                let public = services.public_key(b"k").map_err(TaError::Returned)?;
                let Param::MemrefInput(message) = &params[0] else { unreachable!() };
                let signature = services.sign(b"k", message).map_err(TaError::Returned)?;
                params[1] = Param::MemrefOutput { capacity: 64, data: signature.to_vec() };
                params[2] = Param::MemrefOutput { capacity: 65, data: public.to_point() };
            }
            PERSONALIZATION => {
                let data = services.read_object(b"personalization").map_err(TaError::Returned)?;
                params[0] = Param::MemrefOutput { capacity: 64, data };
            }
            ATTEST | DECRYPT | CONFIRM | SIGN_WITH | KEEP | SEAL => {
                return proving(services, command, params).map_err(TaError::Returned);
            }
            _ => return Err(TaError::Returned(TaReturn::NOT_SUPPORTED)),
        }
        Ok(())
    }

    fn close_session(&mut self, _: &mut dyn TaServices, _session: u32) -> Result<(), TaError> {
        Ok(())
    }

    fn destroy(&mut self, _: &mut dyn TaServices) -> Result<(), TaError> {
        Ok(())
    }
}
