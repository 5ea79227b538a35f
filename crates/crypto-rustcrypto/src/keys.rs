//! Signature keys and randomness.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ed25519_dalek::pkcs8::{EncodePrivateKey, KeypairBytes};
use p256::ecdsa::signature::{Signer, Verifier};
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::pkcs8::PrivateKeyInfoRef;
use tamarack_crypto::{
    Error, KeyType, Keys, PublicKey, Random, Secret, Sign, Verify, is_strict_ed25519_point,
};
use zeroize::Zeroizing;

/// Implements the asymmetric traits and [`Random`].
pub(crate) struct RustCrypto;

impl Verify for RustCrypto {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let signature: &[u8; 64] = signature.try_into().map_err(|_| Error::NotAuthentic)?;
        match key {
            PublicKey::P256 { .. } => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&key.to_point())
                    .map_err(|_| Error::InvalidKey)?;
                let signature =
                    p256::ecdsa::Signature::from_slice(signature).map_err(|_| Error::NotAuthentic)?;
                key.verify(message, &signature).map_err(|_| Error::NotAuthentic)
            }
            PublicKey::Ed25519(point) => {
                if !is_strict_ed25519_point(point) {
                    return Err(Error::InvalidKey);
                }
                let key = ed25519_dalek::VerifyingKey::from_bytes(point).map_err(|_| Error::InvalidKey)?;
                key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature))
                    .map_err(|_| Error::NotAuthentic)
            }
        }
    }
}

impl Random for RustCrypto {
    fn fill(&self, out: &mut [u8]) -> Result<(), Error> {
        getrandom::fill(out).map_err(|_| Error::Unavailable)
    }
}

impl Keys for RustCrypto {
    fn generate_pkcs8(&self, key_type: KeyType) -> Result<Secret<Vec<u8>>, Error> {
        let document = match key_type {
            KeyType::P256 => random_p256(self)?.to_pkcs8_der(),
            // Version 1, without the public key: what every other implementation reads.
            KeyType::Ed25519 => {
                let mut seed = Zeroizing::new([0; 32]);
                self.fill(&mut *seed)?;
                KeypairBytes { secret_key: *seed, public_key: None }.to_pkcs8_der()
            }
        };
        Ok(Secret::new(document.map_err(|_| Error::Unavailable)?.as_bytes().to_vec()))
    }

    fn load_pkcs8(&self, der: &[u8]) -> Result<Box<dyn Sign>, Error> {
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| Error::InvalidKey)?;
        if info.algorithm.oid == p256::elliptic_curve::ALGORITHM_OID {
            return Ok(Box::new(P256Key(p256_from_pkcs8(info)?.into())));
        }
        let public = info.public_key;
        let key = Ed25519Key(info.try_into().map_err(|_| Error::InvalidKey)?);
        match public {
            Some(public) if public.as_bytes() != Some(&key.public_key().to_point()) => Err(Error::InvalidKey),
            _ => Ok(Box::new(key)),
        }
    }
}

/// A new private P-256 key.
pub(crate) fn random_p256(random: &dyn Random) -> Result<p256::SecretKey, Error> {
    let mut seed = Zeroizing::new([0; 32]);
    loop {
        random.fill(&mut *seed)?;
        // One seed in 2^32 is not below the group order: the next one will be.
        if let Ok(key) = p256::SecretKey::from_slice(&*seed) {
            return Ok(key);
        }
    }
}

/// Reads a P-256 key from PKCS#8; a public key beside it must be its own.
pub(crate) fn p256_from_pkcs8(info: PrivateKeyInfoRef<'_>) -> Result<p256::SecretKey, Error> {
    let public = info.public_key;
    let key = p256::SecretKey::try_from(info).map_err(|_| Error::InvalidKey)?;
    match public {
        Some(public) if public.as_bytes() != Some(&to_public(&key.public_key()).to_point()) => {
            Err(Error::InvalidKey)
        }
        _ => Ok(key),
    }
}

/// The public key as the traits give it.
pub(crate) fn to_public(key: &p256::PublicKey) -> PublicKey {
    let point = key.to_sec1_point(false);
    let (mut x, mut y) = ([0; 32], [0; 32]);
    // An uncompressed point is 0x04, x, y: 65 bytes.
    x.copy_from_slice(&point.as_bytes()[1..33]);
    y.copy_from_slice(&point.as_bytes()[33..]);
    PublicKey::P256 { x, y }
}

struct P256Key(p256::ecdsa::SigningKey);

impl Sign for P256Key {
    fn public_key(&self) -> PublicKey {
        to_public(&self.0.verifying_key().into())
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Error> {
        let signature: p256::ecdsa::Signature = self.0.try_sign(message).map_err(|_| Error::Unavailable)?;
        Ok(signature.to_bytes().into())
    }
}

struct Ed25519Key(ed25519_dalek::SigningKey);

impl Sign for Ed25519Key {
    fn public_key(&self) -> PublicKey {
        PublicKey::Ed25519(self.0.verifying_key().to_bytes())
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Error> {
        let signature = self.0.try_sign(message).map_err(|_| Error::Unavailable)?;
        Ok(signature.to_bytes())
    }
}
