use core::fmt;

use tamarack_model::{Code, codes};

/// Why a TEEP message was refused, or could not be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An element of the message is not what section 4 of the draft defines.
    Element {
        /// Name of the element as the draft spells it.
        name: &'static str,
        /// What is wrong and where in the message.
        error: tamarack_cbor::Error,
    },
    /// The message type is reserved or unknown.
    MessageType(u64),
    /// The bytes are neither a tagged COSE_Sign1 (18) nor a tagged COSE_Sign (98).
    NotSigned,
    /// The COSE object is malformed, or does not verify.
    Cose(tamarack_cose::Error),
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Element { error, .. } if error.is_limit() => codes::CBOR_LIMIT,
            Self::Element { error, .. } if error.is_not_deterministic() => codes::CBOR_NOT_DETERMINISTIC,
            Self::Element { .. } | Self::MessageType(_) => codes::TEEP_MALFORMED,
            Self::NotSigned => codes::COSE_MALFORMED,
            Self::Cose(e) => e.code(),
        }
    }

    /// Names the element that an error is about.
    pub(crate) fn in_element(name: &'static str) -> impl Fn(tamarack_cbor::Error) -> Self {
        move |error| Self::Element { name, error }
    }
}

impl From<tamarack_cose::Error> for Error {
    fn from(e: tamarack_cose::Error) -> Self {
        Self::Cose(e)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element { name, error } => write!(f, "TEEP {name}: {error}"),
            Self::MessageType(number) => write!(f, "TEEP message type {number} is not defined"),
            Self::NotSigned => f.write_str("a TEEP message is a tagged COSE_Sign1 or COSE_Sign"),
            Self::Cose(e) => write!(f, "TEEP message: {e}"),
        }
    }
}

impl core::error::Error for Error {}
