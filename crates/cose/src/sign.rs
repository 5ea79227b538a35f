use alloc::vec::Vec;

use tamarack_cbor::{Decoder, Encoder, ErrorKind, Limits};
use tamarack_crypto::{Provider, Sign as Signer};

use crate::header::{decode_pair, decode_payload, effective_payload, encode_payload};
use crate::{Error, Header, Protected, Purpose, SignOptions, TAG_SIGN, VerificationKey, Verified, key};

/// Most signatures that one COSE_Sign may carry.
const MAX_SIGNATURES: usize = 8;

/// A COSE_Sign (RFC 9052 section 4.1) as received, not yet verified: one payload, several signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// The protected header of the body.
    pub protected: Protected,
    /// The unprotected header of the body.
    pub unprotected: Header,
    payload: Option<Vec<u8>>,
    /// The signatures, 1 to 8.
    pub signatures: Vec<Signature>,
}

/// One COSE_Signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The protected header of this signer.
    pub protected: Protected,
    /// The unprotected header of this signer.
    pub unprotected: Header,
    signature: Vec<u8>,
}

impl Signature {
    /// The key identifier, wherever it stands.
    pub fn kid(&self) -> Option<&[u8]> {
        self.protected.header().kid.as_deref().or(self.unprotected.kid.as_deref())
    }
}

impl Sign {
    /// Reads a COSE_Sign, with tag 98 or without.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut d = Decoder::new(bytes, limits)?;
        d.optional_tag(TAG_SIGN);
        d.array_of(4, "the 4 elements of COSE_Sign")?;
        let (protected, unprotected) = decode_pair(&mut d)?;
        let payload = decode_payload(&mut d)?;
        let at = d.position();
        let count = d.array()?;
        if count == 0 || count > MAX_SIGNATURES {
            return Err(tamarack_cbor::Error::new(at, ErrorKind::Value("1 to 8 signatures")).into());
        }
        let mut signatures = Vec::with_capacity(count);
        for _ in 0..count {
            d.array_of(3, "the 3 elements of COSE_Signature")?;
            let (protected, unprotected) = decode_pair(&mut d)?;
            signatures.push(Signature { protected, unprotected, signature: d.bytes()?.to_vec() });
        }
        Ok(Self { protected, unprotected, payload, signatures })
    }

    /// Signs `payload` with each signer under its own options (of which `detached` is read from the first) and gives the
    /// tagged object.
    pub fn sign(
        signers: &[(&dyn Signer, SignOptions<'_>)],
        payload: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let body = Protected::new(Header::default());
        let detached = signers.first().is_some_and(|(_, options)| options.detached);
        let mut e = Encoder::new();
        e.tag(TAG_SIGN).array(4).bytes(body.raw()).item(&Header::default());
        encode_payload(&mut e, (!detached).then_some(payload));
        e.array(signers.len());
        for (signer, options) in signers {
            let (protected, unprotected) = options.headers(*signer);
            let tbs = to_be_signed(body.raw(), protected.raw(), aad, payload);
            let signature = signer.sign(&tbs).map_err(|_| Error::Signer)?;
            e.array(3).bytes(protected.raw()).item(&unprotected).bytes(&signature);
        }
        Ok(e.into_bytes())
    }

    /// The payload before anything vouches for it: for correlation only.
    pub fn unverified_payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }

    /// Checks that at least one signature verifies with one of `keys` that serve `purpose`.
    pub fn verify(
        &self,
        keys: &[VerificationKey],
        purpose: Purpose,
        detached: Option<&[u8]>,
        aad: &[u8],
        provider: &Provider,
    ) -> Result<Verified<Vec<u8>>, Error> {
        let payload = effective_payload(self.payload.as_deref(), detached)?;
        let mut first_error = None;
        for one in &self.signatures {
            let tbs = to_be_signed(self.protected.raw(), one.protected.raw(), aad, payload);
            let alg = one.protected.header().alg;
            match key::verify_with(keys, purpose, one.kid(), alg, &tbs, &one.signature, provider) {
                Ok(key) => return Ok(Verified::new(payload.to_vec(), *key.id())),
                // A signature by a key that is not ours says nothing about one that is.
                Err(Error::KeyUnknown) => {}
                Err(e) => drop(first_error.get_or_insert(e)),
            }
        }
        Err(first_error.unwrap_or(Error::KeyUnknown))
    }
}

/// Sig_structure of RFC 9052 section 4.4 with context "Signature".
fn to_be_signed(body: &[u8], signer: &[u8], aad: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(5).text("Signature").bytes(body).bytes(signer).bytes(aad).bytes(payload);
    e.into_bytes()
}
