use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_attest::release::ReleaseRules;
use tamarack_attest::{Grade, Policy, ReferenceProvider, ResultPolicy};
use tamarack_cbor::Limits;
use tamarack_cose::{KeyId, thumbprint};
use tamarack_crypto::{KeyAgree, Provider, PublicKey, Secret, Sign};
use tamarack_model::UnixTime;
use tamarack_x509::Anchor;

use crate::ReferenceMemo;

/// What an operator decides. Everything else is in the store.
pub struct TamConfig {
    /// The keys that sign TEEP messages, one per cipher suite, of which both are served (Ed25519 and ESP256).
    pub signers: Vec<TamSigner>,
    /// TEE CAs with their grade caps, and the lowest grade that is accepted.
    pub evidence: Policy,
    /// The P-256 key that Agents are asked to encrypt Evidence to; without it they send it in the clear (security rule E5).
    pub evidence_key: Option<Box<dyn KeyAgree>>,
    /// Whose Attestation Results are accepted; without it none is, and all Evidence is appraised here.
    pub results: Option<ResultPolicy>,
    /// Ask a verifier about Evidence in TEEP instead of appraising it here: an output of the engine, whose answer must be by
    /// one of [`TamConfig::results`]. Evidence in OTrP is appraised here all the same.
    pub remote_verifier: bool,
    /// Who may give reference values. Each tenant has its own values; these are the operator's.
    pub reference_providers: Vec<ReferenceProvider>,
    /// The best grade of a device that only a tenant's own provider of reference values vouches for.
    pub tenant_provider_cap: Grade,
    /// What reads the tenants' release policies. Without it a tenant that has one gives its devices nothing new.
    pub release_rules: Option<Box<dyn ReleaseRules>>,
    /// Remembers reference values that were verified; without it their signatures are verified at each appraisal.
    pub reference_memo: Option<Box<dyn ReferenceMemo>>,
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
    /// What it takes to speak OTrP; without it only TEEP is spoken.
    pub otrp: Option<OtrpConfig>,
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
            evidence_key: None,
            results: None,
            remote_verifier: false,
            reference_providers: Vec::new(),
            reference_memo: None,
            tenant_provider_cap: Grade::None,
            release_rules: None,
            challenge_keys: ChallengeKeys { current: challenge_key, previous: None },
            replay_group,
            challenge_ttl: 300,
            skew: 60,
            longest_appraisal: 300,
            update_ttl: 24 * 3600,
            limits,
            update_limit: limits.bytes - 16 * 1024,
            otrp: None,
        }
    }
}

/// What an operator decides about OTrP.
pub struct OtrpConfig {
    /// The key that signs requests and that answers are encrypted to.
    pub signer: OtrpSigner,
    /// One for each of [`TamConfig::evidence`]'s TEE CAs, in the same order; a CA without rules has the default.
    pub tee_rules: Vec<TeeRules>,
    /// The authorities of trusted firmware.
    pub firmware_cas: Vec<Anchor>,
    /// For each of them, in the same order, revocation lists, DER; if there are any, one must speak for each certificate.
    pub firmware_crls: Vec<Vec<Vec<u8>>>,
    /// Bounds of messages.
    pub limits: tamarack_otrp::Limits,
    /// The status of the signer's certificates; without one that is in force no request is sent.
    pub staple: Option<Staple>,
    /// How long applications may rely on keys of providers that this TAM signed, in seconds.
    pub keys_ttl: u64,
}

impl OtrpConfig {
    /// The usual limits; no staple and no firmware authorities yet.
    pub fn new(signer: OtrpSigner) -> Self {
        Self {
            signer,
            tee_rules: Vec::new(),
            firmware_cas: Vec::new(),
            firmware_crls: Vec::new(),
            limits: tamarack_otrp::Limits::default(),
            staple: None,
            keys_ttl: 24 * 3600,
        }
    }
}

/// How TEEs under one CA are looked at.
#[derive(Clone, Debug, Default)]
pub struct TeeRules {
    /// Take certificates without the extended key usage of the role, as the draft has it.
    pub draft: bool,
    /// Revocation lists, DER, of that CA and those under it; if there are any, one must speak for each certificate.
    pub crls: Vec<Vec<u8>>,
}

/// OCSP responses for a TAM's certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staple {
    /// DER, for the leaf and each CA below the root.
    pub responses: Vec<Vec<u8>>,
    /// The last second in which all of them are in force.
    pub until: UnixTime,
}

/// The key of a TAM in OTrP. The draft has one key for signing and for decrypting, which security rules K5 and K6 forbid
/// anywhere else.
pub struct OtrpSigner {
    pub(crate) sign: Box<dyn Sign>,
    pub(crate) agree: Box<dyn KeyAgree>,
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) leaf_hash: [u8; 32],
    pub(crate) tamid: String,
}

impl OtrpSigner {
    /// Signs with `sign` and decrypts with `agree`, two handles of one P-256 key. `chain` (DER, leaf first) certifies it
    /// under the name `tamid`.
    pub fn new(
        sign: Box<dyn Sign>,
        agree: Box<dyn KeyAgree>,
        chain: Vec<Vec<u8>>,
        tamid: String,
        crypto: &Provider,
    ) -> Self {
        let leaf_hash = crypto.sha256(chain.first().map_or(&[][..], |leaf| leaf));
        Self { sign, agree, chain, leaf_hash, tamid }
    }

    /// Its certificate, DER; empty without a chain.
    pub fn leaf(&self) -> &[u8] {
        self.chain.first().map_or(&[], |leaf| leaf)
    }

    /// The key that signs.
    pub fn key(&self) -> &dyn Sign {
        self.sign.as_ref()
    }

    /// The name in its certificate.
    pub fn tamid(&self) -> &str {
        &self.tamid
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

    /// Its public half.
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
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
