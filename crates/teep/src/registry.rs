use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind};
use tamarack_cose::Algorithm;
use tamarack_crypto::KeyType;

/// COSE_Sign1 as cipher suites name it.
const COSE_SIGN1: i64 = 18;

/// "TEEP Message Types": the first element of every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// 1, from the TAM.
    QueryRequest,
    /// 2, from the Agent.
    QueryResponse,
    /// 3, from the TAM.
    Update,
    /// 5, from the Agent.
    Success,
    /// 6, from the Agent.
    Error,
}

impl MessageType {
    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::QueryRequest => 1,
            Self::QueryResponse => 2,
            Self::Update => 3,
            Self::Success => 5,
            Self::Error => 6,
        }
    }

    /// The type of this number; 0, 4 and those above 6 are reserved.
    pub fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::QueryRequest,
            2 => Self::QueryResponse,
            3 => Self::Update,
            5 => Self::Success,
            6 => Self::Error,
            _ => return None,
        })
    }

    /// The draft's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueryRequest => "QueryRequest",
            Self::QueryResponse => "QueryResponse",
            Self::Update => "Update",
            Self::Success => "Success",
            Self::Error => "Error",
        }
    }
}

/// "TEEP Error Codes" (section 4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrCode {
    /// 1: the request has incorrect or inconsistent fields.
    PermanentError,
    /// 2: an extension is not supported.
    UnsupportedExtension,
    /// 3: no freshness mechanism in common; the Error lists those of the Agent.
    UnsupportedFreshnessMechanisms,
    /// 4: no version in common; the Error lists those of the Agent.
    UnsupportedMsgVersion,
    /// 5: no cipher suite in common; the Error lists those of the Agent.
    UnsupportedCipherSuites,
    /// 6: a certificate could not be processed or is not trusted.
    BadCertificate,
    /// 7: the sender wants to see attestation first.
    AttestationRequired,
    /// 8: no SUIT report profile in common; the Error lists those of the Agent.
    UnsupportedSuitReport,
    /// 9: a certificate has expired or is not valid yet.
    CertificateExpired,
    /// 10: try again later.
    TemporaryError,
    /// 17: at least one manifest could not be processed; suit-reports tell why.
    ManifestProcessingFailed,
}

impl ErrCode {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::PermanentError,
        Self::UnsupportedExtension,
        Self::UnsupportedFreshnessMechanisms,
        Self::UnsupportedMsgVersion,
        Self::UnsupportedCipherSuites,
        Self::BadCertificate,
        Self::AttestationRequired,
        Self::UnsupportedSuitReport,
        Self::CertificateExpired,
        Self::TemporaryError,
        Self::ManifestProcessingFailed,
    ];

    /// The number on the wire.
    pub fn number(self) -> u64 {
        match self {
            Self::PermanentError => 1,
            Self::UnsupportedExtension => 2,
            Self::UnsupportedFreshnessMechanisms => 3,
            Self::UnsupportedMsgVersion => 4,
            Self::UnsupportedCipherSuites => 5,
            Self::BadCertificate => 6,
            Self::AttestationRequired => 7,
            Self::UnsupportedSuitReport => 8,
            Self::CertificateExpired => 9,
            Self::TemporaryError => 10,
            Self::ManifestProcessingFailed => 17,
        }
    }

    /// The code of this number.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }

    /// The draft's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PermanentError => "ERR_PERMANENT_ERROR",
            Self::UnsupportedExtension => "ERR_UNSUPPORTED_EXTENSION",
            Self::UnsupportedFreshnessMechanisms => "ERR_UNSUPPORTED_FRESHNESS_MECHANISMS",
            Self::UnsupportedMsgVersion => "ERR_UNSUPPORTED_MSG_VERSION",
            Self::UnsupportedCipherSuites => "ERR_UNSUPPORTED_CIPHER_SUITES",
            Self::BadCertificate => "ERR_BAD_CERTIFICATE",
            Self::AttestationRequired => "ERR_ATTESTATION_REQUIRED",
            Self::UnsupportedSuitReport => "ERR_UNSUPPORTED_SUIT_REPORT",
            Self::CertificateExpired => "ERR_CERTIFICATE_EXPIRED",
            Self::TemporaryError => "ERR_TEMPORARY_ERROR",
            Self::ManifestProcessingFailed => "ERR_MANIFEST_PROCESSING_FAILED",
        }
    }
}

impl core::fmt::Display for ErrCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} ({})", self.name(), self.number())
    }
}

impl<'b> Decode<'b> for ErrCode {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let unknown = Error::new(at, ErrorKind::Value("an error code from 1 to 10, or 17"));
        Self::from_number(d.uint()?).ok_or(unknown)
    }
}

impl Encode for ErrCode {
    fn encode(&self, e: &mut Encoder) {
        e.uint(self.number());
    }
}

/// "TEEP data-item-requested Bits": what a QueryRequest asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataItems(u64);

impl DataItems {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Bit 0: an attestation payload.
    pub const ATTESTATION: Self = Self(1);
    /// Bit 1: what is installed.
    pub const TRUSTED_COMPONENTS: Self = Self(2);
    /// Bit 2: supported extensions.
    pub const EXTENSIONS: Self = Self(4);
    /// Bit 3: SUIT reports.
    pub const SUIT_REPORTS: Self = Self(8);
    /// All that are defined.
    pub const ALL: Self = Self(15);

    /// The bits as a number.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The set of these bits, unless one of them is undefined.
    pub fn from_bits(bits: u64) -> Option<Self> {
        (bits & !Self::ALL.0 == 0).then_some(Self(bits))
    }

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl<'b> Decode<'b> for DataItems {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let undefined = Error::new(at, ErrorKind::Value("only the data items of bits 0 to 3"));
        Self::from_bits(d.uint()?).ok_or(undefined)
    }
}

impl Encode for DataItems {
    fn encode(&self, e: &mut Encoder) {
        e.uint(self.0);
    }
}

/// Numbers of the freshness mechanisms that the draft names (section 9).
pub mod freshness {
    /// A nonce of the TAM in the attestation payload.
    pub const NONCE: u64 = 0;
    /// A time stamp.
    pub const TIMESTAMP: u64 = 1;
}

/// How messages are protected (section 8.1): on the wire an array of operations `[COSE type, algorithm]`, never the number
/// of the suite in the draft's registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CipherSuite {
    /// `[[18, -19]]`: COSE_Sign1 with Ed25519.
    Sign1Ed25519,
    /// `[[18, -9]]`: COSE_Sign1 with ESP256.
    Sign1Esp256,
    /// A suite that Tamarack does not implement: its operations as `[COSE type, algorithm]`, never those above.
    Other(Vec<[i64; 2]>),
}

impl CipherSuite {
    /// Both suites that a TAM must support.
    pub const MANDATORY: [Self; 2] = [Self::Sign1Ed25519, Self::Sign1Esp256];

    /// The suite of a key of this type.
    pub fn of(key_type: KeyType) -> Self {
        match key_type {
            KeyType::P256 => Self::Sign1Esp256,
            KeyType::Ed25519 => Self::Sign1Ed25519,
        }
    }

    /// The suite of a COSE_Sign1 with this algorithm label, deprecated ids counting as what they mean.
    pub fn of_algorithm(label: i64) -> Option<Self> {
        Algorithm::from_label(label)?.key_type().map(Self::of)
    }

    fn operation(&self) -> Option<[i64; 2]> {
        match self {
            Self::Sign1Ed25519 => Some([COSE_SIGN1, Algorithm::Ed25519.label()]),
            Self::Sign1Esp256 => Some([COSE_SIGN1, Algorithm::Esp256.label()]),
            Self::Other(_) => None,
        }
    }
}

impl<'b> Decode<'b> for CipherSuite {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let operations = crate::option::list(d, |d| {
            d.array_of(2, "an operation [COSE type, algorithm]")?;
            Ok([d.int()?, d.int()?])
        })?;
        let known = Self::MANDATORY.into_iter().find(|suite| suite.operation().as_slice() == operations);
        Ok(known.unwrap_or(Self::Other(operations)))
    }
}

impl Encode for CipherSuite {
    fn encode(&self, e: &mut Encoder) {
        let own = self.operation();
        let operations = match self {
            Self::Sign1Ed25519 | Self::Sign1Esp256 => own.as_slice(),
            Self::Other(operations) => operations,
        };
        e.array(operations.len());
        for [kind, algorithm] in operations {
            e.array(2).int(*kind).int(*algorithm);
        }
    }
}

/// Algorithms of SUIT manifests and reports (draft-ietf-suit-mti-26): `[digest, authentication, key exchange, encryption]`
/// by their COSE labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuitCoseProfile {
    /// suit-sha256-esp256-ecdh-a128ctr.
    Esp256EcdhA128Ctr,
    /// suit-sha256-ed25519-ecdh-a128ctr.
    Ed25519EcdhA128Ctr,
    /// suit-sha256-esp256-ecdh-a128gcm.
    Esp256EcdhA128Gcm,
    /// suit-sha256-ed25519-ecdh-chacha-poly.
    Ed25519EcdhChaChaPoly,
    /// Another one, never those above.
    Other([i64; 4]),
}

impl SuitCoseProfile {
    /// The profiles that the draft lists.
    pub const LISTED: [Self; 4] = [
        Self::Esp256EcdhA128Ctr,
        Self::Ed25519EcdhA128Ctr,
        Self::Esp256EcdhA128Gcm,
        Self::Ed25519EcdhChaChaPoly,
    ];

    /// The four labels.
    pub fn labels(self) -> [i64; 4] {
        match self {
            Self::Esp256EcdhA128Ctr => [-16, -9, -29, -65534],
            Self::Ed25519EcdhA128Ctr => [-16, -19, -29, -65534],
            Self::Esp256EcdhA128Gcm => [-16, -9, -29, 1],
            Self::Ed25519EcdhChaChaPoly => [-16, -19, -29, 24],
            Self::Other(labels) => labels,
        }
    }
}

impl<'b> Decode<'b> for SuitCoseProfile {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        d.array_of(4, "a profile of 4 algorithms")?;
        let labels = [d.int()?, d.int()?, d.int()?, d.int()?];
        let known = Self::LISTED.into_iter().find(|profile| profile.labels() == labels);
        Ok(known.unwrap_or(Self::Other(labels)))
    }
}

impl Encode for SuitCoseProfile {
    fn encode(&self, e: &mut Encoder) {
        let labels = self.labels();
        labels.iter().fold(e.array(labels.len()), |e, label| e.int(*label));
    }
}
