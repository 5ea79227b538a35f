use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_cbor::Encode;
use tamarack_crypto::Provider;
use tamarack_model::{ComponentId, Outcome, OwnerId, UnixTime};
use tamarack_tee::{Params, Platform, StateRoot};

use crate::api::{ComponentStatus, Finished, Input, Output, Progress, Seed, Status};
use crate::journal::Journal;
use crate::otrp::state::Otrp;
use crate::processing::Exchange;
use crate::record::{self, BINDING, PERIPHERAL, UEID};
use crate::ta::peripheral::{Binding, CLOSED, Peripheral};
use crate::ta::sessions::{SessionId, Sessions, Surroundings, TaName};
use crate::teep::state::Teep;
use crate::trust::TrustStore;
use crate::{AgentConfig, Error, domains, owner, slots, views};

/// The Agent, for TEEP and OTrP. See the crate's documentation for how to drive it.
pub struct Agent<P: Platform> {
    pub(crate) platform: P,
    pub(crate) provider: Provider,
    pub(crate) config: AgentConfig,
    pub(crate) exchange: Exchange,
    pub(crate) teep: Teep,
    pub(crate) otrp: Otrp,
    pub(crate) owner: owner::Challenges,
    pub(crate) sessions: Sessions,
    pub(crate) outputs: VecDeque<Output>,
}

impl<P: Platform> Agent<P> {
    /// An Agent on an enrolled platform.
    pub fn new(platform: P, provider: Provider, config: AgentConfig) -> Self {
        Self {
            platform,
            provider,
            config,
            exchange: Exchange::default(),
            teep: Teep::default(),
            otrp: Otrp::default(),
            owner: owner::Challenges::default(),
            sessions: Sessions::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Seals `seed` in a platform that was never enrolled. Fails with [`Error::AlreadyEnrolled`] on any other: anchors
    /// change only by orders of the device authority (security rule R8).
    pub fn enrol(platform: &mut P, provider: &Provider, seed: &Seed) -> Result<(), Error> {
        match TrustStore::load(platform) {
            Err(Error::NotEnrolled) => {}
            Err(e) => return Err(e),
            Ok(_) => return Err(Error::AlreadyEnrolled),
        }
        let store = TrustStore {
            sequence: 1,
            tams: seed.tams.clone(),
            signers: seed.signers.clone(),
            authority: seed.device_authority,
            device_owner: seed.device_owner,
        };
        let mut journal = Journal::default();
        store.seal(&mut journal)?;
        if store.device_owner.is_some() {
            owner::install(&mut journal, provider)?;
        }
        for tam in &seed.tams {
            if tam.persona.0 >= platform.personas() {
                return Err(Error::Seed("there are more TAM anchors than the device was made for"));
            }
            // RFC 9711 section 4.2.1: type RAND, then 128 bits.
            let mut ueid = [1; 17];
            provider.random.fill(&mut ueid[1..])?;
            journal.put(record::owned(UEID, &tam.owner), ueid.to_vec());
        }
        for Peripheral { name, owner, manifest } in &seed.peripherals {
            if name.is_empty() || name.len() > 64 {
                return Err(Error::Seed("a peripheral's name is 1 to 64 bytes"));
            }
            let binding = Binding { owner: *owner, manifest: manifest.clone() };
            journal.put([BINDING, name.as_bytes()].concat(), binding.to_cbor());
            journal.put([PERIPHERAL, name.as_bytes()].concat(), CLOSED.to_vec());
        }
        journal.commit(platform)
    }

    /// Takes in one event. Outputs are ready afterwards. An error says that the *driver's* request cannot be met; what is
    /// wrong with a message comes out as [`Output::Finished`], after the answer.
    pub fn handle(&mut self, now: UnixTime, input: Input) -> Result<(), Error> {
        match input {
            Input::RequestTa { component, tam_uri } => self.ensure_ta(component, tam_uri, None, false),
            Input::EnsureTa { component, tam_uri, minimum, bundled } => {
                self.ensure_ta(component, tam_uri, minimum, bundled)
            }
            Input::UnrequestTa { component } => self.unrequest_ta(&component),
            Input::RequestPolicyCheck => self.policy_check(),
            Input::ProcessError => self.process_error(now),
            Input::ProcessTeepMessage(bytes) => self.process_teep(now, &bytes),
            Input::ProcessOtrpMessage(bytes) => self.process_otrp(now, &bytes),
            Input::Chunk { fetch, data, last } => self.chunk(now, fetch, &data, last),
            Input::FetchFailed { fetch } => self.fetch_failed(now, fetch),
        }
    }

    /// What the driver has to do next, oldest first.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Makes sure that the rollback counter has counted all that was done. A driver calls it after each input and call, before
    /// it lets anything out; on an error it holds back what there is.
    pub fn count(&mut self) -> Result<(), Error> {
        Ok(self.platform.count()?)
    }

    /// The platform that it runs on.
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// Gives the platform back; open sessions end.
    pub fn into_platform(self) -> P {
        self.platform
    }

    /// Epoch and digest of the device's state.
    pub fn state_root(&self) -> StateRoot {
        self.platform.state_root()
    }

    /// What there is on the device.
    pub fn status(&self) -> Result<Status, Error> {
        let store = TrustStore::load(&self.platform)?;
        let journal = Journal::default();
        let policy = owner::Policy::load(&journal, &self.platform)?;
        let mut components = Vec::new();
        for (owner, component, record) in slots::components(&journal, &self.platform, None)? {
            let manifest = slots::manifest(&journal, &self.platform, &owner, &record.manifest)?;
            let manifest = manifest.ok_or(Error::Corrupt("component without manifest"))?;
            let tam = store.tams.iter().find(|tam| tam.owner == owner);
            let verdict =
                tam.map(|tam| policy.effect(tam, Some(&manifest.provider), [&component, &record.manifest]));
            components.push(ComponentStatus {
                stopped: verdict == Some(tamarack_owner::Effect::Deny),
                owner,
                component,
                manifest: record.manifest,
                sequence: manifest.sequence,
                digest: record.digest,
                size: record.size,
                provider: manifest.provider,
            });
        }
        let peripherals =
            self.platform.scan(PERIPHERAL)?.into_iter().map(|(key, position)| {
                (String::from_utf8_lossy(&key[PERIPHERAL.len()..]).to_string(), position)
            });
        let domains = domains::status(&self.platform, &store)?;
        Ok(Status {
            state: self.platform.state_root(),
            trust_store_sequence: store.sequence,
            tams: store.tams.into_iter().map(|tam| (tam.owner, tam.uri, tam.state)).collect(),
            components,
            domains,
            peripherals: peripherals.collect(),
            sessions: self.sessions.count(),
        })
    }

    /// Carries out an order of the device authority (an [`crate::AnchorOrder`] in a COSE_Sign1). What the anchor concerns
    /// stops at once (security rules R8 and L1).
    pub fn change_anchor(&mut self, order: &[u8]) -> Result<(), Error> {
        self.not_processing()?;
        let store = TrustStore::load(&self.platform)?;
        let changed = crate::trust::apply_order(&store, order, &self.provider)?;
        let mut journal = Journal::default();
        changed.seal(&mut journal)?;
        if changed.device_owner != store.device_owner {
            owner::replace(&mut journal, &self.platform, &self.provider, changed.device_owner.is_some())?;
        }
        for tam in &changed.tams {
            views::changed(&mut journal, &self.platform, &tam.owner)?;
        }
        journal.commit(&mut self.platform)?;
        // Those that may still run are loaded again when they are needed.
        self.sessions.end(|_, _| true);
        Ok(())
    }

    /// Opens a session of an application with a TA. `tam_uri` is the TAM that the application is bound to; it decides if
    /// several Owners have a TA of this name (security rule L2). `params` are filled by the TA.
    pub fn open_session(
        &mut self,
        now: UnixTime,
        name: &TaName,
        tam_uri: Option<&str>,
        params: &mut Params,
    ) -> Result<SessionId, Error> {
        let id = self.find_ta(name, tam_uri)?;
        if !self.sessions.is_loaded(&id) {
            let instance = crate::ta::load::load(&self.platform, &self.provider, &self.config, id.0, &id.1)?;
            self.in_ta(now, |sessions, surroundings| sessions.add(surroundings, id.clone(), instance))?;
        }
        self.in_ta(now, |sessions, surroundings| sessions.open(surroundings, id, params))
    }

    /// Calls a command of the TA.
    pub fn invoke(
        &mut self,
        now: UnixTime,
        session: SessionId,
        command: u32,
        params: &mut Params,
    ) -> Result<(), Error> {
        self.in_ta(now, |sessions, surroundings| sessions.invoke(surroundings, session, command, params))
    }

    /// Closes a session.
    pub fn close_session(&mut self, now: UnixTime, session: SessionId) -> Result<(), Error> {
        self.in_ta(now, |sessions, surroundings| sessions.close(surroundings, session))
    }

    fn in_ta<R>(
        &mut self,
        now: UnixTime,
        f: impl FnOnce(&mut Sessions, &mut Surroundings<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let Self { platform, provider, config, sessions, outputs, .. } = self;
        let mut log = |manifest: &ComponentId, line| {
            outputs.push_back(Output::Progress(Progress::TaLog { manifest: manifest.clone(), line }));
        };
        let mut surroundings = Surroundings { platform, provider, config, now, log: &mut log };
        f(sessions, &mut surroundings)
    }

    fn find_ta(&self, name: &TaName, tam_uri: Option<&str>) -> Result<(OwnerId, ComponentId), Error> {
        let store = TrustStore::load(&self.platform)?;
        let bound = |owner: &OwnerId| {
            let tam = store.tams.iter().find(|tam| tam.owner == *owner);
            tam.is_some_and(|tam| tam_uri.is_none() || tam.uri.as_deref() == tam_uri)
        };
        let components = slots::components(&Journal::default(), &self.platform, None)?;
        let mut found = components.into_iter().filter(|(owner, id, _)| name.names(id) && bound(owner));
        match (found.next(), found.next()) {
            (Some((owner, id, _)), None) => Ok((owner, id)),
            _ => Err(Error::NoTa),
        }
    }

    pub(crate) fn finish(&mut self, outcome: Outcome, detail: impl Into<String>) {
        self.outputs.push_back(Output::Finished(Finished { outcome, detail: detail.into() }));
    }
}
