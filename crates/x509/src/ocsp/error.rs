use core::fmt;

use tamarack_model::{Code, codes};

use super::Failure;

/// Why the status of a path is not good. `index` says which of its certificates: 0 is the leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcspError {
    /// Something is not DER as RFC 6960 has it, uses what is not supported, or exceeds a limit.
    Malformed,
    /// A responder gave no answer.
    Failed(Failure),
    /// No response speaks of the certificate.
    Missing {
        /// Which certificate.
        index: usize,
    },
    /// It is revoked.
    Revoked {
        /// Which certificate.
        index: usize,
    },
    /// The responder does not know it.
    Unknown {
        /// Which certificate.
        index: usize,
    },
    /// The time of the status is over.
    Stale {
        /// Which certificate.
        index: usize,
    },
    /// The time of the status has not come.
    Future {
        /// Which certificate.
        index: usize,
    },
    /// The status is not signed by the issuer or a responder that it certified.
    Signature {
        /// Which certificate.
        index: usize,
    },
}

impl OcspError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Malformed => codes::OCSP_MALFORMED,
            Self::Failed(_) => codes::OCSP_UNAVAILABLE,
            Self::Missing { .. } | Self::Unknown { .. } => codes::OCSP_MISSING,
            Self::Revoked { .. } => codes::X509_REVOKED,
            Self::Stale { .. } | Self::Future { .. } => codes::OCSP_STALE,
            Self::Signature { .. } => codes::OCSP_UNTRUSTED,
        }
    }
}

impl fmt::Display for OcspError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("an OCSP message cannot be read"),
            Self::Failed(failure) => write!(f, "the OCSP responder gave no answer: {failure:?}"),
            Self::Missing { index } => {
                write!(f, "no OCSP response speaks of certificate {index} of the path")
            }
            Self::Revoked { index } => write!(f, "certificate {index} of the path is revoked"),
            Self::Unknown { index } => {
                write!(f, "the OCSP responder does not know certificate {index} of the path")
            }
            Self::Stale { index } => write!(f, "the OCSP status of certificate {index} of the path is over"),
            Self::Future { index } => {
                write!(f, "the OCSP status of certificate {index} of the path lies in the future")
            }
            Self::Signature { index } => {
                write!(f, "the OCSP status of certificate {index} of the path is not signed for its issuer")
            }
        }
    }
}

impl core::error::Error for OcspError {}
