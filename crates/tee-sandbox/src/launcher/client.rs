use std::cell::RefCell;
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use tamarack_crypto::{PublicKey, Secret};
use tamarack_tee::{Error, Persona};

use super::message::{Ask, FRAMES, Hello, Statement, Use, Value, decode_answer};
use crate::sealed::{Counter, Slots};

/// The Agent's end: the launcher, to be asked. Copies speak over the same socket.
#[derive(Clone)]
pub struct Launcher(Rc<Inner>);

struct Inner {
    stream: RefCell<UnixStream>,
    hello: Hello,
}

impl Launcher {
    /// Greets the launcher at the other end.
    pub fn connect(mut stream: UnixStream) -> Result<Self, Error> {
        match ask(&mut stream, &Ask::Hello)? {
            Value::Hello(hello) => Ok(Self(Rc::new(Inner { stream: RefCell::new(stream), hello: *hello }))),
            Value::Bytes(_) | Value::Done => Err(unexpected()),
        }
    }

    /// What it said about itself and about what it started.
    pub fn hello(&self) -> &Hello {
        &self.0.hello
    }

    /// What sealed storage derives from.
    pub fn storage_secret(&self) -> Result<Secret<[u8; 32]>, Error> {
        let secret = Secret::new(self.bytes(&Ask::StorageSecret)?);
        secret.expose()[..].try_into().map(Secret::new).map_err(|_| unexpected())
    }

    /// The rollback counter of the root of trust.
    pub fn counter(&self) -> Counter {
        match self.0.hello.counter_quality {
            "none" => Counter::None,
            quality => Counter::slots(self.clone(), quality),
        }
    }

    /// The public half of a persona's attestation key.
    pub fn attestation_key(&self, persona: Persona) -> Result<PublicKey, Error> {
        self.public_key(Use::Attestation, persona)
    }

    /// The public half of the key by which the firmware vouches for a persona in OTrP.
    pub fn firmware_key(&self, persona: Persona) -> Result<PublicKey, Error> {
        self.public_key(Use::Firmware, persona)
    }

    fn public_key(&self, purpose: Use, persona: Persona) -> Result<PublicKey, Error> {
        PublicKey::from_spki(&self.bytes(&Ask::PublicKey(purpose, persona))?).map_err(|_| unexpected())
    }

    /// A certificate request (PKCS #10, DER) for a persona's attestation key.
    pub fn attestation_request(&self, persona: Persona, common_name: &str) -> Result<Vec<u8>, Error> {
        self.bytes(&Ask::CertificateRequest(Use::Attestation, persona, common_name.into()))
    }

    /// The same for the firmware's key.
    pub fn firmware_request(&self, persona: Persona, common_name: &str) -> Result<Vec<u8>, Error> {
        self.bytes(&Ask::CertificateRequest(Use::Firmware, persona, common_name.into()))
    }

    /// Evidence: what `statement` says and what the launcher measured, signed with the persona's attestation key, with
    /// `chain` as its certificates.
    pub fn evidence(
        &self,
        persona: Persona,
        statement: Statement,
        chain: Vec<Vec<u8>>,
    ) -> Result<Vec<u8>, Error> {
        self.bytes(&Ask::Evidence { persona, statement: Box::new(statement), chain })
    }

    /// The firmware's ES256 signature over a transaction id: 1 to 64 bytes of text.
    pub fn firmware_signature(&self, persona: Persona, tid: &[u8]) -> Result<[u8; 64], Error> {
        let signature = self.bytes(&Ask::FirmwareSignature(persona, tid.to_vec()))?;
        signature.try_into().map_err(|_| unexpected())
    }

    fn ask(&self, question: &Ask) -> Result<Value, Error> {
        ask(&mut self.0.stream.borrow_mut(), question)
    }

    fn bytes(&self, question: &Ask) -> Result<Vec<u8>, Error> {
        match self.ask(question)? {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Hello(_) | Value::Done => Err(unexpected()),
        }
    }
}

impl Slots for Launcher {
    fn read(&self, slot: usize, length: usize) -> Result<Vec<u8>, Error> {
        self.bytes(&Ask::ReadCounter { slot, length })
    }

    fn write(&mut self, slot: usize, commit: u64, data: &[u8]) -> Result<(), Error> {
        match self.ask(&Ask::WriteCounter { slot, commit, data: data.to_vec() })? {
            Value::Done => Ok(()),
            Value::Hello(_) | Value::Bytes(_) => Err(unexpected()),
        }
    }
}

fn ask(stream: &mut UnixStream, question: &Ask) -> Result<Value, Error> {
    let gone = |error: io::Error| Error::Launcher(format!("it cannot be reached: {error}"));
    FRAMES.send(stream, &question.encode()).map_err(gone)?;
    let answer =
        FRAMES.receive(stream).map_err(gone)?.ok_or_else(|| Error::Launcher("it has ended".into()))?;
    decode_answer(&answer).map_err(|_| unexpected())?
}

fn unexpected() -> Error {
    Error::Launcher("it answered something else than was asked".into())
}
