use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_model::{OwnerId, UnixTime};
use tamarack_otrp::{Command, MessageId, Tolerance};

use super::receive::Speaker;
use crate::teep::state::Rate;

/// Most sessions that are remembered; the oldest makes room.
const MAX_SESSIONS: usize = 16;
/// How long a session lasts at most, in seconds.
const SESSION: u64 = 3600;

/// What the Agent remembers of OTrP. All of it is in memory: a restart ends every session.
#[derive(Default)]
pub(crate) struct Otrp {
    sessions: VecDeque<Session>,
    device_states: BTreeMap<OwnerId, Rate>,
    refusals: Rate,
}

/// A TAM whose certificate was checked in a transaction: what `signerreq` false promises to remember.
#[derive(Clone)]
pub(crate) struct Session {
    pub tid: String,
    pub speaker: Speaker,
    pub ends: UnixTime,
}

/// What answering a command at the end of its transaction needs of it.
pub(crate) struct Pending {
    pub command: Command,
    pub rid: MessageId,
    pub tid: MessageId,
    pub nextdsi: bool,
    pub speaker: Speaker,
    /// SHA-256 of the JWS signing input, for the stored answer.
    pub request: [u8; 32],
    /// The domain that was made.
    pub sdname: Option<String>,
    /// The provider whose key may be a new one.
    pub spid: Option<String>,
    /// What was tolerated in the request.
    pub tolerances: Vec<Tolerance>,
}

impl Otrp {
    /// Remembers who speaks in the transaction `tid`, until its statuses or its certificates end.
    pub fn remember(&mut self, tid: &MessageId, speaker: Speaker, now: UnixTime, statuses_end: UnixTime) {
        let ends = statuses_end.min(speaker.not_after).min(now.saturating_add(SESSION));
        let owner = speaker.owner;
        self.sessions.retain(|session| session.tid != tid.as_str() || session.speaker.owner != owner);
        while self.sessions.len() >= MAX_SESSIONS {
            self.sessions.pop_front();
        }
        self.sessions.push_back(Session { tid: tid.as_str().into(), speaker, ends });
    }

    /// The sessions of the transaction `tid`, ended ones included.
    pub fn sessions(&self, tid: Option<&MessageId>) -> impl Iterator<Item = &Session> {
        let tid = tid.map(|tid| tid.as_str().to_string());
        self.sessions.iter().filter(move |session| tid.as_ref() == Some(&session.tid))
    }

    /// Whether a DSI may be made for `owner` now (security rule C7).
    pub fn may_tell(&mut self, owner: OwnerId, now: UnixTime, per_minute: u32) -> bool {
        self.device_states.entry(owner).or_default().allows(now, per_minute)
    }

    /// Whether a message may be answered now whose sender is not known.
    pub fn may_refuse(&mut self, now: UnixTime, per_minute: u32) -> bool {
        self.refusals.allows(now, per_minute)
    }
}
