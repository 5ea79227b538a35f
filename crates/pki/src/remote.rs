//! Keys as rcgen takes them.

use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SignatureAlgorithm, SigningKey};
use tamarack_crypto::{KeyType, PublicKey, Sign};

/// A public key to be certified.
pub(crate) struct Subject {
    key_type: KeyType,
    point: Vec<u8>,
}

impl Subject {
    pub fn new(key: &PublicKey) -> Self {
        Self { key_type: key.key_type(), point: key.to_point() }
    }
}

impl PublicKeyData for Subject {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.key_type {
            KeyType::P256 => &PKCS_ECDSA_P256_SHA256,
            KeyType::Ed25519 => &PKCS_ED25519,
        }
    }
}

/// A private key that signs certificates or requests, wherever it is.
pub(crate) struct Signer<'a> {
    signer: &'a dyn Sign,
    public: Subject,
}

impl<'a> Signer<'a> {
    pub fn new(signer: &'a dyn Sign) -> Self {
        Self { signer, public: Subject::new(&signer.public_key()) }
    }
}

impl PublicKeyData for Signer<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.public.algorithm()
    }
}

impl SigningKey for Signer<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.signer.sign(message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        match self.public.key_type {
            KeyType::P256 => {
                tamarack_x509::ecdsa_to_der(&signature).map_err(|_| rcgen::Error::RemoteKeyError)
            }
            KeyType::Ed25519 => Ok(signature.to_vec()),
        }
    }
}
