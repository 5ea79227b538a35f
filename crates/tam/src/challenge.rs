//! Stateless challenges (security rules C1 to C3): which question an answer belongs to, without having kept it.

use tamarack_crypto::{ConstantTimeEq, Provider};
use tamarack_model::UnixTime;
use tamarack_store::TenantId;
use tamarack_teep::DataItems;

use crate::config::{ChallengeKey, TamConfig};

/// Format of what follows, in the high half of the first byte; the low half is the key generation.
const FORMAT: u8 = 1;
/// Purpose "nonce of Evidence", in the high half of the second byte; the low half are the data items.
const EVIDENCE: u8 = 1;
const LABEL: &[u8] = b"tamarack challenge 1";
/// What is authenticated and what identifies the challenge in the replay table.
const HEAD: usize = 16;

/// A challenge of this TAM for this tenant that has not expired.
///
/// | bytes | content |
/// |---|---|
/// | 0 | format 1, key generation |
/// | 1 | purpose 1, data items asked for |
/// | 2 to 5 | time of issue, seconds since 1970, big-endian |
/// | 6 to 15 | random |
/// | 16 to 31 | HMAC-SHA-256 over label, replay group, tenant and bytes 0 to 15, cut to 16 bytes |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// First 16 bytes: the key in the replay table.
    pub id: [u8; HEAD],
    /// What was asked for.
    pub items: DataItems,
    /// Last second in which it is valid.
    pub expires: UnixTime,
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
        items: DataItems,
        now: UnixTime,
        random: [u8; 10],
        crypto: &Provider,
    ) -> [u8; 32] {
        let key = &config.challenge_keys.current;
        let mut challenge = [0; 32];
        challenge[0] = FORMAT << 4 | key.generation & 0x0f;
        challenge[1] = EVIDENCE << 4 | items.bits() as u8;
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
        if bytes[0] >> 4 != FORMAT || bytes[1] >> 4 != EVIDENCE {
            return Err(Invalid::Foreign);
        }
        let items = DataItems::from_bits(u64::from(bytes[1] & 0x0f)).ok_or(Invalid::Foreign)?;
        let issued = UnixTime::from(u32::from_be_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]));
        let expires = issued + config.challenge_ttl;
        if now > expires || issued > now + config.skew {
            return Err(Invalid::Expired);
        }
        let mut id = [0; HEAD];
        id.copy_from_slice(head);
        Ok(Self { id, items, expires })
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
