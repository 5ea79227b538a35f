//! The anonymous attestation keys of SPs ("SP AIK", "TEEspaik"): how they are told to a TAM, and by a TAM to an
//! application (section 6.5.1, step 8A), for which the draft gives no format.

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_crypto::Provider;
use tamarack_jose::json::Json;

use crate::interim::{jwk::Jwk, jws};
use crate::member::{Context, Object, Writer, bytes, list, mistyped, name, only_member, single, string};
use crate::{Error, Limits, Mode, Tolerance};

/// What an AIK is for. The draft has one key for both; the hardened profile has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AikUse {
    /// Signing TAInformation.
    Sig,
    /// Decrypting TA packages.
    Enc,
}

impl AikUse {
    /// The value of the member `use`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Sig => "sig",
            Self::Enc => "enc",
        }
    }

    pub(crate) fn read(_: &mut Context, json: &Json, path: &str) -> Result<Self, Error> {
        match json.as_str() {
            Some("sig") => Ok(Self::Sig),
            Some("enc") => Ok(Self::Enc),
            _ => Err(mistyped(path)),
        }
    }
}

/// The bytes that stand in base64 for a key: SubjectPublicKeyInfo for EC, RSAPublicKey for RSA.
pub(crate) fn encode(key: &Jwk) -> Vec<u8> {
    key.to_spki()
}

/// `teespaiktype`: `RSA` or `ECC`.
pub(crate) fn type_text(key: &Jwk) -> &'static str {
    match key {
        Jwk::P256(_) => "ECC",
        Jwk::Rsa => "RSA",
    }
}

/// Reads a key from the encodings that are in use.
pub(crate) fn read_key(cx: &mut Context, json: &Json, path: &str) -> Result<Jwk, Error> {
    if json.as_object().is_some() {
        let key = Jwk::from_json(json).map_err(|_| mistyped(path))?;
        cx.tolerate(Tolerance::KeyEncoding, path)?;
        return Ok(key);
    }
    let der = bytes(cx, json, path)?;
    Jwk::from_spki(&der).map_err(|_| mistyped(path))
}

/// The AIKs of one device that a TAM vouches for to an application, in a JWS by the TAM's key.
///
/// | member of `TEESPAIKS` | what it is |
/// |---|---|
/// | `tamid` | who the TAM is, as its certificate says |
/// | `iat`, `exp` | seconds since 1970 |
/// | `aiks` | `[{"spid", "jwk": {.., "use": "sig" or "enc"}}]` |
///
/// It names neither the device nor its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAiks {
    /// The TAM.
    pub tamid: String,
    /// When it was signed.
    pub iat: u64,
    /// When it ends.
    pub exp: u64,
    /// The keys.
    pub aiks: Vec<SpAik>,
}

/// One key of [`SignedAiks`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpAik {
    /// The SP.
    pub spid: String,
    /// The public key.
    pub key: Jwk,
    /// What it is for; none if for both.
    pub key_use: Option<AikUse>,
}

const NAME: &str = "TEESPAIKS";

impl SignedAiks {
    /// Signs as the TAM: a flattened JWS.
    pub fn sign(&self, signer: &jws::Signer<'_>, headers: &jws::SignHeaders) -> Result<Vec<u8>, Error> {
        let aik = |aik: &SpAik| {
            let mut jwk = aik.key.to_json();
            if let (Json::Object(members), Some(key_use)) = (&mut jwk, aik.key_use) {
                members.push(("use".into(), key_use.text().into()));
            }
            Writer::new().member("spid", string(&aik.spid)).member("jwk", jwk).build()
        };
        let members = Writer::new()
            .member("tamid", string(&self.tamid))
            .member("iat", self.iat)
            .member("exp", self.exp)
            .member("aiks", Json::Array(self.aiks.iter().map(aik).collect()))
            .build();
        let payload = tamarack_jose::json::to_vec(&single(NAME, members));
        Ok(tamarack_jose::json::to_vec(&jws::sign(&payload, signer, headers)?))
    }

    /// Reads the JWS as it arrived: its certificates must be validated before [`UnverifiedAiks::verify`].
    pub fn parse(message: &[u8], limits: &Limits) -> Result<UnverifiedAiks, Error> {
        let cx = Context::new(&Mode::Strict, limits, false);
        let jws = jws::Unverified::parse(&cx.parse(message, limits.message)?, &Mode::Strict)?;
        if jws.x5c().len() > limits.certificates {
            return Err(Error::Mistyped("header.x5c".into()));
        }
        Ok(UnverifiedAiks { jws, cx })
    }

    fn read(cx: &mut Context, payload: &[u8]) -> Result<Self, Error> {
        let json = cx.parse(payload, payload.len())?;
        let (NAME, members) = only_member(&json)? else { return Err(Error::Missing(NAME.into())) };
        let mut object = Object::of(cx, members, "")?;
        let aiks = Self {
            tamid: object.required("tamid", name)?,
            iat: object.required("iat", seconds)?,
            exp: object.required("exp", seconds)?,
            aiks: object.required("aiks", list(SpAik::read))?,
        };
        object.end()?;
        Ok(aiks)
    }
}

impl SpAik {
    fn read(cx: &mut Context, json: &Json, path: &str) -> Result<Self, Error> {
        let mut object = Object::of(cx, json, path)?;
        let spid = object.required("spid", name)?;
        let (key, key_use) = object.required("jwk", |cx, json, path| {
            let key = Jwk::from_json(json).map_err(|_| mistyped(path))?;
            let key_use = json.get("use").map(|json| AikUse::read(cx, json, path)).transpose()?;
            Ok((key, key_use))
        })?;
        object.end()?;
        Ok(Self { spid, key, key_use })
    }
}

fn seconds(_: &mut Context, json: &Json, path: &str) -> Result<u64, Error> {
    json.as_u64().ok_or_else(|| mistyped(path))
}

/// [`SignedAiks`] as they arrived.
#[derive(Clone, Debug)]
pub struct UnverifiedAiks {
    jws: jws::Unverified,
    cx: Context,
}

impl UnverifiedAiks {
    /// The TAM's certificates, leaf first.
    pub fn x5c(&self) -> &[Vec<u8>] {
        self.jws.x5c()
    }

    /// The protected thumbprint of the leaf (rule K4).
    pub fn x5t_s256(&self) -> Option<&[u8; 32]> {
        self.jws.x5t_s256()
    }

    /// Verifies with the key of the TAM's certificate. Whether `tamid` is the certificate's name and the time is between
    /// `iat` and `exp` is for the caller to ask.
    pub fn verify(mut self, key: &jws::VerificationKey, provider: &Provider) -> Result<SignedAiks, Error> {
        let payload = self.jws.verify(key, jws::Purpose::SignedAiks, provider)?.into_value();
        SignedAiks::read(&mut self.cx, &payload)
    }
}
