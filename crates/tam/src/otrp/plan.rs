//! The next command for a device, from what it should hold and what it just told: OTrP brings one change at a time, and
//! each answer shows the state that the next one is planned from.
//!
//! Order: deleted domains go, then what is not needed, then signers change, then for each TA to be installed its domain is
//! made first, and at last TAs get their personalization data.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use tamarack_crypto::Provider as Crypto;
use tamarack_model::{ComponentId, UnixTime, View};
use tamarack_otrp::taid;
use tamarack_store::{CatalogueEntry, Domain, HeldDomain, OtrpDevice, Read, StoreError, TenantId};

use crate::catalog::domain_of;
use crate::planner::{Plan, Problem};

/// One change of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Make the domain, with the first certificate of its provider.
    CreateDomain {
        /// As the TAM has it.
        domain: Domain,
        /// DER.
        certificate: Vec<u8>,
    },
    /// Bring the certificates of the domain to what the TAM has.
    UpdateDomain {
        /// As the device will have it.
        domain: HeldDomain,
        /// To be added, DER.
        add: Vec<Vec<u8>>,
        /// To be removed, SHA-256.
        remove: Vec<[u8; 32]>,
    },
    /// Delete the domain with all that is in it.
    DropDomain {
        /// As the device has it.
        domain: HeldDomain,
        /// The manifests in it.
        manifests: Vec<ComponentId>,
    },
    /// Bring a manifest.
    Install {
        /// The manifest.
        entry: CatalogueEntry,
        /// sdname and taid.
        name: (String, String),
        /// The provider of the domain.
        provider: String,
        /// Whether the TA is there in another version.
        update: bool,
    },
    /// Give a TA its personalization data.
    Personalize {
        /// The manifest.
        manifest: ComponentId,
        /// sdname and taid.
        name: (String, String),
        /// The provider of the domain.
        provider: String,
        /// What the TA is to read.
        data: Vec<u8>,
        /// When that was set.
        set: UnixTime,
    },
    /// Delete a TA.
    Remove {
        /// The manifest.
        manifest: ComponentId,
        /// sdname and taid.
        name: (String, String),
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateDomain { domain, .. } => {
                write!(f, "create domain {} of {}", domain.name, domain.provider)
            }
            Self::UpdateDomain { domain, add, remove } => {
                write!(f, "update domain {}: {} signers more, {} less", domain.name, add.len(), remove.len())
            }
            Self::DropDomain { domain, .. } => write!(f, "delete domain {}", domain.name),
            Self::Install { entry, update: false, .. } => {
                write!(f, "install {} {}", entry.manifest, entry.sequence)
            }
            Self::Install { entry, update: true, .. } => {
                write!(f, "update {} to {}", entry.manifest, entry.sequence)
            }
            Self::Personalize { manifest, .. } => write!(f, "personalize {manifest}"),
            Self::Remove { manifest, .. } => write!(f, "remove {manifest}"),
        }
    }
}

/// The next step, if there is one, and what cannot be given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Next {
    pub step: Option<Step>,
    pub problems: Vec<Problem>,
}

/// What a device holds, as its DSI and this TAM's record of it say together.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// The device with its domains and keys.
    pub device: OtrpDevice,
    /// For the planner, with TAs of unknown version left out.
    pub view: View,
    /// Every manifest that is there, of whatever version.
    pub present: Vec<ComponentId>,
}

/// The next step of a plan.
pub(crate) fn next(
    read: &dyn Read,
    tenant: &TenantId,
    device: &tamarack_store::Device,
    told: &Told,
    planned: Plan,
    crypto: &Crypto,
) -> Result<Next, StoreError> {
    let planner = Planner { read, tenant, told, crypto, problems: planned.problems };
    planner.next(planned.install, planned.remove, device)
}

struct Planner<'a> {
    read: &'a dyn Read,
    tenant: &'a TenantId,
    told: &'a Told,
    crypto: &'a Crypto,
    problems: Vec<Problem>,
}

impl Planner<'_> {
    fn next(
        mut self,
        install: Vec<CatalogueEntry>,
        remove: Vec<ComponentId>,
        device: &tamarack_store::Device,
    ) -> Result<Next, StoreError> {
        // Everything is looked at, so that all problems are told.
        let mut steps = self.dropped()?;
        steps.extend(self.removed(remove));
        steps.extend(self.updated()?);
        for entry in install {
            steps.extend(self.install(entry)?);
        }
        steps.extend(self.personalized(device)?);
        Ok(Next { step: steps.into_iter().next(), problems: self.problems })
    }

    fn dropped(&self) -> Result<Vec<Step>, StoreError> {
        let mut steps = Vec::new();
        for held in &self.told.device.domains {
            // A new domain of the same name may have another provider. One without signers came about over TEEP, and then
            // a provider's name is the device's.
            let gone = self.read.domain(self.tenant, &held.name)?.is_some_and(|domain| {
                domain.deleted.is_some() || domain.provider != held.provider && self.is_ours(held)
            });
            if gone {
                let within = |id: &&ComponentId| id.domain() == held.name.as_bytes();
                let manifests = self.told.present.iter().filter(within).cloned().collect();
                steps.push(Step::DropDomain { domain: held.clone(), manifests });
            }
        }
        Ok(steps)
    }

    /// Whether this TAM made the domain. What our Agents hold from TEEP looks like a domain without signers; a device as the
    /// draft has it tells no signers of any.
    fn is_ours(&self, held: &HeldDomain) -> bool {
        !self.told.device.extended || !held.signers.is_empty()
    }

    fn removed(&mut self, remove: Vec<ComponentId>) -> Vec<Step> {
        let mut steps = Vec::new();
        for manifest in remove {
            match taid::from_manifest(&manifest) {
                Some(name) => steps.push(Step::Remove { manifest, name }),
                None => self.problems.push(Problem::Nameless(manifest)),
            }
        }
        steps
    }

    /// Domains whose signers changed. One that came about over TEEP stays so until there is something to install.
    fn updated(&self) -> Result<Vec<Step>, StoreError> {
        let mut steps = Vec::new();
        for held in self.told.device.domains.iter().filter(|held| self.is_ours(held)) {
            if let Some(domain) = self.read.domain(self.tenant, &held.name)?
                && domain.deleted.is_none()
                && domain.provider == held.provider
            {
                steps.extend(self.signers(&domain, held));
            }
        }
        Ok(steps)
    }

    fn signers(&self, domain: &Domain, held: &HeldDomain) -> Option<Step> {
        let wanted: Vec<([u8; 32], &Vec<u8>)> = domain
            .signers
            .iter()
            .map(|signer| (self.crypto.sha256(&signer.certificate), &signer.certificate))
            .collect();
        let add: Vec<Vec<u8>> = wanted
            .iter()
            .filter(|(hash, _)| !held.signers.contains(hash))
            .map(|(_, certificate)| (*certificate).clone())
            .collect();
        let hashes: Vec<[u8; 32]> = wanted.iter().map(|(hash, _)| *hash).collect();
        let remove: Vec<[u8; 32]> =
            held.signers.iter().filter(|hash| !hashes.contains(hash)).copied().collect();
        let after = HeldDomain { signers: hashes, ..held.clone() };
        (!add.is_empty() || !remove.is_empty()).then_some(Step::UpdateDomain { domain: after, add, remove })
    }

    fn install(&mut self, entry: CatalogueEntry) -> Result<Vec<Step>, StoreError> {
        let Some(name) = taid::from_manifest(&entry.manifest) else {
            self.problems.push(Problem::Nameless(entry.manifest));
            return Ok(Vec::new());
        };
        let domain = domain_of(self.read, self.tenant, &entry.manifest)?;
        let Some(domain) = domain.filter(|domain| !domain.signers.is_empty()) else {
            self.problems.push(Problem::NoSigner(entry.manifest));
            return Ok(Vec::new());
        };
        let held = self.told.device.domains.iter().find(|held| held.name == domain.name);
        if !held.is_some_and(|held| self.is_ours(held)) {
            // One of the domain's own provider, if there is one; the rest follows.
            let own = domain.signers.iter().find(|signer| signer.provider == domain.provider);
            let certificate = own.unwrap_or(&domain.signers[0]).certificate.clone();
            return Ok(alloc::vec![Step::CreateDomain { domain, certificate }]);
        }
        if self.told.key_of(&domain.provider).is_none() {
            self.problems.push(Problem::NoKey(entry.manifest));
            return Ok(Vec::new());
        }
        let update = self.told.present.contains(&entry.manifest);
        Ok(alloc::vec![Step::Install { entry, name, provider: domain.provider, update }])
    }

    fn personalized(&self, device: &tamarack_store::Device) -> Result<Vec<Step>, StoreError> {
        let mut steps = Vec::new();
        for row in self.read.personalizations(self.tenant, &device.id)? {
            let there = row.delivered.is_none() && self.told.present.contains(&row.manifest);
            let domain = domain_of(self.read, self.tenant, &row.manifest)?;
            if let (true, Some(name), Some(domain)) = (there, taid::from_manifest(&row.manifest), domain)
                && self.told.key_of(&domain.provider).is_some()
            {
                let (manifest, data, set) = (row.manifest, row.data, row.set);
                steps.push(Step::Personalize { manifest, name, provider: domain.provider, data, set });
            }
        }
        Ok(steps)
    }
}

impl Told {
    /// The key that packages for a provider are encrypted to (DER SubjectPublicKeyInfo): the one for that, or the one for
    /// everything.
    pub fn key_of(&self, provider: &str) -> Option<&[u8]> {
        let of = |purpose: Option<&str>| {
            let fits = |aik: &&tamarack_store::ProviderKey| {
                aik.provider == provider && aik.purpose.as_deref() == purpose
            };
            self.device.aiks.iter().find(fits).map(|aik| aik.key.as_slice())
        };
        of(Some("enc")).or(of(None))
    }
}
