//! Small pieces of encoding that several messages share.

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decoder, Encoder, Error, ErrorKind, Kind};
use tamarack_model::{Code, ComponentId, Protocol};

pub(crate) fn put_segments(e: &mut Encoder, segments: &[Vec<u8>]) {
    e.array(segments.len());
    segments.iter().for_each(|segment| end(e.bytes(segment)));
}

pub(crate) fn segments(d: &mut Decoder<'_>) -> Result<Vec<Vec<u8>>, Error> {
    byte_strings(d)
}

pub(crate) fn put_component(e: &mut Encoder, id: &ComponentId) {
    put_segments(e, id.segments());
}

pub(crate) fn component(d: &mut Decoder<'_>) -> Result<ComponentId, Error> {
    let at = d.position();
    ComponentId::new(segments(d)?).map_err(|_| Error::new(at, ErrorKind::Value("a component id")))
}

pub(crate) fn byte_strings(d: &mut Decoder<'_>) -> Result<Vec<Vec<u8>>, Error> {
    (0..d.array()?).map(|_| d.bytes().map(<[u8]>::to_vec)).collect()
}

/// Writes the value, or null if there is none.
pub(crate) fn put_optional<T>(e: &mut Encoder, value: Option<T>, write: impl FnOnce(&mut Encoder, T)) {
    match value {
        Some(value) => write(e, value),
        None => end(e.null()),
    }
}

/// Reads a value, or null for none.
pub(crate) fn optional<'b, T>(
    d: &mut Decoder<'b>,
    read: impl FnOnce(&mut Decoder<'b>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    if d.peek() == Kind::Null { d.null().map(|()| None) } else { read(d).map(Some) }
}

pub(crate) fn string(d: &mut Decoder<'_>) -> Result<String, Error> {
    d.text().map(String::from)
}

pub(crate) fn u32(d: &mut Decoder<'_>) -> Result<u32, Error> {
    let at = d.position();
    u32::try_from(d.uint()?).map_err(|_| Error::new(at, ErrorKind::Value("an integer of at most 32 bits")))
}

pub(crate) fn code(d: &mut Decoder<'_>) -> Result<Code, Error> {
    let at = d.position();
    u16::try_from(d.uint()?).map(Code).map_err(|_| Error::new(at, ErrorKind::Value("an error code")))
}

pub(crate) fn put_protocol(e: &mut Encoder, protocol: Protocol) {
    e.uint(match protocol {
        Protocol::Teep => 0,
        Protocol::Otrp => 1,
    });
}

pub(crate) fn protocol(d: &mut Decoder<'_>) -> Result<Protocol, Error> {
    let at = d.position();
    match d.uint()? {
        0 => Ok(Protocol::Teep),
        1 => Ok(Protocol::Otrp),
        _ => Err(Error::new(at, ErrorKind::Value("protocol 0 (TEEP) or 1 (OTrP)"))),
    }
}

/// Writes a list, each element by `write`.
pub(crate) fn put_list<T>(e: &mut Encoder, list: &[T], write: impl Fn(&mut Encoder, &T)) {
    e.array(list.len());
    list.iter().for_each(|element| write(e, element));
}

/// Reads a list, each element by `read`.
pub(crate) fn list<'b, T>(
    d: &mut Decoder<'b>,
    read: impl Fn(&mut Decoder<'b>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    (0..d.array()?).map(|_| read(d)).collect()
}

/// Ends a chain of encoder calls where an expression must have no value.
pub(crate) fn end(_: &mut Encoder) {}
