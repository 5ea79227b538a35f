//! Strict, deterministic CBOR (RFC 8949 section 4.2) over `minicbor`.
//!
//! A [`Decoder`] exists only over bytes that were checked whole: exactly one item, well-formed, definite lengths,
//! shortest encodings, no repeated map key, valid UTF-8, within [`Limits`]. Reading through it afterwards can only fail
//! because an item is of another type than expected. Every [`Error`] carries the byte offset where it was found.
//!
//! ```
//! use tamarack_cbor::{Decoder, Encoder, Limits};
//!
//! let mut e = Encoder::new();
//! e.array(2).uint(5).text("ok");
//! let bytes = e.into_bytes();
//!
//! let mut d = Decoder::new(&bytes, &Limits::default()).unwrap();
//! assert_eq!(d.array().unwrap(), 2);
//! assert_eq!(d.uint().unwrap(), 5);
//! assert_eq!(d.text().unwrap(), "ok");
//!
//! // 0x18 0x05 is 5 in a longer form than needed.
//! let error = Decoder::new(&[0x18, 0x05], &Limits::default()).unwrap_err();
//! assert_eq!(error.at, 0);
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod decode;
mod encode;
mod error;
mod value;
mod wellformed;

pub use decode::{Decoder, Kind};
pub use encode::{Encoder, MapEncoder};
pub use error::{Error, ErrorKind};
pub use value::Value;
pub use wellformed::{Limits, check};

/// What can be read from CBOR. Decoding of a whole message is `T::from_cbor(bytes, limits)`.
pub trait Decode<'b>: Sized {
    /// Reads one item at the decoder's position.
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error>;

    /// Checks `bytes` whole, then reads them as exactly one `Self`.
    fn from_cbor(bytes: &'b [u8], limits: &Limits) -> Result<Self, Error> {
        let mut d = Decoder::new(bytes, limits)?;
        Self::decode(&mut d)
    }
}

/// What can be written as deterministic CBOR.
pub trait Encode {
    /// Writes one item.
    fn encode(&self, e: &mut Encoder);

    /// The encoding as bytes.
    fn to_cbor(&self) -> alloc::vec::Vec<u8> {
        let mut e = Encoder::new();
        self.encode(&mut e);
        e.into_bytes()
    }
}

#[cfg(test)]
mod tests;
