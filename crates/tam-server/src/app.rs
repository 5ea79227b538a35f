//! What all requests share.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tamarack_attest::Policy;
use tamarack_crypto::{KeyAgree, KeyType, Provider, PublicKey};
use tamarack_model::codes;
use tamarack_pki::{certificates_from_pem, load_agreement_key, load_key};
use tamarack_policy_cel::CelRules;
use tamarack_service::{TeeCas, refuse_development, tee_cas};
use tamarack_store::{Read, Store, StoreOp};
use tamarack_store_sqlite::SqliteStore;
use tamarack_tam::{Tam, TamConfig, TamSigner, TeeRules};
use tokio::sync::Semaphore;

use crate::challenge_file::ChallengeFile;
use crate::clock::Clock;
use crate::config::{Config, Limits, SignerFiles};
use crate::gate::Gate;
use crate::http::{Idempotency, Refusals};
use crate::lists::Lists;
use crate::memo::Memo;
use crate::staple::Staples;
use crate::verifier::{self, Remote};
use crate::{Error, domains, otrp, reference, telemetry};

pub(crate) struct App {
    pub tam: RwLock<Tam>,
    pub store: SqliteStore,
    pub crypto: Provider,
    pub clock: Clock,
    pub limits: Limits,
    pub gate: Gate,
    /// Requests to the engine that are answered at the same time.
    pub in_flight: Arc<Semaphore>,
    pub idempotency: Idempotency,
    pub refusals: Refusals,
    pub metrics: PrometheusHandle,
    /// The verifier that is asked, if one is.
    pub remote: Option<Arc<Remote>>,
    /// The status of the TAM's own certificates, if it speaks OTrP.
    staples: Option<Staples>,
    /// Revocation lists of the CAs of TEEs and of trusted firmware.
    tee_lists: Lists,
    firmware_lists: Lists,
    challenges: Mutex<(PathBuf, ChallengeFile)>,
}

/// Puts revocation lists of one kind of CA into use.
type SetLists = fn(&mut Tam, Vec<Vec<Vec<u8>>>);

impl App {
    /// Reads every file that the configuration names and opens the store.
    pub fn open(config: &Config) -> Result<Self, Error> {
        let crypto = tamarack_crypto_aws_lc::provider();
        let store = SqliteStore::open(&config.path(&config.data), crypto).map_err(|e| match e {
            tamarack_store::StoreError::Failed(why) => Error::new(codes::FILE_UNWRITABLE, why),
            other => other.into(),
        })?;
        let clock = Clock::new(store.time()?);
        let challenge_path = config.path(&config.challenge_key);
        let mut challenges = ChallengeFile::read(&challenge_path)?;
        challenges.rotate_if_due(&challenge_path, clock.now(), &crypto)?;

        let signers = signers(config, &crypto)?;
        let keys = challenges.keys();
        let (policy, tee_rules, tee_lists) = policy(config)?;
        let mut tam = TamConfig::new(signers, policy, keys.current, challenges.replay_group);
        tam.reference_providers =
            reference::providers(config.document(), &config.reference_providers, &crypto)?;
        tam.reference_memo = Some(Box::new(Memo::default()));
        tam.tenant_provider_cap = config.evidence.tenant_provider_cap.into();
        tam.release_rules = Some(Box::new(CelRules::default()));
        tam.challenge_keys.previous = keys.previous;
        tam.evidence_key = evidence_key(config)?;
        let own: Vec<PublicKey> = tam.signers.iter().map(TamSigner::public_key).collect();
        tam.results = verifier::results(config, &tam, &own, &crypto)?;
        let remote = Remote::open(config)?;
        tam.remote_verifier = remote.is_some();
        tam.challenge_ttl = *config.evidence.challenge_ttl.get_ref();
        tam.limits.bytes = config.limits.body;
        tam.update_limit = config.limits.body - config.limits.body.min(16 * 1024) / 2;
        let (staples, firmware_lists) = match otrp::open(config, tee_rules, clock.now(), &crypto)? {
            Some(otrp::Opened { config, staples, firmware_lists }) => {
                tam.otrp = Some(config);
                (Some(staples), firmware_lists)
            }
            None => (None, Lists::default()),
        };
        let app = Self {
            tam: RwLock::new(Tam::new(tam, crypto)),
            store,
            crypto,
            clock,
            limits: config.limits,
            gate: Gate::new(config.limits.requests_per_second),
            in_flight: Arc::new(Semaphore::new(config.limits.in_flight)),
            idempotency: Idempotency::default(),
            refusals: Refusals::default(),
            metrics: telemetry::metrics(),
            remote: remote.map(Arc::new),
            staples,
            tee_lists,
            firmware_lists,
            challenges: Mutex::new((challenge_path, challenges)),
        };
        domains::ensure_all(&app, app.clock.now())?;
        app.renew_staple();
        Ok(app)
    }

    /// How long a request body may take.
    pub fn body_time(&self) -> Duration {
        Duration::from_secs(self.limits.body_seconds)
    }

    /// What is due now and then: the daily challenge key, the persisted time, and rows that nobody needs any more.
    pub fn housekeeping(&self) -> Result<(), Error> {
        let now = self.clock.now();
        let rotated = {
            let mut held = self.challenges.lock().unwrap_or_else(PoisonError::into_inner);
            let (path, challenges) = &mut *held;
            challenges.rotate_if_due(path, now, &self.crypto)?
        };
        if let Some(key) = rotated {
            self.tam.write().unwrap_or_else(PoisonError::into_inner).rotate_challenge_key(key);
            tracing::info!("made a new challenge key");
        }
        self.store.apply(vec![StoreOp::AdvanceTime(now), StoreOp::Prune(now)])?;
        self.renew_staple();
        self.reread_lists();
        Ok(())
    }

    /// Takes revocation lists from their files again. A file that cannot be read leaves what was read before, until that is
    /// over.
    fn reread_lists(&self) {
        let set: [(&Lists, SetLists); 2] =
            [(&self.tee_lists, Tam::set_tee_crls), (&self.firmware_lists, Tam::set_firmware_crls)];
        for (lists, set) in set {
            match lists.reread() {
                Ok(None) => {}
                Ok(Some(lists)) => {
                    tracing::info!("took new revocation lists of CAs");
                    set(&mut self.tam.write().unwrap_or_else(PoisonError::into_inner), lists);
                }
                Err(e) => tracing::error!(code = %e.code(), error = %e, "no new revocation lists of CAs"),
            }
        }
    }

    /// Fetches the status of the TAM's own certificates, if that is due. What fails is logged and tried again with the next
    /// housekeeping; without a status that is in force the engine refuses OTrP, and TEEP goes on.
    fn renew_staple(&self) {
        let Some(staples) = &self.staples else { return };
        let now = self.clock.now();
        if !staples.is_due(now) {
            return;
        }
        let set = |staple| self.tam.write().unwrap_or_else(PoisonError::into_inner).set_staple(staple);
        match staples.renew(now) {
            Ok(staple) => {
                tracing::info!(until = staple.until, "the TAM's certificates for OTrP are good");
                set(Some(staple));
            }
            Err(e) => {
                tracing::error!(code = %e.code(), error = %e, "no new certificate status for OTrP");
                // A status from before does not outweigh a revocation.
                if e.code() == codes::X509_REVOKED {
                    set(None);
                }
            }
        }
    }
}

fn signers(config: &Config, crypto: &Provider) -> Result<Vec<TamSigner>, Error> {
    let mut types = Vec::new();
    let mut signers = Vec::new();
    for SignerFiles { key, chain } in &config.signers {
        let path = config.path(key.get_ref());
        let pem = fs::read_to_string(&path)
            .map_err(|e| config.wrong(key.span(), "signer.key", Error::unreadable(&path, &e)))?;
        let signer = load_key(&pem)
            .map_err(|e| config.wrong(key.span(), "signer.key", format_args!("{}: {e}", path.display())))?;
        let public = signer.public_key();
        if types.contains(&public.key_type()) {
            let message = "there are two keys of this type; give one Ed25519 and one P-256 key";
            return Err(config.wrong(key.span(), "signer.key", message));
        }
        types.push(public.key_type());
        let mut x5chain = Vec::new();
        if let Some(chain) = chain {
            let path = config.path(chain.get_ref());
            let wrong = |message: String| config.wrong(chain.span(), "signer.chain", message);
            let pem =
                fs::read_to_string(&path).map_err(|e| wrong(Error::unreadable(&path, &e).to_string()))?;
            x5chain = certificates_from_pem(&pem).map_err(|e| wrong(format!("{}: {e}", path.display())))?;
            refuse_development(config.profile, &x5chain).map_err(wrong)?;
            // The leaf is our own certificate: its key is compared, not trusted.
            if tamarack_x509::unvalidated_key(&x5chain[0]).ok() != Some(public) {
                return Err(wrong(format!("the first certificate of {} is for another key", path.display())));
            }
        }
        signers.push(TamSigner::new(signer, x5chain, crypto));
    }
    for needed in [KeyType::Ed25519, KeyType::P256] {
        if !types.contains(&needed) {
            return Err(Error::config(format_args!(
                "{}: signer: there is no key of type {needed:?}, and a first request is signed for every cipher suite; \
                 make one with `tamarack pki key` and add [[signer]]",
                config.document().file.display()
            )));
        }
    }
    Ok(signers)
}

/// The key that Agents are asked to encrypt Evidence to. It has no other use (security rule K5).
fn evidence_key(config: &Config) -> Result<Option<Box<dyn KeyAgree>>, Error> {
    let Some(file) = &config.evidence.key else { return Ok(None) };
    let path = config.path(file.get_ref());
    let wrong = |message: String| config.wrong(file.span(), "evidence.key", message);
    let pem = fs::read_to_string(&path).map_err(|e| wrong(Error::unreadable(&path, &e).to_string()))?;
    let key = load_agreement_key(&pem).map_err(|e| wrong(format!("{}: {e}", path.display())))?;
    let signing = config.signers.iter().map(|signer| &signer.key);
    for other in signing.chain(config.otrp.as_ref().map(|otrp| &otrp.key)) {
        // One that cannot be read is somebody else's error.
        let other = fs::read_to_string(config.path(other.get_ref())).ok();
        if other
            .and_then(|pem| load_key(&pem).ok())
            .is_some_and(|other| other.public_key() == key.public_key())
        {
            return Err(wrong("this key has another use already; make one with `tamarack pki key`".into()));
        }
    }
    Ok(Some(key))
}

/// The rules of Evidence, and for each of their CAs those of OTrP and the revocation lists.
fn policy(config: &Config) -> Result<(Policy, Vec<TeeRules>, Lists), Error> {
    let allow_software = config.evidence.allow_software_tee;
    let TeeCas { cas, draft, lists } =
        tee_cas(config.document(), &config.tee_cas, config.profile, allow_software)?;
    let mut policy = Policy::new(cas, config.minimum().into());
    policy.crls = lists.current().into();
    let rules = draft.into_iter().zip(policy.crls.iter());
    let tee_rules = rules.map(|(draft, crls)| TeeRules { draft, crls: crls.clone() }).collect();
    Ok((policy, tee_rules, lists))
}
