//! What several maps of the draft read in the same way.

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decoder, Error, ErrorKind, Kind};

/// Longest text that is read, in bytes. Names and URIs end up in lists and log lines.
pub(crate) const TEXT_MAX: usize = 512;
/// Longest opaque identifier, in bytes.
pub(crate) const BYTES_MAX: usize = 512;
/// Longest key or certificate in text or DER, in bytes.
pub(crate) const KEY_MAX: usize = 16 << 10;

/// A text of 1 to 512 bytes without control characters.
pub(crate) fn text(d: &mut Decoder<'_>) -> Result<String, Error> {
    let at = d.position();
    let text = d.text()?;
    if (1..=TEXT_MAX).contains(&text.len()) && !text.chars().any(char::is_control) {
        Ok(text.into())
    } else {
        Err(Error::new(at, ErrorKind::Value("a text of 1 to 512 bytes without control characters")))
    }
}

/// A byte string of 1 to 512 bytes.
pub(crate) fn bytes(d: &mut Decoder<'_>) -> Result<Vec<u8>, Error> {
    let at = d.position();
    let bytes = d.bytes()?;
    if (1..=BYTES_MAX).contains(&bytes.len()) {
        Ok(bytes.to_vec())
    } else {
        Err(Error::new(at, ErrorKind::Value("a byte string of 1 to 512 bytes")))
    }
}

/// A URI under tag 32.
pub(crate) fn uri(d: &mut Decoder<'_>) -> Result<String, Error> {
    if !d.optional_tag(crate::tag::URI) {
        return Err(d.expected("a URI under tag 32"));
    }
    text(d)
}

/// An array of at least one.
pub(crate) fn some<'b, T>(
    d: &mut Decoder<'b>,
    mut one: impl FnMut(&mut Decoder<'b>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let at = d.position();
    match d.array()? {
        0 => Err(Error::new(at, ErrorKind::Value("an array of at least one element"))),
        count => (0..count).map(|_| one(d)).collect(),
    }
}

/// Reads a map with integer keys. `member` reads the value of the keys that it knows and says whether it did; what it does
/// not know is put aside as encoded, in the order of the encoded keys however they came.
pub(crate) fn map<'b>(
    d: &mut Decoder<'b>,
    other: &mut Vec<(i64, Vec<u8>)>,
    mut member: impl FnMut(i64, &mut Decoder<'b>) -> Result<bool, Error>,
) -> Result<(), Error> {
    for _ in 0..d.map()? {
        let key = d.int()?;
        if !member(key, d)? {
            other.push((key, d.raw()?.to_vec()));
        }
    }
    // Encoded, a negative number stands behind all others, and -1 is the first of them.
    other.sort_by_key(|(key, _)| (*key < 0, if *key < 0 { !*key } else { *key }));
    Ok(())
}

/// The same for a map whose keys are all known.
pub(crate) fn closed_map<'b>(
    d: &mut Decoder<'b>,
    mut member: impl FnMut(i64, &mut Decoder<'b>) -> Result<bool, Error>,
) -> Result<(), Error> {
    for _ in 0..d.map()? {
        let at = d.position();
        let key = d.int()?;
        if !member(key, d)? {
            return Err(Error::new(at, ErrorKind::UnknownKey(key)));
        }
    }
    Ok(())
}

/// Seconds since 1970; fractions and earlier times are refused.
pub(crate) fn seconds(d: &mut Decoder<'_>) -> Result<u64, Error> {
    match d.peek() {
        Kind::Uint => d.uint(),
        _ => Err(d.expected("whole seconds since 1970")),
    }
}

/// The tag that comes next, without reading it.
pub(crate) fn peek_tag(d: &Decoder<'_>) -> Option<u64> {
    d.clone().tag().ok()
}
