//! The power fails, at every write in turn.

use std::cell::Cell;
use std::rc::Rc;

use tamarack_agent::{Agent, AgentConfig, Input, Output};
use tamarack_crypto::{KeyAgree, KeyType, Secret, Sign};
use tamarack_tee::{
    BlobId, Change, Error, Evidence, EvidenceRequest, FirmwareSignature, Identity, OtrpIdentity, Pair,
    Persona, Platform, StateRoot, TaError, TaInstance, TaLimits,
};
use tamarack_testkit::memory_platform::MemoryPlatform;

use crate::world::*;

/// A platform whose writes fail from one of them on.
pub struct Failing {
    pub inner: MemoryPlatform,
    /// Writes that still work.
    pub left: Rc<Cell<u32>>,
    /// Whether its firmware is not the one that it was started by.
    pub untrusted: bool,
}

impl Failing {
    fn write(&self) -> Result<(), Error> {
        let left = self.left.get().checked_sub(1).ok_or(Error::Storage("the power is off".into()))?;
        self.left.set(left);
        Ok(())
    }
}

impl Platform for Failing {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.inner.get(key)
    }
    fn scan(&self, prefix: &[u8]) -> Result<Vec<Pair>, Error> {
        self.inner.scan(prefix)
    }
    fn commit(&mut self, changes: Vec<Change>) -> Result<(), Error> {
        self.write()?;
        self.inner.commit(changes)
    }
    fn count(&mut self) -> Result<(), Error> {
        self.inner.count()
    }
    fn state_root(&self) -> StateRoot {
        self.inner.state_root()
    }
    fn stage(&mut self) -> Result<BlobId, Error> {
        self.write()?;
        self.inner.stage()
    }
    fn stage_write(&mut self, blob: BlobId, chunk: &[u8]) -> Result<(), Error> {
        self.write()?;
        self.inner.stage_write(blob, chunk)
    }
    fn stage_finish(&mut self, blob: BlobId) -> Result<u64, Error> {
        self.write()?;
        self.inner.stage_finish(blob)
    }
    fn discard(&mut self, blob: BlobId) {
        self.inner.discard(blob);
    }
    fn read_blob(&self, blob: BlobId, sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        self.inner.read_blob(blob, sink)
    }
    fn storage_key(&self, context: &[u8]) -> Result<Secret<[u8; 32]>, Error> {
        self.inner.storage_key(context)
    }
    fn personas(&self) -> u32 {
        self.inner.personas()
    }
    fn key_type(&self) -> KeyType {
        self.inner.key_type()
    }
    fn teep_key(&self, persona: Persona) -> Result<&dyn Sign, Error> {
        self.inner.teep_key(persona)
    }
    fn report_key(&self, persona: Persona) -> Result<&dyn Sign, Error> {
        self.inner.report_key(persona)
    }
    fn decryption_key(&self, persona: Persona) -> Result<&dyn KeyAgree, Error> {
        self.inner.decryption_key(persona)
    }
    fn identity(&self, persona: Persona) -> Result<&Identity, Error> {
        self.inner.identity(persona)
    }
    fn evidence(&self, persona: Persona, request: &EvidenceRequest<'_>) -> Result<Evidence, Error> {
        self.inner.evidence(persona, request)
    }
    fn otrp(&self, persona: Persona) -> Option<&dyn OtrpIdentity> {
        match self.untrusted {
            true => self.inner.otrp(persona).map(|_| self as &dyn OtrpIdentity),
            false => self.inner.otrp(persona),
        }
    }
    fn load_ta(&self, module: &[u8], limits: &TaLimits) -> Result<Box<dyn TaInstance>, TaError> {
        self.inner.load_ta(module, limits)
    }
}

impl Failing {
    fn identity_in_otrp(&self) -> &dyn OtrpIdentity {
        self.inner.otrp(Persona(0)).expect("it speaks OTrP")
    }
}

impl OtrpIdentity for Failing {
    fn name(&self) -> &str {
        self.identity_in_otrp().name()
    }
    fn version(&self) -> &str {
        self.identity_in_otrp().version()
    }
    fn chain(&self) -> &[Vec<u8>] {
        self.identity_in_otrp().chain()
    }
    fn signer(&self) -> &dyn Sign {
        self.identity_in_otrp().signer()
    }
    fn agreement(&self) -> &dyn KeyAgree {
        self.identity_in_otrp().agreement()
    }
    fn firmware_signature(&self, tid: &[u8]) -> Result<Option<FirmwareSignature>, Error> {
        match self.untrusted {
            true => Err(Error::NotAuthentic),
            false => self.identity_in_otrp().firmware_signature(tid),
        }
    }
}

/// What the TAM sends after the device has a wallet with sequence 1 and data, and what the device is then.
fn check(script: impl Fn() -> Script, uri_payload: Option<&[u8]>) {
    let with_wallet = || {
        let mut world = World::new();
        world.install_wallet(1);
        world.count();
        world
    };
    check_on(with_wallet, script, uri_payload);
}

/// The same on a device that `prepare` makes; it has counted once.
pub fn check_on(prepare: impl Fn() -> World, script: impl Fn() -> Script, uri_payload: Option<&[u8]>) {
    let mut finished = false;
    for cut in 0..40 {
        let mut world = prepare();
        let old = (world.digest(), world.storage().blobs());

        // The device goes on with failing storage; query and Update come in the same run.
        let left = Rc::new(Cell::new(u32::MAX));
        let inner = platform(1, world.storage());
        let failing = Failing { inner, left: left.clone(), untrusted: false };
        let mut agent = Agent::new(failing, provider(), AgentConfig::default());
        let query = world.sign(&tamarack_teep::Message::QueryRequest(world.query_request()));
        agent.handle(NOW, Input::ProcessTeepMessage(query)).unwrap();
        while let Some(output) = agent.poll_output() {
            if let Output::Transmit { message, .. } = output {
                let signed =
                    tamarack_teep::SignedMessage::parse(&message, &tamarack_cbor::Limits::default()).unwrap();
                let tamarack_teep::Message::QueryResponse(response) = signed.unverified().unwrap() else {
                    panic!()
                };
                world.nonce = response.agent_nonce;
            }
        }
        let update = world.update_bytes(script());
        left.set(cut);
        let mut told = Vec::new();
        let _ = agent.handle(NOW, Input::ProcessTeepMessage(update.clone()));
        while let Some(output) = agent.poll_output() {
            match output {
                Output::Fetch { fetch, .. } => {
                    let data = uri_payload.unwrap().to_vec();
                    let _ = agent.handle(NOW, Input::Chunk { fetch, data, last: true });
                }
                Output::Transmit { message, .. } => told = message,
                _ => {}
            }
        }
        let success = tamarack_teep::SignedMessage::parse(&told, &tamarack_cbor::Limits::default())
            .is_ok_and(|signed| matches!(signed.unverified(), Ok(tamarack_teep::Message::Success(_))));
        drop(agent);

        // The power is back.
        world.restart();
        let now = (world.digest(), world.storage().blobs());
        if success {
            assert_ne!(now.0, old.0, "cut {cut}: Success without a change");
            let repeated = world.drive(Input::ProcessTeepMessage(update));
            assert_eq!(repeated.bytes, told, "cut {cut}: the stored answer");
            finished = true;
        } else {
            assert_eq!(now, old, "cut {cut}: neither old nor new");
            assert_eq!(world.count(), 2, "cut {cut}: the old TA runs on");
            if let Some(payload) = uri_payload {
                world.payloads.insert("https://files.example/w".into(), payload.to_vec());
            }
            world.exchange(script()).expect_success();
        }
    }
    assert!(finished, "the Update never came to its end");
}

#[test]
fn power_cut_during_an_update() {
    check(|| Script::install(wallet_envelope(2)), None);
}

#[test]
fn power_cut_during_a_fetched_update() {
    let by_uri = || {
        let payload =
            tamarack_suit::author::Payload::by_uri("https://files.example/w", b"fetched", &provider());
        Script::install(sign_manifest(1, builder(&wallet("suit"), &wallet("ta"), 2, payload)))
    };
    check(by_uri, Some(b"fetched"));
}

#[test]
fn power_cut_during_a_delete() {
    check(|| Script::remove(wallet("suit")), None);
}

#[test]
fn power_cut_during_delete_and_reinstall_of_the_same_sequence() {
    let script =
        || Script { install: vec![wallet_envelope(1)], remove: vec![wallet("suit")], ..Script::default() };
    check(script, None);
}

#[test]
fn power_cut_during_enrolment_leaves_a_device_that_can_be_enrolled() {
    let inner = platform(1, Default::default());
    let left = Rc::new(Cell::new(0));
    let mut failing = Failing { inner, left: left.clone(), untrusted: false };
    assert!(Agent::enrol(&mut failing, &provider(), &seed()).is_err());
    left.set(1);
    Agent::enrol(&mut failing, &provider(), &seed()).unwrap();
}
