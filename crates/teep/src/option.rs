//! The option map that every message has: its labels, and how each kind of value is read and written.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind, MapEncoder};
use tamarack_model::{ComponentId, HeldBack, OwnerSays};

/// "TEEP CBOR Labels" (section 5): keys of the option map and of requested-tc-info.
pub mod label {
    /// supported-teep-cipher-suites.
    pub const SUPPORTED_TEEP_CIPHER_SUITES: u64 = 1;
    /// challenge.
    pub const CHALLENGE: u64 = 2;
    /// versions.
    pub const VERSIONS: u64 = 3;
    /// supported-suit-cose-profiles.
    pub const SUPPORTED_SUIT_COSE_PROFILES: u64 = 4;
    /// selected-version.
    pub const SELECTED_VERSION: u64 = 6;
    /// attestation-payload.
    pub const ATTESTATION_PAYLOAD: u64 = 7;
    /// tc-list.
    pub const TC_LIST: u64 = 8;
    /// ext-list.
    pub const EXT_LIST: u64 = 9;
    /// manifest-list.
    pub const MANIFEST_LIST: u64 = 10;
    /// msg.
    pub const MSG: u64 = 11;
    /// err-msg.
    pub const ERR_MSG: u64 = 12;
    /// attestation-payload-format.
    pub const ATTESTATION_PAYLOAD_FORMAT: u64 = 13;
    /// requested-tc-list.
    pub const REQUESTED_TC_LIST: u64 = 14;
    /// unneeded-manifest-list.
    pub const UNNEEDED_MANIFEST_LIST: u64 = 15;
    /// component-id, in requested-tc-info.
    pub const COMPONENT_ID: u64 = 16;
    /// tc-manifest-sequence-number, in requested-tc-info.
    pub const TC_MANIFEST_SEQUENCE_NUMBER: u64 = 17;
    /// have-binary, in requested-tc-info.
    pub const HAVE_BINARY: u64 = 18;
    /// suit-reports.
    pub const SUIT_REPORTS: u64 = 19;
    /// token.
    pub const TOKEN: u64 = 20;
    /// supported-freshness-mechanisms.
    pub const SUPPORTED_FRESHNESS_MECHANISMS: u64 = 21;
    /// err-lang. The draft's label table calls 22 reserved, its message tables and CDDL use it.
    pub const ERR_LANG: u64 = 22;
    /// err-code.
    pub const ERR_CODE: u64 = 23;
    /// The Agent's nonce of the Update binding, our extension.
    pub const AGENT_NONCE: u64 = crate::UPDATE_BINDING_LABEL as u64;
    /// What the device's owner withholds, our extension.
    pub const OWNER_POLICY: u64 = crate::OWNER_POLICY_LABEL as u64;
    /// The key that Evidence is to be encrypted to, our extension.
    pub const EVIDENCE_KEY: u64 = crate::EVIDENCE_KEY_LABEL as u64;
}

/// Every label with its name, for tools and error messages.
pub const LABELS: &[(u64, &str)] = &[
    (label::SUPPORTED_TEEP_CIPHER_SUITES, "supported-teep-cipher-suites"),
    (label::CHALLENGE, "challenge"),
    (label::VERSIONS, "versions"),
    (label::SUPPORTED_SUIT_COSE_PROFILES, "supported-suit-cose-profiles"),
    (label::SELECTED_VERSION, "selected-version"),
    (label::ATTESTATION_PAYLOAD, "attestation-payload"),
    (label::TC_LIST, "tc-list"),
    (label::EXT_LIST, "ext-list"),
    (label::MANIFEST_LIST, "manifest-list"),
    (label::MSG, "msg"),
    (label::ERR_MSG, "err-msg"),
    (label::ATTESTATION_PAYLOAD_FORMAT, "attestation-payload-format"),
    (label::REQUESTED_TC_LIST, "requested-tc-list"),
    (label::UNNEEDED_MANIFEST_LIST, "unneeded-manifest-list"),
    (label::COMPONENT_ID, "component-id"),
    (label::TC_MANIFEST_SEQUENCE_NUMBER, "tc-manifest-sequence-number"),
    (label::HAVE_BINARY, "have-binary"),
    (label::SUIT_REPORTS, "suit-reports"),
    (label::TOKEN, "token"),
    (label::SUPPORTED_FRESHNESS_MECHANISMS, "supported-freshness-mechanisms"),
    (label::ERR_LANG, "err-lang"),
    (label::ERR_CODE, "err-code"),
    (label::AGENT_NONCE, "agent-nonce"),
    (label::EVIDENCE_KEY, "evidence-key"),
    (label::OWNER_POLICY, "owner-policy"),
];

fn name(number: u64) -> &'static str {
    LABELS.iter().find(|(label, _)| *label == number).map_or("option", |(_, name)| name)
}

/// Reads an option map. `option` reads the value of one label; one that the message does not define it must step over
/// with [`skip`]: the label registry is open, so unknown options are optional.
pub(crate) fn read<'b>(
    d: &mut Decoder<'b>,
    mut option: impl FnMut(u64, &mut Decoder<'b>) -> Result<(), Error>,
) -> Result<(), crate::Error> {
    let count = d.map().map_err(crate::Error::in_element("options"))?;
    for _ in 0..count {
        let label = d.uint().map_err(crate::Error::in_element("option label"))?;
        option(label, d).map_err(crate::Error::in_element(name(label)))?;
    }
    Ok(())
}

pub(crate) fn skip(d: &mut Decoder<'_>) -> Result<(), Error> {
    d.raw().map(drop)
}

/// A list of at least one item.
pub(crate) fn list<'b, T>(
    d: &mut Decoder<'b>,
    mut item: impl FnMut(&mut Decoder<'b>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let at = d.position();
    match d.array()? {
        0 => Err(Error::new(at, ErrorKind::Value("at least one item"))),
        count => (0..count).map(|_| item(d)).collect(),
    }
}

pub(crate) fn list_of<'b, T: Decode<'b>>(d: &mut Decoder<'b>) -> Result<Vec<T>, Error> {
    list(d, T::decode)
}

/// A list of byte strings, such as manifest-list.
pub(crate) fn byte_strings(d: &mut Decoder<'_>) -> Result<Vec<Vec<u8>>, Error> {
    list(d, |d| d.bytes().map(<[u8]>::to_vec))
}

pub(crate) fn token(d: &mut Decoder<'_>) -> Result<Vec<u8>, Error> {
    bytes(d, 8..=64, "a token of 8 to 64 bytes")
}

pub(crate) fn challenge(d: &mut Decoder<'_>) -> Result<Vec<u8>, Error> {
    bytes(d, 8..=512, "a challenge of 8 to 512 bytes")
}

fn bytes(
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

/// msg and err-msg.
pub(crate) fn message_text(d: &mut Decoder<'_>) -> Result<String, Error> {
    text(d, 128, "a text of 1 to 128 bytes")
}

/// err-lang, a language tag.
pub(crate) fn language(d: &mut Decoder<'_>) -> Result<String, Error> {
    text(d, 35, "a language tag of 1 to 35 bytes")
}

fn text(d: &mut Decoder<'_>, longest: usize, expected: &'static str) -> Result<String, Error> {
    let at = d.position();
    let value = d.text()?;
    if (1..=longest).contains(&value.len()) {
        Ok(value.into())
    } else {
        Err(Error::new(at, ErrorKind::Value(expected)))
    }
}

/// A version or extension number.
pub(crate) fn uint32(d: &mut Decoder<'_>) -> Result<u32, Error> {
    let at = d.position();
    u32::try_from(d.uint()?).map_err(|_| Error::new(at, ErrorKind::Value("a number of at most 4 bytes")))
}

pub(crate) fn component_id(d: &mut Decoder<'_>) -> Result<ComponentId, Error> {
    let at = d.position();
    let segments = list(d, Decoder::bytes)?;
    let bounds = Error::new(at, ErrorKind::Value("a component id of 1 to 8 segments of 1 to 64 bytes"));
    ComponentId::new(segments).map_err(|_| bounds)
}

/// Writes option maps: what is absent or empty is left out.
pub(crate) struct Options<'m>(pub &'m mut MapEncoder);

impl Options<'_> {
    fn put(self, label: u64, write: impl FnOnce(&mut Encoder) -> &mut Encoder) -> Self {
        // Labels are small constants of this module.
        self.0.int(label as i64, write);
        self
    }

    pub(crate) fn uint(self, label: u64, value: Option<u64>) -> Self {
        match value {
            Some(value) => self.put(label, |e| e.uint(value)),
            None => self,
        }
    }

    pub(crate) fn bool(self, label: u64, value: Option<bool>) -> Self {
        match value {
            Some(value) => self.put(label, |e| e.bool(value)),
            None => self,
        }
    }

    pub(crate) fn bytes(self, label: u64, value: Option<&[u8]>) -> Self {
        match value {
            Some(value) => self.put(label, |e| e.bytes(value)),
            None => self,
        }
    }

    pub(crate) fn text(self, label: u64, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.put(label, |e| e.text(value)),
            None => self,
        }
    }

    pub(crate) fn item(self, label: u64, value: Option<&impl Encode>) -> Self {
        match value {
            Some(value) => self.put(label, |e| e.item(value)),
            None => self,
        }
    }

    pub(crate) fn list<T>(
        self,
        label: u64,
        items: &[T],
        write: impl for<'e> Fn(&'e mut Encoder, &T) -> &'e mut Encoder,
    ) -> Self {
        match items {
            [] => self,
            _ => self.put(label, |e| items.iter().fold(e.array(items.len()), |e, item| write(e, item))),
        }
    }

    pub(crate) fn items<T: Encode>(self, label: u64, items: &[T]) -> Self {
        self.list(label, items, |e, item| e.item(item))
    }

    pub(crate) fn byte_strings(self, label: u64, items: &[Vec<u8>]) -> Self {
        self.list(label, items, |e, item| e.bytes(item))
    }

    pub(crate) fn component_ids(self, label: u64, ids: &[ComponentId]) -> Self {
        self.list(label, ids, write_component_id)
    }
}

pub(crate) fn write_component_id<'e>(e: &'e mut Encoder, id: &ComponentId) -> &'e mut Encoder {
    id.segments().iter().fold(e.array(id.segments().len()), |e, segment| e.bytes(segment))
}

/// One entry of owner-policy.
pub(crate) fn withheld(d: &mut Decoder<'_>) -> Result<HeldBack, Error> {
    let at = d.position();
    let count = d.array()?;
    if !(2..=3).contains(&count) {
        return Err(Error::new(at, ErrorKind::Value("component id, says and perhaps a sequence number")));
    }
    let id = component_id(d)?;
    let at = d.position();
    let why = OwnerSays::of_number(d.uint()?);
    let why = why.ok_or(Error::new(at, ErrorKind::Value("1 (refused) or 2 (deferred)")))?;
    let sequence = if count == 3 { Some(d.uint()?) } else { None };
    Ok(HeldBack { id, why, sequence })
}

pub(crate) fn write_withheld<'e>(e: &'e mut Encoder, withheld: &HeldBack) -> &'e mut Encoder {
    let HeldBack { id, why, sequence } = withheld;
    write_component_id(e.array(2 + usize::from(sequence.is_some())), id).uint(why.number());
    match sequence {
        Some(sequence) => e.uint(*sequence),
        None => e,
    }
}
