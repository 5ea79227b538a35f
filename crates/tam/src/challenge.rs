//! Stateless challenges (security rules C1 to C3): which question an answer belongs to, without having kept it.

use tamarack_crypto::{ConstantTimeEq, Provider};
use tamarack_model::UnixTime;
use tamarack_store::TenantId;
use tamarack_teep::DataItems;

use crate::config::{ChallengeKey, TamConfig};

/// Format of what follows, in the high half of the first byte; the low half is the key generation.
const FORMAT: u8 = 1;
/// Purpose "nonce of Evidence in TEEP", in the high half of the second byte; the low half are the data items.
const EVIDENCE: u8 = 1;
/// Purpose "tid of OTrP"; the low half is 1 in an exchange that began again.
const DEVICE_STATE: u8 = 2;
const LABEL: &[u8] = b"tamarack challenge 1";
/// What is authenticated and what identifies the challenge in the replay table.
const HEAD: usize = 16;

/// A challenge of this TAM for this tenant that has not expired.
///
/// | bytes | content |
/// |---|---|
/// | 0 | format 1, key generation |
/// | 1 | what was asked: [`Question`] |
/// | 2 to 5 | time of issue, seconds since 1970, big-endian |
/// | 6 to 15 | random |
/// | 16 to 31 | HMAC-SHA-256 over label, replay group, tenant and bytes 0 to 15, cut to 16 bytes |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// First 16 bytes: the key in the replay table.
    pub id: [u8; HEAD],
    /// What was asked.
    pub question: Question,
    /// Last second in which it is valid.
    pub expires: UnixTime,
}

/// What a challenge belongs to. An answer to one question is none to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// A QueryRequest of TEEP for these data items.
    Evidence(DataItems),
    /// A GetDeviceStateRequest of OTrP.
    DeviceState {
        /// Whether it was asked because the state was another one than the TAM had planned for.
        again: bool,
    },
}

impl Question {
    fn to_byte(self) -> u8 {
        match self {
            Self::Evidence(items) => EVIDENCE << 4 | items.bits() as u8,
            Self::DeviceState { again } => DEVICE_STATE << 4 | u8::from(again),
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        match (byte >> 4, byte & 0x0f) {
            (EVIDENCE, items) => DataItems::from_bits(items.into()).map(Self::Evidence),
            (DEVICE_STATE, again @ 0..=1) => Some(Self::DeviceState { again: again == 1 }),
            _ => None,
        }
    }
}

/// Why 32 bytes, or others, are no valid challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// Not made by this TAM for this tenant, or under a key that is gone.
    Foreign,
    /// It has expired, or claims to be from the future.
    Expired,
}

impl Challenge {
    /// Makes the 32 bytes of a challenge. `now` must be before the year 2106.
    pub fn issue(
        config: &TamConfig,
        tenant: &TenantId,
        question: Question,
        now: UnixTime,
        random: [u8; 10],
        crypto: &Provider,
    ) -> [u8; 32] {
        let key = &config.challenge_keys.current;
        let mut challenge = [0; 32];
        challenge[0] = FORMAT << 4 | key.generation & 0x0f;
        challenge[1] = question.to_byte();
        challenge[2..6].copy_from_slice(&(now as u32).to_be_bytes());
        challenge[6..HEAD].copy_from_slice(&random);
        let tag = tag(key, config, tenant, &challenge[..HEAD], crypto);
        challenge[HEAD..].copy_from_slice(&tag);
        challenge
    }

    /// Reads a challenge back: first its MAC, then its time.
    pub fn verify(
        config: &TamConfig,
        tenant: &TenantId,
        bytes: &[u8],
        now: UnixTime,
        crypto: &Provider,
    ) -> Result<Self, Invalid> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| Invalid::Foreign)?;
        let (head, mac) = bytes.split_at(HEAD);
        let keys = &config.challenge_keys;
        let generation = bytes[0] & 0x0f;
        let key = core::iter::once(&keys.current)
            .chain(&keys.previous)
            .find(|key| key.generation & 0x0f == generation)
            .ok_or(Invalid::Foreign)?;
        if !bool::from(tag(key, config, tenant, head, crypto).ct_eq(mac)) {
            return Err(Invalid::Foreign);
        }
        // From here on every byte is one that this TAM wrote.
        if bytes[0] >> 4 != FORMAT {
            return Err(Invalid::Foreign);
        }
        let question = Question::from_byte(bytes[1]).ok_or(Invalid::Foreign)?;
        let issued = UnixTime::from(u32::from_be_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]));
        let expires = issued + config.challenge_ttl;
        if now > expires || issued > now + config.skew {
            return Err(Invalid::Expired);
        }
        let mut id = [0; HEAD];
        id.copy_from_slice(head);
        Ok(Self { id, question, expires })
    }
}

fn tag(
    key: &ChallengeKey,
    config: &TamConfig,
    tenant: &TenantId,
    head: &[u8],
    crypto: &Provider,
) -> [u8; 16] {
    // Label, group and head have fixed lengths, so the tenant's name in between cannot be shifted.
    let parts = [LABEL, &config.replay_group, tenant.as_str().as_bytes(), head];
    let full = crypto.hmac.tag(key.key.expose(), &parts);
    let mut tag = [0; 16];
    tag.copy_from_slice(&full[..16]);
    tag
}
