use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind, Kind, Limits};
use tamarack_model::ComponentId;

/// CoAP Content-Format of application/measured-component+cbor (RFC 10013).
const FORMAT_MEASURED_COMPONENT: u64 = 295;
/// SHA-256 in the "Named Information Hash Algorithm" registry.
const SHA_256: i64 = 1;
/// CoSWID version scheme "decimal" (RFC 9393 section 4.1).
const DECIMAL: i64 = 4;
/// Bit of [`MeasuredComponent::flags`] in our profile: the TA is in memory, and its digest is of what was loaded.
const LOADED: u8 = 1;

/// An entry of the measurements claim (RFC 9711 section 4.2.16): `[CoAP Content-Format, body]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// A measured component, under Content-Format 295 as a byte string.
    Component(MeasuredComponent),
    /// Anything else.
    Other {
        /// CoAP Content-Format number.
        format: u64,
        /// The body as one encoded item.
        body: Vec<u8>,
    },
}

/// A measured component (RFC 10013, draft-ietf-rats-eat-measured-component).
///
/// | label | field | type |
/// |---|---|---|
/// | 1 | `name`, `version` | `[name, optional [version, optional scheme]]` |
/// | 2 or 5 | `value` | `[algorithm, digest]` or bytes |
/// | 3 | `authorities` | array of at least one byte string |
/// | 4 | `flags` | bytes, 8 |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasuredComponent {
    /// Its name, the same in every release.
    pub name: String,
    /// Its version and the CoSWID scheme of that, if it is a registered one.
    pub version: Option<(String, Option<i64>)>,
    /// What was measured.
    pub value: MeasuredValue,
    /// Who signed it, as the profile says. Empty means absent.
    pub authorities: Vec<Vec<u8>>,
    /// What the profile says.
    pub flags: Option<[u8; 8]>,
}

/// What was measured of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeasuredValue {
    /// A digest, by an algorithm of the "Named Information Hash Algorithm" registry.
    Digest {
        /// Which.
        algorithm: HashName,
        /// The digest.
        value: Vec<u8>,
    },
    /// The state itself.
    Raw(Vec<u8>),
}

/// A hash algorithm as RFC 6920 registers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashName {
    /// Its number.
    Id(i64),
    /// Its name.
    Name(String),
}

/// A Trusted Application as our Evidence measures it: what a [`MeasuredComponent`] says in the profiles of Tamarack.
///
/// | member | holds |
/// |---|---|
/// | name | the text form of the component id |
/// | version | the sequence number of its manifest, scheme 4 (decimal) |
/// | digest | SHA-256 of its code: measured at load if it is loaded, at installation if not |
/// | authorities | one entry: the CBOR of `[provider, manifest id]`, whose anchor in the device vouched for it |
/// | flags | bit 0 of the last byte: it is loaded; the others are 0 |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasuredTa {
    /// Its component id.
    pub component: ComponentId,
    /// Manifest component id of what installed it.
    pub manifest: ComponentId,
    /// The provider that signed this.
    pub provider: String,
    /// Sequence number of that manifest.
    pub sequence: u64,
    /// SHA-256 of its code.
    pub digest: [u8; 32],
    /// Whether it is in memory now.
    pub loaded: bool,
}

impl From<&MeasuredTa> for MeasuredComponent {
    fn from(ta: &MeasuredTa) -> Self {
        let mut authority = Encoder::new();
        authority.array(2).text(&ta.provider);
        encode_id(&mut authority, &ta.manifest);
        Self {
            name: ta.component.to_string(),
            version: Some((ta.sequence.to_string(), Some(DECIMAL))),
            value: MeasuredValue::Digest { algorithm: HashName::Id(SHA_256), value: ta.digest.to_vec() },
            authorities: alloc::vec![authority.into_bytes()],
            flags: Some([0, 0, 0, 0, 0, 0, 0, if ta.loaded { LOADED } else { 0 }]),
        }
    }
}

/// Why a measured component is no TA of our profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTa(
    /// The member that does not fit.
    pub &'static str,
);

impl fmt::Display for NoTa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} of a measured component is not that of a TA", self.0)
    }
}

impl core::error::Error for NoTa {}

impl TryFrom<&MeasuredComponent> for MeasuredTa {
    type Error = NoTa;

    fn try_from(measured: &MeasuredComponent) -> Result<Self, NoTa> {
        let component = ComponentId::parse_text(&measured.name).map_err(|_| NoTa("name"))?;
        let sequence = match &measured.version {
            Some((text, Some(DECIMAL))) => text.parse().map_err(|_| NoTa("version"))?,
            Some(_) | None => return Err(NoTa("version")),
        };
        let digest = match &measured.value {
            MeasuredValue::Digest { algorithm: HashName::Id(SHA_256), value } => {
                value.as_slice().try_into().map_err(|_| NoTa("digest"))?
            }
            MeasuredValue::Digest { .. } | MeasuredValue::Raw(_) => return Err(NoTa("digest")),
        };
        let [authority] = measured.authorities.as_slice() else { return Err(NoTa("authorities")) };
        let (provider, manifest) = read_authority(authority).map_err(|_| NoTa("authorities"))?;
        let loaded = match measured.flags {
            Some([0, 0, 0, 0, 0, 0, 0, flags @ (0 | LOADED)]) => flags == LOADED,
            Some(_) | None => return Err(NoTa("flags")),
        };
        let ta = Self { component, manifest, provider, sequence, digest, loaded };
        // One TA has one text: another spelling of the same id must not pass for another component.
        if Self::spelled(&ta) == *measured { Ok(ta) } else { Err(NoTa("spelling")) }
    }
}

impl MeasuredTa {
    fn spelled(&self) -> MeasuredComponent {
        self.into()
    }
}

fn read_authority(bytes: &[u8]) -> Result<(String, ComponentId), Error> {
    let mut d = Decoder::new(bytes, &Limits::default())?;
    d.array_of(2, "[provider, manifest id]")?;
    Ok((d.text()?.into(), decode_id(&mut d)?))
}

pub(crate) fn encode_id<'e>(e: &'e mut Encoder, id: &ComponentId) -> &'e mut Encoder {
    id.segments().iter().fold(e.array(id.segments().len()), |e, segment| e.bytes(segment))
}

pub(crate) fn decode_id(d: &mut Decoder<'_>) -> Result<ComponentId, Error> {
    let at = d.position();
    let segments = (0..d.array()?).map(|_| Ok(d.bytes()?.to_vec())).collect::<Result<Vec<_>, Error>>()?;
    ComponentId::new(segments).map_err(|_| Error::new(at, ErrorKind::Value("a component id")))
}

impl<'b> Decode<'b> for Measurement {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        d.array_of(2, "[content format, body]")?;
        let at = d.position();
        let format = d.uint()?;
        if format > u16::MAX.into() {
            return Err(Error::new(at, ErrorKind::Value("a Content-Format of at most 2 bytes")));
        }
        if format != FORMAT_MEASURED_COMPONENT {
            return Ok(Self::Other { format, body: d.raw()?.to_vec() });
        }
        let (body, offset) = d.wrapped()?;
        let component = MeasuredComponent::from_cbor(body, &Limits::default());
        component.map(Self::Component).map_err(|e| e.within(offset))
    }
}

impl Encode for Measurement {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Component(component) => e.array(2).uint(FORMAT_MEASURED_COMPONENT).wrapped(component),
            Self::Other { format, body } => e.array(2).uint(*format).raw(body),
        };
    }
}

impl<'b> Decode<'b> for MeasuredComponent {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let (mut id, mut digest, mut raw, mut authorities, mut flags) = (None, None, None, Vec::new(), None);
        for _ in 0..d.map()? {
            match d.int()? {
                1 => id = Some(decode_name(d)?),
                2 => digest = Some(decode_digest(d)?),
                3 => {
                    let at = d.position();
                    authorities =
                        (0..d.array()?).map(|_| Ok(d.bytes()?.to_vec())).collect::<Result<_, _>>()?;
                    if authorities.is_empty() {
                        return Err(Error::new(at, ErrorKind::Value("at least one authority")));
                    }
                }
                4 => flags = Some(d.byte_array("flags of 8 bytes")?),
                5 => raw = Some(MeasuredValue::Raw(d.bytes()?.to_vec())),
                // The map is closed: what is not known may change what the rest means.
                _ => return Err(Error::new(at, ErrorKind::Value("members 1 to 5 of a measured component"))),
            }
        }
        let (name, version) = id.ok_or(Error::new(at, ErrorKind::Missing("id")))?;
        let value = match (digest, raw) {
            (Some(value), None) | (None, Some(value)) => value,
            _ => return Err(Error::new(at, ErrorKind::Value("a digest or a raw value"))),
        };
        Ok(Self { name, version, value, authorities, flags })
    }
}

type NameVersion = (String, Option<(String, Option<i64>)>);

fn decode_name(d: &mut Decoder<'_>) -> Result<NameVersion, Error> {
    let at = d.position();
    let count = d.array()?;
    if !matches!(count, 1 | 2) {
        return Err(Error::new(at, ErrorKind::Value("[name, optional version]")));
    }
    let name = d.text()?.into();
    if count == 1 {
        return Ok((name, None));
    }
    let at = d.position();
    let count = d.array()?;
    if !matches!(count, 1 | 2) {
        return Err(Error::new(at, ErrorKind::Value("[version, optional scheme]")));
    }
    let version = d.text()?.into();
    let scheme = match (count, d.peek()) {
        (1, _) => None,
        // As in hwversion: nothing here compares schemes outside the registry.
        (_, Kind::Text) => d.text().map(|_| None)?,
        _ => Some(d.int()?),
    };
    Ok((name, Some((version, scheme))))
}

fn decode_digest(d: &mut Decoder<'_>) -> Result<MeasuredValue, Error> {
    d.array_of(2, "[algorithm, digest]")?;
    let algorithm = match d.peek() {
        Kind::Text => HashName::Name(d.text()?.into()),
        _ => HashName::Id(d.int()?),
    };
    Ok(MeasuredValue::Digest { algorithm, value: d.bytes()?.to_vec() })
}

impl Encode for MeasuredComponent {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.int(1, |e| {
                e.array(1 + usize::from(self.version.is_some())).text(&self.name);
                if let Some((version, scheme)) = &self.version {
                    e.array(1 + usize::from(scheme.is_some())).text(version);
                    if let Some(scheme) = scheme {
                        e.int(*scheme);
                    }
                }
                e
            });
            match &self.value {
                MeasuredValue::Digest { algorithm, value } => map.int(2, |e| {
                    match algorithm {
                        HashName::Id(number) => e.array(2).int(*number),
                        HashName::Name(name) => e.array(2).text(name),
                    };
                    e.bytes(value)
                }),
                MeasuredValue::Raw(bytes) => map.int(5, |e| e.bytes(bytes)),
            };
            if !self.authorities.is_empty() {
                map.int(3, |e| {
                    self.authorities.iter().fold(e.array(self.authorities.len()), |e, one| e.bytes(one))
                });
            }
            map.optional(4, self.flags, |e, flags| e.bytes(&flags));
        });
    }
}
