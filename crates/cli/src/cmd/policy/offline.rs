//! What a policy would do to a device whose Evidence is in a file: appraised here, or as the TAM found it.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use tamarack_attest::release::{DeviceFacts, Release, ReleaseRules, Shown};
use tamarack_attest::{
    Expectations, Grade, Policy, ProviderRole, ReferenceProvider, References, Refusal, TeeCa, appraise,
    hints_unverified,
};
use tamarack_cbor::{Decode, Limits};
use tamarack_corim::Environment;
use tamarack_cose::{Purpose, VerificationKey};
use tamarack_eat::SOFTWARE_TEE_FORMAT;
use tamarack_model::{ComponentId, DeviceId, Protocol, UnixTime, codes};
use tamarack_policy_cel::CelRules;
use tamarack_x509::Anchor;

use crate::fail::{self, Fail, Outcome};
use crate::keys;

#[derive(clap::Args)]
pub struct Offline {
    /// A file that `record` wrote, or Evidence as it is on the wire, repeatable; no TAM is asked
    #[arg(long)]
    pub evidence: Vec<PathBuf>,
    /// Media type of Evidence as it is on the wire
    #[arg(long, requires = "evidence", conflicts_with_all = ["device", "all"], default_value = SOFTWARE_TEE_FORMAT)]
    format: String,
    /// TEE CA, PEM, with the grade that it is capped at: FILE or FILE=hardware; with it Evidence is appraised anew
    #[arg(long = "tee-ca", requires = "evidence", conflicts_with_all = ["device", "all"], value_name = "FILE[=GRADE]")]
    tee_cas: Vec<String>,
    /// Lowest grade that is accepted: none, software or hardware
    #[arg(long, requires = "tee_cas", default_value = "none", value_name = "GRADE")]
    minimum: String,
    /// Signed reference values to compare with, repeatable
    #[arg(long = "reference", requires_all = ["reference_keys", "tee_cas"], value_name = "FILE")]
    references: Vec<PathBuf>,
    /// Public key that signs them, PEM, repeatable; it may speak of everything here
    #[arg(long = "reference-key", requires = "references", value_name = "FILE")]
    reference_keys: Vec<PathBuf>,
    /// What to release, repeatable: MANIFEST, with =SEQUENCE and @PROVIDER behind it; what was recorded without it
    #[arg(long = "ta", requires = "evidence", conflicts_with_all = ["device", "all"], value_name = "MANIFEST[=SEQUENCE][@PROVIDER]")]
    tas: Vec<String>,
    /// Time of the appraisal, in seconds since 1970; when it was recorded, or now
    #[arg(long, requires = "evidence", conflicts_with_all = ["device", "all"], value_name = "SECONDS")]
    at: Option<UnixTime>,
}

/// What `record` wrote.
#[derive(Deserialize)]
struct Record {
    device: String,
    protocol: String,
    first_seen: UnixTime,
    at: UnixTime,
    format: Option<String>,
    evidence: String,
    found: String,
    #[serde(default)]
    releases: Vec<RecordedRelease>,
}

#[derive(Deserialize)]
struct RecordedRelease {
    manifest: String,
    components: Vec<String>,
    provider: String,
    sequence: u64,
    installed: Option<u64>,
}

/// A device with what it would be given.
struct Case {
    /// Its id, as far as that is known without an appraisal.
    id: Option<DeviceId>,
    device: Result<DeviceFacts, Refusal>,
    releases: Vec<Release>,
    at: UnixTime,
}

impl Offline {
    /// One table for each file, in the form of the TAM's.
    pub fn decide(&self, policy: &str) -> Outcome<Vec<Value>> {
        let rules = CelRules::default();
        let appraiser = self.appraiser()?;
        self.evidence
            .iter()
            .map(|file| Ok(decided(&rules, policy, self.case(file, appraiser.as_ref())?)))
            .collect()
    }

    fn case(&self, file: &Path, appraiser: Option<&Policy>) -> Outcome<Case> {
        let bytes = fail::read(file)?;
        let releases = self.tas.iter().map(|text| release(text)).collect::<Outcome<Vec<_>>>()?;
        if bytes.first() == Some(&b'{') {
            return self.recorded(file, &bytes, appraiser, releases);
        }
        let Some(appraiser) = appraiser else {
            return Err(Fail::input(codes::USAGE, "say with --tee-ca whose devices are believed"));
        };
        if releases.is_empty() {
            return Err(Fail::input(codes::USAGE, "say with --ta what would be released"));
        }
        let at = self.at.unwrap_or_else(keys::now);
        let found = appraised(&self.format, &bytes, appraiser, at);
        let device = found.map(|(id, shown)| DeviceFacts {
            id,
            protocol: Protocol::Teep,
            known: false,
            first_seen: at,
            shown,
        });
        let id = device.as_ref().ok().map(|device| device.id);
        Ok(Case { id, device, releases, at })
    }

    fn recorded(
        &self,
        file: &Path,
        bytes: &[u8],
        appraiser: Option<&Policy>,
        releases: Vec<Release>,
    ) -> Outcome<Case> {
        let wrong = |why: &dyn std::fmt::Display| {
            Fail::input(codes::CONFIG_INVALID, format_args!("{}: {why}", file.display()))
        };
        let record: Record = serde_json::from_slice(bytes).map_err(|e| wrong(&e))?;
        let decode = |text: &str| STANDARD.decode(text).map_err(|e| wrong(&e));
        let releases = match releases.is_empty() {
            true => {
                let of = |row: RecordedRelease| recorded_release(row).map_err(|e| wrong(&e));
                record.releases.into_iter().map(of).collect::<Outcome<_>>()?
            }
            false => releases,
        };
        let id = hex::decode(&record.device).ok().and_then(|id| id.try_into().ok()).map(DeviceId);
        let id = id.ok_or_else(|| wrong(&"device: 64 hexadecimal digits"))?;
        let at = self.at.unwrap_or(record.at);
        let found = match appraiser {
            Some(_) if record.evidence.is_empty() => {
                let reason = "the record holds no Evidence that could be appraised".into();
                Err(Refusal { code: codes::EVIDENCE_MISSING, reason })
            }
            Some(_) if record.format.is_none() => {
                let reason = "what was recorded is the result of a verifier, which is not appraised".into();
                Err(Refusal { code: codes::EVIDENCE_FORMAT, reason })
            }
            Some(appraiser) => {
                let format = record.format.as_deref().unwrap_or(&self.format);
                appraised(format, &decode(&record.evidence)?, appraiser, at).map(|(_, shown)| shown)
            }
            None => {
                let found = decode(&record.found)?;
                Ok(Shown::from_cbor(&found, &Limits::default()).map_err(|e| wrong(&e))?)
            }
        };
        let protocol = if record.protocol == "otrp" { Protocol::Otrp } else { Protocol::Teep };
        let first_seen = record.first_seen;
        let device = found.map(|shown| DeviceFacts { id, protocol, known: true, first_seen, shown });
        Ok(Case { id: Some(id), device, releases, at })
    }

    /// What Evidence is appraised by; none if it is not.
    fn appraiser(&self) -> Outcome<Option<Policy>> {
        if self.tee_cas.is_empty() {
            return Ok(None);
        }
        let mut tee_cas = Vec::new();
        for text in &self.tee_cas {
            let (file, cap) = text.rsplit_once('=').unwrap_or((text, "software"));
            let (file, cap) = (Path::new(file), grade(cap)?);
            let wrong = |e: &dyn std::fmt::Display| {
                Fail::input(codes::PEM_INVALID, format_args!("{}: {e}", file.display()))
            };
            let pem = keys::read_text(file)?;
            for der in tamarack_pki::certificates_from_pem(&pem).map_err(|e| wrong(&e))? {
                tee_cas.push(TeeCa { anchor: Anchor::from_der(&der).map_err(|e| wrong(&e))?, cap });
            }
        }
        let mut policy = Policy::new(tee_cas, grade(&self.minimum)?);
        if !self.references.is_empty() {
            policy.references = Some(self.references()?.into());
        }
        Ok(Some(policy))
    }

    fn references(&self) -> Outcome<References> {
        let crypto = tamarack_crypto_aws_lc::provider();
        let keys = self.reference_keys.iter().map(|file| {
            let key = keys::public_key(file)?;
            Ok(VerificationKey::new(key, Purpose::ReferenceValues, &crypto))
        });
        let provider = ReferenceProvider {
            name: "given".into(),
            role: ProviderRole::Maker,
            keys: keys.collect::<Outcome<_>>()?,
            scope: vec![Environment { class: None, instance: None, group: None }],
            elements: None,
            cap: Grade::None,
        };
        let mut references = References::new(vec![provider]);
        for file in &self.references {
            // Those that have ended are compared with all the same: a match with them is no release.
            references
                .add(&fail::read(file)?, self.at.unwrap_or_else(keys::now), &crypto)
                .map_err(|e| Fail::input(e.code, format_args!("{}: {}", file.display(), e.reason)))?;
        }
        Ok(references)
    }
}

fn grade(text: &str) -> Outcome<Grade> {
    let wrong =
        || Fail::input(codes::USAGE, format_args!("{text:?} is no grade: none, software or hardware"));
    Grade::parse(text).ok_or_else(wrong)
}

/// Appraises Evidence for whoever holds it in hand: freshness and binding are what it says itself.
fn appraised(
    format: &str,
    evidence: &[u8],
    policy: &Policy,
    now: UnixTime,
) -> Result<(DeviceId, Shown), Refusal> {
    let crypto = tamarack_crypto_aws_lc::provider();
    let hints = hints_unverified(Some(format), evidence)?;
    let expected = Expectations { nonce: &hints.nonce, teep_key: None, now };
    let appraisal = appraise(Some(format), evidence, &expected, policy, &crypto)?;
    Ok((appraisal.device, Shown::of(&appraisal, Some(format), now)))
}

fn decided(rules: &CelRules, policy: &str, case: Case) -> Value {
    let Case { id, device, releases, at } = case;
    let decisions = match &device {
        Ok(device) => rules.decide(policy, device, &releases, at),
        Err(refusal) => releases.iter().map(|_| refusal.clone().into()).collect(),
    };
    let rows: Vec<Value> = releases
        .iter()
        .zip(decisions)
        .map(|(release, decision)| {
            json!({
                "manifest": release.manifest.to_string(),
                "sequence": release.sequence,
                "provider": release.provider,
                "installed": release.installed,
                "allow": decision.allow,
                "code": decision.code.map(|code| code.to_string()),
                "reason": decision.reason,
            })
        })
        .collect();
    json!({
        "device": id.map(|id| hex::encode(id.0)),
        "appraised": device.is_ok().then_some(at),
        "releases": rows,
        "cut": false,
    })
}

fn recorded_release(row: RecordedRelease) -> Result<Release, String> {
    let id = |text: &String| ComponentId::parse_text(text).map_err(|e| format!("{text}: {e}"));
    Ok(Release {
        manifest: id(&row.manifest)?,
        components: row.components.iter().map(id).collect::<Result<_, _>>()?,
        provider: row.provider,
        sequence: row.sequence,
        installed: row.installed,
    })
}

/// `MANIFEST[=SEQUENCE][@PROVIDER]`.
fn release(text: &str) -> Outcome<Release> {
    let wrong = |why: &dyn std::fmt::Display| Fail::input(codes::USAGE, format_args!("--ta {text:?}: {why}"));
    let (rest, provider) = text.rsplit_once('@').unwrap_or((text, ""));
    let (manifest, sequence) = rest.rsplit_once('=').unwrap_or((rest, "1"));
    let manifest = ComponentId::parse_text(manifest).map_err(|e| wrong(&e))?;
    let sequence = sequence.parse().map_err(|_| wrong(&"the sequence is a number"))?;
    let components = vec![manifest.clone()];
    Ok(Release { manifest, components, provider: provider.into(), sequence, installed: None })
}
