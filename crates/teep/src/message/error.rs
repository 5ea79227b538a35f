use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encoder};
use tamarack_model::HeldBack;

use crate::option::{self, Options, label};
use crate::{CipherSuite, ErrCode, Error, SuitCoseProfile, Token};

/// Error (section 4.6), type 6, from the Agent: a QueryRequest could not be answered or an Update not be carried out.
///
/// | element | type |
/// |---|---|
/// | 1 options | 20 token, 12 err-msg, 22 err-lang, 1 supported-teep-cipher-suites, 21 supported-freshness-mechanisms, 4 supported-suit-cose-profiles, 2 challenge, 3 versions, 19 suit-reports, 258 owner-policy |
/// | 2 err-code | 1 to 10, or 17 |
///
/// With err-code 5 the cipher suites, with 3 the freshness mechanisms, with 4 the versions and with 8 the profiles that
/// the Agent supports must be there: [`ErrorMessage::lacks_alternatives`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorMessage {
    /// That of the message that failed.
    pub token: Option<Token>,
    /// The reason in words, 1 to 128 bytes.
    pub err_msg: Option<String>,
    /// Language of `err_msg`, 1 to 35 bytes; absent means English.
    pub err_lang: Option<String>,
    /// Suites of the Agent.
    pub supported_teep_cipher_suites: Vec<CipherSuite>,
    /// Numbers of [`crate::freshness`] that the Agent supports.
    pub supported_freshness_mechanisms: Vec<u64>,
    /// Profiles of the Agent.
    pub supported_suit_cose_profiles: Vec<SuitCoseProfile>,
    /// 8 to 512 bytes that an attestation payload of the TAM must contain.
    pub challenge: Option<Vec<u8>>,
    /// Versions of the Agent.
    pub versions: Vec<u32>,
    /// Encoded SUIT reports about the manifests of the Update.
    pub suit_reports: Vec<Vec<u8>>,
    /// What the device's owner withholds of what this TAM has or wants there, as it is now.
    pub owner_policy: Vec<HeldBack>,
    /// The reason.
    pub err_code: ErrCode,
}

impl ErrorMessage {
    /// An error with this code and nothing else.
    pub fn new(err_code: ErrCode) -> Self {
        Self {
            token: None,
            err_msg: None,
            err_lang: None,
            supported_teep_cipher_suites: Vec::new(),
            supported_freshness_mechanisms: Vec::new(),
            supported_suit_cose_profiles: Vec::new(),
            challenge: None,
            versions: Vec::new(),
            suit_reports: Vec::new(),
            owner_policy: Vec::new(),
            err_code,
        }
    }

    /// Whether the error says "not supported" without saying what is, which section 4.6 forbids to senders.
    pub fn lacks_alternatives(&self) -> bool {
        match self.err_code {
            ErrCode::UnsupportedCipherSuites => self.supported_teep_cipher_suites.is_empty(),
            ErrCode::UnsupportedFreshnessMechanisms => self.supported_freshness_mechanisms.is_empty(),
            ErrCode::UnsupportedMsgVersion => self.versions.is_empty(),
            ErrCode::UnsupportedSuitReport => self.supported_suit_cose_profiles.is_empty(),
            ErrCode::PermanentError
            | ErrCode::UnsupportedExtension
            | ErrCode::BadCertificate
            | ErrCode::AttestationRequired
            | ErrCode::CertificateExpired
            | ErrCode::TemporaryError
            | ErrCode::ManifestProcessingFailed => false,
        }
    }

    pub(super) fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        // The code comes last and replaces this one.
        let mut m = Self::new(ErrCode::PermanentError);
        option::read(d, |number, d| {
            match number {
                label::TOKEN => m.token = Some(option::token(d)?),
                label::ERR_MSG => m.err_msg = Some(option::message_text(d)?),
                label::ERR_LANG => m.err_lang = Some(option::language(d)?),
                label::SUPPORTED_TEEP_CIPHER_SUITES => m.supported_teep_cipher_suites = option::list_of(d)?,
                label::SUPPORTED_FRESHNESS_MECHANISMS => {
                    m.supported_freshness_mechanisms = option::list(d, Decoder::uint)?;
                }
                label::SUPPORTED_SUIT_COSE_PROFILES => m.supported_suit_cose_profiles = option::list_of(d)?,
                label::CHALLENGE => m.challenge = Some(option::challenge(d)?),
                label::VERSIONS => m.versions = option::list(d, option::uint32)?,
                label::SUIT_REPORTS => m.suit_reports = option::byte_strings(d)?,
                label::OWNER_POLICY => m.owner_policy = option::list(d, option::withheld)?,
                _ => option::skip(d)?,
            }
            Ok(())
        })?;
        m.err_code = ErrCode::decode(d).map_err(Error::in_element("err-code"))?;
        Ok(m)
    }

    pub(super) fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            Options(map)
                .bytes(label::TOKEN, self.token.as_deref())
                .text(label::ERR_MSG, self.err_msg.as_deref())
                .text(label::ERR_LANG, self.err_lang.as_deref())
                .items(label::SUPPORTED_TEEP_CIPHER_SUITES, &self.supported_teep_cipher_suites)
                .list(label::SUPPORTED_FRESHNESS_MECHANISMS, &self.supported_freshness_mechanisms, |e, n| {
                    e.uint(*n)
                })
                .items(label::SUPPORTED_SUIT_COSE_PROFILES, &self.supported_suit_cose_profiles)
                .bytes(label::CHALLENGE, self.challenge.as_deref())
                .list(label::VERSIONS, &self.versions, |e, n| e.uint((*n).into()))
                .byte_strings(label::SUIT_REPORTS, &self.suit_reports)
                .list(label::OWNER_POLICY, &self.owner_policy, option::write_withheld);
        });
        e.item(&self.err_code);
    }
}
