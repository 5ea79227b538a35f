use alloc::vec::Vec;

use der::asn1::UintRef;
use der::{Decode, Encode, Reader, SliceReader};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use tamarack_crypto::{KeyType, Provider, PublicKey};

use crate::Error;

/// Turns the DER `Ecdsa-Sig-Value` of RFC 3279 section 2.2.3, as X.509 carries it, into `r || s`, 64 bytes.
pub fn ecdsa_from_der(signature: &[u8]) -> Result<[u8; 64], Error> {
    let [r, s] = read_pair(signature).map_err(|_| Error::Malformed)?;
    let mut out = [0; 64];
    for (value, half) in [r, s].into_iter().zip(out.chunks_mut(32)) {
        let digits = value.as_bytes();
        let start = 32usize.checked_sub(digits.len()).ok_or(Error::Malformed)?;
        half[start..].copy_from_slice(digits);
    }
    Ok(out)
}

fn read_pair(der: &[u8]) -> Result<[UintRef<'_>; 2], der::Error> {
    let mut reader = SliceReader::new(der)?;
    let pair =
        reader.sequence(|inner| Ok::<_, der::Error>([UintRef::decode(inner)?, UintRef::decode(inner)?]))?;
    reader.finish().map(|()| pair)
}

/// The reverse of [`ecdsa_from_der`], at most 72 bytes.
pub fn ecdsa_to_der(signature: &[u8; 64]) -> Result<Vec<u8>, Error> {
    let write = || {
        let body =
            [UintRef::new(&signature[..32])?.to_der()?, UintRef::new(&signature[32..])?.to_der()?].concat();
        der::asn1::AnyRef::new(der::Tag::Sequence, &body)?.to_der()
    };
    write().map_err(|_: der::Error| Error::Malformed)
}

/// Lets webpki check signatures with our provider.
pub(crate) struct Algorithm<'a> {
    pub key_type: KeyType,
    pub provider: &'a Provider,
}

impl core::fmt::Debug for Algorithm<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?} by {:?}", self.key_type, self.provider)
    }
}

impl SignatureVerificationAlgorithm for Algorithm<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = PublicKey::from_point(public_key).map_err(|_| InvalidSignature)?;
        if key.key_type() != self.key_type {
            return Err(InvalidSignature);
        }
        let verify = |signature: &[u8]| self.provider.verify.verify(&key, message, signature);
        match self.key_type {
            KeyType::P256 => verify(&ecdsa_from_der(signature).map_err(|_| InvalidSignature)?),
            KeyType::Ed25519 => verify(signature),
        }
        .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        match self.key_type {
            KeyType::P256 => alg_id::ECDSA_P256,
            KeyType::Ed25519 => alg_id::ED25519,
        }
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        match self.key_type {
            KeyType::P256 => alg_id::ECDSA_SHA256,
            KeyType::Ed25519 => alg_id::ED25519,
        }
    }
}
