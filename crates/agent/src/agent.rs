use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_cbor::Encode;
use tamarack_crypto::Provider;
use tamarack_model::{Code, ComponentId, Outcome, OwnerId, UnixTime};
use tamarack_tee::{Params, Platform, StateRoot};
use tamarack_teep::{Message, QueryRequest, SignedMessage, Token, Update};

use crate::answers::{self, Answer, Recall};
use crate::api::{ComponentStatus, Finished, Input, Output, Progress, Seed, Status};
use crate::engine::{Device, Effect, Stop, Transaction};
use crate::journal::Journal;
use crate::record::{self, BINDING, PERIPHERAL, UEID};
use crate::ta::peripheral::{Binding, CLOSED, Peripheral};
use crate::ta::sessions::{SessionId, Sessions, Surroundings, TaName};
use crate::teep::query::{self, Asked};
use crate::teep::reply::{self, Refusal};
use crate::teep::state::{Processing, State, Teep};
use crate::teep::{update, validate};
use crate::trust::{AnchorState, TamAnchor, TrustStore};
use crate::{AgentConfig, Error, counters, notes, slots};

/// The TEEP Agent. See the crate's documentation for how to drive it.
pub struct Agent<P: Platform> {
    platform: P,
    provider: Provider,
    config: AgentConfig,
    teep: Teep,
    sessions: Sessions,
    outputs: VecDeque<Output>,
}

impl<P: Platform> Agent<P> {
    /// An Agent on an enrolled platform.
    pub fn new(platform: P, provider: Provider, config: AgentConfig) -> Self {
        let (teep, sessions) = (Teep::default(), Sessions::default());
        Self { platform, provider, config, teep, sessions, outputs: VecDeque::new() }
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
        };
        let mut journal = Journal::default();
        store.seal(&mut journal)?;
        for tam in &seed.tams {
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
            Input::RequestTa { component, tam_uri } => self.request_ta(component, tam_uri),
            Input::UnrequestTa { component } => self.unrequest_ta(&component),
            Input::RequestPolicyCheck => self.policy_check(),
            Input::ProcessError => self.process_error(now),
            Input::ProcessTeepMessage(bytes) => self.process_message(now, &bytes),
            Input::Chunk { fetch, data, last } => self.chunk(now, fetch, &data, last),
            Input::FetchFailed { fetch } => self.fetch_failed(now, fetch),
        }
    }

    /// What the driver has to do next, oldest first.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
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
        let mut components = Vec::new();
        for (owner, component, record) in slots::components(&journal, &self.platform, None)? {
            let manifest = slots::manifest(&journal, &self.platform, &owner, &record.manifest)?;
            let manifest = manifest.ok_or(Error::Corrupt("component without manifest"))?;
            components.push(ComponentStatus {
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
        Ok(Status {
            state: self.platform.state_root(),
            trust_store_sequence: store.sequence,
            tams: store.tams.into_iter().map(|tam| (tam.owner, tam.uri, tam.state)).collect(),
            components,
            peripherals: peripherals.collect(),
            sessions: self.sessions.count(),
        })
    }

    /// Carries out an order of the device authority (an [`crate::AnchorOrder`] in a COSE_Sign1). What the anchor concerns
    /// stops at once (security rules R8 and L1).
    pub fn change_anchor(&mut self, order: &[u8]) -> Result<(), Error> {
        if matches!(self.teep.state, State::ExpectPayload(_)) {
            return Err(Error::Busy);
        }
        let store = TrustStore::load(&self.platform)?;
        let changed = crate::trust::apply_order(&store, order, &self.provider)?;
        let mut journal = Journal::default();
        changed.seal(&mut journal)?;
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
        let mut surroundings = Surroundings { platform, provider, limits: &config.ta, now, log: &mut log };
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

    fn finish(&mut self, outcome: Outcome, detail: impl Into<String>) {
        self.outputs.push_back(Output::Finished(Finished { outcome, detail: detail.into() }));
    }

    fn connect(&mut self, tam_uri: String) {
        self.teep.tam_uri = Some(tam_uri.clone());
        self.outputs.push_back(Output::Connect { tam_uri });
    }

    fn not_processing(&self) -> Result<(), Error> {
        match self.teep.state {
            State::ExpectMessage => Ok(()),
            State::ExpectPayload(_) => Err(Error::Busy),
        }
    }

    /// RequestTA: nothing to do if it is there, else the address of a TAM.
    fn request_ta(&mut self, component: ComponentId, tam_uri: Option<String>) -> Result<(), Error> {
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
        self.connect(tam_uri);
        Ok(())
    }

    /// UnrequestTA: notes it, and asks the TAM to which the component belongs to have it removed.
    fn unrequest_ta(&mut self, component: &ComponentId) -> Result<(), Error> {
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
        match owners.find_map(|tam| tam.uri.clone()) {
            Some(tam_uri) => self.connect(tam_uri),
            None => self.finish(Outcome::Unchanged, alloc::format!("{component} is not installed")),
        }
        Ok(())
    }

    fn policy_check(&mut self) -> Result<(), Error> {
        self.not_processing()?;
        let store = TrustStore::load(&self.platform)?;
        let active = store.tams.iter().filter(|tam| tam.state == AnchorState::Active);
        let uris: Vec<&String> = active.filter_map(|tam| tam.uri.as_ref()).collect();
        let uri = uris.get(self.teep.next_tam.checked_rem(uris.len()).unwrap_or_default());
        let uri = uri.ok_or(Error::NoTam)?.to_string();
        self.teep.next_tam = self.teep.next_tam.wrapping_add(1);
        self.connect(uri);
        Ok(())
    }

    fn process_error(&mut self, now: UnixTime) -> Result<(), Error> {
        if let State::ExpectPayload(processing) = core::mem::take(&mut self.teep.state) {
            self.discard(now, *processing);
        }
        let outcome = Outcome::Refused(tamarack_model::codes::HTTP_PEER);
        self.finish(outcome, "the TAM could not be reached");
        Ok(())
    }

    fn discard(&mut self, now: UnixTime, processing: Processing) {
        let Self { platform, provider, config, .. } = self;
        processing.transaction.discard(&mut Device { platform, provider, config, now });
    }

    /// ProcessTeepMessage: validates, dispatches, answers.
    fn process_message(&mut self, now: UnixTime, bytes: &[u8]) -> Result<(), Error> {
        let store = TrustStore::load(&self.platform)?;
        let signed = match SignedMessage::parse(bytes, &self.config.message) {
            Ok(signed) => signed,
            Err(e) => return self.refuse_stranger(now, Refusal::Message(e), None),
        };
        let validated = validate::validate(&self.platform, &self.provider, &signed, &store, now);
        let authentic = match validated {
            Ok(authentic) => authentic,
            Err(refusal) => {
                let token = signed.unverified().ok().and_then(token_of);
                return self.refuse_stranger(now, refusal, token);
            }
        };
        let (tam, message) = (authentic.tam, authentic.message);
        let mut journal = Journal::default();
        notes::raise_time(&mut journal, &self.platform, &tam.owner, now)?;
        journal.commit(&mut self.platform)?;

        let token = token_of(message.clone());
        let result = match (&message, self.not_processing()) {
            (_, Err(_)) => Err(Refusal::Busy),
            (Message::QueryRequest(query), Ok(())) => self.query(now, &store, tam, query),
            (Message::Update(update), Ok(())) => {
                let hash = self.provider.sha256(&message.to_cbor());
                self.update(now, &store, tam, update, hash)
            }
            (Message::QueryResponse(_) | Message::Success(_) | Message::Error(_), Ok(())) => {
                Err(Refusal::WrongType)
            }
        };
        match result {
            Ok(()) => Ok(()),
            Err(refusal) => self.refuse(tam, refusal, token),
        }
    }

    fn query(
        &mut self,
        now: UnixTime,
        store: &TrustStore,
        tam: &TamAnchor,
        query: &QueryRequest,
    ) -> Result<(), Refusal> {
        let tam_uri = self.answer_to(tam);
        let asked = Asked {
            platform: &self.platform,
            provider: &self.provider,
            config: &self.config,
            now,
            tam,
            tam_uri: &tam_uri,
            trust_store_sequence: store.sequence,
        };
        let answer = query::answer(&mut self.teep, &asked, query)?;
        let attested =
            matches!(&answer, Message::QueryResponse(response) if response.attestation_payload.is_some());
        let message = reply::sign(&self.platform, &self.provider, &answer)?;
        self.outputs.push_back(Output::Progress(Progress::Answered { attested }));
        self.outputs.push_back(Output::Transmit { tam_uri, message });
        Ok(())
    }

    /// An Update: known already, an end, or a transaction.
    fn update(
        &mut self,
        now: UnixTime,
        store: &TrustStore,
        tam: &TamAnchor,
        update: &Update,
        hash: [u8; 32],
    ) -> Result<(), Refusal> {
        match answers::recall(&self.platform, &tam.owner, &hash)? {
            Some(Recall::Repeat(message)) => {
                let tam_uri = self.answer_to(tam);
                self.outputs.push_back(Output::Transmit { tam_uri, message });
                self.finish(Outcome::Unchanged, "this Update was answered before");
                return Ok(());
            }
            Some(Recall::Stale) => return Err(Refusal::Stale),
            None => {}
        }
        let bound = self.teep.take_nonce(&tam.owner, update.agent_nonce.as_ref());
        if let Some(code) = update::ends_with(update) {
            return self.end_exchange(tam, update, code);
        }
        // Security rule R4: what erases needs a token too, and C6: the binding, unless the anchor waives it for installs.
        let erases_without_token = !update.unneeded_manifest_list.is_empty() && update.token.is_none();
        if erases_without_token || (tam.require_binding && !bound) {
            return Err(Refusal::NotBound);
        }
        let (token, intents) = (update.token.clone(), update::intents(update));
        let Self { platform, provider, config, .. } = self;
        let mut device = Device { platform, provider, config, now };
        let begun = Transaction::begin(&mut device, store, tam, bound, token.clone(), intents);
        let transaction = match begun {
            Ok(transaction) => transaction,
            Err(refused) => return self.fail(tam, refused.into(), token, hash, Vec::new()),
        };
        let processing = Processing { transaction, token, update: hash, fetch: 0 };
        self.advance(now, tam, processing)
    }

    /// The TAM says why it asks for nothing; Success tells it that this was heard.
    fn end_exchange(&mut self, tam: &TamAnchor, update: &Update, code: Code) -> Result<(), Refusal> {
        if update.token.is_some() {
            let success = reply::success(update.token.clone(), Vec::new());
            let message = reply::sign(&self.platform, &self.provider, &success)?;
            let tam_uri = self.answer_to(tam);
            self.outputs.push_back(Output::Transmit { tam_uri, message });
        }
        let text = update.err_msg.clone().unwrap_or_default();
        self.finish(Outcome::Refused(code), alloc::format!("the TAM refuses: {text}"));
        Ok(())
    }

    /// Carries a transaction on until it needs a payload or ends.
    fn advance(&mut self, now: UnixTime, tam: &TamAnchor, mut processing: Processing) -> Result<(), Refusal> {
        let Self { platform, provider, config, .. } = self;
        let mut device = Device { platform, provider, config, now };
        match processing.transaction.run(&mut device) {
            Ok(Stop::Fetch(request)) => {
                self.teep.last_fetch += 1;
                processing.fetch = self.teep.last_fetch;
                let (fetch, uri, max_size) = (processing.fetch, request.uri, request.max_size);
                self.outputs.push_back(Output::Fetch { fetch, uri, max_size });
                self.teep.state = State::ExpectPayload(Box::new(processing));
                Ok(())
            }
            Ok(Stop::Ready) => self.commit(now, tam, processing),
            Err(refused) => {
                let concerned = processing.transaction.concerned.clone();
                let (token, hash) = (processing.token.clone(), processing.update);
                self.discard(now, processing);
                self.fail(tam, refused.into(), token, hash, concerned)
            }
        }
    }

    /// The one commit: slots, counters, TA data, notes and the stored answer; only then anybody hears of it.
    fn commit(&mut self, now: UnixTime, tam: &TamAnchor, mut processing: Processing) -> Result<(), Refusal> {
        let owner = tam.owner;
        let transaction = &mut processing.transaction;
        let reports = core::mem::take(&mut transaction.reports);
        let success = reply::success(processing.token.clone(), reports);
        let message = reply::sign(&self.platform, &self.provider, &success)?;
        let mut left = Vec::new();
        for id in &transaction.concerned {
            left.push((id.clone(), counters::get(&transaction.journal, &self.platform, &owner, id)?));
        }
        let answer = Answer { update: processing.update, message: message.clone(), left };
        answers::keep(&mut transaction.journal, &self.platform, &owner, &answer)?;
        let kept = transaction.journal.kept().to_vec();
        let journal = core::mem::take(&mut transaction.journal);
        if let Err(e) = journal.commit(&mut self.platform) {
            kept.into_iter().for_each(|blob| self.platform.discard(blob));
            self.discard(now, processing);
            return Err(e.into());
        }
        let effects = processing.transaction.effects;
        let changed = |id: &ComponentId| effects.iter().any(|effect| effect.changes(id));
        self.sessions.end(|of, scope| *of == owner && changed(&scope.manifest));
        let tam_uri = self.answer_to(tam);
        self.outputs.push_back(Output::Transmit { tam_uri, message });
        let outcome = match effects.iter().all(|effect| matches!(effect, Effect::Unchanged { .. })) {
            true => Outcome::Unchanged,
            false => Outcome::Done,
        };
        let changes = effects.into_iter().map(|effect| Output::Progress(Progress::Changed(effect)));
        self.outputs.extend(changes);
        self.finish(outcome, "");
        Ok(())
    }

    /// An Update failed: nothing of the device's state changes, and the answer is kept if trying again would give it
    /// again.
    fn fail(
        &mut self,
        tam: &TamAnchor,
        refusal: Refusal,
        token: Option<Token>,
        hash: [u8; 32],
        concerned: Vec<ComponentId>,
    ) -> Result<(), Refusal> {
        if !matches!(refusal, Refusal::Manifest { .. }) {
            return Err(refusal);
        }
        let error = reply::error(&self.platform, &refusal, token);
        let message = reply::sign(&self.platform, &self.provider, &error)?;
        let mut journal = Journal::default();
        let mut left = Vec::new();
        for id in concerned {
            let counter = counters::get(&journal, &self.platform, &tam.owner, &id)?;
            left.push((id, counter));
        }
        let answer = Answer { update: hash, message: message.clone(), left };
        answers::keep(&mut journal, &self.platform, &tam.owner, &answer)?;
        journal.commit(&mut self.platform)?;
        let tam_uri = self.answer_to(tam);
        self.outputs.push_back(Output::Transmit { tam_uri, message });
        self.finish(Outcome::Refused(refusal.code()), refusal.to_string());
        Ok(())
    }

    fn chunk(&mut self, now: UnixTime, fetch: u64, data: &[u8], last: bool) -> Result<(), Error> {
        self.with_processing(now, fetch, |processing, device| {
            processing.transaction.chunk(device, data, last)
        })
    }

    fn fetch_failed(&mut self, now: UnixTime, fetch: u64) -> Result<(), Error> {
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
        let mut processing = match core::mem::take(&mut self.teep.state) {
            State::ExpectPayload(processing) if processing.fetch == fetch => processing,
            other => {
                self.teep.state = other;
                return Err(Error::NoFetch(fetch));
            }
        };
        let Self { platform, provider, config, .. } = self;
        let mut device = Device { platform, provider, config, now };
        if !f(&mut processing, &mut device) {
            self.teep.state = State::ExpectPayload(processing);
            return Ok(());
        }
        let (tam, token) = (processing.transaction.tam().clone(), processing.token.clone());
        match self.advance(now, &tam, *processing) {
            Ok(()) => Ok(()),
            Err(refusal) => self.refuse(&tam, refusal, token),
        }
    }

    /// Answers a TAM of this device with an Error that is not kept.
    fn refuse(&mut self, tam: &TamAnchor, refusal: Refusal, token: Option<Token>) -> Result<(), Error> {
        let error = reply::error(&self.platform, &refusal, token);
        let message = reply::sign(&self.platform, &self.provider, &error)?;
        let tam_uri = self.answer_to(tam);
        self.outputs.push_back(Output::Transmit { tam_uri, message });
        self.finish(Outcome::Refused(refusal.code()), refusal.to_string());
        Ok(())
    }

    /// Answers somebody whom no anchor vouches for, without saying who this is (security rule E5); not at all without an
    /// exchange to answer in, or if there is too much of it.
    fn refuse_stranger(
        &mut self,
        now: UnixTime,
        refusal: Refusal,
        token: Option<Token>,
    ) -> Result<(), Error> {
        if let Some(tam_uri) = self.teep.tam_uri.clone()
            && self.teep.may_refuse(now, self.config.refusals_per_minute)
        {
            let message = reply::anonymous_error(&self.platform, &self.provider, &refusal, token)?;
            self.outputs.push_back(Output::Transmit { tam_uri, message });
        }
        self.finish(Outcome::Refused(refusal.code()), refusal.to_string());
        Ok(())
    }

    /// Where an answer to `tam` goes: into the exchange, or to its own address.
    fn answer_to(&self, tam: &TamAnchor) -> String {
        self.teep.tam_uri.clone().or_else(|| tam.uri.clone()).unwrap_or_default()
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

fn token_of(message: Message) -> Option<Token> {
    match message {
        Message::QueryRequest(message) => message.token,
        Message::QueryResponse(message) => message.token,
        Message::Update(message) => message.token,
        Message::Success(message) => message.token,
        Message::Error(message) => message.token,
    }
}
