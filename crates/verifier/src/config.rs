//! `verifier.toml`: what an operator decides. An unknown key is an error, and every error names file, line, key and fix.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tamarack_service::{Document, Error, GradeName, Profile, ReferenceProviderFiles, TeeCaFile, TlsFiles};
use toml::Spanned;

/// What is accepted from attesters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvidenceRules {
    /// The lowest grade that gets a result.
    pub minimum: GradeName,
    /// Accept software TEEs in the production profile.
    pub allow_software_tee: bool,
    /// Seconds that a challenge of the verifier may be answered, 30 to 3,600.
    pub challenge_ttl: Spanned<u64>,
}

impl Default for EvidenceRules {
    fn default() -> Self {
        Self {
            minimum: GradeName::Software,
            allow_software_tee: false,
            challenge_ttl: Spanned::new(0..0, 300),
        }
    }
}

/// What results are like.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResultRules {
    /// Who says that he made this verifier.
    pub developer: String,
    /// Seconds that a result lasts, 10 to 86,400.
    pub lifetime: Spanned<u64>,
}

impl Default for ResultRules {
    fn default() -> Self {
        Self { developer: "urn:x-tamarack:verifier".into(), lifetime: Spanned::new(0..0, 300) }
    }
}

/// Bounds of requests.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest Evidence and CoRIM in bytes.
    pub body: usize,
    /// Seconds within which a request body must have arrived.
    pub body_seconds: u64,
    /// Seconds after which whoever waits for an appraisal is told to come back.
    pub appraisal_seconds: u64,
    /// Requests per second and client address, 0 for no limit; twice as many may come at once.
    pub requests_per_second: u32,
    /// Appraisals at the same time.
    pub in_flight: usize,
    /// Open connections.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 1 << 20,
            body_seconds: 10,
            appraisal_seconds: 10,
            requests_per_second: 1000,
            in_flight: 64,
            connections: 4096,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    profile: Profile,
    listen: SocketAddr,
    #[serde(default)]
    allow_plain_http: bool,
    key: Spanned<PathBuf>,
    references: PathBuf,
    operator: Option<Spanned<String>>,
    tls: Option<TlsFiles>,
    #[serde(default)]
    tee_ca: Vec<TeeCaFile>,
    #[serde(default)]
    reference_provider: Vec<ReferenceProviderFiles>,
    #[serde(default)]
    evidence: EvidenceRules,
    #[serde(default)]
    result: ResultRules,
    #[serde(default)]
    limits: Limits,
}

/// A `verifier.toml` that was read.
#[derive(Clone, Debug)]
pub struct Config {
    document: Document,
    /// Kind of deployment.
    pub profile: Profile,
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Serve HTTP without TLS on other addresses than loopback.
    pub allow_plain_http: bool,
    /// The private key that signs results, PEM of PKCS#8. It serves nothing else.
    pub key: Spanned<PathBuf>,
    /// Folder of reference values: signed CoRIMs as files, and what is known of them.
    pub references: PathBuf,
    /// SHA-256 of the token that may change reference values, in hexadecimal; without it only the folder does.
    pub operator: Option<Spanned<String>>,
    /// TLS, if it is served.
    pub tls: Option<TlsFiles>,
    /// Authorities of TEEs.
    pub tee_cas: Vec<TeeCaFile>,
    /// Who may say what attesters should run; without one nobody looks, and no result is affirming.
    pub reference_providers: Vec<ReferenceProviderFiles>,
    /// What is accepted from attesters.
    pub evidence: EvidenceRules,
    /// What results are like.
    pub result: ResultRules,
    /// Bounds of requests.
    pub limits: Limits,
}

impl Config {
    /// Reads and checks a `verifier.toml`. Files that it names are read when the verifier starts.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let (document, file) = Document::read(file)?;
        let File {
            profile,
            listen,
            allow_plain_http,
            key,
            references,
            operator,
            tls,
            tee_ca,
            reference_provider,
            evidence,
            result,
            limits,
        } = file;
        let config = Self {
            document,
            profile,
            listen,
            allow_plain_http,
            key,
            references,
            operator,
            tls,
            tee_cas: tee_ca,
            reference_providers: reference_provider,
            evidence,
            result,
            limits,
        };
        config.check()?;
        Ok(config)
    }

    /// The file itself.
    pub fn document(&self) -> &Document {
        &self.document
    }

    pub(crate) fn check_plain_http(&self, listen: SocketAddr) -> Result<(), Error> {
        self.document.check_plain_http(listen, self.tls.is_some(), self.allow_plain_http)
    }

    /// The hash of the operator's token.
    pub(crate) fn operator_hash(&self) -> Result<Option<[u8; 32]>, Error> {
        let Some(text) = &self.operator else { return Ok(None) };
        let mut hash = [0; 32];
        match hex::decode_to_slice(text.get_ref(), &mut hash) {
            Ok(()) => Ok(Some(hash)),
            Err(_) => Err(self.document.wrong(text.span(), "operator", "give 64 hexadecimal digits")),
        }
    }

    fn check(&self) -> Result<(), Error> {
        let ttl = &self.evidence.challenge_ttl;
        if !(30..=3600).contains(ttl.get_ref()) {
            return Err(self.document.wrong(ttl.span(), "evidence.challenge_ttl", "give 30 to 3600 seconds"));
        }
        let lifetime = &self.result.lifetime;
        if !(10..=86_400).contains(lifetime.get_ref()) {
            return Err(self.document.wrong(lifetime.span(), "result.lifetime", "give 10 to 86400 seconds"));
        }
        let Limits { body, body_seconds, appraisal_seconds, in_flight, connections, .. } = self.limits;
        if !(4096..=16 << 20).contains(&body) {
            let name = self.document.file.display();
            return Err(Error::config(format_args!("{name}: limits.body: give 4096 to 16777216 bytes")));
        }
        if [body_seconds, appraisal_seconds].contains(&0) || in_flight == 0 || connections == 0 {
            return Err(Error::config(format_args!(
                "{}: limits: body_seconds, appraisal_seconds, in_flight and connections must be above 0",
                self.document.file.display()
            )));
        }
        self.operator_hash()?;
        self.check_plain_http(self.listen)
    }
}
