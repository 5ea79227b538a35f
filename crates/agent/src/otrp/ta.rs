use alloc::vec::Vec;

use tamarack_crypto::Provider;
use tamarack_jose::jwe::DecryptionKey;
use tamarack_model::{DomainChanges, Intent, Sha256Digest};
use tamarack_otrp::request::{DeleteTa, InstallTa, UpdateTa};
use tamarack_otrp::ta_package::{self, EncryptedTa, TaPackage};
use tamarack_otrp::{ErrorCode, taid};
use tamarack_suit::Envelope;
use tamarack_tee::{OtrpIdentity, Platform};

use super::domain::{check_signers, find};
use super::dsi::manifest_of;
use super::receive::Speaker;
use super::refusal::Refusal;
use crate::domains::Domain;
use crate::journal::Journal;
use crate::trust::{TamAnchor, TrustStore};
use crate::{AgentConfig, aik, slots};

/// What the commands for TAs need of their surroundings.
pub(crate) struct Commanded<'a> {
    pub platform: &'a dyn Platform,
    pub provider: &'a Provider,
    pub config: &'a AgentConfig,
    pub identity: &'a dyn OtrpIdentity,
    pub store: &'a TrustStore,
    pub tam: &'a TamAnchor,
    pub speaker: &'a Speaker,
}

impl Commanded<'_> {
    /// InstallTA (section 9.3.1).
    pub fn install(&self, content: InstallTa, encrypted: &EncryptedTa) -> Result<Vec<Intent>, Refusal> {
        self.package(content, encrypted, false)
    }

    /// UpdateTA (section 9.3.2).
    pub fn update(&self, content: UpdateTa, encrypted: &EncryptedTa) -> Result<Vec<Intent>, Refusal> {
        self.package(content, encrypted, true)
    }

    /// DeleteTA (section 9.3.3).
    pub fn delete(&self, content: &DeleteTa) -> Result<Vec<Intent>, Refusal> {
        let domain = find(self.platform, self.tam, &content.sdname)?;
        let manifest = manifest_of(&domain, &content.taid)?;
        match slots::manifest(&Journal::default(), self.platform, &self.tam.owner, &manifest)? {
            Some(_) => Ok([Intent::Remove { manifest }].to_vec()),
            None => Err(Refusal::new(ErrorCode::TaNotFound, "the domain has no such TA")),
        }
    }

    fn package(
        &self,
        content: InstallTa,
        encrypted: &EncryptedTa,
        update: bool,
    ) -> Result<Vec<Intent>, Refusal> {
        let domain = find(self.platform, self.tam, &content.sdname)?;
        let manifest = manifest_of(&domain, &content.taid)?;
        let TaPackage { ta, pdata } = self.decrypt(&domain, encrypted)?;
        if content.spid != domain.provider {
            return Err(Refusal::new(ErrorCode::TaInvalid, "the domain is another SP's"));
        }
        let mut intents = Vec::new();
        if let Some(envelope) = ta {
            self.check_names(&domain, &content.taid, &envelope)?;
            intents.push(Intent::Install { envelope });
        }
        if let Some(spcert) = content.spcert {
            check_signers(self.identity, self.speaker, core::slice::from_ref(&spcert))?;
            let digest = Sha256Digest(self.provider.sha256(&spcert));
            if !domain.active_signers(self.store).any(|signer| signer.digest == digest) {
                let changes = DomainChanges { add_signers: [spcert].to_vec(), ..DomainChanges::default() };
                intents.push(Intent::UpdateDomain { name: domain.name, changes });
            }
        }
        let there = slots::manifest(&Journal::default(), self.platform, &self.tam.owner, &manifest)?;
        match (there.is_some(), update) {
            (true, false) => {
                return Err(Refusal::new(ErrorCode::TaAlreadyInstalled, "the TA is installed"));
            }
            (false, true) => {
                return Err(Refusal::new(ErrorCode::TaNotFound, "the domain has no such TA"));
            }
            (true, true) | (false, false) => {}
        }
        if let Some(data) = pdata {
            intents.push(Intent::Personalize { manifest, data });
        }
        Ok(intents)
    }

    /// Decrypts with the provider's key; every failure looks the same.
    fn decrypt(&self, domain: &Domain, encrypted: &EncryptedTa) -> Result<TaPackage, Refusal> {
        let keys = aik::get(&Journal::default(), self.platform, &self.tam.owner, &domain.provider)?;
        let keys = keys.ok_or(tamarack_otrp::Error::TaPackage)?;
        let key = keys.agreement(self.provider)?;
        Ok(ta_package::open(encrypted, DecryptionKey::Agree(&*key), self.provider)?)
    }

    /// What is inside is the TA that the request names, with components of its own and no others. Whether it is
    /// authentic is for the transaction to find out.
    fn check_names(&self, domain: &Domain, name: &str, envelope: &[u8]) -> Result<(), Refusal> {
        let invalid = |e: tamarack_suit::Error| Refusal::with(ErrorCode::TaInvalid, e.code(), e);
        let envelope = Envelope::parse(envelope, &self.config.manifest).map_err(invalid)?;
        let manifest = envelope.unauthenticated_manifest().map_err(invalid)?;
        let prefix = [domain.label.clone(), taid::to_segment(name)?];
        let expected = manifest_of(domain, name)?;
        if manifest.manifest_component_id != Some(expected) {
            return Err(Refusal::new(ErrorCode::TaInvalid, "the manifest is another TA's"));
        }
        if manifest.components.iter().any(|component| !component.starts_with(&prefix)) {
            let detail = "the manifest has components outside of its TA";
            return Err(Refusal::new(ErrorCode::TaInvalid, detail));
        }
        Ok(())
    }
}
