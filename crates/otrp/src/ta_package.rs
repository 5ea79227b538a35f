//! TAs on their way to a device, encrypted to the AIK of the SP (sections 9.3.1.1, 9.3.2.1, 14.4, 14.5).
//!
//! | layout | members |
//! |---|---|
//! | joint | `encrypted_ta`: `key`, `iv`, `alg`, `ciphertadata`, `cipherpdata`; with UpdateTA `ciphernewtadata`, `ciphernewpdata` |
//! | separate | `encrypted_ta_bin` and `encrypted_ta_data`, each: `key`, `iv`, `alg`, `cipherdata` |
//!
//! With `alg` `AESCBC`, the draft's, `key` is a JWE (compact) of 32 bytes and `iv` 16 bytes in hexadecimal digits; each
//! text is AES-256-CBC with PKCS#7 padding. Both layouts of one message under one key and IV would tell whether they
//! begin alike, so what is emitted has one text. With `alg` `A256GCM`, the hardened profile's, `key` and `iv` are absent
//! and each text is a JWE (compact) of its own.

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_crypto::{Provider, Secret};
use tamarack_jose::json::Json;
use tamarack_jose::jwe;

use crate::member::{Context, Object, Writer, base64_of, bytes, hex_iv, hex_of, mistyped, string, text};
use crate::{Command, Error};

/// What a device gets: at least one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaPackage {
    /// The TA: a SUIT envelope.
    pub ta: Option<Vec<u8>>,
    /// Personalization data: what the TA finds in its object "personalization".
    pub pdata: Option<Vec<u8>>,
}

/// How to encrypt a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// AES-256-CBC as in the draft, without authentication of its own; the request's signature and the SUIT envelope's
    /// protect what is inside. For one text only.
    AesCbc,
    /// AES-256-GCM in a JWE for each text.
    A256Gcm,
}

/// A TA package as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedTa {
    layout: Layout,
    ta: Option<Blob>,
    pdata: Option<Blob>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Joint,
    Separate,
}

/// One encrypted text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Blob {
    AesCbc { key: Json, iv: [u8; 16], ciphertext: Vec<u8> },
    A256Gcm { jwe: String },
}

const ALG_CBC: &str = "AESCBC";
const ALG_GCM: &str = "A256GCM";
const BIN: &str = "encrypted_ta_bin";
const DATA: &str = "encrypted_ta_data";

/// Encrypts a package to the AIK of the SP that is for encryption.
pub fn seal(
    package: &TaPackage,
    recipient: &jwe::Recipient,
    protection: Protection,
    provider: &Provider,
) -> Result<EncryptedTa, Error> {
    if protection == Protection::AesCbc && package.ta.is_some() && package.pdata.is_some() {
        return Err(Error::KeyReuse);
    }
    let blob = |plaintext: &Option<Vec<u8>>| {
        let blob = |plaintext: &Vec<u8>| Blob::seal(plaintext, recipient, protection, provider);
        plaintext.as_ref().map(blob).transpose()
    };
    let (ta, pdata) = (blob(&package.ta)?, blob(&package.pdata)?);
    if ta.is_none() && pdata.is_none() {
        return Err(Error::Missing("encrypted_ta.ciphertadata".into()));
    }
    Ok(EncryptedTa { layout: Layout::Joint, ta, pdata })
}

/// Decrypts a package with the AIK's private key. Every failure is [`Error::TaPackage`], whatever its cause.
pub fn open(
    encrypted: &EncryptedTa,
    key: jwe::DecryptionKey<'_>,
    provider: &Provider,
) -> Result<TaPackage, Error> {
    let text = |blob: &Option<Blob>| blob.as_ref().map(|blob| blob.open(key, provider)).transpose();
    Ok(TaPackage { ta: text(&encrypted.ta)?, pdata: text(&encrypted.pdata)? })
}

impl Blob {
    fn seal(
        plaintext: &[u8],
        recipient: &jwe::Recipient,
        protection: Protection,
        provider: &Provider,
    ) -> Result<Self, Error> {
        if protection == Protection::A256Gcm {
            let jwe = compact(plaintext, recipient, jwe::Enc::A256Gcm, provider)?;
            return Ok(Self::A256Gcm { jwe });
        }
        let mut taek = Secret::new([0; 32]);
        let mut iv = [0; 16];
        provider.random.fill(taek.expose_mut()).map_err(crypto_failed)?;
        provider.random.fill(&mut iv).map_err(crypto_failed)?;
        let ciphertext = provider.cbc.encrypt(taek.expose(), &iv, plaintext).map_err(crypto_failed)?;
        let key = string(compact(taek.expose(), recipient, jwe::Enc::A128CbcHs256, provider)?);
        Ok(Self::AesCbc { key, iv, ciphertext })
    }

    fn open(&self, key: jwe::DecryptionKey<'_>, provider: &Provider) -> Result<Vec<u8>, Error> {
        let uniform = |_| Error::TaPackage;
        match self {
            Self::AesCbc { key: wrapped, iv, ciphertext } => {
                let jwe = match wrapped {
                    Json::String(text) => jwe::Jwe::parse_compact(text),
                    object => jwe::Jwe::parse(object),
                };
                let taek = jwe.and_then(|jwe| jwe.decrypt(key, provider)).map_err(uniform)?;
                if taek.expose().len() != 32 {
                    return Err(Error::TaPackage);
                }
                provider.cbc.decrypt(taek.expose(), iv, ciphertext).map_err(|_| Error::TaPackage)
            }
            Self::A256Gcm { jwe } => {
                let jwe = jwe::Jwe::parse_compact(jwe).map_err(uniform)?;
                Ok(jwe.decrypt(key, provider).map_err(uniform)?.expose().clone())
            }
        }
    }

    /// `key`, `iv` and `alg`, and the text under `name`.
    fn write(&self, object: Writer, name: &str) -> Writer {
        self.write_text(self.write_key(object), name)
    }

    fn write_key(&self, object: Writer) -> Writer {
        match self {
            Self::AesCbc { key, iv, .. } => {
                object.member("key", key.clone()).member("iv", hex_of(iv)).member("alg", ALG_CBC)
            }
            Self::A256Gcm { .. } => object.member("alg", ALG_GCM),
        }
    }

    fn write_text(&self, object: Writer, name: &str) -> Writer {
        match self {
            Self::AesCbc { ciphertext, .. } => object.member(name, base64_of(ciphertext)),
            Self::A256Gcm { jwe } => object.member(name, string(jwe)),
        }
    }
}

fn crypto_failed(_: tamarack_crypto::Error) -> Error {
    Error::TaPackage
}

fn compact(
    plaintext: &[u8],
    recipient: &jwe::Recipient,
    enc: jwe::Enc,
    provider: &Provider,
) -> Result<String, Error> {
    Ok(jwe::encrypt_compact(plaintext, recipient, enc, provider)?)
}

/// The names of the two texts in the joint layout.
fn names(command: Command) -> (&'static str, &'static str) {
    match command {
        Command::UpdateTa => ("ciphernewtadata", "ciphernewpdata"),
        _ => ("ciphertadata", "cipherpdata"),
    }
}

/// How the texts of one object are encrypted.
enum Key {
    AesCbc { key: Json, iv: [u8; 16] },
    A256Gcm,
}

impl Key {
    fn read(object: &mut Object<'_, '_>) -> Result<Self, Error> {
        let alg = object.required("alg", text)?;
        match alg.as_str() {
            ALG_CBC => {
                let key = object.required("key", |_, json, path| match json {
                    Json::String(_) | Json::Object(_) => Ok(json.clone()),
                    _ => Err(mistyped(path)),
                })?;
                Ok(Self::AesCbc { key, iv: object.required("iv", hex_iv)? })
            }
            ALG_GCM => Ok(Self::A256Gcm),
            _ => Err(mistyped(&object.path_of("alg"))),
        }
    }

    fn text(&self, cx: &mut Context, json: &Json, path: &str) -> Result<Blob, Error> {
        match self {
            Self::AesCbc { key, iv } => {
                Ok(Blob::AesCbc { key: key.clone(), iv: *iv, ciphertext: bytes(cx, json, path)? })
            }
            Self::A256Gcm => Ok(Blob::A256Gcm { jwe: text(cx, json, path)? }),
        }
    }
}

impl EncryptedTa {
    /// Whether there is a TA in it.
    pub fn has_ta(&self) -> bool {
        self.ta.is_some()
    }

    /// Whether there is personalization data in it.
    pub fn has_pdata(&self) -> bool {
        self.pdata.is_some()
    }

    /// About how many bytes of a message the texts take.
    pub(crate) fn text_length(&self) -> usize {
        let length = |blob: &Blob| match blob {
            Blob::AesCbc { ciphertext, .. } => ciphertext.len().div_ceil(3) * 4,
            Blob::A256Gcm { jwe } => jwe.len(),
        };
        self.ta.iter().chain(&self.pdata).map(length).sum()
    }

    pub(crate) fn write(&self, command: Command, tbs: Writer) -> Writer {
        let (ta, pdata) = names(command);
        match self.layout {
            Layout::Joint => {
                let mut object = Writer::new();
                if let Some(any) = self.ta.as_ref().or(self.pdata.as_ref()) {
                    object = any.write_key(object);
                }
                for (blob, name) in [(&self.ta, ta), (&self.pdata, pdata)] {
                    if let Some(blob) = blob {
                        object = blob.write_text(object, name);
                    }
                }
                tbs.member("encrypted_ta", object.build())
            }
            Layout::Separate => {
                let one = |blob: &Blob| blob.write(Writer::new(), "cipherdata").build();
                tbs.optional(BIN, self.ta.as_ref().map(one)).optional(DATA, self.pdata.as_ref().map(one))
            }
        }
    }

    /// Reads whichever layout is there. InstallTA must have a TA, UpdateTA one of the two texts.
    pub(crate) fn read(tbs: &mut Object<'_, '_>, command: Command) -> Result<Self, Error> {
        let (ta, pdata) = names(command);
        let joint = tbs.optional("encrypted_ta", |cx, json, path| {
            let mut object = Object::of(cx, json, path)?;
            let key = Key::read(&mut object)?;
            let texts = (
                object.optional(ta, |cx, json, path| key.text(cx, json, path))?,
                object.optional(pdata, |cx, json, path| key.text(cx, json, path))?,
            );
            object.end()?;
            Ok(texts)
        })?;
        let encrypted = match joint {
            Some((ta, pdata)) => Self { layout: Layout::Joint, ta, pdata },
            None => {
                let one = |cx: &mut Context, json: &Json, path: &str| {
                    let mut object = Object::of(cx, json, path)?;
                    let key = Key::read(&mut object)?;
                    let blob = object.required("cipherdata", |cx, json, path| key.text(cx, json, path))?;
                    object.end()?;
                    Ok(blob)
                };
                let (ta, pdata) = (tbs.optional(BIN, one)?, tbs.optional(DATA, one)?);
                if ta.is_none() && pdata.is_none() {
                    return Err(Error::Missing("encrypted_ta".into()));
                }
                Self { layout: Layout::Separate, ta, pdata }
            }
        };
        let complete = match command {
            Command::UpdateTa => encrypted.has_ta() || encrypted.has_pdata(),
            _ => encrypted.has_ta(),
        };
        if !complete {
            return Err(Error::Missing(match encrypted.layout {
                Layout::Joint => alloc::format!("encrypted_ta.{ta}"),
                Layout::Separate => BIN.into(),
            }));
        }
        Ok(encrypted)
    }
}
