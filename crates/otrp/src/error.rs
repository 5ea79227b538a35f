use alloc::string::String;
use core::fmt;

use tamarack_jose as jose;
use tamarack_model::{Code, codes};

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident, $text:literal, $code:ident;)*) => {
        /// What went wrong, in the draft's words (sections 13.1.1 and 10). The last three come from a Broker, unsigned.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// Every code, in the order of the draft.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The text on the wire.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The stable code that `tamarack explain` knows.
            pub fn code(self) -> Code {
                match self { $(Self::$name => codes::$code,)* }
            }
        }
    };
}

error_codes! {
    /// The dsihash is not that of the current state.
    DevStateMismatch, "ERR_DEV_STATE_MISMATCH", OTRP_DEV_STATE_MISMATCH;
    /// The SD to be created exists.
    SdAlreadyExists, "ERR_SD_ALREADY_EXISTS", OTRP_SD_ALREADY_EXISTS;
    /// The SD still has TAs.
    SdNotEmpty, "ERR_SD_NOT_EMPTY", OTRP_SD_NOT_EMPTY;
    /// The new name of an SD is taken.
    SdnameAlreadyUsed, "ERR_SDNAME_ALREADY_USED", OTRP_SDNAME_ALREADY_USED;
    /// The request is malformed, its signature does not hold, or it cannot be decrypted.
    RequestInvalid, "ERR_REQUEST_INVALID", OTRP_REQUEST_INVALID;
    /// An SP certificate is not one.
    SpcertInvalid, "ERR_SPCERT_INVALID", OTRP_SPCERT_INVALID;
    /// The TA to be installed is installed.
    TaAlreadyInstalled, "ERR_TA_ALREADY_INSTALLED", OTRP_TA_ALREADY_INSTALLED;
    /// The TA cannot be decrypted, recognised or attributed to the SP.
    TaInvalid, "ERR_TA_INVALID", OTRP_TA_INVALID;
    /// There is no such TA in the SD.
    TaNotFound, "ERR_TA_NOT_FOUND", OTRP_TA_NOT_FOUND;
    /// The TEE failed.
    TeeFail, "ERR_TEE_FAIL", OTRP_TEE_FAIL;
    /// The device has no room left.
    TeeResourceFull, "ERR_TEE_RESOURCE_FULL", OTRP_TEE_RESOURCE_FULL;
    /// The TEE does not trust its firmware.
    TfwNotTrusted, "ERR_TFW_NOT_TRUSTED", OTRP_TFW_NOT_TRUSTED;
    /// The TEE does not trust the TAM's certificate.
    TamNotTrusted, "ERR_TAM_NOT_TRUSTED", OTRP_TAM_NOT_TRUSTED;
    /// The TEE does not have an algorithm of the request.
    UnsupportedCryptoAlg, "ERR_UNSUPPORTED_CRYPTO_ALG", OTRP_UNSUPPORTED_CRYPTO_ALG;
    /// The TEE does not have the version of the request.
    UnsupportedMsgVersion, "ERR_UNSUPPORTED_MSG_VERSION", OTRP_UNSUPPORTED_MSG_VERSION;
    /// The TAM has no such SD. Listed by the commands, described nowhere in the draft.
    SdNotFound, "ERR_SD_NOT_FOUND", OTRP_SD_NOT_FOUND;
    /// The TAM claims another identity than its certificate's. Listed by the commands, described nowhere in the draft.
    TamNotAuthorized, "ERR_TAM_NOT_AUTHORIZED", OTRP_TAM_NOT_AUTHORIZED;
    /// Broker: there is no TEE of that name.
    AgentTeeUnknown, "ERR_AGENT_TEE_UNKNOWN", OTRP_AGENT_TEE_UNKNOWN;
    /// Broker: the TEE is busy.
    AgentTeeBusy, "ERR_AGENT_TEE_BUSY", OTRP_AGENT_TEE_BUSY;
    /// Broker: the TEE did not answer. Of draft-02; -03 has no text for it.
    AgentTeeFail, "ERR_AGENT_TEE_FAIL", OTRP_AGENT_TEE_FAIL;
}

impl ErrorCode {
    /// Reads the text of a code. `ERR_SD_ALREADY_EXIST` is how section 9.2.1.4 spells `ERR_SD_ALREADY_EXISTS`.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "ERR_SD_ALREADY_EXIST" {
            return Some(Self::SdAlreadyExists);
        }
        Self::ALL.iter().copied().find(|code| code.text() == text)
    }

    /// Whether a Broker tells it and not a TEE: a hint that nobody signed.
    pub fn is_of_broker(self) -> bool {
        matches!(self, Self::AgentTeeUnknown | Self::AgentTeeBusy | Self::AgentTeeFail)
    }

    /// What a TEE answers when its own work ended with `code`. Total: what has no word of its own in the draft becomes
    /// the word for its kind.
    pub fn of(code: Code) -> Self {
        if let Some(own) = Self::ALL.iter().copied().find(|c| c.code() == code && !c.is_of_broker()) {
            return own;
        }
        match code {
            codes::JOSE_ALGORITHM | codes::JOSE_RSA1_5 | codes::COSE_ALGORITHM => Self::UnsupportedCryptoAlg,
            codes::OTRP_VERSION => Self::UnsupportedMsgVersion,
            codes::TAM_NOT_TRUSTED => Self::TamNotTrusted,
            // The device's owner has not authorised it, or not yet.
            codes::OWNER_REFUSED | codes::OWNER_DEFERRED => Self::TamNotAuthorized,
            codes::TA_NOT_FOUND => Self::TaNotFound,
            codes::TA_INVALID => Self::TaInvalid,
            codes::TA_QUOTA => Self::TeeResourceFull,
            Code(1000..=1199 | 1300..=1399 | 1500..=1599 | 6000..=6999) => Self::RequestInvalid,
            Code(1200..=1299) => Self::TamNotTrusted,
            Code(2000..=2999) => Self::TaInvalid,
            Code(3000..=3999) => Self::TfwNotTrusted,
            // Input, HTTP, store and what else belongs to programs around the TEE: its own failure.
            Code(_) => Self::TeeFail,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Why an OTrP message was not read, opened or made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The text is not the JSON that is accepted.
    Json(jose::json::Error),
    /// The message has more bytes than the limit, which follows.
    TooLarge(usize),
    /// The message is not an object with one member whose name is known. The name, if there is one.
    UnknownMessage(String),
    /// The name inside the signed payload is not the one outside.
    NameMismatch {
        /// The name that nothing authenticates.
        outer: &'static str,
        /// The name inside.
        inner: String,
    },
    /// The version of the message is not 1.0, but this.
    Version(String),
    /// A member is missing that the draft does not mark optional. Its path, such as `content.spid`.
    Missing(String),
    /// A member is there that the draft does not define. Its path.
    Undefined(String),
    /// A member has another type, encoding or size than it must have. Its path.
    Mistyped(String),
    /// Signature or encryption: wrong structure, algorithm or key.
    Jose(jose::Error),
    /// The TA package cannot be decrypted. Deliberately says no more.
    TaPackage,
    /// A TA and its personalization data would be encrypted with one key and one IV.
    KeyReuse,
    /// A taid that no component can have.
    Taid,
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Json(_) | Self::UnknownMessage(_) | Self::NameMismatch { .. } => codes::OTRP_MALFORMED,
            Self::Missing(_) | Self::Undefined(_) | Self::Mistyped(_) | Self::Taid => codes::OTRP_MALFORMED,
            Self::TooLarge(_) => codes::HTTP_TOO_LARGE,
            Self::Version(_) => codes::OTRP_VERSION,
            Self::Jose(error) => error.code(),
            Self::TaPackage => codes::OTRP_TA_INVALID,
            Self::KeyReuse => codes::OTRP_KEY_REUSE,
        }
    }

    /// What a TEE answers to the request.
    pub fn wire(&self) -> ErrorCode {
        match self {
            Self::TooLarge(_) => ErrorCode::RequestInvalid,
            Self::Json(_) | Self::UnknownMessage(_) | Self::NameMismatch { .. } | Self::Version(_) => {
                ErrorCode::of(self.code())
            }
            Self::Missing(_) | Self::Undefined(_) | Self::Mistyped(_) | Self::Taid => {
                ErrorCode::of(self.code())
            }
            Self::Jose(_) | Self::TaPackage | Self::KeyReuse => ErrorCode::of(self.code()),
        }
    }
}

impl From<jose::Error> for Error {
    fn from(error: jose::Error) -> Self {
        Self::Jose(error)
    }
}

impl From<jose::json::Error> for Error {
    fn from(error: jose::json::Error) -> Self {
        Self::Json(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "{error}"),
            Self::TooLarge(limit) => write!(f, "the message is longer than {limit} bytes"),
            Self::UnknownMessage(name) => write!(f, "{name:?} is not an OTrP message"),
            Self::NameMismatch { outer, inner } => write!(f, "a {outer} holds a {inner}"),
            Self::Version(version) => write!(f, "the message has version {version:?}, not 1.0"),
            Self::Missing(path) => write!(f, "the member {path} is missing"),
            Self::Undefined(path) => write!(f, "the member {path} is not defined"),
            Self::Mistyped(path) => write!(f, "the member {path} has the wrong type, encoding or size"),
            Self::Jose(error) => write!(f, "{error}"),
            Self::TaPackage => f.write_str("the TA package cannot be decrypted"),
            Self::KeyReuse => f.write_str("AESCBC would encrypt two texts with one key and IV"),
            Self::Taid => f.write_str("the TA or domain name cannot be part of a component id"),
        }
    }
}

impl core::error::Error for Error {}
