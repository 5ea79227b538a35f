//! The port to what a TAM remembers: tenants, providers, API tokens, the catalogue, policy, devices, pending updates,
//! burned challenges, sessions and the audit log, in verbs of the domain.
//!
//! [`Read`] is what engines ask; [`Store`] adds [`Store::apply`], which carries out a batch of [`StoreOp`]s whole or not at
//! all, and durably before it returns. Rules that two requests could break together (a challenge is burned once, a
//! sequence number is published once, a token is answered once) are kept inside that batch, as [`Conflict`]s; whatever
//! was read before is a hint.
//!
//! Every row carries its tenant. Envelopes are artifacts: content-addressed by SHA-256 and stored beside the rows.
//!
//! The key of the stateless challenges (security rule C1) is not here on purpose.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod encoding;
mod error;
mod memory;
mod op;
mod registry;
mod release;
mod rows;

use alloc::vec::Vec;

use tamarack_model::{ComponentId, DeviceId, UnixTime};

pub use error::{Conflict, StoreError};
pub use memory::MemoryStore;
pub use op::StoreOp;
pub use registry::{audit_digest, registry_digest, verify_audit};
pub use release::{Recorded, ReferenceScope, ReleasePolicy, TenantReferenceProvider, Withheld};
pub use rows::{
    ApiToken, AuditEntry, AuditRecord, CatalogueEntry, Device, Domain, DomainSigner, Held, HeldDomain,
    OtrpDevice, PendingCommand, PendingUpdate, Personalization, Policy, Proof, Provider, ProviderKey,
    Reference, ReferenceFloor, Role, Session, SessionOutcome, StateMark, TeepKey, Tenant, TenantId,
    TenantIdError,
};

/// Most Updates that wait for an answer of one device (security rule C4); the oldest gives way.
pub const MAX_PENDING: usize = 4;

/// Reading. Each call sees one committed state; two calls may see two.
pub trait Read {
    /// The highest time that was ever persisted, 0 in a new store (security rule S3).
    fn time(&self) -> Result<UnixTime, StoreError>;

    /// A tenant by id. The default tenant always exists.
    fn tenant(&self, tenant: &TenantId) -> Result<Option<Tenant>, StoreError>;
    /// All tenants in order of id.
    fn tenants(&self) -> Result<Vec<Tenant>, StoreError>;

    /// A provider by id.
    fn provider(&self, tenant: &TenantId, id: &str) -> Result<Option<Provider>, StoreError>;
    /// All providers of a tenant in order of id.
    fn providers(&self, tenant: &TenantId) -> Result<Vec<Provider>, StoreError>;

    /// A domain by name, deleted or not.
    fn domain(&self, tenant: &TenantId, name: &str) -> Result<Option<Domain>, StoreError>;
    /// All domains of a tenant, deleted ones too, in order of name.
    fn domains(&self, tenant: &TenantId) -> Result<Vec<Domain>, StoreError>;

    /// The API token with this SHA-256 digest, revoked or not, of whichever tenant.
    fn token(&self, hash: &[u8; 32]) -> Result<Option<ApiToken>, StoreError>;
    /// All API tokens of a tenant in order of digest.
    fn tokens(&self, tenant: &TenantId) -> Result<Vec<ApiToken>, StoreError>;

    /// The whole catalogue of a tenant, withdrawn entries too, in order of manifest id and sequence number.
    fn catalogue(&self, tenant: &TenantId) -> Result<Vec<CatalogueEntry>, StoreError>;
    /// One entry of the catalogue.
    fn entry(
        &self,
        tenant: &TenantId,
        manifest: &ComponentId,
        sequence: u64,
    ) -> Result<Option<CatalogueEntry>, StoreError>;
    /// The entry, withdrawn or not, whose manifest digest (content of element 0 of the authentication wrapper) is this.
    fn entry_by_digest(
        &self,
        tenant: &TenantId,
        digest: &[u8; 32],
    ) -> Result<Option<CatalogueEntry>, StoreError>;
    /// The entry with the highest sequence number of this manifest id that is not withdrawn.
    fn newest(&self, tenant: &TenantId, manifest: &ComponentId)
    -> Result<Option<CatalogueEntry>, StoreError>;
    /// The entry with the highest sequence number that installs this component and is not withdrawn.
    fn newest_with(
        &self,
        tenant: &TenantId,
        component: &ComponentId,
    ) -> Result<Option<CatalogueEntry>, StoreError>;
    /// The highest sequence number ever published under this manifest id, withdrawn ones included.
    fn highest_sequence(&self, tenant: &TenantId, manifest: &ComponentId) -> Result<Option<u64>, StoreError>;
    /// The bytes of an artifact, whose digest was checked as they were read.
    fn artifact(&self, digest: &[u8; 32]) -> Result<Vec<u8>, StoreError>;

    /// What the tenant wants on each of its devices, in order of component id.
    fn policies(&self, tenant: &TenantId) -> Result<Vec<Policy>, StoreError>;

    /// All reference values of a tenant, those out of force too, in the order in which they were added.
    fn references(&self, tenant: &TenantId) -> Result<Vec<Reference>, StoreError>;
    /// All floors of reference values of a tenant, in order of provider and tag.
    fn reference_floors(&self, tenant: &TenantId) -> Result<Vec<ReferenceFloor>, StoreError>;

    /// Who may give reference values to a tenant besides the operator's providers, in order of name.
    fn reference_providers(&self, tenant: &TenantId) -> Result<Vec<TenantReferenceProvider>, StoreError>;

    /// The newest version of the release policy of a tenant.
    fn release_policy(&self, tenant: &TenantId) -> Result<Option<ReleasePolicy>, StoreError>;
    /// All versions of the release policy of a tenant, the newest first.
    fn release_policies(&self, tenant: &TenantId) -> Result<Vec<ReleasePolicy>, StoreError>;
    /// What a device last proved itself by.
    fn recorded(&self, tenant: &TenantId, device: &DeviceId) -> Result<Option<Recorded>, StoreError>;

    /// A device by id.
    fn device(&self, tenant: &TenantId, id: &DeviceId) -> Result<Option<Device>, StoreError>;
    /// The device whose TEEP key has this RFC 9679 thumbprint.
    fn device_by_teep_key(&self, tenant: &TenantId, key: &[u8; 32]) -> Result<Option<Device>, StoreError>;
    /// The device whose TEE certificate has this SHA-256 digest.
    fn device_by_did(&self, tenant: &TenantId, did: &[u8; 32]) -> Result<Option<Device>, StoreError>;
    /// What a device is given for its manifests, in order of manifest id.
    fn personalizations(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
    ) -> Result<Vec<Personalization>, StoreError>;
    /// Up to `limit` devices with an id above `after`, in order of id.
    fn devices(
        &self,
        tenant: &TenantId,
        after: Option<&DeviceId>,
        limit: usize,
    ) -> Result<Vec<Device>, StoreError>;

    /// The pending Update whose token has this SHA-256 digest.
    fn pending(&self, tenant: &TenantId, token_hash: &[u8; 32]) -> Result<Option<PendingUpdate>, StoreError>;
    /// The pending Updates of a device, oldest first, at most [`MAX_PENDING`].
    fn pending_of(&self, tenant: &TenantId, device: &DeviceId) -> Result<Vec<PendingUpdate>, StoreError>;
    /// Whether the challenge with these first 16 bytes is burned. Only a hint: the batch that burns it decides.
    fn is_burned(&self, challenge: &[u8; 16]) -> Result<bool, StoreError>;

    /// A session by id.
    fn session(&self, tenant: &TenantId, id: &[u8; 16]) -> Result<Option<Session>, StoreError>;
    /// Up to `limit` sessions, of one device or of all, the latest first.
    fn sessions(
        &self,
        tenant: &TenantId,
        device: Option<&DeviceId>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError>;

    /// Up to `limit` audit records of a tenant with a number above `after`, ascending.
    fn audit(&self, tenant: &TenantId, after: u64, limit: usize) -> Result<Vec<AuditRecord>, StoreError>;
}

/// Reading and writing.
pub trait Store: Read {
    /// Carries out all of `ops` in order, or on a conflict or failure none of them. What it acknowledges is durable.
    fn apply(&self, ops: Vec<StoreOp>) -> Result<(), StoreError>;

    /// Stores an artifact durably and gives its SHA-256 digest. Storing it again changes nothing.
    fn put_artifact(&self, bytes: &[u8]) -> Result<[u8; 32], StoreError>;
}
