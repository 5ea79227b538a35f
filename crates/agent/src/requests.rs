//! What applications and the Broker ask of the Agent without a message: RFC 9397 section 6.2.1.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_model::{ComponentId, Outcome, OwnerId, OwnerSays, Protocol, UnixTime, codes};
use tamarack_owner::Effect;
use tamarack_tee::Platform;

use crate::agent::Agent;
use crate::api::Output;
use crate::journal::Journal;
use crate::owner::{self, Policy};
use crate::processing::State;
use crate::trust::{AnchorState, TamAnchor, TrustStore};
use crate::{Error, notes, slots};

impl<P: Platform> Agent<P> {
    fn connect(&mut self, tam_uri: String, protocol: Protocol) {
        self.exchange.tam_uri = Some(tam_uri.clone());
        self.outputs.push_back(Output::Connect { tam_uri, protocol });
    }

    /// RequestTA: nothing to do if it is there in a version that will do, else the address of a TAM. What the device's owner
    /// has decided already needs no TAM to say so.
    pub(crate) fn ensure_ta(
        &mut self,
        component: ComponentId,
        tam_uri: Option<String>,
        minimum: Option<u64>,
        bundled: bool,
    ) -> Result<(), Error> {
        self.not_processing()?;
        self.exchange.bundled = None;
        let mut journal = Journal::default();
        let policy = Policy::load(&journal, &self.platform)?;
        let store = owner::store(&self.platform)?;
        let owners = owners_of(&self.platform, &component)?;
        let mut will_do = Vec::new();
        for (owner, id) in &owners {
            let manifest = slots::manifest(&journal, &self.platform, owner, id)?;
            if let Some(manifest) = manifest.filter(|m| minimum.is_none_or(|minimum| m.sequence >= minimum)) {
                will_do.push((owner, id, manifest.provider));
            }
        }
        if !will_do.is_empty() {
            let may_run = will_do.iter().any(|(owner, id, provider)| {
                let tam = store.tams.iter().find(|tam| tam.owner == **owner);
                tam.is_some_and(|tam| policy.effect(tam, Some(provider), [*id, &component]) != Effect::Deny)
            });
            if !may_run {
                self.denied(&component);
                return Ok(());
            }
            for (owner, manifest) in &owners {
                notes::set_unneeded(&mut journal, &self.platform, owner, manifest, false)?;
            }
            journal.commit(&mut self.platform)?;
            self.finish(Outcome::Unchanged, alloc::format!("{component} is installed"));
            return Ok(());
        }
        let Some(tam_uri) =
            self.tam_for(&store, &component, tam_uri, owners.first().map(|(owner, _)| owner))?
        else {
            self.denied(&component);
            return Ok(());
        };
        if policy.rules.of_component(&component) == Effect::Deny {
            self.denied(&component);
            return Ok(());
        }
        let request = notes::Request { component: component.clone(), tam_uri: tam_uri.clone(), minimum };
        notes::request(&mut journal, &self.platform, &request)?;
        journal.commit(&mut self.platform)?;
        if self.waits(&store, &policy, &component, &tam_uri, minimum)? {
            let detail = alloc::format!("{component} waits for the consent of the device's owner");
            self.finish(Outcome::Deferred, detail);
            return Ok(());
        }
        let protocol = store.protocol_at(&tam_uri);
        self.exchange.bundled = (bundled && protocol == Protocol::Teep).then_some(component);
        self.connect(tam_uri, protocol);
        Ok(())
    }

    fn denied(&mut self, component: &ComponentId) {
        self.finish(Outcome::RefusedByOwner, alloc::format!("the device's owner denies {component}"));
    }

    /// Where to ask for a component: as the application says, else the TAM that it came from in an older version, else the
    /// first one whose scope covers it. None if the device's owner denies all of these.
    fn tam_for(
        &self,
        store: &TrustStore,
        component: &ComponentId,
        tam_uri: Option<String>,
        holder: Option<&OwnerId>,
    ) -> Result<Option<String>, Error> {
        let raw = TrustStore::load(&self.platform)?;
        let admitted = |owner: &OwnerId| {
            store.tams.iter().any(|tam| tam.owner == *owner && tam.state == AnchorState::Active)
        };
        let fits = |tam: &&TamAnchor| match &tam_uri {
            Some(uri) => tam.uri.as_ref() == Some(uri),
            None => tam.covers(component) && tam.uri.is_some(),
        };
        let active = || raw.tams.iter().filter(|tam| tam.state == AnchorState::Active).filter(fits);
        let of_holder = active().find(|tam| Some(&tam.owner) == holder && admitted(&tam.owner));
        match of_holder.or_else(|| active().find(|tam| admitted(&tam.owner))) {
            Some(tam) => Ok(tam.uri.clone()),
            None if active().next().is_some() => Ok(None),
            // Whoever lives there, nothing is known of it yet.
            None => tam_uri.map(Some).ok_or(Error::NoTam),
        }
    }

    /// Whether a version that will do was sent by the TAM there and waits for the owner.
    fn waits(
        &self,
        store: &TrustStore,
        policy: &Policy,
        component: &ComponentId,
        tam_uri: &str,
        minimum: Option<u64>,
    ) -> Result<bool, Error> {
        for tam in store.tams.iter().filter(|tam| tam.uri.as_deref() == Some(tam_uri)) {
            for (_, id, note) in owner::noted(&Journal::default(), &self.platform, Some(&tam.owner))? {
                let is_it = id == *component || note.components.contains(component);
                let says = policy.says(tam, &note.provider, (&id, &note.digest), &note.components);
                if is_it
                    && says == Some(OwnerSays::Deferred)
                    && minimum.is_none_or(|minimum| note.sequence >= minimum)
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// UnrequestTA: notes it, and asks the TAM to which the component belongs to have it removed.
    pub(crate) fn unrequest_ta(&mut self, component: &ComponentId) -> Result<(), Error> {
        self.not_processing()?;
        self.exchange.bundled = None;
        let mut journal = Journal::default();
        notes::forget_request(&mut journal, &self.platform, component, None)?;
        let owners = owners_of(&self.platform, component)?;
        for (owner, manifest) in &owners {
            notes::set_unneeded(&mut journal, &self.platform, owner, manifest, true)?;
        }
        journal.commit(&mut self.platform)?;
        let store = owner::store(&self.platform)?;
        let admitted = |tam: &&TamAnchor| tam.state == AnchorState::Active;
        let mut owners = owners
            .iter()
            .filter_map(|(owner, _)| store.tams.iter().filter(admitted).find(|t| t.owner == *owner));
        match owners.find_map(|tam| tam.uri.clone().map(|uri| (uri, tam.protocol))) {
            Some((tam_uri, protocol)) => self.connect(tam_uri, protocol),
            None => self.finish(Outcome::Unchanged, alloc::format!("{component} is not installed")),
        }
        Ok(())
    }

    pub(crate) fn policy_check(&mut self) -> Result<(), Error> {
        self.not_processing()?;
        self.exchange.bundled = None;
        let store = owner::store(&self.platform)?;
        let active = store.tams.iter().filter(|tam| tam.state == AnchorState::Active);
        let tams: Vec<_> = active.filter_map(|tam| Some((tam.uri.as_ref()?, tam.protocol))).collect();
        let tam = tams.get(self.exchange.next_tam.checked_rem(tams.len()).unwrap_or_default());
        let (uri, protocol) = tam.ok_or(Error::NoTam)?;
        let (uri, protocol) = (uri.to_string(), *protocol);
        self.exchange.next_tam = self.exchange.next_tam.wrapping_add(1);
        self.connect(uri, protocol);
        Ok(())
    }

    pub(crate) fn process_error(&mut self, now: UnixTime) -> Result<(), Error> {
        if let State::ExpectPayload(processing) = core::mem::take(&mut self.exchange.state) {
            self.discard(now, processing.transaction);
        }
        let outcome = Outcome::Refused(codes::HTTP_PEER);
        self.finish(outcome, "the TAM could not be reached");
        Ok(())
    }
}

/// The manifests, of any Owner, that are or own the component `id`.
fn owners_of(platform: &dyn Platform, id: &ComponentId) -> Result<Vec<(OwnerId, ComponentId)>, Error> {
    let journal = Journal::default();
    let mut found: Vec<(OwnerId, ComponentId)> = slots::components(&journal, platform, None)?
        .into_iter()
        .filter(|(_, component, _)| component == id)
        .map(|(owner, _, component)| (owner, component.manifest))
        .collect();
    let manifests = slots::manifests(&journal, platform, None)?;
    found.extend(manifests.into_iter().filter(|(_, m, _)| m == id).map(|(owner, m, _)| (owner, m)));
    found.dedup();
    Ok(found)
}
