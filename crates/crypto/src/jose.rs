//! What JOSE needs beyond COSE: RFC 7518 sections 3, 4 and 5.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::{Error, PublicKey, Secret};

/// A signature algorithm of RFC 7518 section 3, by its JOSE name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureAlgorithm {
    /// ECDSA P-256 with SHA-256; signatures are `r || s`, 64 bytes.
    Es256,
    /// ECDSA P-384 with SHA-384; signatures are `r || s`, 96 bytes.
    Es384,
    /// RSASSA-PKCS1-v1_5 with SHA-256, keys of 2048 to 8192 bits.
    Rs256,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes, keys of 2048 to 8192 bits.
    Ps256,
}

impl SignatureAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 4] = [Self::Es256, Self::Es384, Self::Rs256, Self::Ps256];

    /// The name in RFC 7518 section 3.1.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
        }
    }

    /// The algorithm of that name, if it is one of ours.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// Signature verification with keys as certificates carry them.
pub trait VerifySpki: Sync {
    /// Checks `signature` over `message` with the key of a DER SubjectPublicKeyInfo. Says [`Error::Unsupported`] if this
    /// provider has not the algorithm, [`Error::InvalidKey`] if the key does not fit it: wrong type or curve, an RSA
    /// modulus below 2048 bits.
    fn verify_spki(
        &self,
        algorithm: SignatureAlgorithm,
        spki_der: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Error>;
}

/// HMAC with SHA-512 (RFC 2104).
pub trait HmacSha512: Sync {
    /// The 64-byte tag over the concatenation of `parts`. Compare tags only in constant time.
    fn tag(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 64];
}

/// AES in CBC mode with PKCS#7 padding, keys of 16 or 32 bytes (NIST SP 800-38A). Not authenticated: never act on what it
/// decrypts, padding errors included, before something else vouched for the ciphertext.
pub trait AesCbc: Sync {
    /// Encrypts `data`, 1 to 16 bytes longer afterwards. [`Error::InvalidKey`] if the key has another length.
    fn encrypt(&self, key: &[u8], iv: &[u8; 16], data: &[u8]) -> Result<Vec<u8>, Error>;
    /// Decrypts what [`AesCbc::encrypt`] gave; [`Error::NotAuthentic`] for a wrong length or padding.
    fn decrypt(&self, key: &[u8], iv: &[u8; 16], data: &[u8]) -> Result<Vec<u8>, Error>;
}

/// AES Key Wrap with the default initial value (RFC 3394), key-encryption keys of 16 or 32 bytes.
pub trait AesKeyWrap: Sync {
    /// Wraps a key of 16 to 4,096 bytes, a multiple of 8; 8 bytes longer afterwards. [`Error::InvalidKey`] for any other
    /// length.
    fn wrap(&self, kek: &[u8], key: &[u8]) -> Result<Vec<u8>, Error>;
    /// Unwraps what [`AesKeyWrap::wrap`] gave, or says [`Error::NotAuthentic`].
    fn unwrap(&self, kek: &[u8], wrapped: &[u8]) -> Result<Secret<Vec<u8>>, Error>;
}

/// The lengths of what [`AesKeyWrap::wrap`] takes; both providers ask this.
pub fn is_wrappable(length: usize) -> bool {
    (16..=4096).contains(&length) && length.is_multiple_of(8)
}

/// Making and loading P-256 keys for key agreement.
pub trait Agreement: Sync {
    /// A new key for one message.
    fn ephemeral(&self) -> Result<Box<dyn KeyAgree>, Error>;
    /// Loads a P-256 key from DER PKCS#8, as [`Keys::load_pkcs8`](crate::Keys::load_pkcs8) does for signing.
    fn load_pkcs8(&self, der: &[u8]) -> Result<Box<dyn KeyAgree>, Error>;
}

/// A private P-256 key for key agreement, in memory or in a token.
pub trait KeyAgree: Send + Sync {
    /// The public half.
    fn public_key(&self) -> PublicKey;
    /// The x coordinate of the shared point (NIST SP 800-56A, cofactor 1), big-endian. Never use it as a key: derive one.
    /// [`Error::InvalidKey`] if `peer` is not a point on P-256.
    fn agree(&self, peer: &PublicKey) -> Result<Secret<[u8; 32]>, Error>;
}

/// RSA keys of 2048 to 8192 bits.
pub trait Rsa: Sync {
    /// RSAES-OAEP with SHA-256 and MGF1 with SHA-256, no label (RFC 7518 section 4.3, `RSA-OAEP-256`), to the key of a DER
    /// SubjectPublicKeyInfo.
    fn oaep_encrypt(&self, spki_der: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error>;
    /// Loads a DER PKCS#8 key.
    fn load_pkcs8(&self, der: &[u8]) -> Result<Box<dyn RsaKey>, Error>;
}

/// A private RSA key, in memory or in a token.
pub trait RsaKey: Send + Sync {
    /// The public half as DER SubjectPublicKeyInfo.
    fn spki(&self) -> &[u8];
    /// Signs `message` with [`SignatureAlgorithm::Rs256`] or [`SignatureAlgorithm::Ps256`]; others are
    /// [`Error::Unsupported`].
    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, Error>;
    /// Decrypts what [`Rsa::oaep_encrypt`] gave, or says [`Error::NotAuthentic`].
    fn oaep_decrypt(&self, ciphertext: &[u8]) -> Result<Secret<Vec<u8>>, Error>;
}
