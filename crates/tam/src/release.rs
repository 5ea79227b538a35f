//! The third step after verification and comparison: which of the planned manifests a device is given, by the tenant's
//! release policy. A tenant without one gives its devices all that is planned for them.

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_attest::release::{Decision, DeviceFacts, Release, ReleaseRules, Shown};
use tamarack_attest::{Appraisal, Refusal};
use tamarack_cbor::{Decode, Encode, Limits};
use tamarack_model::{ComponentId, DeviceId, Protocol, Sha256Digest, UnixTime, View, codes};
use tamarack_store::{CatalogueEntry, Device, Read, Recorded, ReleasePolicy, StoreError, TenantId, Withheld};

use crate::Tam;
use crate::planner::{Plan, Problem, newest_offered};

/// Evidence that is larger is not recorded; what was found in it is.
pub const MOST_EVIDENCE: usize = 64 * 1024;
/// Denials of one device that are recorded.
const MOST_WITHHELD: usize = 64;
/// Releases that a preview decides about.
const MOST_PREVIEWED: usize = 256;

/// What a policy would do to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// When what it is decided by was appraised; none if nothing is recorded, and then everything is denied.
    pub appraised: Option<UnixTime>,
    /// Each manifest that the catalogue offers, in order of manifest id.
    pub rows: Vec<Previewed>,
    /// Whether there are more than were decided about.
    pub cut: bool,
}

/// What a policy would do about one manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previewed {
    /// The manifest.
    pub release: Release,
    /// Whether the tenant wants it on every device.
    pub wanted: bool,
    /// What the policy says.
    pub decision: Decision,
}

/// The row of a device that proved itself by Evidence.
pub(crate) fn recorded(
    tenant: &TenantId,
    now: UnixTime,
    otrp: bool,
    format: Option<&str>,
    evidence: &[u8],
    appraisal: &Appraisal,
) -> Recorded {
    let kept = if evidence.len() <= MOST_EVIDENCE { evidence } else { &[] };
    Recorded {
        tenant: tenant.clone(),
        device: appraisal.device,
        at: now,
        otrp,
        format: format.map(String::from),
        evidence: kept.to_vec(),
        shown: Shown::of(appraisal, format, now).to_cbor(),
        policy: None,
        withheld: Vec::new(),
    }
}

/// The row of a device that proved itself by certificates.
pub(crate) fn recorded_certificates(
    tenant: &TenantId,
    now: UnixTime,
    device: DeviceId,
    shown: &Shown,
) -> Recorded {
    Recorded {
        tenant: tenant.clone(),
        device,
        at: now,
        otrp: true,
        format: None,
        evidence: Vec::new(),
        shown: shown.to_cbor(),
        policy: None,
        withheld: Vec::new(),
    }
}

/// What a TAM without rules says to every policy.
fn no_rules() -> Refusal {
    Refusal { code: codes::RELEASE_UNKNOWN, reason: "this TAM has no rules for release policies".into() }
}

fn unrecorded() -> Decision {
    Decision::deny(codes::RELEASE_UNKNOWN, "no appraisal of the device is recorded")
}

impl Tam {
    /// Whether `policy` may be put in force.
    pub fn check_release_policy(&self, policy: &str) -> Result<(), Refusal> {
        self.rules().ok_or_else(no_rules)?.check(policy)
    }

    fn rules(&self) -> Option<&dyn ReleaseRules> {
        self.config.release_rules.as_deref()
    }

    /// What `policy` says about `releases` for a device; all denied without rules.
    pub fn decide_releases(
        &self,
        policy: &str,
        device: &DeviceFacts,
        releases: &[Release],
        now: UnixTime,
    ) -> Vec<Decision> {
        match self.rules() {
            Some(rules) => {
                let mut decisions = rules.decide(policy, device, releases, now);
                // One for each, whatever the rules gave.
                let missing = || Decision::deny(codes::RELEASE_UNKNOWN, "the rules said nothing");
                decisions.resize_with(releases.len(), missing);
                decisions
            }
            None => releases.iter().map(|_| no_rules().into()).collect(),
        }
    }

    /// Takes out of `plan` what the tenant's policy does not release to the device, and notes in `recorded` what and why.
    /// Removals stay: nobody is made to keep what he should not have.
    pub(crate) fn withhold(
        &self,
        read: &dyn Read,
        device: &Device,
        view: &View,
        recorded: &mut Option<Recorded>,
        plan: &mut Plan,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let policy = read.release_policy(&device.tenant)?;
        let Some(ReleasePolicy { version, text: Some(policy), .. }) = policy else {
            if let Some(recorded) = recorded {
                (recorded.policy, recorded.withheld) = (None, Vec::new());
            }
            return Ok(());
        };
        let planned = core::mem::take(&mut plan.install);
        let releases = planned.iter().map(|entry| {
            let held = view.held.iter().find(|held| held.id == entry.manifest);
            release(read, &device.tenant, entry, held.and_then(|held| held.digest))
        });
        let releases = releases.collect::<Result<Vec<_>, _>>()?;
        let facts =
            recorded.as_ref().and_then(|recorded| facts(device, recorded, device.first_seen < recorded.at));
        let decisions = match &facts {
            Some(facts) => self.decide_releases(&policy, facts, &releases, now),
            None => releases.iter().map(|_| unrecorded()).collect(),
        };
        let mut withheld = Vec::new();
        for (entry, decision) in planned.into_iter().zip(decisions) {
            if decision.allow {
                plan.install.push(entry);
                continue;
            }
            let code = decision.code.unwrap_or(codes::RELEASE_DENIED);
            let (manifest, reason) = (entry.manifest, decision.reason);
            plan.problems.push(Problem::Withheld {
                manifest: manifest.clone(),
                code,
                reason: reason.clone(),
            });
            if withheld.len() < MOST_WITHHELD {
                withheld.push(Withheld { manifest, sequence: entry.sequence, code, reason });
            }
        }
        if let Some(recorded) = recorded {
            (recorded.policy, recorded.withheld) = (Some(version), withheld);
        }
        Ok(())
    }

    /// The same for what the plan has for this device alone: a device that is given nothing is not given secrets either.
    pub(crate) fn withhold_personal(
        &self,
        read: &dyn Read,
        device: &Device,
        recorded: &mut Option<Recorded>,
        plan: &mut Plan,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let policy = read.release_policy(&device.tenant)?;
        let Some(ReleasePolicy { text: Some(policy), .. }) = policy else { return Ok(()) };
        let planned = core::mem::take(&mut plan.personal);
        let releases = planned.iter().map(|personal| Release {
            manifest: personal.manifest.clone(),
            components: personal.components.clone(),
            provider: personal.provider.clone(),
            sequence: personal.sequence,
            installed: None,
        });
        let releases: Vec<_> = releases.collect();
        let facts =
            recorded.as_ref().and_then(|recorded| facts(device, recorded, device.first_seen < recorded.at));
        let decisions = match &facts {
            Some(facts) => self.decide_releases(&policy, facts, &releases, now),
            None => releases.iter().map(|_| unrecorded()).collect(),
        };
        for (personal, decision) in planned.into_iter().zip(decisions) {
            if decision.allow {
                plan.personal.push(personal);
                continue;
            }
            let code = decision.code.unwrap_or(codes::RELEASE_DENIED);
            let (manifest, reason) = (personal.manifest, decision.reason);
            if let Some(recorded) = recorded
                && recorded.withheld.len() < MOST_WITHHELD
            {
                let (manifest, reason) = (manifest.clone(), reason.clone());
                recorded.withheld.push(Withheld { manifest, sequence: personal.sequence, code, reason });
            }
            plan.problems.push(Problem::Withheld { manifest, code, reason });
        }
        Ok(())
    }

    /// What `policy` would do to a device, by what is recorded of it. Nothing is changed.
    pub fn preview(
        &self,
        read: &dyn Read,
        device: &Device,
        policy: &str,
        now: UnixTime,
    ) -> Result<Preview, StoreError> {
        let tenant = &device.tenant;
        let recorded = read.recorded(tenant, &device.id)?;
        let facts = recorded.as_ref().and_then(|recorded| facts(device, recorded, true));
        let wanted = read.policies(tenant)?;
        let held = device.reported.as_ref().map_or(&[][..], |held| &held.entries);
        let mut releases = Vec::new();
        let mut entries = newest_offered(read, tenant)?;
        let cut = entries.len() > MOST_PREVIEWED;
        entries.truncate(MOST_PREVIEWED);
        for entry in &entries {
            let digest = held.iter().find(|held| held.id == entry.manifest).and_then(|held| held.digest);
            releases.push(release(read, tenant, entry, digest)?);
        }
        let decisions = match &facts {
            Some(facts) => self.decide_releases(policy, facts, &releases, now),
            None => releases.iter().map(|_| unrecorded()).collect(),
        };
        let is_wanted = |release: &Release| {
            let brings = |id: &ComponentId| release.manifest == *id || release.components.contains(id);
            wanted.iter().any(|row| brings(&row.component))
        };
        let rows = releases.into_iter().zip(decisions).map(|(release, decision)| Previewed {
            wanted: is_wanted(&release),
            release,
            decision,
        });
        Ok(Preview { appraised: recorded.map(|recorded| recorded.at), rows: rows.collect(), cut })
    }
}

/// What a policy sees of a device; none if what is recorded cannot be read.
pub fn facts(device: &Device, recorded: &Recorded, known: bool) -> Option<DeviceFacts> {
    Some(DeviceFacts {
        id: device.id,
        protocol: if recorded.otrp { Protocol::Otrp } else { Protocol::Teep },
        known,
        first_seen: device.first_seen,
        shown: Shown::from_cbor(&recorded.shown, &Limits::default()).ok()?,
    })
}

/// What a policy sees of an entry, for a device that holds a manifest of this id with `digest`.
fn release(
    read: &dyn Read,
    tenant: &TenantId,
    entry: &CatalogueEntry,
    digest: Option<Sha256Digest>,
) -> Result<Release, StoreError> {
    let held = match digest {
        Some(digest) => read.entry_by_digest(tenant, &digest.0)?,
        None => None,
    };
    Ok(Release {
        manifest: entry.manifest.clone(),
        components: entry.components.iter().map(|component| component.id.clone()).collect(),
        provider: entry.provider.clone(),
        sequence: entry.sequence,
        installed: held.filter(|held| held.manifest == entry.manifest).map(|held| held.sequence),
    })
}

/// What a device is told about what it was not given: the first, in at most `most` bytes.
pub(crate) fn told(problems: &[Problem], most: usize) -> Option<String> {
    let withheld = problems.iter().find(|problem| matches!(problem, Problem::Withheld { .. }))?;
    let mut text = alloc::format!("{} {withheld}", withheld.code());
    while text.len() > most {
        text.pop();
    }
    Some(text)
}
