use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor};
use tamarack_crypto::{KeyType, Provider, PublicKey};
use tamarack_model::UnixTime;
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};

use crate::profile::Profile;
use crate::signature::Algorithm;
use crate::{Anchor, Error, Role, Usage};

/// The most certificates that a chain may have, the leaf included.
pub const MAX_CHAIN: usize = 4;

/// A chain that [`validate`] accepted: the only way to a certified key.
#[derive(Clone, Debug)]
pub struct ValidChain {
    leaf_der: Vec<u8>,
    leaf_key: PublicKey,
    uri: Option<String>,
    role: Role,
    anchor_index: usize,
    not_after: UnixTime,
}

impl ValidChain {
    /// The certified key.
    pub fn leaf_key(&self) -> &PublicKey {
        &self.leaf_key
    }

    /// The leaf's URI, if it has exactly one.
    pub fn uri_name(&self) -> Option<&str> {
        self.uri.as_deref()
    }

    /// The leaf's URI, where a principal must have exactly one (security rule K2); else [`Error::Name`].
    pub fn principal(&self) -> Result<&str, Error> {
        self.uri_name().ok_or(Error::Name)
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
        &self.leaf_der
    }

    /// Until when the chain holds: the earliest end among leaf, intermediates and anchor.
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }
}

/// Validates `chain` (DER, leaf first, 1 to [`MAX_CHAIN`] certificates, without or with the root) for `role` at `now`.
///
/// The chain may hold certificates that the path does not need; they are not looked at.
pub fn validate(
    chain: &[Vec<u8>],
    anchors: &[Anchor],
    role: Role,
    now: UnixTime,
    provider: &Provider,
) -> Result<ValidChain, Error> {
    let [leaf_der, rest @ ..] = chain else {
        return Err(Error::ChainLength { length: 0 });
    };
    if chain.len() > MAX_CHAIN {
        return Err(Error::ChainLength { length: chain.len() });
    }
    let profile = Profile::read(leaf_der)?;
    profile.check_leaf(role)?;

    let leaf = CertificateDer::from(&leaf_der[..]);
    let leaf = EndEntityCert::try_from(&leaf).map_err(|error| from_webpki(error, role))?;
    let intermediates: Vec<_> = rest.iter().map(|der| CertificateDer::from(&der[..])).collect();
    let trust: Vec<TrustAnchor<'_>> = anchors.iter().map(|anchor| anchor.trust.clone()).collect();
    let algorithms = [KeyType::P256, KeyType::Ed25519].map(|key_type| Algorithm { key_type, provider });
    let algorithms = algorithms.each_ref().map(|algorithm| algorithm as &dyn SignatureVerificationAlgorithm);
    // webpki tries every path. What it does not know itself is asked here, so that another path can still be found.
    let fault = core::cell::Cell::new(None);
    let check_path = |path: &webpki::VerifiedPath<'_>| {
        check_authorities(path, anchors, &trust, role, now).map(drop).map_err(|error| {
            fault.set(Some(error));
            webpki::Error::UnknownIssuer
        })
    };
    let path = leaf
        .verify_for_usage(
            &algorithms,
            &trust,
            &intermediates,
            rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(now)),
            AnyUsage,
            None,
            Some(&check_path),
        )
        .map_err(|error| match (error, fault.get()) {
            (webpki::Error::UnknownIssuer, Some(fault)) => fault,
            (error, _) => from_webpki(error, role),
        })?;
    let (anchor_index, not_after) = check_authorities(&path, anchors, &trust, role, now)?;

    let uri = match &profile.uris[..] {
        [uri] => Some(uri.clone()),
        _ => None,
    };
    let not_after = not_after.min(profile.not_after);
    Ok(ValidChain { leaf_der: leaf_der.clone(), leaf_key: profile.key, uri, role, anchor_index, not_after })
}

/// Checks the CAs of a path; gives the index of its anchor and the earliest end of validity among them.
fn check_authorities(
    path: &webpki::VerifiedPath<'_>,
    anchors: &[Anchor],
    trust: &[TrustAnchor<'_>],
    role: Role,
    now: UnixTime,
) -> Result<(usize, UnixTime), Error> {
    let index =
        trust.iter().position(|anchor| core::ptr::eq(anchor, path.anchor())).ok_or(Error::UnknownIssuer)?;
    let mut not_after = anchors[index].profile.not_after;
    let mut below = 0;
    for certificate in path.intermediate_certificates() {
        let authority = Profile::read(certificate.der().as_ref())?;
        authority.check_ca()?;
        authority.check_ca_for(role, below)?;
        not_after = not_after.min(authority.not_after);
        below += 1;
    }
    let anchor = &anchors[index].profile;
    anchor.check_ca_for(role, below)?;
    anchor.check_dates(now)?;
    Ok((index, not_after))
}

/// Leaves extended key usages to [`Profile`], which tells leaf and CA apart.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

fn from_webpki(error: webpki::Error, role: Role) -> Error {
    use webpki::Error as E;
    match error {
        E::CertExpired { not_after, .. } => Error::Expired { not_after: not_after.as_secs() },
        E::CertNotValidYet { not_before, .. } => Error::NotYetValid { not_before: not_before.as_secs() },
        E::CaUsedAsEndEntity => Error::Usage(Usage::LeafIsCa),
        E::EndEntityUsedAsCa => Error::Usage(Usage::IssuerIsNotCa),
        E::PathLenConstraintViolated => Error::Usage(Usage::PathLength),
        E::EmptyEkuExtension => Error::Usage(Usage::Role(role)),
        E::InvalidSignatureForPublicKey => Error::Signature,
        E::UnknownIssuer
        | E::NameConstraintViolation
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumPathDepthExceeded
        | E::MaximumSignatureChecksExceeded
        | E::MaximumNameConstraintComparisonsExceeded => Error::UnknownIssuer,
        // What remains says that a certificate cannot be read or uses what we do not: the enum is open.
        _ => Error::Malformed,
    }
}
