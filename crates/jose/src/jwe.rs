//! JSON Web Encryption (RFC 7516) to one recipient.
//!
//! | `alg` | key | |
//! |---|---|---|
//! | `ECDH-ES+A128KW` | P-256 | both directions |
//! | `RSA-OAEP-256` | RSA of at least 2,048 bits | both directions, with a provider that has RSA |
//! | `RSA1_5` | | [`Error::Rsa1_5Refused`] |
//!
//! Parsing refuses by name what can be seen without a key. After it there is one failure, [`Error::Decryption`]: where the
//! content encryption key cannot be recovered a random one takes its place (RFC 7516 section 11.5), so that a wrong key, a
//! point off the curve, a wrong wrapping, a wrong tag and a wrong padding run the same way and say the same.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_crypto::{KeyAgree, Provider, PublicKey, RsaKey, Secret};

use crate::header::{Header, text, url_bytes};
use crate::json::{self, Json, Members, array, object};
use crate::{Error, Jwk, base64};

mod content;
pub(crate) mod kdf;

pub use content::Enc;

/// Most bytes of `apu` and `apv`.
const MAX_PARTY: usize = 512;

const ECDH_ES_A128KW: &str = "ECDH-ES+A128KW";
const RSA_OAEP_256: &str = "RSA-OAEP-256";

/// A JWE that is read but not decrypted.
///
/// | member | general | flattened |
/// |---|---|---|
/// | `protected` | base64url of a JSON object with `enc` | the same |
/// | `unprotected` | object, optional | the same |
/// | `recipients` | one of { `header`, `encrypted_key` } | - |
/// | `header`, `encrypted_key` | - | object, optional; base64url |
/// | `iv`, `ciphertext`, `tag` | base64url | the same |
#[derive(Clone, Debug)]
pub struct Jwe {
    wrapping: Wrapping,
    enc: Enc,
    encrypted_key: Vec<u8>,
    /// The protected header as it arrived: the additional authenticated data.
    protected: String,
    iv: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
}

/// How the content encryption key was encrypted.
#[derive(Clone, Debug)]
enum Wrapping {
    EcdhEsA128Kw { epk: PublicKey, apu: Vec<u8>, apv: Vec<u8> },
    RsaOaep256,
}

/// Whom to encrypt to; the key pins the algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient(RecipientKey);

#[derive(Clone, Debug, PartialEq, Eq)]
enum RecipientKey {
    P256(PublicKey),
    /// DER SubjectPublicKeyInfo.
    Rsa(Vec<u8>),
}

impl Recipient {
    /// The holder of a P-256 key (`ECDH-ES+A128KW`) or an RSA key (`RSA-OAEP-256`); others are [`Error::Key`].
    pub fn from_spki(spki: &[u8]) -> Result<Self, Error> {
        Self::from_jwk(&Jwk::from_spki(spki)?)
    }

    /// As [`Recipient::from_spki`]; a JWK that says it is for signatures is [`Error::Purpose`].
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, Error> {
        if jwk.key_use() == Some(crate::jwk::KeyUse::Signature) {
            return Err(Error::Purpose);
        }
        match jwk.public_key() {
            Some(key) => Ok(Self(RecipientKey::P256(*key))),
            None if jwk.is_rsa() => Ok(Self(RecipientKey::Rsa(jwk.to_spki()))),
            None => Err(Error::Key),
        }
    }
}

/// The private key to decrypt with; it pins the algorithm.
#[derive(Clone, Copy)]
pub enum DecryptionKey<'k> {
    /// For `ECDH-ES+A128KW`.
    Agree(&'k dyn KeyAgree),
    /// For `RSA-OAEP-256`.
    Rsa(&'k dyn RsaKey),
}

impl Jwe {
    /// Reads the general serialization (RFC 7516 section 7.2.1) with exactly one recipient, or the flattened one
    /// (section 7.2.2).
    pub fn parse(jwe: &Json) -> Result<Self, Error> {
        let recipient = match jwe.get("recipients") {
            None => jwe,
            // A mixture of the two serializations is neither.
            Some(_) if jwe.get("header").is_some() || jwe.get("encrypted_key").is_some() => {
                return Err(Error::Member("recipients"));
            }
            Some(recipients) => match recipients.as_array() {
                Some([recipient]) => recipient,
                _ => return Err(Error::Member("recipients")),
            },
        };
        // The additional data of the sender would have to be authenticated too; nothing here has any.
        if jwe.get("aad").is_some() {
            return Err(Error::Member("aad"));
        }
        Self::read(
            text(jwe, "protected")?,
            &[jwe.get("unprotected"), recipient.get("header")],
            text(recipient, "encrypted_key")?,
            [text(jwe, "iv")?, text(jwe, "ciphertext")?, text(jwe, "tag")?],
        )
    }

    /// Reads the compact serialization (RFC 7516 section 7.1).
    pub fn parse_compact(jwe: &str) -> Result<Self, Error> {
        let mut parts = jwe.split('.');
        let parts = [(); 6].map(|()| parts.next());
        let [Some(protected), Some(encrypted_key), Some(iv), Some(ciphertext), Some(tag), None] = parts
        else {
            return Err(Error::Member("five parts"));
        };
        Self::read(protected, &[], encrypted_key, [iv, ciphertext, tag])
    }

    fn read(
        protected: &str,
        unprotected: &[Option<&Json>],
        encrypted_key: &str,
        [iv, ciphertext, tag]: [&str; 3],
    ) -> Result<Self, Error> {
        let header = Header::read(protected, unprotected)?;
        let name = |value: Option<&Json>, name| match value {
            Some(value) => value.as_str().map(String::from).ok_or(Error::Member(name)),
            None => Err(Error::Unprotected(name)),
        };
        // The draft has `alg` and `epk` in the unprotected header: the key pins what `alg` may be, and `epk` is bound to the
        // content through the key that it leads to. `enc` decides how that content is read.
        let alg = name(header.any("alg"), "alg")?;
        let enc = name(header.protected("enc"), "enc")?;
        let wrapping = match &*alg {
            ECDH_ES_A128KW => {
                let epk = Jwk::from_json(header.any("epk").ok_or(Error::Member("epk"))?)?;
                Wrapping::EcdhEsA128Kw {
                    epk: *epk.public_key().ok_or(Error::Key)?,
                    apu: party(&header, "apu")?,
                    apv: party(&header, "apv")?,
                }
            }
            RSA_OAEP_256 => Wrapping::RsaOaep256,
            "RSA1_5" => return Err(Error::Rsa1_5Refused),
            other => return Err(Error::algorithm(other)),
        };
        let enc = Enc::from_name(&enc).ok_or_else(|| Error::algorithm(&enc))?;
        let jwe = Self {
            wrapping,
            enc,
            encrypted_key: url_bytes(encrypted_key, "encrypted_key")?,
            protected: protected.into(),
            iv: url_bytes(iv, "iv")?,
            ciphertext: url_bytes(ciphertext, "ciphertext")?,
            tag: url_bytes(tag, "tag")?,
        };
        match (jwe.iv.len() == enc.iv_length(), jwe.tag.len() == enc.tag_length()) {
            (true, true) => Ok(jwe),
            (false, _) => Err(Error::Member("iv")),
            (true, false) => Err(Error::Member("tag")),
        }
    }

    /// How the content is encrypted.
    pub fn enc(&self) -> Enc {
        self.enc
    }

    /// Decrypts, or says [`Error::Decryption`] and no more. [`Error::Provider`] if there is no randomness.
    pub fn decrypt(&self, key: DecryptionKey<'_>, provider: &Provider) -> Result<Secret<Vec<u8>>, Error> {
        let stand_in = random(self.enc.key_length(), provider)?;
        let cek = self.content_key(key, provider)?.unwrap_or(stand_in);
        let (iv, ciphertext, tag) = (&self.iv, &self.ciphertext, &self.tag);
        self.enc
            .open(cek.expose(), iv, self.protected.as_bytes(), ciphertext, tag, provider)
            .map(Secret::new)
            .ok_or(Error::Decryption)
    }

    /// The content encryption key, if this key recovers one of the right length.
    fn content_key(
        &self,
        key: DecryptionKey<'_>,
        provider: &Provider,
    ) -> Result<Option<Secret<Vec<u8>>>, Error> {
        let cek = match (&self.wrapping, key) {
            (Wrapping::EcdhEsA128Kw { epk, apu, apv }, DecryptionKey::Agree(key)) => {
                // Without a point there is no shared secret: a random one takes its place too.
                let kek = match key.agree(epk) {
                    Ok(shared) => kdf::concat_kdf(shared.expose(), ECDH_ES_A128KW, apu, apv, 16, provider),
                    Err(_) => random(16, provider)?,
                };
                provider.key_wrap.unwrap(kek.expose(), &self.encrypted_key)
            }
            (Wrapping::RsaOaep256, DecryptionKey::Rsa(key)) => key.oaep_decrypt(&self.encrypted_key),
            (Wrapping::EcdhEsA128Kw { .. }, DecryptionKey::Rsa(_))
            | (Wrapping::RsaOaep256, DecryptionKey::Agree(_)) => return Ok(None),
        };
        Ok(cek.ok().filter(|cek| cek.expose().len() == self.enc.key_length()))
    }
}

/// Encrypts to one recipient and gives the general serialization, in the form of the draft: `enc` protected, `alg` and
/// `epk` in the recipient's header.
pub fn encrypt(
    plaintext: &[u8],
    recipient: &Recipient,
    enc: Enc,
    provider: &Provider,
) -> Result<Json, Error> {
    let wrapped = wrap(recipient, enc, provider)?;
    let protected = base64::encode_url(&json::to_vec(&object([("enc", enc.name().into())])));
    let [iv, ciphertext, tag] = seal(&wrapped.cek, &protected, plaintext, enc, provider)?;
    let recipient = object([
        ("header", wrapped.header.build()),
        ("encrypted_key", base64::encode_url(&wrapped.encrypted_key).into()),
    ]);
    Ok(object([
        ("protected", protected.into()),
        ("recipients", array([recipient])),
        ("iv", iv.into()),
        ("ciphertext", ciphertext.into()),
        ("tag", tag.into()),
    ]))
}

/// Encrypts to one recipient and gives the compact serialization, all header parameters protected.
pub fn encrypt_compact(
    plaintext: &[u8],
    recipient: &Recipient,
    enc: Enc,
    provider: &Provider,
) -> Result<String, Error> {
    let wrapped = wrap(recipient, enc, provider)?;
    let protected = wrapped.header.member("enc", enc.name()).build();
    let protected = base64::encode_url(&json::to_vec(&protected));
    let [iv, ciphertext, tag] = seal(&wrapped.cek, &protected, plaintext, enc, provider)?;
    Ok([protected, base64::encode_url(&wrapped.encrypted_key), iv, ciphertext, tag].join("."))
}

/// A fresh content encryption key, encrypted to a recipient.
struct Wrapped {
    cek: Secret<Vec<u8>>,
    encrypted_key: Vec<u8>,
    /// `alg`, and `epk` where there is one.
    header: Members,
}

fn wrap(recipient: &Recipient, enc: Enc, provider: &Provider) -> Result<Wrapped, Error> {
    let cek = random(enc.key_length(), provider)?;
    let unusable = |error| match error {
        tamarack_crypto::Error::InvalidKey => Error::Key,
        _ => Error::Provider,
    };
    match &recipient.0 {
        RecipientKey::P256(key) => {
            let ephemeral: Box<dyn KeyAgree> = provider.agree.ephemeral().map_err(unusable)?;
            let shared = ephemeral.agree(key).map_err(unusable)?;
            let kek = kdf::concat_kdf(shared.expose(), ECDH_ES_A128KW, &[], &[], 16, provider);
            let encrypted_key = provider.key_wrap.wrap(kek.expose(), cek.expose()).map_err(unusable)?;
            let epk = Jwk::from_public_key(&ephemeral.public_key())?.to_json();
            let header = Members::new().member("alg", ECDH_ES_A128KW).member("epk", epk);
            Ok(Wrapped { cek, encrypted_key, header })
        }
        RecipientKey::Rsa(spki) => {
            let rsa = provider.rsa.ok_or_else(|| Error::algorithm(RSA_OAEP_256))?;
            let encrypted_key = rsa.oaep_encrypt(spki, cek.expose()).map_err(unusable)?;
            Ok(Wrapped { cek, encrypted_key, header: Members::new().member("alg", RSA_OAEP_256) })
        }
    }
}

/// Encrypts the content under a fresh initialization vector: iv, ciphertext and tag as base64url.
fn seal(
    cek: &Secret<Vec<u8>>,
    protected: &str,
    plaintext: &[u8],
    enc: Enc,
    provider: &Provider,
) -> Result<[String; 3], Error> {
    let mut iv = alloc::vec![0; enc.iv_length()];
    provider.random.fill(&mut iv).map_err(|_| Error::Provider)?;
    let (ciphertext, tag) =
        enc.seal(cek.expose(), &iv, protected.as_bytes(), plaintext, provider).ok_or(Error::Provider)?;
    Ok([&iv, &ciphertext, &tag].map(|bytes| base64::encode_url(bytes)))
}

fn random(length: usize, provider: &Provider) -> Result<Secret<Vec<u8>>, Error> {
    let mut bytes = Secret::new(alloc::vec![0; length]);
    provider.random.fill(bytes.expose_mut()).map_err(|_| Error::Provider)?;
    Ok(bytes)
}

/// `apu` or `apv`: information about a party that goes into the key derivation; empty if absent.
fn party(header: &Header, name: &'static str) -> Result<Vec<u8>, Error> {
    let Some(value) = header.any(name) else {
        return Ok(Vec::new());
    };
    let bytes = url_bytes(value.as_str().ok_or(Error::Member(name))?, name)?;
    if bytes.len() > MAX_PARTY { Err(Error::Member(name)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests;
