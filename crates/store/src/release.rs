//! Rows of the third step of appraisal: release policies, what they are decided by, and who else may say what devices
//! should run.

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_crypto::PublicKey;
use tamarack_model::{Code, ComponentId, DeviceId, UnixTime};

use crate::rows::TenantId;

/// A version of a tenant's release policy. All of them are kept; the newest counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleasePolicy {
    /// Tenant.
    pub tenant: TenantId,
    /// 1 for the first, and one more for each later one.
    pub version: u64,
    /// The policy; none if from this version on there is none.
    pub text: Option<String>,
    /// When it was set.
    pub set: UnixTime,
    /// Who set it: the label of an API token.
    pub by: String,
}

/// The last Evidence of a device that was accepted, with what its appraisal found, and what the device was not given then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Tenant.
    pub tenant: TenantId,
    /// Device.
    pub device: DeviceId,
    /// When it was appraised.
    pub at: UnixTime,
    /// Whether it came over OTrP.
    pub otrp: bool,
    /// Its attestation-payload-format.
    pub format: Option<String>,
    /// The Evidence; empty if there was none, or it was too large to be kept.
    pub evidence: Vec<u8>,
    /// What the appraisal found, in an encoding of the engine.
    pub shown: Vec<u8>,
    /// The version of the release policy that decided last, if there is one.
    pub policy: Option<u64>,
    /// What the policy did not release to the device.
    pub withheld: Vec<Withheld>,
}

/// A manifest that a device was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// Manifest component id.
    pub manifest: ComponentId,
    /// Sequence number.
    pub sequence: u64,
    /// The code of the denial.
    pub code: Code,
    /// Why.
    pub reason: String,
}

/// A provider of reference values that a tenant takes besides the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantReferenceProvider {
    /// Tenant.
    pub tenant: TenantId,
    /// Its name within the tenant.
    pub name: String,
    /// Whether it makes devices; otherwise it signs TAs.
    pub maker: bool,
    /// Its keys.
    pub keys: Vec<PublicKey>,
    /// The environments that it may speak of.
    pub scope: Vec<ReferenceScope>,
    /// The components that it may speak of; none means all.
    pub elements: Option<Vec<String>>,
    /// When it was added, or changed last.
    pub set: UnixTime,
}

/// Environments: all that say at least what this says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceScope {
    /// class-id of the CoRIM environment.
    pub class_id: Option<Vec<u8>>,
    /// Vendor.
    pub vendor: Option<String>,
    /// Model.
    pub model: Option<String>,
}
