use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor};
use tamarack_crypto::{Provider, PublicKey};
use tamarack_model::UnixTime;
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};

use crate::profile::Profile;
use crate::signature::{Algorithm, Scheme};
use crate::{Anchor, AnyChain, Error, NameKind, Role, Usage};

/// The most certificates that a chain for [`validate`] may have, the leaf included.
pub const MAX_CHAIN: usize = 4;

/// The most certificates that a chain for [`validate_any`] may have, the leaf included.
pub const MAX_ANY_CHAIN: usize = 6;

/// How strictly [`validate_any`] looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathOptions {
    /// Whether the leaf must carry the extended key usage of the role. If not, a leaf without any extended key usage
    /// passes too, but still none with that of another role.
    pub require_role: bool,
}

impl Default for PathOptions {
    fn default() -> Self {
        Self { require_role: true }
    }
}

/// A chain that [`validate`] accepted: the only way to a certified key.
#[derive(Clone, Debug)]
pub struct ValidChain {
    path: Vec<Vec<u8>>,
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
        &self.path[0]
    }

    /// The certificates of the path as DER: leaf, intermediates, anchor. Those are what revocation is asked of.
    pub fn path(&self) -> Vec<&[u8]> {
        self.path.iter().map(Vec::as_slice).collect()
    }

    /// Until when the chain holds: the earliest end among leaf, intermediates and anchor.
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }
}

/// Validates `chain` (DER, leaf first, 1 to [`MAX_CHAIN`] certificates, without or with the root) for `role` at `now`.
/// All keys and signatures on the path must be of P-256 with SHA-256 or Ed25519.
///
/// The chain may hold certificates that the path does not need; they are not looked at.
pub fn validate(
    chain: &[Vec<u8>],
    anchors: &[Anchor],
    role: Role,
    now: UnixTime,
    provider: &Provider,
) -> Result<ValidChain, Error> {
    let leaf_der = first(chain, MAX_CHAIN)?;
    let profile = Profile::read(leaf_der)?;
    let leaf_key = profile.key.ok_or(Error::Malformed)?;
    profile.check_leaf(role, &PathOptions::default())?;
    let found = find(chain, anchors, role, now, &Scheme::OWN, provider)?;
    let not_after = found.not_after.min(profile.not_after);
    let uri = profile.name(NameKind::Uri).map(Into::into);
    let anchor_index = found.anchor_index;
    Ok(ValidChain { path: found.path(leaf_der, anchors), leaf_key, uri, role, anchor_index, not_after })
}

/// Like [`validate`] for up to [`MAX_ANY_CHAIN`] certificates, whose keys and signatures may also be of P-384 with SHA-384
/// and of RSA from 2,048 bits with PKCS #1 v1.5 and SHA-256, where the provider can check them.
pub fn validate_any(
    chain: &[Vec<u8>],
    anchors: &[Anchor],
    role: Role,
    now: UnixTime,
    options: &PathOptions,
    provider: &Provider,
) -> Result<AnyChain, Error> {
    let leaf_der = first(chain, MAX_ANY_CHAIN)?;
    let profile = Profile::read(leaf_der)?;
    profile.check_key_strength()?;
    profile.check_leaf(role, options)?;
    let found = find(chain, anchors, role, now, &Scheme::ALL, provider).map_err(|error| {
        // What is too weak fails as an unknown or bad signature; the reason is told instead.
        let weak =
            |der: &Vec<u8>| Profile::read(der).is_ok_and(|profile| profile.check_key_strength().is_err());
        match error {
            Error::Signature | Error::UnknownIssuer if chain.iter().any(weak) => Error::Algorithm,
            error => error,
        }
    })?;
    let not_after = found.not_after.min(profile.not_after);
    let anchor_index = found.anchor_index;
    Ok(AnyChain::new(found.path(leaf_der, anchors), profile, role, anchor_index, not_after))
}

fn first(chain: &[Vec<u8>], limit: usize) -> Result<&Vec<u8>, Error> {
    match chain {
        [first, ..] if chain.len() <= limit => Ok(first),
        _ => Err(Error::ChainLength { length: chain.len(), limit }),
    }
}

/// What a path leads over and to.
struct Found {
    intermediates: Vec<Vec<u8>>,
    anchor_index: usize,
    /// The earliest end of validity among its CAs.
    not_after: UnixTime,
}

impl Found {
    fn path(self, leaf: &[u8], anchors: &[Anchor]) -> Vec<Vec<u8>> {
        let anchor = anchors[self.anchor_index].der().to_vec();
        core::iter::once(leaf.to_vec()).chain(self.intermediates).chain([anchor]).collect()
    }
}

fn find(
    chain: &[Vec<u8>],
    anchors: &[Anchor],
    role: Role,
    now: UnixTime,
    schemes: &[Scheme],
    provider: &Provider,
) -> Result<Found, Error> {
    let certificates: Vec<_> = chain.iter().map(|der| CertificateDer::from(&der[..])).collect();
    let [leaf, intermediates @ ..] = &certificates[..] else { return Err(Error::Malformed) };
    let leaf = EndEntityCert::try_from(leaf).map_err(|error| from_webpki(error, role))?;
    let trust: Vec<TrustAnchor<'_>> = anchors.iter().map(|anchor| anchor.trust.clone()).collect();
    let algorithms: Vec<_> = schemes.iter().map(|scheme| Algorithm { scheme: *scheme, provider }).collect();
    let algorithms: Vec<_> =
        algorithms.iter().map(|algorithm| algorithm as &dyn SignatureVerificationAlgorithm).collect();
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
            intermediates,
            rustls_pki_types::UnixTime::since_unix_epoch(Duration::from_secs(now)),
            AnyUsage,
            None,
            Some(&check_path),
        )
        .map_err(|error| match (error, fault.get()) {
            (webpki::Error::UnknownIssuer, Some(fault)) => fault,
            (error, _) => from_webpki(error, role),
        })?;
    check_authorities(&path, anchors, &trust, role, now)
}

/// Checks the CAs of a path.
fn check_authorities(
    path: &webpki::VerifiedPath<'_>,
    anchors: &[Anchor],
    trust: &[TrustAnchor<'_>],
    role: Role,
    now: UnixTime,
) -> Result<Found, Error> {
    let index =
        trust.iter().position(|anchor| core::ptr::eq(anchor, path.anchor())).ok_or(Error::UnknownIssuer)?;
    let mut not_after = anchors[index].profile.not_after;
    let mut intermediates = Vec::new();
    for certificate in path.intermediate_certificates() {
        let der = certificate.der();
        let authority = Profile::read(der.as_ref())?;
        authority.check_ca()?;
        authority.check_key_strength()?;
        authority.check_ca_for(role, intermediates.len())?;
        not_after = not_after.min(authority.not_after);
        intermediates.push(der.as_ref().to_vec());
    }
    let anchor = &anchors[index].profile;
    anchor.check_ca_for(role, intermediates.len())?;
    anchor.check_dates(now)?;
    Ok(Found { intermediates, anchor_index: index, not_after })
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
        E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Error::Algorithm,
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
