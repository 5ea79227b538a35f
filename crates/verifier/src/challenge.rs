//! Challenges of the verifier, which nobody keeps (security rule C1).

use std::sync::{Mutex, PoisonError};

use tamarack_crypto::{ConstantTimeEq, Error, Provider, Secret};
use tamarack_model::UnixTime;

const LABEL: &[u8] = b"tamarack verifier challenge 1";
/// What is authenticated.
const HEAD: usize = 16;
/// Seconds after which a new key is made.
const ROTATION: u64 = 24 * 3600;
/// How far a challenge may be ahead of the clock, in seconds.
const SKEW: u64 = 60;

/// The keys. They live as long as the process: a verifier that starts again knows no challenge from before.
///
/// | bytes of a challenge | content |
/// |---|---|
/// | 0 to 3 | time of issue, seconds since 1970, big-endian |
/// | 4 to 15 | random |
/// | 16 to 31 | HMAC-SHA-256 over a label and bytes 0 to 15, cut to 16 bytes |
pub(crate) struct Challenges {
    ttl: u64,
    keys: Mutex<Keys>,
}

struct Keys {
    current: Secret<[u8; 32]>,
    made: UnixTime,
    previous: Option<Secret<[u8; 32]>>,
}

impl Challenges {
    pub fn new(ttl: u64, now: UnixTime, crypto: &Provider) -> Result<Self, Error> {
        let keys = Keys { current: random_key(crypto)?, made: now, previous: None };
        Ok(Self { ttl, keys: Mutex::new(keys) })
    }

    /// A challenge, and the last second in which it may be answered. `now` must be before the year 2106.
    pub fn issue(&self, now: UnixTime, crypto: &Provider) -> Result<([u8; 32], UnixTime), Error> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= keys.made.saturating_add(ROTATION) {
            let next = random_key(crypto)?;
            keys.previous = Some(core::mem::replace(&mut keys.current, next));
            keys.made = now;
        }
        let mut challenge = [0; 32];
        challenge[..4].copy_from_slice(&(now as u32).to_be_bytes());
        crypto.random.fill(&mut challenge[4..HEAD])?;
        let tag = tag(&keys.current, &challenge[..HEAD], crypto);
        challenge[HEAD..].copy_from_slice(&tag);
        Ok((challenge, now.saturating_add(self.ttl)))
    }

    /// Whether this is a challenge of ours that may still be answered.
    pub fn accepts(&self, challenge: &[u8], now: UnixTime, crypto: &Provider) -> bool {
        let Ok(challenge) = <&[u8; 32]>::try_from(challenge) else { return false };
        let (head, mac) = challenge.split_at(HEAD);
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = core::iter::once(&keys.current)
            .chain(&keys.previous)
            .any(|key| bool::from(tag(key, head, crypto).ct_eq(mac)));
        let issued = UnixTime::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
        ours && now <= issued + self.ttl && issued <= now.saturating_add(SKEW)
    }
}

fn random_key(crypto: &Provider) -> Result<Secret<[u8; 32]>, Error> {
    let mut key = Secret::new([0; 32]);
    crypto.random.fill(key.expose_mut())?;
    Ok(key)
}

fn tag(key: &Secret<[u8; 32]>, head: &[u8], crypto: &Provider) -> [u8; 16] {
    let full = crypto.hmac.tag(key.expose(), &[LABEL, head]);
    let mut tag = [0; 16];
    tag.copy_from_slice(&full[..16]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = 1_800_000_000;

    #[test]
    fn c1_only_challenges_of_its_own_and_in_time() {
        let crypto = tamarack_crypto_aws_lc::provider();
        let ours = Challenges::new(300, NOW, &crypto).unwrap();
        let (challenge, expires) = ours.issue(NOW, &crypto).unwrap();
        assert_eq!(expires, NOW + 300);
        for (now, accepted) in
            [(NOW, true), (NOW + 300, true), (NOW - 60, true), (NOW + 301, false), (NOW - 61, false)]
        {
            assert_eq!(ours.accepts(&challenge, now, &crypto), accepted, "{now}");
        }
        for at in 0..32 {
            let mut changed = challenge;
            changed[at] ^= 1;
            assert!(!ours.accepts(&changed, NOW, &crypto), "byte {at}");
        }
        assert!(!ours.accepts(&challenge[..31], NOW, &crypto));
        assert!(
            !Challenges::new(300, NOW, &crypto).unwrap().accepts(&challenge, NOW, &crypto),
            "another one's"
        );
        assert_ne!(ours.issue(NOW, &crypto).unwrap().0, challenge);
    }

    #[test]
    fn c1_the_key_rotates_daily_and_the_one_before_still_counts() {
        let crypto = tamarack_crypto_aws_lc::provider();
        let ours = Challenges::new(3600, NOW, &crypto).unwrap();
        let (old, _) = ours.issue(NOW + ROTATION - 1, &crypto).unwrap();
        ours.issue(NOW + ROTATION, &crypto).unwrap();
        assert!(ours.accepts(&old, NOW + ROTATION, &crypto));
        ours.issue(NOW + 2 * ROTATION, &crypto).unwrap();
        assert!(!ours.accepts(&old, NOW + ROTATION, &crypto), "two days ago");
    }
}
