//! Security Domains, the keys of their providers, and personalization data, as parts of a transaction.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cose::{Purpose, VerificationKey};
use tamarack_crypto::Secret;
use tamarack_model::{Code, ComponentId, DomainChanges, Intent, Sha256Digest, codes};
use tamarack_suit::{Envelope, Machine, Reason, TrustedKeys};
use tamarack_tee::TaReturn;

use super::{Device, Effect, Personalization, PersonalizationOf, Refused, Transaction};
use crate::authority::ManifestRefusal;
use crate::domains::{self, Domain, DomainSigner, MAX_SIGNERS};
use crate::staging::Staged;
use crate::ta::objects::{self, Scope};
use crate::trust::{AnchorState, SignerAnchor, TrustStore};
use crate::{Error, aik, measure, slots};

fn refused(code: Code, detail: impl Into<String>) -> Refused {
    Refused::Intent { code, detail: detail.into() }
}

/// Whether an intent makes or changes a domain or a provider's key.
pub(super) fn changes_domains(intent: &Intent) -> bool {
    matches!(intent, Intent::EnsureDomain { .. } | Intent::UpdateDomain { .. } | Intent::RotateKey { .. })
}

impl Transaction {
    pub(super) fn change_domains(
        &mut self,
        device: &Device<'_>,
        store: &TrustStore,
        intents: Vec<Intent>,
    ) -> Result<(), Refused> {
        for intent in intents {
            match intent {
                Intent::EnsureDomain { name, provider, signers } => {
                    self.ensure_domain(device, store, name, provider, signers)?;
                }
                Intent::UpdateDomain { name, changes } => {
                    self.update_domain(device, store, &name, changes)?;
                }
                Intent::RotateKey { provider } => self.rotate_key(device, provider)?,
                _ => return Err(Error::Intent.into()),
            }
        }
        Ok(())
    }

    /// The TAM's right to make one domain more (security rule K7).
    fn check_right(&self, device: &Device<'_>, label: &[u8]) -> Result<(), Refused> {
        if !self.tam.may_make_domain(label) {
            let detail = "the TAM's anchor does not let it make this domain";
            return Err(refused(codes::OTRP_TAM_NOT_AUTHORIZED, detail));
        }
        let made = domains::explicit(&self.journal, device.platform, Some(&self.tam.owner))?.len();
        if made >= self.tam.domains as usize {
            let detail = alloc::format!("the TAM has {made} domains, which is all it may have");
            return Err(refused(codes::OTRP_TEE_RESOURCE_FULL, detail));
        }
        Ok(())
    }

    fn ensure_domain(
        &mut self,
        device: &Device<'_>,
        store: &TrustStore,
        name: String,
        provider: String,
        signers: Vec<Vec<u8>>,
    ) -> Result<(), Refused> {
        let owner = self.tam.owner;
        check_names([&name, &provider])?;
        let label = name.as_bytes().to_vec();
        let quota = self.tam.domain_quota;
        let mut domain = Domain { label, name, provider, quota, signers: Vec::new(), implied: false };
        add_signers(device, store, &mut domain, signers)?;
        let all = domains::all(&self.journal, device.platform, &owner)?;
        let same = all.iter().find(|other| other.label == domain.label || other.name == domain.name);
        if let Some(same) = same.filter(|same| !same.implied || same.provider != domain.provider) {
            let detail = alloc::format!("there is a domain {} of {}", same.name, same.provider);
            return Err(refused(codes::OTRP_SD_ALREADY_EXISTS, detail));
        }
        self.check_right(device, &domain.label)?;
        domain.put(&mut self.journal, &owner)?;
        aik::ensure(&mut self.journal, device.platform, device.provider, &owner, &domain.provider)?;
        self.effects.push(Effect::DomainCreated { name: domain.name });
        Ok(())
    }

    /// Applies changes in the order of draft section 9.2.2.1.
    fn update_domain(
        &mut self,
        device: &Device<'_>,
        store: &TrustStore,
        name: &str,
        changes: DomainChanges,
    ) -> Result<(), Refused> {
        let owner = self.tam.owner;
        let mut domain = self.find(device, name)?;
        if domain.implied {
            self.check_right(device, &domain.label)?;
            (domain.implied, domain.quota) = (false, self.tam.domain_quota);
        }
        let DomainChanges { name, provider, add_signers: added, remove_signers: removed } = changes;
        if let Some(name) = name.filter(|name| *name != domain.name) {
            check_names([&name])?;
            if domains::find(&self.journal, device.platform, &owner, &name)?.is_some() {
                let detail = alloc::format!("there is a domain {name}");
                return Err(refused(codes::OTRP_SDNAME_ALREADY_USED, detail));
            }
            domain.name = name;
        }
        let before = domain.provider.clone();
        if let Some(provider) = provider.filter(|provider| *provider != domain.provider) {
            check_names([&provider])?;
            // The TAs and their data are those of a principal that includes the provider (security rule K1).
            if !domains::manifests(&self.journal, device.platform, &owner, &domain.label)?.is_empty() {
                let detail = "a domain changes its provider only when it is empty";
                return Err(refused(codes::OTRP_SD_NOT_EMPTY, detail));
            }
            (domain.provider, domain.signers) = (provider, Vec::new());
        }
        if !added.is_empty() && !self.tam.may_make_domain(&domain.label) {
            let detail = "the TAM's anchor does not let it introduce signers";
            return Err(refused(codes::OTRP_TAM_NOT_AUTHORIZED, detail));
        }
        self.forget_signers(device, &mut domain)?;
        add_signers(device, store, &mut domain, added)?;
        for digest in removed {
            let signer = domain.signers.iter_mut().find(|s| s.digest == digest && !s.retired);
            let Some(signer) = signer else {
                let detail = alloc::format!("the domain has no signer {digest}");
                return Err(refused(codes::OTRP_SPCERT_INVALID, detail));
            };
            signer.retired = true;
        }
        self.forget_signers(device, &mut domain)?;
        domain.put(&mut self.journal, &owner)?;
        aik::ensure(&mut self.journal, device.platform, device.provider, &owner, &domain.provider)?;
        self.drop_key_if_unused(device, &before)?;
        self.effects.push(Effect::DomainChanged { name: domain.name });
        Ok(())
    }

    /// Removes a domain; what it holds goes with it or must be gone.
    pub(super) fn drop_domain(
        &mut self,
        device: &mut Device<'_>,
        store: &TrustStore,
        name: &str,
        components: bool,
    ) -> Result<(), Refused> {
        let owner = self.tam.owner;
        let domain = self.find(device, name)?;
        let manifests = domains::manifests(&self.journal, device.platform, &owner, &domain.label)?;
        if !components && !manifests.is_empty() {
            let detail = alloc::format!("the domain holds {} TAs", manifests.len());
            return Err(refused(codes::OTRP_SD_NOT_EMPTY, detail));
        }
        for manifest in manifests {
            self.concerned.push(manifest.clone());
            self.remove(device, store, &manifest)?;
        }
        if !domain.implied {
            domain.delete(&mut self.journal, &owner)?;
            self.drop_key_if_unused(device, &domain.provider)?;
        }
        self.effects.push(Effect::DomainDropped { name: domain.name });
        Ok(())
    }

    fn rotate_key(&mut self, device: &Device<'_>, provider: String) -> Result<(), Refused> {
        aik::renew(&mut self.journal, device.provider, &self.tam.owner, &provider)?;
        self.effects.push(Effect::KeyRotated { provider });
        Ok(())
    }

    /// Writes personalization data for TAs that are there now that everything else is done.
    pub(super) fn personalize(&mut self, device: &Device<'_>) -> Result<(), Refused> {
        let owner = self.tam.owner;
        for Personalization { of, data } in core::mem::take(&mut self.personalizations) {
            let signed = match &of {
                PersonalizationOf::Manifest(_) => None,
                PersonalizationOf::Component { reference, .. } => Some(reference.clone()),
            };
            let id = self.personalized(device, of)?;
            let Some(manifest) = slots::manifest(&self.journal, device.platform, &owner, &id)? else {
                return Err(refused(codes::OTRP_TA_NOT_FOUND, alloc::format!("{id} is not installed")));
            };
            let platform = &*device.platform;
            let scope = Scope::open(&self.journal, platform, owner, &manifest.provider, id.clone())?;
            let (provider, limits) = (device.provider, &device.config.ta);
            let journal = &mut self.journal;
            let written = objects::personalize(journal, platform, provider, &scope, limits, data.expose());
            let too_large = "the personalization data is too large";
            match (written, signed) {
                (Ok(()), _) => {}
                (Err(TaReturn::STORAGE_NO_SPACE), None) => {
                    return Err(refused(codes::OTRP_TEE_RESOURCE_FULL, too_large));
                }
                (Err(TaReturn::STORAGE_NO_SPACE), Some(reference)) => {
                    let refusal = ManifestRefusal::new(codes::SUIT_LIMIT, Reason::OperationFailed, too_large);
                    return Err(self.refuse(device, ManifestRefusal { reference, ..refusal }));
                }
                (Err(_), _) => return Err(Error::Corrupt("TA data").into()),
            }
            self.effects.push(Effect::Personalized { manifest: id });
        }
        Ok(())
    }

    /// The manifest of the TA that is personalized. What a signed manifest brings goes only to a TA of its own provider.
    fn personalized(&mut self, device: &Device<'_>, of: PersonalizationOf) -> Result<ComponentId, Refused> {
        let owner = self.tam.owner;
        let (component, manifest, provider, reference) = match of {
            PersonalizationOf::Manifest(id) => return Ok(id),
            PersonalizationOf::Component { component, manifest, provider, reference } => {
                (component, manifest, provider, reference)
            }
        };
        let ta = component.personalized_ta().ok_or(Error::Intent)?;
        let installed = slots::component(&self.journal, device.platform, &owner, &ta)?;
        let of_provider = match &installed {
            Some(ta) => slots::manifest(&self.journal, device.platform, &owner, &ta.manifest)?
                .is_some_and(|manifest| manifest.provider == provider),
            None => false,
        };
        let refusal = match installed {
            Some(ta) if of_provider => {
                slots::put_personalization(&mut self.journal, &owner, &component, &manifest);
                return Ok(ta.manifest);
            }
            Some(_) => {
                let detail = alloc::format!("{ta} belongs to another provider");
                ManifestRefusal::new(codes::SUIT_NOT_OWNER, Reason::ComponentUnauthorised, detail)
            }
            None => {
                let detail = alloc::format!("{ta}, which it personalizes, is not installed");
                ManifestRefusal::new(codes::SUIT_UNSUPPORTED_COMPONENT, Reason::ComponentUnsupported, detail)
            }
        };
        Err(self.refuse(device, ManifestRefusal { reference, ..refusal }))
    }

    /// Takes what a manifest staged as personalization data out of storage: it goes to the TA when all else is done, and
    /// never becomes a component with a digest, from which a short secret could be guessed.
    pub(super) fn take_personalization(
        &mut self,
        device: &mut Device<'_>,
        machine: &Machine,
        anchor: &SignerAnchor,
        manifest: &ComponentId,
        component: ComponentId,
        staged: Staged,
    ) -> Result<(), Refused> {
        let data = measure::buffer(device.platform, staged.blob, staged.size, device.config.max_in_memory);
        device.platform.discard(staged.blob);
        let uri = machine.manifest().reference_uri.clone().unwrap_or_default();
        let of = PersonalizationOf::Component {
            component,
            manifest: manifest.clone(),
            provider: anchor.provider.clone(),
            reference: Some(Box::new((uri, *machine.envelope().digest()))),
        };
        let data = Secret::new(data.map_err(Error::from)?);
        self.personalizations.push(Personalization { of, data });
        Ok(())
    }

    /// With a TA goes what it was personalized with, so that it is brought anew if the TA is; with a manifest that
    /// personalized a TA goes what it brought.
    pub(super) fn forget_personalization(
        &mut self,
        device: &Device<'_>,
        removed: &ComponentId,
        components: &[ComponentId],
    ) -> Result<(), Refused> {
        let owner = self.tam.owner;
        for (data, manifest) in slots::personalizations(&self.journal, device.platform, &owner)? {
            let ta = data.personalized_ta().ok_or(Error::Corrupt("personalization"))?;
            if manifest == *removed {
                slots::remove_personalization(&mut self.journal, &owner, &data);
                if let Some(ta) = slots::component(&self.journal, device.platform, &owner, &ta)? {
                    objects::forget_personalization(
                        &mut self.journal,
                        device.platform,
                        &owner,
                        &ta.manifest,
                    )?;
                    self.effects.push(Effect::Personalized { manifest: ta.manifest });
                }
            } else if components.contains(&ta) {
                slots::remove_personalization(&mut self.journal, &owner, &data);
                self.bury(device, &manifest)?;
            }
        }
        Ok(())
    }

    fn find(&self, device: &Device<'_>, name: &str) -> Result<Domain, Refused> {
        let found = domains::find(&self.journal, device.platform, &self.tam.owner, name)?;
        found.ok_or_else(|| refused(codes::OTRP_SD_NOT_FOUND, "the TAM has no such domain"))
    }

    fn drop_key_if_unused(&mut self, device: &Device<'_>, provider: &str) -> Result<(), Refused> {
        let left = domains::explicit(&self.journal, device.platform, Some(&self.tam.owner))?;
        if !left.iter().any(|(_, domain)| domain.provider == provider) {
            aik::drop(&mut self.journal, &self.tam.owner, provider)?;
        }
        Ok(())
    }

    /// Forgets the retired signers that signed nothing of what is installed.
    fn forget_signers(&self, device: &Device<'_>, domain: &mut Domain) -> Result<(), Refused> {
        if !domain.signers.iter().any(|signer| signer.retired) {
            return Ok(());
        }
        let manifests = slots::manifests(&self.journal, device.platform, Some(&self.tam.owner))?;
        let installed: Vec<_> =
            manifests.into_iter().filter(|(_, id, _)| id.domain() == domain.label).collect();
        let signed_by = |certificate: &[u8], envelope: &[u8]| {
            let Ok(key) = domains::signer_key(certificate) else { return false };
            let key = VerificationKey::new(key, Purpose::SuitManifest, device.provider);
            let keys = TrustedKeys { signatures: &[key], macs: &[] };
            Envelope::parse(envelope, &device.config.manifest)
                .is_ok_and(|envelope| envelope.authenticate(&keys, device.provider).is_ok())
        };
        domain.signers.retain(|signer| {
            !signer.retired || installed.iter().any(|(_, _, m)| signed_by(&signer.certificate, &m.envelope))
        });
        Ok(())
    }
}

/// Names that become a segment of component ids.
fn check_names<const N: usize>(names: [&String; N]) -> Result<(), Refused> {
    match names.iter().find(|name| ComponentId::new([name.as_bytes()]).is_err()) {
        Some(name) => {
            let detail = alloc::format!("a name has 1 to 64 bytes, this one has {}", name.len());
            Err(refused(codes::OTRP_REQUEST_INVALID, detail))
        }
        None => Ok(()),
    }
}

/// Adds certificates to a domain's signers. They must be certificates with a key that can sign manifests and that has no
/// other purpose here (rule K5).
fn add_signers(
    device: &Device<'_>,
    store: &TrustStore,
    domain: &mut Domain,
    certificates: Vec<Vec<u8>>,
) -> Result<(), Refused> {
    let (epoch, standing) = domains::standing(store, &domain.provider);
    for certificate in certificates {
        let invalid = |detail: String| refused(codes::OTRP_SPCERT_INVALID, detail);
        let key = tamarack_x509::pinned_key(&certificate, device.provider);
        let key = key.map_err(|e| invalid(alloc::format!("{e}")))?;
        if store.denies(&key) || standing != AnchorState::Active {
            return Err(invalid("the device authority or another purpose excludes this signer".into()));
        }
        let digest = Sha256Digest(device.provider.sha256(&certificate));
        domain.signers.retain(|signer| signer.digest != digest);
        if domain.signers.len() >= MAX_SIGNERS {
            let detail = alloc::format!("a domain has at most {MAX_SIGNERS} signers");
            return Err(refused(codes::OTRP_TEE_RESOURCE_FULL, detail));
        }
        domain.signers.push(DomainSigner { certificate, digest, epoch, retired: false });
    }
    Ok(())
}
