//! Who signed a manifest, and whether that signer may do what it says (security rules K4, K5 and K7).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::Decoder;
use tamarack_cose::{Purpose, Sign, Sign1, TAG_SIGN, TAG_SIGN1, VerificationKey, Verified};
use tamarack_crypto::{Provider, PublicKey};
use tamarack_model::{Code, ComponentId, Sha256Digest, UnixTime, codes};
use tamarack_suit::{AuthenticEnvelope, DigestAlgorithm, Envelope, Limits, Reason, SuitDigest, TrustedKeys};
use tamarack_x509::{Anchor, Role};

use crate::trust::{AnchorState, Principal, SignerAnchor, TrustStore};

/// Why a manifest is refused before any of its commands runs.
#[derive(Clone, Debug)]
pub(crate) struct ManifestRefusal {
    pub code: Code,
    pub reason: Reason,
    pub detail: String,
    /// How a report names the manifest, as far as that was read.
    pub reference: Option<Box<(String, SuitDigest)>>,
}

impl ManifestRefusal {
    pub fn new(code: Code, reason: Reason, detail: impl Into<String>) -> Self {
        Self { code, reason, detail: detail.into(), reference: None }
    }
}

/// A manifest whose signer is known and whose names lie within that signer's scope.
pub(crate) struct Authorised {
    pub envelope: Verified<AuthenticEnvelope>,
    pub anchor: SignerAnchor,
    pub id: ComponentId,
    pub digest: Sha256Digest,
    pub reference: Box<(String, SuitDigest)>,
}

/// What the manifest is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// To be installed: only by anchors that are active.
    Install,
    /// To be run: also by anchors that are for loading only.
    Load,
}

/// Reads `bytes`, authenticates them and looks the signer's rights up. Nothing of the manifest is read before its
/// signature and digest hold.
pub(crate) fn authenticate(
    bytes: &[u8],
    store: &TrustStore,
    wanted: Use,
    now: UnixTime,
    limits: &Limits,
    provider: &Provider,
) -> Result<Authorised, ManifestRefusal> {
    let refuse = |e: tamarack_suit::Error| ManifestRefusal::new(e.code(), e.reason(), alloc::format!("{e}"));
    let envelope = Envelope::parse(bytes, limits).map_err(refuse)?;
    let digest = *envelope.digest();
    let unread = Box::new((String::new(), digest));
    let mut trusted = Vec::new();
    for anchor in store.signers.iter().filter(|anchor| usable(anchor.state, wanted)) {
        for key in keys_of(&anchor.principal, &envelope, now, limits, provider) {
            trusted.push((anchor, key));
        }
    }
    let keys: Vec<_> =
        trusted.iter().map(|(_, key)| VerificationKey::new(*key, Purpose::SuitManifest, provider)).collect();
    let envelope = envelope
        .authenticate(&TrustedKeys { signatures: &keys, macs: &[] }, provider)
        .map_err(|e| ManifestRefusal { reference: Some(unread), ..refuse(e) })?;
    let anchors = trusted
        .iter()
        .zip(&keys)
        .filter(|(_, key)| key.id() == envelope.key())
        .map(|((anchor, _), _)| *anchor);
    authorise(envelope.value(), digest, anchors.collect()).map(|(anchor, id, digest, reference)| Authorised {
        anchor,
        id,
        digest,
        reference,
        envelope,
    })
}

fn usable(state: AnchorState, wanted: Use) -> bool {
    match state {
        AnchorState::Active => true,
        AnchorState::LoadOnly => wanted == Use::Load,
        AnchorState::Revoked => false,
    }
}

/// The keys that a principal may have signed this envelope with: its raw keys, or those of the certificates in the
/// envelope that chain to its root and carry its name.
fn keys_of(
    principal: &Principal,
    envelope: &Envelope,
    now: UnixTime,
    limits: &Limits,
    provider: &Provider,
) -> Vec<PublicKey> {
    let Principal::Certificate { anchor, uri } = principal else { return principal.keys().to_vec() };
    let Ok(anchor) = Anchor::from_der(anchor) else { return Vec::new() };
    let anchors = [anchor];
    let chains = envelope.authentication_blocks().flat_map(|block| chains_of(block, limits));
    chains
        .filter_map(|chain| tamarack_x509::validate(&chain, &anchors, Role::Developer, now, provider).ok())
        .filter(|valid| valid.uri_name() == Some(uri))
        .map(|valid| *valid.leaf_key())
        .collect()
}

/// The certificates in the protected headers of an authentication block.
fn chains_of(block: &[u8], limits: &Limits) -> Vec<Vec<Vec<u8>>> {
    let tag = Decoder::new(block, &limits.cbor).and_then(|mut d| d.tag());
    let mut chains = match tag {
        Ok(TAG_SIGN1) => Sign1::parse(block, &limits.cbor)
            .map(|one| [one.protected.header().x5chain.clone()].to_vec())
            .unwrap_or_default(),
        Ok(TAG_SIGN) => Sign::parse(block, &limits.cbor)
            .map(|many| many.signatures.iter().map(|one| one.protected.header().x5chain.clone()).collect())
            .unwrap_or_default(),
        _ => Vec::new(),
    };
    chains.retain(|chain| !chain.is_empty());
    chains
}

type Scoped = (SignerAnchor, ComponentId, Sha256Digest, Box<(String, SuitDigest)>);

/// Rule R1: a root manifest names itself. Rule K7: it and all its components lie under a prefix of one anchor.
fn authorise(
    envelope: &AuthenticEnvelope,
    digest: SuitDigest,
    anchors: Vec<&SignerAnchor>,
) -> Result<Scoped, ManifestRefusal> {
    let manifest = &envelope.manifest;
    let reference = Box::new((manifest.reference_uri.clone().unwrap_or_default(), digest));
    let refuse = |code, reason, detail: String| ManifestRefusal {
        reference: Some(reference.clone()),
        ..ManifestRefusal::new(code, reason, detail)
    };
    let sha256 = match digest.algorithm() {
        DigestAlgorithm::Sha256 => digest.bytes().try_into().ok(),
        _ => None,
    };
    let sha256 = sha256.ok_or_else(|| {
        let detail = "the device names manifests by SHA-256".into();
        refuse(codes::SUIT_UNSUPPORTED_COMMAND, Reason::AlgorithmUnsupported, detail)
    })?;
    let Some(id) = &manifest.manifest_component_id else {
        let detail = "a root manifest must name itself".into();
        return Err(refuse(codes::SUIT_NO_MANIFEST_ID, Reason::ComponentUnauthorised, detail));
    };
    let of_id: Vec<_> = anchors.into_iter().filter(|anchor| anchor.covers(id)).collect();
    if of_id.is_empty() {
        let detail = alloc::format!("{id} lies outside the signer's prefixes");
        return Err(refuse(codes::SUIT_UNAUTHORISED, Reason::Unauthorised, detail));
    }
    let covers_all = |anchor: &&SignerAnchor| manifest.components.iter().all(|c| anchor.covers(c));
    match of_id.iter().copied().find(covers_all) {
        Some(anchor) => Ok((anchor.clone(), id.clone(), Sha256Digest(sha256), reference)),
        None => {
            let outside = manifest.components.iter().find(|c| !of_id[0].covers(c));
            let detail =
                outside.map_or_else(String::new, |c| alloc::format!("{c} lies outside its prefixes"));
            Err(refuse(codes::SUIT_UNAUTHORISED, Reason::ComponentUnauthorised, detail))
        }
    }
}
