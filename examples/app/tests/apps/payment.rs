//! The payment with its real TA on a real Agent: card data from the bank, a person's word, and who gets neither.

use std::sync::Arc;

use anyhow::Result;
use example_apps::payment::{Bank, CARD, Carrier, Charge, NOT_CONFIRMED, WALLET, Wallet, wallet};
use tamarack_agent::{
    Agent, AgentConfig, AnchorState, Error, Input, Operations, Output, Principal, Seed, SignerAnchor, TaName,
    TamAnchor,
};
use tamarack_cose::{Recipient, SignOptions, To, thumbprint};
use tamarack_crypto::{Provider, Sign};
use tamarack_model::{ComponentId, OwnerId, Protocol, UnixTime};
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_tee::{Param, Params, Persona, Platform, TaError};
use tamarack_teep::{CipherSuite, DataItems, Message, QueryRequest, SignedMessage, SuitCoseProfile, Update};
use tamarack_testkit::memory_platform::{MemoryPlatform, ed25519};

const DOMAIN: &str = "com.acme";
const PAN: &str = "4012888888881881";
const NOW: UnixTime = 1_800_000_000;
const NOT_SUPPORTED: u32 = 0xffff_000a;

fn crypto() -> Provider {
    tamarack_crypto_rustcrypto::provider()
}

fn key(label: &str) -> Box<dyn Sign> {
    ed25519(&crypto(), 1, label.as_bytes())
}

fn id(kind: &str) -> ComponentId {
    ComponentId::tamarack(DOMAIN, WALLET, kind).unwrap()
}

/// A phone with the wallet. `said` gathers every byte that leaves its TEE.
struct Phone {
    agent: Agent<MemoryPlatform>,
    said: Vec<u8>,
    token: u8,
}

impl Carrier for &mut Phone {
    fn invoke(&mut self, command: u32, mut params: Params) -> Result<Result<Params, u32>> {
        let name = TaName::Uuid(WALLET);
        let session = self.agent.open_session(NOW, &name, None, &mut Params::new())?;
        let returned = self.agent.invoke(NOW, session, command, &mut params);
        self.agent.close_session(NOW, session)?;
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

impl Phone {
    /// With the wallet, and a person who answers so; none without a panel.
    fn new(device: u8, answer: Option<bool>) -> Self {
        let crypto = crypto();
        let mut platform =
            MemoryPlatform::new(crypto, device).with_loader(Arc::new(tamarack_tee_sandbox::wasm::load));
        if let Some(answer) = answer {
            platform = platform.with_answer(answer);
        }
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
        let agent = Agent::new(platform, crypto, AgentConfig::default());
        let mut phone = Self { agent, said: Vec::new(), token: 0 };
        let module = concat!(env!("CARGO_MANIFEST_DIR"), "/../ta/built/wallet-v2.wasm");
        let payload = Payload::integrated("#ta", std::fs::read(module).unwrap(), &crypto);
        let install = Builder::new(id("suit"), 1).component(Component::new(wallet(DOMAIN), payload));
        assert!(phone.update(&install));
        phone
    }

    /// What `tamarack ta personalize` makes of a card for another phone's key.
    fn card_for(&self, card: &[u8], sequence: u64) -> Builder {
        let key = self.agent.platform().decryption_key(Persona(0)).unwrap().public_key();
        let to = [To::Key(Recipient { key: &key, kid: None })];
        let payload = Payload::sealed(card, &to, &crypto()).unwrap();
        Builder::new(id("data.suit"), sequence)
            .component(Component::new(id(ComponentId::PERSONALIZATION), payload))
    }

    /// Has the device carry out a manifest; whether it did.
    fn update(&mut self, manifest: &Builder) -> bool {
        let query = Message::QueryRequest(QueryRequest {
            supported_teep_cipher_suites: CipherSuite::MANDATORY.to_vec(),
            supported_suit_cose_profiles: SuitCoseProfile::LISTED.to_vec(),
            data_item_requested: DataItems::TRUSTED_COMPONENTS,
            token: Some(vec![9; 16]),
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

    fn wallet(&mut self) -> Wallet<&mut Self> {
        Wallet(self)
    }
}

fn bank() -> (Bank, Vec<u8>) {
    let mut bank = Bank::new(crypto());
    let card = bank.issue(PAN, "12/29").unwrap().expose().clone();
    (bank, card)
}

#[test]
fn a_card_pays_and_its_number_stays_inside() {
    let (mut bank, card) = bank();
    let mut phone = Phone::new(1, Some(true));
    assert!(phone.wallet().card().unwrap().is_err());
    assert!(phone.update(&phone.card_for(&card, 1)));
    assert_eq!(phone.wallet().card().unwrap().unwrap(), "**** 1881");
    for (number, amount, confirmed) in [(1, 450, false), (2, 4_990, true)] {
        let charge = phone.wallet().charge(amount, "Bookshop", b"order-0001").unwrap().unwrap();
        let expected = Charge {
            number,
            amount: amount.into(),
            payee: "Bookshop".into(),
            reference: b"order-0001".to_vec(),
            confirmed,
        };
        assert_eq!(bank.take(&charge).unwrap(), expected);
    }
    // Bytes and their hexadecimal and debug forms.
    let numbers = PAN.bytes().map(|b| b.to_string()).collect::<Vec<_>>().join(", ");
    for needle in [PAN.to_string(), PAN[..12].to_string(), hex::encode(PAN), numbers] {
        let found = phone.said.windows(needle.len()).any(|window| window == needle.as_bytes());
        assert!(!found, "{needle} left the TEE");
    }
}

#[test]
fn the_rich_os_cannot_confirm_in_the_persons_place() {
    let (_, card) = bank();
    for (answer, expected) in [(Some(false), NOT_CONFIRMED), (None, NOT_SUPPORTED)] {
        let mut phone = Phone::new(1, answer);
        assert!(phone.update(&phone.card_for(&card, 1)));
        assert_eq!(phone.wallet().charge(2_001, "Attacker Ltd", b"reference").unwrap(), Err(expected));
        // Splitting it up is what the limit allows, and is counted.
        assert!(phone.wallet().charge(2_000, "Attacker Ltd", b"reference").unwrap().is_ok());
    }
}

#[test]
fn no_command_gives_the_card_away() {
    let (_, card) = bank();
    let mut phone = Phone::new(1, Some(true));
    assert!(phone.update(&phone.card_for(&card, 1)));
    let output = || Param::MemrefOutput { capacity: 4096, data: Vec::new() };
    for command in 0..64 {
        for params in [vec![], vec![output()], vec![output(); 4]] {
            let _ = (&mut phone).invoke(command, params);
        }
    }
    assert_eq!(phone.wallet().card().unwrap().unwrap(), "**** 1881");
    assert!(!phone.said.windows(5).any(|window| window == &PAN.as_bytes()[..5]));
    assert_eq!(CARD, 5);
}

#[test]
fn the_bank_takes_no_charge_twice_and_none_that_was_altered() {
    let (mut bank, card) = bank();
    let mut phone = Phone::new(1, Some(true));
    assert!(phone.update(&phone.card_for(&card, 1)));
    let first = phone.wallet().charge(100, "Bookshop", b"order-0001").unwrap().unwrap();
    let second = phone.wallet().charge(200, "Bookshop", b"order-0002").unwrap().unwrap();
    for at in 0..first.len() {
        let mut altered = first.clone();
        altered[at] ^= 1;
        assert!(bank.take(&altered).is_err(), "byte {at}");
    }
    assert_eq!(bank.take(&second).unwrap().number, 2);
    // Also after a restart of the bank.
    let mut bank = Bank::load(crypto(), bank.save().expose()).unwrap();
    for charge in [&second, &first] {
        assert!(bank.take(charge).unwrap_err().to_string().contains("taken before"));
    }
}

#[test]
fn a_card_for_one_phone_is_nothing_on_another() {
    let (_, card) = bank();
    let (phone, mut other) = (Phone::new(1, None), Phone::new(2, None));
    assert!(!other.update(&phone.card_for(&card, 1)));
    assert!(other.wallet().card().unwrap().is_err());
}
