//! Public keys as JSON Web Keys (RFC 7517, RFC 7518 section 6) and as DER SubjectPublicKeyInfo.

use alloc::vec::Vec;

use tamarack_crypto::{Provider, PublicKey, SignatureAlgorithm};

use crate::header::url_bytes;
use crate::json::{self, Json, Members};
use crate::{Error, base64};

/// A public key with what it may be used for.
///
/// | member | EC | RSA |
/// |---|---|---|
/// | `kty` | `EC` | `RSA` |
/// | `crv` | `P-256` or `P-384` | - |
/// | `x`, `y` | base64url of 32 or 48 bytes | - |
/// | `n`, `e` | - | base64url of the number without leading zeros, 2,048 to 8,192 bits and at most 8 bytes |
/// | `use` | `sig` or `enc`, optional | the same |
///
/// A key with private members is refused: what came over a wire as a public key is no secret any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    key: Key,
    key_use: Option<KeyUse>,
}

/// What a JWK may be used for (RFC 7517 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// `sig`.
    Signature,
    /// `enc`.
    Encryption,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    P256(PublicKey),
    /// x and y, 48 bytes each.
    P384(Vec<u8>),
    /// Numbers, big-endian without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

/// Members that only private keys have (RFC 7518 sections 6.2.2 and 6.3.2), and that of symmetric keys.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// SubjectPublicKeyInfo of a P-384 key up to and including the 0x04 of the uncompressed point (RFC 5480).
const SPKI_P384: [u8; 24] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
    0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04,
];

/// AlgorithmIdentifier rsaEncryption with its NULL (RFC 3279), without the outer tag.
const RSA_ENCRYPTION: [u8; 13] =
    [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

impl Jwk {
    /// The JWK of a P-256 key; other keys are [`Error::Key`].
    pub fn from_public_key(key: &PublicKey) -> Result<Self, Error> {
        match key {
            PublicKey::P256 { .. } => Ok(Self { key: Key::P256(*key), key_use: None }),
            PublicKey::Ed25519(_) => Err(Error::Key),
        }
    }

    /// The same key with `use`.
    pub fn with_use(self, key_use: KeyUse) -> Self {
        Self { key_use: Some(key_use), ..self }
    }

    /// What it says it may be used for.
    pub fn key_use(&self) -> Option<KeyUse> {
        self.key_use
    }

    /// The key, if it is one of P-256. Whether the point is on the curve is checked when it is used.
    pub fn public_key(&self) -> Option<&PublicKey> {
        match &self.key {
            Key::P256(key) => Some(key),
            Key::P384(_) | Key::Rsa { .. } => None,
        }
    }

    /// Whether it is an RSA key.
    pub fn is_rsa(&self) -> bool {
        matches!(self.key, Key::Rsa { .. })
    }

    /// The signature algorithms that fit the key.
    pub fn signature_algorithms(&self) -> &'static [SignatureAlgorithm] {
        match self.key {
            Key::P256(_) => &[SignatureAlgorithm::Es256],
            Key::P384(_) => &[SignatureAlgorithm::Es384],
            Key::Rsa { .. } => &[SignatureAlgorithm::Rs256, SignatureAlgorithm::Ps256],
        }
    }

    /// Reads a JWK. Members that are not understood are ignored (RFC 7517 section 4).
    pub fn from_json(json: &Json) -> Result<Self, Error> {
        let member = |name: &'static str| json.get(name).and_then(Json::as_str).ok_or(Error::Member(name));
        let bytes = |name| url_bytes(member(name)?, name);
        if PRIVATE.iter().any(|name| json.get(name).is_some()) {
            return Err(Error::Key);
        }
        let key = match member("kty")? {
            "EC" => {
                let point = [bytes("x")?, bytes("y")?];
                match member("crv")? {
                    "P-256" => Key::P256(PublicKey::P256 {
                        x: point[0].as_slice().try_into().map_err(|_| Error::Member("x"))?,
                        y: point[1].as_slice().try_into().map_err(|_| Error::Member("y"))?,
                    }),
                    "P-384" if point.iter().all(|coordinate| coordinate.len() == 48) => {
                        Key::P384(point.concat())
                    }
                    _ => return Err(Error::Key),
                }
            }
            "RSA" => rsa(bytes("n")?, bytes("e")?)?,
            _ => return Err(Error::Key),
        };
        let key_use = match json.get("use").map(Json::as_str) {
            None => None,
            Some(Some("sig")) => Some(KeyUse::Signature),
            Some(Some("enc")) => Some(KeyUse::Encryption),
            Some(_) => return Err(Error::Member("use")),
        };
        Ok(Self { key, key_use })
    }

    /// Writes the JWK, the required members first.
    pub fn to_json(&self) -> Json {
        let key_use = self.key_use.map(|key_use| match key_use {
            KeyUse::Signature => "sig",
            KeyUse::Encryption => "enc",
        });
        self.required().optional("use", key_use).build()
    }

    /// The SHA-256 JWK Thumbprint (RFC 7638): over the required members only, in canonical form.
    pub fn thumbprint(&self, provider: &Provider) -> [u8; 32] {
        provider.sha256(&json::to_canonical(&self.required().build()))
    }

    fn required(&self) -> Members {
        let ec = |curve: &str, x: &[u8], y: &[u8]| {
            Members::new()
                .member("crv", curve)
                .member("kty", "EC")
                .member("x", base64::encode_url(x))
                .member("y", base64::encode_url(y))
        };
        match &self.key {
            Key::P256(key) => {
                // An uncompressed point is 0x04, x, y: 65 bytes.
                let point = key.to_point();
                ec("P-256", &point[1..33], &point[33..])
            }
            Key::P384(point) => ec("P-384", &point[..48], &point[48..]),
            Key::Rsa { n, e } => Members::new()
                .member("e", base64::encode_url(e))
                .member("kty", "RSA")
                .member("n", base64::encode_url(n)),
        }
    }

    /// Reads a DER SubjectPublicKeyInfo of a P-256, P-384 (points uncompressed) or RSA key.
    pub fn from_spki(der: &[u8]) -> Result<Self, Error> {
        let key = if let Ok(key @ PublicKey::P256 { .. }) = PublicKey::from_spki(der) {
            Key::P256(key)
        } else if let Some(point) = der.strip_prefix(&SPKI_P384).filter(|point| point.len() == 96) {
            Key::P384(point.to_vec())
        } else {
            rsa_from_spki(der).ok_or(Error::Key)??
        };
        let jwk = Self { key, key_use: None };
        // DER has one encoding: whatever was read loosely is not it.
        if jwk.to_spki() == der { Ok(jwk) } else { Err(Error::Key) }
    }

    /// Writes the DER SubjectPublicKeyInfo.
    pub fn to_spki(&self) -> Vec<u8> {
        match &self.key {
            Key::P256(key) => key.to_spki(),
            Key::P384(point) => [&SPKI_P384[..], point].concat(),
            Key::Rsa { n, e } => {
                let key = tlv(SEQUENCE, &[unsigned(n), unsigned(e)].concat());
                let bits = tlv(BIT_STRING, &[&[0][..], &key].concat());
                tlv(SEQUENCE, &[tlv(SEQUENCE, &RSA_ENCRYPTION), bits].concat())
            }
        }
    }
}

fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Key, Error> {
    let first = |number: &[u8]| number.first().copied().unwrap_or_default();
    let bits = (n.len() * 8).saturating_sub(first(&n).leading_zeros() as usize);
    if first(&n) == 0 || first(&e) == 0 {
        return Err(Error::Member("n or e"));
    }
    if !(2048..=8192).contains(&bits) || e.len() > 8 || e == [1] || e.last().is_some_and(|b| b % 2 == 0) {
        return Err(Error::Key);
    }
    Ok(Key::Rsa { n, e })
}

/// None if it is not the structure; otherwise what [`rsa`] says to the numbers.
fn rsa_from_spki(der: &[u8]) -> Option<Result<Key, Error>> {
    let mut info = contents(&mut &*der, SEQUENCE)?;
    if contents(&mut info, SEQUENCE)? != RSA_ENCRYPTION {
        return None;
    }
    let mut bits = contents(&mut info, BIT_STRING)?.strip_prefix(&[0])?;
    let mut numbers = contents(&mut bits, SEQUENCE)?;
    let mut number = || {
        let bytes = contents(&mut numbers, INTEGER)?;
        Some(bytes.strip_prefix(&[0]).unwrap_or(bytes).to_vec())
    };
    Some(rsa(number()?, number()?))
}

/// Takes one DER element off `input` and gives its contents, if it has this tag.
fn contents<'d>(input: &mut &'d [u8], tag: u8) -> Option<&'d [u8]> {
    let [first, length, rest @ ..] = *input else {
        return None;
    };
    let (length, rest) = match *length {
        short @ ..=0x7f => (usize::from(short), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), &rest[2..]),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    *input = rest;
    (*first == tag).then_some(value)
}

/// A DER element. The contents of a key are below 64 KiB.
fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let [high, low] = (contents.len() as u16).to_be_bytes();
    let head: &[u8] = match contents.len() {
        ..0x80 => &[tag, low],
        0x80..=0xff => &[tag, 0x81, low],
        _ => &[tag, 0x82, high, low],
    };
    [head, contents].concat()
}

/// A DER INTEGER of a number without leading zeros.
fn unsigned(number: &[u8]) -> Vec<u8> {
    match number.first() {
        Some(0x80..) => tlv(INTEGER, &[&[0], number].concat()),
        _ => tlv(INTEGER, number),
    }
}

#[cfg(test)]
mod tests;
