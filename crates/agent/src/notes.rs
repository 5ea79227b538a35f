//! What applications ask for and no longer need; and the time floor. None of it is device state in the sense of the state
//! root: losing it costs a question, not security.

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder};
use tamarack_model::{ComponentId, OwnerId, UnixTime};
use tamarack_tee::Platform;

use crate::Error;
use crate::journal::Journal;
use crate::record::{self, Id, REQUESTED, TIME_FLOOR, UNNEEDED};
use crate::trust::Number;

/// Most requests that are remembered.
const MAX_REQUESTS: usize = 64;
/// How far the clock may run ahead of the time floor before that is written again, in seconds.
const FLOOR_STEP: u64 = 3600;

/// A component that an application asked for, stored as `[component, tam_uri, minimum / null]`, in older stores without the
/// last.
pub(crate) struct Request {
    pub component: ComponentId,
    /// The TAM that was asked; no other is told (security rule E5).
    pub tam_uri: String,
    /// Lowest sequence number that will do.
    pub minimum: Option<u64>,
}

impl Encode for Request {
    fn encode(&self, e: &mut Encoder) {
        record::encode_id(e.array(3), &self.component).text(&self.tam_uri);
        match self.minimum {
            Some(minimum) => e.uint(minimum),
            None => e.null(),
        };
    }
}

impl<'b> Decode<'b> for Request {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        let at = d.position();
        let count = d.array()?;
        if !(2..=3).contains(&count) {
            return Err(tamarack_cbor::Error::new(at, tamarack_cbor::ErrorKind::Value("a request")));
        }
        let (component, tam_uri) = (record::decode_id(d)?, d.text()?.into());
        let minimum = match (count, d.peek()) {
            (2, _) => None,
            (_, tamarack_cbor::Kind::Null) => d.null().map(|()| None)?,
            _ => Some(d.uint()?),
        };
        Ok(Self { component, tam_uri, minimum })
    }
}

fn request_key(component: &ComponentId) -> Vec<u8> {
    [REQUESTED, &Id(component.clone()).to_cbor()].concat()
}

/// Remembers that an application wants `component`.
pub(crate) fn request(
    journal: &mut Journal,
    platform: &dyn Platform,
    request: &Request,
) -> Result<(), Error> {
    let key = request_key(&request.component);
    let known = journal.scan(platform, REQUESTED)?;
    if known.len() >= MAX_REQUESTS && !known.iter().any(|(k, _)| *k == key) {
        return Err(tamarack_tee::Error::Quota.into());
    }
    let value = request.to_cbor();
    if !known.contains(&(key.clone(), value.clone())) {
        journal.put(key, value);
    }
    Ok(())
}

/// Forgets a request, because it was taken back, or fulfilled by a manifest with the sequence number `brought` unless it
/// wants a higher one.
pub(crate) fn forget_request(
    journal: &mut Journal,
    platform: &dyn Platform,
    component: &ComponentId,
    brought: Option<u64>,
) -> Result<(), Error> {
    let key = request_key(component);
    let Some(value) = journal.get(platform, &key)? else { return Ok(()) };
    let request: Request = record::read(&value, "request")?;
    if brought.is_none_or(|brought| request.minimum.is_none_or(|minimum| brought >= minimum)) {
        journal.delete(key);
    }
    Ok(())
}

/// The components asked of the TAM at `tam_uri`, with the lowest sequence numbers that will do.
pub(crate) fn requested(
    platform: &dyn Platform,
    tam_uri: &str,
) -> Result<Vec<(ComponentId, Option<u64>)>, Error> {
    let mut found = Vec::new();
    for (_, value) in platform.scan(REQUESTED)? {
        let request: Request = record::read(&value, "request")?;
        if request.tam_uri == tam_uri {
            found.push((request.component, request.minimum));
        }
    }
    Ok(found)
}

/// Notes that no application needs `manifest` any more, or that one does again.
pub(crate) fn set_unneeded(
    journal: &mut Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    manifest: &ComponentId,
    unneeded: bool,
) -> Result<(), Error> {
    let key = record::key_of(UNNEEDED, owner, manifest);
    match (unneeded, journal.get(platform, &key)?.is_some()) {
        (true, false) => journal.put(key, Vec::new()),
        (false, true) => journal.delete(key),
        _ => {}
    }
    Ok(())
}

/// The manifests of `owner` that no application needs any more.
pub(crate) fn unneeded(platform: &dyn Platform, owner: &OwnerId) -> Result<Vec<ComponentId>, Error> {
    let pairs = platform.scan(&record::owned(UNNEEDED, owner))?;
    pairs.iter().map(|(key, _)| record::split_key(UNNEEDED, key).map(|(_, id)| id)).collect()
}

/// The time to judge certificates of `owner` by: the host's clock, but never before what a message of this Owner has
/// vouched for (security rule S3).
pub(crate) fn time(platform: &dyn Platform, owner: &OwnerId, now: UnixTime) -> Result<UnixTime, Error> {
    let floor = platform.get(&record::owned(TIME_FLOOR, owner))?;
    let floor = floor.map(|value| record::read::<Number>(&value, "time floor")).transpose()?;
    Ok(floor.map_or(now, |Number(floor)| now.max(floor)))
}

/// Raises the time floor of `owner` to a time that somebody whom it trusts signed.
pub(crate) fn raise_floor(
    journal: &mut Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    signed: UnixTime,
) -> Result<(), Error> {
    let key = record::owned(TIME_FLOOR, owner);
    let floor = journal.get(platform, &key)?;
    let floor = floor.map(|value| record::read::<Number>(&value, "time floor")).transpose()?;
    if floor.is_none_or(|Number(floor)| signed > floor) {
        journal.put(key, Number(signed).to_cbor());
    }
    Ok(())
}

/// Raises the time floor of `owner` after one of its messages was verified at `now`.
pub(crate) fn raise_time(
    journal: &mut Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    now: UnixTime,
) -> Result<(), Error> {
    let key = record::owned(TIME_FLOOR, owner);
    let floor = journal.get(platform, &key)?;
    let floor = floor.map(|value| record::read::<Number>(&value, "time floor")).transpose()?;
    if floor.is_none_or(|Number(floor)| now >= floor.saturating_add(FLOOR_STEP)) {
        journal.put(key, Number(now).to_cbor());
    }
    Ok(())
}
