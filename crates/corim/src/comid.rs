use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind, Kind, Limits};

use crate::document::decode_entities;
use crate::measurement::{array, non_empty};
use crate::{CryptoKey, Entity, Environment, Id, MeasuredElement, Measurement, read};

/// concise-mid-tag: a tag about modules of a device.
///
/// | label | field | type |
/// |---|---|---|
/// | 0 | `language` | text |
/// | 1 | `tag_id`, `tag_version` | `{0: id, 1: unsigned}` |
/// | 2 | `entities` | at least one [`Entity`] |
/// | 3 | `linked_tags` | at least one [`LinkedTag`] |
/// | 4.0 | `reference_values` | at least one [`Triple`] |
/// | 4.1 | `endorsed_values` | at least one [`Triple`] |
/// | 4.3 | `attest_keys` | at least one [`AttestKeys`] |
/// | 4.n | `other_triples` | as they came |
///
/// The map of triples (4) has at least one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comid {
    /// Language of the texts.
    pub language: Option<String>,
    /// What the tag is called, by whoever signs it, over all its versions.
    pub tag_id: Id,
    /// Its version; 0 if absent.
    pub tag_version: u64,
    /// Who made it. Empty means absent.
    pub entities: Vec<Entity>,
    /// Other tags that it supplements or replaces. Empty means absent.
    pub linked_tags: Vec<LinkedTag>,
    /// States that an environment may be in. Empty means absent.
    pub reference_values: Vec<Triple>,
    /// What is true of an environment, besides what it says itself. Empty means absent.
    pub endorsed_values: Vec<Triple>,
    /// Keys that sign Evidence for an environment. Empty means absent.
    pub attest_keys: Vec<AttestKeys>,
    /// Triples of other kinds, each list as one encoded item, in the order of their encoded labels.
    pub other_triples: Vec<(i64, Vec<u8>)>,
}

impl Comid {
    /// A tag without triples, which is not a tag yet.
    pub fn new(tag_id: Id, tag_version: u64) -> Self {
        Self {
            language: None,
            tag_id,
            tag_version,
            entities: Vec::new(),
            linked_tags: Vec::new(),
            reference_values: Vec::new(),
            endorsed_values: Vec::new(),
            attest_keys: Vec::new(),
            other_triples: Vec::new(),
        }
    }
}

/// `[environment, [+ measurement]]`: a reference-triple-record or an endorsed-triple-record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Triple {
    /// Whose values.
    pub environment: Environment,
    /// The values, at least one.
    pub measurements: Vec<Measurement>,
}

/// attest-key-triple-record: `[environment, [+ key], ? conditions]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestKeys {
    /// Whose keys.
    pub environment: Environment,
    /// The keys, at least one.
    pub keys: Vec<CryptoKey>,
    /// Only for this element of the environment.
    pub element: Option<MeasuredElement>,
    /// Only if one of these said so. Empty means absent.
    pub authorized_by: Vec<CryptoKey>,
}

/// linked-tag-map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedTag {
    /// The other tag.
    pub tag_id: Id,
    /// What this tag does to it.
    pub relation: Relation,
}

/// tag-rel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// 0: adds to it.
    Supplements,
    /// 1: the other one must be disregarded.
    Replaces,
}

impl Comid {
    /// Reads a CoMID without the tag 506 and the byte string around it.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        Self::from_cbor(bytes, limits)
    }
}

impl<'b> Decode<'b> for Comid {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let (mut identity, mut triples) = (false, false);
        let mut tag = Self::new(Id::Text(String::new()), 0);
        read::closed_map(d, |key, d| {
            match key {
                0 => tag.language = Some(read::text(d)?),
                1 => {
                    (tag.tag_id, tag.tag_version) = decode_identity(d)?;
                    identity = true;
                }
                2 => tag.entities = decode_entities(d)?,
                3 => tag.linked_tags = read::some(d, LinkedTag::decode)?,
                4 => {
                    decode_triples(&mut tag, d)?;
                    triples = true;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if !identity {
            return Err(Error::new(at, ErrorKind::Missing("tag-identity")));
        }
        if !triples {
            return Err(Error::new(at, ErrorKind::Missing("triples")));
        }
        Ok(tag)
    }
}

fn decode_identity(d: &mut Decoder<'_>) -> Result<(Id, u64), Error> {
    let at = d.position();
    let (mut id, mut version) = (None, 0);
    read::closed_map(d, |key, d| {
        match key {
            0 => id = Some(Id::decode(d)?),
            1 => version = d.uint()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok((id.ok_or(Error::new(at, ErrorKind::Missing("tag-id")))?, version))
}

fn decode_triples(tag: &mut Comid, d: &mut Decoder<'_>) -> Result<(), Error> {
    let at = d.position();
    if d.clone().map()? == 0 {
        return Err(Error::new(at, ErrorKind::Value("at least one list of triples")));
    }
    let mut other = Vec::new();
    read::map(d, &mut other, |key, d| {
        match key {
            0 => tag.reference_values = read::some(d, Triple::decode)?,
            1 => tag.endorsed_values = read::some(d, Triple::decode)?,
            3 => tag.attest_keys = read::some(d, AttestKeys::decode)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    tag.other_triples = other;
    Ok(())
}

impl Encode for Comid {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.optional(0, self.language.as_deref(), |e, language| e.text(language))
                .int(1, |e| {
                    e.map_with(|map| {
                        map.int(0, |e| e.item(&self.tag_id));
                        // 0 is what its absence means.
                        map.optional(1, Some(self.tag_version).filter(|version| *version != 0), |e, v| {
                            e.uint(v)
                        });
                    })
                })
                .optional(2, non_empty(&self.entities), array)
                .optional(3, non_empty(&self.linked_tags), array)
                .int(4, |e| {
                    e.map_with(|map| {
                        map.optional(0, non_empty(&self.reference_values), array)
                            .optional(1, non_empty(&self.endorsed_values), array)
                            .optional(3, non_empty(&self.attest_keys), array);
                        for (label, triples) in &self.other_triples {
                            map.int(*label, |e| e.raw(triples));
                        }
                    })
                });
        });
    }
}

impl<'b> Decode<'b> for Triple {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        d.array_of(2, "[environment, measurements]")?;
        Ok(Self { environment: Environment::decode(d)?, measurements: read::some(d, Measurement::decode)? })
    }
}

impl Encode for Triple {
    fn encode(&self, e: &mut Encoder) {
        e.array(2).item(&self.environment);
        array(e, &self.measurements);
    }
}

impl<'b> Decode<'b> for AttestKeys {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let count = d.array()?;
        if !matches!(count, 2 | 3) {
            return Err(Error::new(at, ErrorKind::Value("[environment, keys, optional conditions]")));
        }
        let mut record = Self {
            environment: Environment::decode(d)?,
            keys: read::some(d, CryptoKey::decode)?,
            element: None,
            authorized_by: Vec::new(),
        };
        if count == 3 {
            let at = d.position();
            if d.peek() == Kind::Map && d.clone().map()? == 0 {
                return Err(Error::new(at, ErrorKind::Value("at least one condition")));
            }
            read::closed_map(d, |key, d| {
                match key {
                    0 => record.element = Some(MeasuredElement::decode(d)?),
                    1 => record.authorized_by = read::some(d, CryptoKey::decode)?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(record)
    }
}

impl Encode for AttestKeys {
    fn encode(&self, e: &mut Encoder) {
        let conditions = self.element.is_some() || !self.authorized_by.is_empty();
        e.array(if conditions { 3 } else { 2 }).item(&self.environment);
        array(e, &self.keys);
        if conditions {
            e.map_with(|map| {
                map.optional(0, self.element.as_ref(), |e, element| e.item(element)).optional(
                    1,
                    non_empty(&self.authorized_by),
                    array,
                );
            });
        }
    }
}

impl<'b> Decode<'b> for LinkedTag {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let (mut tag_id, mut relation) = (None, None);
        read::closed_map(d, |key, d| {
            let at = d.position();
            match key {
                0 => tag_id = Some(Id::decode(d)?),
                1 => {
                    relation = Some(match d.uint()? {
                        0 => Relation::Supplements,
                        1 => Relation::Replaces,
                        _ => return Err(Error::new(at, ErrorKind::Value("0 (supplements) or 1 (replaces)"))),
                    });
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(Self {
            tag_id: tag_id.ok_or(Error::new(at, ErrorKind::Missing("linked-tag-id")))?,
            relation: relation.ok_or(Error::new(at, ErrorKind::Missing("tag-rel")))?,
        })
    }
}

impl Encode for LinkedTag {
    fn encode(&self, e: &mut Encoder) {
        let relation = match self.relation {
            Relation::Supplements => 0,
            Relation::Replaces => 1,
        };
        e.map_with(|map| {
            map.int(0, |e| e.item(&self.tag_id)).int(1, |e| e.uint(relation));
        });
    }
}
