use alloc::vec::Vec;

use tamarack_cbor::{Decoder, Encoder, Limits};
use tamarack_crypto::{Provider, Sign as Signer};

use crate::header::{decode_pair, decode_payload, effective_payload, encode_payload};
use crate::{
    Algorithm, ContentType, Error, Header, Protected, Purpose, TAG_SIGN1, VerificationKey, Verified, key,
};

/// A COSE_Sign1 (RFC 9052 section 4.2) as received, not yet verified.
///
/// | element | type |
/// |---|---|
/// | 0 | protected header, byte string |
/// | 1 | unprotected header, map |
/// | 2 | payload, byte string, or null when detached |
/// | 3 | signature, byte string of 64 bytes |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign1 {
    /// The protected header.
    pub protected: Protected,
    /// The unprotected header: hints only.
    pub unprotected: Header,
    payload: Option<Vec<u8>>,
    signature: Vec<u8>,
}

/// How to sign.
#[derive(Clone, Debug, Default)]
pub struct SignOptions<'a> {
    /// Key identifier for the unprotected header.
    pub kid: Option<&'a [u8]>,
    /// Certificates for the *protected* header (security rule K4), DER, leaf first.
    pub x5chain: &'a [Vec<u8>],
    /// Content type for the protected header.
    pub content_type: Option<ContentType>,
    /// CWT claims for the protected header (RFC 9597), as one encoded map.
    pub cwt_claims: Option<&'a [u8]>,
    /// Leave the payload out of the object.
    pub detached: bool,
}

impl SignOptions<'_> {
    pub(crate) fn headers(&self, signer: &dyn Signer) -> (Protected, Header) {
        let protected = Header {
            alg: Some(Algorithm::of(signer.public_key().key_type()).label()),
            content_type: self.content_type.clone(),
            cwt_claims: self.cwt_claims.map(<[u8]>::to_vec),
            x5chain: self.x5chain.to_vec(),
            ..Header::default()
        };
        let unprotected = Header { kid: self.kid.map(<[u8]>::to_vec), ..Header::default() };
        (Protected::new(protected), unprotected)
    }
}

impl Sign1 {
    /// Reads a COSE_Sign1, with tag 18 or without.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut d = Decoder::new(bytes, limits)?;
        d.optional_tag(TAG_SIGN1);
        d.array_of(4, "the 4 elements of COSE_Sign1")?;
        let (protected, unprotected) = decode_pair(&mut d)?;
        Ok(Self { protected, unprotected, payload: decode_payload(&mut d)?, signature: d.bytes()?.to_vec() })
    }

    /// Signs `payload` and gives the tagged object. `aad` is the external_aad, usually empty.
    pub fn sign(
        signer: &dyn Signer,
        payload: &[u8],
        aad: &[u8],
        options: &SignOptions<'_>,
    ) -> Result<Vec<u8>, Error> {
        let (protected, unprotected) = options.headers(signer);
        let signature =
            signer.sign(&to_be_signed(protected.raw(), aad, payload)).map_err(|_| Error::Signer)?;
        let mut e = Encoder::new();
        e.tag(TAG_SIGN1).array(4).bytes(protected.raw()).item(&unprotected);
        encode_payload(&mut e, (!options.detached).then_some(payload));
        e.bytes(&signature);
        Ok(e.into_bytes())
    }

    /// The key identifier, wherever it stands.
    pub fn kid(&self) -> Option<&[u8]> {
        self.protected.header().kid.as_deref().or(self.unprotected.kid.as_deref())
    }

    /// The payload before anything vouches for it: for correlation only.
    pub fn unverified_payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }

    /// Checks the signature with those of `keys` that serve `purpose`. `detached` is the payload if the object does not
    /// carry it; `aad` the external_aad.
    pub fn verify(
        &self,
        keys: &[VerificationKey],
        purpose: Purpose,
        detached: Option<&[u8]>,
        aad: &[u8],
        provider: &Provider,
    ) -> Result<Verified<Vec<u8>>, Error> {
        let payload = effective_payload(self.payload.as_deref(), detached)?;
        let tbs = to_be_signed(self.protected.raw(), aad, payload);
        let alg = self.protected.header().alg;
        let key = key::verify_with(keys, purpose, self.kid(), alg, &tbs, &self.signature, provider)?;
        Ok(Verified::new(payload.to_vec(), *key.id()))
    }
}

/// Sig_structure of RFC 9052 section 4.4 with context "Signature1".
fn to_be_signed(protected: &[u8], aad: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(4).text("Signature1").bytes(protected).bytes(aad).bytes(payload);
    e.into_bytes()
}
