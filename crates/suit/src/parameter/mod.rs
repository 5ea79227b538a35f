//! The parameters of manifests: one row each in [`PARAMETERS`].

use alloc::sync::Arc;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind};

use crate::{Limits, SuitDigest};

mod label;
pub use label::*;

/// One parameter that manifests may set.
#[derive(Debug)]
pub struct Parameter {
    /// Its label.
    pub label: i64,
    /// Its name in the registry, without prefix.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// Whether the machine uses it. A manifest that sets one that is not supported is refused whole.
    pub supported: bool,
}

/// What the value of a parameter looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Byte string of 16 bytes.
    Uuid,
    /// Byte string of 16 bytes, or tag 112 on a byte string (a private enterprise number).
    VendorId,
    /// Byte string holding a SUIT_Digest.
    Digest,
    /// Unsigned integer.
    Uint,
    /// Integer.
    Int,
    /// Boolean.
    Bool,
    /// Byte string.
    Bytes,
    /// Text.
    Text,
    /// Byte string holding a tagged COSE_Encrypt (96).
    EncryptionInfo,
    /// Byte string holding some other CBOR.
    Wrapped,
}

/// A value. Cloning it copies a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Bytes of any of the byte string kinds.
    Bytes(Arc<[u8]>),
    /// A private enterprise number, as its encoded item with tag 112.
    Pen(Arc<[u8]>),
    /// A digest.
    Digest(SuitDigest),
    /// An unsigned integer.
    Uint(u64),
    /// An integer.
    Int(i64),
    /// A boolean.
    Bool(bool),
    /// Text.
    Text(Arc<str>),
}

/// One setting: what parameter and to which value.
pub type Setting = (&'static Parameter, Value);

impl Encode for Value {
    /// Writes the value as it stands in a parameter map.
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Bytes(bytes) => e.bytes(bytes),
            Self::Pen(item) => e.raw(item),
            Self::Digest(digest) => e.wrapped(digest),
            Self::Uint(n) => e.uint(*n),
            Self::Int(n) => e.int(*n),
            Self::Bool(value) => e.bool(*value),
            Self::Text(text) => e.text(text),
        };
    }
}

/// The parameter of this label.
pub fn find(label: i64) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|row| row.label == label)
}

impl Parameter {
    /// Reads a value of this parameter.
    pub(crate) fn decode(&self, d: &mut Decoder<'_>, limits: &Limits) -> Result<Value, Error> {
        Ok(match self.kind {
            Kind::Uuid => Value::Bytes(uuid(d)?),
            Kind::VendorId => {
                let start = d.position();
                if d.optional_tag(112) {
                    d.bytes()?;
                    Value::Pen(d.input()[start..d.position()].into())
                } else {
                    Value::Bytes(uuid(d)?)
                }
            }
            Kind::Digest => {
                let (content, offset) = d.wrapped()?;
                Value::Digest(SuitDigest::from_cbor(content, &limits.cbor).map_err(|e| e.within(offset))?)
            }
            Kind::Uint => Value::Uint(d.uint()?),
            Kind::Int => Value::Int(d.int()?),
            Kind::Bool => Value::Bool(d.bool()?),
            Kind::Bytes => Value::Bytes(d.bytes()?.into()),
            Kind::Text => Value::Text(d.text()?.into()),
            Kind::EncryptionInfo => {
                let (content, offset) = d.wrapped()?;
                let mut inner = Decoder::new(content, &limits.cbor).map_err(|e| e.within(offset))?;
                if !inner.optional_tag(96) {
                    return Err(inner.expected("a tagged COSE_Encrypt").within(offset));
                }
                Value::Bytes(content.into())
            }
            Kind::Wrapped => {
                let (content, offset) = d.wrapped()?;
                tamarack_cbor::check(content, &limits.cbor).map_err(|e| e.within(offset))?;
                Value::Bytes(content.into())
            }
        })
    }
}

fn uuid(d: &mut Decoder<'_>) -> Result<Arc<[u8]>, Error> {
    Ok(Arc::from(&d.byte_array::<16>("a UUID of 16 bytes")?[..]))
}

/// Reads a non-empty parameter map. An unknown label is given as its number.
pub(crate) fn decode_settings(
    d: &mut Decoder<'_>,
    limits: &Limits,
) -> Result<Result<Arc<[Setting]>, i64>, Error> {
    let at = d.position();
    let count = d.map()?;
    if count == 0 {
        return Err(Error::new(at, ErrorKind::Value("at least one parameter")));
    }
    let mut settings = Vec::with_capacity(count);
    for _ in 0..count {
        let label = d.int()?;
        let Some(parameter) = find(label) else { return Ok(Err(label)) };
        settings.push((parameter, parameter.decode(d, limits)?));
    }
    Ok(Ok(settings.into()))
}
