//! The root of trust of the software TEE: a secret in a file, and a counter in another.
//!
//! It lives in the launcher. Attestation keys follow from the secret, so that they need no storage; each is a key of its own
//! (security rule K6), and so is the secret that sealed storage derives from.

use std::fs::File;

use tamarack_crypto::{KeyType, Provider, PublicKey, Secret, Sign};
use tamarack_tee::{Error, Persona, Quote, RootOfTrust};

use crate::root_secret::RootSecret;
use crate::sealed::Slots;

/// A [`RootOfTrust`] in files that stand for the fuses of a chip. It measures nothing and keeps its secret from nobody who
/// can copy both files.
pub struct FileRoot {
    secret: RootSecret,
    counter: Option<File>,
    key_type: KeyType,
    provider: Provider,
}

impl FileRoot {
    /// A root on `secret` with attestation keys of this kind. `counter` is opened for reading and writing; None if there is
    /// no place for one.
    pub fn new(secret: RootSecret, counter: Option<File>, key_type: KeyType, provider: Provider) -> Self {
        Self { secret, counter, key_type, provider }
    }

    fn key(&self, persona: Persona) -> Result<Box<dyn Sign>, Error> {
        // So that a device that is made again with another kind of key shares nothing with the one before.
        let kind: &[u8] = match self.key_type {
            KeyType::Ed25519 => b"Ed25519",
            KeyType::P256 => b"P-256",
        };
        let info = [&b"tamarack attestation key"[..], kind, &persona.0.to_be_bytes()];
        derived_key(&self.provider, self.secret.expose(), self.key_type, &info)
    }
}

impl RootOfTrust for FileRoot {
    fn protection(&self) -> &'static str {
        "file"
    }

    fn counter_quality(&self) -> &'static str {
        match self.counter {
            Some(_) => "file",
            None => "none",
        }
    }

    /// Nothing follows from it: whoever has the files has the secret.
    fn measure(&mut self, _agent: &[u8; 32], _configuration: &[u8; 32]) -> Result<(), Error> {
        Ok(())
    }

    fn storage_secret(&mut self) -> Result<Secret<[u8; 32]>, Error> {
        derive(&self.provider, self.secret.expose(), &[b"tamarack storage secret"])
    }

    fn read_counter(&mut self, slot: usize, length: usize) -> Result<Vec<u8>, Error> {
        self.counter.as_ref().map_or(Ok(Vec::new()), |file| file.read(slot, length))
    }

    fn write_counter(&mut self, slot: usize, commit: u64, data: &[u8]) -> Result<(), Error> {
        self.counter.as_mut().map_or(Ok(()), |file| file.write(slot, commit, data))
    }

    fn attestation_key(&mut self, persona: Persona) -> Result<PublicKey, Error> {
        Ok(self.key(persona)?.public_key())
    }

    fn sign(&mut self, persona: Persona, message: &[u8]) -> Result<[u8; 64], Error> {
        self.key(persona)?.sign(message).map_err(|_| Error::Crypto)
    }

    fn quote(&mut self, _persona: Persona, _qualifying: &[u8; 32]) -> Result<Option<Quote>, Error> {
        Ok(None)
    }
}

/// HKDF-SHA-256 of a secret for one use.
pub(crate) fn derive(provider: &Provider, secret: &[u8], info: &[&[u8]]) -> Result<Secret<[u8; 32]>, Error> {
    let mut key = Secret::new([0; 32]);
    provider.hkdf.derive(b"", secret, &info.concat(), key.expose_mut()).map_err(|_| Error::Crypto)?;
    Ok(key)
}

/// The private key that follows from a secret for one use.
pub(crate) fn derived_key(
    provider: &Provider,
    secret: &[u8],
    key_type: KeyType,
    info: &[&[u8]],
) -> Result<Box<dyn Sign>, Error> {
    let prefix: &[u8] = match key_type {
        KeyType::Ed25519 => &PKCS8_ED25519,
        KeyType::P256 => &PKCS8_P256,
    };
    // One number in 2^32 is no private key of P-256: the next attempt is one.
    for attempt in 0..4u8 {
        let attempt = [attempt];
        let info = [info, &[&attempt[..]]].concat();
        let private = derive(provider, secret, &info)?;
        let pkcs8 = Secret::new([prefix, private.expose()].concat());
        if let Ok(key) = provider.keys.load_pkcs8(pkcs8.expose()) {
            return Ok(key);
        }
    }
    Err(Error::Crypto)
}

/// PKCS#8 of an Ed25519 key up to the 32 bytes of the private key (RFC 8410 section 7).
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// The same of a P-256 key (RFC 5915), without the public key.
const PKCS8_P256: [u8; 35] = [
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04,
    0x20,
];
