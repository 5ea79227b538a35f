//! Verifiers: whose results are believed, and the one that is asked.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tamarack_attest::result::LARGEST;
use tamarack_attest::{Grade, Policy, ReferenceProvider, Refusal, ResultPolicy, Verifier};
use tamarack_cose::{Purpose, VerificationKey};
use tamarack_crypto::{Provider, PublicKey};
use tamarack_model::codes;
use tamarack_service::{GradeName, ReferenceScope, client};
use tamarack_tam::{AppraisalRequest, TamConfig};
use tokio::sync::Semaphore;
use toml::Spanned;
use ureq::Agent;

use crate::{Config, Error, reference};

/// Largest answer that is read, in bytes.
const ANSWER: u64 = LARGEST as u64;

/// Longest reason of a verifier that is handed on, in characters.
const MOST_DETAIL: usize = 240;

/// A verifier whose results are believed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifierKeyFile {
    /// What log lines call it.
    pub name: String,
    /// Its public key or certificate, PEM; it serves nothing else.
    pub key: Spanned<PathBuf>,
    /// Makers and models that it may speak of: devices that have all that one of these says.
    pub scope: Vec<ReferenceScope>,
    /// The best grade of devices for which only it speaks.
    pub cap: GradeName,
}

/// The verifier that is asked about Evidence.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifierService {
    /// Its URL; `/appraise` is put behind it.
    pub url: Spanned<String>,
    /// Certificates to trust for HTTPS besides the system's, PEM.
    pub root: Option<Spanned<PathBuf>>,
    /// Seconds that it may take.
    #[serde(default = "ten")]
    pub seconds: u64,
    /// How many questions may wait for it at the same time.
    #[serde(default = "sixty_four")]
    pub in_flight: usize,
    /// Says that Evidence over OTrP is appraised by the TAM itself; needed beside `[otrp]`.
    #[serde(default)]
    pub teep_only: bool,
    /// Ask over plain HTTP on another machine. The result is signed; the Evidence is shown to whoever listens.
    #[serde(default)]
    pub allow_plain_http: bool,
}

fn ten() -> u64 {
    10
}

fn sixty_four() -> usize {
    64
}

/// Which results count.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResultRules {
    /// How old a result may be, in seconds, however long it says that it lasts.
    pub maximum_age: u64,
}

impl Default for ResultRules {
    fn default() -> Self {
        Self { maximum_age: 300 }
    }
}

/// Reads the keys of verifiers. None if there is none, so that no result is accepted.
pub(crate) fn results(
    config: &Config,
    tam: &TamConfig,
    own: &[PublicKey],
    crypto: &Provider,
) -> Result<Option<ResultPolicy>, Error> {
    let mut verifiers: Vec<Verifier> = Vec::new();
    for VerifierKeyFile { name, key, scope, cap } in &config.verifier_keys {
        let path = config.path(key.get_ref());
        let wrong = |message: String| config.wrong(key.span(), "verifier_key.key", message);
        let pem = fs::read_to_string(&path).map_err(|e| wrong(Error::unreadable(&path, &e).to_string()))?;
        let public = reference::public_key(&pem).ok_or_else(|| {
            wrong(format!("{}: expected a P-256 or Ed25519 PUBLIC KEY or CERTIFICATE", path.display()))
        })?;
        let known = verifiers.iter().flat_map(|other| &other.keys).any(|key| *key.public() == public);
        if let Some(what) = other_use(&public, &tam.evidence, &tam.reference_providers, own)
            .or_else(|| known.then_some("another verifier"))
        {
            return Err(Error::new(codes::VERIFIER_KEY, wrong(format!("is the key of {what}"))));
        }
        if scope.is_empty() {
            return Err(wrong(
                "say of which makers and models it may speak: add [[verifier_key.scope]]".into(),
            ));
        }
        let scope = scope
            .iter()
            .map(|scope| reference::environment(config.document(), scope, "verifier_key.scope"))
            .collect::<Result<_, _>>()?;
        verifiers.push(Verifier {
            name: name.clone(),
            keys: vec![VerificationKey::new(public, Purpose::AttestationResult, crypto)],
            scope: Some(scope),
            cap: Grade::from(*cap),
        });
    }
    let maximum_age = config.results.maximum_age;
    let policy = ResultPolicy { maximum_age, ..ResultPolicy::new(verifiers) };
    Ok((!config.verifier_keys.is_empty()).then_some(policy))
}

/// What else the key serves (security rules E3 and K5).
fn other_use(
    key: &PublicKey,
    evidence: &Policy,
    providers: &[ReferenceProvider],
    own: &[PublicKey],
) -> Option<&'static str> {
    let is = |other: &PublicKey| other == key;
    if evidence.tee_cas.iter().any(|ca| ca.anchor.key().is_some_and(is)) {
        return Some("a TEE CA");
    }
    if providers.iter().flat_map(|provider| &provider.keys).any(|other| is(other.public())) {
        return Some("a provider of reference values");
    }
    own.iter().any(is).then_some("this TAM")
}

/// A client of the verifier that is asked.
pub(crate) struct Remote {
    agent: Agent,
    url: String,
    /// Questions that may still be asked at the same time.
    pub places: Arc<Semaphore>,
}

impl Remote {
    pub fn open(config: &Config) -> Result<Option<Self>, Error> {
        let Some(service) = &config.verifier else { return Ok(None) };
        let wrong = |message: String| config.wrong(service.url.span(), "verifier.url", message);
        client::check_url(service.url.get_ref(), service.allow_plain_http)
            .map_err(|e| wrong(format!("{e}; use https, or set verifier.allow_plain_http = true")))?;
        if config.verifier_keys.is_empty() {
            return Err(wrong("nobody's results are believed; add [[verifier_key]] with its key".into()));
        }
        if service.seconds == 0 || service.in_flight == 0 {
            return Err(wrong("verifier.seconds and verifier.in_flight must be above 0".into()));
        }
        let roots = match &service.root {
            None => None,
            Some(file) => {
                let path = config.path(file.get_ref());
                let pem = fs::read(&path).map_err(|e| {
                    let why = Error::unreadable(&path, &e);
                    config.wrong(file.span(), "verifier.root", why)
                })?;
                Some(pem)
            }
        };
        let agent = client::agent(roots.as_deref(), Duration::from_secs(service.seconds))
            .map_err(|e| wrong(e.to_string()))?;
        let url = format!("{}/appraise", service.url.get_ref().trim_end_matches('/'));
        Ok(Some(Self { agent, url, places: Arc::new(Semaphore::new(service.in_flight)) }))
    }

    /// Asks; takes as long as the configuration allows. What the verifier refuses is refused with its code and reason.
    pub fn ask(&self, request: AppraisalRequest) -> Result<Vec<u8>, Refusal> {
        let AppraisalRequest { format, evidence, nonce } = request;
        let url = format!("{}?nonce={}", self.url, hex::encode(nonce));
        let unavailable = |why: &dyn std::fmt::Display| Refusal {
            code: codes::VERIFIER_UNAVAILABLE,
            reason: format!("the verifier {} gives no answer: {why}", self.url),
        };
        let mut response = self
            .agent
            .post(&url)
            .header("content-type", &format)
            .send(&evidence[..])
            .map_err(|e| unavailable(&e))?;
        let status = response.status();
        let body = response.body_mut().with_config().limit(ANSWER).read_to_vec();
        let body = body.map_err(|e| unavailable(&e))?;
        match status.as_u16() {
            200 => Ok(body),
            // What it says of the Evidence; nobody vouches for it, and it permits nothing.
            415 | 422 => {
                let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
                let code = json["code"].as_str().and_then(tamarack_model::Code::parse);
                let code = code.filter(|code| (3000..3200).contains(&code.0));
                match (code, json["detail"].as_str()) {
                    (Some(code), Some(detail)) => {
                        let detail: String = detail.chars().take(MOST_DETAIL).collect();
                        let reason = format!("the verifier: {}", detail.escape_debug());
                        Err(Refusal { code, reason })
                    }
                    _ => Err(unavailable(&format_args!("status {status}"))),
                }
            }
            _ => Err(unavailable(&format_args!("status {status}"))),
        }
    }
}
