use core::fmt;

use tamarack_model::{Code, UnixTime, codes};

use crate::Role;

/// Why a certificate or chain is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A certificate is not DER of a version 3 certificate that this crate reads, or its keys or signatures are of a
    /// kind that the function asked does not know.
    Malformed,
    /// A key or signature is too weak (RSA below 2,048 bits, SHA-1, MD5) or of a kind that nobody here checks.
    Algorithm,
    /// The chain is empty or too long.
    ChainLength {
        /// How many certificates were given.
        length: usize,
        /// How many are accepted.
        limit: usize,
    },
    /// No path leads to one of the anchors.
    UnknownIssuer,
    /// A signature in the chain does not verify.
    Signature,
    /// A certificate has expired.
    Expired {
        /// The end of its validity.
        not_after: UnixTime,
    },
    /// A certificate is not valid yet.
    NotYetValid {
        /// The beginning of its validity.
        not_before: UnixTime,
    },
    /// A certificate may not be used as the chain uses it.
    Usage(Usage),
    /// The leaf does not have exactly one subject alternative name of the type asked for.
    Name,
}

/// Which rule of use a certificate breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Usage {
    /// The issuer of a certificate is no CA.
    IssuerIsNotCa,
    /// The leaf or the only certificate is a CA.
    LeafIsCa,
    /// More intermediates follow than a CA's path length constraint allows.
    PathLength,
    /// The leaf's keyUsage is missing or lacks digitalSignature.
    LeafKeyUsage,
    /// The leaf's keyUsage lacks keyAgreement (keyEncipherment of an RSA key), so nothing may be encrypted to it.
    LeafKeyAgreement,
    /// A CA's keyUsage is missing or lacks keyCertSign.
    CaKeyUsage,
    /// The extended key usages do not include this role, or include another one.
    Role(Role),
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Malformed => codes::X509_MALFORMED,
            Self::Algorithm => codes::X509_ALGORITHM,
            Self::ChainLength { .. } | Self::UnknownIssuer | Self::Signature => codes::X509_PATH,
            Self::Expired { .. } | Self::NotYetValid { .. } => codes::X509_EXPIRED,
            Self::Usage(_) => codes::X509_USAGE,
            Self::Name => codes::X509_NAME,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("a certificate is malformed or of an unsupported kind"),
            Self::Algorithm => {
                f.write_str("a key or signature of the certificate chain is too weak or not supported")
            }
            Self::ChainLength { length, limit } => {
                write!(f, "the chain has {length} certificates; 1 to {limit} are accepted")
            }
            Self::UnknownIssuer => f.write_str("the chain does not lead to a trusted anchor"),
            Self::Signature => f.write_str("a signature in the certificate chain does not verify"),
            Self::Expired { not_after } => write!(f, "a certificate expired at {not_after} (Unix time)"),
            Self::NotYetValid { not_before } => {
                write!(f, "a certificate is not valid before {not_before} (Unix time)")
            }
            Self::Usage(usage) => usage.fmt(f),
            Self::Name => f.write_str("the certificate does not have exactly one name of the type asked for"),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IssuerIsNotCa => f.write_str("a certificate was issued by one that is no CA"),
            Self::LeafIsCa => f.write_str("a CA certificate stands where an end entity is needed"),
            Self::PathLength => f.write_str("the chain is longer than a CA's path length allows"),
            Self::LeafKeyUsage => f.write_str("the leaf's key usage lacks digitalSignature"),
            Self::LeafKeyAgreement => f.write_str("the leaf's key usage lacks keyAgreement"),
            Self::CaKeyUsage => f.write_str("a CA's key usage lacks keyCertSign"),
            Self::Role(role) => write!(f, "a certificate is not one for the role {role} alone"),
        }
    }
}

impl core::error::Error for Error {}
