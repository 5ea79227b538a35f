use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind, Kind, MapEncoder};

use crate::{Confirmation, Manifest, Measurement, PlatformClaims};

/// Labels of the claims (IANA "CBOR Web Token (CWT) Claims").
pub mod label {
    /// exp (RFC 8392).
    pub const EXP: i64 = 4;
    /// iat (RFC 8392).
    pub const IAT: i64 = 6;
    /// cnf (RFC 8747).
    pub const CNF: i64 = 8;
    /// eat_nonce.
    pub const EAT_NONCE: i64 = 10;
    /// ueid.
    pub const UEID: i64 = 256;
    /// oemid.
    pub const OEMID: i64 = 258;
    /// hwmodel.
    pub const HWMODEL: i64 = 259;
    /// hwversion.
    pub const HWVERSION: i64 = 260;
    /// dbgstat.
    pub const DBGSTAT: i64 = 263;
    /// eat_profile.
    pub const EAT_PROFILE: i64 = 265;
    /// submods.
    pub const SUBMODS: i64 = 266;
    /// manifests.
    pub const MANIFESTS: i64 = 272;
    /// measurements.
    pub const MEASUREMENTS: i64 = 273;
    /// What Tamarack says about a TEE, in the registry's range for private use (below -65536).
    pub const PLATFORM: i64 = -77_061;
}

/// The claims of an EAT that Tamarack reads (RFC 9711 section 4). Others are stepped over.
///
/// | label | field | type |
/// |---|---|---|
/// | 4, 6 | `exp`, `iat` | seconds since 1970, integers only |
/// | 8 | `cnf` | [`Confirmation`] |
/// | 10 | `eat_nonce` | bytes of 8 to 64, or an array of at least two such |
/// | 256 | `ueid` | bytes, 7 to 33 |
/// | 258 | `oemid` | [`OemId`] |
/// | 259 | `hwmodel` | bytes, 1 to 32 |
/// | 260 | `hwversion` | `[text, optional scheme]` |
/// | 263 | `dbgstat` | 0 to 4 |
/// | 265 | `eat_profile` | URI or OID |
/// | 266 | `submods` | name to one item, at least one |
/// | 272 | `manifests` | `[content format, body]`, at least one |
/// | 273 | `measurements` | `[content format, body]`, at least one |
/// | -77061 | `platform` | [`PlatformClaims`] |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Nonces, 8 to 64 bytes each; the TEEP profile allows one only. Empty means absent.
    pub eat_nonce: Vec<Vec<u8>>,
    /// Universal entity id, 7 to 33 bytes.
    pub ueid: Option<Vec<u8>>,
    /// Who made the hardware.
    pub oemid: Option<OemId>,
    /// Which product of that maker, 1 to 32 bytes.
    pub hwmodel: Option<Vec<u8>>,
    /// Which version of it.
    pub hwversion: Option<HardwareVersion>,
    /// Profile that the token follows.
    pub eat_profile: Option<Profile>,
    /// Whether debugging is possible.
    pub dbgstat: Option<DebugStatus>,
    /// The key that the token vouches for.
    pub cnf: Option<Confirmation>,
    /// What firmware runs. Empty means absent.
    pub manifests: Vec<Manifest>,
    /// What else runs or is installed. Empty means absent.
    pub measurements: Vec<Measurement>,
    /// Submodules by name, each as the one encoded item that it is: what signs or hashes them needs their bytes. Empty means
    /// absent.
    pub submods: BTreeMap<String, Vec<u8>>,
    /// When the token was made.
    pub iat: Option<u64>,
    /// When it ends to be valid.
    pub exp: Option<u64>,
    /// Our private claim.
    pub platform: Option<PlatformClaims>,
}

/// oemid: who made the hardware (RFC 9711 section 4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OemId {
    /// IANA Private Enterprise Number.
    Pen(i64),
    /// IEEE OUI, 3 bytes.
    Ieee([u8; 3]),
    /// Random, 16 bytes.
    Random([u8; 16]),
}

/// hwversion (RFC 9711 section 4.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardwareVersion {
    /// The version.
    pub version: String,
    /// CoSWID version scheme (RFC 9393 section 4.1).
    pub scheme: Option<i64>,
}

/// eat_profile (RFC 9711 section 4.3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A URI.
    Uri(String),
    /// An object identifier in BER without tag and length.
    Oid(Vec<u8>),
}

/// dbgstat (RFC 9711 section 4.2.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DebugStatus {
    /// 0: debugging is possible now.
    Enabled,
    /// 1: it is not, but was or may be since boot.
    Disabled,
    /// 2: it is not and was not since boot.
    DisabledSinceBoot,
    /// 3: only the maker can enable it.
    DisabledPermanently,
    /// 4: nobody can.
    DisabledFullyAndPermanently,
}

impl DebugStatus {
    /// The number on the wire.
    pub fn number(self) -> u64 {
        match self {
            Self::Enabled => 0,
            Self::Disabled => 1,
            Self::DisabledSinceBoot => 2,
            Self::DisabledPermanently => 3,
            Self::DisabledFullyAndPermanently => 4,
        }
    }

    /// The status of this number.
    pub fn from_number(number: u64) -> Option<Self> {
        [
            Self::Enabled,
            Self::Disabled,
            Self::DisabledSinceBoot,
            Self::DisabledPermanently,
            Self::DisabledFullyAndPermanently,
        ]
        .into_iter()
        .find(|status| status.number() == number)
    }
}

impl<'b> Decode<'b> for Claims {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let mut claims = Self::default();
        for _ in 0..d.map()? {
            if d.peek() == Kind::Text {
                d.text()?;
                d.raw()?;
                continue;
            }
            match d.int()? {
                label::EXP => claims.exp = Some(d.uint()?),
                label::IAT => claims.iat = Some(d.uint()?),
                label::CNF => claims.cnf = Some(Confirmation::decode(d)?),
                label::EAT_NONCE => claims.eat_nonce = decode_nonces(d)?,
                label::UEID => claims.ueid = Some(sized(d, 7..=33, "a ueid of 7 to 33 bytes")?),
                label::OEMID => claims.oemid = Some(OemId::decode(d)?),
                label::HWMODEL => claims.hwmodel = Some(sized(d, 1..=32, "a hwmodel of 1 to 32 bytes")?),
                label::HWVERSION => claims.hwversion = Some(HardwareVersion::decode(d)?),
                label::DBGSTAT => claims.dbgstat = Some(DebugStatus::decode(d)?),
                label::EAT_PROFILE => claims.eat_profile = Some(Profile::decode(d)?),
                label::SUBMODS => claims.submods = decode_submods(d)?,
                label::MANIFESTS => claims.manifests = at_least_one(d, "at least one manifest")?,
                label::MEASUREMENTS => {
                    claims.measurements = at_least_one(d, "at least one measurement")?;
                }
                label::PLATFORM => claims.platform = Some(PlatformClaims::decode(d)?),
                _ => drop(d.raw()?),
            }
        }
        Ok(claims)
    }
}

impl Encode for Claims {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.optional(label::EXP, self.exp, |e, time| e.uint(time))
                .optional(label::IAT, self.iat, |e, time| e.uint(time))
                .optional(label::CNF, self.cnf.as_ref(), |e, cnf| e.item(cnf))
                .optional(label::UEID, self.ueid.as_deref(), |e, ueid| e.bytes(ueid))
                .optional(label::OEMID, self.oemid.as_ref(), |e, oemid| e.item(oemid))
                .optional(label::HWMODEL, self.hwmodel.as_deref(), |e, model| e.bytes(model))
                .optional(label::HWVERSION, self.hwversion.as_ref(), |e, version| e.item(version))
                .optional(label::DBGSTAT, self.dbgstat, |e, status| e.uint(status.number()))
                .optional(label::EAT_PROFILE, self.eat_profile.as_ref(), |e, profile| e.item(profile))
                .optional(label::PLATFORM, self.platform.as_ref(), |e, platform| e.item(platform));
            encode_nonces(map, &self.eat_nonce);
            if !self.submods.is_empty() {
                map.int(label::SUBMODS, |e| {
                    e.map_with(|submods| {
                        for (name, item) in &self.submods {
                            submods.text(name, |e| e.raw(item));
                        }
                    })
                });
            }
            if !self.manifests.is_empty() {
                map.int(label::MANIFESTS, |e| {
                    self.manifests.iter().fold(e.array(self.manifests.len()), |e, manifest| e.item(manifest))
                });
            }
            if !self.measurements.is_empty() {
                map.int(label::MEASUREMENTS, |e| {
                    self.measurements.iter().fold(e.array(self.measurements.len()), |e, one| e.item(one))
                });
            }
        });
    }
}

pub(crate) fn sized(
    d: &mut Decoder<'_>,
    sizes: RangeInclusive<usize>,
    expected: &'static str,
) -> Result<Vec<u8>, Error> {
    let at = d.position();
    let value = d.bytes()?;
    if sizes.contains(&value.len()) {
        Ok(value.to_vec())
    } else {
        Err(Error::new(at, ErrorKind::Value(expected)))
    }
}

pub(crate) fn decode_nonces(d: &mut Decoder<'_>) -> Result<Vec<Vec<u8>>, Error> {
    let nonce = |d: &mut Decoder<'_>| sized(d, 8..=64, "a nonce of 8 to 64 bytes");
    if d.peek() != Kind::Array {
        return Ok(alloc::vec![nonce(d)?]);
    }
    let at = d.position();
    match d.array()? {
        0 | 1 => Err(Error::new(at, ErrorKind::Value("a single nonce as a byte string"))),
        count => (0..count).map(|_| nonce(d)).collect(),
    }
}

pub(crate) fn encode_nonces(map: &mut MapEncoder, nonces: &[Vec<u8>]) {
    let one_or_many = (!nonces.is_empty()).then_some(nonces);
    map.optional(label::EAT_NONCE, one_or_many, |e, nonces| match nonces {
        [nonce] => e.bytes(nonce),
        nonces => nonces.iter().fold(e.array(nonces.len()), |e, nonce| e.bytes(nonce)),
    });
}

fn at_least_one<'b, T: Decode<'b>>(d: &mut Decoder<'b>, expected: &'static str) -> Result<Vec<T>, Error> {
    let at = d.position();
    match d.array()? {
        0 => Err(Error::new(at, ErrorKind::Value(expected))),
        count => (0..count).map(|_| T::decode(d)).collect(),
    }
}

fn decode_submods(d: &mut Decoder<'_>) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let at = d.position();
    match d.map()? {
        0 => Err(Error::new(at, ErrorKind::Value("at least one submodule"))),
        count => (0..count).map(|_| Ok((d.text()?.into(), d.raw()?.to_vec()))).collect(),
    }
}

impl<'b> Decode<'b> for OemId {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        if matches!(d.peek(), Kind::Uint | Kind::Nint) {
            return d.int().map(Self::Pen);
        }
        let bytes = d.bytes()?;
        let ieee = bytes.try_into().map(Self::Ieee);
        ieee.or_else(|_| bytes.try_into().map(Self::Random))
            .map_err(|_| Error::new(at, ErrorKind::Value("an oemid of 3 or 16 bytes, or a number")))
    }
}

impl Encode for OemId {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Pen(number) => e.int(*number),
            Self::Ieee(bytes) => e.bytes(bytes),
            Self::Random(bytes) => e.bytes(bytes),
        };
    }
}

impl<'b> Decode<'b> for HardwareVersion {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let count = d.array()?;
        if !matches!(count, 1 | 2) {
            return Err(Error::new(at, ErrorKind::Value("[version, optional scheme]")));
        }
        let version = d.text()?.into();
        let scheme = match (count, d.peek()) {
            (1, _) => None,
            // Schemes outside the registry may be named by a text, which nothing here compares.
            (_, Kind::Text) => d.text().map(|_| None)?,
            _ => Some(d.int()?),
        };
        Ok(Self { version, scheme })
    }
}

impl Encode for HardwareVersion {
    fn encode(&self, e: &mut Encoder) {
        e.array(1 + usize::from(self.scheme.is_some())).text(&self.version);
        if let Some(scheme) = self.scheme {
            e.int(scheme);
        }
    }
}

impl<'b> Decode<'b> for DebugStatus {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let unknown = d.error(ErrorKind::Value("a debug status from 0 to 4"));
        Self::from_number(d.uint()?).ok_or(unknown)
    }
}

impl<'b> Decode<'b> for Profile {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        match d.peek() {
            Kind::Text => d.text().map(|uri| Self::Uri(uri.into())),
            _ => d.bytes().map(|oid| Self::Oid(oid.to_vec())),
        }
    }
}

impl Encode for Profile {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Uri(uri) => e.text(uri),
            Self::Oid(oid) => e.bytes(oid),
        };
    }
}
