//! How records lie in sealed storage: names of keys, and the CBOR of what several records share.

use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, ErrorKind, Limits};
use tamarack_model::{ComponentId, OwnerId};

use crate::Error;

/// Trust anchors of TAMs, by Owner.
pub(crate) const ANCHOR_TAM: &[u8] = b"s/anchor/tam/";
/// Trust anchors of Trusted Component Signers, by number.
pub(crate) const ANCHOR_SIGNER: &[u8] = b"s/anchor/signer/";
/// The key of the device authority.
pub(crate) const ANCHOR_AUTHORITY: &[u8] = b"s/anchor/authority";
/// The key of the device's owner.
pub(crate) const ANCHOR_OWNER: &[u8] = b"s/anchor/owner";
/// Sequence number of the trust store.
pub(crate) const ANCHOR_SEQUENCE: &[u8] = b"s/anchor/sequence";
/// Which TA commands a peripheral, by the peripheral's name.
pub(crate) const BINDING: &[u8] = b"s/binding/";
/// State of the peripherals, by name.
pub(crate) const PERIPHERAL: &[u8] = b"s/peripheral/";
/// The ueid that an Owner sees, by Owner.
pub(crate) const UEID: &[u8] = b"s/owner/";
/// Components, by Owner and component id.
pub(crate) const COMPONENT: &[u8] = b"s/component/";
/// Installed manifests, by Owner and manifest component id.
pub(crate) const MANIFEST: &[u8] = b"s/manifest/";
/// Rollback counters, by Owner and manifest component id.
pub(crate) const COUNTER: &[u8] = b"s/counter/";
/// Floors of sequence numbers, by Owner and Security Domain.
pub(crate) const FLOOR: &[u8] = b"s/floor/";
/// Salts of the storage keys of TAs, by Owner and manifest component id.
pub(crate) const SALT: &[u8] = b"s/salt/";
/// Objects and keys of TAs, by Owner, manifest component id and name.
pub(crate) const TA_DATA: &[u8] = b"s/ta/";
/// Which manifest brought the personalization of a TA, by Owner and the component id of the data.
pub(crate) const PERSONALIZED: &[u8] = b"s/personal/";
/// Security Domains, by Owner and label.
pub(crate) const DOMAIN: &[u8] = b"s/domain/";
/// AIKs, by Owner and service provider.
pub(crate) const AIK: &[u8] = b"s/aik/";
/// What was told in OTrP, by Owner.
pub(crate) const VIEW: &[u8] = b"s/otrp/";
/// The rules of the device's owner, and what was approved.
pub(crate) const POLICY: &[u8] = b"s/policy/rules";
/// The key by which the device's owner knows what the device tells.
pub(crate) const POLICY_KEY: &[u8] = b"s/policy/key";
/// Manifests that the rules withheld, by Owner and manifest component id.
pub(crate) const WITHHELD: &[u8] = b"n/withheld/";
/// Stored answers, by Owner and number.
pub(crate) const ANSWER: &[u8] = b"n/answer/";
/// What applications ask for, by component id.
pub(crate) const REQUESTED: &[u8] = b"n/requested/";
/// Manifests that no application needs any more, by Owner and manifest component id.
pub(crate) const UNNEEDED: &[u8] = b"n/unneeded/";
/// The latest time that a TAM's anchor group vouched for, by Owner.
pub(crate) const TIME_FLOOR: &[u8] = b"n/time/";

/// The key of what `owner` has under `id`. The encoding of an id is never a prefix of another's.
pub(crate) fn key_of(prefix: &[u8], owner: &OwnerId, id: &ComponentId) -> Vec<u8> {
    let mut e = Encoder::new();
    encode_id(&mut e, id);
    [prefix, &owner.0, &e.into_bytes()].concat()
}

/// The prefix of the keys of all that `owner` has.
pub(crate) fn owned(prefix: &[u8], owner: &OwnerId) -> Vec<u8> {
    [prefix, &owner.0].concat()
}

/// Splits what [`key_of`] made into Owner and id.
pub(crate) fn split_key(prefix: &[u8], key: &[u8]) -> Result<(OwnerId, ComponentId), Error> {
    let rest = key.strip_prefix(prefix).and_then(|rest| rest.split_first_chunk::<16>());
    let (owner, id) = rest.ok_or(Error::Corrupt("key"))?;
    let mut d = Decoder::new(id, &limits()).map_err(|_| Error::Corrupt("key"))?;
    Ok((OwnerId(*owner), decode_id(&mut d).map_err(|_| Error::Corrupt("key"))?))
}

/// Reads a record, or says which one is unreadable.
pub(crate) fn read<T: for<'b> Decode<'b>>(bytes: &[u8], what: &'static str) -> Result<T, Error> {
    T::from_cbor(bytes, &limits()).map_err(|_| Error::Corrupt(what))
}

/// What sealed storage holds was written by this crate; a message's envelope with its frame must fit.
pub(crate) fn limits() -> Limits {
    Limits { bytes: 2 << 20, ..Limits::default() }
}

pub(crate) fn encode_id<'e>(e: &'e mut Encoder, id: &ComponentId) -> &'e mut Encoder {
    encode_prefix(e, id.segments())
}

pub(crate) fn decode_id(d: &mut Decoder<'_>) -> Result<ComponentId, tamarack_cbor::Error> {
    let at = d.position();
    ComponentId::new(decode_prefix(d)?)
        .map_err(|_| tamarack_cbor::Error::new(at, ErrorKind::Value("a component id")))
}

pub(crate) fn encode_prefix<'e>(e: &'e mut Encoder, segments: &[Vec<u8>]) -> &'e mut Encoder {
    e.array(segments.len());
    segments.iter().fold(e, |e, segment| e.bytes(segment))
}

pub(crate) fn decode_prefix(d: &mut Decoder<'_>) -> Result<Vec<Vec<u8>>, tamarack_cbor::Error> {
    (0..d.array()?).map(|_| Ok(d.bytes()?.to_vec())).collect()
}

/// A component id as a record of its own.
pub(crate) struct Id(pub ComponentId);

impl Encode for Id {
    fn encode(&self, e: &mut Encoder) {
        encode_id(e, &self.0);
    }
}

impl<'b> Decode<'b> for Id {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        decode_id(d).map(Self)
    }
}
