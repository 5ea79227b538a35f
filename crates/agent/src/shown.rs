//! What Evidence for one Owner shows of the device, besides what the platform knows itself.

use alloc::vec::Vec;

use tamarack_cbor::{Encode, Encoder};
use tamarack_crypto::Provider;
use tamarack_eat::{MeasuredComponent, MeasuredTa};
use tamarack_model::OwnerId;
use tamarack_tee::{Platform, StateRoot};

use crate::journal::Journal;
use crate::record::{self, UEID};
use crate::ta::sessions::Sessions;
use crate::{Error, slots};

/// Last segment of the component id of a TA's code.
const TA: &[u8] = b"ta";

/// What `owner` is told of the device's state: a digest and an epoch that only it sees (security rule E5). The epoch still
/// rises by one with every commit, and two states of one device still have two digests, so falling back and forks show (R9);
/// but nothing in it tells two Owners that they look at the same device.
pub(crate) fn state_root(
    platform: &dyn Platform,
    provider: &Provider,
    owner: &OwnerId,
) -> Result<StateRoot, Error> {
    let mut context = Encoder::new();
    context.array(2).text("state root").bytes(&owner.0);
    let key = platform.storage_key(&context.into_bytes())?;
    let StateRoot { epoch, digest } = platform.state_root();
    let told = provider.hmac.tag(key.expose(), &[b"root", &epoch.to_be_bytes(), &digest]);
    let [a, b, c, d, ..] = provider.hmac.tag(key.expose(), &[b"epoch"]);
    let offset = u64::from(u32::from_be_bytes([a & 0x7f, b, c, d]));
    Ok(StateRoot { epoch: epoch.saturating_add(offset), digest: told })
}

/// The ueid that `owner` sees, made at enrolment (security rule E5).
pub(crate) fn ueid(platform: &dyn Platform, owner: &OwnerId) -> Result<Vec<u8>, Error> {
    platform.get(&record::owned(UEID, owner))?.ok_or(Error::Corrupt("Owner without ueid"))
}

/// The TAs that `owner` has installed, as measured components: of one in memory the digest of the buffer that was
/// instantiated (security rule L1), of any other the one that was measured when it was installed. What a provider puts beside
/// its TAs (data for one device) is not told.
pub(crate) fn components(
    platform: &dyn Platform,
    sessions: &Sessions,
    owner: &OwnerId,
) -> Result<Vec<Vec<u8>>, Error> {
    let journal = Journal::default();
    let mut measured = Vec::new();
    for (_, id, component) in slots::components(&journal, platform, Some(owner))? {
        let loaded = sessions.identity(owner, &id);
        if loaded.is_none() && id.segments().last().is_none_or(|last| last != TA) {
            continue;
        }
        let manifest = slots::manifest(&journal, platform, owner, &component.manifest)?;
        let manifest = manifest.ok_or(Error::Corrupt("component without manifest"))?;
        let ta = MeasuredTa {
            component: id,
            manifest: component.manifest,
            provider: manifest.provider,
            sequence: manifest.sequence,
            digest: loaded.map_or(component.digest.0, |identity| identity.digest),
            loaded: loaded.is_some(),
        };
        measured.push(MeasuredComponent::from(&ta).to_cbor());
    }
    Ok(measured)
}
