use std::fmt;
use std::path::PathBuf;

use tamarack_model::{Code, codes};

/// Why a key, request or certificate could not be read or made.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The PEM does not hold what is needed.
    Pem {
        /// The label that was looked for, such as `PRIVATE KEY`.
        label: &'static str,
    },
    /// A key cannot be used.
    Key(tamarack_crypto::Error),
    /// A certificate cannot be used.
    Certificate(tamarack_x509::Error),
    /// The private key is not the one of the certificate.
    KeyMismatch,
    /// The authority does not issue certificates of this kind.
    WrongKind,
    /// The certificate signing request is malformed, or not signed by the key inside it.
    Request,
    /// A name cannot stand in a certificate.
    Name(String),
    /// A time cannot stand in a certificate, or the end comes before the beginning.
    Validity,
    /// Keys for OTrP are of P-256, and this one is not.
    KeyType,
    /// An OCSP message cannot be made or read.
    Ocsp(tamarack_x509::ocsp::OcspError),
    /// The certificate was issued by another authority.
    OtherIssuer,
    /// A line of a file of revocations cannot be read.
    Revocations {
        /// The line, from 1.
        line: usize,
    },
    /// A file cannot be read or written.
    File {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The certificate could not be built.
    Build(rcgen::Error),
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Pem { .. } | Self::Key(_) | Self::KeyMismatch => codes::PEM_INVALID,
            Self::Certificate(error) => error.code(),
            Self::WrongKind => codes::X509_USAGE,
            Self::Request => codes::X509_MALFORMED,
            Self::Name(_) => codes::X509_NAME,
            Self::Validity => codes::X509_EXPIRED,
            Self::KeyType => codes::X509_ALGORITHM,
            Self::Ocsp(error) => error.code(),
            Self::OtherIssuer => codes::X509_PATH,
            Self::Revocations { .. } => codes::CONFIG_INVALID,
            Self::File { error, .. } => match error.kind() {
                std::io::ErrorKind::AddrInUse => codes::PORT_IN_USE,
                _ => codes::FILE_UNREADABLE,
            },
            Self::Build(_) => codes::INTERNAL,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pem { label } => write!(f, "no readable PEM section \"{label}\""),
            Self::Key(_) => f.write_str("the key cannot be used"),
            Self::Certificate(_) => f.write_str("the certificate cannot be used"),
            Self::KeyMismatch => f.write_str("the private key is not the one of the certificate"),
            Self::WrongKind => f.write_str("this authority does not issue certificates of that kind"),
            Self::Request => {
                f.write_str("the certificate signing request is malformed or not signed by its key")
            }
            Self::Name(name) => write!(f, "not a name for a certificate: {name:?}"),
            Self::Validity => f.write_str("not a period of validity"),
            Self::KeyType => f.write_str("certificates for OTrP are for P-256 keys, and this key is another"),
            Self::Ocsp(error) => error.fmt(f),
            Self::OtherIssuer => f.write_str("the certificate was not issued by this authority"),
            Self::Revocations { line } => write!(
                f,
                "line {line} of the revocations is not a serial number, a time (2026-01-31T00:00:00Z) and a reason"
            ),
            Self::File { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Build(_) => f.write_str("the certificate could not be built"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Key(error) => Some(error),
            Self::Certificate(error) => Some(error),
            Self::Build(error) => Some(error),
            Self::Pem { .. }
            | Self::KeyMismatch
            | Self::WrongKind
            | Self::Request
            | Self::Name(_)
            | Self::Validity
            | Self::KeyType
            | Self::Ocsp(_)
            | Self::OtherIssuer
            | Self::Revocations { .. }
            | Self::File { .. } => None,
        }
    }
}

impl From<tamarack_crypto::Error> for Error {
    fn from(error: tamarack_crypto::Error) -> Self {
        Self::Key(error)
    }
}

impl From<tamarack_x509::Error> for Error {
    fn from(error: tamarack_x509::Error) -> Self {
        Self::Certificate(error)
    }
}

impl From<tamarack_x509::ocsp::OcspError> for Error {
    fn from(error: tamarack_x509::ocsp::OcspError) -> Self {
        Self::Ocsp(error)
    }
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::Build(error)
    }
}
