//! Signature keys and randomness.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    ParsedPublicKey,
};
use pkcs8::{PrivateKeyInfoRef, SecretDocument};
use tamarack_crypto::{
    Error, KeyType, Keys, PublicKey, Random, Secret, Sign, Verify, is_strict_ed25519_point,
};

/// Implements the asymmetric traits and [`Random`].
pub(crate) struct AwsLc;

impl Verify for AwsLc {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let signature: &[u8; 64] = signature.try_into().map_err(|_| Error::NotAuthentic)?;
        let parsed = match key {
            PublicKey::P256 { .. } => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.to_point()),
            PublicKey::Ed25519(point) => {
                if !is_strict_ed25519_point(point) {
                    return Err(Error::InvalidKey);
                }
                // AWS-LC itself accepts an R of small order; the other provider and RFC 8032's strict reading do not.
                if !signature.first_chunk().is_some_and(is_strict_ed25519_point) {
                    return Err(Error::NotAuthentic);
                }
                ParsedPublicKey::new(&ED25519, point)
            }
        };
        parsed.map_err(|_| Error::InvalidKey)?.verify_sig(message, signature).map_err(|_| Error::NotAuthentic)
    }
}

impl Random for AwsLc {
    fn fill(&self, out: &mut [u8]) -> Result<(), Error> {
        aws_lc_rs::rand::fill(out).map_err(|_| Error::Unavailable)
    }
}

impl Keys for AwsLc {
    fn generate_pkcs8(&self, key_type: KeyType) -> Result<Secret<Vec<u8>>, Error> {
        let random = SystemRandom::new();
        let document = match key_type {
            KeyType::P256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
            // Version 1, without the public key: what every other implementation reads.
            KeyType::Ed25519 => Ed25519KeyPair::generate_pkcs8v1(&random),
        };
        Ok(Secret::new(document.map_err(|_| Error::Unavailable)?.as_ref().to_vec()))
    }

    fn load_pkcs8(&self, der: &[u8]) -> Result<Box<dyn Sign>, Error> {
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| Error::InvalidKey)?;
        let key = load_v1(version_1(&info)?.as_bytes())?;
        match info.public_key {
            Some(public) if public.as_bytes() != Some(&key.public_key().to_point()) => Err(Error::InvalidKey),
            _ => Ok(key),
        }
    }
}

/// The key as version 1: AWS-LC reads no P-256 key of version 2 and overlooks bytes after the key.
pub(crate) fn version_1(info: &PrivateKeyInfoRef<'_>) -> Result<SecretDocument, Error> {
    let v1 = PrivateKeyInfoRef::new(info.algorithm, info.private_key);
    SecretDocument::encode_msg(&v1).map_err(|_| Error::InvalidKey)
}

fn load_v1(der: &[u8]) -> Result<Box<dyn Sign>, Error> {
    if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
        let public = PublicKey::from_point(pair.public_key().as_ref())?;
        return Ok(Box::new(P256Key { pair, public }));
    }
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| Error::InvalidKey)?;
    let public = PublicKey::from_point(pair.public_key().as_ref())?;
    Ok(Box::new(Ed25519Key { pair, public }))
}

struct P256Key {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

impl Sign for P256Key {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Error> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| Error::Unavailable)?;
        signature.as_ref().try_into().map_err(|_| Error::Unavailable)
    }
}

struct Ed25519Key {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl Sign for Ed25519Key {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Error> {
        let signature = self.pair.try_sign(message).map_err(|_| Error::Unavailable)?;
        signature.as_ref().try_into().map_err(|_| Error::Unavailable)
    }
}
