//! What goes on, whichever protocol brought it: the exchange that is open, and the one transaction that waits for a
//! payload.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_model::{ComponentId, Outcome, OwnerSays, UnixTime};
use tamarack_tee::Platform;

use crate::agent::Agent;
use crate::api::{Output, Progress};
use crate::engine::{Device, Effect, Refused, Stop, Transaction};
use crate::trust::{TamAnchor, TrustStore};
use crate::{Error, otrp, teep, views};

/// The exchange that is open. All of it is in memory: a restart ends every exchange.
#[derive(Default)]
pub(crate) struct Exchange {
    pub state: State,
    /// Where answers go: the TAM of the exchange that was begun last.
    pub tam_uri: Option<String>,
    /// Which TAM the next policy check is for.
    pub next_tam: usize,
    /// The component that was asked for last, if the Broker said that it has its content.
    pub bundled: Option<ComponentId>,
    last_fetch: u64,
}

#[derive(Default)]
pub(crate) enum State {
    /// Nothing is going on, or a message of the TAM is to come.
    #[default]
    ExpectMessage,
    /// A transaction is being carried out and waits for a payload.
    ExpectPayload(Box<Processing>),
}

/// A transaction that is being carried out.
pub(crate) struct Processing {
    pub transaction: Transaction,
    /// How its end is told.
    pub reply: Reply,
    /// Number of the fetch that is waited for.
    fetch: u64,
}

/// What answering a message at the end of its transaction needs of it.
pub(crate) enum Reply {
    /// It was an Update.
    Teep(teep::exchange::Pending),
    /// It was a command of OTrP.
    Otrp(Box<otrp::state::Pending>),
}

impl Processing {
    pub fn new(transaction: Transaction, reply: Reply) -> Self {
        Self { transaction, reply, fetch: 0 }
    }
}

impl<P: Platform> Agent<P> {
    pub(crate) fn not_processing(&self) -> Result<(), Error> {
        match self.exchange.state {
            State::ExpectMessage => Ok(()),
            State::ExpectPayload(_) => Err(Error::Busy),
        }
    }

    /// Carries a transaction on until it needs a payload or ends.
    pub(crate) fn advance(&mut self, now: UnixTime, mut processing: Processing) -> Result<(), Error> {
        let Self { platform, provider, config, .. } = self;
        let mut device = Device { platform, provider, config, now };
        match processing.transaction.run(&mut device) {
            Ok(Stop::Fetch(request)) => {
                self.exchange.last_fetch += 1;
                processing.fetch = self.exchange.last_fetch;
                let (fetch, uri, max_size) = (processing.fetch, request.uri, request.max_size);
                self.outputs.push_back(Output::Fetch { fetch, uri, max_size });
                self.exchange.state = State::ExpectPayload(Box::new(processing));
                Ok(())
            }
            Ok(Stop::Ready) => {
                let Processing { mut transaction, reply, .. } = processing;
                // The owner's word came in between, and it goes before.
                if !transaction.is_current(&self.platform)? {
                    return self.fail(now, transaction, reply, Error::OwnerChanged.into());
                }
                let owner = transaction.tam().owner;
                if transaction.effects.iter().any(Effect::is_change)
                    && let Err(e) = views::changed(&mut transaction.journal, &self.platform, &owner)
                {
                    self.discard(now, transaction);
                    return Err(e);
                }
                match reply {
                    Reply::Teep(pending) => self.end_update(now, transaction, pending),
                    Reply::Otrp(pending) => self.end_command(now, transaction, *pending),
                }
            }
            Err(refused) => {
                let Processing { transaction, reply, .. } = processing;
                self.fail(now, transaction, reply, refused)
            }
        }
    }

    fn fail(
        &mut self,
        now: UnixTime,
        transaction: Transaction,
        reply: Reply,
        refused: Refused,
    ) -> Result<(), Error> {
        let (tam, concerned) = (transaction.tam().clone(), transaction.concerned.clone());
        self.discard(now, transaction);
        match reply {
            Reply::Teep(pending) => self.fail_update(&tam, refused, pending, concerned),
            Reply::Otrp(pending) => self.fail_command(&tam, refused, &pending),
        }
    }

    /// The one commit: slots, counters, domains, TA data, notes and the stored answer; only then anybody hears of it.
    pub(crate) fn settle(
        &mut self,
        now: UnixTime,
        mut transaction: Transaction,
    ) -> Result<Vec<Effect>, Error> {
        let kept = transaction.journal.kept().to_vec();
        let journal = core::mem::take(&mut transaction.journal);
        if let Err(e) = journal.commit(&mut self.platform) {
            kept.into_iter().for_each(|blob| self.platform.discard(blob));
            self.discard(now, transaction);
            return Err(e);
        }
        let owner = transaction.tam().owner;
        let effects = transaction.effects;
        let changed = |id: &ComponentId| effects.iter().any(|effect| effect.changes(id));
        self.sessions.end(|of, scope| *of == owner && changed(&scope.manifest));
        Ok(effects)
    }

    /// Tells whoever watches what a transaction did, and what the device's owner says of the rest.
    pub(crate) fn tell(&mut self, effects: Vec<Effect>, owner_says: Option<(OwnerSays, String)>) {
        let (outcome, detail) = match owner_says {
            Some((OwnerSays::Refused, text)) => (Outcome::RefusedByOwner, text),
            Some((OwnerSays::Deferred, text)) => (Outcome::Deferred, text),
            None if effects.iter().any(Effect::is_change) => (Outcome::Done, String::new()),
            None => (Outcome::Unchanged, String::new()),
        };
        let changes = effects.into_iter().map(|effect| Output::Progress(Progress::Changed(effect)));
        self.outputs.extend(changes);
        self.finish(outcome, detail);
    }

    pub(crate) fn discard(&mut self, now: UnixTime, transaction: Transaction) {
        let Self { platform, provider, config, .. } = self;
        transaction.discard(&mut Device { platform, provider, config, now });
    }

    pub(crate) fn chunk(&mut self, now: UnixTime, fetch: u64, data: &[u8], last: bool) -> Result<(), Error> {
        self.with_processing(now, fetch, |processing, device| {
            processing.transaction.chunk(device, data, last)
        })
    }

    pub(crate) fn fetch_failed(&mut self, now: UnixTime, fetch: u64) -> Result<(), Error> {
        self.with_processing(now, fetch, |processing, device| {
            processing.transaction.fetch_failed(device);
            true
        })
    }

    /// Hands something to the transaction that waits for payload `fetch`, and goes on if `f` says that it can.
    fn with_processing(
        &mut self,
        now: UnixTime,
        fetch: u64,
        f: impl FnOnce(&mut Processing, &mut Device<'_>) -> bool,
    ) -> Result<(), Error> {
        let mut processing = match core::mem::take(&mut self.exchange.state) {
            State::ExpectPayload(processing) if processing.fetch == fetch => processing,
            other => {
                self.exchange.state = other;
                return Err(Error::NoFetch(fetch));
            }
        };
        let Self { platform, provider, config, .. } = self;
        let mut device = Device { platform, provider, config, now };
        if !f(&mut processing, &mut device) {
            self.exchange.state = State::ExpectPayload(processing);
            return Ok(());
        }
        self.advance(now, *processing)
    }

    /// Where an answer to `tam` goes: into the exchange, or to its own address.
    pub(crate) fn answer_to(&self, tam: &TamAnchor) -> String {
        self.exchange.tam_uri.clone().or_else(|| tam.uri.clone()).unwrap_or_default()
    }

    /// The address for which applications' requests are told to `tam`: where it is answered, unless another TAM lives
    /// there, in whose place it speaks (security rule E5).
    pub(crate) fn asked_at(&self, store: &TrustStore, tam: &TamAnchor) -> String {
        let uri = self.answer_to(tam);
        let lives = |anchor: &TamAnchor| anchor.uri.as_deref() == Some(uri.as_str());
        if !lives(tam) && store.tams.iter().any(lives) { tam.uri.clone().unwrap_or_default() } else { uri }
    }
}
