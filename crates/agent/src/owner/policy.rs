use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder};
use tamarack_model::{ComponentId, OwnerId, OwnerSays, Sha256Digest};
use tamarack_owner::{Effect, Rules};
use tamarack_tee::Platform;
use tamarack_x509::Name;

use crate::Error;
use crate::journal::Journal;
use crate::record::{self, POLICY};
use crate::trust::{AnchorState, OtrpPrincipal, Principal, TamAnchor, TrustStore};

/// Most approvals that wait for their TAM.
pub(super) const MAX_APPROVALS: usize = 32;

/// The owner's rules. Stored as `[sequence, rules, [* [owner, manifest, digest]]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// How many orders changed something.
    pub sequence: u64,
    pub rules: Rules,
    /// What the owner approved and no TAM has brought yet.
    pub approvals: Vec<Approval>,
}

/// One manifest that may be installed although a rule wants consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Approval {
    pub owner: OwnerId,
    pub manifest: ComponentId,
    pub digest: Sha256Digest,
}

impl Policy {
    /// The rules in force; a device without an owner has none.
    pub fn load(journal: &Journal, platform: &dyn Platform) -> Result<Self, Error> {
        let value = journal.get(platform, POLICY)?;
        Ok(value.map(|value| record::read(&value, "owner's rules")).transpose()?.unwrap_or_default())
    }

    pub fn put(&self, journal: &mut Journal) {
        journal.put(POLICY.to_vec(), self.to_cbor());
    }

    /// The verdict on a TAM.
    pub fn of_tam(&self, tam: &TamAnchor) -> Effect {
        self.rules.of_tam(names(tam))
    }

    /// The strictest verdict on what `tam` does with components of `provider`.
    pub fn effect<'i>(
        &self,
        tam: &TamAnchor,
        provider: Option<&str>,
        ids: impl IntoIterator<Item = &'i ComponentId>,
    ) -> Effect {
        let provider = provider.map_or(Effect::Allow, |provider| self.rules.of_provider(provider));
        let ids = ids.into_iter().map(|id| self.rules.of_component(id)).max().unwrap_or_default();
        self.of_tam(tam).max(provider).max(ids)
    }

    /// What stands between a manifest and its installation.
    pub fn says(
        &self,
        tam: &TamAnchor,
        provider: &str,
        manifest: (&ComponentId, &Sha256Digest),
        components: &[ComponentId],
    ) -> Option<OwnerSays> {
        let (id, digest) = manifest;
        match self.effect(tam, Some(provider), components.iter().chain([id])) {
            Effect::Allow => None,
            Effect::Consent if self.is_approved(&tam.owner, id, digest) => None,
            Effect::Consent => Some(OwnerSays::Deferred),
            Effect::Deny => Some(OwnerSays::Refused),
        }
    }

    pub fn is_approved(&self, owner: &OwnerId, manifest: &ComponentId, digest: &Sha256Digest) -> bool {
        self.approvals
            .iter()
            .any(|one| one.owner == *owner && one.manifest == *manifest && one.digest == *digest)
    }
}

/// The trust store as it is obeyed: a TAM that the device's owner denies is a stranger.
pub(crate) fn store(platform: &dyn Platform) -> Result<TrustStore, Error> {
    let mut store = TrustStore::load(platform)?;
    let policy = Policy::load(&Journal::default(), platform)?;
    for tam in &mut store.tams {
        if policy.of_tam(tam) == Effect::Deny {
            tam.state = AnchorState::Revoked;
        }
    }
    Ok(store)
}

/// What a TAM is called in rules: where it is reached, then what its certificates call it.
pub(super) fn names(tam: &TamAnchor) -> Vec<&str> {
    let teep = match &tam.principal {
        Principal::Certificate { uri, .. } => Some(uri.as_str()),
        Principal::Keys(_) => None,
    };
    let otrp = tam.otrp.as_ref().map(|OtrpPrincipal { name, .. }| match name {
        Name::RegisteredId(text) | Name::Uri(text) | Name::Dns(text) => text.as_str(),
    });
    let mut names = Vec::new();
    for name in [tam.uri.as_deref(), teep, otrp].into_iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

impl Encode for Policy {
    fn encode(&self, e: &mut Encoder) {
        e.array(3).uint(self.sequence).item(&self.rules).array(self.approvals.len());
        for Approval { owner, manifest, digest } in &self.approvals {
            record::encode_id(e.array(3).bytes(&owner.0), manifest).bytes(&digest.0);
        }
    }
}

impl<'b> Decode<'b> for Policy {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(3, "the owner's rules")?;
        let (sequence, rules) = (d.uint()?, Rules::decode(d)?);
        let approvals = (0..d.array()?).map(|_| {
            d.array_of(3, "an approval")?;
            let owner = OwnerId(d.byte_array("an Owner id")?);
            let manifest = record::decode_id(d)?;
            Ok(Approval { owner, manifest, digest: Sha256Digest(d.byte_array("32 bytes")?) })
        });
        let approvals = approvals.collect::<Result<_, tamarack_cbor::Error>>()?;
        Ok(Self { sequence, rules, approvals })
    }
}
