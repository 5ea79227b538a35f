use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind};

use crate::measurement::Digest;
use crate::{CryptoKey, read, tag};

/// environment-map: whose values they are; at least one member.
///
/// | label | field | type |
/// |---|---|---|
/// | 0 | `class` | [`Class`] |
/// | 1 | `instance` | [`Instance`] |
/// | 2 | `group` | [`Group`] |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// What kind.
    pub class: Option<Class>,
    /// Which one of the kind.
    pub instance: Option<Instance>,
    /// Which anonymity set.
    pub group: Option<Group>,
}

/// class-map, at least one member.
///
/// | label | field | type |
/// |---|---|---|
/// | 0 | `class_id` | [`ClassId`] |
/// | 1 | `vendor` | text |
/// | 2 | `model` | text, with a vendor only |
/// | 3 | `layer` | unsigned |
/// | 4 | `index` | unsigned |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// Well-known identifier.
    pub class_id: Option<ClassId>,
    /// Who chose the other values.
    pub vendor: Option<String>,
    /// Which product of the vendor.
    pub model: Option<String>,
    /// Position in a sequence of environments that start each other.
    pub layer: Option<u64>,
    /// Which of several environments of the class in one device.
    pub index: Option<u64>,
}

/// class-id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassId {
    /// Object identifier in BER without tag and length, tag 111.
    Oid(Vec<u8>),
    /// UUID, tag 37.
    Uuid([u8; 16]),
    /// Opaque, tag 560.
    Bytes(Vec<u8>),
}

/// instance-id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instance {
    /// UEID of 7 to 33 bytes, tag 550.
    Ueid(Vec<u8>),
    /// UUID, tag 37.
    Uuid([u8; 16]),
    /// Its key, or a name of it, of the kinds that the draft allows here: not a certification path.
    Key(CryptoKey),
}

impl Instance {
    /// The instance whose attestation key has this SHA-256 thumbprint.
    pub fn of_key(thumbprint: [u8; 32]) -> Self {
        Self::Key(CryptoKey::KeyThumbprint(Digest::sha256(thumbprint)))
    }
}

/// group-id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// UUID, tag 37.
    Uuid([u8; 16]),
    /// Opaque, tag 560.
    Bytes(Vec<u8>),
}

impl Environment {
    /// An environment that is named by its class only.
    pub fn of_class(class: Class) -> Self {
        Self { class: Some(class), ..Self::default() }
    }

    /// Whether everything that `self` says is said by `other` as well, with the same values (section "Environment
    /// Comparison"): `self` is the condition, `other` the environment that is looked at.
    pub fn includes(&self, other: &Self) -> bool {
        self.class
            .as_ref()
            .is_none_or(|class| other.class.as_ref().is_some_and(|other| class.includes(other)))
            && said(&self.instance, &other.instance)
            && said(&self.group, &other.group)
    }
}

impl Environment {
    /// Whether some environment could belong to both: nothing that one says is contradicted by the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        let classes = self.class.as_ref().zip(other.class.as_ref());
        classes.is_none_or(|(a, b)| a.overlaps(b))
            && agree(&self.instance, &other.instance)
            && agree(&self.group, &other.group)
    }
}

impl Class {
    fn overlaps(&self, other: &Self) -> bool {
        agree(&self.class_id, &other.class_id)
            && agree(&self.vendor, &other.vendor)
            && agree(&self.model, &other.model)
            && agree(&self.layer, &other.layer)
            && agree(&self.index, &other.index)
    }

    fn includes(&self, other: &Self) -> bool {
        said(&self.class_id, &other.class_id)
            && said(&self.vendor, &other.vendor)
            && said(&self.model, &other.model)
            && said(&self.layer, &other.layer)
            && said(&self.index, &other.index)
    }
}

fn said<T: PartialEq>(condition: &Option<T>, entry: &Option<T>) -> bool {
    condition.is_none() || condition == entry
}

fn agree<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> bool {
    a.is_none() || b.is_none() || a == b
}

impl<'b> Decode<'b> for Environment {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let mut environment = Self::default();
        read::closed_map(d, |key, d| {
            match key {
                0 => environment.class = Some(Class::decode(d)?),
                1 => environment.instance = Some(Instance::decode(d)?),
                2 => environment.group = Some(Group::decode(d)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if environment == Self::default() {
            return Err(Error::new(at, ErrorKind::Value("a class, an instance or a group")));
        }
        Ok(environment)
    }
}

impl Encode for Environment {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.optional(0, self.class.as_ref(), |e, class| e.item(class))
                .optional(1, self.instance.as_ref(), |e, instance| e.item(instance))
                .optional(2, self.group.as_ref(), |e, group| e.item(group));
        });
    }
}

impl<'b> Decode<'b> for Class {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let mut class = Self::default();
        read::closed_map(d, |key, d| {
            match key {
                0 => class.class_id = Some(ClassId::decode(d)?),
                1 => class.vendor = Some(read::text(d)?),
                2 => class.model = Some(read::text(d)?),
                3 => class.layer = Some(d.uint()?),
                4 => class.index = Some(d.uint()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if class == Self::default() {
            return Err(Error::new(at, ErrorKind::Value("at least one attribute of the class")));
        }
        if class.model.is_some() && class.vendor.is_none() {
            return Err(Error::new(at, ErrorKind::Missing("the vendor of the model")));
        }
        Ok(class)
    }
}

impl Encode for Class {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.optional(0, self.class_id.as_ref(), |e, id| e.item(id))
                .optional(1, self.vendor.as_deref(), |e, vendor| e.text(vendor))
                .optional(2, self.model.as_deref(), |e, model| e.text(model))
                .optional(3, self.layer, |e, layer| e.uint(layer))
                .optional(4, self.index, |e, index| e.uint(index));
        });
    }
}

impl<'b> Decode<'b> for ClassId {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        Ok(match d.tag()? {
            tag::OID => Self::Oid(read::bytes(d)?),
            tag::UUID => Self::Uuid(d.byte_array("a UUID of 16 bytes")?),
            tag::BYTES => Self::Bytes(read::bytes(d)?),
            _ => return Err(Error::new(at, ErrorKind::Value("an OID, a UUID or tagged bytes"))),
        })
    }
}

impl Encode for ClassId {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Oid(oid) => e.tag(tag::OID).bytes(oid),
            Self::Uuid(uuid) => e.tag(tag::UUID).bytes(uuid),
            Self::Bytes(bytes) => e.tag(tag::BYTES).bytes(bytes),
        };
    }
}

impl<'b> Decode<'b> for Instance {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        match read::peek_tag(d) {
            Some(tag::UEID) => {
                d.tag()?;
                let ueid = read::bytes(d)?;
                if !(7..=33).contains(&ueid.len()) {
                    return Err(Error::new(at, ErrorKind::Value("a UEID of 7 to 33 bytes")));
                }
                Ok(Self::Ueid(ueid))
            }
            Some(tag::UUID) => {
                d.tag()?;
                d.byte_array("a UUID of 16 bytes").map(Self::Uuid)
            }
            Some(tag::PKIX_CERT_PATH | tag::CERT_PATH_THUMBPRINT) => {
                Err(Error::new(at, ErrorKind::Value("an instance, not a certification path")))
            }
            _ => CryptoKey::decode(d).map(Self::Key),
        }
    }
}

impl Encode for Instance {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Ueid(ueid) => e.tag(tag::UEID).bytes(ueid),
            Self::Uuid(uuid) => e.tag(tag::UUID).bytes(uuid),
            Self::Key(key) => e.item(key),
        };
    }
}

impl<'b> Decode<'b> for Group {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        Ok(match d.tag()? {
            tag::UUID => Self::Uuid(d.byte_array("a UUID of 16 bytes")?),
            tag::BYTES => Self::Bytes(read::bytes(d)?),
            _ => return Err(Error::new(at, ErrorKind::Value("a UUID or tagged bytes"))),
        })
    }
}

impl Encode for Group {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Uuid(uuid) => e.tag(tag::UUID).bytes(uuid),
            Self::Bytes(bytes) => e.tag(tag::BYTES).bytes(bytes),
        };
    }
}
