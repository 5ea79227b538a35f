use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::{AesCbc, AesKeyWrap, Agreement, Error, HmacSha512, KeyType, PublicKey, Rsa, Secret, VerifySpki};

/// The capabilities that a program chooses once. Copying it copies references.
#[derive(Clone, Copy)]
pub struct Provider {
    /// Name for logs and reports, such as `aws-lc`.
    pub name: &'static str,
    /// Hash functions.
    pub sha2: &'static dyn Sha2,
    /// Signature verification.
    pub verify: &'static dyn Verify,
    /// Message authentication.
    pub hmac: &'static dyn HmacSha256,
    /// Key derivation.
    pub hkdf: &'static dyn HkdfSha256,
    /// Authenticated encryption.
    pub aead: &'static dyn Aes256Gcm,
    /// Authenticated encryption with 16-byte keys, as COSE and SUIT ask for.
    pub aead128: &'static dyn Aes128Gcm,
    /// Signature verification with the keys of certificates.
    pub certified: &'static dyn VerifySpki,
    /// Message authentication with SHA-512.
    pub hmac512: &'static dyn HmacSha512,
    /// Unauthenticated encryption, for the modes of JWE that authenticate it.
    pub cbc: &'static dyn AesCbc,
    /// Encryption of keys by keys.
    pub key_wrap: &'static dyn AesKeyWrap,
    /// Key agreement.
    pub agree: &'static dyn Agreement,
    /// RSA, if this provider has it.
    pub rsa: Option<&'static dyn Rsa>,
    /// Random bytes.
    pub random: &'static dyn Random,
    /// Making and loading private keys.
    pub keys: &'static dyn Keys,
}

impl Provider {
    /// SHA-256 of `data`.
    pub fn sha256(&self, data: &[u8]) -> [u8; 32] {
        self.sha256_parts(&[data])
    }

    /// SHA-256 of the concatenation of `parts`.
    pub fn sha256_parts(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = self.sha2.start(HashAlgorithm::Sha256);
        parts.iter().for_each(|part| hasher.update(part));
        let mut out = [0; 32];
        out.copy_from_slice(&hasher.finish());
        out
    }
}

impl core::fmt::Debug for Provider {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Provider({})", self.name)
    }
}

/// Hash functions of FIPS 180-4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// SHA-256, 32 bytes (COSE -16).
    Sha256,
    /// SHA-384, 48 bytes (COSE -43).
    Sha384,
    /// SHA-512, 64 bytes (COSE -44).
    Sha512,
}

impl HashAlgorithm {
    /// Length of the digest in bytes.
    pub fn digest_length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// Hashing.
pub trait Sha2: Sync {
    /// Begins a digest.
    fn start(&self, algorithm: HashAlgorithm) -> Box<dyn Hasher>;
}

/// A digest in progress.
pub trait Hasher: Send {
    /// Adds data.
    fn update(&mut self, data: &[u8]);
    /// Ends the digest and gives its bytes.
    fn finish(self: Box<Self>) -> Vec<u8>;
}

/// Signature verification.
pub trait Verify: Sync {
    /// Checks `signature` over `message`: 64 bytes, for P-256 `r || s` of ECDSA with SHA-256, for Ed25519 as in RFC 8032.
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &[u8]) -> Result<(), Error>;
}

/// A private signature key, in memory or in a token.
pub trait Sign: Send + Sync {
    /// The public half.
    fn public_key(&self) -> PublicKey;
    /// Signs `message`; the signature has the form that [`Verify::verify`] takes.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], Error>;
}

/// HMAC with SHA-256 (RFC 2104).
pub trait HmacSha256: Sync {
    /// The 32-byte tag over the concatenation of `parts`. Compare tags only in constant time.
    fn tag(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32];
}

/// HKDF with SHA-256 (RFC 5869).
pub trait HkdfSha256: Sync {
    /// Extract and expand: fills `out`, at most 8,160 bytes.
    fn derive(&self, salt: &[u8], secret: &[u8], info: &[u8], out: &mut [u8]) -> Result<(), Error>;
}

/// AES-256 in Galois/Counter Mode, 12-byte nonces, 16-byte tags (NIST SP 800-38D).
pub trait Aes256Gcm: Sync {
    /// Encrypts `plaintext`; gives ciphertext and tag. A nonce must never repeat under one key.
    fn seal(&self, key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error>;
    /// Decrypts what [`Aes256Gcm::seal`] gave, or says that it is not authentic.
    fn open(&self, key: &[u8; 32], nonce: &[u8; 12], aad: &[u8], ciphertext: &[u8])
    -> Result<Vec<u8>, Error>;
}

/// AES-128 in Galois/Counter Mode, 12-byte nonces, 16-byte tags (NIST SP 800-38D; COSE A128GCM, 1).
pub trait Aes128Gcm: Sync {
    /// Encrypts `plaintext`; gives ciphertext and tag. A nonce must never repeat under one key.
    fn seal(&self, key: &[u8; 16], nonce: &[u8; 12], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error>;
    /// Decrypts what [`Aes128Gcm::seal`] gave, or says that it is not authentic.
    fn open(&self, key: &[u8; 16], nonce: &[u8; 12], aad: &[u8], ciphertext: &[u8])
    -> Result<Vec<u8>, Error>;
}

/// Random bytes fit for keys.
pub trait Random: Sync {
    /// Fills `out` or fails; never gives weak bytes.
    fn fill(&self, out: &mut [u8]) -> Result<(), Error>;
}

/// Making and loading private keys.
pub trait Keys: Sync {
    /// Makes a key and gives it as DER PKCS#8 (RFC 5208 for P-256, RFC 8410 for Ed25519).
    fn generate_pkcs8(&self, key_type: KeyType) -> Result<Secret<Vec<u8>>, Error>;
    /// Loads a DER PKCS#8 key, version 1 or 2, of either kind.
    fn load_pkcs8(&self, der: &[u8]) -> Result<Box<dyn Sign>, Error>;
}
