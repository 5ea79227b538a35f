//! What goes back: signed messages, HTTP statuses, and the event that is logged.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_cose::SignOptions;
use tamarack_crypto::Sign;
use tamarack_model::{Code, DeviceId, codes};
use tamarack_teep::http::Situation;
use tamarack_teep::{
    CipherSuite, DataItems, ErrCode, Message, QueryRequest, SuitCoseProfile, Update, freshness, sign,
    sign_all,
};

use crate::Tam;

/// The answer to one POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// 200 with this message.
    Transmit {
        /// A signed message of the protocol that was spoken.
        message: Vec<u8>,
        /// For the log.
        event: Event,
    },
    /// 200 with the providers' keys on the device, signed for its applications: the end of an exchange of OTrP whose sender
    /// asked for them.
    Keys {
        /// A JWS.
        message: Vec<u8>,
        /// For the log.
        event: Event,
    },
    /// 204: nothing to say.
    NoContent {
        /// For the log.
        event: Event,
    },
    /// An error status with an empty body and the code in a header.
    Refuse {
        /// HTTP status.
        status: u16,
        /// The stable code.
        code: Code,
        /// For the log.
        event: Event,
    },
}

impl Reply {
    /// What is to be logged.
    pub fn event(&self) -> &Event {
        match self {
            Self::Transmit { event, .. }
            | Self::Keys { event, .. }
            | Self::NoContent { event }
            | Self::Refuse { event, .. } => event,
        }
    }
}

/// What a request was about, as far as it was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An empty POST.
    Connect,
    /// A QueryResponse.
    QueryResponse,
    /// A Success.
    Success,
    /// An Error.
    Error,
    /// A GetDeviceStateResponse of OTrP.
    DeviceState,
    /// A response to another command of OTrP.
    CommandResponse,
    /// An OTrPBrokerError.
    BrokerError,
    /// Nothing that an Agent or Broker sends.
    Unknown,
}

impl Subject {
    /// Its name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::QueryResponse => "query-response",
            Self::Success => "success",
            Self::Error => "error",
            Self::DeviceState => "device-state",
            Self::CommandResponse => "command-response",
            Self::BrokerError => "broker-error",
            Self::Unknown => "unknown",
        }
    }
}

/// One line of log about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What the request was.
    pub subject: Subject,
    /// The code, if it was refused or reports a failure.
    pub code: Option<Code>,
    /// The device, once it is proven.
    pub device: Option<DeviceId>,
    /// The session, once there is one.
    pub session: Option<[u8; 16]>,
    /// What happened, in a sentence.
    pub text: String,
}

impl Event {
    /// An event about `subject` that says only what happened.
    pub(crate) fn new(subject: Subject, text: impl Into<String>) -> Self {
        Self { subject, code: None, device: None, session: None, text: text.into() }
    }
}

/// The err-code with which a TAM tells a device why it gets nothing. One row for each code that the exchange can end with;
/// what is not listed never reaches a device as an Update.
pub(crate) fn err_code(code: Code) -> ErrCode {
    match code {
        codes::EVIDENCE_ROLLED_BACK | codes::DEVICE_QUARANTINED | codes::RELEASE_DENIED => {
            ErrCode::PermanentError
        }
        // A policy that cannot be read or does not end is no fault of the device's.
        codes::STORE_FAILED
        | codes::OVERLOADED
        | codes::VERIFIER_UNAVAILABLE
        | codes::RELEASE_POLICY_INVALID
        | codes::RELEASE_POLICY_NAME
        | codes::RELEASE_POLICY_LIMIT
        | codes::RELEASE_POLICY_TIME
        | codes::RELEASE_POLICY_FAILED
        | codes::RELEASE_POLICY_RESULT
        | codes::RELEASE_UNKNOWN => ErrCode::TemporaryError,
        // Everything else that is wrong with what the device showed: it must show something better first.
        _ => ErrCode::AttestationRequired,
    }
}

/// Longest err-msg in bytes (section 4.4).
pub(crate) const MESSAGE_LIMIT: usize = 128;

/// The Update that gives a device nothing but the reason. It has no token, because nothing is kept of it.
pub(crate) fn refusing_update(code: Code, agent_nonce: Option<[u8; 16]>) -> Update {
    let title = code.info().map_or("refused", |info| info.title);
    let mut text = format!("{code} {title}");
    text.truncate(MESSAGE_LIMIT);
    Update { err_code: Some(err_code(code)), err_msg: Some(text), agent_nonce, ..Update::default() }
}

/// The first QueryRequest of a session (DESIGN decision 20): an empty POST names nobody, so it carries a signature of each
/// suite.
pub(crate) fn query_request(tam: &Tam, challenge: [u8; 32]) -> Result<Vec<u8>, tamarack_teep::Error> {
    let signers = &tam.config.signers;
    let message = Message::QueryRequest(QueryRequest {
        challenge: Some(challenge.to_vec()),
        supported_freshness_mechanisms: alloc::vec![freshness::NONCE],
        supported_teep_cipher_suites: signers
            .iter()
            .map(|signer| CipherSuite::of(signer.key.public_key().key_type()))
            .collect(),
        supported_suit_cose_profiles: SuitCoseProfile::LISTED.to_vec(),
        data_item_requested: ITEMS,
        evidence_key: tam.config.evidence_key.as_ref().map(|key| key.public_key()),
        ..QueryRequest::default()
    });
    let signers: Vec<(&dyn Sign, SignOptions<'_>)> = signers
        .iter()
        .map(|signer| {
            let options =
                SignOptions { kid: Some(&signer.kid.0), x5chain: &signer.x5chain, ..SignOptions::default() };
            (signer.key.as_ref(), options)
        })
        .collect();
    sign_all(&message, &signers)
}

/// What a QueryRequest asks for.
pub(crate) const ITEMS: DataItems =
    DataItems::ATTESTATION.and(DataItems::TRUSTED_COMPONENTS).and(DataItems::EXTENSIONS);

/// Signs an answer to a message that used `suite`, with the key of that suite; with the first key if it used none that is
/// known.
pub(crate) fn sign_update(
    tam: &Tam,
    update: Update,
    suite: Option<&CipherSuite>,
) -> Result<Vec<u8>, tamarack_teep::Error> {
    let signers = &tam.config.signers;
    let fits = |key: &dyn Sign| suite == Some(&CipherSuite::of(key.public_key().key_type()));
    let signer = signers.iter().find(|signer| fits(signer.key.as_ref())).or(signers.first());
    let signer = signer.ok_or(tamarack_teep::Error::Cose(tamarack_cose::Error::Signer))?;
    let options =
        SignOptions { kid: Some(&signer.kid.0), x5chain: &signer.x5chain, ..SignOptions::default() };
    sign(&Message::Update(update), signer.key.as_ref(), &options)
}

/// A refusal with the status of `situation`.
pub(crate) fn refuse(situation: Situation, code: Code, mut event: Event) -> Reply {
    event.code = Some(code);
    Reply::Refuse { status: situation.status(), code, event }
}

/// What is wrong inside the TAM, as a refusal.
pub(crate) fn failed(subject: Subject, code: Code, error: impl ToString) -> Reply {
    refuse(Situation::Failed, code, Event::new(subject, error.to_string()))
}
