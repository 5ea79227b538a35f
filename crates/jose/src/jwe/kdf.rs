use alloc::vec::Vec;

use tamarack_crypto::{Provider, Secret};

/// The Concat KDF as RFC 7518 section 4.6.2 uses it, with SHA-256 and at most 32 bytes of key: one round. `algorithm` is
/// `alg` where a key is wrapped with the result, and would be `enc` where the result is the key itself.
pub(crate) fn concat_kdf(
    shared: &[u8; 32],
    algorithm: &str,
    apu: &[u8],
    apv: &[u8],
    key_length: usize,
    provider: &Provider,
) -> Secret<Vec<u8>> {
    // Names, parties and key lengths are a few hundred bytes at most.
    let length = |bytes: &[u8]| (bytes.len() as u32).to_be_bytes();
    let hash = provider.sha256_parts(&[
        &1u32.to_be_bytes(),
        shared,
        &length(algorithm.as_bytes()),
        algorithm.as_bytes(),
        &length(apu),
        apu,
        &length(apv),
        apv,
        &(key_length as u32 * 8).to_be_bytes(),
    ]);
    let hash = Secret::new(hash);
    Secret::new(hash.expose()[..key_length].to_vec())
}
