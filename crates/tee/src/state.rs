use tamarack_crypto::{HashAlgorithm, Provider};

use crate::STATE;

/// The digest of [`crate::StateRoot`]: SHA-256 over every pair whose key begins with [`STATE`], in ascending order of
/// keys, each as u32 big-endian length and bytes of the key, then the same of the value. `pairs` comes sorted; keys
/// outside the state are passed over. Every platform computes it so, that two of them agree about the same state.
pub fn state_digest<'a>(provider: &Provider, pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> [u8; 32] {
    let mut hasher = provider.sha2.start(HashAlgorithm::Sha256);
    for (key, value) in pairs.filter(|(key, _)| key.first() == Some(&STATE)) {
        for part in [key, value] {
            hasher.update(&(part.len() as u32).to_be_bytes());
            hasher.update(part);
        }
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(&hasher.finish());
    digest
}
