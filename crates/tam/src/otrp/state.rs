//! One POST of OTrP from its body to its answer.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_model::{Code, Sha256Digest, TcEntry, UnixTime, codes};
use tamarack_otrp::broker::BrokerError;
use tamarack_otrp::response::{Incoming, parse};
use tamarack_otrp::{MessageId, Mode, Reason, ResponseBody, SignedResponse};
use tamarack_store::{
    Conflict, Device, HeldDomain, PendingCommand, PendingUpdate, Read, Recorded, Session, SessionOutcome,
    StoreError, StoreOp, TenantId,
};

use super::appraise::{Believed, Disbelief, asked, believe};
use super::confirm::describe_reason;
use super::correlate::{new_rid, new_tid, pending_key};
use super::plan::{Next, Step, Told, next};
use super::reply;
use crate::config::{OtrpConfig, Staple};
use crate::planner::{Problem, plan};
use crate::{Event, Input, Output, Reply, Subject, Tam, random};

/// How often an exchange starts again because the device was written at the same time.
const ATTEMPTS: u8 = 3;
/// TEEs of one response that are looked at: each costs a decryption before anything is proven.
const TEES: usize = 4;
/// Commands of one session, which bound what a device that shows no progress can cost.
const ROUNDS: u64 = 256;

/// The answer to one POST of OTrP in the making, driven like [`crate::Exchange`].
pub struct OtrpExchange<'t> {
    tam: &'t Tam,
    tenant: TenantId,
    accepts_keys: bool,
    state: State,
}

enum State {
    ExpectRequest,
    ExpectPersisted(Box<Waiting>),
    Done,
}

/// What is held until the store has answered.
struct Waiting {
    body: Vec<u8>,
    attempts: u8,
    reply: Reply,
}

/// A reply that may go out at once, or only after something is durable.
pub(super) enum Ready {
    Reply(Reply),
    Persist { ops: Vec<StoreOp>, reply: Reply },
}

impl<'t> OtrpExchange<'t> {
    pub(crate) fn new(tam: &'t Tam, tenant: TenantId, accepts_keys: bool) -> Self {
        Self { tam, tenant, accepts_keys, state: State::ExpectRequest }
    }

    /// Takes one step. `now` is the driver's clock; the exchange never goes back behind the highest time that was persisted
    /// (security rule S3). An input that does not fit the state ends the exchange with status 500.
    pub fn handle(&mut self, now: UnixTime, read: &dyn Read, input: Input) -> Output {
        match (core::mem::replace(&mut self.state, State::Done), input) {
            (State::ExpectRequest, Input::Request(body)) => self.request(now, read, body, 1),
            (State::ExpectPersisted(waiting), Input::Persisted(outcome)) => {
                self.persisted(now, read, *waiting, outcome)
            }
            (State::ExpectRequest | State::ExpectPersisted(_) | State::Done, _) => {
                let why = "the exchange was driven out of order";
                Output::Reply(failed(Subject::Unknown, codes::INTERNAL, why))
            }
        }
    }

    fn request(&mut self, now: UnixTime, read: &dyn Read, body: Vec<u8>, attempts: u8) -> Output {
        let request =
            Request { tam: self.tam, tenant: &self.tenant, read, now, accepts_keys: self.accepts_keys };
        match request.answer(&body) {
            Ok(Ready::Reply(reply)) | Err(reply) => Output::Reply(reply),
            Ok(Ready::Persist { ops, reply }) => {
                self.state = State::ExpectPersisted(Box::new(Waiting { body, attempts, reply }));
                Output::Persist(ops)
            }
        }
    }

    fn persisted(
        &mut self,
        now: UnixTime,
        read: &dyn Read,
        waiting: Waiting,
        outcome: Result<(), StoreError>,
    ) -> Output {
        let Waiting { body, attempts, reply } = waiting;
        let subject = reply.event().subject;
        Output::Reply(match outcome {
            Ok(()) => reply,
            // Someone else answered with the same tid first (security rule C2).
            Err(StoreError::Conflict(Conflict::Burned)) => burned(subject),
            Err(StoreError::Conflict(Conflict::Expired)) => {
                refuse(403, codes::EVIDENCE_STALE, subject, "the tid expired during the appraisal")
            }
            Err(StoreError::Conflict(Conflict::Exists("device key"))) => {
                let why = "the TEE's certificate is that of another device";
                refuse(403, codes::EVIDENCE_KEY_BINDING, subject, why)
            }
            Err(StoreError::Conflict(Conflict::Missing("pending update"))) => unknown_request(subject),
            Err(StoreError::Conflict(Conflict::Changed)) if attempts < ATTEMPTS => {
                return self.request(now, read, body, attempts + 1);
            }
            Err(e) => failed(subject, codes::STORE_FAILED, e),
        })
    }
}

pub(super) fn refuse(status: u16, code: Code, subject: Subject, text: impl Into<String>) -> Reply {
    let event = Event { code: Some(code), ..Event::new(subject, text) };
    Reply::Refuse { status, code, event }
}

pub(super) fn failed(subject: Subject, code: Code, error: impl ToString) -> Reply {
    refuse(500, code, subject, error.to_string())
}

/// A burned tid gets no content and says so in the log.
fn burned(subject: Subject) -> Reply {
    let event = Event::new(subject, "the tid was answered before");
    Reply::NoContent { event: Event { code: Some(codes::EVIDENCE_STALE), ..event } }
}

pub(super) fn unknown_request(subject: Subject) -> Reply {
    let why = "the response belongs to no request that waits for an answer";
    refuse(400, codes::OTRP_UNEXPECTED, subject, why)
}

/// One attempt to answer one body.
pub(super) struct Request<'r> {
    pub(super) tam: &'r Tam,
    pub(super) tenant: &'r TenantId,
    pub(super) read: &'r dyn Read,
    pub(super) now: UnixTime,
    accepts_keys: bool,
}

/// Where an exchange stands once a device has told its state.
pub(super) struct Standing {
    pub(super) subject: Subject,
    pub(super) session: [u8; 16],
    pub(super) device: Device,
    /// What it proved itself by; none of a device in quarantine, of which everything stays as it was.
    pub(super) recorded: Option<Recorded>,
    pub(super) told: Told,
    pub(super) dsihash: [u8; 32],
    pub(super) tid: MessageId,
    pub(super) restarted: bool,
    /// Commands that were sent so far.
    pub(super) round: u64,
    /// The command that was answered; none at the beginning of the session.
    pub(super) before: Option<PendingUpdate>,
    /// What makes the question or command unanswerable a second time.
    pub(super) burn: StoreOp,
    /// What was noted besides.
    pub(super) notes: Vec<StoreOp>,
}

impl Standing {
    pub(super) fn event(&self, text: String) -> Event {
        Event { device: Some(self.device.id), session: Some(self.session), ..Event::new(self.subject, text) }
    }
}

impl Request<'_> {
    /// The body is parsed whole before anything is decided. An error is a reply too.
    fn answer(mut self, body: &[u8]) -> Result<Ready, Reply> {
        let store = |e: StoreError| failed(Subject::Unknown, codes::STORE_FAILED, e);
        self.now = self.now.max(self.read.time().map_err(store)?);
        // The default tenant always exists.
        let known =
            *self.tenant == TenantId::default() || self.read.tenant(self.tenant).map_err(store)?.is_some();
        if !known {
            let text = format!("there is no tenant {}", self.tenant);
            return Err(refuse(404, codes::API_NOT_FOUND, Subject::Unknown, text));
        }
        let Some(otrp) = &self.tam.config.otrp else {
            let why = "this TAM does not speak OTrP";
            return Err(refuse(406, codes::HTTP_BAD_REQUEST, Subject::Unknown, why));
        };
        if body.is_empty() {
            return self.connect(otrp).map(Ready::Reply);
        }
        if body.len() > otrp.limits.message {
            let text = format!("{} bytes, {} are allowed", body.len(), otrp.limits.message);
            return Err(refuse(413, codes::HTTP_TOO_LARGE, Subject::Unknown, text));
        }
        let draft = otrp.tee_rules.iter().any(|rules| rules.draft);
        let mode = if draft { Mode::Compat } else { Mode::Strict };
        let incoming = parse(body, &mode, &otrp.limits)
            .map_err(|e| refuse(400, e.code(), Subject::Unknown, e.to_string()))?;
        match incoming {
            Incoming::DeviceStates(parts) => self.device_states(otrp, parts),
            Incoming::Response(response) => self.command_response(otrp, *response),
            Incoming::BrokerError(error) => Ok(Ready::Reply(broker_error(&error))),
        }
    }

    /// OCSP responses that are in force. Without them no TEE would listen, and one without a clock of its own might do so
    /// for a certificate that is revoked.
    fn staple<'o>(&self, otrp: &'o OtrpConfig, subject: Subject) -> Result<&'o Staple, Reply> {
        let staple = otrp.staple.as_ref().filter(|staple| self.now <= staple.until);
        staple.ok_or_else(|| {
            let why = "there is no certificate status in force for the TAM's own certificates";
            refuse(503, codes::OCSP_UNAVAILABLE, subject, why)
        })
    }

    /// An empty POST: a signed GetDeviceStateRequest, and nothing kept.
    fn connect(&self, otrp: &OtrpConfig) -> Result<Reply, Reply> {
        let message = self.get_device_state(otrp, Subject::Connect, false)?;
        let event = Event::new(Subject::Connect, "sent a GetDeviceStateRequest");
        Ok(Reply::Transmit { message, event })
    }

    pub(super) fn get_device_state(
        &self,
        otrp: &OtrpConfig,
        subject: Subject,
        again: bool,
    ) -> Result<Vec<u8>, Reply> {
        let staple = self.staple(otrp, subject)?;
        let Tam { config, crypto } = self.tam;
        let internal = |e: tamarack_crypto::Error| failed(subject, codes::INTERNAL, e);
        let tid = new_tid(config, self.tenant, again, self.now, crypto).map_err(internal)?;
        let rid = new_rid(crypto).map_err(internal)?;
        reply::get_device_state(otrp, &rid, &tid, staple.responses.clone())
            .map_err(|e| failed(subject, e.code(), e))
    }

    /// The states of one or more TEEs. Each part stands for itself; those that are believed are kept, and the first that
    /// needs something gets its command: one response can carry only one, and the others have theirs when they come again.
    fn device_states(
        &self,
        otrp: &OtrpConfig,
        parts: Vec<Result<SignedResponse, tamarack_otrp::Error>>,
    ) -> Result<Ready, Reply> {
        let subject = Subject::DeviceState;
        let mut refusal = None;
        let mut believed: Vec<Believed> = Vec::new();
        for part in parts.into_iter().take(TEES) {
            let outcome = match part {
                Ok(response) => self.believe_part(otrp, &believed, response),
                Err(e) => Err(refuse(400, e.code(), subject, e.to_string())),
            };
            match outcome {
                Ok(Some(one)) => believed.push(one),
                Ok(None) => {}
                Err(reply) => refusal = refusal.or(Some(reply)),
            }
        }
        let mut ready: Option<Ready> = None;
        for one in believed {
            let session = random(&self.tam.crypto).map_err(|e| failed(subject, codes::INTERNAL, e))?;
            let this = self.first_command(otrp, session, one)?;
            ready = Some(match (ready, this) {
                (None, this) => this,
                (Some(first), second) => merge(first, second),
            });
        }
        let nothing = || refuse(400, codes::OTRP_MALFORMED, subject, "there is no state of any TEE in it");
        ready.ok_or_else(|| refusal.unwrap_or_else(nothing))
    }

    /// None for a device that was in the response already.
    fn believe_part(
        &self,
        otrp: &OtrpConfig,
        before: &[Believed],
        response: SignedResponse,
    ) -> Result<Option<Believed>, Reply> {
        let subject = Subject::DeviceState;
        let doubt = |disbelief: Disbelief| match disbelief {
            Disbelief::Message { code, reason } => refuse(400, code, subject, reason),
            Disbelief::Evidence(refusal) => refuse(403, refusal.code, subject, refusal.reason),
            Disbelief::Burned => burned(subject),
            Disbelief::Store(e) => failed(subject, codes::STORE_FAILED, e),
        };
        if let ResponseBody::Failed { reason, .. } = response.body_unverified() {
            // Whose key signed it cannot be known: the certificate would be in the state.
            return Err(hint(subject, reason));
        }
        let question = asked(self.tam, self.read, self.tenant, self.now, &response).map_err(doubt)?;
        if before.iter().any(|other| other.challenge.id != question.challenge.id) {
            let why = "the parts of the response answer different requests";
            return Err(refuse(400, codes::OTRP_UNEXPECTED, subject, why));
        }
        let believed = believe(self.tam, otrp, self.read, self.tenant, self.now, question, response);
        let believed = believed.map_err(doubt)?;
        let again = before.iter().any(|other| other.device.id == believed.device.id);
        Ok((!again).then_some(believed))
    }

    /// The device is who it says: decide what it gets.
    fn first_command(
        &self,
        otrp: &OtrpConfig,
        session: [u8; 16],
        believed: Believed,
    ) -> Result<Ready, Reply> {
        let Believed { challenge, again, tid, device, recorded, told, dsihash, refused } = believed;
        let config = &self.tam.config;
        let burn = StoreOp::BurnChallenge {
            tenant: self.tenant.clone(),
            challenge: challenge.id,
            expires: challenge.expires,
            keep_until: challenge.expires + config.skew + config.longest_appraisal,
        };
        let standing = Standing {
            subject: Subject::DeviceState,
            session,
            device: *device,
            recorded: refused.is_none().then_some(*recorded),
            told,
            dsihash,
            tid,
            restarted: again,
            round: 0,
            before: None,
            burn,
            notes: Vec::new(),
        };
        if let Some(code) = refused {
            let reason = standing.device.quarantine.clone().unwrap_or_default();
            let event = Event { code: Some(code), ..standing.event(reason.clone()) };
            let reply = Reply::Refuse { status: 403, code, event };
            let ops = self.end(standing, SessionOutcome::Refused, Some(code), reason);
            return Ok(Ready::Persist { ops, reply });
        }
        self.proceed(otrp, standing)
    }

    /// The next command, or the end.
    pub(super) fn proceed(&self, otrp: &OtrpConfig, mut standing: Standing) -> Result<Ready, Reply> {
        let subject = standing.subject;
        let store = |e: StoreError| failed(subject, codes::STORE_FAILED, e);
        let crypto = &self.tam.crypto;
        let view = &standing.told.view;
        let mut planned = plan(self.read, self.tenant, view).map_err(store)?;
        self.tam
            .withhold(self.read, &standing.device, view, &mut standing.recorded, &mut planned, self.now)
            .map_err(store)?;
        let planned = next(self.read, self.tenant, &standing.device, &standing.told, planned, crypto);
        let Next { step, problems } = planned.map_err(store)?;
        let Some(step) = step else { return Ok(self.done(otrp, standing, &problems)) };
        let pending = self.pending(&standing, &step);
        if standing.round >= ROUNDS || standing.before.as_ref().is_some_and(|b| same(b, &pending)) {
            let text = format!("{step} was confirmed, and the state does not show it");
            return Ok(self.fail(standing, codes::OTRP_TEE_FAIL, text));
        }
        let rid = new_rid(crypto).map_err(|e| failed(subject, codes::INTERNAL, e))?;
        let message = self.command(otrp, &standing, &step, &rid)?;
        let text = describe(&step, &problems);
        let event = standing.event(text.clone());
        let token_hash = pending_key(reply::command_of(&step), &rid, standing.tid.as_str(), crypto);
        let pending = PendingUpdate { token_hash, ..pending };
        let begins = standing.before.is_none();
        let (session, device) = (standing.session, standing.device.id);
        let mut ops = self.ops(standing);
        if begins {
            ops.push(StoreOp::InsertSession(Session {
                tenant: self.tenant.clone(),
                id: session,
                device,
                started: self.now,
                ended: None,
                outcome: None,
                code: None,
                reason: Some(text),
            }));
        }
        ops.push(StoreOp::InsertPending(pending));
        Ok(Ready::Persist { ops, reply: Reply::Transmit { message, event } })
    }

    fn command(
        &self,
        otrp: &OtrpConfig,
        standing: &Standing,
        step: &Step,
        rid: &str,
    ) -> Result<Vec<u8>, Reply> {
        let subject = standing.subject;
        let staple = self.staple(otrp, subject)?;
        let device = &standing.told.device;
        let spki =
            tamarack_x509::unvalidated_spki(&device.certificate).map_err(|e| failed(subject, e.code(), e))?;
        let (envelope, provider) = match step {
            Step::Install { entry, provider, .. } => {
                let envelope = self.read.artifact(&entry.artifact.0);
                let envelope = envelope.map_err(|e| failed(subject, codes::STORE_FAILED, e))?;
                (Some(tamarack_suit::untagged(&envelope).to_vec()), Some(provider))
            }
            Step::Personalize { provider, .. } => (None, Some(provider)),
            Step::CreateDomain { .. }
            | Step::UpdateDomain { .. }
            | Step::DropDomain { .. }
            | Step::Remove { .. } => (None, None),
        };
        let request = reply::Request {
            rid,
            tid: &standing.tid,
            dsihash: standing.dsihash,
            device,
            spki: &spki,
            ocspdat: device.wants_status.then_some(&staple.responses[..]),
            provider_key: provider.and_then(|provider| standing.told.key_of(provider)),
            envelope,
        };
        reply::command(self.tam, otrp, step, request).map_err(|e| failed(subject, e.code(), e))
    }

    /// The row that an answer to the step is known by, but for its key.
    fn pending(&self, standing: &Standing, step: &Step) -> PendingUpdate {
        let manifest = |entry: &tamarack_store::CatalogueEntry| TcEntry {
            id: entry.manifest.clone(),
            digest: Some(Sha256Digest(entry.digest.0)),
            size: None,
        };
        let mut row = PendingUpdate {
            tenant: self.tenant.clone(),
            token_hash: [0; 32],
            device: standing.device.id,
            session: standing.session,
            manifests: Vec::new(),
            removals: Vec::new(),
            sent: self.now,
            expires: self.now + self.tam.config.update_ttl,
            command: None,
        };
        let mut command = PendingCommand {
            round: standing.round + 1,
            restarted: standing.restarted,
            did: standing.told.device.did,
            domain: None,
            drops: false,
            personalizes: None,
        };
        match step {
            Step::CreateDomain { domain, certificate } => {
                command.domain = Some(HeldDomain {
                    name: domain.name.clone(),
                    provider: domain.provider.clone(),
                    signers: alloc::vec![self.tam.crypto.sha256(certificate)],
                });
            }
            Step::UpdateDomain { domain, .. } => command.domain = Some(domain.clone()),
            Step::DropDomain { domain, manifests } => {
                command.domain = Some(domain.clone());
                command.drops = true;
                row.removals = manifests.clone();
            }
            Step::Install { entry, .. } => row.manifests.push(manifest(entry)),
            Step::Personalize { manifest, set, .. } => command.personalizes = Some((manifest.clone(), *set)),
            Step::Remove { manifest, .. } => row.removals.push(manifest.clone()),
        }
        PendingUpdate { command: Some(command), ..row }
    }

    /// The device is as wanted: no content, or the providers' keys if the sender takes them.
    fn done(&self, otrp: &OtrpConfig, standing: Standing, problems: &[Problem]) -> Ready {
        let (outcome, mut text) = match standing.round {
            0 => (SessionOutcome::NothingToDo, String::from("nothing to do")),
            1 => (SessionOutcome::Updated, String::from("done after one command")),
            rounds => (SessionOutcome::Updated, format!("done after {rounds} commands")),
        };
        if !problems.is_empty() {
            text = format!("{text}; cannot: {}", crate::join(problems));
        }
        let code = problems.first().map(Problem::code);
        let event = Event { code, ..standing.event(text.clone()) };
        let keys = &standing.told.device.aiks;
        let withheld = problems.iter().find(|problem| matches!(problem, Problem::Withheld { .. }));
        let keys_go_out = self.accepts_keys && !keys.is_empty();
        if let (0, Some(withheld), false) = (standing.round, withheld, keys_go_out) {
            // The protocol has no message for it, so that the code goes with the status.
            let code = withheld.code();
            let reply = Reply::Refuse { status: 403, code, event };
            let ops = self.end(standing, SessionOutcome::Refused, Some(code), text);
            return Ready::Persist { ops, reply };
        }
        let signed = keys_go_out.then(|| reply::signed_keys(otrp, self.now, keys).ok()).flatten();
        let reply = match signed {
            Some(message) => Reply::Keys { message, event },
            None => Reply::NoContent { event },
        };
        Ready::Persist { ops: self.end(standing, outcome, code, text), reply }
    }

    pub(super) fn fail(&self, standing: Standing, code: Code, text: String) -> Ready {
        self.conclude(standing, SessionOutcome::Failed, code, text)
    }

    /// Ends the session without another command.
    pub(super) fn conclude(
        &self,
        standing: Standing,
        outcome: SessionOutcome,
        code: Code,
        text: String,
    ) -> Ready {
        let event = Event { code: Some(code), ..standing.event(text.clone()) };
        let ops = self.end(standing, outcome, Some(code), text);
        Ready::Persist { ops, reply: Reply::NoContent { event } }
    }

    /// What every accepted answer writes: the time first, so that expiry is checked against it in the same transaction
    /// (security rule C2).
    fn ops(&self, standing: Standing) -> Vec<StoreOp> {
        let Standing { device, recorded, burn, notes, .. } = standing;
        let mut ops = alloc::vec![StoreOp::AdvanceTime(self.now), burn, StoreOp::PutDevice(Box::new(device))];
        ops.extend(notes);
        ops.extend(recorded.map(|recorded| StoreOp::Record(Box::new(recorded))));
        ops
    }

    pub(super) fn end(
        &self,
        standing: Standing,
        outcome: SessionOutcome,
        code: Option<Code>,
        reason: String,
    ) -> Vec<StoreOp> {
        let (tenant, id, at) = (self.tenant.clone(), standing.session, self.now);
        let (begins, device) = (standing.before.is_none(), standing.device.id);
        let mut ops = self.ops(standing);
        ops.push(match begins {
            true => StoreOp::InsertSession(Session {
                tenant,
                id,
                device,
                started: at,
                ended: Some(at),
                outcome: Some(outcome),
                code,
                reason: Some(reason),
            }),
            false => StoreOp::EndSession { tenant, id, at, outcome, code, reason: Some(reason) },
        });
        ops
    }
}

/// Whether two commands ask for the same.
fn same(a: &PendingUpdate, b: &PendingUpdate) -> bool {
    let what = |row: &PendingUpdate| {
        let command = row.command.clone();
        let command = command.map(|c| (c.domain, c.drops, c.personalizes));
        (row.manifests.clone(), row.removals.clone(), command)
    };
    what(a) == what(b)
}

/// Puts what two TEEs of one response bring into one transaction. The first that gets a command is the one that is
/// answered; for the other the session does not begin, and nothing is pending.
fn merge(first: Ready, second: Ready) -> Ready {
    let is_command = |ready: &Ready| matches!(ready, Ready::Persist { reply: Reply::Transmit { .. }, .. });
    let (main, other) =
        if !is_command(&first) && is_command(&second) { (second, first) } else { (first, second) };
    let dropped = is_command(&main) && is_command(&other);
    match (main, other) {
        (Ready::Persist { mut ops, reply }, Ready::Persist { ops: more, .. }) => {
            ops.extend(more.into_iter().filter(|op| match op {
                // Both answered the one question, which is burned once.
                StoreOp::BurnChallenge { .. } | StoreOp::AdvanceTime(_) => false,
                StoreOp::InsertSession(_) | StoreOp::InsertPending(_) => !dropped,
                _ => true,
            }));
            Ready::Persist { ops, reply }
        }
        (main, _) => main,
    }
}

/// What nobody vouches for: it goes to the log and nowhere else.
fn hint(subject: Subject, reason: &Reason) -> Reply {
    let text = format!("unproven: {}", describe_reason(reason));
    Reply::NoContent { event: Event { code: Some(reason.code.code()), ..Event::new(subject, text) } }
}

fn broker_error(error: &BrokerError) -> Reply {
    let text = match &error.message {
        Some(message) => format!("unproven: {}: {}", error.code, crate::printable(message)),
        None => format!("unproven: {}", error.code),
    };
    let event = Event { code: Some(error.code.code()), ..Event::new(Subject::BrokerError, text) };
    Reply::NoContent { event }
}

/// A step in a sentence.
fn describe(step: &Step, problems: &[Problem]) -> String {
    match problems {
        [] => step.to_string(),
        problems => format!("{step}; cannot: {}", crate::join(problems)),
    }
}
