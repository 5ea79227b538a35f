use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, ErrorKind, Kind, Limits};
use tamarack_cose::{ContentType, Purpose, Sign1, SignOptions, TAG_SIGN1, VerificationKey, Verified};
use tamarack_crypto::{Provider, Sign};
use tamarack_model::UnixTime;

use crate::{Corim, Error, LIMITS, MEDIA_TYPE_UNSIGNED, Validity, read, tag};

/// Header: corim-meta, the older way to name the signer.
const CORIM_META: i64 = 8;
/// Header: CWT claims (RFC 9597).
const CWT_CLAIMS: i64 = 15;
/// Header: hash algorithm of a hash envelope.
const PAYLOAD_HASH_ALG: i64 = 258;

/// A CoRIM in a COSE_Sign1 as it arrived, not yet verified.
///
/// | protected header | meaning |
/// |---|---|
/// | 1 | algorithm |
/// | 3 | content type: `application/rim+cbor` |
/// | 8 | corim-meta, wrapped: `{0: {0: name, ? 1: URI}, ? 1: validity}` |
/// | 15 | CWT claims: `{1: name, ? 2: id, ? 4: not after, ? 5: not before, ...}` |
///
/// One of 8 and 15 is there; if both are, they agree.
#[derive(Clone, Debug)]
pub struct SignedCorim {
    object: Sign1,
    signer: Signer,
    limits: Limits,
}

/// Who signs and for how long. The name is what the signer says; a key is what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Name.
    pub name: String,
    /// First second in which the signature counts.
    pub not_before: Option<UnixTime>,
    /// Last second in which it counts.
    pub not_after: Option<UnixTime>,
}

impl Signer {
    /// A signer whose signature does not end by itself.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), not_before: None, not_after: None }
    }
}

impl SignedCorim {
    /// Reads the COSE object and who says to have signed it; the CoRIM inside is read by [`SignedCorim::verify`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut d = Decoder::new(bytes, limits)?;
        if d.optional_tag(tag::CORIM) {
            return Err(Error::Unsigned);
        }
        if !d.optional_tag(TAG_SIGN1) {
            return Err(d.expected("a COSE_Sign1 under tag 18").into());
        }
        let object = Sign1::parse(bytes, limits)?;
        let header = Header::from_cbor(object.protected.raw(), limits)?;
        if header.hash_envelope || object.unverified_payload().is_none() {
            return Err(Error::NotAttached);
        }
        match &object.protected.header().content_type {
            Some(ContentType::MediaType(name)) if is_rim(name) => {}
            Some(ContentType::MediaType(_) | ContentType::Format(_)) | None => {
                return Err(Error::ContentType);
            }
        }
        let signer = match (header.claims, header.meta) {
            (Some(claims), Some(meta)) if claims != meta => return Err(Error::TwoSigners),
            (Some(signer), _) | (None, Some(signer)) => signer,
            (None, None) => return Err(Error::NoSigner),
        };
        Ok(Self { object, signer, limits: *limits })
    }

    /// Key identifier.
    pub fn kid(&self) -> Option<&[u8]> {
        self.object.kid()
    }

    /// Who says to have signed it.
    pub fn signer_unverified(&self) -> &Signer {
        &self.signer
    }

    /// What is in it, which nobody vouches for: for tools only.
    pub fn unverified(&self) -> Result<Corim, Error> {
        let payload = self.object.unverified_payload().ok_or(Error::NotAttached)?;
        Ok(Corim::parse_unsigned(payload, &self.limits)?)
    }

    /// Checks that one of `keys` for [`Purpose::ReferenceValues`] signed it, then reads the CoRIM. The signer's name and
    /// times are in the protected header, so that the proof holds for them too.
    pub fn verify(
        &self,
        keys: &[VerificationKey],
        provider: &Provider,
    ) -> Result<Verified<(Signer, Corim)>, Error> {
        let payload = self.object.verify(keys, Purpose::ReferenceValues, None, &[], provider)?;
        payload.try_map(|payload| Ok((self.signer.clone(), Corim::parse_unsigned(&payload, &self.limits)?)))
    }
}

/// Signs `corim`, naming the signer by CWT claims, and gives the COSE_Sign1 under tag 18. What this crate would not read
/// is not signed.
pub fn sign(corim: &Corim, signer: &Signer, key: &dyn Sign, kid: Option<&[u8]>) -> Result<Vec<u8>, Error> {
    let payload = corim.to_cbor();
    Corim::parse_unsigned(&payload, &LIMITS)?;
    let mut claims = Encoder::new();
    claims.map_with(|map| {
        map.int(1, |e| e.text(&signer.name)).optional(4, signer.not_after, |e, time| e.uint(time)).optional(
            5,
            signer.not_before,
            |e, time| e.uint(time),
        );
    });
    let claims = claims.into_bytes();
    let options = SignOptions {
        kid,
        content_type: Some(ContentType::MediaType(MEDIA_TYPE_UNSIGNED.into())),
        cwt_claims: Some(&claims),
        ..SignOptions::default()
    };
    let signed = Sign1::sign(key, &payload, &[], &options)?;
    SignedCorim::parse(&signed, &LIMITS)?;
    Ok(signed)
}

/// Whether a content type is that of a CoRIM, whatever its case and parameters. The profile is read from the CoRIM.
fn is_rim(media_type: &str) -> bool {
    let name = media_type.split(';').next().unwrap_or_default();
    name.trim().eq_ignore_ascii_case(MEDIA_TYPE_UNSIGNED)
}

/// What this crate needs of the protected header beyond what COSE itself says.
#[derive(Default)]
struct Header {
    claims: Option<Signer>,
    meta: Option<Signer>,
    hash_envelope: bool,
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
            match d.int()? {
                CORIM_META => {
                    let (content, offset) = d.wrapped()?;
                    let meta = Meta::from_cbor(content, &LIMITS).map_err(|e| e.within(offset))?;
                    header.meta = Some(meta.0);
                }
                CWT_CLAIMS => header.claims = Some(CwtClaims::decode(d)?.0),
                PAYLOAD_HASH_ALG => {
                    d.raw()?;
                    header.hash_envelope = true;
                }
                _ => drop(d.raw()?),
            }
        }
        Ok(header)
    }
}

struct Meta(Signer);

impl<'b> Decode<'b> for Meta {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        let at = d.position();
        let (mut name, mut validity) = (None, None);
        read::closed_map(d, |key, d| {
            match key {
                0 => read::closed_map(d, |key, d| {
                    match key {
                        0 => name = Some(read::text(d)?),
                        1 => drop(read::uri(d)?),
                        _ => return Ok(false),
                    }
                    Ok(true)
                })?,
                1 => validity = Some(Validity::decode(d)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let name = name.ok_or(tamarack_cbor::Error::new(at, ErrorKind::Missing("signer-name")))?;
        Ok(Self(Signer {
            name,
            not_before: validity.and_then(|validity| validity.not_before),
            not_after: validity.map(|validity| validity.not_after),
        }))
    }
}

struct CwtClaims(Signer);

impl<'b> Decode<'b> for CwtClaims {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        let at = d.position();
        let (mut name, mut not_after, mut not_before) = (None, None, None);
        read::map(d, &mut Vec::new(), |key, d| {
            match key {
                1 => name = Some(read::text(d)?),
                2 => drop(read::text(d)?),
                4 => not_after = Some(read::seconds(d)?),
                5 => not_before = Some(read::seconds(d)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let name = name.ok_or(tamarack_cbor::Error::new(at, ErrorKind::Missing("iss")))?;
        Ok(Self(Signer { name, not_before, not_after }))
    }
}
