//! Hashes, HMAC, HKDF and AES-GCM.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, hmac};
use tamarack_crypto::{
    Aes128Gcm, Aes256Gcm, Error, HashAlgorithm, Hasher, HkdfSha256, HmacSha256, HmacSha512, Sha2,
};

/// Implements the symmetric traits.
pub(crate) struct AwsLc;

impl Sha2 for AwsLc {
    fn start(&self, algorithm: HashAlgorithm) -> Box<dyn Hasher> {
        let algorithm = match algorithm {
            HashAlgorithm::Sha256 => &digest::SHA256,
            HashAlgorithm::Sha384 => &digest::SHA384,
            HashAlgorithm::Sha512 => &digest::SHA512,
        };
        Box::new(Running(digest::Context::new(algorithm)))
    }
}

struct Running(digest::Context);

impl Hasher for Running {
    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.0.finish().as_ref().to_vec()
    }
}

impl HmacSha256 for AwsLc {
    fn tag(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        parts.iter().for_each(|part| context.update(part));
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        out
    }
}

impl HmacSha512 for AwsLc {
    fn tag(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 64] {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA512, key));
        parts.iter().for_each(|part| context.update(part));
        let mut out = [0; 64];
        out.copy_from_slice(context.sign().as_ref());
        out
    }
}

impl HkdfSha256 for AwsLc {
    fn derive(&self, salt: &[u8], secret: &[u8], info: &[u8], out: &mut [u8]) -> Result<(), Error> {
        hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
            .extract(secret)
            .expand(&[info], Length(out.len()))
            .and_then(|okm| okm.fill(out))
            .map_err(|_| Error::OutputLength)
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Aes256Gcm for AwsLc {
    fn seal(&self, key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        seal(&AES_256_GCM, key, nonce, aad, plaintext)
    }

    fn open(
        &self,
        key: &[u8; 32],
        nonce: &[u8; 12],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, Error> {
        open(&AES_256_GCM, key, nonce, aad, ciphertext)
    }
}

impl Aes128Gcm for AwsLc {
    fn seal(&self, key: &[u8; 16], nonce: &[u8; 12], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        seal(&AES_128_GCM, key, nonce, aad, plaintext)
    }

    fn open(
        &self,
        key: &[u8; 16],
        nonce: &[u8; 12],
        aad: &[u8],
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, Error> {
        open(&AES_128_GCM, key, nonce, aad, ciphertext)
    }
}

fn seal(
    algorithm: &'static Algorithm,
    key: &[u8],
    nonce: &[u8; 12],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>, Error> {
    let mut buffer = Vec::with_capacity(plaintext.len() + algorithm.tag_len());
    buffer.extend_from_slice(plaintext);
    gcm(algorithm, key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut buffer)
        .map_err(|_| Error::Unavailable)?;
    Ok(buffer)
}

fn open(
    algorithm: &'static Algorithm,
    key: &[u8],
    nonce: &[u8; 12],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Vec<u8>, Error> {
    let mut buffer = ciphertext.to_vec();
    let length = gcm(algorithm, key)?
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut buffer)
        .map_err(|_| Error::NotAuthentic)?
        .len();
    buffer.truncate(length);
    Ok(buffer)
}

fn gcm(algorithm: &'static Algorithm, key: &[u8]) -> Result<LessSafeKey, Error> {
    Ok(LessSafeKey::new(UnboundKey::new(algorithm, key).map_err(|_| Error::Unavailable)?))
}
