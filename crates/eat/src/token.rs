use alloc::vec::Vec;
use core::fmt;

use tamarack_cbor::{Decode, Decoder, Encode, Limits};
use tamarack_cose::{Error as CoseError, Purpose, Sign1, SignOptions, VerificationKey, Verified};
use tamarack_crypto::{Provider, Sign};
use tamarack_model::{Code, codes};

use crate::{Claims, TAG_CWT};

/// A CWT as it arrived: a COSE_Sign1 whose payload are claims, without a tag, with tag 18, or with tag 61 before that.
#[derive(Clone, Debug)]
pub struct Token {
    object: Sign1,
    limits: Limits,
}

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The claims are not what RFC 9711 defines; the position counts in the payload.
    Claims(tamarack_cbor::Error),
    /// The COSE object is malformed, or does not verify.
    Cose(CoseError),
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Claims(e) if e.is_limit() => codes::CBOR_LIMIT,
            Self::Claims(_) => codes::EAT_MALFORMED,
            Self::Cose(e) => e.code(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claims(e) => write!(f, "EAT claims: {e}"),
            Self::Cose(e) => write!(f, "EAT: {e}"),
        }
    }
}

impl core::error::Error for Error {}

impl From<CoseError> for Error {
    fn from(e: CoseError) -> Self {
        Self::Cose(e)
    }
}

impl Token {
    /// Reads the COSE object; the claims inside are read by [`Token::verify`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut d = Decoder::new(bytes, limits).map_err(CoseError::Cbor)?;
        let object = if d.optional_tag(TAG_CWT) { &bytes[d.position()..] } else { bytes };
        Ok(Self { object: Sign1::parse(object, limits)?, limits: *limits })
    }

    /// Certificates of the *protected* header, DER, leaf first. Those of the unprotected header do not count (security
    /// rule K4).
    pub fn x5chain(&self) -> &[Vec<u8>] {
        &self.object.protected.header().x5chain
    }

    /// Key identifier.
    pub fn kid(&self) -> Option<&[u8]> {
        self.object.kid()
    }

    /// The claims, which nobody vouches for: for tools only.
    pub fn unverified(&self) -> Result<Claims, Error> {
        self.unverified_as()
    }

    /// Checks that one of `keys` for `purpose` (Evidence or Attestation Result) signed it, then reads the claims.
    pub fn verify(
        &self,
        keys: &[VerificationKey],
        purpose: Purpose,
        provider: &Provider,
    ) -> Result<Verified<Claims>, Error> {
        self.verify_as(keys, purpose, provider)
    }

    pub(crate) fn unverified_as<T: for<'b> Decode<'b>>(&self) -> Result<T, Error> {
        let payload = self.object.unverified_payload().ok_or(CoseError::Payload)?;
        T::from_cbor(payload, &self.limits).map_err(Error::Claims)
    }

    pub(crate) fn verify_as<T: for<'b> Decode<'b>>(
        &self,
        keys: &[VerificationKey],
        purpose: Purpose,
        provider: &Provider,
    ) -> Result<Verified<T>, Error> {
        let payload = self.object.verify(keys, purpose, None, &[], provider)?;
        payload.try_map(|payload| T::from_cbor(&payload, &self.limits).map_err(Error::Claims))
    }
}

/// Signs `claims`, giving a COSE_Sign1 with tag 18 (needed to tell it from other COSE structures) and `x5chain`, leaf
/// first, in the protected header. Claims that their own reader would refuse are not signed.
pub fn sign(claims: &Claims, signer: &dyn Sign, x5chain: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    let payload = claims.to_cbor();
    Claims::from_cbor(&payload, &Limits::default()).map_err(Error::Claims)?;
    let options = SignOptions { x5chain, ..SignOptions::default() };
    Ok(Sign1::sign(signer, &payload, &[], &options)?)
}
