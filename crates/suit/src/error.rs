use core::fmt;

use tamarack_model::{Code, codes};

use crate::manifest::Section;
use crate::report::Reason;

/// Why an envelope was refused before anything was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Not the CBOR that the structure asks for; offsets count from the start of the envelope.
    Cbor(tamarack_cbor::Error),
    /// More of something than the device takes.
    Limit {
        /// Of what.
        what: &'static str,
        /// Most that is taken.
        limit: usize,
    },
    /// There is no authentication block.
    NotSigned,
    /// No authentication block verifies; why the most promising one does not.
    Cose(tamarack_cose::Error),
    /// The manifest is not what was signed.
    ManifestDigest,
    /// A severed member is not what the manifest says; its key.
    SeveredDigest(i64),
    /// An encryption-info is not one that this implementation reads.
    Encryption(tamarack_cose::Error),
    /// Understood, but not carried out by this implementation.
    Unsupported(Unsupported),
    /// A section that the procedure needs was severed and is not in the envelope.
    Severed(Section),
    /// The signing key failed.
    Signer,
    /// What was to be written is not a manifest that can be read back; why.
    Author(&'static str),
}

/// What is known by name and not carried out, or not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// A command.
    Command {
        /// Its code.
        code: i64,
        /// Its name, or "unknown".
        name: &'static str,
    },
    /// A parameter.
    Parameter {
        /// Its label.
        label: i64,
        /// Its name, or "unknown".
        name: &'static str,
    },
    /// A member of the manifest.
    Element {
        /// Its key.
        key: i64,
        /// Its name.
        name: &'static str,
    },
    /// A hash function; its label.
    Digest(i64),
    /// A way of encrypting payloads, or their keys; its label.
    Encryption(i64),
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Cbor(e) if e.is_limit() => codes::SUIT_LIMIT,
            Self::Cbor(_) | Self::Severed(_) | Self::Author(_) => codes::SUIT_MALFORMED,
            Self::Limit { .. } => codes::SUIT_LIMIT,
            Self::NotSigned | Self::Cose(_) | Self::ManifestDigest | Self::SeveredDigest(_) => {
                codes::SUIT_UNAUTHENTICATED
            }
            Self::Encryption(_) => codes::SUIT_MALFORMED,
            Self::Unsupported(_) => codes::SUIT_UNSUPPORTED_COMMAND,
            Self::Signer => codes::INTERNAL,
        }
    }

    /// What a SUIT report says of it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Cbor(_) | Self::Limit { .. } | Self::Author(_) => Reason::CborParse,
            Self::Cose(tamarack_cose::Error::Algorithm(_) | tamarack_cose::Error::AlgorithmMissing) => {
                Reason::AlgorithmUnsupported
            }
            Self::Cose(tamarack_cose::Error::Cbor(_) | tamarack_cose::Error::Critical(_)) => {
                Reason::CoseUnsupported
            }
            Self::NotSigned | Self::Cose(_) | Self::ManifestDigest | Self::SeveredDigest(_) => {
                Reason::Unauthorised
            }
            Self::Unsupported(Unsupported::Command { .. }) => Reason::CommandUnsupported,
            Self::Unsupported(Unsupported::Parameter { .. }) => Reason::ParameterUnsupported,
            Self::Unsupported(Unsupported::Element { .. }) => Reason::CommandUnsupported,
            Self::Unsupported(Unsupported::Digest(_) | Unsupported::Encryption(_)) => {
                Reason::AlgorithmUnsupported
            }
            Self::Encryption(_) => Reason::CoseUnsupported,
            Self::Severed(_) => Reason::SeveringUnsupported,
            Self::Signer => Reason::OperationFailed,
        }
    }
}

impl From<tamarack_cbor::Error> for Error {
    fn from(e: tamarack_cbor::Error) -> Self {
        Self::Cbor(e)
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { code, name } => write!(f, "command {code} ({name})"),
            Self::Parameter { label, name } => write!(f, "parameter {label} ({name})"),
            Self::Element { key, name } => write!(f, "manifest member {key} ({name})"),
            Self::Digest(label) => write!(f, "hash algorithm {label}"),
            Self::Encryption(label) => write!(f, "encryption algorithm {label}"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cbor(e) => write!(f, "SUIT: {e}"),
            Self::Limit { what, limit } => write!(f, "more than {limit} {what}"),
            Self::NotSigned => f.write_str("the envelope carries no signature and no MAC"),
            Self::Cose(e) => write!(f, "the manifest is not authentic: {e}"),
            Self::ManifestDigest => f.write_str("the manifest is not the one that was signed"),
            Self::SeveredDigest(key) => write!(f, "severed member {key} does not match its digest"),
            Self::Encryption(e) => write!(f, "encryption-info: {e}"),
            Self::Unsupported(what) => write!(f, "{what} is not supported"),
            Self::Severed(section) => {
                write!(f, "section {} was severed and is not in the envelope", section.name())
            }
            Self::Signer => f.write_str("the signing key failed"),
            Self::Author(why) => f.write_str(why),
        }
    }
}

impl core::error::Error for Error {}
