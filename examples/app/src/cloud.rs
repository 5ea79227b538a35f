//! Confidential cloud: a tenant has a data key and records; the machine belongs to somebody else.
//!
//! | part | where it runs | holds the data key |
//! |---|---|---|
//! | [`KeyService`], [`Tenant`] | with the tenant | yes |
//! | [`Vault`], the normal app, which reaches the service by [`Service`] | on the host | no |
//! | the TA `vault` | in the host's TEE | yes, once it has proven what it is |
//!
//! 1. The key service makes a nonce. The app hands it to the TA, which makes a key and gives Evidence with both.
//! 2. The key service checks that the Evidence is fresh, that the TEE and the TA are ones that their makers released, and
//!    encrypts the data key to the key *in that Evidence*. Nobody but that TA can open it.
//! 3. The app carries sealed records to the TA and a sealed sum back. It could as well be the attacker.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail, ensure};
use tamarack_attest::{Expectations, Policy, References, Refusal, assess, hints_unverified};
use tamarack_cose::{Recipient, encrypt};
use tamarack_crypto::{Provider, PublicKey, Secret};
use tamarack_eat::TA_FORMAT;
use tamarack_model::{ComponentId, UnixTime, codes};
use tamarack_tee::{Param, Params};

use crate::Carrier;
use crate::session::memory;

/// Most challenges that are open at once; an older one is forgotten.
const MAX_CHALLENGES: usize = 64;
/// How long a challenge may be answered, in seconds.
const CHALLENGE_TTL: u64 = 300;
/// The use for which one encrypts to a TA (`docs/ta-abi.md`).
const TA_ENCRYPTION: &str = "TA Encryption";
/// What records and sums are sealed for (`examples/ta/vault/vault.h`).
const RECORD: &[u8] = b"vault record";
const TOTAL: &[u8] = b"vault total";

/// The component id of the vault in the domain of its provider.
///
/// # Panics
/// If `domain` is empty or longer than 64 bytes.
pub fn vault(domain: &str) -> ComponentId {
    ComponentId::tamarack(domain, VAULT, "ta").expect("a domain of 1 to 64 bytes")
}

/// The UUID of the vault: 9d1c5f0e-6a0b-4c55-8f0c-2b0f6a1e7704.
pub const VAULT: [u8; 16] = *b"\x9d\x1c\x5f\x0e\x6a\x0b\x4c\x55\x8f\x0c\x2b\x0f\x6a\x1e\x77\x04";

/// A tenant's key service: it gives the data key to nobody but the TA that it wants, on a TEE that runs what was released.
pub struct KeyService {
    tenant: Tenant,
    policy: Policy,
    component: ComponentId,
    challenges: VecDeque<([u8; 32], UnixTime)>,
}

impl KeyService {
    /// Gives the key of `tenant` to the TA `component` if `policy` and `references` accept it and what it runs on.
    pub fn new(tenant: Tenant, policy: Policy, references: References, component: ComponentId) -> Self {
        // Without reference values nobody would look at what runs there.
        let policy = Policy { references: Some(references.into()), ..policy };
        Self { tenant, policy, component, challenges: VecDeque::new() }
    }

    /// A nonce for the Evidence of a TA. It is good for one answer within five minutes.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn challenge(&mut self, now: UnixTime) -> Result<[u8; 32]> {
        let nonce = self.tenant.random()?;
        while self.challenges.len() >= MAX_CHALLENGES {
            self.challenges.pop_front();
        }
        self.challenges.push_back((nonce, now.saturating_add(CHALLENGE_TTL)));
        Ok(nonce)
    }

    /// The data key, encrypted to the key in `evidence`: a COSE_Encrypt that only that TA opens.
    ///
    /// # Errors
    /// Why there is none: the code and the reason that appraisal gives.
    pub fn release(&mut self, now: UnixTime, evidence: &[u8]) -> Result<Vec<u8>, Refusal> {
        let stale = |reason: &str| Refusal { code: codes::EVIDENCE_STALE, reason: reason.into() };
        let nonce = hints_unverified(Some(TA_FORMAT), evidence)?.nonce;
        let open = self.challenges.iter().position(|(challenge, _)| challenge[..] == nonce[..]);
        let open = open.and_then(|open| self.challenges.remove(open));
        let (nonce, until) =
            open.ok_or_else(|| stale("nobody asked for this Evidence, or it came before"))?;
        if now > until {
            return Err(stale("the challenge was answered too late"));
        }
        let expected = Expectations { nonce: &nonce, teep_key: None, now };
        let crypto = &self.tenant.crypto;
        let appraisal = assess(Some(TA_FORMAT), evidence, &expected, &self.policy, crypto).outcome?;
        let proven = appraisal.tas.iter().find_map(|ta| Some((&ta.shown.measured, ta.shown.proof.as_ref()?)));
        let unfit = |reason: String| Refusal { code: codes::EVIDENCE_POLICY, reason };
        let (ta, proof) = proven.ok_or_else(|| unfit("the Evidence is of no TA".into()))?;
        if ta.component != self.component {
            return Err(unfit(format!("{} is not the TA that the key is for", ta.component)));
        }
        let key = proof.key.filter(|key| matches!(key, PublicKey::P256 { .. }));
        let key = key.ok_or_else(|| unfit("the TA shows no key that one can encrypt to".into()))?;
        let release = Secret::new([nonce, *self.tenant.key.expose()].concat());
        let recipient = Recipient { key: &key, kid: None };
        encrypt(release.expose(), &[recipient], TA_ENCRYPTION, &[], crypto)
            .map_err(|e| Refusal { code: e.code(), reason: e.to_string() })
    }
}

/// What the tenant does where nobody else is: it seals records and opens what comes back.
pub struct Tenant {
    key: Secret<[u8; 32]>,
    crypto: Provider,
}

/// What the vault has added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// Number of records.
    pub records: u32,
    /// Sum of their amounts.
    pub sum: u64,
}

impl Tenant {
    /// The tenant with this data key.
    pub fn new(key: [u8; 32], crypto: Provider) -> Self {
        Self { key: Secret::new(key), crypto }
    }

    /// A new data key.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn generate(crypto: Provider) -> Result<Self> {
        let mut tenant = Self::new([0; 32], crypto);
        tenant.key = Secret::new(tenant.random()?);
        Ok(tenant)
    }

    /// The data key, to be kept where only the tenant is, and to be looked for where it must not be.
    pub fn key(&self) -> &Secret<[u8; 32]> {
        &self.key
    }

    /// Seals the record with this number, from 1, and amount.
    ///
    /// # Errors
    /// If the provider fails.
    pub fn seal(&self, number: u32, amount: u32) -> Result<Vec<u8>> {
        let record = [number.to_le_bytes(), amount.to_le_bytes()].concat();
        let mut nonce = [0; 12];
        self.crypto.random.fill(&mut nonce).map_err(|e| anyhow::anyhow!("{e}"))?;
        let sealed = self.crypto.aead.seal(self.key.expose(), &nonce, RECORD, &record);
        Ok([&nonce[..], &sealed.map_err(|e| anyhow::anyhow!("{e}"))?].concat())
    }

    /// Opens a sum.
    ///
    /// # Errors
    /// If the vault did not seal it with this key.
    pub fn open(&self, sealed: &[u8]) -> Result<Total> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<12>().context("too short for a sealed sum")?;
        let plain = self.crypto.aead.open(self.key.expose(), nonce, TOTAL, ciphertext);
        let plain = plain.map_err(|_| anyhow::anyhow!("the sum is not by the vault that has the key"))?;
        ensure!(plain.len() == 12, "a sum of {} bytes", plain.len());
        let (records, sum) = plain.split_at(4);
        Ok(Total {
            records: u32::from_le_bytes(records.try_into()?),
            sum: u64::from_le_bytes(sum.try_into()?),
        })
    }

    fn random(&self) -> Result<[u8; 32]> {
        let mut bytes = [0; 32];
        self.crypto.random.fill(&mut bytes).map_err(|e| anyhow::anyhow!("{e}"))?;
        Ok(bytes)
    }
}

/// The tenant's key service, as whoever carries messages reaches it: http://HOST:PORT.
pub struct Service(pub String);

impl Service {
    /// A nonce for the Evidence of a TA.
    ///
    /// # Errors
    /// If the service cannot be asked.
    pub fn challenge(&self) -> Result<[u8; 32]> {
        let (status, nonce) = self.post("challenge", &[])?;
        ensure!(status == 200, "{}: {status}", self.0);
        nonce.as_slice().try_into().context("a challenge has 32 bytes")
    }

    /// What it releases for `evidence`; inside, why it does not.
    ///
    /// # Errors
    /// If the service cannot be asked.
    pub fn release(&self, evidence: &[u8]) -> Result<Result<Vec<u8>, String>> {
        match self.post("release", evidence)? {
            (200, release) => Ok(Ok(release)),
            (403, why) => Ok(Err(String::from_utf8_lossy(&why).into_owned())),
            (status, _) => bail!("{}: {status}", self.0),
        }
    }

    fn post(&self, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent.post(format!("{}/{path}", self.0)).send(body)?;
        Ok((response.status().as_u16(), response.body_mut().read_to_vec()?))
    }
}

/// The normal app's way to the vault.
pub struct Vault<C>(pub C);

impl<C: Carrier> Vault<C> {
    fn invoke(&mut self, command: u32, params: Params) -> Result<Params> {
        self.0.invoke(command, params)?.map_err(|code| anyhow::anyhow!("the vault refuses with 0x{code:08x}"))
    }

    /// Evidence over the key service's nonce.
    ///
    /// # Errors
    /// As for all that follow: if the TA could not be asked, or refused.
    pub fn attest(&mut self, nonce: &[u8; 32]) -> Result<Vec<u8>> {
        let room = Param::MemrefOutput { capacity: 8192, data: Vec::new() };
        memory(self.invoke(0, vec![Param::MemrefInput(nonce.to_vec()), room])?, 1)
    }

    /// Hands over what the key service released.
    ///
    /// # Errors
    /// See [`Vault::attest`].
    pub fn unlock(&mut self, release: &[u8]) -> Result<()> {
        self.invoke(1, vec![Param::MemrefInput(release.to_vec())]).map(drop)
    }

    /// Hands over a sealed record; gives its number.
    ///
    /// # Errors
    /// See [`Vault::attest`].
    pub fn add(&mut self, record: &[u8]) -> Result<u32> {
        let params = vec![Param::MemrefInput(record.to_vec()), Param::ValueOutput(0, 0)];
        match self.invoke(2, params)?.as_slice() {
            [_, Param::ValueOutput(number, _)] => Ok(*number),
            other => bail!("the vault answered {other:?}"),
        }
    }

    /// The sum, sealed.
    ///
    /// # Errors
    /// See [`Vault::attest`].
    pub fn total(&mut self) -> Result<Vec<u8>> {
        memory(self.invoke(3, vec![Param::MemrefOutput { capacity: 64, data: Vec::new() }])?, 0)
    }

    /// Whether it has a data key, and how many records.
    ///
    /// # Errors
    /// See [`Vault::attest`].
    pub fn status(&mut self) -> Result<(bool, u32)> {
        match self.invoke(4, vec![Param::ValueOutput(0, 0)])?.as_slice() {
            [Param::ValueOutput(unlocked, records)] => Ok((*unlocked == 1, *records)),
            other => bail!("the vault answered {other:?}"),
        }
    }
}
