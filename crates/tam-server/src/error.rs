use std::fmt;
use std::io;
use std::path::Path;

use tamarack_model::{Code, codes};
use tamarack_store::StoreError;

/// Why the TAM does not start, or a command on its files failed: a stable code and a sentence that names file, key and fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    code: Code,
    message: String,
}

impl Error {
    pub(crate) fn new(code: Code, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    pub(crate) fn config(message: impl fmt::Display) -> Self {
        Self::new(codes::CONFIG_INVALID, message)
    }

    pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::new(codes::FILE_UNREADABLE, format_args!("cannot read {}: {error}", path.display()))
    }

    pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Self {
        Self::new(codes::FILE_UNWRITABLE, format_args!("cannot write {}: {error}", path.display()))
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.code
    }
}

impl From<StoreError> for Error {
    fn from(e: StoreError) -> Self {
        Self::new(e.code(), e)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
