//! COSE_Encrypt (RFC 9052 section 5.1): A128GCM under a key of its own, which each recipient gets wrapped.
//!
//! | element | what it is here |
//! |---|---|
//! | protected | `{1: 1}`, A128GCM |
//! | unprotected | `{5: IV of 12 bytes}` and what the caller adds |
//! | ciphertext | ciphertext and tag, or null when they travel apart |
//! | recipients | 1 to 64, each `[protected, unprotected, wrapped key]` |
//!
//! A recipient is either ECDH-ES+A128KW, `[<<{1: -29}>>, {-1: ephemeral COSE_Key, ? 4: kid, ? -20: salt}, ..]`, or A128KW,
//! `[h'', {1: -3, ? 4: kid}, ..]`. The key that wraps comes from HKDF-SHA-256 over the shared x coordinate; its context is
//! COSE_KDF_Context with the algorithm of the wrap, no party information, and in SuppPubInfo the protected header of the
//! recipient and the name of the use as a byte string (draft-ietf-suit-firmware-encryption-24, "Context Information
//! Structure"), so that what was encrypted for one use opens in no other.

use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, ErrorKind, Kind, Limits};
use tamarack_crypto::{KeyAgree, Provider, PublicKey, Secret};

use crate::header::decode_layer;
use crate::{CoseKey, Error, Header, MAX_KEYS_TRIED, TAG_ENCRYPT};

const A128GCM: i64 = 1;
const A128KW: i64 = -3;
const ECDH_ES_A128KW: i64 = -29;
const ALG: i64 = 1;
const KID: i64 = 4;
const IV: i64 = 5;
const PARTIAL_IV: i64 = 6;
const EPHEMERAL_KEY: i64 = -1;
const SALT: i64 = -20;
/// Most recipients that one message may have.
const MAX_RECIPIENTS: usize = 64;

/// Whom a message is for.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// A P-256 key.
    pub key: &'a PublicKey,
    /// How the recipient finds the key; `None` tells onlookers nothing about who it is.
    pub kid: Option<&'a [u8]>,
}

/// Whom detached content is for.
#[derive(Clone, Copy)]
pub enum To<'a> {
    /// The holder of a private key: ECDH-ES+A128KW.
    Key(Recipient<'a>),
    /// The holders of a shared key: A128KW.
    Kek {
        /// The shared key.
        kek: &'a [u8; 16],
        /// How the recipient finds the key.
        kid: Option<&'a [u8]>,
    },
}

/// What a recipient decrypts with.
#[derive(Clone, Copy)]
pub enum Opener<'a> {
    /// A private key, for ECDH-ES+A128KW.
    Key(&'a dyn KeyAgree),
    /// A shared key, for A128KW.
    Kek(&'a [u8; 16]),
}

/// Encrypts `plaintext` to all `recipients` and gives a tagged COSE_Encrypt. `context` names the use, such as
/// `EAT Encryption`; only who names the same decrypts. `header_extra` are byte strings under labels of the caller in the
/// unprotected header, where everyone reads and changes them.
///
/// # Errors
/// [`Error::Recipient`] if there is none or a key is not of P-256, [`Error::Random`].
pub fn encrypt(
    plaintext: &[u8],
    recipients: &[Recipient<'_>],
    context: &str,
    header_extra: &[(i64, Vec<u8>)],
    provider: &Provider,
) -> Result<Vec<u8>, Error> {
    let to: Vec<To<'_>> = recipients.iter().map(|recipient| To::Key(*recipient)).collect();
    let (content, ciphertext) = seal(plaintext, provider)?;
    write(&content, Some(&ciphertext), &to, context, header_extra, provider)
}

/// Encrypts `plaintext` as [`encrypt`] does, with the ciphertext apart: gives the COSE_Encrypt (SUIT_Encryption_Info in a
/// manifest) and the ciphertext, 16 bytes longer than `plaintext`.
///
/// # Errors
/// As [`encrypt`].
pub fn encrypt_detached(
    plaintext: &[u8],
    to: &[To<'_>],
    context: &str,
    provider: &Provider,
) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let (content, ciphertext) = seal(plaintext, provider)?;
    Ok((write(&content, None, to, context, &[], provider)?, ciphertext))
}

/// A COSE_Encrypt with its ciphertext, as received.
#[derive(Debug)]
pub struct Encrypted {
    info: EncryptionInfo,
    ciphertext: Vec<u8>,
}

impl Encrypted {
    /// Reads a COSE_Encrypt, with tag 96 or without, that carries its ciphertext.
    ///
    /// # Errors
    /// [`Error::Algorithm`] if the content or every recipient is encrypted in a way that is not ours, else what is wrong
    /// with the structure.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let (info, ciphertext) = read(bytes, limits)?;
        Ok(Self { info, ciphertext: ciphertext.ok_or(Error::Payload)? })
    }

    /// The key identifiers of the recipients, in their order; `None` for one that names none.
    pub fn kids(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.info.kids()
    }

    /// The byte string under `label` of the unprotected header. Nothing vouches for it.
    pub fn unprotected(&self, label: i64) -> Option<&[u8]> {
        self.info.extra.iter().find(|(found, _)| *found == label).map(|(_, value)| &value[..])
    }

    /// Decrypts with `key`, which calls itself `kid`, for the use `context`.
    ///
    /// # Errors
    /// [`Error::Decrypt`].
    pub fn decrypt(
        &self,
        key: &dyn KeyAgree,
        kid: Option<&[u8]>,
        context: &str,
        provider: &Provider,
    ) -> Result<Secret<Vec<u8>>, Error> {
        self.info.decrypt(&self.ciphertext, Opener::Key(key), kid, context, provider)
    }
}

/// A COSE_Encrypt whose ciphertext travels apart, as received.
#[derive(Debug)]
pub struct EncryptionInfo {
    protected: Vec<u8>,
    iv: [u8; 12],
    extra: Vec<(i64, Vec<u8>)>,
    recipients: Vec<Wrapped>,
}

/// The content key as one recipient gets it.
#[derive(Debug)]
struct Wrapped {
    kid: Option<Vec<u8>>,
    /// `None` if it is made in a way that is not ours; another recipient may be us.
    method: Option<Method>,
    key: Vec<u8>,
}

#[derive(Debug)]
enum Method {
    Kek,
    Agreement { ephemeral: PublicKey, salt: Vec<u8>, protected: Vec<u8> },
}

impl EncryptionInfo {
    /// Reads a COSE_Encrypt, with tag 96 or without, whose ciphertext is null.
    ///
    /// # Errors
    /// As [`Encrypted::parse`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        match read(bytes, limits)? {
            (info, None) => Ok(info),
            (_, Some(_)) => Err(Error::Payload),
        }
    }

    /// The key identifiers of the recipients, in their order; `None` for one that names none.
    pub fn kids(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.recipients.iter().map(|recipient| recipient.kid.as_deref())
    }

    /// Each recipient: its key identifier, and the label of the way that its key is wrapped in if it is one of ours.
    pub fn recipients(&self) -> impl Iterator<Item = (Option<&[u8]>, Option<i64>)> {
        self.recipients.iter().map(|recipient| {
            let algorithm = recipient.method.as_ref().map(|method| match method {
                Method::Kek => A128KW,
                Method::Agreement { .. } => ECDH_ES_A128KW,
            });
            (recipient.kid.as_deref(), algorithm)
        })
    }

    /// Decrypts `ciphertext` with `key`, which calls itself `kid`, for the use `context`. Every recipient of that kid or of
    /// none is tried, at most eight (security rule K5).
    ///
    /// # Errors
    /// [`Error::Decrypt`], for whatever reason.
    pub fn decrypt(
        &self,
        ciphertext: &[u8],
        key: Opener<'_>,
        kid: Option<&[u8]>,
        context: &str,
        provider: &Provider,
    ) -> Result<Secret<Vec<u8>>, Error> {
        let aad = enc_structure(&self.protected);
        self.recipients
            .iter()
            .filter(|recipient| match (&recipient.kid, kid) {
                (Some(theirs), Some(ours)) => theirs[..] == *ours,
                _ => true,
            })
            .filter_map(|recipient| Some((recipient, recipient.method.as_ref()?)))
            .take(MAX_KEYS_TRIED)
            .find_map(|(recipient, method)| {
                let content = unwrap(&recipient.key, method, key, context, provider)?;
                provider.aead128.open(content.expose(), &self.iv, &aad, ciphertext).ok().map(Secret::new)
            })
            .ok_or(Error::Decrypt)
    }
}

/// What content is encrypted with.
struct Content {
    key: Secret<[u8; 16]>,
    iv: [u8; 12],
    protected: Vec<u8>,
}

fn seal(plaintext: &[u8], provider: &Provider) -> Result<(Content, Vec<u8>), Error> {
    let protected = Header { alg: Some(A128GCM), ..Header::default() }.to_cbor();
    let mut content = Content { key: Secret::new([0; 16]), iv: [0; 12], protected };
    provider.random.fill(content.key.expose_mut()).map_err(|_| Error::Random)?;
    provider.random.fill(&mut content.iv).map_err(|_| Error::Random)?;
    let aad = enc_structure(&content.protected);
    let sealed = provider.aead128.seal(content.key.expose(), &content.iv, &aad, plaintext);
    Ok((content, sealed.map_err(|_| Error::Random)?))
}

fn write(
    content: &Content,
    ciphertext: Option<&[u8]>,
    to: &[To<'_>],
    context: &str,
    extra: &[(i64, Vec<u8>)],
    provider: &Provider,
) -> Result<Vec<u8>, Error> {
    if to.is_empty() || to.len() > MAX_RECIPIENTS {
        return Err(Error::Recipient);
    }
    let mut e = Encoder::new();
    e.tag(TAG_ENCRYPT).array(4).bytes(&content.protected);
    e.map_with(|map| {
        map.int(IV, |e| e.bytes(&content.iv));
        for (label, value) in extra {
            map.int(*label, |e| e.bytes(value));
        }
    });
    match ciphertext {
        Some(ciphertext) => e.bytes(ciphertext),
        None => e.null(),
    };
    e.array(to.len());
    for one in to {
        write_recipient(&mut e, content, one, context, provider)?;
    }
    Ok(e.into_bytes())
}

fn write_recipient(
    e: &mut Encoder,
    content: &Content,
    to: &To<'_>,
    context: &str,
    provider: &Provider,
) -> Result<(), Error> {
    let wrap =
        |kek: &[u8; 16]| provider.key_wrap.wrap(kek, content.key.expose()).map_err(|_| Error::Recipient);
    match to {
        To::Kek { kek, kid } => {
            e.array(3).bytes(b"").map_with(|map| {
                map.int(ALG, |e| e.int(A128KW)).optional(KID, *kid, |e, kid| e.bytes(kid));
            });
            e.bytes(&wrap(kek)?);
        }
        To::Key(recipient) => {
            let protected = Header { alg: Some(ECDH_ES_A128KW), ..Header::default() }.to_cbor();
            let ephemeral = provider.agree.ephemeral().map_err(|_| Error::Random)?;
            let shared = ephemeral.agree(recipient.key).map_err(|_| Error::Recipient)?;
            let kek = derive(&shared, b"", &protected, context, provider).ok_or(Error::Recipient)?;
            e.array(3).bytes(&protected).map_with(|map| {
                map.int(EPHEMERAL_KEY, |e| e.item(&CoseKey(ephemeral.public_key()))).optional(
                    KID,
                    recipient.kid,
                    |e, kid| e.bytes(kid),
                );
            });
            e.bytes(&wrap(kek.expose())?);
        }
    }
    Ok(())
}

fn read(bytes: &[u8], limits: &Limits) -> Result<(EncryptionInfo, Option<Vec<u8>>), Error> {
    let mut d = Decoder::new(bytes, limits)?;
    d.optional_tag(TAG_ENCRYPT);
    d.array_of(4, "the 4 elements of COSE_Encrypt")?;
    let at = d.position();
    let (protected, unprotected, unprotected_raw) = decode_layer(&mut d)?;
    match (protected.header().alg, unprotected.alg) {
        (Some(A128GCM), _) => {}
        // Algorithms without authentication have no protected header (RFC 9459); they are named all the same.
        (Some(other), _) | (None, Some(other)) => return Err(Error::Algorithm(other)),
        (None, None) => return Err(Error::AlgorithmMissing),
    }
    let layer = Layer { protected: protected.raw(), unprotected: unprotected_raw, limits, at };
    if layer.find(PARTIAL_IV)?.is_some() {
        return Err(layer.error("a whole IV"));
    }
    let iv = layer
        .find_bytes(IV)?
        .and_then(|iv| iv.try_into().ok())
        .ok_or_else(|| layer.error("an IV of 12 bytes"))?;
    let extra = layer.byte_strings()?;
    let ciphertext = match d.peek() {
        Kind::Null => d.null().map(|()| None)?,
        _ => Some(d.bytes()?.to_vec()),
    };
    let at = d.position();
    let count = d.array()?;
    if count == 0 || count > MAX_RECIPIENTS {
        return Err(tamarack_cbor::Error::new(at, ErrorKind::Value("1 to 64 recipients")).into());
    }
    let mut recipients = Vec::with_capacity(count);
    let mut foreign = None;
    for _ in 0..count {
        match read_recipient(&mut d, limits)? {
            (recipient, None) => recipients.push(recipient),
            (recipient, Some(algorithm)) => {
                foreign.get_or_insert(algorithm);
                recipients.push(recipient);
            }
        }
    }
    match foreign {
        Some(algorithm) if recipients.iter().all(|r| r.method.is_none()) => Err(algorithm),
        _ => Ok((EncryptionInfo { protected: protected.raw().to_vec(), iv, extra, recipients }, ciphertext)),
    }
}

/// One COSE_recipient, and why we cannot be meant by it if so.
fn read_recipient(d: &mut Decoder<'_>, limits: &Limits) -> Result<(Wrapped, Option<Error>), Error> {
    let at = d.position();
    let count = d.array()?;
    let (protected, unprotected, unprotected_raw) = decode_layer(d)?;
    let key = match d.peek() {
        Kind::Null => d.null().map(|()| Vec::new())?,
        _ => d.bytes()?.to_vec(),
    };
    // Recipients of recipients: a method that we have not.
    let nested = count == 4;
    if nested {
        d.raw()?;
    } else if count != 3 {
        return Err(
            tamarack_cbor::Error::new(at, ErrorKind::Value("the 3 elements of COSE_recipient")).into()
        );
    }
    let layer = Layer { protected: protected.raw(), unprotected: unprotected_raw, limits, at };
    let (method, why) = match (protected.header().alg, unprotected.alg) {
        (None, Some(A128KW)) if protected.raw().is_empty() && !nested => (Some(Method::Kek), None),
        (Some(ECDH_ES_A128KW), _) if !nested => {
            let ephemeral =
                layer.find(EPHEMERAL_KEY)?.ok_or_else(|| layer.error("the ephemeral key of the sender"))?;
            let CoseKey(ephemeral) = CoseKey::from_cbor(ephemeral, limits)?;
            let salt = layer.find_bytes(SALT)?.unwrap_or_default().to_vec();
            let protected = protected.raw().to_vec();
            (Some(Method::Agreement { ephemeral, salt, protected }), None)
        }
        (Some(other), _) | (None, Some(other)) => (None, Some(Error::Algorithm(other))),
        (None, None) => (None, Some(Error::AlgorithmMissing)),
    };
    let kid = protected.header().kid.clone().or(unprotected.kid);
    Ok((Wrapped { kid, method, key }, why))
}

/// The content key, if `opener` gets at it.
fn unwrap(
    wrapped: &[u8],
    method: &Method,
    opener: Opener<'_>,
    context: &str,
    provider: &Provider,
) -> Option<Secret<[u8; 16]>> {
    let key = match (method, opener) {
        (Method::Kek, Opener::Kek(kek)) => provider.key_wrap.unwrap(kek, wrapped).ok()?,
        (Method::Agreement { ephemeral, salt, protected }, Opener::Key(key)) => {
            let shared = key.agree(ephemeral).ok()?;
            let kek = derive(&shared, salt, protected, context, provider)?;
            provider.key_wrap.unwrap(kek.expose(), wrapped).ok()?
        }
        (Method::Kek, Opener::Key(_)) | (Method::Agreement { .. }, Opener::Kek(_)) => return None,
    };
    key.expose()[..].try_into().ok().map(Secret::new)
}

/// HKDF-SHA-256 with the COSE_KDF_Context of RFC 9053 section 5.2.
fn derive(
    shared: &Secret<[u8; 32]>,
    salt: &[u8],
    protected: &[u8],
    context: &str,
    provider: &Provider,
) -> Option<Secret<[u8; 16]>> {
    let mut e = Encoder::new();
    e.array(4).int(A128KW);
    for _ in 0..2 {
        e.array(3).null().null().null();
    }
    e.array(3).uint(128).bytes(protected).bytes(context.as_bytes());
    let mut kek = Secret::new([0; 16]);
    provider.hkdf.derive(salt, shared.expose(), &e.into_bytes(), kek.expose_mut()).ok()?;
    Some(kek)
}

/// Enc_structure of RFC 9052 section 5.3 with context "Encrypt" and no external data.
fn enc_structure(protected: &[u8]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(3).text("Encrypt").bytes(protected).bytes(b"");
    e.into_bytes()
}

/// The two header maps of one layer, for labels that only encryption has.
struct Layer<'b> {
    protected: &'b [u8],
    unprotected: &'b [u8],
    limits: &'b Limits,
    at: usize,
}

impl<'b> Layer<'b> {
    /// The value of an integer label, encoded, from whichever map has it.
    fn find(&self, label: i64) -> Result<Option<&'b [u8]>, Error> {
        for map in [self.protected, self.unprotected] {
            if let Some((_, value)) = self.members(map)?.into_iter().find(|(found, _)| *found == label) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// As [`Layer::find`], of a label whose value is a byte string.
    fn find_bytes(&self, label: i64) -> Result<Option<&'b [u8]>, Error> {
        match self.find(label)? {
            Some(value) => Ok(Some(Decoder::new(value, self.limits)?.bytes()?)),
            None => Ok(None),
        }
    }

    /// The unprotected members that are byte strings.
    fn byte_strings(&self) -> Result<Vec<(i64, Vec<u8>)>, Error> {
        let mut found = Vec::new();
        for (label, value) in self.members(self.unprotected)? {
            let mut d = Decoder::new(value, self.limits)?;
            if d.peek() == Kind::Bytes {
                found.push((label, d.bytes()?.to_vec()));
            }
        }
        Ok(found)
    }

    /// The members of `map` under integer labels, their values encoded.
    fn members(&self, map: &'b [u8]) -> Result<Vec<(i64, &'b [u8])>, Error> {
        let mut members = Vec::new();
        if map.is_empty() {
            return Ok(members);
        }
        let mut d = Decoder::new(map, self.limits)?;
        for _ in 0..d.map()? {
            if d.peek() == Kind::Text {
                d.text()?;
                d.raw()?;
            } else {
                members.push((d.int()?, d.raw()?));
            }
        }
        Ok(members)
    }

    fn error(&self, expected: &'static str) -> Error {
        tamarack_cbor::Error::new(self.at, ErrorKind::Value(expected)).into()
    }
}
