use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use tamarack_crypto::PublicKey;
use tamarack_model::{Code, ComponentId, DeviceId, Sha256Digest, TcEntry, UnixTime};

/// Name of a tenant, as it stands in the URL: 1 to 63 lower-case letters, digits and hyphens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(String);

/// Why a text is not a [`TenantId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantIdError;

impl TenantId {
    /// Reads the name of a tenant.
    pub fn new(name: &str) -> Result<Self, TenantIdError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=63).contains(&name.len()) && name.bytes().all(plain) {
            Ok(Self(name.into()))
        } else {
            Err(TenantIdError)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The tenant of the URL without a tenant (security rule C5), `default`.
impl Default for TenantId {
    fn default() -> Self {
        Self("default".into())
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TenantIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tenant is named by 1 to 63 lower-case letters, digits and hyphens")
    }
}

impl core::error::Error for TenantIdError {}

/// A customer of the TAM; nothing is shared between two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its name in URLs.
    pub id: TenantId,
    /// When it was registered.
    pub created: UnixTime,
}

/// A service provider: who ships TAs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Tenant.
    pub tenant: TenantId,
    /// Its id within the tenant.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What its component and manifest ids begin with, as whole segments. No two providers of a tenant overlap.
    pub prefixes: Vec<ComponentId>,
    /// The keys that sign its manifests.
    pub signers: Vec<PublicKey>,
    /// Whether it may publish and its components are handed out.
    pub enabled: bool,
}

/// What the bearer of an API token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Everything within the tenant.
    Operator,
    /// Publishing and withdrawing of one provider.
    Provider,
    /// Reading only.
    Auditor,
}

impl Role {
    /// Its name in the API and in storage.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Provider => "provider",
            Self::Auditor => "auditor",
        }
    }

    /// Reads what [`Role::as_str`] gives.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Operator, Self::Provider, Self::Auditor].into_iter().find(|role| role.as_str() == text)
    }
}

/// A bearer token of the REST interface, of which only the hash is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Tenant.
    pub tenant: TenantId,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// What its bearer may do.
    pub role: Role,
    /// The provider it acts for, if its role is [`Role::Provider`].
    pub provider: Option<String>,
    /// Its name for people and for the audit log.
    pub label: String,
    /// When it was made.
    pub created: UnixTime,
    /// When it was revoked.
    pub revoked: Option<UnixTime>,
}

/// A published manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// Tenant.
    pub tenant: TenantId,
    /// Id of the provider that published it.
    pub provider: String,
    /// Manifest component id.
    pub manifest: ComponentId,
    /// Sequence number.
    pub sequence: u64,
    /// SHA-256 digest of the manifest, as element 0 of the authentication wrapper has it.
    pub digest: Sha256Digest,
    /// What it installs, with digests and sizes where the manifest gives them.
    pub components: Vec<TcEntry>,
    /// SHA-256 of the stored envelope.
    pub artifact: Sha256Digest,
    /// Size of the stored envelope in bytes.
    pub size: u64,
    /// When it was published.
    pub published: UnixTime,
    /// When it was withdrawn.
    pub withdrawn: Option<UnixTime>,
}

/// A component (or manifest) that a tenant wants on every one of its devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Tenant.
    pub tenant: TenantId,
    /// Component id or manifest component id.
    pub component: ComponentId,
    /// When it was set.
    pub since: UnixTime,
}

/// How far a list of what a device holds can be believed (security rule E4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The Agent said Success and gave no report.
    Unconfirmed,
    /// The Agent said Success with a SUIT report.
    Report,
    /// A component list that came with fresh Evidence.
    Evidence,
}

impl Proof {
    /// Its name in the API and in storage.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unconfirmed => "unconfirmed",
            Self::Report => "reported",
            Self::Evidence => "attested",
        }
    }

    /// Reads what [`Proof::as_str`] gives.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Unconfirmed, Self::Report, Self::Evidence].into_iter().find(|proof| proof.as_str() == text)
    }
}

/// What a device holds, by whose word, and since when that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Components and manifests.
    pub entries: Vec<TcEntry>,
    /// When it was learnt.
    pub at: UnixTime,
    /// By whose word.
    pub proof: Proof,
}

/// A point in the history of a device's sealed state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateMark {
    /// State epoch.
    pub epoch: u64,
    /// State root at that epoch.
    pub root: [u8; 32],
}

/// A device that has proved itself by Evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Tenant.
    pub tenant: TenantId,
    /// Thumbprint of the attestation key.
    pub id: DeviceId,
    /// How often this row was written; [`crate::StoreOp::PutDevice`] takes the number that was read, 0 for a new device.
    pub revision: u64,
    /// The key that signs its TEEP messages, as the latest Evidence binds it.
    pub teep_key: PublicKey,
    /// RFC 9679 thumbprint of that key.
    pub teep_key_id: [u8; 32],
    /// Its ueid claim towards this TAM.
    pub ueid: Vec<u8>,
    /// Grade of the latest appraisal: `none`, `software` or `hardware`.
    pub grade: String,
    /// What the latest Evidence claimed, as name and value for people.
    pub claims: Vec<(String, String)>,
    /// The highest state epoch that it proved, and the root there (security rule R9).
    pub state: Option<StateMark>,
    /// Why it gets nothing any more, if it is in quarantine.
    pub quarantine: Option<String>,
    /// When it first proved itself.
    pub first_seen: UnixTime,
    /// When it last said something authentic.
    pub last_seen: UnixTime,
    /// What it says it holds.
    pub reported: Option<Held>,
    /// What it held when it last proved itself.
    pub attested: Option<Held>,
}

/// An Update that was sent and not answered yet (security rule C4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingUpdate {
    /// Tenant.
    pub tenant: TenantId,
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// The device that may answer it.
    pub device: DeviceId,
    /// The session it belongs to.
    pub session: [u8; 16],
    /// The manifests it carried: id and manifest digest.
    pub manifests: Vec<TcEntry>,
    /// The manifests it asked to remove.
    pub removals: Vec<ComponentId>,
    /// When it was sent.
    pub sent: UnixTime,
    /// When an answer stops being accepted.
    pub expires: UnixTime,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionOutcome {
    /// The device already was as wanted.
    NothingToDo,
    /// The Agent answered Success with a report.
    Updated,
    /// The Agent answered Success without a report.
    Unconfirmed,
    /// The Agent answered Error.
    Failed,
    /// The TAM gave nothing to this device.
    Refused,
}

impl SessionOutcome {
    const ALL: [Self; 5] = [Self::NothingToDo, Self::Updated, Self::Unconfirmed, Self::Failed, Self::Refused];

    /// Its name in the API and in storage.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NothingToDo => "nothing-to-do",
            Self::Updated => "updated",
            Self::Unconfirmed => "unconfirmed",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }

    /// Reads what [`SessionOutcome::as_str`] gives.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// One exchange with a device, from its accepted QueryResponse on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Tenant.
    pub tenant: TenantId,
    /// Random id.
    pub id: [u8; 16],
    /// Device.
    pub device: DeviceId,
    /// When the QueryResponse was accepted.
    pub started: UnixTime,
    /// When it ended; none while the Update is unanswered.
    pub ended: Option<UnixTime>,
    /// How it ended.
    pub outcome: Option<SessionOutcome>,
    /// The code of a failure or refusal.
    pub code: Option<Code>,
    /// What was planned, or why it failed, in a sentence.
    pub reason: Option<String>,
}

/// What is written to the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Tenant.
    pub tenant: TenantId,
    /// When it happened.
    pub at: UnixTime,
    /// Who did it: the label of an API token, or a part of the TAM.
    pub actor: String,
    /// What was done, such as `component.publish`.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// Anything else worth knowing.
    pub detail: String,
}

/// An entry in its place in the tenant's hash chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number within the tenant, from 1 without gaps.
    pub number: u64,
    /// The entry.
    pub entry: AuditEntry,
    /// [`crate::audit_digest`] of the record before and this entry.
    pub digest: [u8; 32],
}
