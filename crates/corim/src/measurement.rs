use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind, Kind};
use tamarack_crypto::HashAlgorithm;

use crate::{CryptoKey, read, tag};

/// Labels of the flags-map.
pub mod flag {
    /// is-configured.
    pub const CONFIGURED: i64 = 0;
    /// is-secure.
    pub const SECURE: i64 = 1;
    /// is-recovery.
    pub const RECOVERY: i64 = 2;
    /// is-debug.
    pub const DEBUG: i64 = 3;
    /// is-replay-protected.
    pub const REPLAY_PROTECTED: i64 = 4;
    /// is-integrity-protected.
    pub const INTEGRITY_PROTECTED: i64 = 5;
    /// is-runtime-meas.
    pub const RUNTIME_MEASURED: i64 = 6;
    /// is-immutable.
    pub const IMMUTABLE: i64 = 7;
    /// is-tcb.
    pub const TCB: i64 = 8;
    /// is-confidentiality-protected.
    pub const CONFIDENTIALITY_PROTECTED: i64 = 9;
    /// is-runtime-updatable, the highest that is defined.
    pub const RUNTIME_UPDATABLE: i64 = 10;
}

/// measurement-map: the values of one measured element.
///
/// | label | field | type |
/// |---|---|---|
/// | 0 | `element` | [`MeasuredElement`] |
/// | 1 | `values` | [`MeasurementValues`] |
/// | 2 | `authorized_by` | at least one [`CryptoKey`] |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// Which element (mkey); absent for an environment that has only one.
    pub element: Option<MeasuredElement>,
    /// Its values.
    pub values: MeasurementValues,
    /// Who must have made the claims that are compared with it. Empty means absent.
    pub authorized_by: Vec<CryptoKey>,
}

/// Name of a measured element (mkey).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MeasuredElement {
    /// A text: in our profile the URI of an entry of the manifests claim.
    Text(String),
    /// A number.
    Uint(u64),
    /// A UUID, tag 37.
    Uuid([u8; 16]),
    /// An object identifier in BER without tag and length, tag 111.
    Oid(Vec<u8>),
}

/// measurement-values-map, at least one member.
///
/// | label | field | type |
/// |---|---|---|
/// | 0 | `version` | [`Version`] |
/// | 1 | `svn` | [`Svn`] |
/// | 2 | `digests` | at least one [`Digest`], each of another algorithm |
/// | 3 | `flags` | at least one of [`flag`], true or false |
/// | 11 | `name` | text |
/// | 13 | `cryptokeys` | at least one [`CryptoKey`] |
/// | other | `other` | as it came |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeasurementValues {
    /// Version.
    pub version: Option<Version>,
    /// Security version number.
    pub svn: Option<Svn>,
    /// Digests of one and the same content. Empty means absent.
    pub digests: Vec<Digest>,
    /// Modes, by label, ascending. Empty means absent.
    pub flags: Vec<(i64, bool)>,
    /// Name of the environment or element.
    pub name: Option<String>,
    /// Keys of the environment. Empty means absent.
    pub cryptokeys: Vec<CryptoKey>,
    /// Values of other labels, each as one encoded item, in the order of their encoded labels.
    pub other: Vec<(i64, Vec<u8>)>,
}

/// version-map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The version.
    pub version: String,
    /// Its scheme (RFC 9393 section 4.1) as one encoded item, a number or a text.
    pub scheme: Option<Vec<u8>>,
}

/// Security version number (section "Security Version Number").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Svn {
    /// Exactly this one; written with tag 552, read with or without it.
    Exact(u64),
    /// This one or a higher one, tag 553.
    AtLeast(u64),
}

/// `[algorithm, value]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The algorithm.
    pub algorithm: DigestAlgorithm,
    /// The value, of the algorithm's length if that is known here, else 1 to 512 bytes.
    pub value: Vec<u8>,
}

/// Algorithm of the IANA registry "Named Information Hash Algorithms".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// By number.
    Id(i64),
    /// By name.
    Name(String),
}

impl Digest {
    /// A SHA-256 digest.
    pub fn sha256(value: [u8; 32]) -> Self {
        Self { algorithm: DigestAlgorithm::Id(1), value: value.to_vec() }
    }
}

impl DigestAlgorithm {
    /// The algorithm, if Tamarack computes it.
    pub fn hash(&self) -> Option<HashAlgorithm> {
        match self {
            Self::Id(1) => Some(HashAlgorithm::Sha256),
            Self::Id(7) => Some(HashAlgorithm::Sha384),
            Self::Id(8) => Some(HashAlgorithm::Sha512),
            Self::Name(name) if name == "sha-256" => Some(HashAlgorithm::Sha256),
            Self::Name(name) if name == "sha-384" => Some(HashAlgorithm::Sha384),
            Self::Name(name) if name == "sha-512" => Some(HashAlgorithm::Sha512),
            Self::Id(_) | Self::Name(_) => None,
        }
    }

    /// Whether both name the same algorithm, one perhaps by number and the other by name.
    fn is(&self, other: &Self) -> bool {
        self == other || self.hash().is_some_and(|hash| Some(hash) == other.hash())
    }
}

impl<'b> Decode<'b> for Measurement {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let (mut element, mut values, mut authorized_by) = (None, None, Vec::new());
        read::closed_map(d, |key, d| {
            match key {
                0 => element = Some(MeasuredElement::decode(d)?),
                1 => values = Some(MeasurementValues::decode(d)?),
                2 => authorized_by = read::some(d, CryptoKey::decode)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let values = values.ok_or(Error::new(at, ErrorKind::Missing("mval")))?;
        Ok(Self { element, values, authorized_by })
    }
}

impl Encode for Measurement {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.optional(0, self.element.as_ref(), |e, element| e.item(element))
                .int(1, |e| e.item(&self.values))
                .optional(2, non_empty(&self.authorized_by), array);
        });
    }
}

impl<'b> Decode<'b> for MeasuredElement {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        Ok(match (d.peek(), read::peek_tag(d)) {
            (Kind::Text, _) => Self::Text(read::text(d)?),
            (Kind::Uint, _) => Self::Uint(d.uint()?),
            (_, Some(tag::UUID)) => {
                d.tag()?;
                Self::Uuid(d.byte_array("a UUID of 16 bytes")?)
            }
            (_, Some(tag::OID)) => {
                d.tag()?;
                Self::Oid(read::bytes(d)?)
            }
            _ => return Err(d.expected("a text, a number, a UUID or an OID")),
        })
    }
}

impl Encode for MeasuredElement {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Text(text) => e.text(text),
            Self::Uint(number) => e.uint(*number),
            Self::Uuid(uuid) => e.tag(tag::UUID).bytes(uuid),
            Self::Oid(oid) => e.tag(tag::OID).bytes(oid),
        };
    }
}

impl<'b> Decode<'b> for MeasurementValues {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let mut values = Self::default();
        let mut other = Vec::new();
        read::map(d, &mut other, |key, d| {
            match key {
                0 => values.version = Some(Version::decode(d)?),
                1 => values.svn = Some(Svn::decode(d)?),
                2 => values.digests = decode_digests(d)?,
                3 => values.flags = decode_flags(d)?,
                11 => values.name = Some(read::text(d)?),
                13 => values.cryptokeys = read::some(d, CryptoKey::decode)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        values.other = other;
        if values == Self::default() {
            return Err(Error::new(at, ErrorKind::Value("at least one measured value")));
        }
        Ok(values)
    }
}

impl Encode for MeasurementValues {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.optional(0, self.version.as_ref(), |e, version| e.item(version))
                .optional(1, self.svn, |e, svn| e.item(&svn))
                .optional(2, non_empty(&self.digests), array)
                .optional(11, self.name.as_deref(), |e, name| e.text(name))
                .optional(13, non_empty(&self.cryptokeys), array);
            if !self.flags.is_empty() {
                map.int(3, |e| {
                    e.map_with(|map| {
                        for (label, set) in &self.flags {
                            map.int(*label, |e| e.bool(*set));
                        }
                    })
                });
            }
            for (label, value) in &self.other {
                map.int(*label, |e| e.raw(value));
            }
        });
    }
}

pub(crate) fn non_empty<T>(list: &[T]) -> Option<&[T]> {
    (!list.is_empty()).then_some(list)
}

pub(crate) fn array<'e, T: Encode>(e: &'e mut Encoder, list: &[T]) -> &'e mut Encoder {
    list.iter().fold(e.array(list.len()), |e, item| e.item(item))
}

/// At least one, no algorithm twice: otherwise a receiver could pick the weaker or the other one.
fn decode_digests(d: &mut Decoder<'_>) -> Result<Vec<Digest>, Error> {
    let mut digests: Vec<Digest> = Vec::new();
    read::some(d, |d| {
        let at = d.position();
        let digest = Digest::decode(d)?;
        if digests.iter().any(|known| known.algorithm.is(&digest.algorithm)) {
            return Err(Error::new(at, ErrorKind::Value("one digest per algorithm")));
        }
        digests.push(digest);
        Ok(())
    })?;
    Ok(digests)
}

fn decode_flags(d: &mut Decoder<'_>) -> Result<Vec<(i64, bool)>, Error> {
    let at = d.position();
    let mut flags = Vec::new();
    for _ in 0..d.map()? {
        let at = d.position();
        let label = d.int()?;
        if !(flag::CONFIGURED..=flag::RUNTIME_UPDATABLE).contains(&label) {
            return Err(Error::new(at, ErrorKind::UnknownKey(label)));
        }
        flags.push((label, d.bool()?));
    }
    flags.sort_unstable();
    if flags.is_empty() {
        return Err(Error::new(at, ErrorKind::Value("at least one flag")));
    }
    Ok(flags)
}

impl<'b> Decode<'b> for Version {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let (mut version, mut scheme) = (None, None);
        read::closed_map(d, |key, d| {
            match key {
                0 => version = Some(read::text(d)?),
                1 if matches!(d.peek(), Kind::Uint | Kind::Nint | Kind::Text) => {
                    scheme = Some(d.raw()?.to_vec());
                }
                1 => return Err(d.expected("a version scheme")),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self { version: version.ok_or(Error::new(at, ErrorKind::Missing("version")))?, scheme })
    }
}

impl Encode for Version {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.int(0, |e| e.text(&self.version))
                .optional(1, self.scheme.as_deref(), |e, scheme| e.raw(scheme));
        });
    }
}

impl<'b> Decode<'b> for Svn {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        if d.optional_tag(tag::MIN_SVN) {
            return d.uint().map(Self::AtLeast);
        }
        d.optional_tag(tag::SVN);
        d.uint().map(Self::Exact)
    }
}

impl Encode for Svn {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Exact(svn) => e.tag(tag::SVN).uint(*svn),
            Self::AtLeast(svn) => e.tag(tag::MIN_SVN).uint(*svn),
        };
    }
}

impl<'b> Decode<'b> for Digest {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        d.array_of(2, "[algorithm, value]")?;
        let algorithm = match d.peek() {
            Kind::Text => DigestAlgorithm::Name(read::text(d)?),
            _ => DigestAlgorithm::Id(d.int()?),
        };
        let at = d.position();
        let value = read::bytes(d)?;
        let size = algorithm.hash().map(|hash| hash.digest_length());
        if size.is_some_and(|size| size != value.len()) {
            return Err(Error::new(at, ErrorKind::Value("a digest of the algorithm's length")));
        }
        Ok(Self { algorithm, value })
    }
}

impl Encode for Digest {
    fn encode(&self, e: &mut Encoder) {
        e.array(2);
        match &self.algorithm {
            DigestAlgorithm::Id(id) => e.int(*id),
            DigestAlgorithm::Name(name) => e.text(name),
        };
        e.bytes(&self.value);
    }
}
