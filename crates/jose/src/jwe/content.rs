use alloc::vec::Vec;

use tamarack_crypto::{ConstantTimeEq, Provider};

/// A content encryption algorithm (RFC 7518 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Enc {
    /// AES-128 in CBC mode, then HMAC-SHA-256 cut to 16 bytes; a key of 32 bytes (section 5.2.3).
    A128CbcHs256,
    /// AES-256 in CBC mode, then HMAC-SHA-512 cut to 32 bytes; a key of 64 bytes (section 5.2.5).
    A256CbcHs512,
    /// AES-256-GCM; a key of 32 bytes (section 5.3).
    A256Gcm,
}

impl Enc {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::A128CbcHs256, Self::A256CbcHs512, Self::A256Gcm];

    /// The name in RFC 7518 section 5.1.
    pub fn name(self) -> &'static str {
        match self {
            Self::A128CbcHs256 => "A128CBC-HS256",
            Self::A256CbcHs512 => "A256CBC-HS512",
            Self::A256Gcm => "A256GCM",
        }
    }

    /// The algorithm of that name, if it is one of ours.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|enc| enc.name() == name)
    }

    /// Bytes of the content encryption key.
    pub(crate) fn key_length(self) -> usize {
        match self {
            Self::A128CbcHs256 | Self::A256Gcm => 32,
            Self::A256CbcHs512 => 64,
        }
    }

    /// Bytes of the initialization vector.
    pub(crate) fn iv_length(self) -> usize {
        match self {
            Self::A128CbcHs256 | Self::A256CbcHs512 => 16,
            Self::A256Gcm => 12,
        }
    }

    /// Bytes of the authentication tag.
    pub(crate) fn tag_length(self) -> usize {
        match self {
            Self::A128CbcHs256 | Self::A256Gcm => 16,
            Self::A256CbcHs512 => 32,
        }
    }

    /// Encrypts: ciphertext and tag. None if a length is wrong or the provider fails.
    pub(crate) fn seal(
        self,
        cek: &[u8],
        iv: &[u8],
        aad: &[u8],
        plaintext: &[u8],
        provider: &Provider,
    ) -> Option<(Vec<u8>, Vec<u8>)> {
        match self {
            Self::A128CbcHs256 | Self::A256CbcHs512 => {
                let (_, key) = cek.split_at_checked(self.key_length() / 2)?;
                let ciphertext = provider.cbc.encrypt(key, iv.try_into().ok()?, plaintext).ok()?;
                let tag = self.mac(cek, iv, aad, &ciphertext, provider);
                Some((ciphertext, tag))
            }
            Self::A256Gcm => {
                let (key, nonce) = (cek.try_into().ok()?, iv.try_into().ok()?);
                let mut ciphertext = provider.aead.seal(key, nonce, aad, plaintext).ok()?;
                let tag = ciphertext.split_off(plaintext.len());
                Some((ciphertext, tag))
            }
        }
    }

    /// Decrypts. None whatever the reason: a wrong length, a wrong tag, a wrong padding.
    pub(crate) fn open(
        self,
        cek: &[u8],
        iv: &[u8],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8],
        provider: &Provider,
    ) -> Option<Vec<u8>> {
        if tag.len() != self.tag_length() || cek.len() != self.key_length() {
            return None;
        }
        match self {
            Self::A128CbcHs256 | Self::A256CbcHs512 => {
                let expected = self.mac(cek, iv, aad, ciphertext, provider);
                // RFC 7518 section 5.2.2.2: nothing is decrypted before the tag is right.
                if !bool::from(expected.ct_eq(tag)) {
                    return None;
                }
                let (_, key) = cek.split_at(self.key_length() / 2);
                provider.cbc.decrypt(key, iv.try_into().ok()?, ciphertext).ok()
            }
            Self::A256Gcm => {
                let (key, nonce) = (cek.try_into().ok()?, iv.try_into().ok()?);
                provider.aead.open(key, nonce, aad, &[ciphertext, tag].concat()).ok()
            }
        }
    }

    /// The tag of RFC 7518 section 5.2.2.1: an HMAC with the first half of the key over the additional data, the vector, the
    /// ciphertext and the bit length of the additional data, of which the first half is kept.
    fn mac(self, cek: &[u8], iv: &[u8], aad: &[u8], ciphertext: &[u8], provider: &Provider) -> Vec<u8> {
        let key = &cek[..self.key_length() / 2];
        let bits = (aad.len() as u64 * 8).to_be_bytes();
        let parts = [aad, iv, ciphertext, &bits];
        match self {
            Self::A256CbcHs512 => provider.hmac512.tag(key, &parts)[..32].to_vec(),
            Self::A128CbcHs256 | Self::A256Gcm => provider.hmac.tag(key, &parts)[..16].to_vec(),
        }
    }
}
