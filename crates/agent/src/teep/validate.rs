use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cose::{Purpose, VerificationKey, thumbprint};
use tamarack_crypto::{Provider, PublicKey};
use tamarack_model::UnixTime;
use tamarack_tee::Platform;
use tamarack_teep::{Message, SignedMessage};
use tamarack_x509::{Anchor, Role};

use super::reply::Refusal;
use crate::notes;
use crate::trust::{AnchorState, Principal, TamAnchor, TrustStore};

/// A message that a TAM of the trust store signed.
pub(crate) struct Authentic<'s> {
    pub tam: &'s TamAnchor,
    pub message: Message,
}

/// Draft section 4.1.2, steps 1 to 5: from bytes to a message of a known Owner. Nothing inside the message is looked at,
/// let alone acted on, before its signature holds.
pub(crate) fn validate<'s>(
    platform: &dyn Platform,
    provider: &Provider,
    signed: &SignedMessage,
    store: &'s TrustStore,
    now: UnixTime,
) -> Result<Authentic<'s>, Refusal> {
    let candidates = candidates(platform, provider, signed, store, now)?;
    let keys: Vec<_> = candidates
        .iter()
        .map(|(_, key)| VerificationKey::new(*key, Purpose::TeepMessage, provider))
        .collect();
    let message = signed.verify(&keys, provider).map_err(Refusal::Message)?;
    // Rule K3: a key belongs to one Owner, so this finds the one whose key it was.
    let owner = candidates.iter().find(|(_, key)| thumbprint(key, provider) == *message.key());
    let tam = owner.map(|(tam, _)| *tam).ok_or(Refusal::UnknownTam)?;
    Ok(Authentic { tam, message: message.into_value() })
}

/// The keys that may have signed, each with its Owner: of the certificates that came with a signature those that a root
/// of the trust store vouches for by the right name (rules K2 and K4), and all raw keys (rule K3).
fn candidates<'s>(
    platform: &dyn Platform,
    provider: &Provider,
    signed: &SignedMessage,
    store: &'s TrustStore,
    now: UnixTime,
) -> Result<Vec<(&'s TamAnchor, PublicKey)>, Refusal> {
    let signers = signed.signers();
    let (mut found, mut fault) = (Vec::new(), None);
    for tam in store.tams.iter().filter(|tam| tam.state == AnchorState::Active) {
        match &tam.principal {
            Principal::Keys(keys) => found.extend(keys.iter().map(|key| (tam, *key))),
            Principal::Certificate { anchor, uri } => {
                let anchors = [Anchor::from_der(anchor).map_err(Refusal::Certificate)?];
                let now = notes::time(platform, &tam.owner, now)?;
                for chain in signers.iter().map(|signer| signer.x5chain).filter(|chain| !chain.is_empty()) {
                    let valid = tamarack_x509::validate(chain, &anchors, Role::Tam, now, provider)
                        .and_then(|valid| valid.principal().map(String::from).map(|name| (valid, name)));
                    match valid {
                        Ok((valid, name)) if name == *uri => found.push((tam, *valid.leaf_key())),
                        // Another name under the same root is another Owner, here one that is not known.
                        Ok(_) => drop(fault.get_or_insert(Refusal::UnknownTam)),
                        Err(e) => drop(fault.get_or_insert(Refusal::Certificate(e))),
                    }
                }
            }
        }
    }
    let named = |key: &PublicKey| signers.iter().any(|s| s.kid == Some(&thumbprint(key, provider).0[..]));
    match fault {
        // A certificate was shown, none will do, and no raw key is named either.
        Some(fault) if !found.iter().any(|(_, key)| named(key)) && !found_by_chain(&found) => Err(fault),
        _ => Ok(found),
    }
}

/// Whether a chain led to a known Owner.
fn found_by_chain(found: &[(&TamAnchor, PublicKey)]) -> bool {
    found.iter().any(|(tam, _)| matches!(tam.principal, Principal::Certificate { .. }))
}
