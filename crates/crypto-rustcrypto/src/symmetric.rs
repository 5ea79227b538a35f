//! Hashes, HMAC, HKDF and AES-GCM.

use alloc::boxed::Box;
use alloc::vec::Vec;

use aes_gcm::aead::{Aead, Payload};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tamarack_crypto::{
    Aes128Gcm, Aes256Gcm, Error, HashAlgorithm, Hasher, HkdfSha256, HmacSha256, HmacSha512, Sha2,
};

/// Implements the symmetric traits.
pub(crate) struct RustCrypto;

impl Sha2 for RustCrypto {
    fn start(&self, algorithm: HashAlgorithm) -> Box<dyn Hasher> {
        match algorithm {
            HashAlgorithm::Sha256 => Box::new(Running(Sha256::new())),
            HashAlgorithm::Sha384 => Box::new(Running(Sha384::new())),
            HashAlgorithm::Sha512 => Box::new(Running(Sha512::new())),
        }
    }
}

struct Running<D>(D);

impl<D: Digest + Send> Hasher for Running<D> {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

impl HmacSha256 for RustCrypto {
    fn tag(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        // HMAC takes keys of every length: hmac_impl hashes long ones, so this cannot fail.
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key length");
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

impl HmacSha512 for RustCrypto {
    fn tag(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 64] {
        // As above: every length is a key.
        let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("HMAC takes any key length");
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

impl HkdfSha256 for RustCrypto {
    fn derive(&self, salt: &[u8], secret: &[u8], info: &[u8], out: &mut [u8]) -> Result<(), Error> {
        Hkdf::<Sha256>::new(Some(salt), secret).expand(info, out).map_err(|_| Error::OutputLength)
    }
}

impl Aes256Gcm for RustCrypto {
    fn seal(&self, key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        aes_gcm::Aes256Gcm::new(key.into())
            .encrypt(nonce.into(), Payload { msg: plaintext, aad })
            .map_err(|_| Error::Unavailable)
    }

    fn open(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, Error> {
        aes_gcm::Aes256Gcm::new(key.into())
            .decrypt(nonce.into(), Payload { msg: ciphertext, aad })
            .map_err(|_| Error::NotAuthentic)
    }
}

impl Aes128Gcm for RustCrypto {
    fn seal(&self, key: &[u8; 16], nonce: &[u8; 12], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        aes_gcm::Aes128Gcm::new(key.into())
            .encrypt(nonce.into(), Payload { msg: plaintext, aad })
            .map_err(|_| Error::Unavailable)
    }

    fn open(
        &self,
        key: &[u8; 16],
        nonce: &[u8; 12],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, Error> {
        aes_gcm::Aes128Gcm::new(key.into())
            .decrypt(nonce.into(), Payload { msg: ciphertext, aad })
            .map_err(|_| Error::NotAuthentic)
    }
}
