use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder};
use tamarack_model::{ComponentId, OwnerId, Sha256Digest, UnixTime};
use tamarack_tee::{BlobId, Platform};

use crate::Error;
use crate::journal::Journal;
use crate::record::{self, COMPONENT, Id, MANIFEST, PERSONALIZED};

/// An installed component of an Owner (security rule K1). Stored as `[manifest, blob, digest, size]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Component id of the manifest that owns it (rule R1).
    pub manifest: ComponentId,
    /// Where its content lies.
    pub blob: BlobId,
    /// SHA-256 of its content.
    pub digest: Sha256Digest,
    /// Size of its content in bytes.
    pub size: u64,
}

impl Encode for Component {
    fn encode(&self, e: &mut Encoder) {
        record::encode_id(e.array(4), &self.manifest)
            .bytes(&self.blob.0)
            .bytes(&self.digest.0)
            .uint(self.size);
    }
}

impl<'b> Decode<'b> for Component {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(4, "a component")?;
        Ok(Self {
            manifest: record::decode_id(d)?,
            blob: BlobId(d.byte_array("16 bytes")?),
            digest: Sha256Digest(d.byte_array("32 bytes")?),
            size: d.uint()?,
        })
    }
}

/// An installed manifest of an Owner. Stored as `[sequence, digest, provider, accepted, envelope]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its sequence number.
    pub sequence: u64,
    /// SHA-256 of element 0 of its authentication wrapper, as tc-list reports it.
    pub digest: Sha256Digest,
    /// The service provider whose anchor vouched for it; with Owner and manifest id the principal of rule K1.
    pub provider: String,
    /// When its signature was accepted, by the clock of then. Certificates are judged by it whenever the manifest is used
    /// again: an installed TA does not die with the certificate of its signer, only with the anchor.
    pub accepted: UnixTime,
    /// The envelope without its payloads: authenticated again whenever it is used (rule L1).
    pub envelope: Vec<u8>,
}

impl Encode for Manifest {
    fn encode(&self, e: &mut Encoder) {
        e.array(5).uint(self.sequence).bytes(&self.digest.0).text(&self.provider);
        e.uint(self.accepted).bytes(&self.envelope);
    }
}

impl<'b> Decode<'b> for Manifest {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(5, "a manifest")?;
        Ok(Self {
            sequence: d.uint()?,
            digest: Sha256Digest(d.byte_array("32 bytes")?),
            provider: d.text()?.into(),
            accepted: d.uint()?,
            envelope: d.bytes()?.to_vec(),
        })
    }
}

/// The component `id` of `owner`.
pub(crate) fn component(
    journal: &Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    id: &ComponentId,
) -> Result<Option<Component>, Error> {
    let value = journal.get(platform, &record::key_of(COMPONENT, owner, id))?;
    value.map(|value| record::read(&value, "component")).transpose()
}

/// The installed manifest `id` of `owner`.
pub(crate) fn manifest(
    journal: &Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    id: &ComponentId,
) -> Result<Option<Manifest>, Error> {
    let value = journal.get(platform, &record::key_of(MANIFEST, owner, id))?;
    value.map(|value| record::read(&value, "manifest")).transpose()
}

/// The manifest that owns the component `id` of `owner` (rule R1), whether what it brought is kept as a component or went
/// to a TA as its personalization.
pub(crate) fn owning_manifest(
    journal: &Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    id: &ComponentId,
) -> Result<Option<ComponentId>, Error> {
    if let Some(component) = component(journal, platform, owner, id)? {
        return Ok(Some(component.manifest));
    }
    let value = journal.get(platform, &record::key_of(PERSONALIZED, owner, id))?;
    Ok(value.map(|value| record::read::<Id>(&value, "personalization")).transpose()?.map(|id| id.0))
}

/// What is personalized on the device for one Owner: the component id of the data and the manifest that brought it.
pub(crate) fn personalizations(
    journal: &Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
) -> Result<Vec<(ComponentId, ComponentId)>, Error> {
    let rows: Vec<(OwnerId, ComponentId, Id)> =
        all(journal, platform, PERSONALIZED, Some(owner), "personalization")?;
    Ok(rows.into_iter().map(|(_, data, manifest)| (data, manifest.0)).collect())
}

/// Notes which manifest brought the personalization `data`.
pub(crate) fn put_personalization(
    journal: &mut Journal,
    owner: &OwnerId,
    data: &ComponentId,
    manifest: &ComponentId,
) {
    journal.put(record::key_of(PERSONALIZED, owner, data), Id(manifest.clone()).to_cbor());
}

/// Forgets that the personalization `data` was brought.
pub(crate) fn remove_personalization(journal: &mut Journal, owner: &OwnerId, data: &ComponentId) {
    journal.delete(record::key_of(PERSONALIZED, owner, data));
}

/// All components of one Owner, or of all of them.
pub(crate) fn components(
    journal: &Journal,
    platform: &dyn Platform,
    owner: Option<&OwnerId>,
) -> Result<Vec<(OwnerId, ComponentId, Component)>, Error> {
    all(journal, platform, COMPONENT, owner, "component")
}

/// All installed manifests of one Owner, or of all of them.
pub(crate) fn manifests(
    journal: &Journal,
    platform: &dyn Platform,
    owner: Option<&OwnerId>,
) -> Result<Vec<(OwnerId, ComponentId, Manifest)>, Error> {
    all(journal, platform, MANIFEST, owner, "manifest")
}

fn all<T: for<'b> Decode<'b>>(
    journal: &Journal,
    platform: &dyn Platform,
    prefix: &[u8],
    owner: Option<&OwnerId>,
    what: &'static str,
) -> Result<Vec<(OwnerId, ComponentId, T)>, Error> {
    let range = owner.map_or_else(|| prefix.to_vec(), |owner| record::owned(prefix, owner));
    let pairs = journal.scan(platform, &range)?;
    pairs
        .iter()
        .map(|(key, value)| {
            let (owner, id) = record::split_key(prefix, key)?;
            Ok((owner, id, record::read(value, what)?))
        })
        .collect()
}

/// Bytes that the components of `provider` take with `owner`, leaving out those of the manifest `except`.
pub(crate) fn used(
    journal: &Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    provider: &str,
    except: &ComponentId,
) -> Result<u64, Error> {
    let mut sum = 0_u64;
    for (_, _, component) in components(journal, platform, Some(owner))? {
        let of_provider = component.manifest != *except
            && manifest(journal, platform, owner, &component.manifest)?
                .is_some_and(|m| m.provider == provider);
        if of_provider {
            sum = sum.saturating_add(component.size);
        }
    }
    Ok(sum)
}

/// Sets the component `id`; what it replaces is erased.
pub(crate) fn put_component(
    journal: &mut Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    id: &ComponentId,
    new: &Component,
) -> Result<(), Error> {
    if let Some(old) = component(journal, platform, owner, id)?.filter(|old| old.blob != new.blob) {
        journal.erase(old.blob);
    }
    journal.keep(new.blob);
    journal.put(record::key_of(COMPONENT, owner, id), new.to_cbor());
    Ok(())
}

/// Removes the component `id` and erases its content.
pub(crate) fn remove_component(
    journal: &mut Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    id: &ComponentId,
) -> Result<(), Error> {
    if let Some(old) = component(journal, platform, owner, id)? {
        journal.erase(old.blob);
        journal.delete(record::key_of(COMPONENT, owner, id));
    }
    Ok(())
}

/// Sets the record of the installed manifest `id`.
pub(crate) fn put_manifest(journal: &mut Journal, owner: &OwnerId, id: &ComponentId, new: &Manifest) {
    journal.put(record::key_of(MANIFEST, owner, id), new.to_cbor());
}

/// Removes the record of the manifest `id`.
pub(crate) fn remove_manifest(journal: &mut Journal, owner: &OwnerId, id: &ComponentId) {
    journal.delete(record::key_of(MANIFEST, owner, id));
}
