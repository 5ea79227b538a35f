use alloc::vec::Vec;

use tamarack_crypto::{PublicKey, Secret};

use crate::Error;

/// One face of the device: the keys, certificates and names that one Owner sees and no other (security rule E5). A device
/// is made with a fixed number of them, counted from 0; which Owner has which, the Agent keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Persona(pub u32);

/// The port to a device's root of trust: what only the program that starts the TEE holds, and the Agent never.
///
/// The launcher calls it, from a process of its own; the Agent's [`crate::Platform`] asks the launcher. So whoever runs in
/// the Agent's place gets Evidence with its own digest, and no key to make any other.
pub trait RootOfTrust {
    /// How the root secret is protected, as Evidence states it: `file` or `tpm`.
    fn protection(&self) -> &'static str;

    /// Quality of the rollback counter, as Evidence states it (security rule R9): `file`, `tpm` or `none`.
    fn counter_quality(&self) -> &'static str;

    /// Takes note of what is about to run: SHA-256 of the Agent's code and of the launch configuration. Called once, before
    /// anything below. A root that can, binds its secrets to it: a TPM extends a PCR.
    fn measure(&mut self, agent: &[u8; 32], configuration: &[u8; 32]) -> Result<(), Error>;

    /// The secret that sealed storage and the firmware's keys derive from, the same at every start. It is not the root
    /// secret, and attestation keys do not follow from it. [`Error::NotAuthentic`] where it is bound to other measurements.
    fn storage_secret(&mut self) -> Result<Secret<[u8; 32]>, Error>;

    /// Content of slot 0 or 1 of the rollback counter, at most `length` bytes; shorter if less was ever written. Empty
    /// where the counter's quality is `none`.
    fn read_counter(&mut self, slot: usize, length: usize) -> Result<Vec<u8>, Error>;

    /// Replaces the content of a slot and makes it durable. `commit` is the number that `data` authenticates: a root with a
    /// counter of its own raises it to that, so that no older `data` can be put back. Does nothing where the quality is
    /// `none`.
    fn write_counter(&mut self, slot: usize, commit: u64, data: &[u8]) -> Result<(), Error>;

    /// The public half of a persona's attestation key; the same at every start.
    fn attestation_key(&mut self, persona: Persona) -> Result<PublicKey, Error>;

    /// Signs Evidence or a certificate request with a persona's attestation key, in the form of
    /// [`tamarack_crypto::Verify::verify`]. Nothing else is ever passed to it (security rule K6).
    fn sign(&mut self, persona: Persona, message: &[u8]) -> Result<[u8; 64], Error>;

    /// What the root itself says of the platform's measurements, with 32 bytes that bind it to one Evidence; None for a root
    /// that measures nothing.
    fn quote(&mut self, persona: Persona, qualifying: &[u8; 32]) -> Result<Option<Quote>, Error>;
}

/// What a TPM 2.0 says of its platform configuration registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// TPMS_ATTEST, as the TPM marshalled it.
    pub attest: Vec<u8>,
    /// ES256 over `attest` by the persona's attestation key: `r || s`.
    pub signature: [u8; 64],
    /// The registers that it is about: index and SHA-256 value, in ascending order.
    pub pcrs: Vec<(u8, [u8; 32])>,
}
