//! Security Domains: namespaces of an Owner with a provider, signers and a quota of their own.
//!
//! A domain's label is segment 0 of the ids in it and never changes; its name is what OTrP calls it, at first the same.
//! What an Owner installed outside of any such record implies a domain, named by segment 0, of its manifests' provider.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder};
use tamarack_model::{ComponentId, OwnerId, Sha256Digest};
use tamarack_tee::Platform;

use crate::Error;
use crate::journal::Journal;
use crate::record::{self, DOMAIN};
use crate::slots;
use crate::trust::{AnchorState, Operations, Principal, SignerAnchor, TrustStore};

/// Most signers of one domain, those that only keep what they signed running included.
pub(crate) const MAX_SIGNERS: usize = 16;

/// A Security Domain. Stored as `[name, provider, quota, [* signer]]` under Owner and label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Domain {
    /// Segment 0 of the ids in it.
    pub label: Vec<u8>,
    /// What OTrP calls it.
    pub name: String,
    /// The service provider that it is for.
    pub provider: String,
    /// Most bytes that the components in it may take.
    pub quota: u64,
    pub signers: Vec<DomainSigner>,
    /// Whether there is no record of it: only what is installed implies it.
    pub implied: bool,
}

/// A signer of a domain, pinned by its certificate. Stored as `[certificate, digest, epoch, retired]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DomainSigner {
    /// DER.
    pub certificate: Vec<u8>,
    /// SHA-256 of it.
    pub digest: Sha256Digest,
    /// Signer epoch of the provider when it came in. The device authority that gives a provider other keys ends with the
    /// epoch also what TAMs introduced in it (security rule R2).
    pub epoch: u64,
    /// Whether it was removed: what it signed runs on, nothing more is accepted.
    pub retired: bool,
}

impl Domain {
    /// The signers that were not removed and came in the provider's present epoch.
    pub fn active_signers(&self, store: &TrustStore) -> impl Iterator<Item = &DomainSigner> {
        let (epoch, _) = standing(store, &self.provider);
        self.signers.iter().filter(move |signer| !signer.retired && signer.epoch == epoch)
    }

    /// Sets the record.
    pub fn put(&self, journal: &mut Journal, owner: &OwnerId) -> Result<(), Error> {
        journal.put(key_of(owner, &self.label)?, self.to_cbor());
        Ok(())
    }

    /// Removes the record.
    pub fn delete(&self, journal: &mut Journal, owner: &OwnerId) -> Result<(), Error> {
        journal.delete(key_of(owner, &self.label)?);
        Ok(())
    }
}

impl Encode for Domain {
    fn encode(&self, e: &mut Encoder) {
        e.array(4).text(&self.name).text(&self.provider).uint(self.quota).array(self.signers.len());
        for DomainSigner { certificate, digest, epoch, retired } in &self.signers {
            e.array(4).bytes(certificate).bytes(&digest.0).uint(*epoch).bool(*retired);
        }
    }
}

impl<'b> Decode<'b> for Domain {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(4, "a domain")?;
        let (name, provider, quota) = (d.text()?.into(), d.text()?.into(), d.uint()?);
        let signers = (0..d.array()?).map(|_| {
            d.array_of(4, "a signer of a domain")?;
            let certificate = d.bytes()?.to_vec();
            let digest = Sha256Digest(d.byte_array("32 bytes")?);
            Ok(DomainSigner { certificate, digest, epoch: d.uint()?, retired: d.bool()? })
        });
        let signers = signers.collect::<Result<_, _>>()?;
        Ok(Self { label: Vec::new(), name, provider, quota, signers, implied: false })
    }
}

fn key_of(owner: &OwnerId, label: &[u8]) -> Result<Vec<u8>, Error> {
    let id = ComponentId::new([label]).map_err(|_| Error::Corrupt("domain"))?;
    Ok(record::key_of(DOMAIN, owner, &id))
}

/// What a label is called where nothing gave it a name: itself, if it is text.
fn name_of(label: &[u8]) -> String {
    match core::str::from_utf8(label) {
        Ok(text) if !text.contains(char::is_control) => text.into(),
        _ => alloc::format!("h'{}'", tamarack_model::Hex(label)),
    }
}

/// All domains of one Owner, or of all of them, that there is a record of.
pub(crate) fn explicit(
    journal: &Journal,
    platform: &dyn Platform,
    owner: Option<&OwnerId>,
) -> Result<Vec<(OwnerId, Domain)>, Error> {
    let range = owner.map_or_else(|| DOMAIN.to_vec(), |owner| record::owned(DOMAIN, owner));
    let pairs = journal.scan(platform, &range)?;
    pairs
        .iter()
        .map(|(key, value)| {
            let (owner, id) = record::split_key(DOMAIN, key)?;
            let domain: Domain = record::read(value, "domain")?;
            Ok((owner, Domain { label: id.domain().to_vec(), ..domain }))
        })
        .collect()
}

/// Every domain of `owner`, also those that only what is installed implies, by label.
pub(crate) fn all(journal: &Journal, platform: &dyn Platform, owner: &OwnerId) -> Result<Vec<Domain>, Error> {
    let recorded = explicit(journal, platform, Some(owner))?;
    let mut domains: BTreeMap<Vec<u8>, Domain> =
        recorded.into_iter().map(|(_, domain)| (domain.label.clone(), domain)).collect();
    let names: BTreeSet<String> = domains.values().map(|domain| domain.name.clone()).collect();
    for (_, id, manifest) in slots::manifests(journal, platform, Some(owner))? {
        let label = id.domain().to_vec();
        domains.entry(label).or_insert_with_key(|label| {
            let name = name_of(label);
            // A domain that was renamed to what this one is called keeps that name.
            let name = if names.contains(&name) { alloc::format!("{name}'") } else { name };
            let (provider, label) = (manifest.provider.clone(), label.clone());
            Domain { label, name, provider, quota: u64::MAX, signers: Vec::new(), implied: true }
        });
    }
    Ok(domains.into_values().collect())
}

/// The domain of `owner` that is called `name`.
pub(crate) fn find(
    journal: &Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    name: &str,
) -> Result<Option<Domain>, Error> {
    Ok(all(journal, platform, owner)?.into_iter().find(|domain| domain.name == name))
}

/// The domain of `owner` that `id` lies in, if there is a record of it.
pub(crate) fn of(
    journal: &Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    id: &ComponentId,
) -> Result<Option<Domain>, Error> {
    let value = journal.get(platform, &key_of(owner, id.domain())?)?;
    let domain = value.map(|value| record::read::<Domain>(&value, "domain")).transpose()?;
    Ok(domain.map(|domain| Domain { label: id.domain().to_vec(), ..domain }))
}

/// Manifest component ids of what `owner` has in the domain.
pub(crate) fn manifests(
    journal: &Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    label: &[u8],
) -> Result<Vec<ComponentId>, Error> {
    let all = slots::manifests(journal, platform, Some(owner))?;
    Ok(all.into_iter().map(|(_, id, _)| id).filter(|id| id.domain() == label).collect())
}

/// Bytes that the components in the domain take, leaving out those of the manifest `except`.
pub(crate) fn used(
    journal: &Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    label: &[u8],
    except: Option<&ComponentId>,
) -> Result<u64, Error> {
    let components = slots::components(journal, platform, Some(owner))?;
    let counted = components
        .into_iter()
        .filter(|(_, id, component)| id.domain() == label && Some(&component.manifest) != except);
    Ok(counted.fold(0, |sum: u64, (_, _, component)| sum.saturating_add(component.size)))
}

/// The signer epoch of a provider, and what its anchors are good for, as the device authority left them.
pub(crate) fn standing(store: &TrustStore, provider: &str) -> (u64, AnchorState) {
    let anchors = || store.signers.iter().filter(|anchor| anchor.provider == provider);
    let epoch = anchors().map(|anchor| anchor.epoch).max().unwrap_or_default();
    let has = |state| anchors().any(|anchor| anchor.state == state);
    let state = match (has(AnchorState::Revoked), has(AnchorState::LoadOnly)) {
        (true, _) => AnchorState::Revoked,
        (false, true) => AnchorState::LoadOnly,
        (false, false) => AnchorState::Active,
    };
    (epoch, state)
}

/// The trust store as the manifests of `owner` are judged by: the signers of its domains are anchors besides those that
/// were enrolled, each only for its own domain and provider (security rules K1 and K7). The device authority stands above
/// them: what it took from a provider, no TAM gives back.
pub(crate) fn with_signers(
    journal: &Journal,
    platform: &dyn Platform,
    store: &TrustStore,
    owner: &OwnerId,
) -> Result<TrustStore, Error> {
    let mut store = store.clone();
    let mut introduced = Vec::new();
    for (_, domain) in explicit(journal, platform, Some(owner))? {
        let (epoch, standing) = standing(&store, &domain.provider);
        for signer in domain.signers.iter().filter(|signer| signer.epoch == epoch) {
            let Ok(key) = signer_key(&signer.certificate) else { continue };
            if store.denies(&key) {
                continue;
            }
            introduced.push(SignerAnchor {
                provider: domain.provider.clone(),
                principal: Principal::Keys([key].to_vec()),
                prefixes: [[domain.label.clone()].to_vec()].to_vec(),
                operations: Operations::ALL,
                // The domain's own quota holds for whatever is installed in it.
                quota: u64::MAX,
                epoch,
                state: match (standing, signer.retired) {
                    (AnchorState::Active, true) => AnchorState::LoadOnly,
                    (standing, _) => standing,
                },
            });
        }
    }
    store.signers.extend(introduced);
    Ok(store)
}

/// The key of a signer's certificate, of which nothing is checked but its form: the TAM vouches for it (draft section
/// 14.6).
pub(crate) fn signer_key(certificate: &[u8]) -> Result<tamarack_crypto::PublicKey, tamarack_x509::Error> {
    tamarack_x509::unvalidated_key(certificate)
}

/// A domain as people are shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainStatus {
    /// The TAM that it belongs to.
    pub owner: OwnerId,
    /// What OTrP calls it.
    pub name: String,
    /// Segment 0 of the ids in it.
    pub label: Vec<u8>,
    /// The service provider that it is for.
    pub provider: String,
    /// SHA-256 of the certificates whose keys may sign for it.
    pub signers: Vec<Sha256Digest>,
    /// How many manifests are installed in it.
    pub manifests: usize,
    /// Bytes that its components take.
    pub used: u64,
    /// Most that they may take; none if only the provider's own quota holds.
    pub quota: Option<u64>,
}

/// All domains of all Owners.
pub(crate) fn status(platform: &dyn Platform, store: &TrustStore) -> Result<Vec<DomainStatus>, Error> {
    let journal = Journal::default();
    let mut found = Vec::new();
    for tam in &store.tams {
        for domain in all(&journal, platform, &tam.owner)? {
            let manifests = manifests(&journal, platform, &tam.owner, &domain.label)?.len();
            let used = used(&journal, platform, &tam.owner, &domain.label, None)?;
            found.push(DomainStatus {
                owner: tam.owner,
                signers: domain.active_signers(store).map(|signer| signer.digest).collect(),
                quota: (!domain.implied).then_some(domain.quota),
                name: domain.name.to_string(),
                label: domain.label,
                provider: domain.provider,
                manifests,
                used,
            });
        }
    }
    Ok(found)
}
