use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind, Kind, Limits};
use tamarack_model::{Hex, UnixTime};

use crate::measurement::{array, non_empty};
use crate::{Comid, read, tag};

/// corim-map, tag 501.
///
/// | label | field | type |
/// |---|---|---|
/// | 0 | `id` | [`Id`] |
/// | 1 | `tags` | at least one [`Tag`] |
/// | 2 | `dependent_rims` | as they came: advice where to find others |
/// | 3 | `profile` | [`Profile`] |
/// | 4 | `validity` | [`Validity`] |
/// | 5 | `entities` | at least one [`Entity`] |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corim {
    /// What its signer calls it.
    pub id: Id,
    /// What it holds.
    pub tags: Vec<Tag>,
    /// Where related ones can be found, as one encoded item.
    pub dependent_rims: Option<Vec<u8>>,
    /// How the tags are to be understood. Who does not know the profile must refuse the CoRIM.
    pub profile: Option<Profile>,
    /// When it holds.
    pub validity: Option<Validity>,
    /// Who made it. Empty means absent.
    pub entities: Vec<Entity>,
}

/// An identifier of a CoRIM or of a tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Id {
    /// A text of 1 to 512 bytes.
    Text(String),
    /// A UUID.
    Uuid([u8; 16]),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Uuid(uuid) => Hex(uuid).fmt(f),
        }
    }
}

/// One tag in a CoRIM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tag {
    /// 506.
    Comid(Comid),
    /// CoSWID (505), CoTL (508) or what comes after the draft: its number and the content of its byte string.
    Other(u64, Vec<u8>),
}

/// profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A URI, tag 32.
    Uri(String),
    /// An object identifier in BER without tag and length, tag 111.
    Oid(Vec<u8>),
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(uri) => f.write_str(uri),
            Self::Oid(oid) => write!(f, "OID {}", Hex(oid)),
        }
    }
}

/// validity-map: `{? 0: not before, 1: not after}`, times under tag 1 in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before: Option<UnixTime>,
    /// Last second.
    pub not_after: UnixTime,
}

/// entity-map: `{0: name, ? 1: URI, 2: [+ role]}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// Name.
    pub name: String,
    /// Where to learn about it.
    pub uri: Option<String>,
    /// Roles: of a CoRIM 1 (manifest-creator), 2 (manifest-signer); of a CoMID 0 (tag-creator), 1 (creator), 2 (maintainer).
    pub roles: Vec<i64>,
}

impl Corim {
    /// A CoRIM with one tag.
    pub fn new(id: Id, tag: Comid) -> Self {
        Self {
            id,
            tags: alloc::vec![Tag::Comid(tag)],
            dependent_rims: None,
            profile: None,
            validity: None,
            entities: Vec::new(),
        }
    }

    /// Reads a CoRIM without a signature, tag 501 and all: for tools. Nobody vouches for it.
    pub fn parse_unsigned(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut d = Decoder::new(bytes, limits)?;
        if !d.optional_tag(tag::CORIM) {
            return Err(d.expected("a CoRIM under tag 501"));
        }
        Self::decode(&mut d, limits)
    }

    fn decode(d: &mut Decoder<'_>, limits: &Limits) -> Result<Self, Error> {
        let at = d.position();
        let (mut id, mut tags, mut dependent_rims, mut profile) = (None, None, None, None);
        let (mut validity, mut entities) = (None, Vec::new());
        read::closed_map(d, |key, d| {
            match key {
                0 => id = Some(Id::decode(d)?),
                1 => tags = Some(read::some(d, |d| Tag::decode(d, limits))?),
                2 if d.peek() == Kind::Array => dependent_rims = Some(d.raw()?.to_vec()),
                2 => return Err(d.expected("an array of locators")),
                3 => profile = Some(Profile::decode(d)?),
                4 => validity = Some(Validity::decode(d)?),
                5 => {
                    let at = d.position();
                    entities = decode_entities(d)?;
                    // Section 4.1.5: who signed is one.
                    let signs = |entity: &&Entity| entity.roles.contains(&MANIFEST_SIGNER);
                    if entities.iter().filter(signs).count() > 1 {
                        return Err(Error::new(at, ErrorKind::Value("at most one manifest-signer")));
                    }
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self {
            id: id.ok_or(Error::new(at, ErrorKind::Missing("id")))?,
            tags: tags.ok_or(Error::new(at, ErrorKind::Missing("tags")))?,
            dependent_rims,
            profile,
            validity,
            entities,
        })
    }
}

impl Encode for Corim {
    fn encode(&self, e: &mut Encoder) {
        e.tag(tag::CORIM).map_with(|map| {
            map.int(0, |e| e.item(&self.id))
                .int(1, |e| array(e, &self.tags))
                .optional(2, self.dependent_rims.as_deref(), |e, locators| e.raw(locators))
                .optional(3, self.profile.as_ref(), |e, profile| e.item(profile))
                .optional(4, self.validity.as_ref(), |e, validity| e.item(validity))
                .optional(5, non_empty(&self.entities), array);
        });
    }
}

impl Tag {
    fn decode(d: &mut Decoder<'_>, limits: &Limits) -> Result<Self, Error> {
        let number = d.tag()?;
        let (content, offset) = d.wrapped()?;
        if number != tag::COMID {
            return Ok(Self::Other(number, content.to_vec()));
        }
        Comid::parse(content, limits).map(Self::Comid).map_err(|e| e.within(offset))
    }
}

impl Encode for Tag {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Comid(comid) => e.tag(tag::COMID).wrapped(comid),
            Self::Other(number, content) => e.tag(*number).bytes(content),
        };
    }
}

impl<'b> Decode<'b> for Id {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        match d.peek() {
            Kind::Text => read::text(d).map(Self::Text),
            _ => d.byte_array("a UUID of 16 bytes").map(Self::Uuid),
        }
    }
}

impl Encode for Id {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Text(text) => e.text(text),
            Self::Uuid(uuid) => e.bytes(uuid),
        };
    }
}

impl<'b> Decode<'b> for Profile {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        if d.optional_tag(tag::OID) {
            return read::bytes(d).map(Self::Oid);
        }
        read::uri(d).map(Self::Uri)
    }
}

impl Encode for Profile {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Uri(uri) => e.tag(tag::URI).text(uri),
            Self::Oid(oid) => e.tag(tag::OID).bytes(oid),
        };
    }
}

impl Validity {
    /// Whether `now` lies inside, both ends included.
    pub fn contains(&self, now: UnixTime) -> bool {
        self.not_before.is_none_or(|first| first <= now) && now <= self.not_after
    }
}

impl<'b> Decode<'b> for Validity {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let (mut not_before, mut not_after) = (None, None);
        let time = |d: &mut Decoder<'b>| {
            if !d.optional_tag(tag::TIME) {
                return Err(d.expected("a time under tag 1"));
            }
            read::seconds(d)
        };
        read::closed_map(d, |key, d| {
            match key {
                0 => not_before = Some(time(d)?),
                1 => not_after = Some(time(d)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let not_after = not_after.ok_or(Error::new(at, ErrorKind::Missing("not-after")))?;
        if not_before.is_some_and(|first| first > not_after) {
            return Err(Error::new(at, ErrorKind::Value("a validity that begins before it ends")));
        }
        Ok(Self { not_before, not_after })
    }
}

impl Encode for Validity {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.optional(0, self.not_before, |e, time| e.tag(tag::TIME).uint(time))
                .int(1, |e| e.tag(tag::TIME).uint(self.not_after));
        });
    }
}

/// Role of an entity of a CoRIM.
const MANIFEST_SIGNER: i64 = 2;

/// At least one entity.
pub(crate) fn decode_entities(d: &mut Decoder<'_>) -> Result<Vec<Entity>, Error> {
    read::some(d, Entity::decode)
}

impl<'b> Decode<'b> for Entity {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let (mut name, mut uri, mut roles) = (None, None, None);
        read::closed_map(d, |key, d| {
            match key {
                0 => name = Some(read::text(d)?),
                1 => uri = Some(read::uri(d)?),
                2 => roles = Some(read::some(d, Decoder::int)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let missing = |what| Error::new(at, ErrorKind::Missing(what));
        Ok(Self { name: name.ok_or(missing("entity-name"))?, uri, roles: roles.ok_or(missing("role"))? })
    }
}

impl Encode for Entity {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.int(0, |e| e.text(&self.name))
                .optional(1, self.uri.as_deref(), |e, uri| e.tag(tag::URI).text(uri))
                .int(2, |e| self.roles.iter().fold(e.array(self.roles.len()), |e, role| e.int(*role)));
        });
    }
}
