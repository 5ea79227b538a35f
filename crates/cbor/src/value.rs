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

/// Deepest nesting that [`Value::decode_lenient`] unfolds.
const LENIENT_DEPTH: usize = 64;

impl Value {
    /// Reads any well-formed item at the start of `bytes`, also one that no receiver of ours would take (longer forms than
    /// needed, indefinite lengths, repeated keys), and says how many bytes it has. What is nested deeper than 64 levels
    /// comes as a byte string of its encoding. For tools that show, never for protocols.
    pub fn decode_lenient(bytes: &[u8]) -> Result<(Self, usize), Error> {
        let mut d = minicbor::Decoder::new(bytes);
        let value = lenient(&mut d, 0)?;
        Ok((value, d.position()))
    }
}

fn lenient(d: &mut minicbor::Decoder<'_>, depth: usize) -> Result<Value, Error> {
    use minicbor::data::Type;
    let at = d.position();
    let truncated = |_| Error::new(at, ErrorKind::Truncated);
    if depth > LENIENT_DEPTH {
        d.skip().map_err(truncated)?;
        return Ok(Value::Bytes(d.input()[at..d.position()].to_vec()));
    }
    let Some(&initial) = d.input().get(at) else { return Err(Error::new(at, ErrorKind::Truncated)) };
    Ok(match d.datatype().map_err(|_| Error::new(at, ErrorKind::Reserved(initial)))? {
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => Value::Uint(d.u64().map_err(truncated)?),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
            let number = i128::from(d.int().map_err(truncated)?);
            if number < 0 { Value::Nint((-1 - number) as u64) } else { Value::Uint(number as u64) }
        }
        Type::Bytes | Type::BytesIndef => {
            let chunks = d.bytes_iter().map_err(truncated)?;
            Value::Bytes(chunks.collect::<Result<Vec<_>, _>>().map_err(truncated)?.concat())
        }
        Type::String | Type::StringIndef => {
            let chunks = d.str_iter().map_err(|_| Error::new(at, ErrorKind::Utf8))?;
            Value::Text(
                chunks.collect::<Result<Vec<_>, _>>().map_err(|_| Error::new(at, ErrorKind::Utf8))?.concat(),
            )
        }
        Type::Array | Type::ArrayIndef => {
            let count = d.array().map_err(truncated)?;
            let mut items = Vec::new();
            while more(d, count, items.len())? {
                items.push(lenient(d, depth + 1)?);
            }
            Value::Array(items)
        }
        Type::Map | Type::MapIndef => {
            let count = d.map().map_err(truncated)?;
            let mut pairs = Vec::new();
            while more(d, count, pairs.len())? {
                pairs.push((lenient(d, depth + 1)?, lenient(d, depth + 1)?));
            }
            Value::Map(pairs)
        }
        Type::Tag => Value::Tag(d.tag().map_err(truncated)?.as_u64(), Box::new(lenient(d, depth + 1)?)),
        Type::Bool => Value::Bool(d.bool().map_err(truncated)?),
        Type::Null => {
            d.null().map_err(truncated)?;
            Value::Null
        }
        Type::F16 | Type::F32 | Type::F64 => {
            d.skip().map_err(truncated)?;
            Value::Float(d.input()[at..d.position()].to_vec())
        }
        Type::Undefined => {
            d.undefined().map_err(truncated)?;
            Value::Simple(23)
        }
        Type::Simple => Value::Simple(d.simple().map_err(truncated)?),
        Type::Break | Type::Unknown(_) => return Err(Error::new(at, ErrorKind::Reserved(initial))),
    })
}

/// Whether another element follows in an array or map of `count` elements, or of indefinite length, of which `read` were
/// read. Steps over the break.
fn more(d: &mut minicbor::Decoder<'_>, count: Option<u64>, read: usize) -> Result<bool, Error> {
    match count {
        Some(count) => Ok((read as u64) < count),
        None if d.input().get(d.position()) == Some(&0xff) => {
            d.set_position(d.position() + 1);
            Ok(false)
        }
        None => Ok(true),
    }
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
