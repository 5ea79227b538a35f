//! TAMs that are not the TAM: one with its stolen keys, one with keys of its own.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tamarack_cbor::Limits;
use tamarack_cose::{Purpose, SignOptions, VerificationKey, thumbprint};
use tamarack_crypto::{Provider, Sign};
use tamarack_suit::{Reason, ReportResult, SignedReport};
use tamarack_teep::{
    CipherSuite, DataItems, ErrorMessage, Message, QueryRequest, QueryResponse, SignedMessage,
    SuitCoseProfile, Update, freshness, sign,
};

use super::relay::{Answer, Fate};
use super::world::{Refused, World};

/// Signs TEEP messages as a TAM.
#[derive(Clone)]
pub struct Impostor {
    key: Arc<dyn Sign>,
    kid: Vec<u8>,
    chain: Vec<Vec<u8>>,
    /// How its messages are recorded.
    pub author: &'static str,
}

impl Impostor {
    /// With these files.
    pub fn load(key_pem: &str, chain_pem: &str, author: &'static str, crypto: &Provider) -> Result<Self> {
        let key: Arc<dyn Sign> = tamarack_pki::load_key(key_pem)?.into();
        let kid = thumbprint(&key.public_key(), crypto).0.to_vec();
        Ok(Self { key, kid, chain: tamarack_pki::certificates_from_pem(chain_pem)?, author })
    }

    /// Its public key.
    pub fn public_key(&self) -> tamarack_crypto::PublicKey {
        self.key.public_key()
    }

    /// Its key, for whatever it may try with it.
    pub fn key(&self) -> &dyn Sign {
        &*self.key
    }

    /// Signs a message.
    pub fn sign(&self, message: &Message) -> Result<Vec<u8>> {
        let options = SignOptions { kid: Some(&self.kid), x5chain: &self.chain, ..SignOptions::default() };
        sign(message, &*self.key, &options).map_err(|e| anyhow::anyhow!("{e}"))
    }

    /// A QueryRequest that asks for everything.
    pub fn query_request(&self, challenge: Vec<u8>) -> Result<Vec<u8>> {
        let items = DataItems::ATTESTATION.and(DataItems::TRUSTED_COMPONENTS).and(DataItems::EXTENSIONS);
        self.sign(&Message::QueryRequest(QueryRequest {
            challenge: Some(challenge),
            supported_freshness_mechanisms: vec![freshness::NONCE],
            supported_teep_cipher_suites: vec![CipherSuite::of(self.key.public_key().key_type())],
            supported_suit_cose_profiles: SuitCoseProfile::LISTED.to_vec(),
            data_item_requested: items,
            ..QueryRequest::default()
        }))
    }
}

/// What came back from a device in an exchange with an impostor.
#[derive(Default)]
pub struct Exchange {
    /// Its QueryResponse, if it gave one.
    pub query_response: Option<QueryResponse>,
    /// Its last message, as sent.
    pub last: Vec<u8>,
    /// What the app that drove the exchange was told.
    pub told: Refused,
}

impl World {
    /// Device `name` checks for policy changes, and instead of the TAM the impostor answers: with a QueryRequest, then
    /// with the Update that `update` makes of the agent nonce.
    pub fn impersonate(
        &self,
        name: char,
        impostor: &Impostor,
        update: impl FnOnce(Option<[u8; 16]>) -> Update + Send + 'static,
    ) -> Result<Exchange> {
        let seen = Arc::new(Mutex::new(Exchange::default()));
        let (noted, impostor) = (seen.clone(), impostor.clone());
        let mut update = Some(update);
        let mut challenge = vec![0; 32];
        self.crypto.random.fill(&mut challenge).map_err(|e| anyhow::anyhow!("{e}"))?;
        let handler = move |_: char, body: &[u8], _: &super::relay::Tam| {
            if body.is_empty() {
                return Ok(Answer::message(impostor.query_request(challenge.clone())?, impostor.author));
            }
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.last = body.to_vec();
            let message = SignedMessage::parse(body, &Limits::default())
                .and_then(|message| message.unverified())
                .map_err(|e| anyhow::anyhow!("{e}"))?;
            match (message, update.take()) {
                (Message::QueryResponse(response), Some(update)) => {
                    let update = impostor.sign(&Message::Update(update(response.agent_nonce)))?;
                    noted.query_response = Some(response);
                    Ok(Answer::message(update, impostor.author))
                }
                _ => Ok(Answer::nothing()),
            }
        };
        let device = self.device(name)?;
        let told = self.relay.with(Box::new(handler), || device.policy_check())?;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Exchange { told, ..std::mem::take(&mut *seen) })
    }

    /// Device `name` connects to the real TAM, but its QueryResponse is answered with `old`, which never was for it now.
    pub fn replay_to(&self, name: char, old: Vec<u8>) -> Result<Exchange> {
        let seen = Arc::new(Mutex::new(Exchange::default()));
        let noted = seen.clone();
        let mut old = Some(old);
        let handler = move |_: char, body: &[u8], tam: &super::relay::Tam| {
            if body.is_empty() {
                return tam.forward(body);
            }
            noted.lock().unwrap_or_else(PoisonError::into_inner).last = body.to_vec();
            match old.take() {
                Some(old) => Ok(Answer::message(old, "tam").with(Fate::Replayed)),
                None => Ok(Answer::nothing()),
            }
        };
        let device = self.device(name)?;
        let told = self.relay.with(Box::new(handler), || device.policy_check())?;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Exchange { told, ..std::mem::take(&mut *seen) })
    }

    /// Reads the device's Error: it must be signed by the device's TEEP key.
    pub fn signed_error(&self, name: char, message: &[u8]) -> Result<ErrorMessage> {
        let key = self.device(name)?.teep_key.context("no Evidence has shown the device's TEEP key yet")?;
        let key = VerificationKey::new(key, Purpose::TeepMessage, &self.crypto);
        let signed = SignedMessage::parse(message, &Limits::default()).map_err(|e| anyhow::anyhow!("{e}"))?;
        let verified = signed.verify(&[key], &self.crypto).map_err(|e| anyhow::anyhow!("{e}"))?;
        match verified.into_value() {
            Message::Error(error) => Ok(error),
            other => {
                anyhow::bail!("the device did not answer with an Error but with type {}", type_of(&other))
            }
        }
    }

    /// Reads code and reason of the failure in an Error's report, which must be signed by the device's report key.
    pub fn signed_reason(&self, name: char, error: &ErrorMessage) -> Result<(i64, Reason)> {
        let key = self.device(name)?.identity()?.report_key;
        let key = VerificationKey::new(key, Purpose::SuitReport, &self.crypto);
        let report = error.suit_reports.first().context("the Error carries no report")?;
        let signed = SignedReport::parse(report, &Limits::default()).map_err(|e| anyhow::anyhow!("{e}"))?;
        let verified = signed.verify(&[key], &self.crypto).map_err(|e| anyhow::anyhow!("{e}"))?;
        match verified.into_value().result {
            ReportResult::Failure { code, reason, .. } => Ok((code, reason)),
            ReportResult::Success => anyhow::bail!("the report says success"),
        }
    }
}

fn type_of(message: &Message) -> u8 {
    message.message_type().number()
}
