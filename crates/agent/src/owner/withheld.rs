//! What the rules withheld, so that the owner can be shown it and the TAM concerned be told.

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder};
use tamarack_model::{ComponentId, HeldBack, OwnerId, OwnerSays, Sha256Digest, UnixTime};
use tamarack_owner::Effect;
use tamarack_tee::Platform;

use super::policy::Policy;
use crate::journal::Journal;
use crate::record::{self, WITHHELD};
use crate::trust::TamAnchor;
use crate::{Error, slots};

/// Most manifests of one TAM that are remembered; the oldest makes room.
const MAX_NOTES: usize = 16;
/// Most entries that a TAM is told.
const MAX_TOLD: usize = 64;

/// A manifest that was withheld, the latest of its id. Stored as `[digest, sequence, provider, since, [* component]]`
/// under Owner and manifest component id. What is to become of it the rules say, not the note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub digest: Sha256Digest,
    pub sequence: u64,
    pub provider: String,
    pub since: UnixTime,
    pub components: Vec<ComponentId>,
}

impl Encode for Note {
    fn encode(&self, e: &mut Encoder) {
        e.array(5).bytes(&self.digest.0).uint(self.sequence).text(&self.provider).uint(self.since);
        e.array(self.components.len());
        self.components.iter().fold(e, record::encode_id);
    }
}

impl<'b> Decode<'b> for Note {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(5, "a withheld manifest")?;
        Ok(Self {
            digest: Sha256Digest(d.byte_array("32 bytes")?),
            sequence: d.uint()?,
            provider: d.text()?.into(),
            since: d.uint()?,
            components: (0..d.array()?).map(|_| record::decode_id(d)).collect::<Result<_, _>>()?,
        })
    }
}

/// Remembers a withheld manifest.
pub(crate) fn note(
    journal: &mut Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    manifest: &ComponentId,
    note: &Note,
) -> Result<(), Error> {
    let key = record::key_of(WITHHELD, owner, manifest);
    let known = journal.scan(platform, &record::owned(WITHHELD, owner))?;
    if known.len() >= MAX_NOTES && known.iter().all(|(k, _)| *k != key) {
        let mut aged = Vec::new();
        for (key, value) in known {
            aged.push((record::read::<Note>(&value, "withheld manifest")?.since, key));
        }
        if let Some((_, oldest)) = aged.into_iter().min() {
            journal.delete(oldest);
        }
    }
    journal.put(key, note.to_cbor());
    Ok(())
}

/// Forgets a withheld manifest, and an approval of it, because it is installed or removed.
pub(crate) fn forget(
    journal: &mut Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    manifest: &ComponentId,
) -> Result<(), Error> {
    let key = record::key_of(WITHHELD, owner, manifest);
    if journal.get(platform, &key)?.is_some() {
        journal.delete(key);
    }
    let mut policy = Policy::load(journal, platform)?;
    let before = policy.approvals.len();
    policy.approvals.retain(|one| one.owner != *owner || one.manifest != *manifest);
    if policy.approvals.len() != before {
        policy.put(journal);
    }
    Ok(())
}

/// All that is remembered of one Owner, or of all of them.
pub(crate) fn noted(
    journal: &Journal,
    platform: &dyn Platform,
    owner: Option<&OwnerId>,
) -> Result<Vec<(OwnerId, ComponentId, Note)>, Error> {
    let range = owner.map_or_else(|| WITHHELD.to_vec(), |owner| record::owned(WITHHELD, owner));
    let pairs = journal.scan(platform, &range)?;
    let read = |(key, value): &(Vec<u8>, Vec<u8>)| {
        let (owner, id) = record::split_key(WITHHELD, key)?;
        Ok((owner, id, record::read(value, "withheld manifest")?))
    };
    pairs.iter().map(read).collect()
}

/// What `tam` is told: which of its own manifests, sent, installed or asked for by applications, the rules withhold now.
/// Nothing of it tells of another TAM's, nor which rule it was (security rule E5).
pub(crate) fn report(
    journal: &Journal,
    platform: &dyn Platform,
    tam: &TamAnchor,
    requested: &[ComponentId],
) -> Result<Vec<HeldBack>, Error> {
    let policy = Policy::load(journal, platform)?;
    let mut told: Vec<HeldBack> = Vec::new();
    for (_, id, note) in noted(journal, platform, Some(&tam.owner))? {
        if let Some(why) = policy.says(tam, &note.provider, (&id, &note.digest), &note.components) {
            let sequence = (why == OwnerSays::Deferred).then_some(note.sequence);
            told.push(HeldBack { id, why, sequence });
        }
    }
    for (_, id, _) in stopped(journal, platform, &policy, tam)? {
        if told.iter().all(|one| one.id != id) {
            told.push(HeldBack { id, why: OwnerSays::Refused, sequence: None });
        }
    }
    for id in requested {
        let denied = policy.rules.of_component(id) == Effect::Deny;
        if denied && told.iter().all(|one| one.id != *id) {
            told.push(HeldBack { id: id.clone(), why: OwnerSays::Refused, sequence: None });
        }
    }
    told.truncate(MAX_TOLD);
    Ok(told)
}

/// The manifests of `tam` that are installed and may not run.
pub(super) fn stopped(
    journal: &Journal,
    platform: &dyn Platform,
    policy: &Policy,
    tam: &TamAnchor,
) -> Result<Vec<(OwnerId, ComponentId, slots::Manifest)>, Error> {
    if policy.rules.is_empty() {
        return Ok(Vec::new());
    }
    let components = slots::components(journal, platform, Some(&tam.owner))?;
    let mut manifests = slots::manifests(journal, platform, Some(&tam.owner))?;
    manifests.retain(|(_, id, manifest)| {
        let of_it = components.iter().filter(|(_, _, component)| component.manifest == *id);
        let ids = of_it.map(|(_, component, _)| component).chain([id]);
        policy.effect(tam, Some(&manifest.provider), ids) == Effect::Deny
    });
    Ok(manifests)
}
