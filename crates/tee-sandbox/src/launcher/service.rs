use std::io::{self, Read, Write};

use tamarack_crypto::{KeyType, Provider, PublicKey, Secret, Sign};
use tamarack_tee::{Error, Persona, RootOfTrust};

use super::evidence;
use super::message::{Answer, Ask, FRAMES, Hello, Use, Value, encode_answer};
use crate::Layers;
use crate::enrol::csr;
use crate::root::{derive, derived_key};

/// What the launcher measured before anything of it ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// SHA-256 of the Agent's code.
    pub agent: [u8; 32],
    /// SHA-256 of the launcher's own code.
    pub launcher: [u8; 32],
    /// SHA-256 of the configuration that the Agent was started with.
    pub configuration: [u8; 32],
}

/// The launcher's end: a root of trust, and what may be asked of it.
pub struct Service {
    root: Result<Box<dyn RootOfTrust>, Error>,
    measured: Measured,
    layers: Layers,
    missing: Vec<String>,
    greeted: bool,
    provider: Provider,
}

/// Most characters of a common name (X.520, ub-common-name).
const MAX_NAME: usize = 64;

impl Service {
    /// Answers by `root`, which takes note of what was measured. Where there is none, or it refuses that, every question but
    /// the greeting is answered with the reason, so that the Agent can tell it.
    pub fn new(root: Result<Box<dyn RootOfTrust>, Error>, measured: Measured, provider: Provider) -> Self {
        let root = root.and_then(|mut root| {
            root.measure(&measured.agent, &measured.configuration)?;
            Ok(root)
        });
        Self { root, measured, layers: Layers::NONE, missing: Vec::new(), greeted: false, provider }
    }

    /// Takes note of the walls around this process; what is not told is missing.
    pub fn with_layers(self, layers: Layers, missing: Vec<String>) -> Self {
        Self { layers, missing, ..self }
    }

    /// Answers until the other end closes. A frame that is no question is an error, and nothing follows it.
    pub fn serve(&mut self, stream: &mut (impl Read + Write)) -> io::Result<()> {
        while let Some(frame) = FRAMES.receive(stream)? {
            let question = Ask::decode(&frame)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            let mut answer = encode_answer(&self.answer(question));
            if !FRAMES.fit(answer.len()) {
                // Whoever asks at such length is told so; it must not end the launcher.
                answer = encode_answer(&Err(Error::Launcher("the answer is too long".into())));
            }
            FRAMES.send(stream, &answer)?;
        }
        Ok(())
    }

    pub(super) fn answer(&mut self, question: Ask) -> Answer {
        let refused = |why: &str| Err(Error::Launcher(why.into()));
        let provider = self.provider;
        let root = match (&question, self.greeted) {
            (Ask::Hello, false) => {
                self.greeted = true;
                return Ok(Value::Hello(Box::new(self.hello())));
            }
            (_, false) => return refused("it was not greeted"),
            (_, true) => self.root.as_deref_mut().map_err(|error| error.clone())?,
        };
        match question {
            Ask::Hello => refused("it has greeted already"),
            Ask::StorageSecret => {
                let secret =
                    derive(&provider, root.storage_secret()?.expose(), &[b"tamarack agent storage"])?;
                Ok(Value::Bytes(secret.expose().to_vec()))
            }
            Ask::ReadCounter { slot, length } => root.read_counter(slot, length).map(Value::Bytes),
            Ask::WriteCounter { slot, commit, data } => {
                root.write_counter(slot, commit, &data).map(|()| Value::Done)
            }
            Ask::PublicKey(purpose, persona) => {
                let key = match purpose {
                    Use::Attestation => root.attestation_key(persona)?,
                    Use::Firmware => firmware_key(root, persona, &provider)?.public_key(),
                };
                Ok(Value::Bytes(key.to_spki()))
            }
            Ask::CertificateRequest(Use::Attestation, persona, name) => {
                request(root.attestation_key(persona)?, &name, |message| root.sign(persona, message))
            }
            Ask::CertificateRequest(Use::Firmware, persona, name) => {
                let key = firmware_key(root, persona, &provider)?;
                request(key.public_key(), &name, |message| key.sign(message).map_err(|_| Error::Crypto))
            }
            Ask::Evidence { persona, statement, chain } => {
                let layers = around_both(statement.layers, self.layers);
                evidence::make(root, persona, &self.measured, &statement, layers, &chain, &provider)
                    .map(Value::Bytes)
            }
            Ask::FirmwareSignature(persona, tid) => {
                let signature = firmware_key(root, persona, &provider)?.sign(&tid);
                signature.map(|signature| Value::Bytes(signature.to_vec())).map_err(|_| Error::Crypto)
            }
        }
    }

    fn hello(&self) -> Hello {
        let (protection, counter_quality) = match &self.root {
            Ok(root) => (root.protection(), root.counter_quality()),
            Err(_) => ("none", "none"),
        };
        Hello {
            agent_digest: self.measured.agent,
            launcher_digest: self.measured.launcher,
            configuration_digest: self.measured.configuration,
            protection: protection.into(),
            counter_quality,
            layers: self.layers,
            missing: self.missing.clone(),
            pid: std::process::id(),
        }
    }
}

/// The layers that the Agent says are around it, without those that the launcher is without: both hold secrets. The
/// launcher opens no file, so that a namespace of files would hide nothing more from it.
fn around_both(agent: Layers, launcher: Layers) -> Layers {
    let mut both = launcher;
    both.insert(Layers::USER_NS);
    both.insert(Layers::MOUNT_NS);
    Layers::from_bits(agent.bits() & both.bits())
}

/// The key of the firmware: P-256, which OTrP needs.
fn firmware_key(
    root: &mut dyn RootOfTrust,
    persona: Persona,
    provider: &Provider,
) -> Result<Box<dyn Sign>, Error> {
    let secret: Secret<[u8; 32]> = root.storage_secret()?;
    derived_key(
        provider,
        secret.expose(),
        KeyType::P256,
        &[b"tamarack firmware key", &persona.0.to_be_bytes()],
    )
}

fn request(key: PublicKey, common_name: &str, sign: impl FnMut(&[u8]) -> Result<[u8; 64], Error>) -> Answer {
    if common_name.chars().count() > MAX_NAME {
        return Err(Error::Launcher(format!("a common name has at most {MAX_NAME} characters")));
    }
    csr::request(&key, common_name, sign).map(Value::Bytes)
}
