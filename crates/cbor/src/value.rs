use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::{Decode, Decoder, Encode, Encoder, Error, ErrorKind, Kind};

/// Any CBOR item, for tools that show what they do not know. Protocol code reads through [`Decoder`] instead.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Unsigned integer.
    Uint(u64),
    /// Negative integer -1 - n.
    Nint(u64),
    /// Byte string.
    Bytes(Vec<u8>),
    /// Text string.
    Text(String),
    /// Array.
    Array(Vec<Value>),
    /// Map, pairs in the order in which they stood.
    Map(Vec<(Value, Value)>),
    /// Tagged item.
    Tag(u64, Box<Value>),
    /// Boolean.
    Bool(bool),
    /// `null`.
    Null,
    /// A float, as its encoded bytes with the head.
    Float(Vec<u8>),
    /// Any other simple value.
    Simple(u8),
}

impl<'b> Decode<'b> for Value {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        Ok(match d.peek() {
            Kind::Uint => Self::Uint(d.uint()?),
            Kind::Nint => {
                let at = d.position();
                d.raw()?;
                Self::Nint(crate::wellformed::head(d.input(), at)?.argument)
            }
            Kind::Bytes => Self::Bytes(d.bytes()?.to_vec()),
            Kind::Text => Self::Text(d.text()?.into()),
            Kind::Array => {
                let count = d.array()?;
                Self::Array((0..count).map(|_| Self::decode(d)).collect::<Result<_, _>>()?)
            }
            Kind::Map => {
                let count = d.map()?;
                Self::Map(
                    (0..count).map(|_| Ok((Self::decode(d)?, Self::decode(d)?))).collect::<Result<_, _>>()?,
                )
            }
            Kind::Tag => Self::Tag(d.tag()?, Box::new(Self::decode(d)?)),
            Kind::Bool => Self::Bool(d.bool()?),
            Kind::Null => {
                d.null()?;
                Self::Null
            }
            Kind::Float => Self::Float(d.raw()?.to_vec()),
            Kind::Simple => {
                let raw = d.raw()?;
                Self::Simple(if raw.len() == 2 { raw[1] } else { raw[0] & 0x1f })
            }
            Kind::End => return Err(d.error(ErrorKind::Truncated)),
        })
    }
}

impl Encode for Value {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Uint(n) => e.uint(*n),
            Self::Nint(n) => match i64::try_from(*n) {
                Ok(n) => e.int(-1 - n),
                // Below what an i64 holds the head has always nine bytes.
                Err(_) => e.raw(&[&[0x3b][..], &n.to_be_bytes()].concat()),
            },
            Self::Bytes(bytes) => e.bytes(bytes),
            Self::Text(text) => e.text(text),
            Self::Array(items) => {
                e.array(items.len());
                items.iter().for_each(|item| item.encode(e));
                e
            }
            Self::Map(pairs) => e.map_with(|map| {
                for (key, value) in pairs {
                    map.raw(&key.to_cbor(), |e| e.item(value));
                }
            }),
            Self::Tag(number, item) => e.tag(*number).item(item.as_ref()),
            Self::Bool(value) => e.bool(*value),
            Self::Null => e.null(),
            Self::Float(raw) => e.raw(raw),
            Self::Simple(n) if *n < 24 => e.raw(&[0xe0 | n]),
            Self::Simple(n) => e.raw(&[0xf8, *n]),
        };
    }
}
