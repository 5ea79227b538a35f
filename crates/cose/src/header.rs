use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, ErrorKind, Kind, Limits, MapEncoder};

use crate::Error;

const ALG: i64 = 1;
const CRIT: i64 = 2;
const CONTENT_TYPE: i64 = 3;
const KID: i64 = 4;
const CWT_CLAIMS: i64 = 15;
const X5CHAIN: i64 = 33;

/// Content type of a payload (header 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// CoAP Content-Format number.
    Format(u64),
    /// Media type.
    MediaType(String),
}

/// The header parameters that Tamarack reads (RFC 9052 section 3.1, RFC 9360 section 2, RFC 9597).
///
/// | label | field |
/// |---|---|
/// | 1 | `alg` |
/// | 2 | `crit`, checked when read: every label in it must be one of these |
/// | 3 | `content_type` |
/// | 4 | `kid` |
/// | 15 | `cwt_claims`, as one encoded map |
/// | 33 | `x5chain`, DER, leaf first |
///
/// Others are tolerated, unless `crit` names them. What `cwt_claims` say is for the one who defines the payload, who is also
/// the one to refuse a critical one; here it is not among those that `crit` may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Label of the algorithm.
    pub alg: Option<i64>,
    /// Content type of the payload.
    pub content_type: Option<ContentType>,
    /// Key identifier: a hint, never a proof.
    pub kid: Option<Vec<u8>>,
    /// CWT claims about the payload, as one encoded map.
    pub cwt_claims: Option<Vec<u8>>,
    /// Certificates, DER, leaf first.
    pub x5chain: Vec<Vec<u8>>,
    pub(crate) labels: Vec<i64>,
}

impl<'b> Decode<'b> for Header {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        let mut header = Self::default();
        for _ in 0..d.map()? {
            if d.peek() == Kind::Text {
                d.text()?;
                d.raw()?;
                continue;
            }
            let label = d.int()?;
            header.labels.push(label);
            match label {
                // Text algorithms exist in no registry.
                ALG => header.alg = Some(d.int()?),
                CRIT => check_crit(d)?,
                CONTENT_TYPE => {
                    header.content_type = Some(match d.peek() {
                        Kind::Text => ContentType::MediaType(d.text()?.into()),
                        _ => ContentType::Format(d.uint()?),
                    });
                }
                KID => header.kid = Some(d.bytes()?.to_vec()),
                CWT_CLAIMS if d.peek() == Kind::Map => header.cwt_claims = Some(d.raw()?.to_vec()),
                CWT_CLAIMS => return Err(d.expected("a map of CWT claims")),
                X5CHAIN if d.peek() == Kind::Array => {
                    let count = d.array()?;
                    if count < 2 {
                        return Err(d.error(ErrorKind::Value("a single certificate as a byte string")));
                    }
                    header.x5chain = (0..count)
                        .map(|_| Ok(d.bytes()?.to_vec()))
                        .collect::<Result<_, tamarack_cbor::Error>>()?;
                }
                X5CHAIN => header.x5chain = alloc::vec![d.bytes()?.to_vec()],
                _ => drop(d.raw()?),
            }
        }
        Ok(header)
    }
}

/// RFC 9052 section 3.1: at least one label, none of which may be unknown to us.
fn check_crit(d: &mut Decoder<'_>) -> Result<(), tamarack_cbor::Error> {
    let count = d.array()?;
    if count == 0 {
        return Err(d.error(ErrorKind::Value("at least one critical label")));
    }
    for _ in 0..count {
        let at = d.position();
        let label = if d.peek() == Kind::Text { return Err(d.expected("a known label")) } else { d.int()? };
        if !matches!(label, ALG | CRIT | CONTENT_TYPE | KID | X5CHAIN) {
            return Err(tamarack_cbor::Error::new(at, ErrorKind::UnknownKey(label)));
        }
    }
    Ok(())
}

impl Encode for Header {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| self.fill(map));
    }
}

impl Header {
    /// Whether it has any parameter.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn fill(&self, map: &mut MapEncoder) {
        map.optional(ALG, self.alg, |e, alg| e.int(alg))
            .optional(CONTENT_TYPE, self.content_type.as_ref(), |e, content_type| match content_type {
                ContentType::Format(number) => e.uint(*number),
                ContentType::MediaType(text) => e.text(text),
            })
            .optional(KID, self.kid.as_deref(), |e, kid| e.bytes(kid))
            .optional(CWT_CLAIMS, self.cwt_claims.as_deref(), |e, claims| e.raw(claims));
        match self.x5chain.as_slice() {
            [] => {}
            [leaf] => drop(map.int(X5CHAIN, |e| e.bytes(leaf))),
            chain => drop(map.int(X5CHAIN, |e| {
                e.array(chain.len());
                chain.iter().fold(e, |e, certificate| e.bytes(certificate))
            })),
        }
    }
}

/// A protected header: what it says, and the bytes that were signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protected {
    header: Header,
    raw: Vec<u8>,
}

impl Protected {
    /// A header to be signed.
    pub(crate) fn new(header: Header) -> Self {
        let raw = if header.is_empty() { Vec::new() } else { header.to_cbor() };
        Self { header, raw }
    }

    /// What it says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The content of the byte string, as received.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }
}

/// Reads the two header members of a COSE structure: protected (a byte string, zero-length for none) and unprotected.
pub(crate) fn decode_pair(d: &mut Decoder<'_>) -> Result<(Protected, Header), Error> {
    decode_layer(d).map(|(protected, unprotected, _)| (protected, unprotected))
}

/// As [`decode_pair`], with the unprotected map as it arrived.
pub(crate) fn decode_layer<'b>(d: &mut Decoder<'b>) -> Result<(Protected, Header, &'b [u8]), Error> {
    let (raw, offset) = d.wrapped()?;
    let header = if raw.is_empty() {
        Header::default()
    } else {
        Header::from_cbor(raw, &Limits::default()).map_err(|e| match e.kind {
            ErrorKind::UnknownKey(label) => Error::Critical(label),
            _ => e.within(offset).into(),
        })?
    };
    let at = d.position();
    let unprotected = Header::decode(d)?;
    let unprotected_raw = &d.input()[at..d.position()];
    if unprotected.labels.contains(&CRIT) {
        return Err(
            tamarack_cbor::Error::new(at, ErrorKind::Value("crit only in the protected header")).into()
        );
    }
    if let Some(label) = unprotected.labels.iter().find(|label| header.labels.contains(label)) {
        return Err(Error::RepeatedHeader(*label));
    }
    // RFC 9052 section 4.4: with no protected attributes a zero-length string is signed, however the empty map arrived.
    let raw = if header.labels.is_empty() && raw == [0xa0] { Vec::new() } else { raw.to_vec() };
    Ok((Protected { header, raw }, unprotected, unprotected_raw))
}

/// A payload member: a byte string or null.
pub(crate) fn decode_payload(d: &mut Decoder<'_>) -> Result<Option<Vec<u8>>, tamarack_cbor::Error> {
    match d.peek() {
        Kind::Null => d.null().map(|()| None),
        _ => d.bytes().map(|payload| Some(payload.to_vec())),
    }
}

pub(crate) fn encode_payload(e: &mut Encoder, payload: Option<&[u8]>) {
    match payload {
        Some(payload) => e.bytes(payload),
        None => e.null(),
    };
}

/// The one payload that counts: attached, or given apart.
pub(crate) fn effective_payload<'p>(
    attached: Option<&'p [u8]>,
    detached: Option<&'p [u8]>,
) -> Result<&'p [u8], Error> {
    match (attached, detached) {
        (Some(payload), None) | (None, Some(payload)) => Ok(payload),
        _ => Err(Error::Payload),
    }
}
