use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use tamarack_jose::base64;
pub(crate) use tamarack_jose::json::Members as Writer;
use tamarack_jose::json::{self, Json, Number};

use crate::{Error, Limits, Mode};

/// A form that only [`Mode::Compat`] reads, told so that it can be logged. Deployed implementations and the draft's own
/// samples have each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tolerance {
    /// A boolean written as text: `"true"`, `"false"`, `"0"`, `"1"`.
    BooleanAsText,
    /// One string where an array of strings belongs.
    StringAsArray,
    /// Base64 in the other alphabet or without its padding.
    Base64Variant,
    /// A hash as base64url or hexadecimal digits; read in strict mode too, since it commits to the same bytes.
    HashVariant,
    /// A rid or tid written as a number.
    NumberAsId,
    /// A DSI as text inside another JSON text.
    DsiAsText,
    /// A UpdateSDRequest without spid; the name of the SD says enough, being unique for one TAM.
    SpidMissing,
    /// A JWE in flattened serialization where the general one belongs.
    FlattenedJwe,
    /// `x5c` as one string, or its certificates in base64url or without padding.
    CertificateForm,
    /// A public key in another encoding than SubjectPublicKeyInfo (EC) or RSAPublicKey (RSA).
    KeyEncoding,
}

/// A rid or tid: opaque text of 1 to 128 bytes, repeated as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageId {
    text: String,
    number: Option<Number>,
}

impl MessageId {
    /// Most bytes of an id.
    pub const MAX_LENGTH: usize = 128;

    /// An id of `text`; none if it is empty, too long or holds control characters.
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= Self::MAX_LENGTH && !text.chars().any(char::is_control);
        fits.then(|| Self { text: text.to_owned(), number: None })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn to_json(&self) -> Json {
        self.number.clone().map_or_else(|| Json::String(self.text.clone()), Json::Number)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// How members are read, and what was tolerated on the way.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub mode: Mode,
    pub limits: Limits,
    /// Whether a member that nobody asked for is an error: true for requests, false for responses.
    pub closed: bool,
    pub tolerances: Vec<Tolerance>,
}

impl Context {
    pub fn new(mode: &Mode, limits: &Limits, closed: bool) -> Self {
        Self { mode: *mode, limits: *limits, closed, tolerances: Vec::new() }
    }

    /// Notes a form that is read in any mode.
    pub fn note(&mut self, tolerance: Tolerance) {
        if !self.tolerances.contains(&tolerance) {
            self.tolerances.push(tolerance);
        }
    }

    /// Notes a form that is read only in compat mode, or refuses it.
    pub fn tolerate(&mut self, tolerance: Tolerance, path: &str) -> Result<(), Error> {
        if self.mode != Mode::Compat {
            return Err(mistyped(path));
        }
        self.note(tolerance);
        Ok(())
    }

    /// Parses a JSON text of at most `bytes` bytes.
    pub fn parse(&self, text: &[u8], bytes: usize) -> Result<Json, Error> {
        let limits =
            json::Limits { bytes, depth: self.limits.depth, members: self.limits.members, string: bytes };
        Ok(json::parse(text, &limits)?)
    }
}

/// The members of one object, each to be asked for by name.
pub(crate) struct Object<'j, 'c> {
    pub cx: &'c mut Context,
    path: String,
    members: &'j [(String, Json)],
    known: Vec<&'static str>,
}

impl<'j, 'c> Object<'j, 'c> {
    pub fn of(cx: &'c mut Context, json: &'j Json, path: &str) -> Result<Self, Error> {
        match json {
            Json::Object(members) => Ok(Self { cx, path: path.to_owned(), members, known: Vec::new() }),
            _ => Err(mistyped(path)),
        }
    }

    pub fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Context, &Json, &str) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.optional(name, read)?.ok_or_else(|| Error::Missing(self.path_of(name)))
    }

    pub fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Context, &Json, &str) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.known.push(name);
        match self.members.iter().find(|(n, _)| n == name) {
            Some((_, json)) => {
                let path = self.path_of(name);
                read(self.cx, json, &path).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Ends the object: whatever else it holds is undefined.
    pub fn end(self) -> Result<(), Error> {
        let unknown = self.members.iter().find(|(name, _)| !self.known.iter().any(|k| k == name));
        match unknown {
            Some((name, _)) if self.cx.closed => Err(Error::Undefined(self.path_of(name))),
            _ => Ok(()),
        }
    }

    pub fn path_of(&self, name: &str) -> String {
        join(&self.path, name)
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

pub(crate) fn mistyped(path: &str) -> Error {
    Error::Mistyped(path.to_owned())
}

/// Most bytes of a name: spid, sdname, taid and the like.
const MAX_NAME: usize = 256;

/// A name: 1 to 256 bytes without control characters.
pub(crate) fn name(_: &mut Context, json: &Json, path: &str) -> Result<String, Error> {
    match json {
        Json::String(text)
            if !text.is_empty() && text.len() <= MAX_NAME && !text.chars().any(char::is_control) =>
        {
            Ok(text.clone())
        }
        _ => Err(mistyped(path)),
    }
}

/// Any text.
pub(crate) fn text(_: &mut Context, json: &Json, path: &str) -> Result<String, Error> {
    match json {
        Json::String(text) => Ok(text.clone()),
        _ => Err(mistyped(path)),
    }
}

pub(crate) fn version(_: &mut Context, json: &Json, path: &str) -> Result<(), Error> {
    match json {
        Json::String(text) if text == crate::VERSION => Ok(()),
        Json::String(text) => Err(Error::Version(text.clone())),
        _ => Err(mistyped(path)),
    }
}

pub(crate) fn id(cx: &mut Context, json: &Json, path: &str) -> Result<MessageId, Error> {
    match json {
        Json::String(text) => MessageId::new(text).ok_or_else(|| mistyped(path)),
        Json::Number(number) if number.as_str().len() <= MessageId::MAX_LENGTH => {
            cx.tolerate(Tolerance::NumberAsId, path)?;
            Ok(MessageId { text: number.as_str().to_owned(), number: Some(number.clone()) })
        }
        _ => Err(mistyped(path)),
    }
}

pub(crate) fn boolean(cx: &mut Context, json: &Json, path: &str) -> Result<bool, Error> {
    let value = match json {
        Json::Bool(value) => return Ok(*value),
        Json::String(text) => match text.trim() {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return Err(mistyped(path)),
        },
        _ => return Err(mistyped(path)),
    };
    cx.tolerate(Tolerance::BooleanAsText, path)?;
    Ok(value)
}

/// Bytes in base64, alphabet of RFC 4648 section 4 with padding.
pub(crate) fn bytes(cx: &mut Context, json: &Json, path: &str) -> Result<Vec<u8>, Error> {
    let Json::String(text) = json else { return Err(mistyped(path)) };
    if let Ok(bytes) = base64::decode(text) {
        return Ok(bytes);
    }
    let bytes = base64::decode_any(text).map_err(|_| mistyped(path))?;
    cx.tolerate(Tolerance::Base64Variant, path)?;
    Ok(bytes)
}

/// A SHA-256 hash: base64, and in any mode base64url or hexadecimal, for all of them commit to the same 32 bytes.
pub(crate) fn hash(cx: &mut Context, json: &Json, path: &str) -> Result<[u8; 32], Error> {
    let Json::String(text) = json else { return Err(mistyped(path)) };
    if let Some(hash) = base64::decode(text).ok().and_then(|bytes| bytes.try_into().ok()) {
        return Ok(hash);
    }
    let bytes = match text.len() {
        64 => from_hex(text),
        _ => base64::decode_any(text).ok(),
    };
    let hash = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| mistyped(path))?;
    cx.note(Tolerance::HashVariant);
    Ok(hash)
}

/// A hash as 64 hexadecimal digits.
pub(crate) fn hex_hash(_: &mut Context, json: &Json, path: &str) -> Result<[u8; 32], Error> {
    hex(json, path)?.try_into().map_err(|_| mistyped(path))
}

/// 16 bytes as hexadecimal digits.
pub(crate) fn hex_iv(_: &mut Context, json: &Json, path: &str) -> Result<[u8; 16], Error> {
    hex(json, path)?.try_into().map_err(|_| mistyped(path))
}

fn hex(json: &Json, path: &str) -> Result<Vec<u8>, Error> {
    match json {
        Json::String(text) => from_hex(text).ok_or_else(|| mistyped(path)),
        _ => Err(mistyped(path)),
    }
}

pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect()
}

/// A number from 0 to 2^64-1 as decimal digits in a string, without leading zeros.
pub(crate) fn decimal(_: &mut Context, json: &Json, path: &str) -> Result<u64, Error> {
    match json {
        Json::String(text) => {
            text.parse().ok().filter(|n: &u64| n.to_string() == *text).ok_or_else(|| mistyped(path))
        }
        _ => Err(mistyped(path)),
    }
}

/// An array whose elements `read` reads.
pub(crate) fn list<T>(
    mut read: impl FnMut(&mut Context, &Json, &str) -> Result<T, Error>,
) -> impl FnOnce(&mut Context, &Json, &str) -> Result<Vec<T>, Error> {
    move |cx, json, path| match json {
        Json::Array(elements) if elements.len() <= cx.limits.array => {
            elements.iter().enumerate().map(|(i, e)| read(cx, e, &format!("{path}[{i}]"))).collect()
        }
        Json::String(_) => {
            cx.tolerate(Tolerance::StringAsArray, path)?;
            read(cx, json, path).map(|one| alloc::vec![one])
        }
        _ => Err(mistyped(path)),
    }
}

pub(crate) fn string(text: impl Into<String>) -> Json {
    Json::String(text.into())
}

pub(crate) fn strings<S: AsRef<str>>(texts: &[S]) -> Json {
    Json::Array(texts.iter().map(|t| string(t.as_ref())).collect())
}

pub(crate) fn base64_of(bytes: impl AsRef<[u8]>) -> Json {
    Json::String(base64::encode(bytes.as_ref()))
}

pub(crate) fn base64_list(list: &[Vec<u8>]) -> Json {
    Json::Array(list.iter().map(base64_of).collect())
}

pub(crate) fn hex_of(bytes: &[u8]) -> Json {
    Json::String(tamarack_model::Hex(bytes).to_string())
}

/// An object with this one member: the shape of every outer and inner message.
pub(crate) fn single(name: &str, value: Json) -> Json {
    Json::Object(alloc::vec![(name.to_owned(), value)])
}

/// The one member of an object that has exactly one.
pub(crate) fn only_member(json: &Json) -> Result<(&str, &Json), Error> {
    match json {
        Json::Object(members) => match members.as_slice() {
            [(name, value)] => Ok((name, value)),
            [] => Err(Error::UnknownMessage(String::new())),
            [(name, _), ..] => Err(Error::UnknownMessage(name.clone())),
        },
        _ => Err(Error::UnknownMessage(String::new())),
    }
}
