//! Agent and TAM in one process under one fake clock, with a link between them that tests can make hostile.

mod app;
pub mod link;
mod others;
mod publish;
mod setup;

use tamarack_agent::{
    Agent, BUNDLE_SCHEME, Finished, Input, Output, Peripheral, Seed, SignerAnchor, TamAnchor,
};
use tamarack_crypto::{Provider, PublicKey, Secret, Sign};
use tamarack_model::{ComponentId, OwnerId, Protocol, Sha256Digest, UnixTime};
use tamarack_otrp::ErrorCode as BrokerErrorCode;
use tamarack_store::{
    CatalogueEntry, MemoryStore, Provider as ServiceProvider, Read, Store, StoreOp, TenantId,
};
use tamarack_tam::{ChallengeKey, Reply, Tam, TamConfig, TamSigner};
use tamarack_tee::{Persona, StateRoot};
use tamarack_testkit::memory_platform::MemoryPlatform;
use tamarack_testkit::otrp_pki::OtrpPki;

pub use link::Delivery;
use link::{Link, honest};
// No test uses all of them.
#[allow(unused_imports)]
pub use publish::{envelope, publish};
#[allow(unused_imports)]
pub use setup::{authority, developer, device, device_owner, policy, signer_anchor, teep_anchor};
use setup::{maker, otrp_config, principal, tam_keys};

pub const NOW: UnixTime = 1_800_000_000;
pub const TAM_URI: &str = "https://tam.example/tam";
/// Where the other TAM is, if there is one.
pub const OTHER_URI: &str = "https://other.example/tam";
const WALLET: [u8; 16] = [0x11; 16];
pub const VALVE: [u8; 16] = [0x51; 16];

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

/// Number of the first device.
const DEVICE: u8 = 1;

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
    /// What the Broker says to each of its TAM's messages of OTrP instead of handing it on, if anything.
    pub broker: Option<BrokerErrorCode>,
    /// The keys of providers that the TAM signed at the end of the latest exchange.
    pub keys: Option<Vec<u8>>,
    /// What an application brought along, if it did.
    pub bundle: Option<Vec<u8>>,
    /// Another TAM of the device, at [`OTHER_URI`], with its store.
    pub other: Option<(Tam, MemoryStore)>,
    seed: u8,
    tam_keys: Vec<PublicKey>,
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
        let signer = developer(&tamarack_crypto_aws_lc::provider()).public_key();
        let mut pair = Self::speaking(Protocol::Otrp, &[signer_anchor(signer)]);
        pair.create_domain();
        pair
    }

    /// A pair with the wallet published and not installed, what was published, and how many messages an honest installation
    /// takes.
    pub fn published(new: fn() -> Self) -> (Self, CatalogueEntry, usize) {
        let mut honest = new();
        honest.publish(1, 1);
        honest.request();
        let messages = honest.sent.len();
        let pair = new();
        let publication = pair.publish(1, 1);
        (pair, publication, messages)
    }

    fn speaking(protocol: Protocol, more_signers: &[SignerAnchor]) -> Self {
        let (crypto, device_crypto) =
            (tamarack_crypto_aws_lc::provider(), tamarack_crypto_rustcrypto::provider());
        let pki = OtrpPki::new(&crypto, 1);
        let second_maker = OtrpPki::new(&crypto, 0);
        let policy = policy(&[&pki, &second_maker]);
        let tam_keys = tam_keys(&crypto);
        let public_keys: Vec<_> = tam_keys.iter().map(|key| key.public_key()).collect();
        let tam_anchor = TamAnchor {
            otrp: (protocol == Protocol::Otrp).then(|| principal(&pki.tams[0])),
            protocol,
            domains: 4,
            domain_quota: 1 << 20,
            ..teep_anchor(OwnerId([1; 16]), public_keys.clone())
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
        Self {
            agent,
            tam,
            store,
            now: NOW,
            link: honest(),
            sent: Vec::new(),
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

    /// Where the valve is.
    pub fn valve_position(&self) -> Vec<u8> {
        self.agent.status().unwrap().peripherals.remove(0).1
    }

    /// How many wallets there are on the device, of all Owners.
    pub fn wallets(&self) -> usize {
        let status = self.agent.status().unwrap();
        status.components.iter().filter(|c| c.component == wallet("ta")).count()
    }

    /// The certificates that the device shows with its Evidence.
    pub fn chain_of_the_device(&self) -> Vec<Vec<u8>> {
        self.pki.attestation_chain(self.agent.platform().attestation_public_key(Persona(0)))
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

    /// SHA-256 of the installed wallet.
    pub fn held(&self) -> Option<Sha256Digest> {
        let status = self.agent.status().unwrap();
        status.components.iter().find(|c| c.component == wallet("ta")).map(|c| c.digest)
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
}
