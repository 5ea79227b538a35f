//! Taking a manifest off the device.

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_model::{ComponentId, codes};
use tamarack_suit::{Machine, Procedure, Step};

use super::{Device, Effect, Refused, Transaction};
use crate::authority::{self, Use};
use crate::counters::{self, Counter};
use crate::staging::StagingEffects;
use crate::trust::TrustStore;
use crate::{domains, notes, reports, slots, ta};

impl Transaction {
    /// Removes a manifest: its uninstall section runs once, then its components, its TA's data and the salt of their key
    /// go, and a tombstone stays (rules R3 and R6). What is not there is removed already.
    pub(super) fn remove(
        &mut self,
        device: &mut Device<'_>,
        store: &TrustStore,
        id: &ComponentId,
    ) -> Result<(), Refused> {
        let owner = self.tam.owner;
        let refuse =
            |detail: String| Refused::Manifest { code: codes::SUIT_UNAUTHORISED, detail, report: None };
        if !self.tam.covers(id) {
            return Err(refuse(alloc::format!("{id} lies outside the TAM's scopes")));
        }
        let Some(manifest) = slots::manifest(&self.journal, device.platform, &owner, id)? else {
            self.effects.push(Effect::Unchanged { manifest: id.clone() });
            return Ok(());
        };
        let mut vouching = store
            .signers
            .iter()
            .filter(|signer| signer.provider == manifest.provider && signer.covers(id))
            .peekable();
        // What only signers of its domain vouched for goes with them, and with the domain.
        let orphaned = vouching.peek().is_none()
            && domains::of(&self.journal, device.platform, &owner, id)?
                .is_some_and(|domain| domain.provider == manifest.provider);
        if !orphaned && !vouching.any(|signer| signer.operations.delete) {
            return Err(refuse(alloc::format!(
                "{id} may not be deleted: its signer's anchor does not allow it"
            )));
        }
        self.uninstall(device, store, id, &manifest)?;
        let mut components = slots::components(&self.journal, device.platform, Some(&owner))?;
        components.retain(|(_, _, record)| record.manifest == *id);
        let components: Vec<_> = components.into_iter().map(|(_, component, _)| component).collect();
        self.forget_personalization(device, id, &components)?;
        for component in components {
            slots::remove_component(&mut self.journal, device.platform, &owner, &component)?;
        }
        self.bury(device, id)
    }

    /// Takes the record of a manifest away, with its TA's data and the salt of their key, and leaves a tombstone (rule R3).
    pub(super) fn bury(&mut self, device: &Device<'_>, id: &ComponentId) -> Result<(), Refused> {
        let owner = self.tam.owner;
        let Some(manifest) = slots::manifest(&self.journal, device.platform, &owner, id)? else {
            return Ok(());
        };
        slots::remove_manifest(&mut self.journal, &owner, id);
        ta::objects::erase(&mut self.journal, device.platform, &owner, id)?;
        notes::set_unneeded(&mut self.journal, device.platform, &owner, id, false)?;
        crate::owner::forget(&mut self.journal, device.platform, &owner, id)?;
        let (sequence, digest) = (manifest.sequence, manifest.digest);
        let epoch =
            counters::get(&self.journal, device.platform, &owner, id)?.map_or(0, |counter| counter.epoch);
        let counter = Counter { epoch, sequence, digest, tombstone: true };
        counters::bury(&mut self.journal, device.platform, &owner, id, counter)?;
        self.effects.push(Effect::Removed { manifest: id.clone() });
        Ok(())
    }

    /// Runs the uninstall section. A manifest whose anchor was revoked has no say any more: it is removed without.
    fn uninstall(
        &mut self,
        device: &mut Device<'_>,
        store: &TrustStore,
        id: &ComponentId,
        manifest: &slots::Manifest,
    ) -> Result<(), Refused> {
        let Device { provider, config, .. } = *device;
        let limits = &config.manifest;
        let Ok(authorised) = authority::authenticate(
            &manifest.envelope,
            store,
            Use::Load,
            manifest.accepted,
            limits,
            provider,
        ) else {
            return Ok(());
        };
        let machine = Machine::new(authorised.envelope, Procedure::Uninstall, *limits);
        let mut machine = machine.map_err(|e| Refused::Manifest {
            code: e.code(),
            detail: alloc::format!("{e}"),
            report: None,
        })?;
        let tam = &self.tam;
        let may_name = |component: &ComponentId| authorised.anchor.covers(component) && tam.covers(component);
        let mut effects = StagingEffects {
            platform: &mut *device.platform,
            provider,
            journal: &self.journal,
            staging: &mut self.staging,
            owner: &tam.owner,
            persona: tam.persona,
            manifest: id,
            may_name: &may_name,
            uninstalling: true,
            max_in_memory: config.max_in_memory,
            bundled: None,
        };
        let result = match machine.run(&mut effects, provider) {
            Step::Done(result) => result.map_err(|failure| (failure.code, alloc::format!("{failure}"))),
            Step::Fetch(_) => Err((codes::SUIT_UNAUTHORISED, "an uninstallation fetches nothing".into())),
        };
        let report = machine.report(self.nonce.as_deref());
        let report = reports::sign(&report, &*device.platform, self.tam.persona)?;
        match result {
            Ok(()) => {
                self.reports.push(report);
                Ok(())
            }
            Err((code, detail)) => Err(Refused::Manifest { code, detail, report: Some(report) }),
        }
    }
}
