use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tamarack_channel::{Action, BUNDLE_SCHEME, Failure, MAX_CHUNK, Reply, Request, Value};
use tamarack_model::{ComponentId, Protocol};

use crate::rate::Rates;
use crate::{Error, TamClient, TeeChannel};

/// Most HTTP requests to TAMs in one exchange; a TAM and an Agent that never end are cut off.
pub const MAX_ROUNDS: usize = 64;
/// Most TAMs that one policy check visits.
const MAX_TAMS: usize = 16;

/// Which way a TEEP or OTrP message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the TAM to the Agent.
    ToAgent,
    /// From the Agent to the TAM.
    ToTam,
}

/// Sees every TEEP or OTrP message on its way, and may do to it what any Broker could do. For logs, tests and
/// demonstrations.
pub type Relay = Box<dyn Fn(Direction, &mut Vec<u8>) + Send + Sync>;

/// What came of an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// The last thing that the Agent said of its end: None if it said none, or that it went well.
    pub failure: Option<Failure>,
    /// How many HTTP requests went to TAMs.
    pub rounds: usize,
}

/// A TEE of the device.
#[derive(Debug)]
pub(crate) struct Tee {
    pub(crate) channel: Mutex<TeeChannel>,
    /// Its name in OTrP, once it was asked for it; None within if it speaks no OTrP.
    name: OnceLock<Option<String>>,
}

impl Tee {
    fn new(channel: TeeChannel) -> Self {
        Self { channel: Mutex::new(channel), name: OnceLock::new() }
    }

    pub(crate) fn call(&self, request: Request) -> Result<Reply, Error> {
        lock(&self.channel).call(request)
    }

    /// The name that OTrP messages call it by.
    pub(crate) fn name(&self) -> Result<Option<&str>, Error> {
        if self.name.get().is_none() {
            let name = match self.call(Request::Status)?.result.map_err(Error::Failed)? {
                Value::Status(status) => status.otrp_name,
                _ => return Err(Error::Unexpected),
            };
            // Two threads may ask at once; the TEE says the same to both.
            let _ = self.name.set(name);
        }
        Ok(self.name.get().and_then(Option::as_deref))
    }
}

/// Drives exchanges between the device's TEEs and their TAMs. All methods may be called from several threads: exchanges
/// queue, and TA calls go between their steps.
pub struct Broker {
    /// The TEE of the apps' requests first, then others that only OTrP messages reach.
    pub(crate) tees: Vec<Tee>,
    /// Held during a TEEP exchange and during one OTrP message; the Agent handles one at a time.
    pub(crate) exchange: Mutex<()>,
    http: TamClient,
    relay: Option<Relay>,
    pub(crate) rates: Mutex<Rates>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("tees", &self.tees).field("http", &self.http).finish_non_exhaustive()
    }
}

impl Broker {
    /// A Broker for this TEE.
    pub fn new(tee: TeeChannel, http: TamClient, relay: Option<Relay>) -> Self {
        let rates = Mutex::new(Rates::default());
        Self { tees: vec![Tee::new(tee)], exchange: Mutex::new(()), http, relay, rates }
    }

    /// The same with another TEE, which gets the OTrP messages that name it, and its part in every GetDeviceState.
    pub fn with_tee(mut self, tee: TeeChannel) -> Self {
        self.tees.push(Tee::new(tee));
        self
    }

    fn tee(&self) -> &Tee {
        // `new` makes the first, and none is ever taken away.
        &self.tees[0]
    }

    /// Asks the TEE one thing, outside any exchange: sessions, status, enrolment.
    pub fn call(&self, request: Request) -> Result<Reply, Error> {
        self.tee().call(request)
    }

    /// Whether the TEE can no longer be reached.
    pub fn is_broken(&self) -> bool {
        lock(&self.tee().channel).is_broken()
    }

    /// RequestTA: drives everything that follows until the TAM or the Agent has no more to say. `observe` sees progress.
    pub fn request_ta(
        &self,
        component: &ComponentId,
        tam_uri: Option<&str>,
        observe: &mut dyn FnMut(&Action),
    ) -> Result<Exchange, Error> {
        let component = component.clone();
        self.run(Request::RequestTa { component, tam_uri: tam_uri.map(String::from) }, observe)
    }

    /// The same for a component in a version of at least `minimum`. `bundle` is its content, if the app brought it along: it
    /// goes to the TEE only if a TAM grants it, and in place of a download.
    pub fn ensure_ta(
        &self,
        component: &ComponentId,
        tam_uri: Option<&str>,
        minimum: Option<u64>,
        bundle: Option<&[u8]>,
        observe: &mut dyn FnMut(&Action),
    ) -> Result<Exchange, Error> {
        let (component, tam_uri) = (component.clone(), tam_uri.map(String::from));
        let first = Request::EnsureTa { component, tam_uri, minimum, bundled: bundle.is_some() };
        self.run_unless(first, bundle, observe, |_| false)
    }

    /// UnrequestTA: likewise.
    pub fn unrequest_ta(
        &self,
        component: &ComponentId,
        observe: &mut dyn FnMut(&Action),
    ) -> Result<Exchange, Error> {
        self.run(Request::UnrequestTa { component: component.clone() }, observe)
    }

    /// RequestPolicyCheck, again until the Agent names no TAM any more (section 5.5): one exchange with each. A TAM
    /// that fails does not keep the others from being asked; the first failure is what is told.
    pub fn policy_check(&self, observe: &mut dyn FnMut(&Action)) -> Result<Exchange, Error> {
        let mut all = Exchange::default();
        let mut first_error = None;
        // The Agent names its TAMs in turn, so the first that comes a second time ends the round.
        let mut visited = Vec::new();
        for _ in 0..MAX_TAMS {
            let again = |actions: &VecDeque<Action>| match actions.front() {
                Some(Action::Connect { tam_uri, .. }) if visited.contains(tam_uri) => true,
                Some(Action::Connect { tam_uri, .. }) => {
                    visited.push(tam_uri.clone());
                    false
                }
                _ => false,
            };
            match self.run_unless(Request::RequestPolicyCheck, None, observe, again) {
                Ok(exchange) if exchange.rounds == 0 => {
                    all.failure = all.failure.or(exchange.failure);
                    break;
                }
                Ok(exchange) => {
                    all.rounds += exchange.rounds;
                    all.failure = all.failure.or(exchange.failure);
                }
                Err(error @ Error::Http(_)) => first_error = first_error.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        first_error.map_or(Ok(all), Err)
    }

    /// One exchange, from the first request to the Agent's or the TAM's last word.
    fn run(&self, first: Request, observe: &mut dyn FnMut(&Action)) -> Result<Exchange, Error> {
        self.run_unless(first, None, observe, |_| false)
    }

    /// The same, unless `stop` says that what the Agent wants first shall not be done.
    fn run_unless(
        &self,
        first: Request,
        bundle: Option<&[u8]>,
        observe: &mut dyn FnMut(&Action),
        stop: impl FnOnce(&VecDeque<Action>) -> bool,
    ) -> Result<Exchange, Error> {
        let mut one_at_a_time = lock(&self.exchange);
        let mut exchange = Exchange::default();
        let mut todo = VecDeque::new();
        self.ask(self.tee(), first, &mut exchange, &mut todo)?;
        if stop(&todo) {
            return Ok(exchange);
        }
        while let Some(action) = todo.pop_front() {
            match &action {
                Action::Connect { tam_uri, protocol: Protocol::Teep } => {
                    self.post(tam_uri, None, &mut exchange, &mut todo, observe)?;
                }
                Action::Send { tam_uri, protocol: Protocol::Teep, message } => {
                    self.post(tam_uri, Some(message.clone()), &mut exchange, &mut todo, observe)?;
                }
                Action::Connect { tam_uri, protocol: Protocol::Otrp } => {
                    // An OTrP exchange that never completes must not keep others from the TEE (section 14.12 of OTrP).
                    drop(one_at_a_time);
                    self.otrp_exchange(tam_uri, &mut exchange, observe)?;
                    one_at_a_time = lock(&self.exchange);
                }
                // Outside an answer there is nothing that it could answer.
                Action::Send { protocol: Protocol::Otrp, .. } => return Err(Error::Unexpected),
                Action::Fetch { id, uri, .. } if uri.starts_with(BUNDLE_SCHEME) => {
                    self.hand_over(*id, bundle, &mut exchange, &mut todo, observe)?;
                }
                Action::Fetch { id, uri, max_size } => {
                    self.fetch(self.tee(), (*id, uri, *max_size), &mut exchange, &mut todo, observe)?;
                }
                // A fetch runs to its end or its cancellation before the next action is looked at.
                Action::CancelFetch { .. } => {}
                Action::Progress { .. } => observe(&action),
                Action::Finished { failure } => {
                    exchange.failure.clone_from(failure);
                    observe(&action);
                }
            }
        }
        Ok(exchange)
    }

    /// Asks the TEE; puts what it wants done at the end of the list. A refusal is remembered, and what the Agent wants
    /// done about it (an Error message to the TAM) is done all the same.
    pub(crate) fn ask(
        &self,
        tee: &Tee,
        request: Request,
        exchange: &mut Exchange,
        todo: &mut VecDeque<Action>,
    ) -> Result<(), Error> {
        let reply = tee.call(request)?;
        if let Err(failure) = reply.result {
            if reply.actions.is_empty() && todo.is_empty() {
                return Err(Error::Failed(failure));
            }
            exchange.failure = Some(failure);
        }
        todo.extend(reply.actions);
        Ok(())
    }

    /// POSTs; None is the end of the session. Counts the round.
    pub(crate) fn round(
        &self,
        uri: &str,
        protocol: Protocol,
        message: Option<Vec<u8>>,
        exchange: &mut Exchange,
    ) -> Result<Option<Vec<u8>>, Error> {
        exchange.rounds += 1;
        if exchange.rounds > MAX_ROUNDS {
            return Err(Error::endless());
        }
        let answer = match message {
            None => self.http.connect(uri, protocol),
            Some(mut message) => {
                self.relayed(Direction::ToTam, &mut message);
                self.http.send(uri, protocol, &message)
            }
        };
        let mut answer = answer.map_err(Error::Http)?;
        if let Some(message) = &mut answer {
            self.relayed(Direction::ToAgent, message);
        }
        Ok(answer)
    }

    fn post(
        &self,
        uri: &str,
        message: Option<Vec<u8>>,
        exchange: &mut Exchange,
        todo: &mut VecDeque<Action>,
        observe: &mut dyn FnMut(&Action),
    ) -> Result<(), Error> {
        match self.round(uri, Protocol::Teep, message, exchange) {
            Ok(Some(message)) => self.ask(self.tee(), Request::ProcessTeepMessage(message), exchange, todo),
            // The session is complete (section 5.4).
            Ok(None) => Ok(()),
            Err(error) => {
                todo.clear();
                self.process_error(observe)?;
                Err(error)
            }
        }
    }

    /// Section 5.6: the Agent is told, and the session is over; what it says about progress still counts.
    pub(crate) fn process_error(&self, observe: &mut dyn FnMut(&Action)) -> Result<(), Error> {
        let reply = self.call(Request::ProcessError)?;
        reply.actions.iter().filter(|a| is_report(a)).for_each(observe);
        Ok(())
    }

    pub(crate) fn fetch(
        &self,
        tee: &Tee,
        (id, uri, max_size): (u64, &str, Option<u64>),
        exchange: &mut Exchange,
        todo: &mut VecDeque<Action>,
        observe: &mut dyn FnMut(&Action),
    ) -> Result<(), Error> {
        let mut broken = None;
        let fetched = self.http.fetch(uri, max_size, |data, last| {
            let mut wanted = VecDeque::new();
            if let Err(error) = self.ask(tee, Request::Chunk { fetch: id, data, last }, exchange, &mut wanted)
            {
                broken = Some(error);
                return false;
            }
            let cancelled = wanted.iter().any(|a| matches!(a, Action::CancelFetch { id: it } if *it == id));
            // Progress is shown as it happens; everything else comes after the transfer.
            for action in wanted {
                if matches!(action, Action::Progress { .. }) {
                    observe(&action)
                } else {
                    todo.push_back(action)
                }
            }
            !cancelled
        });
        if let Some(error) = broken {
            return Err(error);
        }
        if let Err(error) = fetched {
            tracing::warn!(code = %error.code(), "payload: {error}");
            self.ask(tee, Request::FetchFailed { fetch: id }, exchange, todo)?;
        }
        Ok(())
    }

    /// Hands the content that an app brought along to the TEE, as if it had been fetched.
    fn hand_over(
        &self,
        id: u64,
        bundle: Option<&[u8]>,
        exchange: &mut Exchange,
        todo: &mut VecDeque<Action>,
        observe: &mut dyn FnMut(&Action),
    ) -> Result<(), Error> {
        let Some(bundle) = bundle else {
            return self.ask(self.tee(), Request::FetchFailed { fetch: id }, exchange, todo);
        };
        let mut rest = bundle;
        loop {
            let (data, tail) = rest.split_at(rest.len().min(MAX_CHUNK));
            let last = tail.is_empty();
            let mut wanted = VecDeque::new();
            let chunk = Request::Chunk { fetch: id, data: data.to_vec(), last };
            self.ask(self.tee(), chunk, exchange, &mut wanted)?;
            // The TEE has seen enough of it once it wants anything else.
            let decided = wanted.iter().any(|action| !matches!(action, Action::Progress { .. }));
            for action in wanted {
                match action {
                    Action::Progress { .. } => observe(&action),
                    action => todo.push_back(action),
                }
            }
            if last || decided {
                return Ok(());
            }
            rest = tail;
        }
    }

    fn relayed(&self, direction: Direction, message: &mut Vec<u8>) {
        if let Some(relay) = &self.relay {
            relay(direction, message);
        }
    }
}

fn is_report(action: &Action) -> bool {
    matches!(action, Action::Progress { .. } | Action::Finished { .. })
}

/// A thread that panicked has not left anything half-done behind these locks that matters: a channel in the middle of a
/// call marks itself broken.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
