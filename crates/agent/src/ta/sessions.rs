use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_crypto::Provider;
use tamarack_eat::TaIdentity;
use tamarack_model::{ComponentId, OwnerId, UnixTime};
use tamarack_tee::{Params, Platform, TaError, TaInstance, TaServices};

use super::objects::{Scope, Services};
use crate::teep::state::Rate;
use crate::{AgentConfig, Error};

/// Most sessions that are open at once, with all TAs together.
const MAX_SESSIONS: usize = 64;

/// A session of an application with a TA. Numbers are never used again while the Agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u32);

/// How a caller names a TA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaName {
    /// By the UUID in component ids of our own shape.
    Uuid([u8; 16]),
    /// By its component id.
    Component(ComponentId),
}

impl TaName {
    /// Whether this names the TA whose code is the component `id`.
    pub(crate) fn names(&self, id: &ComponentId) -> bool {
        match self {
            Self::Uuid(uuid) => {
                id.ta_uuid() == Some(*uuid) && id.segments().last().is_some_and(|kind| kind == b"ta")
            }
            Self::Component(component) => component == id,
        }
    }
}

/// The TAs in memory, one instance each, and the sessions with them. An instance passed rule L1 when it was loaded and
/// goes as soon as anything changes that the rule looks at.
#[derive(Default)]
pub(crate) struct Sessions {
    instances: BTreeMap<(OwnerId, ComponentId), Instance>,
    open: BTreeMap<u32, Session>,
    last: u32,
}

pub(crate) struct Instance {
    pub ta: Box<dyn TaInstance>,
    pub scope: Scope,
    /// Which TA it is, with the digest of the buffer that was instantiated.
    pub identity: TaIdentity,
    /// How often it asked for Evidence (security rule C7).
    pub attested: Rate,
}

struct Session {
    instance: (OwnerId, ComponentId),
    context: u32,
}

/// What a call into a TA needs of its surroundings.
pub(crate) struct Surroundings<'a> {
    pub platform: &'a mut dyn Platform,
    pub provider: &'a Provider,
    pub config: &'a AgentConfig,
    pub now: UnixTime,
    /// Where the lines go that the TA logs.
    pub log: &'a mut dyn FnMut(&ComponentId, String),
}

impl Sessions {
    pub fn count(&self) -> usize {
        self.open.len()
    }

    /// Which TA is in memory as this component, if any.
    pub fn identity(&self, owner: &OwnerId, component: &ComponentId) -> Option<&TaIdentity> {
        self.instances.get(&(*owner, component.clone())).map(|instance| &instance.identity)
    }

    pub fn is_loaded(&self, instance: &(OwnerId, ComponentId)) -> bool {
        self.instances.contains_key(instance)
    }

    /// Creates a TA that was loaded and keeps it if that works.
    pub fn add(
        &mut self,
        surroundings: &mut Surroundings<'_>,
        id: (OwnerId, ComponentId),
        mut instance: Instance,
    ) -> Result<(), Error> {
        call(surroundings, &mut instance, |ta, services| ta.create(services))?;
        self.instances.insert(id, instance);
        Ok(())
    }

    pub fn open(
        &mut self,
        surroundings: &mut Surroundings<'_>,
        id: (OwnerId, ComponentId),
        params: &mut Params,
    ) -> Result<SessionId, Error> {
        if self.open.len() >= MAX_SESSIONS {
            return Err(Error::TooManySessions);
        }
        let context =
            self.on_instance(surroundings, &id, |ta, services| ta.open_session(services, params))?;
        self.last = self.last.checked_add(1).ok_or(Error::TooManySessions)?;
        self.open.insert(self.last, Session { instance: id, context });
        Ok(SessionId(self.last))
    }

    pub fn invoke(
        &mut self,
        surroundings: &mut Surroundings<'_>,
        session: SessionId,
        command: u32,
        params: &mut Params,
    ) -> Result<(), Error> {
        let Session { instance, context } = self.open.get(&session.0).ok_or(Error::NoSession)?;
        let (id, context) = (instance.clone(), *context);
        self.on_instance(surroundings, &id, |ta, services| ta.invoke(services, context, command, params))
    }

    pub fn close(&mut self, surroundings: &mut Surroundings<'_>, session: SessionId) -> Result<(), Error> {
        let Session { instance, context } = self.open.remove(&session.0).ok_or(Error::NoSession)?;
        self.on_instance(surroundings, &instance, |ta, services| ta.close_session(services, context))
    }

    /// Ends the instances for which `ends` says so, and their sessions, without asking them (rule L1).
    pub fn end(&mut self, ends: impl Fn(&OwnerId, &Scope) -> bool) {
        self.instances.retain(|(owner, _), instance| !ends(owner, &instance.scope));
        let instances = &self.instances;
        self.open.retain(|_, session| instances.contains_key(&session.instance));
    }

    fn on_instance<R>(
        &mut self,
        surroundings: &mut Surroundings<'_>,
        id: &(OwnerId, ComponentId),
        f: impl FnOnce(&mut dyn TaInstance, &mut dyn TaServices) -> Result<R, TaError>,
    ) -> Result<R, Error> {
        let instance = self.instances.get_mut(id).ok_or(Error::NoSession)?;
        let result = call(surroundings, instance, f);
        let survives = match &result {
            Ok(_) => true,
            Err(Error::Ta(e)) => matches!(e, TaError::Returned(_) | TaError::BadParameters(_)),
            // Its memory may be ahead of what is durable.
            Err(_) => false,
        };
        if !survives {
            self.instances.remove(id);
            self.open.retain(|_, session| session.instance != *id);
        }
        result
    }
}

/// One call: what the TA wrote becomes durable before its result is given, also when that is an error of its own; a
/// panic undoes it.
fn call<R>(
    surroundings: &mut Surroundings<'_>,
    instance: &mut Instance,
    f: impl FnOnce(&mut dyn TaInstance, &mut dyn TaServices) -> Result<R, TaError>,
) -> Result<R, Error> {
    let Surroundings { platform, provider, config, now, log } = surroundings;
    let Instance { ta, scope, identity, attested } = instance;
    let mut services = Services::new(&**platform, provider, scope, config, *now, identity, attested);
    let result = f(&mut **ta, &mut services);
    let Services { journal, log: lines, .. } = services;
    let lines: Vec<String> = lines;
    lines.into_iter().for_each(|line| log(&instance.scope.manifest, line));
    match result {
        Ok(value) => journal.commit(&mut **platform).map(|()| value),
        Err(TaError::Returned(code)) => {
            journal.commit(&mut **platform)?;
            Err(TaError::Returned(code).into())
        }
        Err(e) => Err(e.into()),
    }
}
