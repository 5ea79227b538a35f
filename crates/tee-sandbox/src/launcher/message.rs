use tamarack_cbor::{Decoder, Encoder, Error as CborError, ErrorKind, Kind, Limits};
use tamarack_crypto::PublicKey;
use tamarack_model::Code;
use tamarack_tee::{Error, Persona, StateRoot};

use crate::Layers;
use crate::enrol::MAX_PERSONAS;
use crate::frame::Frames;

/// What goes over the socket.
pub(super) const FRAMES: Frames = Frames(1 << 20);
/// Most bytes of a slot of the rollback counter.
const MAX_SLOT: usize = 4096;
/// Most bytes of a transaction id that the firmware signs.
const MAX_TID: usize = 64;

/// What the launcher says about itself and what it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// SHA-256 of the Agent's code, as it was measured before it ran.
    pub agent_digest: [u8; 32],
    /// SHA-256 of the launcher's code.
    pub launcher_digest: [u8; 32],
    /// SHA-256 of the configuration that the Agent was started with.
    pub configuration_digest: [u8; 32],
    /// How the root secret is protected: `file` or `tpm`.
    pub protection: String,
    /// Quality of the rollback counter: `file`, `tpm` or `none`.
    pub counter_quality: &'static str,
    /// Layers of isolation around the launcher.
    pub layers: Layers,
    /// Those that it lacks, each with its reason.
    pub missing: Vec<String>,
    /// Process id of the launcher.
    pub pid: u32,
}

/// Which of the launcher's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It signs Evidence.
    Attestation,
    /// It signs transaction ids of OTrP in the role of the trusted firmware.
    Firmware,
}

/// What the Agent wants Evidence to state. What the launcher measured is not among it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// eat_nonce.
    pub nonce: Vec<u8>,
    /// ueid.
    pub ueid: Vec<u8>,
    /// Sequence number of the trust store.
    pub trust_store_sequence: u64,
    /// The state, as the Owner is told it.
    pub state: StateRoot,
    /// Installed TAs, each as `application/measured-component+cbor`.
    pub components: Vec<Vec<u8>>,
    /// The Claims-Set of a TA, for Evidence of a TA.
    pub ta: Option<Vec<u8>>,
    /// The key that the token vouches for.
    pub confirm: PublicKey,
    /// The key that payloads for this device are encrypted to.
    pub decryption: PublicKey,
    /// EAT oemid.
    pub oemid: [u8; 16],
    /// EAT hwmodel.
    pub hwmodel: Vec<u8>,
    /// EAT hwversion.
    pub hwversion: String,
    /// Layers of isolation around the Agent.
    pub layers: Layers,
}

/// A question of the Agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Hello,
    StorageSecret,
    ReadCounter { slot: usize, length: usize },
    WriteCounter { slot: usize, commit: u64, data: Vec<u8> },
    PublicKey(Use, Persona),
    CertificateRequest(Use, Persona, String),
    Evidence { persona: Persona, statement: Box<Statement>, chain: Vec<Vec<u8>> },
    FirmwareSignature(Persona, Vec<u8>),
}

/// What it is answered.
pub(super) type Answer = Result<Value, Error>;

/// What an answer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Hello(Box<Hello>),
    Bytes(Vec<u8>),
    Done,
}

impl Use {
    fn number(self) -> u64 {
        match self {
            Self::Attestation => 0,
            Self::Firmware => 1,
        }
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        match d.uint()? {
            0 => Ok(Self::Attestation),
            1 => Ok(Self::Firmware),
            _ => Err(d.expected("use 0 or 1")),
        }
    }
}

impl Ask {
    pub fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new();
        match self {
            Self::Hello => e.array(1).uint(0),
            Self::StorageSecret => e.array(1).uint(1),
            Self::ReadCounter { slot, length } => e.array(3).uint(2).uint(*slot as u64).uint(*length as u64),
            Self::WriteCounter { slot, commit, data } => {
                e.array(4).uint(3).uint(*slot as u64).uint(*commit).bytes(data)
            }
            Self::PublicKey(purpose, persona) => {
                e.array(3).uint(4).uint(purpose.number()).uint(persona.0.into())
            }
            Self::CertificateRequest(purpose, persona, name) => {
                e.array(4).uint(5).uint(purpose.number()).uint(persona.0.into()).text(name)
            }
            Self::Evidence { persona, statement, chain } => {
                e.array(4).uint(6).uint(persona.0.into());
                statement.encode(&mut e);
                put_list(&mut e, chain);
                &mut e
            }
            Self::FirmwareSignature(persona, tid) => e.array(3).uint(7).uint(persona.0.into()).bytes(tid),
        };
        e.into_bytes()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let mut d = Decoder::new(bytes, &limits())?;
        let (count, kind) = (d.array()?, d.uint()?);
        match (kind, count) {
            (0, 1) => Ok(Self::Hello),
            (1, 1) => Ok(Self::StorageSecret),
            (2, 3) => Ok(Self::ReadCounter { slot: slot(&mut d)?, length: length(&mut d)? }),
            (3, 4) => {
                let (slot, commit, data) = (slot(&mut d)?, d.uint()?, d.bytes()?.to_vec());
                match data.len() {
                    0..=MAX_SLOT => Ok(Self::WriteCounter { slot, commit, data }),
                    _ => Err(d.expected("a slot of at most 4096 bytes")),
                }
            }
            (4, 3) => Ok(Self::PublicKey(Use::decode(&mut d)?, persona(&mut d)?)),
            (5, 4) => {
                let (purpose, persona) = (Use::decode(&mut d)?, persona(&mut d)?);
                Ok(Self::CertificateRequest(purpose, persona, d.text()?.to_string()))
            }
            (6, 4) => Ok(Self::Evidence {
                persona: persona(&mut d)?,
                statement: Box::new(Statement::decode(&mut d)?),
                chain: list(&mut d)?,
            }),
            (7, 3) => {
                let persona = persona(&mut d)?;
                match d.bytes()? {
                    tid if is_tid(tid) => Ok(Self::FirmwareSignature(persona, tid.to_vec())),
                    _ => Err(d.expected("a transaction id of 1 to 64 bytes of text")),
                }
            }
            _ => Err(d.expected("a question of the Agent")),
        }
    }
}

impl Statement {
    fn encode(&self, e: &mut Encoder) {
        e.array(11).bytes(&self.nonce).bytes(&self.ueid).uint(self.trust_store_sequence);
        e.uint(self.state.epoch).bytes(&self.state.digest);
        put_list(e, &self.components);
        match &self.ta {
            Some(claims) => e.bytes(claims),
            None => e.null(),
        };
        e.bytes(&self.confirm.to_spki()).bytes(&self.decryption.to_spki());
        e.array(3).bytes(&self.oemid).bytes(&self.hwmodel).text(&self.hwversion);
        e.uint(self.layers.bits());
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        d.array_of(11, "the 11 elements of a statement")?;
        let (nonce, ueid, trust_store_sequence) = (d.bytes()?.to_vec(), d.bytes()?.to_vec(), d.uint()?);
        let state = StateRoot { epoch: d.uint()?, digest: d.byte_array("32 bytes")? };
        let components = list(d)?;
        let ta = match d.peek() {
            Kind::Null => d.null().map(|()| None)?,
            _ => Some(d.bytes()?.to_vec()),
        };
        let key = |d: &mut Decoder<'_>| {
            let at = d.position();
            let key = PublicKey::from_spki(d.bytes()?);
            key.map_err(|_| CborError::new(at, ErrorKind::Value("a public key")))
        };
        let (confirm, decryption) = (key(d)?, key(d)?);
        d.array_of(3, "oemid, hwmodel and hwversion")?;
        let (oemid, hwmodel) = (d.byte_array("16 bytes")?, d.bytes()?.to_vec());
        let (hwversion, layers) = (d.text()?.to_string(), Layers::from_bits(d.uint()?));
        Ok(Self {
            nonce,
            ueid,
            trust_store_sequence,
            state,
            components,
            ta,
            confirm,
            decryption,
            oemid,
            hwmodel,
            hwversion,
            layers,
        })
    }
}

const LAUNCHER: u64 = 0;
const STORAGE: u64 = 1;
const NOT_AUTHENTIC: u64 = 2;
const ROLLED_BACK: u64 = 3;
const CRYPTO: u64 = 4;
const NO_PERSONA: u64 = 5;
/// From here on: what the root of trust itself says, with its code added.
const ROOT: u64 = 1 << 16;

pub(super) fn encode_answer(answer: &Answer) -> Vec<u8> {
    let mut e = Encoder::new();
    match answer {
        Ok(Value::Hello(hello)) => {
            e.array(2).uint(0).array(8).bytes(&hello.agent_digest).bytes(&hello.launcher_digest);
            e.bytes(&hello.configuration_digest).text(&hello.protection).text(hello.counter_quality);
            e.uint(hello.layers.bits()).array(hello.missing.len());
            hello.missing.iter().fold(&mut e, |e, reason| e.text(reason)).uint(hello.pid.into())
        }
        Ok(Value::Bytes(bytes)) => e.array(2).uint(0).bytes(bytes),
        Ok(Value::Done) => e.array(2).uint(0).null(),
        Err(error) => {
            let (kind, text) = match error {
                Error::Storage(text) => (STORAGE, text.clone()),
                Error::NotAuthentic => (NOT_AUTHENTIC, String::new()),
                Error::RolledBack => (ROLLED_BACK, String::new()),
                Error::Crypto => (CRYPTO, String::new()),
                Error::NoPersona => (NO_PERSONA, String::new()),
                Error::Launcher(text) => (LAUNCHER, text.clone()),
                Error::RootOfTrust { code, why } => (ROOT + u64::from(code.0), why.clone()),
                other => (LAUNCHER, other.to_string()),
            };
            e.array(3).uint(1).uint(kind).text(&text)
        }
    };
    e.into_bytes()
}

pub(super) fn decode_answer(bytes: &[u8]) -> Result<Answer, CborError> {
    let mut d = Decoder::new(bytes, &limits())?;
    match (d.array()?, d.uint()?) {
        (2, 0) => Ok(Ok(match d.peek() {
            Kind::Null => d.null().map(|()| Value::Done)?,
            Kind::Bytes => Value::Bytes(d.bytes()?.to_vec()),
            _ => Value::Hello(Box::new(hello(&mut d)?)),
        })),
        (3, 1) => {
            let (kind, text) = (d.uint()?, d.text()?.to_string());
            Ok(Err(match kind {
                STORAGE => Error::Storage(text),
                NOT_AUTHENTIC => Error::NotAuthentic,
                ROLLED_BACK => Error::RolledBack,
                CRYPTO => Error::Crypto,
                NO_PERSONA => Error::NoPersona,
                LAUNCHER => Error::Launcher(text),
                kind if (ROOT..2 * ROOT).contains(&kind) => {
                    Error::RootOfTrust { code: Code((kind - ROOT) as u16), why: text }
                }
                _ => return Err(d.expected("a reason of the launcher")),
            }))
        }
        _ => Err(d.expected("an answer of the launcher")),
    }
}

fn hello(d: &mut Decoder<'_>) -> Result<Hello, CborError> {
    d.array_of(8, "the 8 elements of a greeting")?;
    Ok(Hello {
        agent_digest: d.byte_array("32 bytes")?,
        launcher_digest: d.byte_array("32 bytes")?,
        configuration_digest: d.byte_array("32 bytes")?,
        protection: d.text()?.to_string(),
        counter_quality: match d.text()? {
            "file" => "file",
            "tpm" => "tpm",
            "none" => "none",
            _ => return Err(d.expected("a quality of the counter")),
        },
        layers: Layers::from_bits(d.uint()?),
        missing: (0..d.array()?).map(|_| d.text().map(str::to_string)).collect::<Result<_, _>>()?,
        pid: u32::try_from(d.uint()?).map_err(|_| d.expected("a process id"))?,
    })
}

fn limits() -> Limits {
    Limits { bytes: FRAMES.0, depth: 6, items: 10_000 }
}

fn put_list(e: &mut Encoder, list: &[Vec<u8>]) {
    list.iter().fold(e.array(list.len()), |e, one| e.bytes(one));
}

fn list(d: &mut Decoder<'_>) -> Result<Vec<Vec<u8>>, CborError> {
    (0..d.array()?).map(|_| d.bytes().map(<[u8]>::to_vec)).collect()
}

fn slot(d: &mut Decoder<'_>) -> Result<usize, CborError> {
    match d.uint()? {
        slot @ 0..=1 => Ok(slot as usize),
        _ => Err(d.expected("slot 0 or 1")),
    }
}

fn length(d: &mut Decoder<'_>) -> Result<usize, CborError> {
    match d.uint()? as usize {
        length @ 0..=MAX_SLOT => Ok(length),
        _ => Err(d.expected("at most 4096 bytes")),
    }
}

/// No device has more personas; a root may keep something for each that it was asked for.
fn persona(d: &mut Decoder<'_>) -> Result<Persona, CborError> {
    let number = u32::try_from(d.uint()?).ok().filter(|number| *number < MAX_PERSONAS);
    number.map(Persona).ok_or_else(|| d.expected("a persona of 0 to 255"))
}

/// Whether this can be a transaction id of OTrP. It is text: neither DER nor COSE nor what a TPM says can pass for it, so
/// that the signature over it is none over anything else.
fn is_tid(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    (1..=MAX_TID).contains(&text.len()) && !text.chars().any(char::is_control)
}
