//! What applications and the Broker ask of the Agent without a message: RFC 9397 section 6.2.1.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_model::{ComponentId, Outcome, OwnerId, Protocol, UnixTime, codes};
use tamarack_tee::Platform;

use crate::agent::Agent;
use crate::api::Output;
use crate::journal::Journal;
use crate::processing::State;
use crate::trust::{AnchorState, TrustStore};
use crate::{Error, notes, slots};

impl<P: Platform> Agent<P> {
    fn connect(&mut self, tam_uri: String, protocol: Protocol) {
        self.exchange.tam_uri = Some(tam_uri.clone());
        self.outputs.push_back(Output::Connect { tam_uri, protocol });
    }

    /// RequestTA: nothing to do if it is there, else the address of a TAM.
    pub(crate) fn request_ta(
        &mut self,
        component: ComponentId,
        tam_uri: Option<String>,
    ) -> Result<(), Error> {
        self.not_processing()?;
        let mut journal = Journal::default();
        let owners = owners_of(&self.platform, &component)?;
        if !owners.is_empty() {
            for (owner, manifest) in owners {
                notes::set_unneeded(&mut journal, &self.platform, &owner, &manifest, false)?;
            }
            journal.commit(&mut self.platform)?;
            self.finish(Outcome::Unchanged, alloc::format!("{component} is installed"));
            return Ok(());
        }
        let store = TrustStore::load(&self.platform)?;
        let by_scope = || {
            let mut tams = store.tams.iter().filter(|tam| tam.state == AnchorState::Active);
            tams.find(|tam| tam.covers(&component) && tam.uri.is_some()).and_then(|tam| tam.uri.clone())
        };
        let tam_uri = tam_uri.or_else(by_scope).ok_or(Error::NoTam)?;
        let request = notes::Request { component, tam_uri: tam_uri.clone() };
        notes::request(&mut journal, &self.platform, &request)?;
        journal.commit(&mut self.platform)?;
        let protocol = store.protocol_at(&tam_uri);
        self.connect(tam_uri, protocol);
        Ok(())
    }

    /// UnrequestTA: notes it, and asks the TAM to which the component belongs to have it removed.
    pub(crate) fn unrequest_ta(&mut self, component: &ComponentId) -> Result<(), Error> {
        self.not_processing()?;
        let mut journal = Journal::default();
        notes::forget_request(&mut journal, &self.platform, component)?;
        let owners = owners_of(&self.platform, component)?;
        for (owner, manifest) in &owners {
            notes::set_unneeded(&mut journal, &self.platform, owner, manifest, true)?;
        }
        journal.commit(&mut self.platform)?;
        let store = TrustStore::load(&self.platform)?;
        let mut owners = owners.iter().filter_map(|(owner, _)| store.tams.iter().find(|t| t.owner == *owner));
        match owners.find_map(|tam| tam.uri.clone().map(|uri| (uri, tam.protocol))) {
            Some((tam_uri, protocol)) => self.connect(tam_uri, protocol),
            None => self.finish(Outcome::Unchanged, alloc::format!("{component} is not installed")),
        }
        Ok(())
    }

    pub(crate) fn policy_check(&mut self) -> Result<(), Error> {
        self.not_processing()?;
        let store = TrustStore::load(&self.platform)?;
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
