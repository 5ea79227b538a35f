use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_model::{Code, ComponentId, DeviceId, UnixTime};

use crate::Conflict;
use crate::rows::{
    ApiToken, AuditEntry, CatalogueEntry, Device, Domain, PendingUpdate, Personalization, Policy, Provider,
    Reference, ReferenceFloor, Session, SessionOutcome, Tenant, TenantId,
};
use crate::{Recorded, ReleasePolicy, TenantReferenceProvider};

/// One change. Each says which [`crate::Conflict`] makes the whole batch fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOp {
    /// Raises the highest persisted time; a lower time changes nothing.
    AdvanceTime(UnixTime),
    /// Registers a tenant. `Exists` if there is one of that id.
    InsertTenant(Tenant),
    /// Registers a provider. `Exists` if there is one of that id, `PrefixTaken` if another of the tenant overlaps.
    InsertProvider(Provider),
    /// Replaces a provider. `Missing` if there is none, `PrefixTaken` as above.
    UpdateProvider(Provider),
    /// Registers an API token. `Exists` if its hash is known.
    InsertToken(ApiToken),
    /// Revokes an API token for good. `Missing` if there is none of that hash, or it was revoked before.
    RevokeToken {
        /// Tenant.
        tenant: TenantId,
        /// SHA-256 of the token.
        hash: [u8; 32],
        /// When.
        at: UnixTime,
    },
    /// Creates a domain, also anew in place of a deleted one. `Exists` if there is one of that name.
    InsertDomain(Domain),
    /// Replaces a domain. `Missing` if there is none, or it was deleted.
    UpdateDomain(Domain),
    /// Deletes a domain for good, but for a new one of the same name. `Missing` if there is none, or it was deleted before.
    DeleteDomain {
        /// Tenant.
        tenant: TenantId,
        /// Name.
        name: String,
        /// When.
        at: UnixTime,
    },
    /// Sets what a device is given for a manifest, in place of what was set before.
    SetPersonalization(Personalization),
    /// Notes that a device has what was set at that time; if it was set anew since, changes nothing.
    DeliverPersonalization {
        /// Tenant.
        tenant: TenantId,
        /// Device.
        device: DeviceId,
        /// Manifest component id.
        manifest: ComponentId,
        /// When what was delivered had been set.
        set: UnixTime,
        /// When.
        at: UnixTime,
    },
    /// Publishes a manifest. `Sequence` unless its sequence number is higher than all of its manifest id before;
    /// `Exists` if another entry of the tenant has its manifest digest, or another provider published under its manifest
    /// id; `Missing` if there is no such provider.
    Publish(CatalogueEntry),
    /// Withdraws an entry. `Missing` if there is none, or it was withdrawn before.
    Withdraw {
        /// Tenant.
        tenant: TenantId,
        /// Manifest component id.
        manifest: ComponentId,
        /// Sequence number.
        sequence: u64,
        /// When.
        at: UnixTime,
    },
    /// Wants a component on every device. Wanting it again changes nothing.
    SetPolicy(Policy),
    /// Stops wanting a component. `Missing` if it was not wanted.
    ClearPolicy {
        /// Tenant.
        tenant: TenantId,
        /// Component id.
        component: ComponentId,
    },
    /// Adds reference values and raises floors. `Changed` unless the tenant has exactly `seen` of them, so that what was checked
    /// against others holds; `Exists` if its id is known.
    InsertReference {
        /// The values.
        row: Reference,
        /// Floors that they raise.
        floors: Vec<ReferenceFloor>,
        /// How many the tenant had when they were checked.
        seen: usize,
    },
    /// Takes reference values out of force. `Missing` if there are none of that id, or they were out of force before.
    DeactivateReference {
        /// Tenant.
        tenant: TenantId,
        /// SHA-256 of the signed CoRIM.
        id: [u8; 32],
        /// When.
        at: UnixTime,
    },
    /// Adds a provider of reference values, or replaces it.
    PutReferenceProvider(TenantReferenceProvider),
    /// Removes a provider of reference values. `Missing` if there is none of that name.
    RemoveReferenceProvider {
        /// Tenant.
        tenant: TenantId,
        /// Name.
        name: String,
    },
    /// Adds a version of the release policy. `Exists` unless its number is the next one.
    SetReleasePolicy(ReleasePolicy),
    /// Keeps what a device proved itself by, in place of what it did before.
    Record(Box<Recorded>),
    /// Writes a device whole and raises its revision by one. `Changed` unless its revision is the stored one (0 if there
    /// is none); `Exists` if another device of the tenant has its TEEP key or its TEE certificate.
    PutDevice(Box<Device>),
    /// Ends the quarantine of a device and forgets its highest state epoch, so that its next Evidence sets it anew.
    /// `Missing` if there is no such device.
    ReleaseDevice {
        /// Tenant.
        tenant: TenantId,
        /// Device.
        device: DeviceId,
    },
    /// Records an Update or command that is about to be sent; the oldest of its device beyond [`crate::MAX_PENDING`] give way.
    /// `Exists` if its token hash is known.
    InsertPending(PendingUpdate),
    /// Accepts the one answer to an Update. `Missing` if the token is unknown, burned before, or expired by the highest
    /// persisted time.
    TakePending {
        /// Tenant.
        tenant: TenantId,
        /// SHA-256 of the token.
        token_hash: [u8; 32],
    },
    /// Burns a challenge (security rule C2). `Burned` if it was before, `Expired` if it has expired by the highest
    /// persisted time, which is read in the same transaction.
    BurnChallenge {
        /// Tenant.
        tenant: TenantId,
        /// First 16 bytes of the challenge.
        challenge: [u8; 16],
        /// When the challenge expires.
        expires: UnixTime,
        /// When the row may be pruned: the expiry, the skew and the longest appraisal later.
        keep_until: UnixTime,
    },
    /// Opens a session. `Exists` if its id is known.
    InsertSession(Session),
    /// Ends a session. `Missing` if there is none, or it has ended.
    EndSession {
        /// Tenant.
        tenant: TenantId,
        /// Session.
        id: [u8; 16],
        /// When.
        at: UnixTime,
        /// How.
        outcome: SessionOutcome,
        /// Code of a failure.
        code: Option<Code>,
        /// Reason in a sentence.
        reason: Option<String>,
    },
    /// Appends to the tenant's audit log.
    Audit(AuditEntry),
    /// Forgets burned challenges that need not be kept, and pending Updates that have expired, by this time.
    Prune(UnixTime),
}

/// The largest number that every backend can keep: 2^63 - 1.
const MAX_NUMBER: u64 = i64::MAX as u64;

impl StoreOp {
    /// `TooLarge` if a number in it, of those that come from outside, is more than backends can keep (2^63 - 1). Every
    /// backend asks this first.
    pub fn check_range(&self) -> Result<(), Conflict> {
        let number = match self {
            Self::Publish(row) => row.sequence.max(row.size),
            Self::InsertDomain(row) | Self::UpdateDomain(row) => row.quota.unwrap_or(0),
            Self::InsertReference { floors, .. } => {
                floors.iter().map(|floor| floor.version).max().unwrap_or(0)
            }
            Self::SetReleasePolicy(row) => row.version,
            Self::PutDevice(row) => row.state.as_ref().map_or(0, |mark| mark.epoch),
            _ => 0,
        };
        if number > MAX_NUMBER { Err(Conflict::TooLarge) } else { Ok(()) }
    }
}
