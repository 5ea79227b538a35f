use std::fmt;
use std::io;
use std::path::Path;

use tamarack_model::{Code, codes};
use tamarack_store::StoreError;

/// Why a service does not start, or a command on its files failed: a stable code and a sentence that names file, key and fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    code: Code,
    message: String,
}

impl Error {
    /// An error with a code of its own.
    pub fn new(code: Code, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    /// Something is wrong in a configuration file.
    pub fn config(message: impl fmt::Display) -> Self {
        Self::new(codes::CONFIG_INVALID, message)
    }

    /// A file cannot be read.
    pub fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::new(codes::FILE_UNREADABLE, format_args!("cannot read {}: {error}", path.display()))
    }

    /// A file cannot be written.
    pub fn unwritable(path: &Path, error: &io::Error) -> Self {
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
