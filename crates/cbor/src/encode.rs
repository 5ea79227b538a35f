use alloc::vec::Vec;
use core::convert::Infallible;

use crate::Encode;

/// Writes deterministic CBOR: shortest heads, definite lengths. Maps come out in bytewise key order (RFC 8949 section
/// 4.2.1) when they are written through [`Encoder::map_with`].
pub struct Encoder {
    inner: minicbor::Encoder<Vec<u8>>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder with nothing written yet.
    pub fn new() -> Self {
        Self { inner: minicbor::Encoder::new(Vec::new()) }
    }

    /// The bytes written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.inner.into_writer()
    }

    fn write(
        &mut self,
        write: impl FnOnce(
            &mut minicbor::Encoder<Vec<u8>>,
        )
            -> Result<&mut minicbor::Encoder<Vec<u8>>, minicbor::encode::Error<Infallible>>,
    ) -> &mut Self {
        // Writing to a Vec cannot fail, and none of the calls below returns a message of its own.
        let _ = write(&mut self.inner);
        self
    }

    /// Writes an unsigned integer.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.write(|e| e.u64(value))
    }

    /// Writes an integer.
    pub fn int(&mut self, value: i64) -> &mut Self {
        self.write(|e| e.i64(value))
    }

    /// Writes a byte string.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.write(|e| e.bytes(value))
    }

    /// Writes a byte string that holds the encoding of `value` (CDDL `bstr .cbor`).
    pub fn wrapped(&mut self, value: &impl Encode) -> &mut Self {
        self.bytes(&value.to_cbor())
    }

    /// Writes a text string.
    pub fn text(&mut self, value: &str) -> &mut Self {
        self.write(|e| e.str(value))
    }

    /// Writes the head of an array; exactly `count` items must follow.
    pub fn array(&mut self, count: usize) -> &mut Self {
        self.write(|e| e.array(count as u64))
    }

    /// Writes a tag; the tagged item must follow.
    pub fn tag(&mut self, number: u64) -> &mut Self {
        self.write(|e| e.tag(minicbor::data::Tag::new(number)))
    }

    /// Writes a boolean.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.write(|e| e.bool(value))
    }

    /// Writes `null`.
    pub fn null(&mut self) -> &mut Self {
        self.write(|e| e.null())
    }

    /// Writes bytes that are an encoded item already.
    pub fn raw(&mut self, item: &[u8]) -> &mut Self {
        self.inner.writer_mut().extend_from_slice(item);
        self
    }

    /// Writes what `value` is.
    pub fn item(&mut self, value: &(impl Encode + ?Sized)) -> &mut Self {
        value.encode(self);
        self
    }

    /// Writes a map whose pairs are given in any order to the [`MapEncoder`].
    pub fn map_with(&mut self, fill: impl FnOnce(&mut MapEncoder)) -> &mut Self {
        let mut map = MapEncoder { pairs: Vec::new() };
        fill(&mut map);
        let MapEncoder { mut pairs } = map;
        pairs.sort();
        self.write(|e| e.map(pairs.len() as u64));
        for (key, value) in &pairs {
            self.raw(key).raw(value);
        }
        self
    }
}

/// Collects the pairs of a map and writes them in bytewise order of their encoded keys.
pub struct MapEncoder {
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl MapEncoder {
    fn pair(
        &mut self,
        key: impl FnOnce(&mut Encoder) -> &mut Encoder,
        value: impl FnOnce(&mut Encoder) -> &mut Encoder,
    ) -> &mut Self {
        let (mut k, mut v) = (Encoder::new(), Encoder::new());
        key(&mut k);
        value(&mut v);
        self.pairs.push((k.into_bytes(), v.into_bytes()));
        self
    }

    /// Adds a pair with an integer key; `value` writes exactly one item.
    pub fn int(&mut self, key: i64, value: impl FnOnce(&mut Encoder) -> &mut Encoder) -> &mut Self {
        self.pair(|e| e.int(key), value)
    }

    /// Adds a pair with a text key; `value` writes exactly one item.
    pub fn text(&mut self, key: &str, value: impl FnOnce(&mut Encoder) -> &mut Encoder) -> &mut Self {
        self.pair(|e| e.text(key), value)
    }

    /// Adds a pair whose key is an encoded item; `value` writes exactly one item.
    pub fn raw(&mut self, key: &[u8], value: impl FnOnce(&mut Encoder) -> &mut Encoder) -> &mut Self {
        self.pair(|e| e.raw(key), value)
    }

    /// Adds a pair with an integer key if there is a value.
    pub fn optional<T>(
        &mut self,
        key: i64,
        value: Option<T>,
        write: impl FnOnce(&mut Encoder, T) -> &mut Encoder,
    ) -> &mut Self {
        match value {
            Some(value) => self.int(key, |e| write(e, value)),
            None => self,
        }
    }
}
