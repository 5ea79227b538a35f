//! The verifier: its key, its policy and its reference values.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tamarack_attest::{Expectations, Policy, Refusal, assess, hints_unverified};
use tamarack_cose::{Purpose, VerificationKey};
use tamarack_crypto::{Provider, PublicKey, Sign};
use tamarack_eat::ear::{Tier, VerifierId};
use tamarack_model::{DeviceId, UnixTime, codes};
use tamarack_service::clock::Clock;
use tamarack_service::lists::Lists;
use tamarack_service::{Error, TeeCas, reference, tee_cas};

use crate::challenge::Challenges;
use crate::config::Config;
use crate::references::Folder;

/// A verifier, shared by all requests.
pub struct Verifier {
    pub(crate) crypto: Provider,
    pub(crate) clock: Clock,
    key: Box<dyn Sign>,
    id: VerifierId,
    lifetime: u64,
    challenges: Challenges,
    /// What results are made by. An appraisal takes the pointer and holds nobody up.
    policy: RwLock<Arc<Policy>>,
    lists: Lists,
    pub(crate) references: Mutex<Folder>,
    /// Whether anybody may say what attesters should run.
    looks: bool,
}

/// What came of an appraisal.
#[derive(Clone, Debug)]
pub struct Appraised {
    /// The signed EAR.
    pub ear: Vec<u8>,
    /// What it comes to.
    pub status: Tier,
    /// The attestation key's thumbprint.
    pub device: DeviceId,
}

impl Verifier {
    /// Reads every file that the configuration names.
    pub fn open(config: &Config) -> Result<Self, Error> {
        let crypto = tamarack_crypto_aws_lc::provider();
        let clock = Clock::new(0);
        let document = config.document();
        let path = document.path(config.key.get_ref());
        let wrong = |message: String| document.wrong(config.key.span(), "key", message);
        let pem = fs::read_to_string(&path).map_err(|e| wrong(Error::unreadable(&path, &e).to_string()))?;
        let key = tamarack_pki::load_key(&pem).map_err(|e| wrong(format!("{}: {e}", path.display())))?;

        let rules = &config.evidence;
        let TeeCas { cas, lists, .. } =
            tee_cas(document, &config.tee_cas, config.profile, rules.allow_software_tee)?;
        let providers = reference::providers(document, &config.reference_providers, &crypto)?;
        // Security rules E3 and K5: who appraises certifies no TEE and releases nothing.
        let own = VerificationKey::new(key.public_key(), Purpose::AttestationResult, &crypto);
        let is_own = |other: &PublicKey| other == own.public();
        let serves_a_ca = cas.iter().any(|ca| ca.anchor.key().is_some_and(is_own));
        let serves_a_provider = providers.iter().flat_map(|p| &p.keys).any(|key| is_own(key.public()));
        if serves_a_ca || serves_a_provider {
            let why = "is the key of a TEE CA or of a provider of reference values; make one of its own";
            return Err(Error::new(codes::VERIFIER_KEY, wrong(why.into())));
        }
        let looks = !providers.is_empty();
        let mut folder = Folder::open(&document.path(&config.references), providers, &crypto)?;
        folder.look(clock.now(), &crypto)?;
        let mut policy = Policy::new(cas, rules.minimum.into());
        policy.crls = lists.current().into();
        policy.references = looks.then(|| folder.references.clone());
        let challenges = Challenges::new(*rules.challenge_ttl.get_ref(), clock.now(), &crypto)
            .map_err(|e| Error::new(codes::INTERNAL, format_args!("no random bytes: {e:?}")))?;
        let build = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).into();
        Ok(Self {
            crypto,
            clock,
            key,
            id: VerifierId { developer: config.result.developer.clone(), build },
            lifetime: *config.result.lifetime.get_ref(),
            challenges,
            policy: RwLock::new(Arc::new(policy)),
            lists,
            references: Mutex::new(folder),
            looks,
        })
    }

    /// The key whose results are this verifier's.
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    /// The time by its clock, which does not go back.
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// A challenge, and the last second in which it may be answered.
    pub fn challenge(&self) -> Result<([u8; 32], UnixTime), Error> {
        self.challenges
            .issue(self.now(), &self.crypto)
            .map_err(|e| Error::new(codes::INTERNAL, format_args!("no random bytes: {e:?}")))
    }

    /// Appraises Evidence whose media type is `format`. Its nonce is the caller's; without one it must be a challenge of this
    /// verifier. Refused is only what is not genuine, fresh and bound.
    pub fn appraise(
        &self,
        format: &str,
        evidence: &[u8],
        nonce: Option<&[u8]>,
    ) -> Result<Appraised, Refusal> {
        let now = self.now();
        let hints = hints_unverified(Some(format), evidence)?;
        let nonce = match nonce {
            Some(nonce) => nonce.to_vec(),
            None if self.challenges.accepts(&hints.nonce, now, &self.crypto) => hints.nonce,
            None => {
                let reason = "the nonce is no challenge of this verifier that may still be answered";
                return Err(Refusal { code: codes::EVIDENCE_STALE, reason: reason.into() });
            }
        };
        let policy = self.policy.read().unwrap_or_else(PoisonError::into_inner).clone();
        let expected = Expectations { nonce: &nonce, teep_key: None, now };
        let assessment = assess(Some(format), evidence, &expected, &policy, &self.crypto);
        let ear = assessment.ear(self.id.clone(), now, self.lifetime);
        let (Some(ear), Some(genuine)) = (ear, &assessment.genuine) else {
            let unsaid = || Refusal { code: codes::INTERNAL, reason: "refused without a reason".into() };
            return Err(assessment.outcome.err().unwrap_or_else(unsaid));
        };
        let status = ear.worst();
        let ear = ear
            .sign(self.key.as_ref(), &self.crypto)
            .map_err(|e| Refusal { code: codes::INTERNAL, reason: format!("cannot sign: {e}") })?;
        Ok(Appraised { ear, status, device: genuine.device })
    }

    /// Changes reference values and takes the outcome into use.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Folder) -> T) -> T {
        let mut folder = self.references.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = change(&mut folder);
        let references = self.looks.then(|| folder.references.clone());
        self.renew(|policy| policy.references = references);
        outcome
    }

    fn renew(&self, change: impl FnOnce(&mut Policy)) {
        let mut held = self.policy.write().unwrap_or_else(PoisonError::into_inner);
        let mut policy = Policy::clone(&held);
        change(&mut policy);
        *held = Arc::new(policy);
    }

    /// Looks for new reference values and revocation lists. What cannot be read leaves what was read before, and does not
    /// keep the other from being read.
    pub(crate) fn housekeeping(&self) -> Result<(), Error> {
        let references = self.change(|folder| folder.look(self.now(), &self.crypto));
        match self.lists.reread() {
            Ok(None) => {}
            Ok(Some(lists)) => {
                tracing::info!("took new revocation lists of CAs");
                self.renew(|policy| policy.crls = lists.into());
            }
            Err(e) => tracing::error!(code = %e.code(), error = %e, "no new revocation lists of CAs"),
        }
        references
    }
}
