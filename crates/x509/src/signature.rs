use alloc::vec::Vec;

use der::asn1::{ObjectIdentifier, UintRef};
use der::{Decode, Encode, Reader, SliceReader};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use tamarack_crypto::{KeyType, Provider, PublicKey, SignatureAlgorithm};

use crate::{Error, raw};

/// Turns the DER `Ecdsa-Sig-Value` of RFC 3279 section 2.2.3, as X.509 carries it, into `r || s`, 64 bytes.
pub fn ecdsa_from_der(signature: &[u8]) -> Result<[u8; 64], Error> {
    fixed(signature)
}

/// `r || s`, each filling half of `N` bytes.
fn fixed<const N: usize>(signature: &[u8]) -> Result<[u8; N], Error> {
    let [r, s] = read_pair(signature).map_err(|_| Error::Malformed)?;
    let mut out = [0; N];
    for (value, half) in [r, s].into_iter().zip(out.chunks_mut(N / 2)) {
        let digits = value.as_bytes();
        let start = (N / 2).checked_sub(digits.len()).ok_or(Error::Malformed)?;
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

/// The combinations of key and signature that certificates, revocation lists and OCSP responses may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// ECDSA with P-256 and SHA-256.
    P256,
    /// Ed25519.
    Ed25519,
    /// ECDSA with P-384 and SHA-384.
    P384,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rsa,
}

impl Scheme {
    /// Those of our own certificates.
    pub const OWN: [Self; 2] = [Self::P256, Self::Ed25519];
    /// Those of every certificate.
    pub const ALL: [Self; 4] = [Self::P256, Self::Ed25519, Self::P384, Self::Rsa];

    /// The one of a signature algorithm's identifier; `None` for those that are weak or not supported.
    fn of(algorithm: ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.identifier() == algorithm)
    }

    /// The identifier of the signature algorithm.
    pub fn identifier(self) -> ObjectIdentifier {
        match self {
            Self::P256 => ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
            Self::Ed25519 => ObjectIdentifier::new_unwrap("1.3.101.112"),
            Self::P384 => ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"),
            Self::Rsa => ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"),
        }
    }

    /// Checks a signature as X.509 carries it.
    fn verify(self, spki: &[u8], message: &[u8], signature: &[u8], provider: &Provider) -> Result<(), Error> {
        let certified =
            |algorithm, signature: &[u8]| provider.certified.verify_spki(algorithm, spki, message, signature);
        let own = |signature: &[u8]| {
            let key = PublicKey::from_spki(spki)?;
            let fits = matches!(
                (self, key.key_type()),
                (Self::P256, KeyType::P256) | (Self::Ed25519, KeyType::Ed25519)
            );
            match fits {
                true => provider.verify.verify(&key, message, signature),
                false => Err(tamarack_crypto::Error::InvalidKey),
            }
        };
        let result = match self {
            Self::P256 => own(&fixed::<64>(signature)?),
            Self::Ed25519 => own(signature),
            Self::P384 => certified(SignatureAlgorithm::Es384, &fixed::<96>(signature)?),
            Self::Rsa => certified(SignatureAlgorithm::Rs256, signature),
        };
        result.map_err(|error| match error {
            tamarack_crypto::Error::Unsupported => Error::Algorithm,
            _ => Error::Signature,
        })
    }
}

/// Checks what a certificate, revocation list or OCSP response is signed with.
pub(crate) fn verify(
    algorithm: ObjectIdentifier,
    spki: &[u8],
    message: &[u8],
    signature: &[u8],
    provider: &Provider,
) -> Result<(), Error> {
    Scheme::of(algorithm).ok_or(Error::Algorithm)?.verify(spki, message, signature, provider)
}

/// Lets webpki check signatures with our provider.
pub(crate) struct Algorithm<'a> {
    pub scheme: Scheme,
    pub provider: &'a Provider,
}

impl core::fmt::Debug for Algorithm<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?} by {:?}", self.scheme, self.provider)
    }
}

impl SignatureVerificationAlgorithm for Algorithm<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        // webpki gives the bits of the key alone, having compared the algorithm with ours.
        let identifier = raw::tlv(raw::SEQUENCE, &[self.public_key_alg_id().as_ref()]);
        let bits = raw::tlv(raw::BIT_STRING, &[&[0], public_key]);
        let spki = raw::tlv(raw::SEQUENCE, &[&identifier, &bits]);
        self.scheme.verify(&spki, message, signature, self.provider).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        match self.scheme {
            Scheme::P256 => alg_id::ECDSA_P256,
            Scheme::Ed25519 => alg_id::ED25519,
            Scheme::P384 => alg_id::ECDSA_P384,
            Scheme::Rsa => alg_id::RSA_ENCRYPTION,
        }
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        match self.scheme {
            Scheme::P256 => alg_id::ECDSA_SHA256,
            Scheme::Ed25519 => alg_id::ED25519,
            Scheme::P384 => alg_id::ECDSA_SHA384,
            Scheme::Rsa => alg_id::RSA_PKCS1_SHA256,
        }
    }
}

/// Whether a SubjectPublicKeyInfo is of P-384, its point uncompressed.
pub(crate) fn is_p384(spki: &[u8]) -> bool {
    let identifier = raw::tlv(raw::SEQUENCE, &[alg_id::ECDSA_P384.as_ref()]);
    let point = [0x03, 0x62, 0x00, 0x04];
    let body = spki.strip_prefix(&[raw::SEQUENCE, 0x76]).and_then(|body| body.strip_prefix(&identifier[..]));
    body.and_then(|body| body.strip_prefix(&point)).is_some_and(|xy| xy.len() == 96)
}
