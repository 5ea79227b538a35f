use alloc::collections::BTreeMap;

use tamarack_crypto::{ConstantTimeEq, Provider};
use tamarack_model::{OwnerId, UnixTime};

use crate::Error;

/// What the Agent remembers of exchanges with TEEP. All of it is in memory: a restart ends every exchange.
#[derive(Default)]
pub(crate) struct Teep {
    nonces: BTreeMap<OwnerId, [u8; 16]>,
    evidence: BTreeMap<OwnerId, Rate>,
    refusals: Rate,
}

impl Teep {
    /// Makes the nonce that the next Update of `owner` must echo (security rule C6); an older one is void.
    pub fn make_nonce(&mut self, owner: OwnerId, provider: &Provider) -> Result<[u8; 16], Error> {
        let mut nonce = [0; 16];
        provider.random.fill(&mut nonce)?;
        self.nonces.insert(owner, nonce);
        Ok(nonce)
    }

    /// Whether an Update of `owner` answers the exchange that is open. If so, that was the only time: the nonce is gone.
    /// An Update that does not fit leaves it, so that a replay cannot spoil the exchange.
    pub fn take_nonce(&mut self, owner: &OwnerId, echoed: Option<&[u8; 16]>) -> bool {
        let fits = match (self.nonces.get(owner), echoed) {
            (Some(nonce), Some(echoed)) => bool::from(nonce.ct_eq(echoed)),
            _ => false,
        };
        if fits {
            self.nonces.remove(owner);
        }
        fits
    }

    /// Whether Evidence may be signed for `owner` now (security rule C7).
    pub fn may_attest(&mut self, owner: OwnerId, now: UnixTime, per_minute: u32) -> bool {
        self.evidence.entry(owner).or_default().allows(now, per_minute)
    }

    /// Whether a message that no trusted TAM signed may be answered now.
    pub fn may_refuse(&mut self, now: UnixTime, per_minute: u32) -> bool {
        self.refusals.allows(now, per_minute)
    }
}

/// How often something happened in the current minute.
#[derive(Default)]
pub(crate) struct Rate {
    minute: UnixTime,
    count: u32,
}

impl Rate {
    pub fn allows(&mut self, now: UnixTime, per_minute: u32) -> bool {
        // A clock that goes back opens a new minute only once it has passed the old one.
        if now / 60 > self.minute {
            *self = Self { minute: now / 60, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count <= per_minute
    }
}
