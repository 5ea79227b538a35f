//! One POST from its body to its answer.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_attest::Refusal;
use tamarack_model::{Code, ComponentId, TcEntry, UnixTime, View, codes};
use tamarack_store::{
    Conflict, Device, PendingUpdate, Read, Recorded, Session, SessionOutcome, StoreError, StoreOp, TenantId,
};
use tamarack_suit::Envelope;
use tamarack_teep::http::Situation;
use tamarack_teep::{
    CipherSuite, DataItems, ErrorMessage, Message, QueryResponse, SignedMessage, Success, Update,
};

use super::appraise::{AppraisalRequest, Believed, Disbelief, believe};
use super::outcome::{self, Conclusion};
use super::reply::{self, Event, Reply, Subject, failed, refuse, refusing_update};
use crate::challenge::{Challenge, Question};
use crate::planner::{Plan, Problem, plan};
use crate::release::told;
use crate::{Tam, personal, random};

/// What the driver tells an [`Exchange`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The body of the POST. Comes first, once.
    Request(Vec<u8>),
    /// What came of [`Output::Persist`].
    Persisted(Result<(), StoreError>),
    /// What came of [`Output::Appraise`]: a signed EAR, or why there is none.
    Appraised(Result<Vec<u8>, Refusal>),
}

/// What an [`Exchange`] wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Apply these changes, then hand in [`Input::Persisted`].
    Persist(Vec<StoreOp>),
    /// Ask a verifier, then hand in [`Input::Appraised`]. Nothing is held in the store meanwhile, and no other exchange waits.
    Appraise(AppraisalRequest),
    /// Send this; the exchange has ended.
    Reply(Reply),
}

/// How often an exchange starts again because the device was written at the same time.
const ATTEMPTS: u8 = 3;

/// The answer to one POST in the making.
pub struct Exchange<'t> {
    tam: &'t Tam,
    tenant: TenantId,
    state: State,
}

enum State {
    ExpectRequest,
    /// The body of the request, which is gone through again: its challenge may have expired, or been answered, meanwhile.
    ExpectAppraised(Vec<u8>),
    ExpectPersisted(Box<Waiting>),
    Done,
}

/// A message with what a verifier said about it, if one was asked.
#[derive(Clone)]
struct Asked {
    body: Vec<u8>,
    appraised: Option<Result<Vec<u8>, Refusal>>,
}

/// What is held until the store has answered.
struct Waiting {
    asked: Asked,
    attempts: u8,
    reply: Reply,
    suite: Option<CipherSuite>,
    agent_nonce: Option<[u8; 16]>,
}

/// A reply that may go out at once, or only after something is durable.
enum Step {
    Reply(Reply),
    Appraise(AppraisalRequest),
    Persist { ops: Vec<StoreOp>, reply: Reply, suite: Option<CipherSuite>, agent_nonce: Option<[u8; 16]> },
}

impl<'t> Exchange<'t> {
    pub(crate) fn new(tam: &'t Tam, tenant: TenantId) -> Self {
        Self { tam, tenant, state: State::ExpectRequest }
    }

    /// Takes one step. `now` is the driver's clock; the exchange never goes back behind the highest time that was persisted
    /// (security rule S3). An input that does not fit the state ends the exchange with status 500.
    pub fn handle(&mut self, now: UnixTime, read: &dyn Read, input: Input) -> Output {
        match (core::mem::replace(&mut self.state, State::Done), input) {
            (State::ExpectRequest, Input::Request(body)) => {
                self.request(now, read, Asked { body, appraised: None }, 1)
            }
            (State::ExpectAppraised(body), Input::Appraised(result)) => {
                self.request(now, read, Asked { body, appraised: Some(result) }, 1)
            }
            (State::ExpectPersisted(waiting), Input::Persisted(outcome)) => {
                self.persisted(now, read, *waiting, outcome)
            }
            (
                State::ExpectRequest | State::ExpectAppraised(_) | State::ExpectPersisted(_) | State::Done,
                _,
            ) => Output::Reply(failed(
                Subject::Unknown,
                codes::INTERNAL,
                "the exchange was driven out of order",
            )),
        }
    }

    /// An exchange that waits for a verifier, begun anew: what it knew is the body and nothing else.
    pub(crate) fn waiting_for_verifier(tam: &'t Tam, tenant: TenantId, body: Vec<u8>) -> Self {
        Self { tam, tenant, state: State::ExpectAppraised(body) }
    }

    fn request(&mut self, now: UnixTime, read: &dyn Read, asked: Asked, attempts: u8) -> Output {
        let appraised = asked.appraised.as_ref();
        let step = Request { tam: self.tam, tenant: &self.tenant, read, now, appraised };
        match step.answer(&asked.body) {
            Ok(Step::Reply(reply)) | Err(reply) => Output::Reply(reply),
            Ok(Step::Appraise(request)) => {
                self.state = State::ExpectAppraised(asked.body);
                Output::Appraise(request)
            }
            Ok(Step::Persist { ops, reply, suite, agent_nonce }) => {
                let waiting = Waiting { asked, attempts, reply, suite, agent_nonce };
                self.state = State::ExpectPersisted(Box::new(waiting));
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
        let Waiting { asked, attempts, reply, suite, agent_nonce } = waiting;
        let subject = reply.event().subject;
        let refuse_evidence = |code: Code, reason: &str| {
            let event = Event { code: Some(code), ..Event::new(subject, reason) };
            refusal(self.tam, code, agent_nonce, suite.as_ref(), event)
        };
        Output::Reply(match outcome {
            Ok(()) => reply,
            // Someone else answered with the same challenge first (security rule C2).
            Err(StoreError::Conflict(Conflict::Burned)) => burned(subject),
            Err(StoreError::Conflict(Conflict::Expired)) => {
                refuse_evidence(codes::EVIDENCE_STALE, "the challenge expired during the appraisal")
            }
            Err(StoreError::Conflict(Conflict::Exists("device key"))) => {
                refuse_evidence(codes::EVIDENCE_KEY_BINDING, "the TEEP key is that of another device")
            }
            Err(StoreError::Conflict(Conflict::Missing("pending update"))) => unknown_token(subject),
            Err(StoreError::Conflict(Conflict::Changed)) if attempts < ATTEMPTS => {
                return self.request(now, read, asked, attempts + 1);
            }
            Err(e) => failed(subject, codes::STORE_FAILED, e),
        })
    }
}

/// A burned challenge gets no content and says so in the log.
fn burned(subject: Subject) -> Reply {
    let event = Event::new(subject, "the challenge was answered before");
    Reply::NoContent { event: Event { code: Some(codes::EVIDENCE_STALE), ..event } }
}

fn unknown_token(subject: Subject) -> Reply {
    let event = Event::new(subject, "the token matches no Update that waits for an answer");
    refuse(Situation::Malformed, codes::TEEP_TOKEN, event)
}

/// An Update that gives nothing but the reason.
fn refusal(
    tam: &Tam,
    code: Code,
    agent_nonce: Option<[u8; 16]>,
    suite: Option<&CipherSuite>,
    event: Event,
) -> Reply {
    match reply::sign_update(tam, refusing_update(code, agent_nonce), suite) {
        Ok(message) => Reply::Transmit { message, event },
        Err(e) => failed(event.subject, e.code(), e),
    }
}

/// One attempt to answer one body.
struct Request<'r> {
    tam: &'r Tam,
    tenant: &'r TenantId,
    read: &'r dyn Read,
    now: UnixTime,
    appraised: Option<&'r Result<Vec<u8>, Refusal>>,
}

impl Request<'_> {
    /// The body is parsed whole before anything is decided. An error is a reply too.
    fn answer(mut self, body: &[u8]) -> Result<Step, Reply> {
        let store = |e: StoreError| failed(Subject::Unknown, codes::STORE_FAILED, e);
        self.now = self.now.max(self.read.time().map_err(store)?);
        // The default tenant always exists.
        let known =
            *self.tenant == TenantId::default() || self.read.tenant(self.tenant).map_err(store)?.is_some();
        if !known {
            let event = Event::new(Subject::Unknown, format!("there is no tenant {}", self.tenant));
            let event = Event { code: Some(codes::API_NOT_FOUND), ..event };
            return Err(Reply::Refuse { status: 404, code: codes::API_NOT_FOUND, event });
        }
        if body.is_empty() {
            return self.connect().map(Step::Reply);
        }
        let limits = &self.tam.config.limits;
        if body.len() > limits.bytes {
            let text = format!("{} bytes, {} are allowed", body.len(), limits.bytes);
            let event = Event::new(Subject::Unknown, text);
            return Err(refuse(Situation::TooLarge, codes::HTTP_TOO_LARGE, event));
        }
        let malformed = |e: tamarack_teep::Error| {
            refuse(Situation::Malformed, e.code(), Event::new(Subject::Unknown, e.to_string()))
        };
        let message = SignedMessage::parse(body, limits).map_err(malformed)?;
        match message.unverified().map_err(malformed)? {
            Message::QueryResponse(response) => self.query_response(&message, &response),
            Message::Success(success) => self.success(&message, &success),
            Message::Error(error) => self.error(&message, &error),
            Message::QueryRequest(_) | Message::Update(_) => {
                let event = Event::new(Subject::Unknown, "a message that only a TAM sends");
                Err(refuse(Situation::Malformed, codes::TEEP_UNEXPECTED, event))
            }
        }
    }

    /// An empty POST: a signed QueryRequest, and nothing kept.
    fn connect(&self) -> Result<Reply, Reply> {
        let Tam { config, crypto } = self.tam;
        let random = random(crypto).map_err(|e| failed(Subject::Connect, codes::INTERNAL, e))?;
        let question = Question::Evidence(reply::ITEMS);
        let challenge = Challenge::issue(config, self.tenant, question, self.now, random, crypto);
        let message =
            reply::query_request(self.tam, challenge).map_err(|e| failed(Subject::Connect, e.code(), e))?;
        Ok(Reply::Transmit { message, event: Event::new(Subject::Connect, "sent a QueryRequest") })
    }

    fn query_response(&self, message: &SignedMessage, unverified: &QueryResponse) -> Result<Step, Reply> {
        let subject = Subject::QueryResponse;
        let suite = message.cipher_suite();
        let believed =
            believe(self.tam, self.read, self.tenant, self.now, message, unverified, self.appraised);
        if let Err(Disbelief::Appraise(request)) = believed {
            return Ok(Step::Appraise(request));
        }
        let believed = believed.map_err(|disbelief| match disbelief {
            Disbelief::Appraise(_) => failed(subject, codes::INTERNAL, "asked a verifier twice"),
            Disbelief::Message(e) => {
                refuse(Situation::Malformed, e.code(), Event::new(subject, e.to_string()))
            }
            Disbelief::Evidence(refused) => {
                let event = Event { code: Some(refused.code), ..Event::new(subject, refused.reason) };
                refusal(self.tam, refused.code, unverified.agent_nonce, suite.as_ref(), event)
            }
            Disbelief::Burned => burned(subject),
            Disbelief::Store(e) => failed(subject, codes::STORE_FAILED, e),
        })?;
        self.plan(believed, suite)
    }

    /// The device is who it says: decide what it gets.
    fn plan(&self, believed: Believed, suite: Option<CipherSuite>) -> Result<Step, Reply> {
        let subject = Subject::QueryResponse;
        let Believed { response, challenge, items, device, recorded, refused } = believed;
        if !items.contains(DataItems::TRUSTED_COMPONENTS) || response.tc_list.is_empty() {
            let event = Event::new(subject, "the component list that was asked for is missing");
            return Err(refuse(Situation::Malformed, codes::TEEP_MALFORMED, event));
        }
        let session = random(&self.tam.crypto).map_err(|e| failed(subject, codes::INTERNAL, e))?;
        let agent_nonce = response.agent_nonce;
        let mut draft = Draft { session, device: *device, recorded: None, challenge, suite, agent_nonce };
        if let Some(code) = refused {
            return self.refused_device(draft, code);
        }
        draft.recorded = Some(*recorded);
        let brought = response.requested_tc_list.iter().filter(|one| one.have_binary == Some(true));
        let brought: BTreeSet<ComponentId> = brought.map(|one| one.component_id.clone()).collect();
        let view = View {
            held: response.tc_list,
            requested: response
                .requested_tc_list
                .into_iter()
                .map(|requested| (requested.component_id, requested.sequence_number))
                .collect(),
            unneeded: response.unneeded_manifest_list,
            held_back: response.owner_policy,
        };
        let store = |e: StoreError| failed(subject, codes::STORE_FAILED, e);
        let mut plan = plan(self.read, self.tenant, &view).map_err(store)?;
        self.tam
            .withhold(self.read, &draft.device, &view, &mut draft.recorded, &mut plan, self.now)
            .map_err(store)?;
        plan.personal =
            personal::planned(self.read, self.tenant, &draft.device, &view, &plan).map_err(store)?;
        self.tam
            .withhold_personal(self.read, &draft.device, &mut draft.recorded, &mut plan, self.now)
            .map_err(store)?;
        let envelopes = self.envelopes(&mut plan, &brought).map_err(store)?;
        let text = describe(&plan);
        if plan.is_empty() {
            return match told(&plan.problems, reply::MESSAGE_LIMIT) {
                Some(message) => self.nothing_released(draft, &plan, message, text),
                None => Ok(self.nothing_to_do(draft, &plan, text)),
            };
        }
        self.update(draft, plan, envelopes, text)
    }

    /// Reads the planned envelopes; what goes beyond the limit of an Update leaves the plan. A manifest whose one component
    /// the device has already (`brought`, have-binary) goes without its payload.
    fn envelopes(
        &self,
        plan: &mut Plan,
        brought: &BTreeSet<ComponentId>,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut envelopes = Vec::with_capacity(plan.install.len());
        let mut room = self.tam.config.update_limit;
        let mut kept = Vec::with_capacity(plan.install.len());
        for entry in core::mem::take(&mut plan.install) {
            let mut envelope = self.read.artifact(&entry.artifact.0)?;
            if let [only] = &entry.components[..]
                && brought.contains(&only.id)
                && let Ok(parsed) = Envelope::parse(&envelope, &tamarack_suit::Limits::default())
            {
                envelope = parsed.without_payloads();
            }
            match room.checked_sub(envelope.len()) {
                Some(rest) => {
                    room = rest;
                    envelopes.push(tamarack_suit::untagged(&envelope).to_vec());
                    kept.push(entry);
                }
                None => plan.problems.push(Problem::TooLarge(entry.manifest)),
            }
        }
        plan.install = kept;
        for personal in core::mem::take(&mut plan.personal) {
            match room.checked_sub(personal.envelope.len()) {
                Some(rest) => {
                    room = rest;
                    envelopes.push(tamarack_suit::untagged(&personal.envelope).to_vec());
                    plan.personal.push(personal);
                }
                None => plan.problems.push(Problem::TooLarge(personal.manifest)),
            }
        }
        Ok(envelopes)
    }

    fn refused_device(&self, draft: Draft, code: Code) -> Result<Step, Reply> {
        let reason = draft.device.quarantine.clone().unwrap_or_default();
        let event = Event { code: Some(code), ..draft.event(reason.clone()) };
        let (suite, agent_nonce) = (draft.suite.clone(), draft.agent_nonce);
        let reply = refusal(self.tam, code, agent_nonce, suite.as_ref(), event);
        let ops = draft.ops(self, Some((SessionOutcome::Refused, Some(code))), reason);
        Ok(Step::Persist { ops, reply, suite, agent_nonce })
    }

    /// The release policy let none of it through: the device is told so.
    fn nothing_released(
        &self,
        draft: Draft,
        plan: &Plan,
        message: String,
        text: String,
    ) -> Result<Step, Reply> {
        let subject = Subject::QueryResponse;
        let withheld = plan.problems.iter().find(|problem| matches!(problem, Problem::Withheld { .. }));
        let code = withheld.map_or(codes::RELEASE_DENIED, Problem::code);
        let (suite, agent_nonce) = (draft.suite.clone(), draft.agent_nonce);
        let update = Update { err_msg: Some(message), ..refusing_update(code, agent_nonce) };
        let message =
            reply::sign_update(self.tam, update, suite.as_ref()).map_err(|e| failed(subject, e.code(), e))?;
        let event = Event { code: Some(code), ..draft.event(text.clone()) };
        let ops = draft.ops(self, Some((SessionOutcome::Refused, Some(code))), text);
        Ok(Step::Persist { ops, reply: Reply::Transmit { message, event }, suite, agent_nonce })
    }

    fn nothing_to_do(&self, draft: Draft, plan: &Plan, text: String) -> Step {
        let (suite, agent_nonce) = (draft.suite.clone(), draft.agent_nonce);
        let code = plan.problems.first().map(Problem::code);
        let event = Event { code, ..draft.event(text.clone()) };
        let ops = draft.ops(self, Some((SessionOutcome::NothingToDo, code)), text);
        Step::Persist { ops, reply: Reply::NoContent { event }, suite, agent_nonce }
    }

    fn update(
        &self,
        draft: Draft,
        plan: Plan,
        manifest_list: Vec<Vec<u8>>,
        text: String,
    ) -> Result<Step, Reply> {
        let subject = Subject::QueryResponse;
        let token: [u8; 16] = random(&self.tam.crypto).map_err(|e| failed(subject, codes::INTERNAL, e))?;
        let pending = PendingUpdate {
            tenant: self.tenant.clone(),
            token_hash: self.tam.crypto.sha256(&token),
            device: draft.device.id,
            session: draft.session,
            manifests: plan
                .install
                .iter()
                .map(|entry| (&entry.manifest, entry.digest))
                .chain(plan.personal.iter().map(|personal| (&personal.manifest, personal.digest)))
                .map(|(id, digest)| TcEntry { id: id.clone(), digest: Some(digest), size: None })
                .collect(),
            removals: plan.remove.clone(),
            sent: self.now,
            expires: self.now + self.tam.config.update_ttl,
            command: None,
        };
        let update = Update {
            token: Some(token.to_vec()),
            unneeded_manifest_list: plan.remove,
            manifest_list,
            agent_nonce: draft.agent_nonce,
            // Without err-code: what else it asks for is meant.
            err_msg: told(&plan.problems, reply::MESSAGE_LIMIT),
            ..Update::default()
        };
        let (suite, agent_nonce) = (draft.suite.clone(), draft.agent_nonce);
        let message =
            reply::sign_update(self.tam, update, suite.as_ref()).map_err(|e| failed(subject, e.code(), e))?;
        let event = draft.event(text.clone());
        let mut ops = draft.ops(self, None, text);
        ops.push(StoreOp::InsertPending(pending));
        Ok(Step::Persist { ops, reply: Reply::Transmit { message, event }, suite, agent_nonce })
    }

    fn success(&self, message: &SignedMessage, success: &Success) -> Result<Step, Reply> {
        let (pending, token) = self.pending(Subject::Success, success.token.as_deref())?;
        let device = self.answering(Subject::Success, message, &pending)?;
        let conclusion = outcome::of_success(success, &pending, token, &self.tam.config.limits);
        let store = |e: StoreError| failed(Subject::Success, codes::STORE_FAILED, e);
        let reported = match conclusion.outcome {
            // A Success says nothing of the owner.
            SessionOutcome::Failed | SessionOutcome::RefusedByOwner | SessionOutcome::Deferred => {
                device.reported.clone()
            }
            SessionOutcome::Updated
            | SessionOutcome::Unconfirmed
            | SessionOutcome::NothingToDo
            | SessionOutcome::Refused => Some(
                outcome::reported(self.read, &device, &pending, self.now, conclusion.outcome)
                    .map_err(store)?,
            ),
        };
        let delivered = match conclusion.outcome {
            SessionOutcome::Updated | SessionOutcome::Unconfirmed => {
                personal::delivered(self.read, &device, &pending.manifests, self.now).map_err(store)?
            }
            SessionOutcome::Failed
            | SessionOutcome::NothingToDo
            | SessionOutcome::Refused
            | SessionOutcome::RefusedByOwner
            | SessionOutcome::Deferred => Vec::new(),
        };
        let device = Device { reported, ..device };
        Ok(self.conclude(Subject::Success, device, pending, conclusion, delivered))
    }

    fn error(&self, message: &SignedMessage, error: &ErrorMessage) -> Result<Step, Reply> {
        let Some(token) = &error.token else {
            // It answers a QueryRequest; its signer is nobody that a TAM could know yet. Nothing is kept of it.
            let mut text = error.err_code.to_string();
            if let Some(message) = &error.err_msg {
                text = format!("{text}: {}", crate::printable(message));
            }
            let event =
                Event { code: Some(outcome::code_of(error.err_code)), ..Event::new(Subject::Error, text) };
            return Ok(Step::Reply(Reply::NoContent { event }));
        };
        let (pending, token) = self.pending(Subject::Error, Some(token))?;
        let device = self.answering(Subject::Error, message, &pending)?;
        let limits = &self.tam.config.limits;
        let conclusion = outcome::of_error(error, token, limits);
        let mut delivered = Vec::new();
        let device = match conclusion.outcome {
            SessionOutcome::RefusedByOwner | SessionOutcome::Deferred => {
                let done = outcome::done_besides(error, &pending, token, limits);
                let store = |e: StoreError| failed(Subject::Error, codes::STORE_FAILED, e);
                let reported = outcome::reported(self.read, &device, &done, self.now, conclusion.outcome);
                let reported = Some(reported.map_err(store)?);
                delivered =
                    personal::delivered(self.read, &device, &done.manifests, self.now).map_err(store)?;
                Device { reported, held_back: error.owner_policy.clone(), ..device }
            }
            SessionOutcome::Failed
            | SessionOutcome::Updated
            | SessionOutcome::Unconfirmed
            | SessionOutcome::NothingToDo
            | SessionOutcome::Refused => device,
        };
        Ok(self.conclude(Subject::Error, device, pending, conclusion, delivered))
    }

    /// The Update that a token belongs to (security rule C4).
    fn pending<'m>(
        &self,
        subject: Subject,
        token: Option<&'m [u8]>,
    ) -> Result<(PendingUpdate, &'m [u8]), Reply> {
        let token = token.ok_or_else(|| unknown_token(subject))?;
        let hash = self.tam.crypto.sha256(token);
        let pending =
            self.read.pending(self.tenant, &hash).map_err(|e| failed(subject, codes::STORE_FAILED, e))?;
        let live = pending.filter(|pending| pending.expires >= self.now && pending.command.is_none());
        live.map(|pending| (pending, token)).ok_or_else(|| unknown_token(subject))
    }

    /// The device that may answer, once its TEEP key has verified the message.
    fn answering(
        &self,
        subject: Subject,
        message: &SignedMessage,
        pending: &PendingUpdate,
    ) -> Result<Device, Reply> {
        let device = self.read.device(self.tenant, &pending.device);
        let device = device.map_err(|e| failed(subject, codes::STORE_FAILED, e))?;
        let device = device.ok_or_else(|| unknown_token(subject))?;
        let teep = device.teep.ok_or_else(|| unknown_token(subject))?;
        let purpose = tamarack_cose::Purpose::TeepMessage;
        let key = tamarack_cose::VerificationKey::new(teep.key, purpose, &self.tam.crypto);
        match message.verify(&[key], &self.tam.crypto) {
            Ok(_) => Ok(device),
            Err(e) => Err(refuse(Situation::Malformed, e.code(), Event::new(subject, e.to_string()))),
        }
    }

    fn conclude(
        &self,
        subject: Subject,
        device: Device,
        pending: PendingUpdate,
        conclusion: Conclusion,
        more: Vec<StoreOp>,
    ) -> Step {
        let Conclusion { outcome, code, reason } = conclusion;
        let event = Event {
            code,
            device: Some(device.id),
            session: Some(pending.session),
            ..Event::new(subject, reason.clone())
        };
        let tenant = self.tenant.clone();
        let end = StoreOp::EndSession {
            tenant: tenant.clone(),
            id: pending.session,
            at: self.now,
            outcome,
            code,
            reason: Some(reason),
        };
        let mut ops = alloc::vec![
            StoreOp::AdvanceTime(self.now),
            StoreOp::TakePending { tenant, token_hash: pending.token_hash },
            StoreOp::PutDevice(Box::new(Device { last_seen: self.now, ..device })),
            end,
        ];
        ops.extend(more);
        Step::Persist { ops, reply: Reply::NoContent { event }, suite: None, agent_nonce: None }
    }
}

/// What every accepted QueryResponse writes.
struct Draft {
    session: [u8; 16],
    device: Device,
    /// What it proved itself by; none of a device in quarantine, of which everything stays as it was.
    recorded: Option<Recorded>,
    challenge: Challenge,
    suite: Option<CipherSuite>,
    agent_nonce: Option<[u8; 16]>,
}

impl Draft {
    fn event(&self, text: String) -> Event {
        Event {
            device: Some(self.device.id),
            session: Some(self.session),
            ..Event::new(Subject::QueryResponse, text)
        }
    }

    /// The time first, so that the expiry of the challenge is checked against it in the same transaction (security rule
    /// C2).
    fn ops(
        self,
        request: &Request<'_>,
        end: Option<(SessionOutcome, Option<Code>)>,
        reason: String,
    ) -> Vec<StoreOp> {
        let (tenant, now, config) = (request.tenant.clone(), request.now, &request.tam.config);
        let expires = self.challenge.expires;
        let session = Session {
            tenant: tenant.clone(),
            id: self.session,
            device: self.device.id,
            started: now,
            ended: end.map(|_| now),
            outcome: end.map(|(outcome, _)| outcome),
            code: end.and_then(|(_, code)| code),
            reason: Some(reason),
        };
        let mut ops = alloc::vec![
            StoreOp::AdvanceTime(now),
            StoreOp::BurnChallenge {
                tenant,
                challenge: self.challenge.id,
                expires,
                keep_until: expires + config.skew + config.longest_appraisal,
            },
            StoreOp::PutDevice(Box::new(self.device)),
            StoreOp::InsertSession(session),
        ];
        ops.extend(self.recorded.map(|recorded| StoreOp::Record(Box::new(recorded))));
        ops
    }
}

/// A plan in a sentence.
fn describe(plan: &Plan) -> String {
    let personal = plan.personal.iter().map(|personal| (&personal.manifest, personal.sequence));
    let install = plan.install.iter().map(|entry| (&entry.manifest, entry.sequence)).chain(personal);
    let install = install.map(|(manifest, sequence)| format!("{manifest} {sequence}"));
    let mut text = match plan.is_empty() {
        true => String::from("nothing to do"),
        false => format!("install: [{}]; remove: [{}]", crate::join(install), crate::join(&plan.remove)),
    };
    if !plan.problems.is_empty() {
        text = format!("{text}; cannot: {}", crate::join(&plan.problems));
    }
    text
}
