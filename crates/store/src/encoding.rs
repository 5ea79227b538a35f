//! The one encoding of nested values, for backends and for [`crate::registry_digest`]: deterministic CBOR.

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decoder, Encoder, Error, ErrorKind, Limits};
use tamarack_crypto::PublicKey;
use tamarack_model::{ComponentId, Sha256Digest, TcEntry};

/// Bounds of what a backend reads back; it wrote it itself, so they only stop damage from growing.
const LIMITS: Limits = Limits { bytes: 16 << 20, depth: 8, items: 1 << 20 };

/// Encodes a component id: an array of byte strings.
pub fn component(id: &ComponentId) -> Vec<u8> {
    let mut e = Encoder::new();
    write_component(&mut e, id);
    e.into_bytes()
}

/// Encodes component ids.
pub fn components(ids: &[ComponentId]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(ids.len());
    ids.iter().for_each(|id| write_component(&mut e, id));
    e.into_bytes()
}

/// Encodes what is held: an array of `[id, digest / null, size / null]`.
pub fn entries(entries: &[TcEntry]) -> Vec<u8> {
    let mut e = Encoder::new();
    write_entries(&mut e, entries);
    e.into_bytes()
}

/// Encodes public keys, each as its point.
pub fn keys(keys: &[PublicKey]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(keys.len());
    for key in keys {
        e.bytes(&key.to_point());
    }
    e.into_bytes()
}

/// Encodes names and values: an array of `[name, value]`.
pub fn claims(claims: &[(String, String)]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(claims.len());
    for (name, value) in claims {
        e.array(2).text(name).text(value);
    }
    e.into_bytes()
}

/// Reads what [`component`] wrote.
pub fn read_component(bytes: &[u8]) -> Result<ComponentId, Error> {
    take_component(&mut Decoder::new(bytes, &LIMITS)?)
}

/// Reads what [`components`] wrote.
pub fn read_components(bytes: &[u8]) -> Result<Vec<ComponentId>, Error> {
    let mut d = Decoder::new(bytes, &LIMITS)?;
    (0..d.array()?).map(|_| take_component(&mut d)).collect()
}

/// Reads what [`entries`] wrote.
pub fn read_entries(bytes: &[u8]) -> Result<Vec<TcEntry>, Error> {
    let mut d = Decoder::new(bytes, &LIMITS)?;
    (0..d.array()?)
        .map(|_| {
            d.array_of(3, "id, digest and size")?;
            Ok(TcEntry {
                id: take_component(&mut d)?,
                digest: optional(&mut d, |d| Ok(Sha256Digest(d.byte_array("a digest of 32 bytes")?)))?,
                size: optional(&mut d, Decoder::uint)?,
            })
        })
        .collect()
}

/// Reads what [`keys`] wrote.
pub fn read_keys(bytes: &[u8]) -> Result<Vec<PublicKey>, Error> {
    let mut d = Decoder::new(bytes, &LIMITS)?;
    (0..d.array()?)
        .map(|_| {
            let at = d.position();
            PublicKey::from_point(d.bytes()?).map_err(|_| Error::new(at, ErrorKind::Value("a public key")))
        })
        .collect()
}

/// Reads what [`claims`] wrote.
pub fn read_claims(bytes: &[u8]) -> Result<Vec<(String, String)>, Error> {
    let mut d = Decoder::new(bytes, &LIMITS)?;
    (0..d.array()?)
        .map(|_| {
            d.array_of(2, "name and value")?;
            Ok((d.text()?.into(), d.text()?.into()))
        })
        .collect()
}

pub(crate) fn write_component(e: &mut Encoder, id: &ComponentId) {
    e.array(id.segments().len());
    for segment in id.segments() {
        e.bytes(segment);
    }
}

pub(crate) fn write_entries(e: &mut Encoder, entries: &[TcEntry]) {
    e.array(entries.len());
    for entry in entries {
        e.array(3);
        write_component(e, &entry.id);
        match &entry.digest {
            Some(digest) => e.bytes(&digest.0),
            None => e.null(),
        };
        match entry.size {
            Some(size) => e.uint(size),
            None => e.null(),
        };
    }
}

fn take_component(d: &mut Decoder<'_>) -> Result<ComponentId, Error> {
    let at = d.position();
    let segments = (0..d.array()?).map(|_| d.bytes()).collect::<Result<Vec<_>, _>>()?;
    ComponentId::new(segments).map_err(|_| Error::new(at, ErrorKind::Value("a component id")))
}

fn optional<'b, T>(
    d: &mut Decoder<'b>,
    read: impl FnOnce(&mut Decoder<'b>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    match d.peek() {
        tamarack_cbor::Kind::Null => d.null().map(|()| None),
        _ => read(d).map(Some),
    }
}
