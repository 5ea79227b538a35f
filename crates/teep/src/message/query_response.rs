use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, ErrorKind, Limits};
use tamarack_model::{ComponentId, HeldBack, Sha256Digest, TcEntry};

use crate::option::{self, Options, label};
use crate::{Error, Token};

/// Label of the component id in system-property-claims (draft-ietf-suit-report).
const SYSTEM_COMPONENT_ID: u64 = 0;
/// suit-parameter-image-digest.
const IMAGE_DIGEST: u64 = 3;
/// suit-parameter-image-size.
const IMAGE_SIZE: u64 = 14;
/// SHA-256 in the COSE Algorithms registry.
const SHA_256: i64 = -16;

/// QueryResponse (section 4.3), type 2, from the Agent.
///
/// | option | type |
/// |---|---|
/// | 20 token | 8 to 64 bytes |
/// | 6 selected-version | at most 4 bytes |
/// | 13 attestation-payload-format, 7 attestation-payload | text, bytes |
/// | 19 suit-reports | byte strings, at least one |
/// | 8 tc-list | system-property-claims, at least one |
/// | 14 requested-tc-list | requested-tc-info, at least one |
/// | 15 unneeded-manifest-list | component ids, at least one |
/// | 9 ext-list | numbers of at most 4 bytes, at least one |
/// | 256 agent-nonce | 16 bytes, the Update binding |
/// | 258 owner-policy | what the device's owner withholds, at least one |
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryResponse {
    /// That of the QueryRequest.
    pub token: Option<Token>,
    /// Which of the offered versions the Agent chose; absent means 0.
    pub selected_version: Option<u32>,
    /// Media type of `attestation_payload`. Absent means an Attestation Result in the draft's EAT profile, so that
    /// Evidence always names its format.
    pub attestation_payload_format: Option<String>,
    /// Evidence or an Attestation Result.
    pub attestation_payload: Option<Vec<u8>>,
    /// Encoded SUIT reports.
    pub suit_reports: Vec<Vec<u8>>,
    /// What is installed: of each entry its id and at least one of digest and size. Digests by other algorithms than
    /// SHA-256 and other parameters are not kept.
    pub tc_list: Vec<TcEntry>,
    /// What applications on the device ask for.
    pub requested_tc_list: Vec<RequestedTc>,
    /// Manifests that no application on the device needs any more.
    pub unneeded_manifest_list: Vec<ComponentId>,
    /// Extensions of the Agent.
    pub ext_list: Vec<u32>,
    /// Nonce of the Update binding (security rule C6).
    pub agent_nonce: Option<[u8; 16]>,
    /// What the device's owner withholds of what this TAM has or wants there.
    pub owner_policy: Vec<HeldBack>,
}

/// requested-tc-info: a component that an application on the device asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedTc {
    /// Which one.
    pub component_id: ComponentId,
    /// Lowest acceptable sequence number of its manifest.
    pub sequence_number: Option<u64>,
    /// Whether the Agent has the content and needs a manifest only; if so, `sequence_number` must be there.
    pub have_binary: Option<bool>,
}

impl QueryResponse {
    pub(super) fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut m = Self::default();
        option::read(d, |number, d| {
            match number {
                label::TOKEN => m.token = Some(option::token(d)?),
                label::SELECTED_VERSION => m.selected_version = Some(option::uint32(d)?),
                label::ATTESTATION_PAYLOAD_FORMAT => m.attestation_payload_format = Some(d.text()?.into()),
                label::ATTESTATION_PAYLOAD => m.attestation_payload = Some(d.bytes()?.to_vec()),
                label::SUIT_REPORTS => m.suit_reports = option::byte_strings(d)?,
                label::TC_LIST => m.tc_list = option::list(d, decode_tc_entry)?,
                label::REQUESTED_TC_LIST => m.requested_tc_list = option::list_of(d)?,
                label::UNNEEDED_MANIFEST_LIST => {
                    m.unneeded_manifest_list = option::list(d, option::component_id)?;
                }
                label::EXT_LIST => m.ext_list = option::list(d, option::uint32)?,
                label::AGENT_NONCE => m.agent_nonce = Some(d.byte_array("an agent nonce of 16 bytes")?),
                label::OWNER_POLICY => m.owner_policy = option::list(d, option::withheld)?,
                _ => option::skip(d)?,
            }
            Ok(())
        })?;
        Ok(m)
    }

    pub(super) fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            Options(map)
                .bytes(label::TOKEN, self.token.as_deref())
                .uint(label::SELECTED_VERSION, self.selected_version.map(u64::from))
                .text(label::ATTESTATION_PAYLOAD_FORMAT, self.attestation_payload_format.as_deref())
                .bytes(label::ATTESTATION_PAYLOAD, self.attestation_payload.as_deref())
                .byte_strings(label::SUIT_REPORTS, &self.suit_reports)
                .list(label::TC_LIST, &self.tc_list, encode_tc_entry)
                .items(label::REQUESTED_TC_LIST, &self.requested_tc_list)
                .component_ids(label::UNNEEDED_MANIFEST_LIST, &self.unneeded_manifest_list)
                .list(label::EXT_LIST, &self.ext_list, |e, n| e.uint((*n).into()))
                .bytes(label::AGENT_NONCE, self.agent_nonce.as_ref().map(<[u8; 16]>::as_slice))
                .list(label::OWNER_POLICY, &self.owner_policy, option::write_withheld);
        });
    }
}

fn decode_tc_entry(d: &mut Decoder<'_>) -> Result<TcEntry, tamarack_cbor::Error> {
    let at = d.position();
    let (mut id, mut digest, mut size) = (None, None, None);
    let count = d.map()?;
    for _ in 0..count {
        match d.int()? as u64 {
            SYSTEM_COMPONENT_ID => id = Some(option::component_id(d)?),
            IMAGE_DIGEST => {
                let (content, offset) = d.wrapped()?;
                digest = decode_digest(content).map_err(|e| e.within(offset))?;
            }
            IMAGE_SIZE => size = Some(d.uint()?),
            _ => option::skip(d)?,
        }
    }
    let id = id.ok_or(tamarack_cbor::Error::new(at, ErrorKind::Missing("system-component-id")))?;
    if count < 2 {
        return Err(tamarack_cbor::Error::new(at, ErrorKind::Missing("a parameter of the component")));
    }
    Ok(TcEntry { id, digest, size })
}

/// SUIT_Digest: `[algorithm, bytes, extensions]`.
fn decode_digest(content: &[u8]) -> Result<Option<Sha256Digest>, tamarack_cbor::Error> {
    let mut d = Decoder::new(content, &Limits::default())?;
    if d.array()? < 2 {
        return Err(tamarack_cbor::Error::new(0, ErrorKind::Value("a digest [algorithm, bytes]")));
    }
    match d.int()? {
        SHA_256 => Ok(Some(Sha256Digest(d.byte_array("a SHA-256 digest of 32 bytes")?))),
        _ => d.bytes().map(|_| None),
    }
}

fn encode_tc_entry<'e>(e: &'e mut Encoder, entry: &TcEntry) -> &'e mut Encoder {
    e.map_with(|map| {
        let digest = entry.digest.map(|digest| {
            let mut e = Encoder::new();
            e.array(2).int(SHA_256).bytes(&digest.0);
            e.into_bytes()
        });
        map.int(SYSTEM_COMPONENT_ID as i64, |e| option::write_component_id(e, &entry.id));
        Options(map).bytes(IMAGE_DIGEST, digest.as_deref()).uint(IMAGE_SIZE, entry.size);
    })
}

impl<'b> Decode<'b> for RequestedTc {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        let at = d.position();
        let (mut component_id, mut sequence_number, mut have_binary) = (None, None, None);
        for _ in 0..d.map()? {
            match d.uint()? {
                label::COMPONENT_ID => component_id = Some(option::component_id(d)?),
                label::TC_MANIFEST_SEQUENCE_NUMBER => sequence_number = Some(d.uint()?),
                label::HAVE_BINARY => have_binary = Some(d.bool()?),
                _ => option::skip(d)?,
            }
        }
        let missing = |name| tamarack_cbor::Error::new(at, ErrorKind::Missing(name));
        if have_binary == Some(true) && sequence_number.is_none() {
            return Err(missing("tc-manifest-sequence-number beside have-binary"));
        }
        let component_id = component_id.ok_or(missing("component-id"))?;
        Ok(Self { component_id, sequence_number, have_binary })
    }
}

impl Encode for RequestedTc {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.int(label::COMPONENT_ID as i64, |e| option::write_component_id(e, &self.component_id));
            Options(map)
                .uint(label::TC_MANIFEST_SEQUENCE_NUMBER, self.sequence_number)
                .bool(label::HAVE_BINARY, self.have_binary);
        });
    }
}
