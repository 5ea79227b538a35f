use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use tamarack_crypto::{KeyType, PublicKey};
use tamarack_model::{Code, ComponentId, UnixTime, codes};

use crate::Params;

/// What one TA may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaLimits {
    /// Most linear memory, in bytes.
    pub memory: usize,
    /// Fuel for one call: about one unit per executed instruction, plus bytes moved by host functions.
    pub fuel: u64,
    /// Most bytes of one persistent object.
    pub object_size: usize,
    /// Most persistent objects.
    pub objects: usize,
}

impl Default for TaLimits {
    /// 4 MiB of memory, 50 million units of fuel, 64 objects of 64 KiB.
    fn default() -> Self {
        Self { memory: 4 << 20, fuel: 50_000_000, object_size: 64 << 10, objects: 64 }
    }
}

/// A return code of a TA (TEE_Result of the GlobalPlatform TEE Internal Core API).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaReturn(pub u32);

impl TaReturn {
    /// TEE_SUCCESS.
    pub const SUCCESS: Self = Self(0);
    /// TEE_ERROR_GENERIC.
    pub const GENERIC: Self = Self(0xffff_0000);
    /// TEE_ERROR_ACCESS_DENIED.
    pub const ACCESS_DENIED: Self = Self(0xffff_0001);
    /// TEE_ERROR_ACCESS_CONFLICT.
    pub const ACCESS_CONFLICT: Self = Self(0xffff_0003);
    /// TEE_ERROR_BAD_PARAMETERS.
    pub const BAD_PARAMETERS: Self = Self(0xffff_0006);
    /// TEE_ERROR_ITEM_NOT_FOUND.
    pub const ITEM_NOT_FOUND: Self = Self(0xffff_0008);
    /// TEE_ERROR_NOT_SUPPORTED.
    pub const NOT_SUPPORTED: Self = Self(0xffff_000a);
    /// TEE_ERROR_BUSY.
    pub const BUSY: Self = Self(0xffff_000d);
    /// TEE_ERROR_SHORT_BUFFER.
    pub const SHORT_BUFFER: Self = Self(0xffff_0010);
    /// TEE_ERROR_STORAGE_NO_SPACE.
    pub const STORAGE_NO_SPACE: Self = Self(0xffff_3041);
    /// TEE_ERROR_MAC_INVALID: what was to be decrypted is not authentic, or is for another key.
    pub const MAC_INVALID: Self = Self(0xffff_3071);
    /// TEE_ERROR_TARGET_DEAD: the TA has stopped abnormally.
    pub const TARGET_DEAD: Self = Self(0xffff_3024);
}

/// Why a call into a TA gave no result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaError {
    /// The module is not valid for the TA interface; why.
    Invalid(String),
    /// The TA trapped, ran out of fuel or memory, or passed a bad pointer; why. It must not be called again.
    Panic(String),
    /// The TA refused, with this code.
    Returned(TaReturn),
    /// The caller's parameters are out of bounds; why.
    BadParameters(&'static str),
}

impl TaError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => codes::TA_INVALID,
            Self::Panic(_) => codes::TA_PANIC,
            Self::Returned(_) => codes::TA_ERROR,
            Self::BadParameters(_) => codes::TA_BAD_PARAMETERS,
        }
    }
}

impl fmt::Display for TaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => write!(f, "not a valid TA: {why}"),
            Self::Panic(why) => write!(f, "the TA stopped abnormally: {why}"),
            Self::Returned(code) => write!(f, "the TA returned 0x{:08x}", code.0),
            Self::BadParameters(why) => write!(f, "bad parameters: {why}"),
        }
    }
}

impl core::error::Error for TaError {}

/// A TA in memory. The entry points are those of the GlobalPlatform TEE Internal Core API; each is called with the
/// services of this TA and no other.
pub trait TaInstance {
    /// TA_CreateEntryPoint, once, before anything else.
    fn create(&mut self, services: &mut dyn TaServices) -> Result<(), TaError>;
    /// TA_OpenSessionEntryPoint; gives the TA's own session context.
    fn open_session(&mut self, services: &mut dyn TaServices, params: &mut Params) -> Result<u32, TaError>;
    /// TA_InvokeCommandEntryPoint. Output parameters are filled also when the TA returns an error of its own.
    fn invoke(
        &mut self,
        services: &mut dyn TaServices,
        session: u32,
        command: u32,
        params: &mut Params,
    ) -> Result<(), TaError>;
    /// TA_CloseSessionEntryPoint.
    fn close_session(&mut self, services: &mut dyn TaServices, session: u32) -> Result<(), TaError>;
    /// TA_DestroyEntryPoint, last.
    fn destroy(&mut self, services: &mut dyn TaServices) -> Result<(), TaError>;
}

/// What the host functions of the TA interface do. The Agent implements it, scoped to (Owner, provider, manifest id), so
/// that one TA's names are never another's. Changes become durable together when the call ends without a panic, before
/// its result is given to the caller; a panic undoes them.
pub trait TaServices {
    /// Content of the persistent object `name` (1 to 64 bytes).
    fn read_object(&mut self, name: &[u8]) -> Result<Vec<u8>, TaReturn>;
    /// Creates or replaces a persistent object.
    fn write_object(&mut self, name: &[u8], data: &[u8]) -> Result<(), TaReturn>;
    /// Deletes a persistent object.
    fn delete_object(&mut self, name: &[u8]) -> Result<(), TaReturn>;
    /// Makes a key pair under `name`; the private half never leaves. ACCESS_CONFLICT if there is one already.
    fn generate_key(&mut self, name: &[u8], key_type: KeyType) -> Result<(), TaReturn>;
    /// The public half of a key.
    fn public_key(&mut self, name: &[u8]) -> Result<PublicKey, TaReturn>;
    /// Signs `message` with a key.
    fn sign(&mut self, name: &[u8], message: &[u8]) -> Result<[u8; 64], TaReturn>;
    /// Makes a P-256 key pair under `name` that others encrypt to; it signs nothing, and a key that signs decrypts nothing
    /// (security rule K5). Both kinds share one space of names.
    fn generate_agreement_key(&mut self, _name: &[u8]) -> Result<(), TaReturn> {
        Err(TaReturn::NOT_SUPPORTED)
    }
    /// Decrypts a COSE_Encrypt to the key `name`, which [`TaServices::generate_agreement_key`] made.
    fn decrypt(&mut self, _name: &[u8], _message: &[u8]) -> Result<Vec<u8>, TaReturn> {
        Err(TaReturn::NOT_SUPPORTED)
    }
    /// Encrypts `data` with the persistent object `name`, 32 bytes, as the key; `context` is authenticated with it.
    fn seal(&mut self, _name: &[u8], _context: &[u8], _data: &[u8]) -> Result<Vec<u8>, TaReturn> {
        Err(TaReturn::NOT_SUPPORTED)
    }
    /// Decrypts what [`TaServices::seal`] or somebody else with the same key gave; MAC_INVALID if it is not authentic.
    fn unseal(&mut self, _name: &[u8], _context: &[u8], _data: &[u8]) -> Result<Vec<u8>, TaReturn> {
        Err(TaReturn::NOT_SUPPORTED)
    }
    /// Evidence of this TA for whoever it speaks to: `nonce` (8 to 64 bytes) and the public half of `key` stand in the TA's
    /// submodule and nowhere else (security rule L4).
    fn attest(&mut self, _nonce: &[u8], _key: Option<&[u8]>) -> Result<Vec<u8>, TaReturn> {
        Err(TaReturn::NOT_SUPPORTED)
    }
    /// Asks the person at the device, where the rich OS neither sees nor answers it, and waits. Who asks is added to `text`.
    fn confirm(&mut self, _text: &str) -> Result<bool, TaReturn> {
        Err(TaReturn::NOT_SUPPORTED)
    }
    /// Deletes a key.
    fn delete_key(&mut self, name: &[u8]) -> Result<(), TaReturn>;
    /// Random bytes.
    fn random(&mut self, out: &mut [u8]) -> Result<(), TaReturn>;
    /// The time as the TEE knows it; the software TEE's is the host's, graded untrusted.
    fn time(&mut self) -> UnixTime;
    /// A line for the TA's log.
    fn log(&mut self, line: &str);
    /// Sends `command` to the peripheral `name`, if the device binds that peripheral to this TA; gives its answer.
    fn peripheral(&mut self, name: &[u8], command: &[u8]) -> Result<Vec<u8>, TaReturn>;
    /// Manifest component id of this TA.
    fn manifest_id(&self) -> &ComponentId;
}
