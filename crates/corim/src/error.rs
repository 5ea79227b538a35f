use core::fmt;

use tamarack_model::{Code, codes};

/// Why a CoRIM was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Not the CBOR that the draft defines; the position counts in the CoRIM, which is the payload of a signed one.
    Cbor(tamarack_cbor::Error),
    /// The COSE object is malformed or does not verify.
    Cose(tamarack_cose::Error),
    /// It has no signature.
    Unsigned,
    /// The CoRIM is not in the signed object: a detached payload or a hash envelope.
    NotAttached,
    /// The protected header names another content type than [`crate::MEDIA_TYPE_UNSIGNED`], or none.
    ContentType,
    /// The protected header does not name the signer, by neither CWT claims nor corim-meta.
    NoSigner,
    /// CWT claims and corim-meta name different signers or times.
    TwoSigners,
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Cbor(e) if e.is_limit() => codes::CBOR_LIMIT,
            Self::Cbor(_) | Self::NotAttached | Self::ContentType | Self::NoSigner | Self::TwoSigners => {
                codes::REFERENCE_MALFORMED
            }
            Self::Cose(e) => e.code(),
            Self::Unsigned => codes::REFERENCE_UNSIGNED,
        }
    }
}

impl From<tamarack_cbor::Error> for Error {
    fn from(e: tamarack_cbor::Error) -> Self {
        Self::Cbor(e)
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
            Self::Cbor(e) => write!(f, "CoRIM: {e}"),
            Self::Cose(e) => write!(f, "CoRIM: {e}"),
            Self::Unsigned => f.write_str("the CoRIM is not signed"),
            Self::NotAttached => f.write_str("the signed object does not contain the CoRIM"),
            Self::ContentType => {
                write!(
                    f,
                    "the protected header does not name the content type {}",
                    crate::MEDIA_TYPE_UNSIGNED
                )
            }
            Self::NoSigner => f.write_str("the protected header does not name the signer"),
            Self::TwoSigners => f.write_str("CWT claims and corim-meta name different signers or times"),
        }
    }
}

impl core::error::Error for Error {}
