use alloc::vec::Vec;
use core::ops::Range;

use tamarack_cbor::{Decode, Decoder, Encoder, Error as CborError, ErrorKind, Kind};
use tamarack_cose::{MacKey, Purpose, TAG_MAC0, TAG_SIGN, TAG_SIGN1, VerificationKey, Verified};
use tamarack_crypto::Provider;

use crate::manifest::{Manifest, Section};
use crate::{Error, Limits, SuitDigest, TAG_ENVELOPE};

const AUTHENTICATION_WRAPPER: i64 = 2;
const MANIFEST: i64 = 3;

/// A SUIT_Envelope as received: the outer map is read, nothing in it is believed.
///
/// | key | member |
/// |---|---|
/// | 2 | authentication wrapper: the digest of the manifest, and signatures or MACs over that digest |
/// | 3 | manifest |
/// | 14, 15, 16, 18, 20, 23 | members severed from the manifest |
/// | text | integrated payloads |
#[derive(Clone, Debug)]
pub struct Envelope {
    bytes: Vec<u8>,
    limits: Limits,
    digest: SuitDigest,
    digest_bytes: Range<usize>,
    blocks: Vec<Range<usize>>,
    wrapper: Range<usize>,
    manifest: Range<usize>,
    severed: Vec<(i64, Range<usize>)>,
    integrated: Vec<(Range<usize>, Range<usize>)>,
}

/// The keys that manifests are authenticated with; those of another purpose than [`Purpose::SuitManifest`] are not tried.
#[derive(Clone, Copy, Default)]
pub struct TrustedKeys<'a> {
    /// For COSE_Sign1 and COSE_Sign.
    pub signatures: &'a [VerificationKey],
    /// For COSE_Mac0.
    pub macs: &'a [MacKey],
}

/// An envelope whose manifest is what a trusted key signed, and which holds only what the machine carries out.
#[derive(Clone, Debug)]
pub struct AuthenticEnvelope {
    /// The envelope. Integrated payloads in it are *not* covered by the signature.
    pub envelope: Envelope,
    /// Its manifest.
    pub manifest: Manifest,
}

impl Envelope {
    /// Reads the outer map of an envelope, with tag 107 or without. The whole input and everything wrapped in it must be
    /// deterministic CBOR within `limits`; the wrapper must stand before the manifest.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut d = Decoder::new(bytes, &limits.cbor)?;
        d.optional_tag(TAG_ENVELOPE);
        let (mut wrapper, mut manifest) = (None, None);
        let (mut severed, mut integrated) = (Vec::new(), Vec::new());
        for _ in 0..d.map()? {
            let at = d.position();
            if d.peek() == Kind::Text {
                let key = d.text()?.len();
                let key = d.position() - key..d.position();
                integrated.push((key, content(&mut d)?));
                continue;
            }
            match d.int()? {
                AUTHENTICATION_WRAPPER => wrapper = Some(content(&mut d)?),
                MANIFEST if wrapper.is_none() => {
                    return Err(CborError::new(
                        at,
                        ErrorKind::Missing("authentication wrapper before the manifest"),
                    )
                    .into());
                }
                MANIFEST => manifest = Some(content(&mut d)?),
                key if Section::severable(key) => severed.push((key, content(&mut d)?)),
                key => return Err(CborError::new(at, ErrorKind::UnknownKey(key)).into()),
            }
        }
        let missing = |name| CborError::new(0, ErrorKind::Missing(name));
        let wrapper = wrapper.ok_or(missing("authentication wrapper"))?;
        let manifest = manifest.ok_or(missing("manifest"))?;
        let (digest, digest_bytes, blocks) = read_wrapper(&bytes[wrapper.clone()], wrapper.start, limits)?;
        tamarack_cbor::check(&bytes[manifest.clone()], &limits.cbor).map_err(|e| e.within(manifest.start))?;
        Ok(Self {
            bytes: bytes.to_vec(),
            limits: *limits,
            digest,
            digest_bytes,
            blocks,
            wrapper,
            manifest,
            severed,
            integrated,
        })
    }

    /// The digest of the manifest, as the wrapper claims it: what TEEP and reports name the manifest by.
    pub fn digest(&self) -> &SuitDigest {
        &self.digest
    }

    /// The encoded digest: what signatures cover.
    pub fn digest_bytes(&self) -> &[u8] {
        &self.bytes[self.digest_bytes.clone()]
    }

    /// The envelope as it arrived.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The encoded manifest.
    pub fn manifest_bytes(&self) -> &[u8] {
        &self.bytes[self.manifest.clone()]
    }

    /// Where the manifest begins in the envelope.
    pub(crate) fn manifest_offset(&self) -> usize {
        self.manifest.start
    }

    /// The encoded authentication blocks, each a tagged COSE object.
    pub fn authentication_blocks(&self) -> impl Iterator<Item = &[u8]> {
        self.blocks.iter().map(|block| &self.bytes[block.clone()])
    }

    /// The payload that the envelope carries under exactly this URI.
    pub fn integrated(&self, uri: &str) -> Option<&[u8]> {
        let found = self.integrated.iter().find(|(key, _)| &self.bytes[key.clone()] == uri.as_bytes());
        found.map(|(_, payload)| &self.bytes[payload.clone()])
    }

    /// Every integrated payload with its key.
    pub fn integrated_payloads(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.integrated.iter().map(|(key, payload)| {
            // The keys were read as text.
            (str::from_utf8(&self.bytes[key.clone()]).unwrap_or_default(), &self.bytes[payload.clone()])
        })
    }

    /// The content of a member that was severed from the manifest and travels beside it, with its offset.
    pub(crate) fn severed(&self, key: i64) -> Option<(&[u8], usize)> {
        let (_, range) = self.severed.iter().find(|(k, _)| *k == key)?;
        Some((&self.bytes[range.clone()], range.start))
    }

    /// Keys of the severed members that are there.
    pub fn severed_keys(&self) -> impl Iterator<Item = i64> {
        self.severed.iter().map(|(key, _)| *key)
    }

    /// The envelope without its integrated payloads, for storage: wrapper, manifest and severed members as they arrived.
    pub fn without_payloads(&self) -> Vec<u8> {
        let mut e = Encoder::new();
        e.tag(TAG_ENVELOPE).map_with(|map| {
            map.int(AUTHENTICATION_WRAPPER, |e| e.bytes(&self.bytes[self.wrapper.clone()]))
                .int(MANIFEST, |e| e.bytes(self.manifest_bytes()));
            for (key, range) in &self.severed {
                map.int(*key, |e| e.bytes(&self.bytes[range.clone()]));
            }
        });
        e.into_bytes()
    }

    /// Reads the manifest although nothing vouches for it: for tools that show it, never to act on.
    pub fn unauthenticated_manifest(&self) -> Result<Manifest, Error> {
        Manifest::parse(self, &self.limits, None)
    }

    /// Checks, in this order: at least one authentication block over the digest, the digest over the manifest, the digest
    /// of each severed member that is there; then reads the manifest and every command in it.
    pub fn authenticate(
        self,
        keys: &TrustedKeys<'_>,
        provider: &Provider,
    ) -> Result<Verified<AuthenticEnvelope>, Error> {
        let proof = self.verify_blocks(keys, provider)?;
        match self.digest.covers_wrapped(self.manifest_bytes(), provider) {
            Some(true) => {}
            Some(false) => return Err(Error::ManifestDigest),
            None => {
                return Err(Error::Unsupported(crate::Unsupported::Digest(self.digest.algorithm().label())));
            }
        }
        proof.try_map(|_| {
            let manifest = Manifest::parse(&self, &self.limits, Some(provider))?;
            match manifest.unsupported().first() {
                Some(what) => Err(Error::Unsupported(*what)),
                None => Ok(AuthenticEnvelope { manifest, envelope: self }),
            }
        })
    }

    /// The first block that a trusted key made, else why the most promising one was not.
    fn verify_blocks(&self, keys: &TrustedKeys<'_>, provider: &Provider) -> Result<Verified<Vec<u8>>, Error> {
        use tamarack_cose::{Mac0, Sign, Sign1};
        let (digest, purpose) = (Some(self.digest_bytes()), Purpose::SuitManifest);
        let cbor = &self.limits.cbor;
        let mut error = None;
        for block in self.authentication_blocks() {
            let mut d = Decoder::new(block, cbor)?;
            let result = match d.tag()? {
                TAG_SIGN1 => Sign1::parse(block, cbor)
                    .and_then(|block| block.verify(keys.signatures, purpose, digest, &[], provider)),
                TAG_SIGN => Sign::parse(block, cbor)
                    .and_then(|block| block.verify(keys.signatures, purpose, digest, &[], provider)),
                TAG_MAC0 => Mac0::parse(block, cbor)
                    .and_then(|block| block.verify(keys.macs, purpose, digest, &[], provider)),
                // COSE_Mac needs recipients, which come with encryption.
                _ => Err(tamarack_cose::Error::KeyUnknown),
            };
            match result {
                Ok(proof) => return Ok(proof),
                // A block by a key that is not ours says nothing about one that is.
                Err(tamarack_cose::Error::KeyUnknown) => {}
                Err(e) => drop(error.get_or_insert(e)),
            }
        }
        Err(match (error, self.blocks.is_empty()) {
            (_, true) => Error::NotSigned,
            (Some(e), _) => Error::Cose(e),
            (None, _) => Error::Cose(tamarack_cose::Error::KeyUnknown),
        })
    }
}

/// Where the content of the byte string that comes next stands.
fn content(d: &mut Decoder<'_>) -> Result<Range<usize>, CborError> {
    let (content, start) = d.wrapped()?;
    Ok(start..start + content.len())
}

/// CBOR tag of COSE_Mac.
const TAG_MAC: u64 = 97;

type Wrapper = (SuitDigest, Range<usize>, Vec<Range<usize>>);

/// Reads the authentication wrapper, whose content starts at `base`.
fn read_wrapper(bytes: &[u8], base: usize, limits: &Limits) -> Result<Wrapper, Error> {
    let within = |e: CborError| e.within(base);
    let mut d = Decoder::new(bytes, &limits.cbor).map_err(within)?;
    let count = d.array().map_err(within)?;
    if count == 0 {
        return Err(within(CborError::new(0, ErrorKind::Missing("the digest"))).into());
    }
    if count > limits.signatures + 1 {
        return Err(Error::Limit { what: "authentication blocks", limit: limits.signatures });
    }
    let shifted = |range: Range<usize>| range.start + base..range.end + base;
    let (encoded, start) = d.wrapped().map_err(within)?;
    let digest = SuitDigest::from_cbor(encoded, &limits.cbor).map_err(|e| e.within(base + start))?;
    let digest_bytes = shifted(start..start + encoded.len());
    let mut blocks = Vec::with_capacity(count - 1);
    for _ in 1..count {
        let (block, start) = d.wrapped().map_err(within)?;
        let mut inner = Decoder::new(block, &limits.cbor).map_err(|e| e.within(base + start))?;
        match inner.tag().map_err(|e| e.within(base + start))? {
            TAG_SIGN1 | TAG_SIGN | TAG_MAC0 | TAG_MAC => blocks.push(shifted(start..start + block.len())),
            _ => {
                let error = ErrorKind::Value("a tagged COSE_Sign1, COSE_Sign, COSE_Mac0 or COSE_Mac");
                return Err(CborError::new(base + start, error).into());
            }
        }
    }
    Ok((digest, digest_bytes, blocks))
}
