use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind};
use tamarack_crypto::{ConstantTimeEq, HashAlgorithm, Provider};

/// The hash functions that SUIT names (suit-cose-hash-algs).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// SHA-256, -16.
    Sha256,
    /// SHAKE128 with 32 bytes, -18: named, not computed.
    Shake128,
    /// SHA-384, -43.
    Sha384,
    /// SHA-512, -44.
    Sha512,
    /// SHAKE256 with 64 bytes, -45: named, not computed.
    Shake256,
}

impl DigestAlgorithm {
    /// The algorithm of this COSE label.
    pub fn from_label(label: i64) -> Option<Self> {
        Some(match label {
            -16 => Self::Sha256,
            -18 => Self::Shake128,
            -43 => Self::Sha384,
            -44 => Self::Sha512,
            -45 => Self::Shake256,
            _ => return None,
        })
    }

    /// Its COSE label.
    pub fn label(self) -> i64 {
        match self {
            Self::Sha256 => -16,
            Self::Shake128 => -18,
            Self::Sha384 => -43,
            Self::Sha512 => -44,
            Self::Shake256 => -45,
        }
    }

    /// Length of its digests in bytes.
    pub fn digest_length(self) -> usize {
        match self {
            Self::Sha256 | Self::Shake128 => 32,
            Self::Sha384 => 48,
            Self::Sha512 | Self::Shake256 => 64,
        }
    }

    /// The primitive that computes it, if providers have one.
    pub fn hash(self) -> Option<HashAlgorithm> {
        match self {
            Self::Sha256 => Some(HashAlgorithm::Sha256),
            Self::Sha384 => Some(HashAlgorithm::Sha384),
            Self::Sha512 => Some(HashAlgorithm::Sha512),
            Self::Shake128 | Self::Shake256 => None,
        }
    }
}

impl From<HashAlgorithm> for DigestAlgorithm {
    fn from(algorithm: HashAlgorithm) -> Self {
        match algorithm {
            HashAlgorithm::Sha256 => Self::Sha256,
            HashAlgorithm::Sha384 => Self::Sha384,
            HashAlgorithm::Sha512 => Self::Sha512,
        }
    }
}

/// SUIT_Digest: `[algorithm, bytes]`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SuitDigest {
    algorithm: DigestAlgorithm,
    // Longest digest; what lies beyond the algorithm's length is zero.
    bytes: [u8; 64],
}

impl SuitDigest {
    /// A digest that was computed elsewhere; none if `bytes` has not the algorithm's length.
    pub fn new(algorithm: DigestAlgorithm, bytes: &[u8]) -> Option<Self> {
        let mut digest = Self { algorithm, bytes: [0; 64] };
        (bytes.len() == algorithm.digest_length()).then(|| {
            digest.bytes[..bytes.len()].copy_from_slice(bytes);
            digest
        })
    }

    /// SHA-256 of `data`.
    pub fn sha256(data: &[u8], provider: &Provider) -> Self {
        Self::from_sha256(provider.sha256(data))
    }

    /// SHA-256 of the byte string that holds `content`, head included: how SUIT digests manifests and severed members.
    pub fn sha256_of_wrapped(content: &[u8], provider: &Provider) -> Self {
        let (head, length) = byte_string_head(content.len());
        Self::from_sha256(provider.sha256_parts(&[&head[..length], content]))
    }

    fn from_sha256(digest: [u8; 32]) -> Self {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&digest);
        Self { algorithm: DigestAlgorithm::Sha256, bytes }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// The digest, 32 to 64 bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.digest_length()]
    }

    /// Compares with computed bytes in constant time.
    pub fn is(&self, computed: &[u8]) -> bool {
        self.bytes().ct_eq(computed).into()
    }

    /// Whether this is the digest of the byte string holding `content`; none if the algorithm is not computed here.
    pub(crate) fn covers_wrapped(&self, content: &[u8], provider: &Provider) -> Option<bool> {
        let mut hasher = provider.sha2.start(self.algorithm.hash()?);
        let (head, length) = byte_string_head(content.len());
        hasher.update(&head[..length]);
        hasher.update(content);
        Some(self.is(&hasher.finish()))
    }
}

/// The CBOR head of a byte string of `length` bytes, and how long that head is.
fn byte_string_head(length: usize) -> ([u8; 9], usize) {
    let be = (length as u64).to_be_bytes();
    let mut head = [0; 9];
    let (initial, width) = match length {
        0..=23 => (0x40 | be[7], 0),
        24..=0xff => (0x58, 1),
        0x100..=0xffff => (0x59, 2),
        0x1_0000..=0xffff_ffff => (0x5a, 4),
        _ => (0x5b, 8),
    };
    head[0] = initial;
    head[1..=width].copy_from_slice(&be[8 - width..]);
    (head, 1 + width)
}

impl<'b> Decode<'b> for SuitDigest {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        d.array_of(2, "the 2 elements of SUIT_Digest")?;
        let at = d.position();
        let algorithm = DigestAlgorithm::from_label(d.int()?)
            .ok_or(Error::new(at, ErrorKind::Value("a hash algorithm of SUIT")))?;
        let at = d.position();
        Self::new(algorithm, d.bytes()?)
            .ok_or(Error::new(at, ErrorKind::Value("a digest as long as its algorithm gives")))
    }
}

impl Encode for SuitDigest {
    fn encode(&self, e: &mut Encoder) {
        e.array(2).int(self.algorithm.label()).bytes(self.bytes());
    }
}

impl core::fmt::Debug for SuitDigest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SuitDigest({:?} {})", self.algorithm, tamarack_model::Hex(self.bytes()))
    }
}
