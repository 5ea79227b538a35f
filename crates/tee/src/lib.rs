//! The port to a TEE platform: what the Agent asks of the Trusted Execution Environment that it runs in.
//!
//! [`Platform`] is sealed state with atomic commits, staged payloads, keys that never leave, Evidence, and a runtime for
//! TAs. The Agent calls it synchronously; time, randomness, fetching and transmitting are not here, they are inputs and
//! outputs of the Agent's engine.
//!
//! Everything the Agent keeps is a map from byte-string keys to byte-string values. Keys that begin with [`STATE`] are
//! the device's state proper (slots, counters, TA objects, trust anchors) and are covered by [`StateRoot`]; keys that
//! begin with [`NOTES`] are bookkeeping (stored answers, what applications asked for) and are not.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod otrp;
mod param;
mod root;
mod runtime;
mod state;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use tamarack_crypto::{KeyAgree, KeyType, PublicKey, Secret, Sign};
use tamarack_model::{Code, codes};

pub use otrp::{FirmwareSignature, OtrpIdentity};
pub use param::{MAX_PARAMS, Param, Params};
pub use root::{Persona, Quote, RootOfTrust};
pub use runtime::{TaError, TaInstance, TaLimits, TaReturn, TaServices};
pub use state::state_digest;

/// First byte of the keys that the state root covers.
pub const STATE: u8 = b's';
/// First byte of the keys that it does not cover.
pub const NOTES: u8 = b'n';

/// A TEE, as the Agent sees it from inside.
pub trait Platform {
    /// The value under `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// All pairs whose key begins with `prefix`, in ascending order of keys.
    fn scan(&self, prefix: &[u8]) -> Result<Vec<Pair>, Error>;

    /// Applies all of `changes` or, on an error or a power cut, none of them. When it returns, they are durable. The
    /// state epoch rises by one if any of them touches a [`STATE`] key.
    fn commit(&mut self, changes: Vec<Change>) -> Result<(), Error>;

    /// Makes sure that the rollback counter stands for all that was committed; no more than that where there is none. A
    /// commit may leave that to be tried again. Until it succeeds, the state before could be put back unseen, so nothing
    /// that follows from the commit may leave the device.
    fn count(&mut self) -> Result<(), Error>;

    /// Epoch and digest of the state as last committed.
    fn state_root(&self) -> StateRoot;

    /// Opens a place for a payload that is being received.
    fn stage(&mut self) -> Result<BlobId, Error>;

    /// Adds `chunk` to a staged payload. Memory use does not grow with the payload.
    fn stage_write(&mut self, blob: BlobId, chunk: &[u8]) -> Result<(), Error>;

    /// Ends a staged payload; gives its size in bytes. It can now be read, and kept by [`Change::KeepBlob`]; what no
    /// commit keeps is gone after [`Platform::discard`] or a restart.
    fn stage_finish(&mut self, blob: BlobId) -> Result<u64, Error>;

    /// Lets go of a staged payload that no commit has kept.
    fn discard(&mut self, blob: BlobId);

    /// Reads a finished or kept payload from start to end in chunks.
    fn read_blob(&self, blob: BlobId, sink: &mut dyn FnMut(&[u8])) -> Result<(), Error>;

    /// A key for sealing TA objects: HKDF of the root secret and `context`, 32 bytes (security rule K6).
    fn storage_key(&self, context: &[u8]) -> Result<Secret<[u8; 32]>, Error>;

    /// Number of personas: every [`Persona`] below it exists, and for any other what is below says [`Error::NoPersona`].
    fn personas(&self) -> u32;

    /// Kind of the keys that sign TEEP messages and SUIT reports, the same in every persona.
    fn key_type(&self) -> KeyType;

    /// The key that signs TEEP messages.
    fn teep_key(&self, persona: Persona) -> Result<&dyn Sign, Error>;

    /// The key that signs SUIT reports.
    fn report_key(&self, persona: Persona) -> Result<&dyn Sign, Error>;

    /// The P-256 key that payloads for this device alone are encrypted to. It signs nothing (security rule K6).
    fn decryption_key(&self, persona: Persona) -> Result<&dyn KeyAgree, Error>;

    /// What the device is to the Owner with this persona.
    fn identity(&self, persona: Persona) -> Result<&Identity, Error>;

    /// Makes Evidence about this device now (security rule E2). The attestation key is used inside and is reachable in no
    /// other way.
    fn evidence(&self, persona: Persona, request: &EvidenceRequest<'_>) -> Result<Evidence, Error>;

    /// What the device is in OTrP; None if it speaks TEEP only or there is no such persona.
    fn otrp(&self, _persona: Persona) -> Option<&dyn OtrpIdentity> {
        None
    }

    /// Shows `text` to the person at the device, where the rich OS neither sees nor answers it, and waits for yes or no:
    /// at most a minute, after which the answer is no. [`Error::NoPanel`] on a device without such a place.
    fn confirm(&self, _text: &str) -> Result<bool, Error> {
        Err(Error::NoPanel)
    }

    /// Loads a TA from the one buffer whose digest the Agent has checked (security rule L1), ready for
    /// [`TaInstance::create`].
    fn load_ta(&self, module: &[u8], limits: &TaLimits) -> Result<Box<dyn TaInstance>, TaError>;
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// One change of the sealed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Sets the value of a key.
    Put(Vec<u8>, Vec<u8>),
    /// Removes a key.
    Delete(Vec<u8>),
    /// Keeps a finished staged payload.
    KeepBlob(BlobId),
    /// Lets go of a kept payload and erases it.
    DropBlob(BlobId),
}

/// Name of a payload in the platform's storage: random, 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub [u8; 16]);

/// The state as last committed (security rule R9), or what one Owner is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateRoot {
    /// Number of commits that touched the state.
    pub epoch: u64,
    /// SHA-256 over all [`STATE`] keys and values, as [`state_digest`] computes it.
    pub digest: [u8; 32],
}

/// What the device is; SUIT identifiers and EAT claims are made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// SUIT vendor identifier, a UUID of 16 bytes.
    pub vendor_id: [u8; 16],
    /// SUIT class identifier, a UUID of 16 bytes.
    pub class_id: [u8; 16],
    /// SUIT device identifier, a UUID of 16 bytes, random, another one in each persona.
    pub device_id: [u8; 16],
    /// EAT oemid as a random 16-byte value (RFC 9711 section 4.2.3).
    pub oemid: [u8; 16],
    /// EAT hwmodel, 1 to 32 bytes.
    pub hwmodel: Vec<u8>,
    /// EAT hwversion.
    pub hwversion: String,
    /// Digest of the Agent's code, SHA-256.
    pub agent_digest: [u8; 32],
    /// Digest of the TEE's launcher, SHA-256.
    pub firmware_digest: [u8; 32],
    /// Digest of the configuration that the launcher started the Agent with, SHA-256.
    pub configuration_digest: [u8; 32],
}

/// What goes into Evidence besides what the platform knows itself.
#[derive(Clone, Copy, Debug)]
pub struct EvidenceRequest<'a> {
    /// eat_nonce, 8 to 64 bytes.
    pub nonce: &'a [u8],
    /// ueid to claim: 7 to 33 bytes, random per Owner (security rule E5).
    pub ueid: &'a [u8],
    /// Sequence number of the trust store, for the private claims.
    pub trust_store_sequence: u64,
    /// The key that the cnf claim vouches for; None stands for the TEEP key. Besides that, only the key of
    /// [`OtrpIdentity::signer`] is one: a platform refuses to vouch for any other ([`Error::NotOwnKey`]).
    pub confirm: Option<PublicKey>,
    /// Epoch and digest of the state, as this Owner is told them.
    pub state: StateRoot,
    /// The installed TAs, each as the bytes of `application/measured-component+cbor`
    /// (draft-ietf-rats-eat-measured-component).
    pub components: &'a [Vec<u8>],
    /// The Claims-Set that makes this Evidence of a TA: the platform puts it into a submodule of Evidence with another
    /// profile and without a key, whose nonce is `nonce`, so that it never passes for Evidence of the device.
    pub ta: Option<&'a [u8]>,
}

/// Evidence as it travels in attestation-payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Its attestation-payload-format (a media type); never absent, for absence means an Attestation Result.
    pub format: String,
    /// The bytes.
    pub payload: Vec<u8>,
}

/// Why the platform could not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Storage cannot be written (disk full, I/O error).
    Storage(String),
    /// What is stored is not authentic: altered, or sealed by another device.
    NotAuthentic,
    /// The storage is older than the rollback counter says.
    RolledBack,
    /// No such payload, or not in a state that allows this.
    Blob,
    /// A quota is exhausted.
    Quota,
    /// The cryptographic provider failed.
    Crypto,
    /// Evidence was asked for a key that is not this device's.
    NotOwnKey,
    /// The device was made with fewer personas.
    NoPersona,
    /// The device has no panel, or nobody is at it.
    NoPanel,
    /// The launcher, which holds the root of trust, refused or cannot be reached; why.
    Launcher(String),
    /// The root of trust refused or cannot be reached; its own code, and why.
    RootOfTrust {
        /// The stable code.
        code: Code,
        /// Why, in words.
        why: String,
    },
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Quota => codes::TA_QUOTA,
            Self::NotOwnKey | Self::NoPersona => codes::INTERNAL,
            Self::NoPanel => codes::TEE_NO_PANEL,
            Self::Launcher(_) => codes::TEE_LAUNCHER,
            Self::RootOfTrust { code, .. } => *code,
            Self::Storage(_) | Self::NotAuthentic | Self::RolledBack | Self::Blob | Self::Crypto => {
                codes::TEE_STORAGE
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(why) => write!(f, "sealed storage: {why}"),
            Self::NotAuthentic => f.write_str("sealed storage was altered or belongs to another device"),
            Self::RolledBack => f.write_str("sealed storage is older than the rollback counter says"),
            Self::Blob => f.write_str("no such payload in sealed storage"),
            Self::Quota => f.write_str("the storage quota is exhausted"),
            Self::Crypto => f.write_str("the cryptographic provider failed"),
            Self::NotOwnKey => f.write_str("Evidence was asked for a key that is not this device's"),
            Self::NoPersona => f.write_str("the device was made with fewer personas"),
            Self::NoPanel => f.write_str("the device has no panel, or nobody is at it"),
            Self::Launcher(why) => write!(f, "the launcher of the TEE: {why}"),
            Self::RootOfTrust { why, .. } => f.write_str(why),
        }
    }
}

impl core::error::Error for Error {}
