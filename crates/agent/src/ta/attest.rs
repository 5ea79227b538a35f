use alloc::vec::Vec;

use tamarack_cbor::{Encode, Encoder};
use tamarack_crypto::{Provider, PublicKey};
use tamarack_eat::{TaClaims, TaIdentity};
use tamarack_model::OwnerId;
use tamarack_tee::{EvidenceRequest, Platform};

use crate::Error;
use crate::shown;
use crate::trust::TrustStore;

/// Evidence of a TA (security rule L4): its `nonce` and `key` go into its submodule, with who it is as the Agent knows it.
/// The nonce and profile around that are the platform's, and there is no cnf.
pub(crate) fn evidence(
    platform: &dyn Platform,
    provider: &Provider,
    owner: &OwnerId,
    identity: &TaIdentity,
    nonce: &[u8],
    key: Option<PublicKey>,
) -> Result<Vec<u8>, Error> {
    let store = TrustStore::load(platform)?;
    let tam = store.tams.iter().find(|tam| tam.owner == *owner).ok_or(Error::Corrupt("TA without Owner"))?;
    let claims = TaClaims { nonce: nonce.to_vec(), key, identity: identity.clone() }.to_cbor();
    let request = EvidenceRequest {
        nonce: &TaClaims::top_level_nonce(&claims, provider),
        ueid: &ueid(platform, owner, &identity.provider)?,
        trust_store_sequence: store.sequence,
        confirm: None,
        state: shown::state_root(platform, provider, owner)?,
        components: &[],
        ta: Some(&claims),
    };
    Ok(platform.evidence(tam.persona, &request)?.payload)
}

/// The ueid that whoever a provider's TAs speak to sees: another one for each Owner and provider (security rule E5).
fn ueid(platform: &dyn Platform, owner: &OwnerId, service_provider: &str) -> Result<[u8; 17], Error> {
    let mut context = Encoder::new();
    context.array(3).text("TA ueid").bytes(&owner.0).text(service_provider);
    let derived = platform.storage_key(&context.into_bytes())?;
    // RFC 9711 section 4.2.1: type RAND, then 128 bits.
    let mut ueid = [1; 17];
    ueid[1..].copy_from_slice(&derived.expose()[..16]);
    Ok(ueid)
}
