use core::fmt;

use tamarack_model::{Code, codes};

/// Why a COSE object was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Not the CBOR that the structure asks for.
    Cbor(tamarack_cbor::Error),
    /// The protected header names no algorithm.
    AlgorithmMissing,
    /// The algorithm is unknown or not accepted; its label.
    Algorithm(i64),
    /// The algorithm does not fit the trusted key that the signature names.
    AlgorithmForKey,
    /// A label stands in both the protected and the unprotected header.
    RepeatedHeader(i64),
    /// `crit` lists this label, which is not understood or is absent.
    Critical(i64),
    /// The payload is attached although a detached one was given, or the other way round.
    Payload,
    /// None of the trusted keys for this purpose fits.
    KeyUnknown,
    /// The signature or tag does not verify.
    NotAuthentic,
    /// The signing key failed.
    Signer,
    /// The message cannot be decrypted: it is for another key, or it was changed. Which of the two it is, and where, is
    /// not told.
    Decrypt,
    /// A recipient's public key cannot be encrypted to.
    Recipient,
    /// The cryptographic provider gave no random bytes.
    Random,
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Cbor(e) if e.is_limit() => codes::CBOR_LIMIT,
            Self::Cbor(e) if e.is_not_deterministic() => codes::CBOR_NOT_DETERMINISTIC,
            Self::Cbor(_) | Self::Payload | Self::RepeatedHeader(_) => codes::COSE_MALFORMED,
            Self::AlgorithmMissing | Self::Algorithm(_) | Self::AlgorithmForKey | Self::Recipient => {
                codes::COSE_ALGORITHM
            }
            Self::Decrypt => codes::COSE_DECRYPT,
            Self::Critical(_) => codes::COSE_CRITICAL,
            Self::KeyUnknown => codes::COSE_KEY_UNKNOWN,
            Self::NotAuthentic => codes::COSE_SIGNATURE,
            Self::Signer | Self::Random => codes::INTERNAL,
        }
    }
}

impl From<tamarack_cbor::Error> for Error {
    fn from(e: tamarack_cbor::Error) -> Self {
        Self::Cbor(e)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cbor(e) => write!(f, "COSE: {e}"),
            Self::AlgorithmMissing => f.write_str("the protected header names no algorithm"),
            Self::Algorithm(label) => write!(f, "algorithm {label} is not accepted"),
            Self::AlgorithmForKey => f.write_str("the algorithm does not fit the trusted key"),
            Self::RepeatedHeader(label) => write!(f, "header {label} stands in both header maps"),
            Self::Critical(label) => write!(f, "critical header {label} is not understood or absent"),
            Self::Payload => {
                f.write_str("the payload must be either attached or given apart, not both or neither")
            }
            Self::KeyUnknown => f.write_str("no trusted key for this purpose fits"),
            Self::NotAuthentic => f.write_str("the signature does not verify"),
            Self::Signer => f.write_str("the signing key failed"),
            Self::Decrypt => f.write_str("the message cannot be decrypted with this key"),
            Self::Recipient => f.write_str("a recipient's key is not a P-256 key"),
            Self::Random => f.write_str("no random bytes"),
        }
    }
}

impl core::error::Error for Error {}
