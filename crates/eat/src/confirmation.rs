use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind};
use tamarack_cose::{CoseKey, KeyId, thumbprint};
use tamarack_crypto::{Provider, PublicKey};

/// COSE_Key.
const COSE_KEY: i64 = 1;
/// kid.
const KID: i64 = 3;
/// ckt: COSE key thumbprint (RFC 9679).
const THUMBPRINT: i64 = 5;

/// cnf: the key that a token vouches for (RFC 8747 section 3.1, RFC 9679 section 5.6).
///
/// | member | form |
/// |---|---|
/// | 1 | COSE_Key |
/// | 3 | kid |
/// | 5 | COSE key thumbprint, SHA-256, 32 bytes |
///
/// Exactly one of them; others are stepped over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// The key itself.
    Key(PublicKey),
    /// Its identifier, which in the TEEP profile is its SHA-256 thumbprint.
    Kid(Vec<u8>),
    /// Its SHA-256 thumbprint.
    Thumbprint([u8; 32]),
}

impl Confirmation {
    /// Whether this names the key of thumbprint `key`.
    pub fn confirms(&self, key: &KeyId, provider: &Provider) -> bool {
        match self {
            Self::Key(public) => thumbprint(public, provider) == *key,
            Self::Kid(kid) => kid.as_slice() == key.0,
            Self::Thumbprint(digest) => *digest == key.0,
        }
    }
}

impl<'b> Decode<'b> for Confirmation {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let mut found = None;
        for _ in 0..d.map()? {
            let label_at = d.position();
            let one = match d.int()? {
                COSE_KEY => Self::Key(CoseKey::decode(d)?.0),
                KID => Self::Kid(d.bytes()?.to_vec()),
                THUMBPRINT => Self::Thumbprint(d.byte_array("a SHA-256 thumbprint of 32 bytes")?),
                _ => {
                    d.raw()?;
                    continue;
                }
            };
            if found.replace(one).is_some() {
                return Err(Error::new(label_at, ErrorKind::Value("one confirmation key only")));
            }
        }
        found.ok_or(Error::new(at, ErrorKind::Missing("a key, kid or thumbprint in cnf")))
    }
}

impl Encode for Confirmation {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            match self {
                Self::Key(public) => map.int(COSE_KEY, |e| e.item(&CoseKey(*public))),
                Self::Kid(kid) => map.int(KID, |e| e.bytes(kid)),
                Self::Thumbprint(digest) => map.int(THUMBPRINT, |e| e.bytes(digest)),
            };
        });
    }
}
