use alloc::boxed::Box;
use alloc::vec::Vec;

use tamarack_attest::Policy;
use tamarack_cbor::Limits;
use tamarack_cose::{KeyId, thumbprint};
use tamarack_crypto::{Provider, Secret, Sign};

/// What an operator decides. Everything else is in the store.
pub struct TamConfig {
    /// The keys that sign TEEP messages, one per cipher suite, of which both are served (Ed25519 and ESP256).
    pub signers: Vec<TamSigner>,
    /// TEE CAs with their grade caps, and the lowest grade that is accepted.
    pub evidence: Policy,
    /// The keys of stateless challenges.
    pub challenge_keys: ChallengeKeys,
    /// Names the TAM instances that share a replay table. A store that was restored, or took over, gets a new id and a new
    /// key, because what its table has forgotten could be answered twice (security rule C1).
    pub replay_group: [u8; 16],
    /// How long a challenge lives, in seconds: 30 to 3,600.
    pub challenge_ttl: u64,
    /// How far clocks of TAM instances may differ, in seconds.
    pub skew: u64,
    /// How long an appraisal may take, in seconds; burned challenges are kept that much longer.
    pub longest_appraisal: u64,
    /// How long an Update may be answered, in seconds.
    pub update_ttl: u64,
    /// Bounds of a message.
    pub limits: Limits,
    /// Most bytes of envelopes in one Update; what does not fit waits for the next session.
    pub update_limit: usize,
}

impl TamConfig {
    /// The usual times and limits: challenges live 5 minutes, Updates 24 hours, messages have up to 1 MiB.
    pub fn new(
        signers: Vec<TamSigner>,
        evidence: Policy,
        challenge_key: ChallengeKey,
        replay_group: [u8; 16],
    ) -> Self {
        let limits = Limits::default();
        Self {
            signers,
            evidence,
            challenge_keys: ChallengeKeys { current: challenge_key, previous: None },
            replay_group,
            challenge_ttl: 300,
            skew: 60,
            longest_appraisal: 300,
            update_ttl: 24 * 3600,
            limits,
            update_limit: limits.bytes - 16 * 1024,
        }
    }
}

/// A key of the TAM with what identifies it.
pub struct TamSigner {
    pub(crate) key: Box<dyn Sign>,
    pub(crate) kid: KeyId,
    pub(crate) x5chain: Vec<Vec<u8>>,
}

impl TamSigner {
    /// Signs with `key`. `x5chain` (DER, leaf first) goes into the protected header; empty for Agents that hold the raw key.
    pub fn new(key: Box<dyn Sign>, x5chain: Vec<Vec<u8>>, crypto: &Provider) -> Self {
        let kid = thumbprint(&key.public_key(), crypto);
        Self { key, kid, x5chain }
    }
}

/// A key of stateless challenges. It is never in the database.
pub struct ChallengeKey {
    /// Its generation, 0 to 15, which challenges name. Two keys in use at once differ in it.
    pub generation: u8,
    /// The HMAC key, 32 random bytes.
    pub key: Secret<[u8; 32]>,
}

/// The keys with which challenges are accepted.
pub struct ChallengeKeys {
    /// Makes and accepts.
    pub current: ChallengeKey,
    /// Still accepts.
    pub previous: Option<ChallengeKey>,
}
