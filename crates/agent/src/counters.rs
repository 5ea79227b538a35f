use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder};
use tamarack_model::{ComponentId, OwnerId, Sha256Digest};
use tamarack_tee::Platform;

use crate::Error;
use crate::journal::Journal;
use crate::record::{self, COUNTER, FLOOR};

/// Most tombstones of one Owner in one Security Domain; what exceeds them folds into the domain's floor (security rule R3).
const TOMBSTONES: usize = 64;

/// The rollback counter of one (Owner, manifest component id); it outlives the manifest (security rules R1 and R3).
///
/// Stored as `[epoch, sequence, digest, tombstone]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Epoch of the signer that installed it; it counts before the sequence number (security rule R2).
    pub epoch: u64,
    /// Highest sequence number that was ever installed in that epoch.
    pub sequence: u64,
    /// Digest of that manifest (element 0 of its authentication wrapper).
    pub digest: Sha256Digest,
    /// Whether the manifest was deleted since.
    pub tombstone: bool,
}

impl Encode for Counter {
    fn encode(&self, e: &mut Encoder) {
        e.array(4).uint(self.epoch).uint(self.sequence).bytes(&self.digest.0).bool(self.tombstone);
    }
}

impl<'b> Decode<'b> for Counter {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(4, "a counter")?;
        let epoch = d.uint()?;
        let sequence = d.uint()?;
        let digest = Sha256Digest(d.byte_array("32 bytes")?);
        Ok(Self { epoch, sequence, digest, tombstone: d.bool()? })
    }
}

/// What a manifest is, against its counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precedence {
    /// Nothing of this id was ever installed.
    First,
    /// It supersedes what is or was installed.
    Newer,
    /// It is what is installed.
    Same,
    /// It is what was installed and then deleted, and the Update that brings it is bound (rule R3).
    Reinstall,
    /// Lower, or equal with another digest, or an unbound reinstall.
    Refused,
}

/// Epoch and sequence number up to which numbers were used in a domain by manifests whose tombstones made room for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Floor(pub u64, pub u64);

impl Encode for Floor {
    fn encode(&self, e: &mut Encoder) {
        e.array(2).uint(self.0).uint(self.1);
    }
}

impl<'b> Decode<'b> for Floor {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(2, "a floor")?;
        Ok(Self(d.uint()?, d.uint()?))
    }
}

/// Applies rules R2 and R3. The floor speaks for manifests that have no counter of their own any more.
pub(crate) fn compare(
    counter: Option<Counter>,
    floor: Option<Floor>,
    epoch: u64,
    sequence: u64,
    digest: &Sha256Digest,
    bound: bool,
) -> Precedence {
    match counter {
        None if floor.is_some_and(|floor| Floor(epoch, sequence) <= floor) => Precedence::Refused,
        None => Precedence::First,
        Some(c) if epoch != c.epoch => match epoch > c.epoch {
            true => Precedence::Newer,
            false => Precedence::Refused,
        },
        Some(c) if sequence > c.sequence => Precedence::Newer,
        Some(c) if sequence < c.sequence || c.digest != *digest => Precedence::Refused,
        Some(c) if !c.tombstone => Precedence::Same,
        Some(_) if bound => Precedence::Reinstall,
        Some(_) => Precedence::Refused,
    }
}

/// The counter of `manifest`.
pub(crate) fn get(
    journal: &Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    manifest: &ComponentId,
) -> Result<Option<Counter>, Error> {
    let value = journal.get(platform, &record::key_of(COUNTER, owner, manifest))?;
    value.map(|value| record::read(&value, "counter")).transpose()
}

/// The floor of the domain that `manifest` lives in.
pub(crate) fn floor(
    journal: &Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    manifest: &ComponentId,
) -> Result<Option<Floor>, Error> {
    let value = journal.get(platform, &floor_key(owner, manifest)?)?;
    value.map(|value| record::read(&value, "floor")).transpose()
}

fn floor_key(owner: &OwnerId, manifest: &ComponentId) -> Result<Vec<u8>, Error> {
    let domain = ComponentId::new([manifest.domain()]).map_err(|_| Error::Corrupt("domain"))?;
    Ok(record::key_of(FLOOR, owner, &domain))
}

/// Turns the counter of a deleted manifest into a tombstone. If the domain has too many, the lowest one folds into the
/// domain's floor: forgotten by name, never by number.
pub(crate) fn bury(
    journal: &mut Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    manifest: &ComponentId,
    counter: Counter,
) -> Result<(), Error> {
    put(journal, owner, manifest, Counter { tombstone: true, ..counter });
    let mut tombstones = Vec::new();
    for (key, value) in journal.scan(platform, &record::owned(COUNTER, owner))? {
        let (_, id) = record::split_key(COUNTER, &key)?;
        let counter: Counter = record::read(&value, "counter")?;
        if counter.tombstone && id.domain() == manifest.domain() {
            tombstones.push((Floor(counter.epoch, counter.sequence), key));
        }
    }
    tombstones.sort();
    let excess = tombstones.len().saturating_sub(TOMBSTONES);
    let mut floor = floor(journal, platform, owner, manifest)?;
    for (rank, key) in tombstones.drain(..excess) {
        floor = floor.max(Some(rank));
        journal.delete(key);
    }
    if let (Some(floor), true) = (floor, excess > 0) {
        journal.put(floor_key(owner, manifest)?, floor.to_cbor());
    }
    Ok(())
}

/// Sets the counter of `manifest` in the same transaction as its cause.
pub(crate) fn put(journal: &mut Journal, owner: &OwnerId, manifest: &ComponentId, counter: Counter) {
    journal.put(record::key_of(COUNTER, owner, manifest), counter.to_cbor());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r2_r3_precedence_table() {
        let (a, b) = (Sha256Digest([1; 32]), Sha256Digest([2; 32]));
        let live = Some(Counter { epoch: 1, sequence: 5, digest: a, tombstone: false });
        let dead = Some(Counter { epoch: 1, sequence: 5, digest: a, tombstone: true });
        let check = |counter, sequence, digest, bound, expected| {
            assert_eq!(
                compare(counter, None, 1, sequence, &digest, bound),
                expected,
                "{counter:?} {sequence}"
            );
        };
        assert_eq!(compare(None, Some(Floor(1, 3)), 1, 3, &a, true), Precedence::Refused);
        assert_eq!(compare(None, Some(Floor(1, 3)), 1, 4, &a, true), Precedence::First);
        assert_eq!(compare(None, Some(Floor(1, 3)), 0, 9, &a, true), Precedence::Refused);
        assert_eq!(compare(live, Some(Floor(1, 9)), 1, 6, &b, true), Precedence::Newer);
        assert_eq!(compare(live, None, 2, 1, &b, true), Precedence::Newer);
        assert_eq!(compare(live, None, 0, 9, &b, true), Precedence::Refused);
        check(None, 0, a, false, Precedence::First);
        check(live, 6, b, false, Precedence::Newer);
        check(live, 4, a, true, Precedence::Refused);
        check(live, 5, b, true, Precedence::Refused);
        check(live, 5, a, false, Precedence::Same);
        check(dead, 5, a, true, Precedence::Reinstall);
        check(dead, 5, a, false, Precedence::Refused);
        check(dead, 4, a, true, Precedence::Refused);
        check(dead, 6, b, false, Precedence::Newer);
    }
}
