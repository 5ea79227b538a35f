//! TEEP messages in, TEEP messages out: validates, dispatches, answers.

use alloc::string::ToString;
use alloc::vec::Vec;

use tamarack_model::{Code, ComponentId, Outcome, Protocol, UnixTime};
use tamarack_tee::Platform;
use tamarack_teep::{Message, QueryRequest, SignedMessage, Token, Update};

use super::query::{self, Asked};
use super::reply::{self, Refusal};
use super::{update, validate};
use crate::agent::Agent;
use crate::answers::{self, Answer, Recall};
use crate::api::{Output, Progress};
use crate::engine::{Device, Refused, Transaction};
use crate::journal::Journal;
use crate::processing::{Processing, Reply};
use crate::trust::{TamAnchor, TrustStore};
use crate::{Error, counters, notes, owner};

/// What answering an Update at the end of its transaction needs of it.
pub(crate) struct Pending {
    pub token: Option<Token>,
    /// SHA-256 of the Update, for the stored answer.
    pub update: [u8; 32],
}

impl<P: Platform> Agent<P> {
    /// ProcessTeepMessage: validates, dispatches, answers.
    pub(crate) fn process_teep(&mut self, now: UnixTime, bytes: &[u8]) -> Result<(), Error> {
        let store = owner::store(&self.platform)?;
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
        let (tam_uri, asked_at) = (self.answer_to(tam), self.asked_at(store, tam));
        let asked = Asked {
            platform: &self.platform,
            sessions: &self.sessions,
            provider: &self.provider,
            config: &self.config,
            now,
            tam,
            tam_uri: &asked_at,
            trust_store_sequence: store.sequence,
            device_owner: store.device_owner.is_some(),
            bundled: self.exchange.bundled.as_ref(),
        };
        let answer = query::answer(&mut self.teep, &asked, query)?;
        let attested =
            matches!(&answer, Message::QueryResponse(response) if response.attestation_payload.is_some());
        let message = reply::sign(&self.platform, tam.persona, &answer)?;
        self.outputs.push_back(Output::Progress(Progress::Answered { attested }));
        self.outputs.push_back(Output::Transmit { tam_uri, protocol: Protocol::Teep, message });
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
                self.transmit(tam, message);
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
        let mut transaction = match begun {
            Ok(transaction) => transaction,
            Err(refused) => {
                return Ok(self.fail_update(tam, refused, Pending { token, update: hash }, Vec::new())?);
            }
        };
        transaction.bundled = self.exchange.bundled.clone();
        let reply = Reply::Teep(Pending { token, update: hash });
        Ok(self.advance(now, Processing::new(transaction, reply))?)
    }

    /// The TAM says why it asks for nothing; Success tells it that this was heard.
    fn end_exchange(&mut self, tam: &TamAnchor, update: &Update, code: Code) -> Result<(), Refusal> {
        if update.token.is_some() {
            let success = reply::success(update.token.clone(), Vec::new());
            let message = reply::sign(&self.platform, tam.persona, &success)?;
            self.transmit(tam, message);
        }
        let text = update.err_msg.clone().unwrap_or_default();
        self.finish(Outcome::Refused(code), alloc::format!("the TAM refuses: {text}"));
        Ok(())
    }

    /// An Update is planned and staged: its answer is kept with what it did.
    pub(crate) fn end_update(
        &mut self,
        now: UnixTime,
        mut transaction: Transaction,
        pending: Pending,
    ) -> Result<(), Error> {
        let tam = transaction.tam().clone();
        let reports = core::mem::take(&mut transaction.reports);
        let owner_says = transaction.owner_says();
        let answer = match &owner_says {
            None => reply::success(pending.token.clone(), reports),
            Some((says, detail)) => match transaction.note_and_report(&self.platform) {
                Ok(policy) => {
                    let (says, detail) = (*says, detail.clone());
                    let refusal = Refusal::Owner { says, detail, reports, policy };
                    reply::error(&self.platform, &refusal, pending.token.clone())
                }
                Err(e) => {
                    self.discard(now, transaction);
                    return self.refuse(&tam, e.into(), pending.token);
                }
            },
        };
        let message = reply::sign(&self.platform, tam.persona, &answer)?;
        let mut left = Vec::new();
        for id in &transaction.concerned {
            left.push((id.clone(), counters::get(&transaction.journal, &self.platform, &tam.owner, id)?));
        }
        let answer = Answer { update: pending.update, message: message.clone(), left };
        answers::keep(&mut transaction.journal, &self.platform, &tam.owner, &answer)?;
        match self.settle(now, transaction) {
            Ok(effects) => {
                self.transmit(&tam, message);
                self.tell(effects, owner_says);
                Ok(())
            }
            Err(e) => self.refuse(&tam, e.into(), pending.token),
        }
    }

    /// An Update failed: nothing of the device's state changes, and the answer is kept if trying again would give it
    /// again.
    pub(crate) fn fail_update(
        &mut self,
        tam: &TamAnchor,
        refused: Refused,
        pending: Pending,
        concerned: Vec<ComponentId>,
    ) -> Result<(), Error> {
        let refusal = Refusal::from(refused);
        let token = pending.token.clone();
        match self.keep_failure(tam, &refusal, pending, concerned) {
            Ok(Some(message)) => {
                self.transmit(tam, message);
                self.finish(Outcome::Refused(refusal.code()), refusal.to_string());
                Ok(())
            }
            Ok(None) => self.refuse(tam, refusal, token),
            Err(e) => self.refuse(tam, e.into(), token),
        }
    }

    /// The signed Error, kept; none if another try may end otherwise.
    fn keep_failure(
        &mut self,
        tam: &TamAnchor,
        refusal: &Refusal,
        pending: Pending,
        concerned: Vec<ComponentId>,
    ) -> Result<Option<Vec<u8>>, Error> {
        if !matches!(refusal, Refusal::Manifest { .. }) {
            return Ok(None);
        }
        let error = reply::error(&self.platform, refusal, pending.token);
        let message = reply::sign(&self.platform, tam.persona, &error)?;
        let mut journal = Journal::default();
        let mut left = Vec::new();
        for id in concerned {
            let counter = counters::get(&journal, &self.platform, &tam.owner, &id)?;
            left.push((id, counter));
        }
        let answer = Answer { update: pending.update, message: message.clone(), left };
        answers::keep(&mut journal, &self.platform, &tam.owner, &answer)?;
        journal.commit(&mut self.platform)?;
        Ok(Some(message))
    }

    fn transmit(&mut self, tam: &TamAnchor, message: Vec<u8>) {
        let tam_uri = self.answer_to(tam);
        self.outputs.push_back(Output::Transmit { tam_uri, protocol: Protocol::Teep, message });
    }

    /// Answers a TAM of this device with an Error that is not kept.
    fn refuse(&mut self, tam: &TamAnchor, refusal: Refusal, token: Option<Token>) -> Result<(), Error> {
        let error = reply::error(&self.platform, &refusal, token);
        let message = reply::sign(&self.platform, tam.persona, &error)?;
        self.transmit(tam, message);
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
        if let Some(tam_uri) = self.exchange.tam_uri.clone()
            && self.teep.may_refuse(now, self.config.refusals_per_minute)
        {
            let message = reply::anonymous_error(&self.platform, &self.provider, &refusal, token)?;
            self.outputs.push_back(Output::Transmit { tam_uri, protocol: Protocol::Teep, message });
        }
        self.finish(Outcome::Refused(refusal.code()), refusal.to_string());
        Ok(())
    }
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
