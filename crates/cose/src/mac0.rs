use alloc::vec::Vec;

use tamarack_cbor::{Decoder, Encoder, Limits};
use tamarack_crypto::{ConstantTimeEq, Provider};

use crate::header::{decode_pair, decode_payload, effective_payload, encode_payload};
use crate::{Algorithm, Error, Header, MacKey, Protected, Purpose, TAG_MAC0, Verified};

/// A COSE_Mac0 (RFC 9052 section 6.2) as received, not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mac0 {
    /// The protected header.
    pub protected: Protected,
    /// The unprotected header: hints only.
    pub unprotected: Header,
    payload: Option<Vec<u8>>,
    tag: Vec<u8>,
}

impl Mac0 {
    /// Reads a COSE_Mac0, with tag 17 or without.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut d = Decoder::new(bytes, limits)?;
        d.optional_tag(TAG_MAC0);
        d.array_of(4, "the 4 elements of COSE_Mac0")?;
        let (protected, unprotected) = decode_pair(&mut d)?;
        Ok(Self { protected, unprotected, payload: decode_payload(&mut d)?, tag: d.bytes()?.to_vec() })
    }

    /// Authenticates `payload` with HMAC 256/256 and gives the tagged object.
    pub fn authenticate(
        key: &MacKey,
        payload: &[u8],
        aad: &[u8],
        detached: bool,
        provider: &Provider,
    ) -> Vec<u8> {
        let alg = Some(Algorithm::HmacSha256.label());
        let protected = Protected::new(Header { alg, ..Header::default() });
        let to_be_maced = to_be_maced(protected.raw(), aad, payload);
        let tag = provider.hmac.tag(key.key.expose(), &[&to_be_maced]);
        let mut e = Encoder::new();
        e.tag(TAG_MAC0).array(4).bytes(protected.raw()).item(&Header::default());
        encode_payload(&mut e, (!detached).then_some(payload));
        e.bytes(&tag);
        e.into_bytes()
    }

    /// Checks the tag, in constant time, with those of `keys` that serve `purpose`.
    pub fn verify(
        &self,
        keys: &[MacKey],
        purpose: Purpose,
        detached: Option<&[u8]>,
        aad: &[u8],
        provider: &Provider,
    ) -> Result<Verified<Vec<u8>>, Error> {
        let payload = effective_payload(self.payload.as_deref(), detached)?;
        let label = self.protected.header().alg.ok_or(Error::AlgorithmMissing)?;
        if Algorithm::from_label(label) != Some(Algorithm::HmacSha256) {
            return Err(Error::Algorithm(label));
        }
        let to_be_maced = to_be_maced(self.protected.raw(), aad, payload);
        let mut error = Error::KeyUnknown;
        for key in keys.iter().filter(|key| key.purpose == purpose).take(crate::MAX_KEYS_TRIED) {
            let expected = provider.hmac.tag(key.key.expose(), &[&to_be_maced]);
            if expected.as_slice().ct_eq(&self.tag).into() {
                return Ok(Verified::new(payload.to_vec(), key.id));
            }
            error = Error::NotAuthentic;
        }
        Err(error)
    }
}

/// MAC_structure of RFC 9052 section 6.3 with context "MAC0".
fn to_be_maced(protected: &[u8], aad: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(4).text("MAC0").bytes(protected).bytes(aad).bytes(payload);
    e.into_bytes()
}
