use tamarack_cbor::{Decode, Decoder, Encode, Encoder};
use tamarack_model::{ComponentId, OwnerId, Sha256Digest};
use tamarack_tee::Platform;

use crate::Error;
use crate::journal::Journal;
use crate::record::{self, COUNTER};

/// The rollback counter of one (Owner, manifest component id); it outlives the manifest (security rules R1 and R3).
///
/// Stored as `[sequence, digest, tombstone]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Highest sequence number that was ever installed.
    pub sequence: u64,
    /// Digest of that manifest (element 0 of its authentication wrapper).
    pub digest: Sha256Digest,
    /// Whether the manifest was deleted since.
    pub tombstone: bool,
}

impl Encode for Counter {
    fn encode(&self, e: &mut Encoder) {
        e.array(3).uint(self.sequence).bytes(&self.digest.0).bool(self.tombstone);
    }
}

impl<'b> Decode<'b> for Counter {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(3, "a counter")?;
        let sequence = d.uint()?;
        let digest = Sha256Digest(d.byte_array("32 bytes")?);
        Ok(Self { sequence, digest, tombstone: d.bool()? })
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

/// Applies rules R2 and R3.
pub(crate) fn compare(
    counter: Option<Counter>,
    sequence: u64,
    digest: &Sha256Digest,
    bound: bool,
) -> Precedence {
    match counter {
        None => Precedence::First,
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
        let live = Some(Counter { sequence: 5, digest: a, tombstone: false });
        let dead = Some(Counter { sequence: 5, digest: a, tombstone: true });
        let check = |counter, sequence, digest, bound, expected| {
            assert_eq!(compare(counter, sequence, &digest, bound), expected, "{counter:?} {sequence}");
        };
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
