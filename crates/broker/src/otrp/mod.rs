//! OTrP through the Broker: ProcessOTrPMessage, routing by the name of the TEE, the array of GetDeviceStateResponse, and
//! the errors that are the Broker's own (draft-ietf-teep-opentrustprotocol-03 sections 6, 9.1.6, 10 and 14.12).

mod flow;

pub use flow::{Aiks, AppFlow, AppTa, Proven, Talked, TamTrust};

use std::collections::VecDeque;
use std::sync::TryLockError;
use std::thread;
use std::time::{Duration, Instant};

use tamarack_channel::{Action, Failure, Request};
use tamarack_model::{ComponentId, Protocol, codes};
use tamarack_otrp::broker::{self, BrokerError, Target};
use tamarack_otrp::{Command, ErrorCode, Limits};

use crate::drive::{Tee, lock};
use crate::{Broker, Error, Exchange};

/// Longest time that a message waits for a TEE that is busy with another one.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(5);

/// What became of one OTrP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processed {
    /// What goes to the TAM: the TEE's answer, or an OTrPBrokerError, which is signed by nobody.
    pub response: Vec<u8>,
    /// What the Agent says of it, for people; None if it went well.
    pub failure: Option<Failure>,
}

/// What one TEE made of a message.
enum Made {
    /// Its answer, and what it says of it.
    Response(Vec<u8>, Option<Failure>),
    /// It is busy, and nothing was done.
    Busy(Failure),
    /// There is none: it refused without a word for the TAM, or failed.
    Failed(Failure),
}

impl Broker {
    /// ProcessOTrPMessage (section 6.4.1) for an app: hands a TAM's message to the TEE that it names, a
    /// GetDeviceStateRequest to every TEE, and gives what goes back to the TAM. `app` is a number that tells apps apart,
    /// such as its process id; one that calls too often gets ERR_AGENT_TEE_BUSY.
    pub fn process_otrp_message(
        &self,
        app: u64,
        message: &[u8],
        observe: &mut dyn FnMut(&Action),
    ) -> Result<Processed, Error> {
        let allowed = lock(&self.rates).take(app, Instant::now());
        let target = read(message)?;
        if !allowed {
            tracing::warn!("app {app} calls ProcessOTrPMessage too often; one call was turned away");
            return Ok(error(&target, ErrorCode::AgentTeeBusy, too_often()));
        }
        self.route(message, &target, observe)
    }

    /// RequestTA for an app that carries the messages itself: the TEE notes that the component is needed, and what it would
    /// have the Broker do is told to the app.
    pub fn announce_ta(&self, component: &ComponentId, tam_uri: Option<&str>) -> Result<Vec<Action>, Error> {
        let Some(_one_at_a_time) = self.wait() else { return Err(Error::Failed(busy())) };
        let request = Request::RequestTa { component: component.clone(), tam_uri: tam_uri.map(String::from) };
        let reply = self.call(request)?;
        reply.result.map_err(Error::Failed)?;
        let ends = |action: &Action| matches!(action, Action::Finished { failure: None });
        Ok(reply.actions.into_iter().filter(|action| !ends(action)).collect())
    }

    /// A whole exchange: connects to the TAM, and lets TEE and TAM talk until the TAM has no more to say.
    pub(crate) fn otrp_exchange(
        &self,
        uri: &str,
        exchange: &mut Exchange,
        observe: &mut dyn FnMut(&Action),
    ) -> Result<(), Error> {
        let mut response = None;
        let outcome = loop {
            let message = match self.round(uri, Protocol::Otrp, response.take(), exchange) {
                Ok(Some(message)) => message,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            let processed = read(&message).and_then(|target| self.route(&message, &target, observe));
            match processed {
                Ok(processed) => {
                    exchange.failure = processed.failure;
                    response = Some(processed.response);
                }
                Err(error) => break Err(error),
            }
        };
        if outcome.is_err() {
            self.process_error(observe)?;
        }
        observe(&Action::Finished { failure: exchange.failure.clone() });
        outcome
    }

    /// To the TEE that the message names, or to all.
    fn route(
        &self,
        message: &[u8],
        target: &Target,
        observe: &mut dyn FnMut(&Action),
    ) -> Result<Processed, Error> {
        let Some(name) = &target.tee else { return self.all(message, target, observe) };
        let Some(tee) = self.named(name) else {
            let text = format!("the device has no TEE of the name {name:?}");
            return Ok(error(
                target,
                ErrorCode::AgentTeeUnknown,
                Failure::new(codes::OTRP_AGENT_TEE_UNKNOWN, text),
            ));
        };
        Ok(match self.make(tee, message, observe) {
            Made::Response(response, failure) => Processed { response, failure },
            Made::Busy(failure) => error(target, ErrorCode::AgentTeeBusy, failure),
            Made::Failed(failure) => error(target, ErrorCode::AgentTeeFail, failure),
        })
    }

    /// A GetDeviceStateRequest goes to every TEE, and the parts of those that answer become one array. Those that do not
    /// are left out: the TAM cannot tell them from TEEs that are not there, and asks again another time.
    fn all(
        &self,
        message: &[u8],
        target: &Target,
        observe: &mut dyn FnMut(&Action),
    ) -> Result<Processed, Error> {
        let (mut parts, mut said, mut busy) = (Vec::new(), None, None);
        for tee in &self.tees {
            match self.make(tee, message, observe) {
                Made::Response(part, failure) if is_part(&part) => {
                    parts.push(part);
                    said = said.or(failure);
                }
                Made::Response(..) => said = said.or_else(|| Some(no_part())),
                Made::Busy(failure) => busy = busy.or(Some(failure)),
                Made::Failed(failure) => said = said.or(Some(failure)),
            }
        }
        if !parts.is_empty() {
            let response = broker::assemble(&parts, &LIMITS).map_err(Error::Otrp)?;
            return Ok(Processed { response, failure: said });
        }
        Ok(match (said, busy) {
            (Some(failure), _) => error(target, ErrorCode::AgentTeeFail, failure),
            (None, Some(failure)) => error(target, ErrorCode::AgentTeeBusy, failure),
            (None, None) => error(target, ErrorCode::AgentTeeFail, no_part()),
        })
    }

    /// The TEE of this name. One that does not say its name cannot be it.
    fn named(&self, name: &str) -> Option<&Tee> {
        self.tees.iter().find(|tee| tee.name().is_ok_and(|own| own == Some(name)))
    }

    /// One TEE's answer to one message, with the payloads that it fetches for it.
    fn make(&self, tee: &Tee, message: &[u8], observe: &mut dyn FnMut(&Action)) -> Made {
        let Some(_one_at_a_time) = self.wait() else { return Made::Busy(busy()) };
        let (mut exchange, mut todo) = (Exchange::default(), VecDeque::new());
        let begun = self.ask(tee, Request::ProcessOtrpMessage(message.to_vec()), &mut exchange, &mut todo);
        let made = begun.and_then(|()| self.answer(tee, &mut exchange, &mut todo, observe));
        match made {
            Ok(Some(response)) => Made::Response(response, exchange.failure),
            Ok(None) => {
                let silent = || Failure::new(codes::TEE_CHANNEL, "the TEE gave no answer");
                Made::Failed(exchange.failure.unwrap_or_else(silent))
            }
            Err(Error::Failed(failure)) if failure.code == codes::DEVICE_BUSY => Made::Busy(failure),
            Err(error) => Made::Failed(error.to_failure()),
        }
    }

    /// Does what the TEE wants done for a message; gives what it wants sent.
    fn answer(
        &self,
        tee: &Tee,
        exchange: &mut Exchange,
        todo: &mut VecDeque<Action>,
        observe: &mut dyn FnMut(&Action),
    ) -> Result<Option<Vec<u8>>, Error> {
        let mut response = None;
        while let Some(action) = todo.pop_front() {
            match &action {
                // Where it goes to is for whoever carries it: the TAM that the message came from.
                Action::Send { protocol: Protocol::Otrp, message, .. } if response.is_none() => {
                    response = Some(message.clone());
                }
                Action::Fetch { id, uri, max_size } => {
                    self.fetch(tee, (*id, uri, *max_size), exchange, todo, observe)?;
                }
                Action::CancelFetch { .. } => {}
                Action::Progress { .. } => observe(&action),
                Action::Finished { failure } => exchange.failure.clone_from(failure),
                // One message has one answer, and begins nothing.
                Action::Send { .. } | Action::Connect { .. } => return Err(Error::Unexpected),
            }
        }
        Ok(response)
    }

    /// The right to give a TEE a message, if it can be had soon.
    fn wait(&self) -> Option<std::sync::MutexGuard<'_, ()>> {
        let begin = Instant::now();
        loop {
            match self.exchange.try_lock() {
                Ok(guard) => return Some(guard),
                // See `lock`.
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if begin.elapsed() < PATIENCE => thread::sleep(LOOK),
                Err(TryLockError::WouldBlock) => return None,
            }
        }
    }
}

/// Everything that comes over the channel or over HTTP is shorter than this anyway.
const LIMITS: Limits =
    Limits { message: 2 << 20, ta_message: 2 << 20, depth: 16, members: 16_384, array: 64, dsi_array: 1024 };

/// Which TEE a message is for. Only requests are for any; the rest is not OTrP, or not on its way to a TEE. All but
/// GetDeviceState name theirs.
fn read(message: &[u8]) -> Result<Target, Error> {
    let target = broker::target_of(message, &LIMITS).map_err(Error::Otrp)?;
    if target.tee.is_none() && target.command != Command::GetDeviceState {
        return Err(Error::Otrp(tamarack_otrp::Error::Missing("tee".into())));
    }
    Ok(target)
}

/// What the Broker says in the place of a TEE.
fn error(target: &Target, code: ErrorCode, failure: Failure) -> Processed {
    let (rid, tid) = (target.rid.clone().unwrap_or_default(), target.tid.clone().unwrap_or_default());
    let response = BrokerError { rid, tid, ..BrokerError::new(code) }.to_vec();
    Processed { response, failure: Some(failure) }
}

/// Whether a TEE's answer can stand in the array.
fn is_part(answer: &[u8]) -> bool {
    broker::assemble(&[answer], &LIMITS).is_ok()
}

fn no_part() -> Failure {
    Failure::new(codes::TEE_CHANNEL, "no TEE answered with its state")
}

fn busy() -> Failure {
    Failure::new(codes::DEVICE_BUSY, "the TEE is busy with another exchange")
}

fn too_often() -> Failure {
    Failure::new(codes::DEVICE_BUSY, "the app hands over OTrP messages too often")
}
