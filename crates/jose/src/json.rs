//! Strict JSON: what RFC 8259 allows, without repeated names and lone surrogates (RFC 7493), and within [`Limits`].
//!
//! Numbers keep the text in which they arrived, objects the order of their members, so that what is echoed is what came.
//!
//! ```
//! use tamarack_jose::json::{self, Json, Limits};
//!
//! let value = json::parse(br#"{"b": [1.0, true], "a": "x"}"#, &Limits::default())?;
//! assert_eq!(value.get("a").and_then(Json::as_str), Some("x"));
//! assert_eq!(json::to_canonical(&value), br#"{"a":"x","b":[1,true]}"#);
//! # Ok::<(), json::Error>(())
//! ```

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use tamarack_model::{Code, codes};

mod parser;
mod writer;

pub use parser::parse;
pub use writer::{to_canonical, to_vec};

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string, without escapes.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object: its members in the order of the text. [`parse`] gives no name twice.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, if this is an array.
    pub fn as_array(&self) -> Option<&[Json]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The members, if this is an object.
    pub fn as_object(&self) -> Option<&[(String, Json)]> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The value, if this is `true` or `false`.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, if this is one.
    pub fn as_number(&self) -> Option<&Number> {
        match self {
            Self::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The number, if this is one that is written as plain digits and fits.
    pub fn as_u64(&self) -> Option<u64> {
        self.as_number()?.as_str().parse().ok()
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    /// The member of that name, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.as_object()?.iter().find(|member| member.0 == name).map(|member| &member.1)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Self {
        Self::Number(Number(value.to_string()))
    }
}

impl From<Number> for Json {
    fn from(number: Number) -> Self {
        Self::Number(number)
    }
}

impl From<Vec<Json>> for Json {
    fn from(elements: Vec<Json>) -> Self {
        Self::Array(elements)
    }
}

/// The compact text of [`to_vec`].
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&writer::to_text(self))
    }
}

/// A number as its text, which is a number of RFC 8259 within the range of a double.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number(String);

impl Number {
    /// The text as it arrived.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An object of these members, in this order.
///
/// ```
/// use tamarack_jose::json::{object, to_vec};
/// assert_eq!(to_vec(&object([("ver", "1.0".into()), ("nextdsi", true.into())])), br#"{"ver":"1.0","nextdsi":true}"#);
/// ```
pub fn object<const N: usize>(members: [(&str, Json); N]) -> Json {
    Json::Object(members.map(|(name, value)| (name.into(), value)).into())
}

/// An array of these elements.
pub fn array<T: Into<Json>>(elements: impl IntoIterator<Item = T>) -> Json {
    Json::Array(elements.into_iter().map(Into::into).collect())
}

/// An object made member by member, for those with optional ones.
#[derive(Clone, Debug, Default)]
pub struct Members(Vec<(String, Json)>);

impl Members {
    /// No members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member; its name must not be there yet.
    pub fn member(mut self, name: &str, value: impl Into<Json>) -> Self {
        debug_assert!(self.0.iter().all(|member| member.0 != name), "{name} stands twice");
        self.0.push((name.into(), value.into()));
        self
    }

    /// Adds a member if it has a value.
    pub fn optional(self, name: &str, value: Option<impl Into<Json>>) -> Self {
        match value {
            Some(value) => self.member(name, value),
            None => self,
        }
    }

    /// The object.
    pub fn build(self) -> Json {
        Json::Object(self.0)
    }
}

/// What [`parse`] accepts at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the text.
    pub bytes: usize,
    /// Objects and arrays around a value.
    pub depth: usize,
    /// Members of all objects and elements of all arrays together.
    pub members: usize,
    /// Bytes of one string after its escapes are undone, names included.
    pub string: usize,
}

impl Default for Limits {
    /// 1 MiB of text and as much in one string, depth 16, 16,384 members.
    fn default() -> Self {
        Self { bytes: 1 << 20, depth: 16, members: 16_384, string: 1 << 20 }
    }
}

/// Why a text was refused, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// Position in bytes from the start of the text.
    pub at: usize,
    /// What is wrong there.
    pub kind: ErrorKind,
}

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not UTF-8.
    Utf8,
    /// Something else was expected here: what.
    Expected(&'static str),
    /// A character below U+0020 in a string; it must be escaped.
    ControlCharacter,
    /// Not an escape of RFC 8259, or half a surrogate pair.
    Escape,
    /// The number is beyond the range of a double.
    NumberRange,
    /// The object has a member of this name already.
    RepeatedName,
    /// Something follows the value.
    Trailing,
    /// More bytes, depth, members or string bytes than the limits allow: which.
    Limit(&'static str),
}

impl Error {
    /// Whether a limit was exceeded, in contrast to a text that is wrong.
    pub fn is_limit(&self) -> bool {
        matches!(self.kind, ErrorKind::Limit(_))
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        if self.is_limit() { codes::JSON_LIMIT } else { codes::JSON_MALFORMED }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ErrorKind::Utf8 => f.write_str("not UTF-8")?,
            ErrorKind::Expected(what) => write!(f, "expected {what}")?,
            ErrorKind::ControlCharacter => f.write_str("a control character in a string")?,
            ErrorKind::Escape => f.write_str("not an escape sequence")?,
            ErrorKind::NumberRange => f.write_str("a number beyond the range of a double")?,
            ErrorKind::RepeatedName => f.write_str("a name that stands twice in an object")?,
            ErrorKind::Trailing => f.write_str("something after the value")?,
            ErrorKind::Limit(which) => write!(f, "more {which} than allowed")?,
        }
        write!(f, " at byte {}", self.at)
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests;
