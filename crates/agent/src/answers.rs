use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder};
use tamarack_model::{ComponentId, OwnerId};
use tamarack_tee::Platform;

use crate::Error;
use crate::counters::{self, Counter};
use crate::journal::Journal;
use crate::record::{self, ANSWER};

/// How many answers are kept for each Owner (security rule R5).
const KEPT: u64 = 4;

/// The answer to an Update that came to its end, for the case that the TAM did not get it (rule R5). Stored in the
/// transaction that it answers, as `[SHA-256 of the Update, message, [* [manifest, counter / null]]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// SHA-256 of the TEEP payload that it answers.
    pub update: [u8; 32],
    /// The signed Success or Error.
    pub message: Vec<u8>,
    /// The counters of the manifests concerned, as the Update left them.
    pub left: Vec<(ComponentId, Option<Counter>)>,
}

/// What is known about an Update.
pub(crate) enum Recall {
    /// It was answered with this message, and nothing has changed since.
    Repeat(Vec<u8>),
    /// It was answered, and what it concerned has changed since.
    Stale,
}

impl Encode for Answer {
    fn encode(&self, e: &mut Encoder) {
        e.array(3).bytes(&self.update).bytes(&self.message).array(self.left.len());
        for (manifest, counter) in &self.left {
            record::encode_id(e.array(2), manifest);
            match counter {
                Some(counter) => e.item(counter),
                None => e.null(),
            };
        }
    }
}

impl<'b> Decode<'b> for Answer {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(3, "an answer")?;
        let (update, message) = (d.byte_array("32 bytes")?, d.bytes()?.to_vec());
        let left = (0..d.array()?).map(|_| {
            d.array_of(2, "a manifest and its counter")?;
            let manifest = record::decode_id(d)?;
            match d.peek() {
                tamarack_cbor::Kind::Null => d.null().map(|()| (manifest, None)),
                _ => Ok((manifest, Some(Counter::decode(d)?))),
            }
        });
        Ok(Self { update, message, left: left.collect::<Result<_, _>>()? })
    }
}

/// Looks for the answer to an Update that `owner` sent before.
pub(crate) fn recall(
    platform: &dyn Platform,
    owner: &OwnerId,
    update: &[u8; 32],
) -> Result<Option<Recall>, Error> {
    let journal = Journal::default();
    for (_, value) in platform.scan(&record::owned(ANSWER, owner))? {
        let answer: Answer = record::read(&value, "stored answer")?;
        if answer.update != *update {
            continue;
        }
        for (manifest, left) in &answer.left {
            if counters::get(&journal, platform, owner, manifest)? != *left {
                return Ok(Some(Recall::Stale));
            }
        }
        return Ok(Some(Recall::Repeat(answer.message)));
    }
    Ok(None)
}

/// Keeps `answer`; the oldest one makes room.
pub(crate) fn keep(
    journal: &mut Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    answer: &Answer,
) -> Result<(), Error> {
    let prefix = record::owned(ANSWER, owner);
    let stored = journal.scan(platform, &prefix)?;
    let number = |key: &[u8]| key[prefix.len()..].try_into().map(u64::from_be_bytes).unwrap_or_default();
    let next = stored.last().map_or(0, |(key, _)| number(key).wrapping_add(1));
    for (key, _) in stored {
        if number(&key) + KEPT <= next {
            journal.delete(key);
        }
    }
    journal.put([&prefix[..], &next.to_be_bytes()].concat(), answer.to_cbor());
    Ok(())
}
