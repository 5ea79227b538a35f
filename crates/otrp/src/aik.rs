//! The anonymous attestation keys of SPs ("SP AIK", "TEEspaik"): how they are told to a TAM, and by a TAM to an
//! application (section 6.5.1, step 8A), for which the draft gives no format.

use alloc::string::String;
use alloc::vec::Vec;

use crate::member::{Context, Object, Writer, bytes, list, mistyped, name, only_member, single, string};
use crate::{Error, Limits, Mode, Tolerance};
use tamarack_crypto::Provider;
use tamarack_jose::jwk::KeyUse;
use tamarack_jose::{Json, Jwk, jws};

/// The member `use` of an AIK. The draft has one key for everything; the hardened profile has two: one signs
/// TAInformation, the other decrypts TA packages.
pub(crate) fn use_text(key_use: KeyUse) -> &'static str {
    match key_use {
        KeyUse::Signature => "sig",
        KeyUse::Encryption => "enc",
    }
}

pub(crate) fn read_use(_: &mut Context, json: &Json, path: &str) -> Result<KeyUse, Error> {
    match json.as_str() {
        Some("sig") => Ok(KeyUse::Signature),
        Some("enc") => Ok(KeyUse::Encryption),
        _ => Err(mistyped(path)),
    }
}

/// SubjectPublicKeyInfo of an RSA key between its first tag and the RSAPublicKey: rsaEncryption with its NULL.
const RSA_ALGORITHM: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// The bytes that stand in base64 for a key: SubjectPublicKeyInfo for EC, RSAPublicKey for RSA.
pub(crate) fn encode(key: &Jwk) -> Vec<u8> {
    let spki = key.to_spki();
    if !key.is_rsa() {
        return spki;
    }
    // Keys of 2048 bits and more: both lengths take two bytes, then a byte says that no bits are unused.
    spki[4 + RSA_ALGORITHM.len() + 5..].to_vec()
}

/// An RSAPublicKey as SubjectPublicKeyInfo.
fn spki_of_rsa(key: &[u8]) -> Option<Vec<u8>> {
    let length = |n: usize| u16::try_from(n).ok().map(u16::to_be_bytes);
    let bits = [&[0x03, 0x82][..], &length(key.len() + 1)?, &[0], key].concat();
    let inner = [&RSA_ALGORITHM[..], &bits].concat();
    Some([&[0x30, 0x82][..], &length(inner.len())?, &inner].concat())
}

/// `teespaiktype`: `RSA` or `ECC`.
pub(crate) fn type_text(key: &Jwk) -> &'static str {
    if key.is_rsa() { "RSA" } else { "ECC" }
}

/// Reads a key from the encodings that are in use.
pub(crate) fn read_key(cx: &mut Context, json: &Json, path: &str) -> Result<Jwk, Error> {
    if json.as_object().is_some() {
        let key = Jwk::from_json(json).map_err(|_| mistyped(path))?;
        cx.tolerate(Tolerance::KeyEncoding, path)?;
        return Ok(key);
    }
    let der = bytes(cx, json, path)?;
    let key = Jwk::from_spki(&der);
    if let Ok(key) = &key
        && key.is_rsa()
    {
        cx.tolerate(Tolerance::KeyEncoding, path)?;
    }
    match (key, spki_of_rsa(&der)) {
        (Ok(key), _) => Ok(key),
        (Err(_), Some(spki)) => Jwk::from_spki(&spki).map_err(|_| mistyped(path)),
        (Err(_), None) => Err(mistyped(path)),
    }
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
    /// The public key; without use, it is for both.
    pub key: Jwk,
}

const NAME: &str = "TEESPAIKS";

impl SignedAiks {
    /// Signs as the TAM: a flattened JWS.
    pub fn sign(&self, signer: jws::Signer<'_>, headers: &jws::SignHeaders<'_>) -> Result<Vec<u8>, Error> {
        let aik = |aik: &SpAik| {
            Writer::new().member("spid", string(&aik.spid)).member("jwk", aik.key.to_json()).build()
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
        let jws = jws::Unverified::parse(&cx.parse(message, limits.message)?, Mode::Strict)?;
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
        let key = object.required("jwk", |_, json, path| Jwk::from_json(json).map_err(|_| mistyped(path)))?;
        object.end()?;
        Ok(Self { spid, key })
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

    /// Whether the protected thumbprint is that of the first certificate (rule K4); none if there is no thumbprint, as the
    /// draft allows.
    pub fn names_leaf(&self, provider: &Provider) -> Option<bool> {
        let told = self.jws.x5t_s256()?;
        Some(self.x5c().first().is_some_and(|leaf| provider.sha256(leaf) == *told))
    }

    /// Verifies with the key of the TAM's certificate. Whether `tamid` is the certificate's name and the time is between
    /// `iat` and `exp` is for the caller to ask.
    pub fn verify(mut self, key: &jws::VerificationKey, provider: &Provider) -> Result<SignedAiks, Error> {
        let payload = self.jws.verify(key, jws::Purpose::AttestationKeys, provider)?.into_value();
        SignedAiks::read(&mut self.cx, &payload)
    }
}
