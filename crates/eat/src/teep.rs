use core::fmt;

use crate::{Claims, Confirmation, HardwareVersion, Manifest, OemId};

/// Claims that follow the TEEP profile (draft-ietf-teep-protocol-26, "EAT Profile"): ueid, oemid, hwmodel, hwversion,
/// manifests and cnf are there, manifests are SUIT references, and there is at most one nonce. The profile is one of
/// Attestation Results; our Evidence keeps to it too.
#[derive(Clone, Copy, Debug)]
pub struct TeepClaims<'c> {
    /// Universal entity id.
    pub ueid: &'c [u8],
    /// Who made the hardware.
    pub oemid: OemId,
    /// Which product of that maker.
    pub hwmodel: &'c [u8],
    /// Which version of it.
    pub hwversion: &'c HardwareVersion,
    /// What firmware runs, at least one entry.
    pub manifests: &'c [Manifest],
    /// The key that the token vouches for.
    pub cnf: &'c Confirmation,
    /// The nonce.
    pub eat_nonce: Option<&'c [u8]>,
}

/// Why claims do not follow the TEEP profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TeepError {
    /// This claim is required.
    Missing(&'static str),
    /// eat_nonce is an array.
    SeveralNonces,
    /// An entry of manifests is not a SUIT_Reference; its index.
    NotSuitReference(usize),
}

impl<'c> TryFrom<&'c Claims> for TeepClaims<'c> {
    type Error = TeepError;

    fn try_from(claims: &'c Claims) -> Result<Self, TeepError> {
        let eat_nonce = match claims.eat_nonce.as_slice() {
            [] => None,
            [nonce] => Some(nonce.as_slice()),
            _ => return Err(TeepError::SeveralNonces),
        };
        let other = claims.manifests.iter().position(|m| matches!(m, Manifest::Other { .. }));
        if let Some(index) = other {
            return Err(TeepError::NotSuitReference(index));
        }
        if claims.manifests.is_empty() {
            return Err(TeepError::Missing("manifests"));
        }
        Ok(Self {
            ueid: claims.ueid.as_deref().ok_or(TeepError::Missing("ueid"))?,
            oemid: claims.oemid.ok_or(TeepError::Missing("oemid"))?,
            hwmodel: claims.hwmodel.as_deref().ok_or(TeepError::Missing("hwmodel"))?,
            hwversion: claims.hwversion.as_ref().ok_or(TeepError::Missing("hwversion"))?,
            manifests: &claims.manifests,
            cnf: claims.cnf.as_ref().ok_or(TeepError::Missing("cnf"))?,
            eat_nonce,
        })
    }
}

impl fmt::Display for TeepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(claim) => write!(f, "the claim {claim} is missing"),
            Self::SeveralNonces => f.write_str("eat_nonce holds several nonces"),
            Self::NotSuitReference(index) => write!(f, "entry {index} of manifests is no SUIT_Reference"),
        }
    }
}

impl core::error::Error for TeepError {}
