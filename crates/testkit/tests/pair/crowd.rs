//! A crowd on one device: a hundred service providers at each of three TAMs, and nobody gets at what is another's.

use std::collections::{BTreeMap, BTreeSet};

use tamarack_agent::{Agent, Input, Output, Seed, SignerAnchor, TaName, TamAnchor};
use tamarack_cbor::Limits;
use tamarack_cose::{SignOptions, thumbprint};
use tamarack_crypto::{KeyType, Provider, Secret, Sign};
use tamarack_model::{Code, ComponentId, Outcome, OwnerId, Sha256Digest, codes};
use tamarack_store::{MemoryStore, Policy, Provider as ServiceProvider, Read, Store, StoreOp, TenantId};
use tamarack_tam::{ChallengeKey, Reply, Tam, TamConfig, TamSigner, catalog};
use tamarack_tee::{Param, Persona};
use tamarack_teep::{CipherSuite, DataItems, Message, QueryRequest, SignedMessage, SuitCoseProfile, Update};
use tamarack_testkit::memory_platform::{MemoryPlatform, ed25519};
use tamarack_testkit::otrp_pki::OtrpPki;

use crate::world::publish::{envelope, publish};
use crate::world::setup::{self, policy, teep_anchor};
use crate::world::{NOW, wallet_module};

const TAMS: usize = 3;
const PROVIDERS: usize = 100;

/// The TA of a provider at a TAM: no two have the same name, and a provider has one domain for all of its own.
fn id(tam: usize, provider: usize, kind: &str) -> ComponentId {
    let mut uuid = [0x5a; 16];
    (uuid[0], uuid[1]) = (tam as u8, provider as u8);
    ComponentId::tamarack(&domain(provider), uuid, kind).unwrap()
}

fn names(tam: usize, provider: usize) -> (ComponentId, ComponentId) {
    (id(tam, provider, "suit"), id(tam, provider, "ta"))
}

fn domain(provider: usize) -> String {
    format!("com.p{provider:03}")
}

fn uri(tam: usize) -> String {
    format!("https://tam{tam}.example/tam")
}

fn everybody() -> impl Iterator<Item = (usize, usize)> {
    (0..TAMS).flat_map(|tam| (0..PROVIDERS).map(move |provider| (tam, provider)))
}

/// A TAM, and its key once more, for what no honest TAM sends.
struct Office {
    tam: Tam,
    store: MemoryStore,
    rogue: Box<dyn Sign>,
}

struct Crowd {
    agent: Agent<MemoryPlatform>,
    offices: Vec<Office>,
    developers: Vec<Box<dyn Sign>>,
    crypto: Provider,
    updates: u32,
}

/// What is on a device, by Owner and component.
type Held = BTreeMap<(OwnerId, ComponentId), (Sha256Digest, u64, String)>;

impl Crowd {
    /// All are enrolled, and every provider has published its TA with every TAM.
    fn new() -> Self {
        let crypto = tamarack_crypto_aws_lc::provider();
        let pki = OtrpPki::new(&crypto, 0);
        let developer = |n: usize| ed25519(&crypto, n as u8, b"developer");
        let developers: Vec<_> = (0..PROVIDERS).map(developer).collect();
        let (mut offices, mut anchors) = (Vec::new(), Vec::new());
        for tam in 0..TAMS {
            let (office, anchor) = office(tam, &developers, &pki, &crypto);
            offices.push(office);
            anchors.push(anchor);
        }
        let signers = developers.iter().enumerate().map(|(n, key)| SignerAnchor {
            provider: domain(n),
            prefixes: vec![vec![domain(n).into_bytes()]],
            ..setup::signer_anchor(key.public_key())
        });
        let seed = Seed {
            tams: anchors,
            signers: signers.collect(),
            peripherals: Vec::new(),
            device_authority: None,
            device_owner: None,
        };
        let agent = setup::device(&pki, tamarack_crypto_rustcrypto::provider(), 1, &seed);
        Self { agent, offices, developers, crypto, updates: 0 }
    }

    /// An honest exchange with the TAM whose turn it is; each asks for its own hundred TAs.
    fn check_policy(&mut self) {
        let mut inputs = vec![Input::RequestPolicyCheck];
        while let Some(input) = inputs.pop() {
            self.agent.handle(NOW, input).unwrap();
            while let Some(output) = self.agent.poll_output() {
                let (tam_uri, body) = match output {
                    Output::Connect { tam_uri, .. } => (tam_uri, Vec::new()),
                    Output::Transmit { tam_uri, message, .. } => (tam_uri, message),
                    Output::Finished(end) => {
                        assert!(matches!(end.outcome, Outcome::Done | Outcome::Unchanged), "{end:?}");
                        continue;
                    }
                    Output::Fetch { .. } | Output::Progress(_) => continue,
                };
                let office = (0..TAMS).find(|tam| uri(*tam) == tam_uri).map(|tam| &self.offices[tam]);
                let Office { tam, store, .. } = office.expect("one of the three");
                if let Reply::Transmit { message, .. } = tam.respond(NOW, store, TenantId::default(), &body) {
                    inputs.push(Input::ProcessTeepMessage(message));
                }
            }
        }
    }

    /// What the Agent makes of a message that this TAM's key signed.
    fn send(&mut self, tam: usize, message: &Message) -> (Message, Option<Outcome>) {
        let rogue = &*self.offices[tam].rogue;
        let kid = thumbprint(&rogue.public_key(), &self.crypto);
        let options = SignOptions { kid: Some(&kid.0), ..SignOptions::default() };
        let bytes = tamarack_teep::sign(message, rogue, &options).unwrap();
        self.agent.handle(NOW, Input::ProcessTeepMessage(bytes)).unwrap();
        let (mut answer, mut outcome) = (None, None);
        while let Some(output) = self.agent.poll_output() {
            match output {
                Output::Transmit { message, .. } => {
                    let signed = SignedMessage::parse(&message, &Limits::default()).unwrap();
                    answer = Some(signed.unverified().unwrap());
                }
                Output::Finished(end) => outcome = Some(end.outcome),
                _ => {}
            }
        }
        (answer.expect("an answer"), outcome)
    }

    /// An Update, bound to an exchange if it deletes, for nothing else needs that from these TAMs.
    fn update(
        &mut self,
        tam: usize,
        install: Vec<Vec<u8>>,
        remove: Vec<ComponentId>,
    ) -> (Message, Option<Outcome>) {
        let bound = !remove.is_empty();
        let query = Message::QueryRequest(QueryRequest {
            supported_teep_cipher_suites: CipherSuite::MANDATORY.to_vec(),
            supported_suit_cose_profiles: SuitCoseProfile::LISTED.to_vec(),
            data_item_requested: DataItems::TRUSTED_COMPONENTS,
            token: Some(vec![9; 16]),
            ..QueryRequest::default()
        });
        let agent_nonce = match bound.then(|| self.send(tam, &query).0) {
            Some(Message::QueryResponse(response)) => response.agent_nonce,
            Some(other) => panic!("{other:?}"),
            None => None,
        };
        self.updates += 1;
        let token = [&self.updates.to_be_bytes()[..], &[tam as u8; 12]].concat();
        let update = Update {
            token: Some(token),
            manifest_list: install,
            unneeded_manifest_list: remove,
            agent_nonce,
            ..Update::default()
        };
        self.send(tam, &Message::Update(update))
    }

    /// The code of its refusal.
    #[track_caller]
    fn refused(&mut self, tam: usize, envelope: Vec<u8>) -> Code {
        match self.update(tam, vec![envelope], Vec::new()) {
            (Message::Error(_), Some(Outcome::Refused(code))) => code,
            other => panic!("{other:?}"),
        }
    }

    fn held(&self) -> Held {
        let components = self.agent.status().unwrap().components.into_iter();
        components.map(|c| ((c.owner, c.component), (c.digest, c.sequence, c.provider))).collect()
    }

    /// As a normal app that asks for a TA of this TAM by this name.
    fn call(
        &mut self,
        tam: usize,
        component: &ComponentId,
        command: u32,
        mut params: Vec<Param>,
    ) -> Result<Vec<Param>, tamarack_agent::Error> {
        let name = TaName::Component(component.clone());
        let session = self.agent.open_session(NOW, &name, Some(&uri(tam)), &mut Vec::new())?;
        let done = self.agent.invoke(NOW, session, command, &mut params);
        self.agent.close_session(NOW, session).unwrap();
        done.map(|()| params)
    }

    fn pay(&mut self, tam: usize, provider: usize, amount: u32) {
        let params = vec![
            Param::ValueInput(amount, 0),
            Param::MemrefInput(b"Bakery".to_vec()),
            Param::MemrefInput(b"order 0001".to_vec()),
            Param::MemrefOutput { capacity: 320, data: vec![] },
        ];
        self.call(tam, &id(tam, provider, "ta"), 2, params).unwrap();
    }

    /// Public key of a wallet, how often it paid, and how much.
    fn wallet(&mut self, tam: usize, provider: usize) -> (Vec<u8>, u32, u32) {
        let component = id(tam, provider, "ta");
        let key = vec![Param::MemrefOutput { capacity: 64, data: vec![] }];
        let key = self.call(tam, &component, 1, key).unwrap();
        let state = vec![Param::ValueOutput(0, 0), Param::ValueOutput(0, 0)];
        let state = self.call(tam, &component, 3, state).unwrap();
        match (&key[..], &state[..]) {
            (
                [Param::MemrefOutput { data, .. }],
                [Param::ValueOutput(payments, _), Param::ValueOutput(spent, _)],
            ) => (data.clone(), *payments, *spent),
            other => panic!("{other:?}"),
        }
    }
}

/// A TAM where every provider has an account and has published, with what the device knows it by.
fn office(
    number: usize,
    developers: &[Box<dyn Sign>],
    pki: &OtrpPki,
    crypto: &Provider,
) -> (Office, TamAnchor) {
    let rogue = || ed25519(crypto, number as u8, b"a TAM of the crowd");
    let other = crypto.keys.generate_pkcs8(KeyType::P256).unwrap();
    let keys = [rogue(), crypto.keys.load_pkcs8(other.expose()).unwrap()];
    let public = keys.iter().map(|key| key.public_key()).collect();
    let signers = keys.into_iter().map(|key| TamSigner::new(key, Vec::new(), crypto)).collect();
    let challenge_key = ChallengeKey { generation: 0, key: Secret::new([number as u8 + 1; 32]) };
    let config = TamConfig::new(signers, policy(&[pki]), challenge_key, [number as u8 + 1; 16]);
    let (tam, store) = (Tam::new(config, *crypto), MemoryStore::new(*crypto));
    let tenant = TenantId::default();
    for (n, developer) in developers.iter().enumerate() {
        let provider = account(n, &**developer);
        store.apply(vec![StoreOp::InsertProvider(provider.clone())]).unwrap();
        let signed = envelope(crypto, &**developer, names(number, n), wallet_module(1), 1);
        publish(crypto, &store, &provider, &signed, NOW);
        let wanted = Policy { tenant: tenant.clone(), component: id(number, n, "ta"), since: NOW };
        store.apply(vec![StoreOp::SetPolicy(wanted)]).unwrap();
    }
    let owner = OwnerId([number as u8 + 1; 16]);
    let anchor = TamAnchor {
        uri: Some(uri(number)),
        persona: Persona(number as u32),
        require_binding: false,
        ..teep_anchor(owner, public)
    };
    (Office { tam, store, rogue: rogue() }, anchor)
}

fn account(n: usize, developer: &dyn Sign) -> ServiceProvider {
    ServiceProvider {
        tenant: TenantId::default(),
        id: domain(n),
        name: domain(n),
        prefixes: vec![ComponentId::new([domain(n)]).unwrap()],
        signers: vec![developer.public_key()],
        enabled: true,
    }
}

/// Row F19 of the capabilities: a hundred providers, three TAMs, one device.
#[test]
fn a_hundred_providers_at_three_tams_share_a_device_and_nothing_else() {
    let mut crowd = Crowd::new();
    // Twice: what was installed is proved by the Evidence of the next exchange.
    for _ in 0..2 * TAMS {
        crowd.check_policy();
    }
    let held = crowd.held();
    assert_eq!(held.len(), TAMS * PROVIDERS);
    for (tam, provider) in everybody() {
        let (_, _, of) = &held[&(OwnerId([tam as u8 + 1; 16]), id(tam, provider, "ta"))];
        assert_eq!(*of, domain(provider));
    }

    // What a TAM sees of the device: its own hundred, and of the others not one name.
    for (number, office) in crowd.offices.iter().enumerate() {
        let devices = office.store.devices(&TenantId::default(), None, 2).unwrap();
        let [device] = &devices[..] else { panic!("{} devices", devices.len()) };
        let seen = device.attested.as_ref().unwrap().entries.iter().map(|entry| entry.id.clone());
        let seen: BTreeSet<_> = seen.collect();
        let of = |tam: usize| (0..PROVIDERS).filter(|n| seen.contains(&id(tam, *n, "ta"))).count();
        let expected: Vec<usize> = (0..TAMS).map(|tam| if tam == number { PROVIDERS } else { 0 }).collect();
        assert_eq!((0..TAMS).map(of).collect::<Vec<_>>(), expected);
    }

    // Each wallet has a key and an account of its own.
    let amount = |tam: usize, provider: usize| (1 + tam * PROVIDERS + provider) as u32;
    for (tam, provider) in everybody() {
        crowd.pay(tam, provider, amount(tam, provider));
    }
    let mut keys = BTreeSet::new();
    for (tam, provider) in everybody() {
        let (key, payments, spent) = crowd.wallet(tam, provider);
        assert_eq!((payments, spent), (1, amount(tam, provider)), "{tam}, {provider}");
        assert!(keys.insert(key), "{tam}, {provider}: two wallets have one key");
    }

    // An app that asks one TAM's name for a TA does not get another TAM's.
    for (tam, provider) in everybody() {
        for other in (0..TAMS).filter(|other| *other != tam) {
            let reached = crowd.call(other, &id(tam, provider, "ta"), 3, Vec::new());
            assert_eq!(reached, Err(tamarack_agent::Error::NoTa), "{tam}, {provider} through {other}");
        }
    }

    // A TAM deletes what is its own: all that the others have, by name, is nothing to it.
    for tam in 0..TAMS {
        let foreign = everybody().filter(|(other, _)| *other != tam).map(|(other, n)| id(other, n, "suit"));
        let (answer, _) = crowd.update(tam, Vec::new(), foreign.collect());
        assert!(matches!(answer, Message::Success(_)), "{answer:?}");
        assert_eq!(crowd.held(), held);
    }

    // A TAM's own key signs nobody's TA.
    for (tam, provider) in everybody() {
        let rogue = &*crowd.offices[tam].rogue;
        let forged = envelope(&crowd.crypto, rogue, names(tam, provider), b"forged".to_vec(), 9);
        crowd.refused(tam, forged);
    }

    // Every provider tries to replace the TA of every other one: its TAM does not take that, and where a TAM plays along the
    // device does not. The TAMs take turns.
    for (provider, victim) in (0..PROVIDERS).flat_map(|p| (0..PROVIDERS).map(move |v| (p, v))) {
        if provider == victim {
            continue;
        }
        let tam = (provider + victim) % TAMS;
        let developer = &*crowd.developers[provider];
        let forged = envelope(&crowd.crypto, developer, names(tam, victim), b"forged".to_vec(), 9);
        let account = account(provider, developer);
        let taken = catalog::check_publication(&forged, &account, &crowd.offices[tam].store, &crowd.crypto);
        assert!(taken.is_err(), "{provider} published as {victim}");
        assert_eq!(crowd.refused(tam, forged), codes::SUIT_UNAUTHORISED, "{provider} as {victim}");
    }
    assert_eq!(crowd.held(), held, "after all that everything is as it was");
    for (tam, provider) in everybody() {
        let (key, payments, spent) = crowd.wallet(tam, provider);
        assert!(keys.contains(&key) && (payments, spent) == (1, amount(tam, provider)));
    }
}
