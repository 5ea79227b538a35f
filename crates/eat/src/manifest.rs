use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind, Kind, Limits};

use crate::TAG_SUIT_REFERENCE;

/// CoAP Content-Format application/cbor, which the draft's example uses for a SUIT_Reference.
const FORMAT_CBOR: u64 = 60;
/// CoAP Content-Format application/suit-report+cose, the nearest that is registered.
const FORMAT_SUIT_REPORT: u64 = 270;

/// An entry of the manifests claim (RFC 9711 section 4.2.15): `[CoAP Content-Format, body]`.
///
/// A SUIT_Reference is written as Content-Format 270 with a byte string that holds `[uri, digest]`, without tag 286: the TEEP
/// profile uses no tags. It is read under 270 or 60, with the tag or without, in a byte string or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// A SUIT manifest, named by its reference URI and digest (SUIT_Reference of draft-ietf-suit-report).
    SuitReference {
        /// The manifest's reference URI.
        uri: String,
        /// The digest of the manifest.
        digest: SuitDigest,
    },
    /// Anything else.
    Other {
        /// CoAP Content-Format number.
        format: u64,
        /// The body as one encoded item.
        body: Vec<u8>,
    },
}

/// SUIT_Digest: `[algorithm, bytes]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuitDigest {
    /// COSE label of the algorithm; -16 is SHA-256.
    pub algorithm: i64,
    /// The digest.
    pub bytes: Vec<u8>,
}

impl Manifest {
    /// Names a manifest by a SHA-256 digest.
    pub fn sha256(uri: impl Into<String>, digest: [u8; 32]) -> Self {
        Self::SuitReference { uri: uri.into(), digest: SuitDigest { algorithm: -16, bytes: digest.to_vec() } }
    }
}

impl<'b> Decode<'b> for Manifest {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        d.array_of(2, "[content format, body]")?;
        let at = d.position();
        let format = d.uint()?;
        if format > u16::MAX.into() {
            return Err(Error::new(at, ErrorKind::Value("a Content-Format of at most 2 bytes")));
        }
        let body = d.raw()?;
        let reference = matches!(format, FORMAT_CBOR | FORMAT_SUIT_REPORT).then(|| read_reference(body));
        Ok(reference.and_then(Result::ok).unwrap_or(Self::Other { format, body: body.to_vec() }))
    }
}

fn read_reference(body: &[u8]) -> Result<Manifest, Error> {
    let limits = Limits::default();
    let mut d = Decoder::new(body, &limits)?;
    if d.peek() == Kind::Bytes {
        d = Decoder::new(d.bytes()?, &limits)?;
    }
    d.optional_tag(TAG_SUIT_REFERENCE);
    d.array_of(2, "[uri, digest]")?;
    let uri = d.text()?.into();
    d.array_of(2, "[algorithm, bytes]")?;
    let digest = SuitDigest { algorithm: d.int()?, bytes: d.bytes()?.to_vec() };
    Ok(Manifest::SuitReference { uri, digest })
}

impl Encode for Manifest {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::SuitReference { uri, digest } => {
                let mut reference = Encoder::new();
                reference.array(2).text(uri).array(2).int(digest.algorithm).bytes(&digest.bytes);
                e.array(2).uint(FORMAT_SUIT_REPORT).bytes(&reference.into_bytes());
            }
            Self::Other { format, body } => {
                e.array(2).uint(*format).raw(body);
            }
        }
    }
}
