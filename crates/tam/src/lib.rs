//! The TAM as a sans-IO engine: it correlates, appraises, plans and replies, and does nothing itself.
//!
//! A [`Tam`] is what does not change between requests; it is shared. An [`Exchange`] answers one HTTP POST: it is given
//! the body, says what to persist, is told the outcome, and gives the reply. Nothing is sent before what it depends on is
//! durable.
//!
//! ```text
//! exchange.handle(now, store, Input::Request(body)) -> Output::Persist(ops)      the driver applies them
//! exchange.handle(now, store, Input::Persisted(outcome)) -> Output::Transmit(..)  or NoContent, or Refuse
//! ```
//!
//! Between the two stands, if a verifier is to be asked, `Output::Appraise(request)` and `Input::Appraised(result)`.
//!
//! [`Tam::begin`] and [`Tam::resume`] are that loop over a store that blocks.
//!
//! | module | what it decides |
//! |---|---|
//! | [`catalog`] | whether an envelope may be published |
//! | `policy` | what a device should hold |
//! | `reference` | what it should run, and whether that may be said |
//! | `planner` | what to send it for that |
//! | `release` | which of that the tenant's release policy lets it have |
//! | `challenge` | which question an answer belongs to, without having kept it (security rules C1 to C3) |
//! | `teep::appraise` | whose device it is and what it may be believed (E1 to E4, R9) |
//! | `teep::outcome` | what came of an Update |
//! | `teep::state` | the order of all that |
//! | `teep::reply` | the messages, and the one mapping from codes to TEEP error codes |
//! | `otrp` | the same for OTrP, which brings one change at a time: [`OtrpExchange`] |
//!
//! An empty POST and everything that fails before the TEEP signature and the Evidence both verify leave no trace in the
//! store (security rule C2); so does an OTrP response before the TEE's signature and chain do.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod catalog;
mod challenge;
mod config;
mod history;
mod otrp;
pub mod personal;
mod planner;
mod policy;
mod reference;
mod release;
mod teep;

pub use config::{
    ChallengeKey, ChallengeKeys, OtrpConfig, OtrpSigner, Staple, TamConfig, TamSigner, TeeRules,
};
pub use otrp::OtrpExchange;
pub use planner::{Plan, Problem, plan};
pub use reference::{Addition, ReferenceMemo, ReferenceState};
pub use release::{MOST_EVIDENCE, Preview, Previewed, facts};
pub use teep::{AppraisalRequest, Event, Exchange, Input, Output, Reply, Subject};

use alloc::vec::Vec;

use tamarack_attest::Refusal;
use tamarack_crypto::Provider;
use tamarack_model::{UnixTime, codes};
use tamarack_store::{Store, TenantId};

/// A TAM: its keys, its policy and its limits.
pub struct Tam {
    pub(crate) config: TamConfig,
    pub(crate) crypto: Provider,
}

impl Tam {
    /// A TAM that signs, appraises and plans as `config` says.
    pub fn new(config: TamConfig, crypto: Provider) -> Self {
        Self { config, crypto }
    }

    /// Begins to answer one request to the endpoint of `tenant`.
    pub fn exchange(&self, tenant: TenantId) -> Exchange<'_> {
        Exchange::new(self, tenant)
    }

    /// Answers one request, waiting for the store. If a verifier is to be asked, what to ask it is given back, and
    /// [`Tam::resume`] goes on.
    pub fn begin(
        &self,
        now: UnixTime,
        store: &dyn Store,
        tenant: TenantId,
        body: &[u8],
    ) -> Result<Reply, AppraisalRequest> {
        self.drive(self.exchange(tenant), now, store, Input::Request(body.to_vec()))
    }

    /// Goes on with a request once a verifier gave an EAR about it, or did not. Nothing was kept of it but the body.
    pub fn resume(
        &self,
        now: UnixTime,
        store: &dyn Store,
        tenant: TenantId,
        body: &[u8],
        appraised: Result<Vec<u8>, Refusal>,
    ) -> Reply {
        let exchange = Exchange::waiting_for_verifier(self, tenant, body.to_vec());
        let answer = self.drive(exchange, now, store, Input::Appraised(appraised));
        answer.unwrap_or_else(|_| unexpected("asked a verifier twice"))
    }

    /// Answers one request, waiting for the store. For TAMs that ask no verifier.
    pub fn respond(&self, now: UnixTime, store: &dyn Store, tenant: TenantId, body: &[u8]) -> Reply {
        let answer = self.begin(now, store, tenant, body);
        answer.unwrap_or_else(|_| unexpected("a verifier is to be asked, and nobody does"))
    }

    fn drive(
        &self,
        mut exchange: Exchange<'_>,
        now: UnixTime,
        store: &dyn Store,
        input: Input,
    ) -> Result<Reply, AppraisalRequest> {
        let mut output = exchange.handle(now, store, input);
        loop {
            match output {
                Output::Persist(ops) => {
                    let outcome = store.apply(ops);
                    output = exchange.handle(now, store, Input::Persisted(outcome));
                }
                Output::Appraise(request) => return Err(request),
                Output::Reply(reply) => return Ok(reply),
            }
        }
    }

    /// Begins to answer one request of OTrP to the endpoint of `tenant`. At the end of an exchange a sender that
    /// `accepts_keys` gets the providers' keys on the device.
    pub fn otrp_exchange(&self, tenant: TenantId, accepts_keys: bool) -> OtrpExchange<'_> {
        OtrpExchange::new(self, tenant, accepts_keys)
    }

    /// Answers one request of OTrP, waiting for the store.
    pub fn respond_otrp(
        &self,
        now: UnixTime,
        store: &dyn Store,
        tenant: TenantId,
        body: &[u8],
        accepts_keys: bool,
    ) -> Reply {
        let mut exchange = self.otrp_exchange(tenant, accepts_keys);
        let mut output = exchange.handle(now, store, Input::Request(body.to_vec()));
        loop {
            match output {
                Output::Persist(ops) => {
                    let outcome = store.apply(ops);
                    output = exchange.handle(now, store, Input::Persisted(outcome));
                }
                Output::Appraise(_) => return unexpected("OTrP asks no verifier"),
                Output::Reply(reply) => return reply,
            }
        }
    }

    /// The key for OTrP, if it speaks it.
    pub fn otrp_signer(&self) -> Option<&OtrpSigner> {
        self.config.otrp.as_ref().map(|otrp| &otrp.signer)
    }

    /// Whether it speaks OTrP.
    pub fn speaks_otrp(&self) -> bool {
        self.config.otrp.is_some()
    }

    /// Takes a new status of the TAM's own certificates into use, or none. Changes nothing in a TAM that does not speak
    /// OTrP.
    pub fn set_staple(&mut self, staple: Option<Staple>) {
        if let Some(otrp) = &mut self.config.otrp {
            otrp.staple = staple;
        }
    }

    /// Takes new revocation lists (DER) of TEE CAs into use, for each of the configuration in its order.
    pub fn set_tee_crls(&mut self, lists: Vec<Vec<Vec<u8>>>) {
        if let Some(otrp) = &mut self.config.otrp {
            for (rules, lists) in otrp.tee_rules.iter_mut().zip(&lists) {
                rules.crls.clone_from(lists);
            }
        }
        self.config.evidence.crls = lists.into();
    }

    /// The same for the CAs of trusted firmware.
    pub fn set_firmware_crls(&mut self, lists: Vec<Vec<Vec<u8>>>) {
        if let Some(otrp) = &mut self.config.otrp {
            otrp.firmware_crls = lists;
        }
    }

    /// Makes `key` the current challenge key; challenges under the one before it stay valid until they expire.
    pub fn rotate_challenge_key(&mut self, key: ChallengeKey) {
        let keys = &mut self.config.challenge_keys;
        keys.previous = Some(core::mem::replace(&mut keys.current, key));
    }

    /// The largest request body that is read, in bytes.
    pub fn message_limit(&self) -> usize {
        self.config.limits.bytes
    }
}

/// The driver and the engine do not understand each other.
fn unexpected(text: &str) -> Reply {
    let event = Event { code: Some(codes::INTERNAL), ..Event::new(Subject::Unknown, text) };
    Reply::Refuse { status: 500, code: codes::INTERNAL, event }
}

/// Fills `N` random bytes.
fn random<const N: usize>(crypto: &Provider) -> Result<[u8; N], tamarack_crypto::Error> {
    let mut bytes = [0; N];
    crypto.random.fill(&mut bytes)?;
    Ok(bytes)
}

/// What a list of components is to people: their ids, joined.
fn join(ids: impl IntoIterator<Item = impl core::fmt::Display>) -> alloc::string::String {
    use alloc::string::ToString;
    ids.into_iter().map(|id| id.to_string()).collect::<Vec<_>>().join(", ")
}

/// What a device wrote, fit for a log or a terminal: without control characters.
fn printable(text: &str) -> alloc::string::String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests;
