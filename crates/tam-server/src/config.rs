//! `tam.toml`: what an operator decides. An unknown key is an error, and every error names file, line, key and fix.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use tamarack_service::{Document, GradeName, Profile, ReferenceProviderFiles, TeeCaFile, TlsFiles};

use crate::Error;
use crate::verifier::{ResultRules, VerifierKeyFile, VerifierService};

/// A key that signs TEEP messages. There is one of each type, Ed25519 and P-256.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerFiles {
    /// Private key, PEM of PKCS#8.
    pub key: Spanned<PathBuf>,
    /// Certificate chain, PEM, leaf first; without it Agents know the raw key.
    pub chain: Option<Spanned<PathBuf>>,
}

/// What it takes to speak OTrP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtrpFiles {
    /// Private key, P-256, PEM of PKCS#8: not one of those that sign TEEP messages.
    pub key: Spanned<PathBuf>,
    /// Certificate chain, PEM: leaf first, root last. The leaf's one object identifier, else its one URI, is the `tamid`.
    pub chain: Spanned<PathBuf>,
    /// Where to ask for the status of these certificates, `http://..`; OCSP responses are signed, so TLS adds nothing.
    pub ocsp_url: Option<Spanned<String>>,
    /// Files with OCSP responses, DER, that something else renews; read anew when they are half over.
    pub ocsp_files: Option<Spanned<Vec<PathBuf>>>,
}

/// A certification authority of trusted firmware, for OTrP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirmwareCaFile {
    /// Its certificate, PEM.
    pub file: Spanned<PathBuf>,
    /// Revocation lists, PEM, as those of a TEE CA.
    pub crl: Option<Spanned<PathBuf>>,
}

/// What is accepted from devices.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvidenceRules {
    /// The lowest grade that gets anything.
    pub minimum: Option<Spanned<GradeName>>,
    /// Accept software TEEs in the production profile.
    pub allow_software_tee: bool,
    /// Seconds that a challenge may be answered, 30 to 3,600.
    pub challenge_ttl: Spanned<u64>,
    /// Private key, P-256, PEM of PKCS#8, that Agents are asked to encrypt Evidence to: it serves nothing else. Without it
    /// Evidence, which names the device to this TAM, can be read by whoever carries it.
    pub key: Option<Spanned<PathBuf>>,
    /// The best grade of a device whose attestation key only a tenant's own provider of reference values vouches for.
    pub tenant_provider_cap: GradeName,
}

impl Default for EvidenceRules {
    fn default() -> Self {
        Self {
            minimum: None,
            allow_software_tee: false,
            challenge_ttl: Spanned::new(0..0, 300),
            key: None,
            tenant_provider_cap: GradeName::None,
        }
    }
}

/// Bounds of requests.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest TEEP message and envelope in bytes.
    pub body: usize,
    /// Largest payload by URI in bytes.
    pub payload: usize,
    /// Seconds within which a request body must have arrived.
    pub body_seconds: u64,
    /// TEEP requests per second and client address, 0 for no limit; twice as many may come at once.
    pub requests_per_second: u32,
    /// TEEP requests that are answered at the same time.
    pub in_flight: usize,
    /// Open connections.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 1 << 20,
            payload: 64 << 20,
            body_seconds: 10,
            requests_per_second: 1000,
            in_flight: 256,
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
    data: PathBuf,
    challenge_key: PathBuf,
    tls: Option<TlsFiles>,
    #[serde(default)]
    signer: Vec<SignerFiles>,
    #[serde(default)]
    tee_ca: Vec<TeeCaFile>,
    #[serde(default)]
    firmware_ca: Vec<FirmwareCaFile>,
    #[serde(default)]
    reference_provider: Vec<ReferenceProviderFiles>,
    #[serde(default)]
    verifier_key: Vec<VerifierKeyFile>,
    verifier: Option<VerifierService>,
    otrp: Option<OtrpFiles>,
    #[serde(default)]
    evidence: EvidenceRules,
    #[serde(default)]
    results: ResultRules,
    #[serde(default)]
    limits: Limits,
}

/// A `tam.toml` that was read. Paths are as written; [`Config::path`] resolves them against the file's folder.
#[derive(Clone, Debug)]
pub struct Config {
    document: Document,
    /// Kind of deployment.
    pub profile: Profile,
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Serve HTTP without TLS on other addresses than loopback.
    pub allow_plain_http: bool,
    /// Folder of the store.
    pub data: PathBuf,
    /// File of the challenge keys, outside the data folder.
    pub challenge_key: PathBuf,
    /// TLS, if it is served.
    pub tls: Option<TlsFiles>,
    /// Keys that sign TEEP messages.
    pub signers: Vec<SignerFiles>,
    /// Authorities of TEEs.
    pub tee_cas: Vec<TeeCaFile>,
    /// Authorities of trusted firmware.
    pub firmware_cas: Vec<FirmwareCaFile>,
    /// What it takes to speak OTrP; without it only TEEP is spoken.
    pub otrp: Option<OtrpFiles>,
    /// Who may say what devices should run.
    pub reference_providers: Vec<ReferenceProviderFiles>,
    /// Verifiers whose results are believed.
    pub verifier_keys: Vec<VerifierKeyFile>,
    /// The verifier that is asked about Evidence over TEEP; without one it is appraised here.
    pub verifier: Option<VerifierService>,
    /// Which results count.
    pub results: ResultRules,
    /// What is accepted from devices.
    pub evidence: EvidenceRules,
    /// Bounds of requests.
    pub limits: Limits,
}

impl Config {
    /// Reads and checks a `tam.toml`. Files that it names are read when the TAM starts.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let (document, file) = Document::read(file)?;
        Self::raise(document, file)
    }

    fn raise(document: Document, file: File) -> Result<Self, Error> {
        let File {
            profile,
            listen,
            allow_plain_http,
            data,
            challenge_key,
            tls,
            signer,
            tee_ca,
            firmware_ca,
            reference_provider,
            verifier_key,
            verifier,
            otrp,
            evidence,
            results,
            limits,
        } = file;
        let config = Self {
            document,
            profile,
            listen,
            allow_plain_http,
            data,
            challenge_key,
            tls,
            signers: signer,
            tee_cas: tee_ca,
            firmware_cas: firmware_ca,
            reference_providers: reference_provider,
            verifier_keys: verifier_key,
            verifier,
            otrp,
            evidence,
            results,
            limits,
        };
        config.check()?;
        Ok(config)
    }

    /// The file itself.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// A path of the file, seen from the file's folder.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.document.path(path)
    }

    /// The lowest grade that gets anything.
    pub fn minimum(&self) -> GradeName {
        self.evidence.minimum.as_ref().map_or(
            match self.profile {
                Profile::Development => GradeName::Software,
                Profile::Production => GradeName::Hardware,
            },
            |minimum| *minimum.get_ref(),
        )
    }

    /// An error about what stands at `span`.
    pub(crate) fn wrong(&self, span: Range<usize>, key: &str, message: impl std::fmt::Display) -> Error {
        self.document.wrong(span, key, message)
    }

    fn check(&self) -> Result<(), Error> {
        let name = self.document.file.display();
        if self.signers.is_empty() {
            return Err(Error::config(format_args!(
                "{name}: signer: there is none; add [[signer]] with key = \"FILE\" for an Ed25519 and a P-256 key"
            )));
        }
        let ttl = &self.evidence.challenge_ttl;
        if !(30..=3600).contains(ttl.get_ref()) {
            return Err(self.wrong(ttl.span(), "evidence.challenge_ttl", "give 30 to 3600 seconds"));
        }
        if let Some(minimum) = &self.evidence.minimum
            && self.profile == Profile::Production
            && *minimum.get_ref() != GradeName::Hardware
            && !self.evidence.allow_software_tee
        {
            return Err(self.wrong(
                minimum.span(),
                "evidence.minimum",
                "the production profile refuses software TEEs; set minimum = \"hardware\", or allow_software_tee = true",
            ));
        }
        if self.path(&self.challenge_key).starts_with(self.path(&self.data)) {
            return Err(Error::config(format_args!(
                "{name}: challenge_key: the file lies within the data folder, where a backup would copy it; name one outside"
            )));
        }
        let limits = &self.limits;
        if limits.body < 4096 || limits.body > 64 << 20 {
            return Err(Error::config(format_args!("{name}: limits.body: give 4096 to 67108864 bytes")));
        }
        if limits.payload == 0 || limits.body_seconds == 0 || limits.in_flight == 0 || limits.connections == 0
        {
            return Err(Error::config(format_args!(
                "{name}: limits: payload, body_seconds, in_flight and connections must be above 0"
            )));
        }
        self.check_otrp()?;
        self.check_plain_http(self.listen)
    }

    fn check_otrp(&self) -> Result<(), Error> {
        if let (Some(_), Some(service)) = (&self.otrp, &self.verifier)
            && !service.teep_only
        {
            let message = "is not asked about Evidence over OTrP, which the TAM appraises itself, by [[tee_ca]] and the tenants' \
                           reference values; set verifier.teep_only = true if that is meant";
            return Err(self.wrong(service.url.span(), "verifier", message));
        }
        let Some(otrp) = &self.otrp else {
            return match self.firmware_cas.first() {
                Some(ca) => {
                    let message = "only OTrP looks at it; add [otrp], or remove it";
                    Err(self.wrong(ca.file.span(), "firmware_ca.file", message))
                }
                None => Ok(()),
            };
        };
        match (&otrp.ocsp_url, &otrp.ocsp_files) {
            (None, None) | (Some(_), Some(_)) => Err(self.wrong(
                otrp.key.span(),
                "otrp",
                "devices want the status of the TAM's certificates: give either ocsp_url or ocsp_files",
            )),
            (Some(url), None) if !url.get_ref().starts_with("http://") => {
                Err(self.wrong(url.span(), "otrp.ocsp_url", "give the http:// URL of an OCSP responder"))
            }
            (None, Some(files)) if files.get_ref().is_empty() => Err(self.wrong(
                files.span(),
                "otrp.ocsp_files",
                "name a file for each certificate but the root",
            )),
            (Some(_), None) | (None, Some(_)) => Ok(()),
        }
    }

    /// Plain HTTP is for loopback, or for who says so.
    pub(crate) fn check_plain_http(&self, listen: SocketAddr) -> Result<(), Error> {
        self.document.check_plain_http(listen, self.tls.is_some(), self.allow_plain_http)
    }
}
