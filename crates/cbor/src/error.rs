use core::fmt;

use crate::Kind;

/// What is wrong with some CBOR, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// Offset in bytes of the item (or the byte) at fault.
    pub at: usize,
    /// What is wrong there.
    pub kind: ErrorKind,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input ends inside an item.
    Truncated,
    /// A byte that RFC 8949 reserves or forbids here.
    Reserved(u8),
    /// An integer, length, tag or float is encoded longer than needed.
    NotMinimal,
    /// A length is indefinite.
    Indefinite,
    /// A text string is not UTF-8.
    Utf8,
    /// A map key stands twice.
    DuplicateKey,
    /// Bytes follow the one item expected; how many.
    Trailing(usize),
    /// Nested deeper than the limit; the limit.
    TooDeep(usize),
    /// More items than the limit; the limit.
    TooManyItems(usize),
    /// More bytes than the limit; the limit.
    TooLong(usize),
    /// The item is of another type.
    Type {
        /// What the definition asks for.
        expected: &'static str,
        /// What is there.
        found: Kind,
    },
    /// The item has the right type and a value or size that is not allowed.
    Value(&'static str),
    /// A map lacks a required key.
    Missing(&'static str),
    /// A map has a key that its definition does not know.
    UnknownKey(i64),
}

impl Error {
    /// An error of `kind` at offset `at`.
    pub fn new(at: usize, kind: ErrorKind) -> Self {
        Self { at, kind }
    }

    /// The same error seen from an enclosing byte string that starts at `offset`.
    pub fn within(self, offset: usize) -> Self {
        Self { at: self.at + offset, ..self }
    }

    /// Whether the bytes are CBOR, but not in the one encoding that is accepted.
    pub fn is_not_deterministic(&self) -> bool {
        matches!(self.kind, ErrorKind::NotMinimal | ErrorKind::Indefinite | ErrorKind::DuplicateKey)
    }

    /// Whether a limit of the receiver was exceeded.
    pub fn is_limit(&self) -> bool {
        matches!(self.kind, ErrorKind::TooDeep(_) | ErrorKind::TooManyItems(_) | ErrorKind::TooLong(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ErrorKind::Truncated => f.write_str("input ends inside an item"),
            ErrorKind::Reserved(byte) => write!(f, "byte 0x{byte:02x} is not allowed here"),
            ErrorKind::NotMinimal => f.write_str("not in shortest form"),
            ErrorKind::Indefinite => f.write_str("indefinite length"),
            ErrorKind::Utf8 => f.write_str("text is not UTF-8"),
            ErrorKind::DuplicateKey => f.write_str("map key stands twice"),
            ErrorKind::Trailing(n) => write!(f, "{n} bytes follow the end of the item"),
            ErrorKind::TooDeep(limit) => write!(f, "nested deeper than {limit}"),
            ErrorKind::TooManyItems(limit) => write!(f, "more than {limit} items"),
            ErrorKind::TooLong(limit) => write!(f, "longer than {limit} bytes"),
            ErrorKind::Type { expected, found } => write!(f, "expected {expected}, found {found}"),
            ErrorKind::Value(expected) => write!(f, "expected {expected}"),
            ErrorKind::Missing(name) => write!(f, "{name} is missing"),
            ErrorKind::UnknownKey(key) => write!(f, "unknown key {key}"),
        }?;
        write!(f, " (at byte {})", self.at)
    }
}

impl core::error::Error for Error {}
