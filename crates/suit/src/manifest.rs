use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decoder, Error as CborError, ErrorKind, Kind};
use tamarack_crypto::Provider;
use tamarack_model::ComponentId;

use crate::command::{Place, Reader, Sequence};
use crate::{Envelope, Error, Limits, SuitDigest, TAG_MANIFEST, Unsupported, text};
use tamarack_cbor::Decode;

/// Key of the text member, in manifests and envelopes.
pub(crate) const TEXT: i64 = 23;
const COSWID: i64 = 14;

/// The sequences of a manifest, by their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The shared sequence, inside common (3), carried out before each other one.
    Shared,
    /// 7
    Validate,
    /// 8
    Load,
    /// 9
    Invoke,
    /// 15, severable (trust domains)
    DependencyResolution,
    /// 16, severable
    PayloadFetch,
    /// 18, severable (trust domains)
    CandidateVerification,
    /// 20, severable
    Install,
    /// 24 (trust domains)
    Uninstall,
}

impl Section {
    /// The key in the manifest; for the shared sequence that of common, which holds it.
    pub fn key(self) -> i64 {
        match self {
            Self::Shared => 3,
            Self::Validate => 7,
            Self::Load => 8,
            Self::Invoke => 9,
            Self::DependencyResolution => 15,
            Self::PayloadFetch => 16,
            Self::CandidateVerification => 18,
            Self::Install => 20,
            Self::Uninstall => 24,
        }
    }

    /// Its name in the drafts, without prefix.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared-sequence",
            Self::Validate => "validate",
            Self::Load => "load",
            Self::Invoke => "invoke",
            Self::DependencyResolution => "dependency-resolution",
            Self::PayloadFetch => "payload-fetch",
            Self::CandidateVerification => "candidate-verification",
            Self::Install => "install",
            Self::Uninstall => "uninstall",
        }
    }

    /// The section of this manifest key.
    pub fn from_key(key: i64) -> Option<Self> {
        Some(match key {
            7 => Self::Validate,
            8 => Self::Load,
            9 => Self::Invoke,
            15 => Self::DependencyResolution,
            16 => Self::PayloadFetch,
            18 => Self::CandidateVerification,
            20 => Self::Install,
            24 => Self::Uninstall,
            _ => return None,
        })
    }

    /// Whether a manifest member of this key may be severed, text and CoSWID included.
    pub(crate) fn severable(key: i64) -> bool {
        matches!(key, COSWID | 15 | 16 | 18 | 20 | TEXT)
    }
}

/// A section of a manifest.
#[derive(Clone, Debug)]
pub enum Member {
    /// Its commands, from the manifest, or from the envelope after their digest was checked.
    Present(Sequence),
    /// Only its digest; the envelope does not carry it.
    Severed(SuitDigest),
}

/// A SUIT_Manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Key 2: never goes back for one manifest component id.
    pub sequence_number: u64,
    /// Key 3/2: what commands name by index.
    pub components: Vec<ComponentId>,
    /// Key 5: where the manifest itself is kept, its name.
    pub manifest_component_id: Option<ComponentId>,
    /// Key 4: where the manifest can be had.
    pub reference_uri: Option<String>,
    /// The shared sequence, if there is one.
    pub shared: Option<Sequence>,
    /// Indices of dependencies (3/1), which are not processed.
    dependencies: Vec<usize>,
    sections: Vec<(Section, Member)>,
    text: Option<Vec<u8>>,
    unsupported: Vec<Unsupported>,
}

impl Manifest {
    /// A section, if the manifest has it.
    pub fn section(&self, section: Section) -> Option<&Member> {
        self.sections.iter().find(|(s, _)| *s == section).map(|(_, member)| member)
    }

    /// Every section that the manifest has, without the shared one.
    pub fn sections(&self) -> impl Iterator<Item = (Section, &Member)> {
        self.sections.iter().map(|(section, member)| (*section, member))
    }

    /// The encoded SUIT_Text_Map, from the manifest or the envelope.
    pub fn text(&self) -> Option<&[u8]> {
        self.text.as_deref()
    }

    /// What the machine does not carry out, in the order found. Empty in an [`crate::AuthenticEnvelope`].
    pub fn unsupported(&self) -> &[Unsupported] {
        &self.unsupported
    }

    /// Reads the manifest of `envelope`. With a provider, severed members are checked against their digests before any
    /// sequence is read.
    pub(crate) fn parse(
        envelope: &Envelope,
        limits: &Limits,
        provider: Option<&Provider>,
    ) -> Result<Self, Error> {
        let bytes = envelope.manifest_bytes();
        let base = envelope.manifest_offset();
        let members = Members::read(bytes, limits).map_err(|e| e.within(base))?;
        for key in envelope.severed_keys() {
            let digest = members.severed.iter().find(|(k, _)| *k == key).map(|(_, digest)| digest);
            let digest = digest.ok_or(CborError::new(0, ErrorKind::UnknownKey(key)))?;
            let (content, _) = envelope.severed(key).unwrap_or_default();
            if let Some(provider) = provider {
                match digest.covers_wrapped(content, provider) {
                    Some(true) => {}
                    Some(false) => return Err(Error::SeveredDigest(key)),
                    None => return Err(Error::Unsupported(Unsupported::Digest(digest.algorithm().label()))),
                }
            }
        }
        let mut manifest = Self {
            sequence_number: members.sequence_number,
            components: Vec::new(),
            manifest_component_id: members.manifest_component_id,
            reference_uri: members.reference_uri,
            shared: None,
            dependencies: Vec::new(),
            sections: Vec::with_capacity(members.present.len() + members.severed.len()),
            text: None,
            unsupported: members.unsupported,
        };
        let (common, offset) = members.common;
        let shared = manifest.read_common(common, limits).map_err(|e| e.within(base + offset))?;
        let mut reader = Reader {
            limits,
            components: manifest.components.len(),
            dependencies: manifest.dependencies.clone(),
            commands: 0,
            unsupported: Vec::new(),
        };
        if let Some((content, inner)) = shared {
            let place = Place { offset: 0, depth: 1, shared: true };
            manifest.shared = Some(read_section(&mut reader, content, base + offset + inner, place)?);
        }
        for (key, content, offset) in members.present {
            manifest.read_member(&mut reader, key, content, base + offset)?;
        }
        for (key, digest) in members.severed {
            match (envelope.severed(key), Section::from_key(key)) {
                (Some((content, offset)), _) => manifest.read_member(&mut reader, key, content, offset)?,
                (None, Some(section)) => manifest.sections.push((section, Member::Severed(digest))),
                // Text and CoSWID are not needed to carry a manifest out.
                (None, None) => {}
            }
        }
        manifest.unsupported.append(&mut reader.unsupported);
        Ok(manifest)
    }

    fn read_member(
        &mut self,
        reader: &mut Reader<'_>,
        key: i64,
        content: &[u8],
        offset: usize,
    ) -> Result<(), Error> {
        if let Some(section) = Section::from_key(key) {
            let place = Place { offset: 0, depth: 1, shared: false };
            self.sections.push((section, Member::Present(read_section(reader, content, offset, place)?)));
        } else if key == TEXT {
            text::check(content, &reader.limits.cbor).map_err(|e| e.within(offset))?;
            self.text = Some(content.to_vec());
        } else {
            tamarack_cbor::check(content, &reader.limits.cbor).map_err(|e| e.within(offset))?;
        }
        Ok(())
    }

    /// Reads SUIT_Common; gives the content of the shared sequence and its offset.
    fn read_common<'b>(
        &mut self,
        bytes: &'b [u8],
        limits: &Limits,
    ) -> Result<Option<(&'b [u8], usize)>, CborError> {
        let mut d = Decoder::new(bytes, &limits.cbor)?;
        let mut shared = None;
        for _ in 0..d.map()? {
            let at = d.position();
            match d.int()? {
                1 => {
                    self.unsupported.push(Unsupported::Element { key: 1, name: "dependencies" });
                    self.dependencies = read_dependencies(&mut d)?;
                }
                2 => {
                    let at = d.position();
                    let count = d.array()?;
                    if count == 0 {
                        return Err(CborError::new(at, ErrorKind::Value("at least one component")));
                    }
                    if count > limits.components {
                        return Err(CborError::new(at, ErrorKind::TooManyItems(limits.components)));
                    }
                    for _ in 0..count {
                        let at = d.position();
                        let id = component_id(&mut d)?;
                        if self.components.contains(&id) {
                            return Err(CborError::new(
                                at,
                                ErrorKind::Value("a component not listed before"),
                            ));
                        }
                        self.components.push(id);
                    }
                }
                4 => shared = Some(d.wrapped()?),
                key => return Err(CborError::new(at, ErrorKind::UnknownKey(key))),
            }
        }
        Ok(shared)
    }
}

/// Reads a top-level sequence; errors count from the start of the envelope. With several components it must begin by
/// choosing one (section 8.4.5 of the manifest draft).
fn read_section(
    reader: &mut Reader<'_>,
    content: &[u8],
    offset: usize,
    place: Place,
) -> Result<Sequence, Error> {
    const SET_COMPONENT_INDEX: i64 = 12;
    let sequence = reader.sequence(content, place).map_err(|e| match e {
        Error::Cbor(e) => Error::Cbor(e.within(offset)),
        e => e,
    })?;
    if reader.components + reader.dependencies.len() > 1 && sequence[0].command.code != SET_COMPONENT_INDEX {
        let error = ErrorKind::Value("set-component-index first, as there are several components");
        return Err(CborError::new(offset, error).into());
    }
    Ok(sequence)
}

/// Reads a SUIT_Component_Identifier within the bounds of [`ComponentId`].
pub(crate) fn component_id(d: &mut Decoder<'_>) -> Result<ComponentId, CborError> {
    let at = d.position();
    let count = d.array()?;
    let segments: Vec<&[u8]> = (0..count).map(|_| d.bytes()).collect::<Result<_, _>>()?;
    ComponentId::new(segments)
        .map_err(|_| CborError::new(at, ErrorKind::Value("1 to 8 segments of 1 to 64 bytes")))
}

/// Reads the indices of SUIT_Dependencies: a map from index to metadata with an optional prefix (1).
fn read_dependencies(d: &mut Decoder<'_>) -> Result<Vec<usize>, CborError> {
    let at = d.position();
    let count = d.map()?;
    if count == 0 {
        return Err(CborError::new(at, ErrorKind::Value("at least one dependency")));
    }
    let mut indices = Vec::new();
    for _ in 0..count {
        let at = d.position();
        let index = usize::try_from(d.uint()?);
        indices.push(index.map_err(|_| CborError::new(at, ErrorKind::Value("an index")))?);
        for _ in 0..d.map()? {
            let at = d.position();
            match d.int()? {
                1 => drop(component_id(d)?),
                key => return Err(CborError::new(at, ErrorKind::UnknownKey(key))),
            }
        }
    }
    Ok(indices)
}

/// The members of a manifest map, sequences still unread. Offsets count from the start of the manifest.
struct Members<'b> {
    sequence_number: u64,
    common: (&'b [u8], usize),
    reference_uri: Option<String>,
    manifest_component_id: Option<ComponentId>,
    present: Vec<(i64, &'b [u8], usize)>,
    severed: Vec<(i64, SuitDigest)>,
    unsupported: Vec<Unsupported>,
}

impl<'b> Members<'b> {
    fn read(bytes: &'b [u8], limits: &Limits) -> Result<Self, CborError> {
        let mut d = Decoder::new(bytes, &limits.cbor)?;
        d.optional_tag(TAG_MANIFEST);
        let (mut version, mut sequence_number, mut common) = (None, None, None);
        let (mut reference_uri, mut manifest_component_id) = (None, None);
        let (mut present, mut severed, mut unsupported) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..d.map()? {
            let at = d.position();
            match d.int()? {
                1 => {
                    let at = d.position();
                    if d.uint()? != 1 {
                        return Err(CborError::new(at, ErrorKind::Value("manifest version 1")));
                    }
                    version = Some(1);
                }
                2 => sequence_number = Some(d.uint()?),
                3 => common = Some(d.wrapped()?),
                4 => reference_uri = Some(String::from(d.text()?)),
                5 => manifest_component_id = Some(component_id(&mut d)?),
                6 => {
                    unsupported.push(Unsupported::Element { key: 6, name: "set-version" });
                    let (content, offset) = d.wrapped()?;
                    tamarack_cbor::check(content, &limits.cbor).map_err(|e| e.within(offset))?;
                }
                key if Section::severable(key) && d.peek() == Kind::Array => {
                    severed.push((key, SuitDigest::decode(&mut d)?));
                }
                key if Section::severable(key) || Section::from_key(key).is_some() => {
                    let (content, offset) = d.wrapped()?;
                    present.push((key, content, offset));
                }
                key => return Err(CborError::new(at, ErrorKind::UnknownKey(key))),
            }
        }
        let missing = |name| CborError::new(0, ErrorKind::Missing(name));
        version.ok_or(missing("the manifest version"))?;
        Ok(Self {
            sequence_number: sequence_number.ok_or(missing("the sequence number"))?,
            common: common.ok_or(missing("common"))?,
            reference_uri,
            manifest_component_id,
            present,
            severed,
            unsupported,
        })
    }
}
