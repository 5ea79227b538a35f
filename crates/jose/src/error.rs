use alloc::string::String;
use core::fmt;

use tamarack_model::{Code, codes};

use crate::json;

/// Why a JOSE object was refused or could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A header is not strict JSON.
    Json(json::Error),
    /// This member is missing, mistyped, mis-sized or not base64url.
    Member(&'static str),
    /// This header parameter stands twice in one object, or in the protected and in an unprotected header.
    RepeatedHeader(String),
    /// This header parameter changes what the object means, or takes a key from it: refused wherever it stands.
    Header(&'static str),
    /// This header parameter must stand in the protected header.
    Unprotected(&'static str),
    /// The algorithm is none that is accepted; its name as it arrived, cut at 32 bytes.
    Algorithm(String),
    /// `RSA1_5` is never accepted.
    Rsa1_5Refused,
    /// The algorithm does not fit the trusted key.
    AlgorithmForKey,
    /// The trusted key serves another purpose.
    Purpose,
    /// The key is of a type or size that is not accepted.
    Key,
    /// The signature does not verify.
    NotAuthentic,
    /// The JWE does not decrypt with this key. Says on purpose nothing more.
    Decryption,
    /// The cryptographic provider or the signing key failed.
    Provider,
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Json(e) => e.code(),
            Self::Member(_) | Self::RepeatedHeader(_) => codes::JOSE_MALFORMED,
            Self::Header(_) => codes::JOSE_HEADER,
            Self::Unprotected(_) | Self::Algorithm(_) | Self::AlgorithmForKey => codes::JOSE_ALGORITHM,
            Self::Rsa1_5Refused => codes::JOSE_RSA1_5,
            Self::Purpose | Self::Key => codes::JOSE_KEY,
            Self::NotAuthentic => codes::JOSE_SIGNATURE,
            Self::Decryption => codes::JOSE_DECRYPTION,
            Self::Provider => codes::INTERNAL,
        }
    }

    /// An algorithm name as it arrived, made harmless.
    pub(crate) fn algorithm(name: &str) -> Self {
        Self::Algorithm(name.chars().take(32).collect())
    }
}

impl From<json::Error> for Error {
    fn from(e: json::Error) -> Self {
        Self::Json(e)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(e) => write!(f, "JOSE header: {e}"),
            Self::Member(name) => write!(f, "member {name} is missing, mistyped or not base64url"),
            Self::RepeatedHeader(name) => write!(f, "header parameter {name:?} stands twice"),
            Self::Header(name) => write!(f, "header parameter {name} is refused"),
            Self::Unprotected(name) => {
                write!(f, "header parameter {name} is missing from the protected header")
            }
            Self::Algorithm(name) => write!(f, "algorithm {name:?} is not accepted"),
            Self::Rsa1_5Refused => f.write_str("RSA1_5 is never accepted"),
            Self::AlgorithmForKey => f.write_str("the algorithm does not fit the trusted key"),
            Self::Purpose => f.write_str("the trusted key serves another purpose"),
            Self::Key => f.write_str("the key is of a type or size that is not accepted"),
            Self::NotAuthentic => f.write_str("the signature does not verify"),
            Self::Decryption => f.write_str("the JWE does not decrypt with this key"),
            Self::Provider => f.write_str("the cryptographic provider or the signing key failed"),
        }
    }
}

impl core::error::Error for Error {}
