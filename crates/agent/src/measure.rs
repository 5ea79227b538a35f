use alloc::vec::Vec;

use tamarack_crypto::{ConstantTimeEq, HashAlgorithm, Provider};
use tamarack_model::Sha256Digest;
use tamarack_suit::{EffectError, EffectErrorKind, IdentifierKind, Measured};
use tamarack_tee::{BlobId, Identity, Platform};

/// Digest and size of a payload, in constant memory.
pub(crate) fn measure(
    platform: &dyn Platform,
    provider: &Provider,
    blob: BlobId,
    algorithm: HashAlgorithm,
) -> Result<Measured, tamarack_tee::Error> {
    let (mut hasher, mut size) = (provider.sha2.start(algorithm), 0_u64);
    platform.read_blob(blob, &mut |chunk| {
        hasher.update(chunk);
        size += chunk.len() as u64;
    })?;
    Ok(Measured { digest: hasher.finish(), size })
}

/// SHA-256 of a payload.
pub(crate) fn sha256(
    platform: &dyn Platform,
    provider: &Provider,
    blob: BlobId,
) -> Result<Sha256Digest, tamarack_tee::Error> {
    let measured = measure(platform, provider, blob, HashAlgorithm::Sha256)?;
    let mut digest = [0; 32];
    digest.copy_from_slice(&measured.digest);
    Ok(Sha256Digest(digest))
}

/// Whether a payload is `content`; how long that takes depends only on the lengths.
pub(crate) fn content_is(
    platform: &dyn Platform,
    blob: BlobId,
    content: &[u8],
) -> Result<bool, tamarack_tee::Error> {
    let (mut at, mut same) = (0_usize, true);
    platform.read_blob(blob, &mut |chunk| {
        let expected = content.get(at..at + chunk.len());
        same &= expected.is_some_and(|expected| bool::from(expected.ct_eq(chunk)));
        at += chunk.len();
    })?;
    Ok(same && at == content.len())
}

/// A payload as one buffer, if it is at most `limit` bytes.
pub(crate) fn buffer(
    platform: &dyn Platform,
    blob: BlobId,
    size: u64,
    limit: u64,
) -> Result<Vec<u8>, tamarack_tee::Error> {
    if size > limit {
        return Err(tamarack_tee::Error::Quota);
    }
    let mut buffer = Vec::new();
    platform.read_blob(blob, &mut |chunk| buffer.extend_from_slice(chunk))?;
    Ok(buffer)
}

/// Whether the device answers to an identifier of SUIT.
pub(crate) fn identifies(identity: &Identity, kind: IdentifierKind, id: &[u8]) -> bool {
    match kind {
        IdentifierKind::Vendor => id == identity.vendor_id,
        IdentifierKind::Class => id == identity.class_id,
        IdentifierKind::Device => id == identity.device_id,
    }
}

/// How a manifest sees a failure of the platform.
pub(crate) fn effect_error(e: tamarack_tee::Error) -> EffectError {
    let kind = match &e {
        tamarack_tee::Error::Quota => EffectErrorKind::TooLarge,
        _ => EffectErrorKind::Failed,
    };
    EffectError::new(kind, alloc::format!("{e}"))
}
