use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encoder, ErrorKind};
use tamarack_cose::CoseKey;
use tamarack_crypto::PublicKey;

use crate::option::{self, Options, label};
use crate::{CipherSuite, DataItems, Error, SuitCoseProfile, Token};

/// QueryRequest (section 4.2), type 1, from the TAM: asks the Agent what it is and what it holds.
///
/// | element | type |
/// |---|---|
/// | 1 options | 20 token, 21 supported-freshness-mechanisms, 2 challenge, 3 versions, 13 attestation-payload-format, 7 attestation-payload, 19 suit-reports, 257 evidence-key |
/// | 2 supported-teep-cipher-suites | at least one |
/// | 3 supported-suit-cose-profiles | at least one |
/// | 4 data-item-requested | bits |
///
/// Lists in options are left out when empty. challenge and supported-freshness-mechanisms are refused when attestation
/// is not asked for. A token beside a challenge is tolerated, as the draft's own example has a token where its text
/// forbids one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryRequest {
    /// 8 to 64 bytes; the answer repeats it.
    pub token: Option<Token>,
    /// Numbers of [`crate::freshness`]; empty means the nonce mechanism only.
    pub supported_freshness_mechanisms: Vec<u64>,
    /// 8 to 512 bytes that Evidence must contain.
    pub challenge: Option<Vec<u8>>,
    /// Versions that the TAM speaks; empty means version 0 only.
    pub versions: Vec<u32>,
    /// Media type of `attestation_payload`.
    pub attestation_payload_format: Option<String>,
    /// What the TAM shows about itself.
    pub attestation_payload: Option<Vec<u8>>,
    /// Encoded SUIT reports about the TAM.
    pub suit_reports: Vec<Vec<u8>>,
    /// P-256 key that Evidence is to be encrypted to (our extension, [`crate::EVIDENCE_KEY_LABEL`]).
    pub evidence_key: Option<PublicKey>,
    /// Suites that the TAM supports, at least one.
    pub supported_teep_cipher_suites: Vec<CipherSuite>,
    /// Profiles in which the TAM takes SUIT reports, at least one.
    pub supported_suit_cose_profiles: Vec<SuitCoseProfile>,
    /// What is asked for.
    pub data_item_requested: DataItems,
}

impl QueryRequest {
    pub(super) fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut m = Self::default();
        let mut challenge_at = None;
        option::read(d, |number, d| {
            match number {
                label::TOKEN => m.token = Some(option::token(d)?),
                label::SUPPORTED_FRESHNESS_MECHANISMS => {
                    challenge_at = Some(d.position());
                    m.supported_freshness_mechanisms = option::list(d, Decoder::uint)?;
                }
                label::CHALLENGE => {
                    challenge_at = Some(d.position());
                    m.challenge = Some(option::challenge(d)?);
                }
                label::VERSIONS => m.versions = option::list(d, option::uint32)?,
                label::ATTESTATION_PAYLOAD_FORMAT => m.attestation_payload_format = Some(d.text()?.into()),
                label::ATTESTATION_PAYLOAD => m.attestation_payload = Some(d.bytes()?.to_vec()),
                label::SUIT_REPORTS => m.suit_reports = option::byte_strings(d)?,
                label::EVIDENCE_KEY => m.evidence_key = Some(evidence_key(d)?),
                _ => option::skip(d)?,
            }
            Ok(())
        })?;
        m.supported_teep_cipher_suites =
            option::list_of(d).map_err(Error::in_element("supported-teep-cipher-suites"))?;
        m.supported_suit_cose_profiles =
            option::list_of(d).map_err(Error::in_element("supported-suit-cose-profiles"))?;
        m.data_item_requested = DataItems::decode(d).map_err(Error::in_element("data-item-requested"))?;
        match challenge_at {
            Some(at) if !m.data_item_requested.contains(DataItems::ATTESTATION) => {
                let kind = ErrorKind::Value("neither challenge nor freshness mechanisms without attestation");
                Err(Error::Element { name: "challenge", error: tamarack_cbor::Error::new(at, kind) })
            }
            _ => Ok(m),
        }
    }

    pub(super) fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            Options(map)
                .bytes(label::TOKEN, self.token.as_deref())
                .list(label::SUPPORTED_FRESHNESS_MECHANISMS, &self.supported_freshness_mechanisms, |e, n| {
                    e.uint(*n)
                })
                .bytes(label::CHALLENGE, self.challenge.as_deref())
                .list(label::VERSIONS, &self.versions, |e, n| e.uint((*n).into()))
                .text(label::ATTESTATION_PAYLOAD_FORMAT, self.attestation_payload_format.as_deref())
                .bytes(label::ATTESTATION_PAYLOAD, self.attestation_payload.as_deref())
                .byte_strings(label::SUIT_REPORTS, &self.suit_reports);
            map.optional(crate::EVIDENCE_KEY_LABEL, self.evidence_key, |e, key| e.item(&CoseKey(key)));
        });
        e.array(self.supported_teep_cipher_suites.len());
        self.supported_teep_cipher_suites.iter().fold(&mut *e, |e, suite| e.item(suite));
        e.array(self.supported_suit_cose_profiles.len());
        self.supported_suit_cose_profiles.iter().fold(&mut *e, |e, profile| e.item(profile));
        e.item(&self.data_item_requested);
    }
}

fn evidence_key(d: &mut Decoder<'_>) -> Result<PublicKey, tamarack_cbor::Error> {
    let at = d.position();
    match CoseKey::decode(d)?.0 {
        key @ PublicKey::P256 { .. } => Ok(key),
        PublicKey::Ed25519(_) => {
            Err(tamarack_cbor::Error::new(at, ErrorKind::Value("a key of P-256, which one can encrypt to")))
        }
    }
}
