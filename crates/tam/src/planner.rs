//! Desired against reported: which manifests to send and which to have removed.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use tamarack_model::{Code, ComponentId, HeldBack, OwnerSays, View, codes};
use tamarack_store::{CatalogueEntry, Read, StoreError, TenantId};

use crate::catalog::{domain_of, may_publish};
use crate::personal::Personal;
use crate::policy::{Wanted, wanted};

/// What to do for a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Manifests to process, in order of manifest id.
    pub install: Vec<CatalogueEntry>,
    /// Manifests to unlink first, by manifest id.
    pub remove: Vec<ComponentId>,
    /// Manifests for this device alone, in order of manifest id.
    pub personal: Vec<Personal>,
    /// What is wanted and cannot be given.
    pub problems: Vec<Problem>,
}

/// Something wanted that the plan does not bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No entry that is offered brings it.
    NotOffered(ComponentId),
    /// The newest entry has a lower sequence number than the application accepts.
    TooOld(ComponentId),
    /// The device holds a manifest of this id that the catalogue does not know; replacing it could be a downgrade.
    Foreign(ComponentId),
    /// Too large for one Update.
    TooLarge(ComponentId),
    /// OTrP has no name for a manifest of this id.
    Nameless(ComponentId),
    /// The domain has no certificate of its provider that a device could pin.
    NoSigner(ComponentId),
    /// The device told no key that a TA of this domain could be encrypted to.
    NoKey(ComponentId),
    /// The device's owner does not let this manifest in, now or at all.
    ByOwner(ComponentId, OwnerSays),
    /// The tenant's release policy does not let the device have it.
    Withheld {
        /// The manifest.
        manifest: ComponentId,
        /// The code of the denial.
        code: Code,
        /// Why, in words.
        reason: String,
    },
}

impl Problem {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::NotOffered(_) | Self::TooOld(_) => codes::API_NOT_FOUND,
            Self::Foreign(_) => codes::SUIT_ROLLBACK,
            Self::TooLarge(_) => codes::SUIT_LIMIT,
            Self::Nameless(_) => codes::OTRP_MALFORMED,
            Self::NoSigner(_) => codes::OTRP_SPCERT_INVALID,
            Self::NoKey(_) => codes::OTRP_TEE_FAIL,
            Self::ByOwner(_, says) => says.code(),
            Self::Withheld { code, .. } => *code,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByOwner(id, OwnerSays::Refused) => write!(f, "{id} is refused by the device's owner"),
            Self::ByOwner(id, OwnerSays::Deferred) => {
                write!(f, "{id} waits for the consent of the device's owner")
            }
            Self::NotOffered(id) => write!(f, "{id} is not in the catalogue"),
            Self::TooOld(id) => write!(f, "{id} is older in the catalogue than asked for"),
            Self::Foreign(id) => {
                write!(f, "the device holds {id} in a version that the catalogue does not know")
            }
            Self::TooLarge(id) => write!(f, "{id} does not fit into one Update"),
            Self::Nameless(id) => write!(f, "{id} has no name in OTrP"),
            Self::NoSigner(id) => write!(f, "the domain of {id} has no certificate of its provider"),
            Self::NoKey(id) => write!(f, "the device told no key of the provider of {id}"),
            Self::Withheld { manifest, reason, .. } => write!(f, "{manifest} is not released: {reason}"),
        }
    }
}

impl Plan {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.install.is_empty() && self.remove.is_empty() && self.personal.is_empty()
    }
}

/// What the device holds, as far as the catalogue knows it.
struct Installed {
    /// Known manifests by id.
    known: BTreeMap<ComponentId, CatalogueEntry>,
    /// Ids under which something is held whose digest the catalogue does not know.
    foreign: BTreeSet<ComponentId>,
}

impl Installed {
    /// Maps the digests of the list through the catalogue (DESIGN decision 16). An entry counts only under the id that it
    /// was published with.
    fn new(read: &dyn Read, tenant: &TenantId, view: &View) -> Result<Self, StoreError> {
        let mut installed = Self { known: BTreeMap::new(), foreign: BTreeSet::new() };
        for held in &view.held {
            let entry = match &held.digest {
                Some(digest) => read.entry_by_digest(tenant, &digest.0)?,
                None => None,
            };
            match entry.filter(|entry| entry.manifest == held.id) {
                Some(entry) => drop(installed.known.insert(held.id.clone(), entry)),
                None => drop(installed.foreign.insert(held.id.clone())),
            }
        }
        Ok(installed)
    }
}

/// Plans for one device of a tenant. A manifest that the device holds is replaced only by one of the same id with a higher
/// sequence number.
pub fn plan(read: &dyn Read, tenant: &TenantId, view: &View) -> Result<Plan, StoreError> {
    let installed = Installed::new(read, tenant, view)?;
    let wanted = wanted(read, tenant, view)?;
    let mut install: BTreeMap<ComponentId, CatalogueEntry> = BTreeMap::new();
    let mut problems = Vec::new();

    let remove = removals(read, tenant, view, &installed, &wanted)?;
    for (id, entry) in &installed.known {
        if !remove.contains(id)
            && let Some(newest) = offered(read, read.newest(tenant, id)?)?
            && newest.sequence > entry.sequence
        {
            install.insert(id.clone(), newest);
        }
    }
    for want in &wanted {
        match offer(read, tenant, &want.component)? {
            None if held(&installed, want) => {}
            None => problems.push(Problem::NotOffered(want.component.clone())),
            Some(entry) if want.minimum.is_some_and(|minimum| entry.sequence < minimum) => {
                problems.push(Problem::TooOld(want.component.clone()));
            }
            Some(entry) if installed.foreign.contains(&entry.manifest) => {
                problems.push(Problem::Foreign(entry.manifest));
            }
            Some(entry) => {
                let have = installed.known.get(&entry.manifest).map(|have| have.sequence);
                if have.is_none_or(|have| have < entry.sequence) {
                    install.insert(entry.manifest.clone(), entry);
                }
            }
        }
    }
    // What the device says its owner withholds is not sent again before it says otherwise.
    install.retain(|id, entry| match of_owner(view, entry) {
        None => true,
        Some(says) => {
            problems.push(Problem::ByOwner(id.clone(), says));
            false
        }
    });
    Ok(Plan {
        install: install.into_values().collect(),
        remove: remove.into_iter().collect(),
        personal: Vec::new(),
        problems,
    })
}

/// What the device's owner says of an entry, as the device told. A consent that is missing is missing for the version that
/// was sent and for older ones; a newer one has not been asked for yet.
fn of_owner(view: &View, entry: &CatalogueEntry) -> Option<OwnerSays> {
    let about = |withheld: &&HeldBack| {
        let is_it = withheld.id == entry.manifest || entry.components.iter().any(|c| c.id == withheld.id);
        is_it && withheld.sequence.is_none_or(|sequence| entry.sequence <= sequence)
    };
    view.held_back.iter().filter(about).map(|withheld| withheld.why).max()
}

/// What nobody on the device needs any more and neither policy nor a request of the same message wants, and what is in a
/// deleted domain. A foreign manifest is left alone.
fn removals(
    read: &dyn Read,
    tenant: &TenantId,
    view: &View,
    installed: &Installed,
    wanted: &[Wanted],
) -> Result<BTreeSet<ComponentId>, StoreError> {
    let unneeded = view.unneeded.iter().filter_map(|id| installed.known.get(id));
    let mut remove: BTreeSet<ComponentId> = unneeded
        .filter(|entry| !wanted.iter().any(|want| want.is_in(entry)))
        .map(|e| e.manifest.clone())
        .collect();
    for id in installed.known.keys() {
        if domain_of(read, tenant, id)?.is_some_and(|domain| domain.deleted.is_some()) {
            remove.insert(id.clone());
        }
    }
    Ok(remove)
}

fn held(installed: &Installed, want: &Wanted) -> bool {
    installed.known.values().any(|entry| want.is_in(entry))
}

/// The newest entry that brings a component, or of a manifest id.
fn offer(read: &dyn Read, tenant: &TenantId, id: &ComponentId) -> Result<Option<CatalogueEntry>, StoreError> {
    match read.newest(tenant, id)? {
        Some(entry) => offered(read, Some(entry)),
        None => offered(read, read.newest_with(tenant, id)?),
    }
}

/// The newest entry of each manifest id that is offered, in order of manifest id.
pub(crate) fn newest_offered(read: &dyn Read, tenant: &TenantId) -> Result<Vec<CatalogueEntry>, StoreError> {
    let mut newest: BTreeMap<ComponentId, CatalogueEntry> = BTreeMap::new();
    for entry in read.catalogue(tenant)?.into_iter().filter(|entry| entry.withdrawn.is_none()) {
        // The catalogue is in order of sequence number.
        newest.insert(entry.manifest.clone(), entry);
    }
    let mut offers = Vec::with_capacity(newest.len());
    for entry in newest.into_values() {
        offers.extend(offered(read, Some(entry))?);
    }
    Ok(offers)
}

/// The entry, if its provider is enabled and may still publish it, and its domain is not deleted.
fn offered(read: &dyn Read, entry: Option<CatalogueEntry>) -> Result<Option<CatalogueEntry>, StoreError> {
    let Some(entry) = entry else { return Ok(None) };
    let Some(provider) = read.provider(&entry.tenant, &entry.provider)? else { return Ok(None) };
    let offered = provider.enabled && may_publish(read, &provider, &entry.manifest)?;
    Ok(offered.then_some(entry))
}
