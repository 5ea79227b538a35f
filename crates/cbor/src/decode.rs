use core::fmt;

use crate::wellformed::{self, Limits};
use crate::{Error, ErrorKind};

/// What an item is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Unsigned integer.
    Uint,
    /// Negative integer.
    Nint,
    /// Byte string.
    Bytes,
    /// Text string.
    Text,
    /// Array.
    Array,
    /// Map.
    Map,
    /// Tag.
    Tag,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
    /// `undefined` or another simple value.
    Simple,
    /// Floating-point number.
    Float,
    /// The end of the enclosing input.
    End,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uint => "an unsigned integer",
            Self::Nint => "a negative integer",
            Self::Bytes => "a byte string",
            Self::Text => "a text string",
            Self::Array => "an array",
            Self::Map => "a map",
            Self::Tag => "a tag",
            Self::Bool => "a boolean",
            Self::Null => "null",
            Self::Simple => "a simple value",
            Self::Float => "a float",
            Self::End => "the end",
        })
    }
}

/// Reads items in order from bytes that were checked whole.
#[derive(Clone)]
pub struct Decoder<'b> {
    inner: minicbor::Decoder<'b>,
}

impl<'b> Decoder<'b> {
    /// Checks `bytes` as [`crate::check`] does and stands at the start.
    pub fn new(bytes: &'b [u8], limits: &Limits) -> Result<Self, Error> {
        wellformed::check(bytes, limits)?;
        Ok(Self { inner: minicbor::Decoder::new(bytes) })
    }

    /// Offset of the next item.
    pub fn position(&self) -> usize {
        self.inner.position()
    }

    /// The whole input.
    pub fn input(&self) -> &'b [u8] {
        self.inner.input()
    }

    /// What the next item is, without reading it.
    pub fn peek(&self) -> Kind {
        let Some(&byte) = self.inner.input().get(self.inner.position()) else { return Kind::End };
        match (byte >> 5, byte & 0x1f) {
            (0, _) => Kind::Uint,
            (1, _) => Kind::Nint,
            (2, _) => Kind::Bytes,
            (3, _) => Kind::Text,
            (4, _) => Kind::Array,
            (5, _) => Kind::Map,
            (6, _) => Kind::Tag,
            (_, 20 | 21) => Kind::Bool,
            (_, 22) => Kind::Null,
            (_, 25..=27) => Kind::Float,
            _ => Kind::Simple,
        }
    }

    /// An error of `kind` at the next item.
    pub fn error(&self, kind: ErrorKind) -> Error {
        Error::new(self.position(), kind)
    }

    /// "expected so-and-so" at the next item.
    pub fn expected(&self, expected: &'static str) -> Error {
        self.error(ErrorKind::Type { expected, found: self.peek() })
    }

    fn expect(&self, kind: Kind, expected: &'static str) -> Result<(), Error> {
        if self.peek() == kind { Ok(()) } else { Err(self.expected(expected)) }
    }

    /// What minicbor still refuses after the check can only be a range.
    fn out_of_range(&self, at: usize) -> impl Fn(minicbor::decode::Error) -> Error + use<> {
        move |_| Error::new(at, ErrorKind::Value("an integer of at most 64 bits"))
    }

    /// Reads an unsigned integer.
    pub fn uint(&mut self) -> Result<u64, Error> {
        self.expect(Kind::Uint, "an unsigned integer")?;
        let at = self.position();
        self.inner.u64().map_err(self.out_of_range(at))
    }

    /// Reads an integer from -2^63 to 2^63 - 1.
    pub fn int(&mut self) -> Result<i64, Error> {
        if !matches!(self.peek(), Kind::Uint | Kind::Nint) {
            return Err(self.expected("an integer"));
        }
        let at = self.position();
        self.inner.i64().map_err(self.out_of_range(at))
    }

    /// Reads a byte string.
    pub fn bytes(&mut self) -> Result<&'b [u8], Error> {
        self.expect(Kind::Bytes, "a byte string")?;
        let at = self.position();
        self.inner.bytes().map_err(self.out_of_range(at))
    }

    /// Reads a byte string of exactly `N` bytes.
    pub fn byte_array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], Error> {
        let at = self.position();
        self.bytes()?.try_into().map_err(|_| Error::new(at, ErrorKind::Value(expected)))
    }

    /// Reads a byte string whose content is CBOR: gives the content and its offset in the input, for
    /// [`Error::within`].
    pub fn wrapped(&mut self) -> Result<(&'b [u8], usize), Error> {
        let content = self.bytes()?;
        Ok((content, self.position() - content.len()))
    }

    /// Reads a text string.
    pub fn text(&mut self) -> Result<&'b str, Error> {
        self.expect(Kind::Text, "a text string")?;
        let at = self.position();
        self.inner.str().map_err(self.out_of_range(at))
    }

    /// Reads the head of an array: its number of elements.
    pub fn array(&mut self) -> Result<usize, Error> {
        self.expect(Kind::Array, "an array")?;
        let at = self.position();
        let count = self.inner.array().map_err(self.out_of_range(at))?;
        // The check has shown that the length is definite and no larger than the input.
        Ok(count.unwrap_or_default() as usize)
    }

    /// Reads the head of an array that must have exactly `count` elements.
    pub fn array_of(&mut self, count: usize, expected: &'static str) -> Result<(), Error> {
        let at = self.position();
        if self.array()? == count { Ok(()) } else { Err(Error::new(at, ErrorKind::Value(expected))) }
    }

    /// Reads the head of a map: its number of pairs.
    pub fn map(&mut self) -> Result<usize, Error> {
        self.expect(Kind::Map, "a map")?;
        let at = self.position();
        let count = self.inner.map().map_err(self.out_of_range(at))?;
        Ok(count.unwrap_or_default() as usize)
    }

    /// Reads a tag number; the tagged item follows.
    pub fn tag(&mut self) -> Result<u64, Error> {
        self.expect(Kind::Tag, "a tag")?;
        let at = self.position();
        self.inner.tag().map(|tag| tag.as_u64()).map_err(self.out_of_range(at))
    }

    /// Reads the tag `number` if it is what comes next; says whether it was.
    pub fn optional_tag(&mut self, number: u64) -> bool {
        let mut ahead = self.clone();
        let found = ahead.peek() == Kind::Tag && ahead.tag() == Ok(number);
        if found {
            *self = ahead;
        }
        found
    }

    /// Reads a boolean.
    pub fn bool(&mut self) -> Result<bool, Error> {
        self.expect(Kind::Bool, "a boolean")?;
        let at = self.position();
        self.inner.bool().map_err(self.out_of_range(at))
    }

    /// Reads `null`.
    pub fn null(&mut self) -> Result<(), Error> {
        self.expect(Kind::Null, "null")?;
        let at = self.position();
        self.inner.null().map_err(self.out_of_range(at))
    }

    /// Steps over the next item, whatever it is, and gives its encoded bytes.
    pub fn raw(&mut self) -> Result<&'b [u8], Error> {
        let at = self.position();
        if self.peek() == Kind::End {
            return Err(self.error(ErrorKind::Truncated));
        }
        self.inner.skip().map_err(|_| Error::new(at, ErrorKind::Truncated))?;
        Ok(&self.inner.input()[at..self.inner.position()])
    }
}

impl fmt::Debug for Decoder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decoder(at {} of {})", self.position(), self.input().len())
    }
}
