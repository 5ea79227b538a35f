use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use tamarack_cose::SignOptions;
use tamarack_crypto::{Provider, Sign};
use tamarack_model::{Code, HeldBack, OwnerSays, codes};
use tamarack_tee::{Persona, Platform};
use tamarack_teep::{
    CipherSuite, ErrCode, ErrorMessage, Message, Success, SuitCoseProfile, Token, freshness,
};

use crate::Error;
use crate::engine::Refused;

/// Most bytes of err-msg.
const MAX_MESSAGE: usize = 128;

/// Why a message is answered by an Error.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// It is malformed or its signature does not verify.
    Message(tamarack_teep::Error),
    /// No trust anchor vouches for its sender.
    UnknownTam,
    /// The sender's certificate will not do.
    Certificate(tamarack_x509::Error),
    /// It is of a type that only Agents send.
    WrongType,
    /// No version in common.
    Version,
    /// No cipher suite in common.
    CipherSuite,
    /// No freshness mechanism in common, or nothing to make Evidence fresh with.
    Freshness,
    /// No profile for SUIT reports in common.
    SuitProfile,
    /// The TAM asks for Evidence too often (security rule C7).
    TooOften,
    /// Another Update is being carried out.
    Busy,
    /// The Update is not bound to an exchange with this device (security rule C6).
    NotBound,
    /// The Update was carried out before, and what it concerned has changed since (security rule R5).
    Stale,
    /// A manifest was refused or failed.
    Manifest { code: Code, detail: String, report: Option<Vec<u8>> },
    /// The device's owner withholds something. What is not withheld was done.
    Owner { says: OwnerSays, detail: String, reports: Vec<Vec<u8>>, policy: Vec<HeldBack> },
    /// The device failed.
    Device(Error),
}

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Message(e) => e.code(),
            Self::UnknownTam => codes::TAM_NOT_TRUSTED,
            Self::Certificate(e) => e.code(),
            Self::WrongType | Self::Stale => codes::TEEP_UNEXPECTED,
            Self::Version => codes::TEEP_VERSION,
            Self::CipherSuite => codes::TEEP_CIPHER_SUITE,
            Self::Freshness => codes::TEEP_FRESHNESS,
            Self::SuitProfile => codes::TEEP_CIPHER_SUITE,
            Self::TooOften => codes::OVERLOADED,
            Self::Busy => codes::DEVICE_BUSY,
            Self::NotBound => codes::TEEP_NOT_BOUND,
            Self::Manifest { code, .. } => *code,
            Self::Owner { says, .. } => says.code(),
            Self::Device(e) => e.code(),
        }
    }

    /// The one mapping from what went wrong to "TEEP Error Codes" (draft section 4.6).
    pub fn err_code(&self) -> ErrCode {
        match self {
            Self::Message(tamarack_teep::Error::Cose(tamarack_cose::Error::KeyUnknown)) => {
                ErrCode::BadCertificate
            }
            Self::Message(_) | Self::WrongType => ErrCode::PermanentError,
            Self::UnknownTam => ErrCode::BadCertificate,
            Self::Certificate(
                tamarack_x509::Error::Expired { .. } | tamarack_x509::Error::NotYetValid { .. },
            ) => ErrCode::CertificateExpired,
            Self::Certificate(_) => ErrCode::BadCertificate,
            Self::Version => ErrCode::UnsupportedMsgVersion,
            Self::CipherSuite => ErrCode::UnsupportedCipherSuites,
            Self::Freshness => ErrCode::UnsupportedFreshnessMechanisms,
            Self::SuitProfile => ErrCode::UnsupportedSuitReport,
            Self::TooOften | Self::Busy | Self::Device(_) => ErrCode::TemporaryError,
            // Its fields contradict the exchange; a new exchange helps, repeating this message does not.
            Self::NotBound | Self::Stale => ErrCode::PermanentError,
            Self::Manifest { .. } => ErrCode::ManifestProcessingFailed,
            // The draft has no word for it. 17 lets a TAM go on with what does not depend on the manifest; 10 lets it send the
            // same again later, which is what a consent that is still to come asks for.
            Self::Owner { says: OwnerSays::Refused, .. } => ErrCode::ManifestProcessingFailed,
            Self::Owner { says: OwnerSays::Deferred, .. } => ErrCode::TemporaryError,
        }
    }
}

impl From<Error> for Refusal {
    fn from(e: Error) -> Self {
        Self::Device(e)
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotBound => Self::NotBound,
            Refused::Manifest { code, detail, report } => Self::Manifest { code, detail, report },
            Refused::Intent { code, detail } => Self::Manifest { code, detail, report: None },
            Refused::Device(e) => Self::Device(e),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(e) => e.fmt(f),
            Self::UnknownTam => f.write_str("no trust anchor of this device vouches for the sender"),
            Self::Certificate(e) => e.fmt(f),
            Self::WrongType => f.write_str("a TAM sends QueryRequest and Update only"),
            Self::Version => f.write_str("version 0 is spoken here"),
            Self::CipherSuite => f.write_str("no cipher suite in common"),
            Self::Freshness => f.write_str("Evidence needs a nonce of 8 to 64 bytes"),
            Self::SuitProfile => f.write_str("no profile for SUIT reports in common"),
            Self::TooOften => f.write_str("Evidence was asked for too often"),
            Self::Busy => f.write_str("an Update is being processed"),
            Self::NotBound => f.write_str("the Update is not bound to this device's exchange"),
            Self::Stale => f.write_str("stale: what this Update concerned has changed since it was answered"),
            Self::Manifest { detail, .. } | Self::Owner { detail, .. } => f.write_str(detail),
            Self::Device(e) => e.fmt(f),
        }
    }
}

/// The profile of this device's reports.
pub(crate) fn report_profiles(platform: &dyn Platform) -> Vec<SuitCoseProfile> {
    let algorithm = tamarack_cose::Algorithm::of(platform.key_type()).label();
    SuitCoseProfile::LISTED.into_iter().filter(|profile| profile.labels()[1] == algorithm).collect()
}

/// The cipher suite of this device's messages.
pub(crate) fn cipher_suite(platform: &dyn Platform) -> CipherSuite {
    CipherSuite::of(platform.key_type())
}

/// The Error that answers a message with `token`, with the options that its code demands.
pub(crate) fn error(platform: &dyn Platform, refusal: &Refusal, token: Option<Token>) -> Message {
    let err_code = refusal.err_code();
    let mut err_msg = alloc::format!("{}: {refusal}", refusal.code());
    while err_msg.len() > MAX_MESSAGE {
        err_msg.pop();
    }
    let when = |code: ErrCode| err_code == code;
    let (suit_reports, owner_policy) = match refusal {
        Refusal::Manifest { report, .. } => (Vec::from_iter(report.clone()), Vec::new()),
        Refusal::Owner { reports, policy, .. } => (reports.clone(), policy.clone()),
        _ => (Vec::new(), Vec::new()),
    };
    Message::Error(ErrorMessage {
        token,
        err_msg: Some(err_msg),
        err_lang: Some("en".to_string()),
        supported_teep_cipher_suites: Vec::from_iter(
            when(ErrCode::UnsupportedCipherSuites).then(|| cipher_suite(platform)),
        ),
        supported_freshness_mechanisms: Vec::from_iter(
            when(ErrCode::UnsupportedFreshnessMechanisms).then_some(freshness::NONCE),
        ),
        supported_suit_cose_profiles: match when(ErrCode::UnsupportedSuitReport) {
            true => report_profiles(platform),
            false => Vec::new(),
        },
        challenge: None,
        versions: Vec::from_iter(when(ErrCode::UnsupportedMsgVersion).then_some(tamarack_teep::VERSION)),
        suit_reports,
        owner_policy,
        err_code,
    })
}

/// The Error that goes to somebody whom no trust anchor vouches for (security rule E5): code and text of the refusal, the
/// token if the message had one, and nothing that tells which device, or that two answers came from the same one. It is
/// signed, because every TEEP message is, with a key that is made for it and forgotten.
pub(crate) fn anonymous_error(
    platform: &dyn Platform,
    provider: &Provider,
    refusal: &Refusal,
    token: Option<Token>,
) -> Result<Vec<u8>, Error> {
    let pkcs8 = provider.keys.generate_pkcs8(platform.key_type())?;
    let key = provider.keys.load_pkcs8(pkcs8.expose())?;
    let message = match error(platform, refusal, token) {
        // What exactly is wrong is for the device's own log.
        Message::Error(error) => Message::Error(ErrorMessage { err_msg: None, err_lang: None, ..error }),
        other => other,
    };
    sign_with(&message, &*key)
}

/// The Success that answers an Update.
pub(crate) fn success(token: Option<Token>, suit_reports: Vec<Vec<u8>>) -> Message {
    Message::Success(Success { token, msg: None, suit_reports })
}

/// Signs a message with the TEEP key of a persona. Without a kid: a TAM knows by the token, or by the Evidence, whose it is,
/// and whoever carries the message learns nothing from it (security rule E5).
pub(crate) fn sign(platform: &dyn Platform, persona: Persona, message: &Message) -> Result<Vec<u8>, Error> {
    sign_with(message, platform.teep_key(persona)?)
}

fn sign_with(message: &Message, key: &dyn Sign) -> Result<Vec<u8>, Error> {
    tamarack_teep::sign(message, key, &SignOptions::default()).map_err(|_| Error::Signing)
}
