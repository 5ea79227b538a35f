use alloc::vec::Vec;

use tamarack_crypto::PublicKey;
use tamarack_model::UnixTime;

use crate::profile::Profile;
use crate::{Error, NameKind, Role, Usage};

/// A chain that [`validate_any`](crate::validate_any) accepted: the only way to a certified key of any kind.
#[derive(Clone, Debug)]
pub struct AnyChain {
    path: Vec<Vec<u8>>,
    profile: Profile,
    role: Role,
    anchor_index: usize,
    not_after: UnixTime,
}

impl AnyChain {
    pub(crate) fn new(
        path: Vec<Vec<u8>>,
        profile: Profile,
        role: Role,
        anchor_index: usize,
        not_after: UnixTime,
    ) -> Self {
        Self { path, profile, role, anchor_index, not_after }
    }

    /// The certified key, DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> &[u8] {
        &self.profile.spki
    }

    /// The certified key, if it is P-256 or Ed25519.
    pub fn key(&self) -> Option<&PublicKey> {
        self.profile.key.as_ref()
    }

    /// The certified key, DER SubjectPublicKeyInfo, if something may be encrypted to it.
    pub fn encryption_spki(&self) -> Result<&[u8], Error> {
        match self.may_agree() {
            true => Ok(self.spki()),
            false => Err(Error::Usage(Usage::LeafKeyAgreement)),
        }
    }

    /// The leaf's name of this type, of which it must have exactly one (security rule K2); else [`Error::Name`].
    pub fn name(&self, kind: NameKind) -> Result<&str, Error> {
        self.profile.name(kind).ok_or(Error::Name)
    }

    /// The role it was validated for.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Which of the anchors the chain leads to.
    pub fn anchor_index(&self) -> usize {
        self.anchor_index
    }

    /// The leaf as it came.
    pub fn leaf_der(&self) -> &[u8] {
        &self.path[0]
    }

    /// The certificates of the path as DER: leaf, intermediates, anchor. Those are what revocation is asked of.
    pub fn path(&self) -> Vec<&[u8]> {
        self.path.iter().map(Vec::as_slice).collect()
    }

    /// Whether the leaf's keyUsage has keyAgreement, for an RSA key keyEncipherment.
    pub fn may_agree(&self) -> bool {
        self.profile.may_agree()
    }

    /// Until when the chain holds: the earliest end among leaf, intermediates and anchor.
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }
}
