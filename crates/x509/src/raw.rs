//! The DER that is looked at octet by octet: what a signature covers, and the names and keys that are hashed.

use alloc::vec::Vec;

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Decode, Error, Reader, SliceReader, Tag};

/// The frame that certificates, revocation lists and OCSP responses share: content, algorithm, signature.
pub(crate) struct Signed<'a> {
    /// What the signature covers, with tag and length.
    pub content: &'a [u8],
    pub algorithm: ObjectIdentifier,
    pub signature: &'a [u8],
    /// What follows the signature.
    pub rest: &'a [u8],
}

impl<'a> Signed<'a> {
    pub fn read(der: &'a [u8]) -> Result<Self, Error> {
        let mut reader = body(der)?;
        let content = reader.tlv_bytes()?;
        let algorithm = algorithm(&mut reader)?;
        let signature = octets(BitStringRef::decode(&mut reader)?)?;
        Ok(Self { content, algorithm, signature, rest: rest(&mut reader)? })
    }
}

/// What of a certificate is hashed or compared as it stands.
pub(crate) struct Certificate<'a> {
    /// The content octets of the INTEGER.
    pub serial: &'a [u8],
    /// The DER of the issuer's name.
    pub issuer: &'a [u8],
    /// The DER of the subject's name.
    pub subject: &'a [u8],
    /// The DER of the SubjectPublicKeyInfo.
    pub spki: &'a [u8],
    /// The bits of the public key alone.
    pub key: &'a [u8],
    pub signed: Signed<'a>,
}

impl<'a> Certificate<'a> {
    pub fn read(der: &'a [u8]) -> Result<Self, Error> {
        let signed = Signed::read(der)?;
        let mut reader = body(signed.content)?;
        if reader.peek_byte() == Some(0xa0) {
            reader.tlv_bytes()?;
        }
        let serial = integer(&mut reader)?;
        reader.tlv_bytes()?;
        let issuer = reader.tlv_bytes()?;
        reader.tlv_bytes()?;
        let subject = reader.tlv_bytes()?;
        let spki = reader.tlv_bytes()?;
        let mut inner = body(spki)?;
        inner.tlv_bytes()?;
        let key = octets(BitStringRef::decode(&mut inner)?)?;
        Ok(Self { serial, issuer, subject, spki, key, signed })
    }
}

/// A reader of what is inside a SEQUENCE that is all of `der`.
pub(crate) fn body(der: &[u8]) -> Result<SliceReader<'_>, Error> {
    let sequence = AnyRef::from_der(der)?;
    if der::Tagged::tag(&sequence) != Tag::Sequence {
        return Err(Tag::Sequence.value_error().into());
    }
    SliceReader::new(sequence.value())
}

/// What a reader has left.
pub(crate) fn rest<'a>(reader: &mut SliceReader<'a>) -> Result<&'a [u8], Error> {
    reader.read_slice(reader.remaining_len())
}

/// The identifier of an AlgorithmIdentifier whose parameters are absent or NULL.
pub(crate) fn algorithm(reader: &mut SliceReader<'_>) -> Result<ObjectIdentifier, Error> {
    let mut inner = body(reader.tlv_bytes()?)?;
    let oid = ObjectIdentifier::decode(&mut inner)?;
    if !inner.is_finished() {
        der::asn1::Null::decode(&mut inner)?;
    }
    inner.finish()?;
    Ok(oid)
}

/// The content octets of an INTEGER.
pub(crate) fn integer<'a>(reader: &mut SliceReader<'a>) -> Result<&'a [u8], Error> {
    let value = AnyRef::decode(reader)?;
    match (der::Tagged::tag(&value), value.value()) {
        (Tag::Integer, octets @ [_, ..]) => Ok(octets),
        _ => Err(Tag::Integer.value_error().into()),
    }
}

/// The octets of a BIT STRING that has no odd bits.
pub(crate) fn octets(bits: BitStringRef<'_>) -> Result<&[u8], Error> {
    bits.as_bytes().ok_or_else(|| Tag::BitString.value_error().into())
}

/// The content of `[number] EXPLICIT`, if that comes next.
pub(crate) fn explicit<'a>(reader: &mut SliceReader<'a>, number: u8) -> Result<Option<&'a [u8]>, Error> {
    if reader.peek_byte() != Some(0xa0 | number) {
        return Ok(None);
    }
    AnyRef::decode(reader).map(|value| Some(value.value()))
}

/// Tag, length and content.
pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    let octets = length.to_be_bytes();
    let digits = &octets[octets.iter().take_while(|octet| **octet == 0).count()..];
    match digits {
        [] => out.push(0),
        [short @ 0..=0x7f] => out.push(*short),
        digits => {
            // A length has at most eight octets.
            out.push(0x80 | digits.len() as u8);
            out.extend(digits);
        }
    }
    parts.iter().for_each(|part| out.extend(*part));
    out
}

pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const NULL: &[u8] = &[0x05, 0x00];
