use alloc::string::{String, ToString};
use core::fmt;

use tamarack_model::{Code, OwnerSays, codes};
use tamarack_otrp::{Command, ErrorCode, Reason};

use crate::Error;
use crate::engine::Refused;

/// Why a request is refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// What the draft calls it.
    pub error: ErrorCode,
    /// The stable code.
    pub code: Code,
    /// What happened, for the log and for the TAM.
    pub detail: String,
}

impl Refusal {
    pub fn new(error: ErrorCode, detail: impl Into<String>) -> Self {
        Self { error, code: error.code(), detail: detail.into() }
    }

    /// With a code that says more than the draft's.
    pub fn with(error: ErrorCode, code: Code, detail: impl fmt::Display) -> Self {
        Self { error, code, detail: detail.to_string() }
    }

    /// The sender is not trusted, for this reason.
    pub fn untrusted(code: Code, detail: impl fmt::Display) -> Self {
        Self::with(ErrorCode::TamNotTrusted, code, detail)
    }

    /// What an intent came to, in the words of its command.
    pub fn of(refused: Refused, command: Command) -> Self {
        let deletes = matches!(command, Command::DeleteSd | Command::DeleteTa);
        match refused {
            Refused::NotBound => Self::new(ErrorCode::RequestInvalid, "the request is not bound"),
            Refused::Manifest { code, detail, .. } => {
                let error = match code {
                    codes::SUIT_LIMIT => ErrorCode::TeeResourceFull,
                    codes::SUIT_UNAUTHORISED if deletes => ErrorCode::TamNotAuthorized,
                    code => ErrorCode::of(code),
                };
                Self::with(error, code, detail)
            }
            Refused::Intent { code, detail } => Self::with(ErrorCode::of(code), code, detail),
            Refused::Device(e) => e.into(),
        }
    }

    /// `reason` of the response.
    pub fn reason(&self) -> Reason {
        // The draft has no word for what a device's owner says, so our code goes before the text.
        let message = match OwnerSays::of(self.code) {
            Some(says) => alloc::format!("{}: {}", says.code(), self.detail),
            None => self.detail.clone(),
        };
        Reason { code: self.error, message: Some(message) }
    }
}

impl From<tamarack_otrp::Error> for Refusal {
    fn from(e: tamarack_otrp::Error) -> Self {
        Self::with(e.wire(), e.code(), e)
    }
}

impl From<Error> for Refusal {
    fn from(e: Error) -> Self {
        let error = match e.code() {
            codes::TA_QUOTA => ErrorCode::TeeResourceFull,
            _ => ErrorCode::TeeFail,
        };
        Self::with(error, e.code(), e)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error, self.detail)
    }
}
