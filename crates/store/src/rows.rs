use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use tamarack_crypto::PublicKey;
use tamarack_model::{
    Code, ComponentId, DeviceId, HeldBack, OwnerSays, Sha256Digest, TcEntry, UnixTime, permission,
};

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

    /// Which role of the permission matrix the bearer has.
    pub fn party(self) -> permission::Role {
        match self {
            Self::Operator => permission::Role::Operator,
            Self::Provider => permission::Role::Provider,
            Self::Auditor => permission::Role::Auditor,
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

/// A signed CoRIM with reference values, which every device of the tenant is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Tenant.
    pub tenant: TenantId,
    /// SHA-256 of the signed CoRIM.
    pub id: [u8; 32],
    /// Name of the provider of reference values whose key signed it.
    pub provider: String,
    /// What its signer calls it.
    pub name: String,
    /// The signed CoRIM.
    pub signed: Vec<u8>,
    /// When it was added.
    pub added: UnixTime,
    /// When it was taken out of force. It stays, so that the tenant goes on to compare.
    pub deactivated: Option<UnixTime>,
}

/// The lowest version of a tag with reference values that counts. It never falls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceFloor {
    /// Name of the provider of reference values.
    pub provider: String,
    /// The tag's id, as CBOR.
    pub tag: Vec<u8>,
    /// The version.
    pub version: u64,
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

/// The key that signs a device's TEEP messages, as its latest Evidence binds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TeepKey {
    /// The key.
    pub key: PublicKey,
    /// Its RFC 9679 thumbprint.
    pub id: [u8; 32],
}

/// A point in the history of a device's sealed state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateMark {
    /// State epoch.
    pub epoch: u64,
    /// State root at that epoch.
    pub root: [u8; 32],
}

/// A Security Domain: the namespace of one provider on each device, named by segment 0 of the component ids in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Tenant.
    pub tenant: TenantId,
    /// Its name: segment 0.
    pub name: String,
    /// The provider that it belongs to.
    pub provider: String,
    /// Whose manifests a device is to take into it; the first is the one that creates it.
    pub signers: Vec<DomainSigner>,
    /// Most bytes that it may take on a device, as people agreed on; no message carries it.
    pub quota: Option<u64>,
    /// When it was created.
    pub created: UnixTime,
    /// When it was deleted. Devices that still hold it are told to delete it with all that is in it.
    pub deleted: Option<UnixTime>,
}

/// A certificate that a device pins for a domain, and the provider whose key it certifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainSigner {
    /// The provider: the domain's own, or a guest.
    pub provider: String,
    /// DER of the certificate.
    pub certificate: Vec<u8>,
}

/// What a device is given for one manifest and for it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Personalization {
    /// Tenant.
    pub tenant: TenantId,
    /// Device.
    pub device: DeviceId,
    /// Manifest component id.
    pub manifest: ComponentId,
    /// What the TA reads.
    pub data: Vec<u8>,
    /// When it was set.
    pub set: UnixTime,
    /// When the device said that it has it.
    pub delivered: Option<UnixTime>,
}

/// A device as OTrP knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtrpDevice {
    /// DER of its TEE certificate, which verifies its later messages.
    pub certificate: Vec<u8>,
    /// SHA-256 of that certificate (section 9.1.7 of the draft).
    pub did: [u8; 32],
    /// Name of its TEE.
    pub name: String,
    /// Version of its TEE.
    pub version: String,
    /// Whether it takes our extensions, profile `otrp-h1`.
    pub extended: bool,
    /// Whether it wants the TAM's certificate status with every request (`signerreq`).
    pub wants_status: bool,
    /// Public keys of providers on it.
    pub aiks: Vec<ProviderKey>,
    /// Domains of this TAM on it, as it told or as this TAM brought about.
    pub domains: Vec<HeldDomain>,
}

/// A provider's public key on one device ("SP AIK").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderKey {
    /// The provider.
    pub provider: String,
    /// What it is for, where the device tells: `sig` or `enc`.
    pub purpose: Option<String>,
    /// DER of its SubjectPublicKeyInfo.
    pub key: Vec<u8>,
}

/// A domain on one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldDomain {
    /// Its name.
    pub name: String,
    /// The provider that it belongs to.
    pub provider: String,
    /// SHA-256 of the certificates that it pins.
    pub signers: Vec<[u8; 32]>,
}

/// A device that has proved itself by Evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Tenant.
    pub tenant: TenantId,
    /// Thumbprint of the attestation key; of the TEE key, if it knows only OTrP as the draft has it.
    pub id: DeviceId,
    /// How often this row was written; [`crate::StoreOp::PutDevice`] takes the number that was read, 0 for a new device.
    pub revision: u64,
    /// The key that signs its TEEP messages, if it speaks TEEP.
    pub teep: Option<TeepKey>,
    /// What OTrP knows of it, if it speaks OTrP.
    pub otrp: Option<OtrpDevice>,
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
    /// What its owner withholds of this tenant's, as it told last.
    pub held_back: Vec<HeldBack>,
}

/// A request that was sent and not answered yet (security rule C4): a TEEP Update or an OTrP command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingUpdate {
    /// Tenant.
    pub tenant: TenantId,
    /// SHA-256 of the token; of OTrP, of what names the answer: message name, rid and tid.
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
    /// What an OTrP command does besides, and how far its session is; none of a TEEP Update.
    pub command: Option<PendingCommand>,
}

/// An OTrP command on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingCommand {
    /// How many commands the session has sent, this one included.
    pub round: u64,
    /// Whether the session began again once because the device's state was another one.
    pub restarted: bool,
    /// SHA-256 of the TEE certificate that may answer.
    pub did: [u8; 32],
    /// The domain that it is about, as the device will have it once it is done; none if the domain stays as it is.
    pub domain: Option<HeldDomain>,
    /// Whether the domain will be gone.
    pub drops: bool,
    /// The manifest whose personalization data it carries, and when that was set.
    pub personalizes: Option<(ComponentId, UnixTime)>,
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
    /// The device's owner denies something of it; whatever else was asked for is done.
    RefusedByOwner,
    /// Something of it waits for the consent of the device's owner; whatever else was asked for is done.
    Deferred,
}

impl SessionOutcome {
    const ALL: [Self; 7] = [
        Self::NothingToDo,
        Self::Updated,
        Self::Unconfirmed,
        Self::Failed,
        Self::Refused,
        Self::RefusedByOwner,
        Self::Deferred,
    ];

    /// Its name in the API and in storage.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NothingToDo => "nothing-to-do",
            Self::Updated => "updated",
            Self::Unconfirmed => "unconfirmed",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::RefusedByOwner => OwnerSays::Refused.as_str(),
            Self::Deferred => OwnerSays::Deferred.as_str(),
        }
    }

    /// The outcome of an exchange in which the device's owner said this.
    pub fn of_owner(says: OwnerSays) -> Self {
        match says {
            OwnerSays::Refused => Self::RefusedByOwner,
            OwnerSays::Deferred => Self::Deferred,
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
