use alloc::vec::Vec;
use core::time::Duration;

use der::asn1::{AnyRef, GeneralizedTime, ObjectIdentifier, OctetString};
use der::{Decode, Encode, Error, ErrorKind, Reader, SliceReader, Tagged};
use tamarack_crypto::{KeyType, Sign};
use tamarack_model::UnixTime;

use super::cert_id::sha1;
use super::extension::{NONCE, decode_extensions, encode_nonce};
use super::request::check_version;
use super::{CertId, MAX_ENTRIES, MAX_RESPONSE, OcspError};
use crate::raw;
use crate::signature::Scheme;

const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
const MAX_CERTIFICATES: usize = 4;

/// An OCSP response (RFC 6960 section 4.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// A signed answer.
    Basic(BasicResponse),
    /// The responder gave no answer.
    Failed(Failure),
}

/// Why a responder gave no answer (`OCSPResponseStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It could not read the request.
    MalformedRequest,
    /// It failed.
    InternalError,
    /// It cannot answer now.
    TryLater,
    /// It wants signed requests.
    SignatureRequired,
    /// It does not answer this client, or not for this certificate.
    Unauthorized,
}

impl Failure {
    const ALL: [Self; 5] = [
        Self::MalformedRequest,
        Self::InternalError,
        Self::TryLater,
        Self::SignatureRequired,
        Self::Unauthorized,
    ];

    fn number(self) -> u8 {
        match self {
            Self::MalformedRequest => 1,
            Self::InternalError => 2,
            Self::TryLater => 3,
            Self::SignatureRequired => 5,
            Self::Unauthorized => 6,
        }
    }

    /// The unsigned response that says so.
    pub fn to_der(self) -> Vec<u8> {
        raw::tlv(raw::SEQUENCE, &[&raw::tlv(ENUMERATED, &[&[self.number()]])])
    }
}

/// A signed answer. It is only as good as [`check`](super::check) finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicResponse {
    /// What was signed.
    pub data: ResponseData,
    /// Certificates that come along to prove a delegated responder, DER.
    pub certificates: Vec<Vec<u8>>,
    pub(super) signed: Vec<u8>,
    pub(super) algorithm: ObjectIdentifier,
    pub(super) signature: Vec<u8>,
}

/// The signed part of an answer (`ResponseData`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseData {
    /// Who answers.
    pub responder: ResponderId,
    /// When the answer was signed.
    pub produced_at: UnixTime,
    /// At most [`MAX_ENTRIES`] statuses.
    pub entries: Vec<Entry>,
    /// The nonce of the request.
    pub nonce: Option<Vec<u8>>,
}

/// How a responder names itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponderId {
    /// By the DER of its certificate's subject.
    Name(Vec<u8>),
    /// By the SHA-1 hash of the bits of its public key.
    Key([u8; 20]),
}

impl ResponderId {
    /// Names the responder with this certificate by its key.
    pub fn key_of(certificate: &[u8]) -> Result<Self, OcspError> {
        let certificate = raw::Certificate::read(certificate).map_err(|_| OcspError::Malformed)?;
        Ok(Self::Key(sha1(certificate.key)))
    }

    pub(super) fn is(&self, certificate: &raw::Certificate<'_>) -> bool {
        match self {
            Self::Name(name) => name == certificate.subject,
            Self::Key(hash) => *hash == sha1(certificate.key),
        }
    }
}

/// What an answer says of one certificate (`SingleResponse`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which certificate.
    pub id: CertId,
    /// What is known of it.
    pub status: Status,
    /// From when this is known.
    pub this_update: UnixTime,
    /// When something newer will be known.
    pub next_update: Option<UnixTime>,
}

/// The status of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is not revoked.
    Good,
    /// It is revoked.
    Revoked {
        /// Since when.
        at: UnixTime,
        /// A reason code of RFC 5280 section 5.3.1.
        reason: Option<u8>,
    },
    /// The responder does not know it.
    Unknown,
}

impl Response {
    /// Reads a DER response of at most [`MAX_RESPONSE`] bytes. Nothing in it is verified.
    pub fn parse(der: &[u8]) -> Result<Self, OcspError> {
        if der.len() > MAX_RESPONSE {
            return Err(OcspError::Malformed);
        }
        Self::decode(der).map_err(|_| OcspError::Malformed)
    }

    fn decode(der: &[u8]) -> Result<Self, Error> {
        let mut reader = raw::body(der)?;
        let status = AnyRef::decode(&mut reader)?;
        let [number] = status.value() else { return Err(der::Tag::Enumerated.value_error().into()) };
        status.tag().assert_eq(der::Tag::Enumerated)?;
        let bytes = raw::explicit(&mut reader, 0)?;
        reader.finish()?;
        match (*number, bytes) {
            (0, Some(bytes)) => BasicResponse::decode(bytes).map(Self::Basic),
            (number, None) => {
                let failure = Failure::ALL.into_iter().find(|failure| failure.number() == number);
                failure.map(Self::Failed).ok_or_else(|| der::Tag::Enumerated.value_error().into())
            }
            _ => Err(der::Tag::Enumerated.value_error().into()),
        }
    }

    /// The response as DER.
    pub fn to_der(&self) -> Result<Vec<u8>, OcspError> {
        match self {
            Self::Basic(basic) => basic.encode().map_err(|_| OcspError::Malformed),
            Self::Failed(failure) => Ok(failure.to_der()),
        }
    }
}

impl BasicResponse {
    /// Signs `data`. `certificates` are those that a delegated responder needs.
    pub fn sign(
        data: ResponseData,
        signer: &dyn Sign,
        certificates: Vec<Vec<u8>>,
    ) -> Result<Self, OcspError> {
        let signed = data.to_der().map_err(|_| OcspError::Malformed)?;
        let raw = signer.sign(&signed).map_err(|_| OcspError::Signature { index: 0 })?;
        let (scheme, signature) = match signer.public_key().key_type() {
            KeyType::P256 => (Scheme::P256, crate::ecdsa_to_der(&raw).map_err(|_| OcspError::Malformed)?),
            KeyType::Ed25519 => (Scheme::Ed25519, raw.to_vec()),
        };
        Ok(Self { data, certificates, signed, algorithm: scheme.identifier(), signature })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = raw::body(bytes)?;
        let kind = ObjectIdentifier::decode(&mut reader)?;
        if kind != BASIC {
            return Err(ErrorKind::OidUnknown { oid: kind }.into());
        }
        let response = OctetString::decode(&mut reader)?;
        reader.finish()?;
        let frame = raw::Signed::read(response.as_bytes())?;
        let mut rest = SliceReader::new(frame.rest)?;
        let mut certificates = Vec::new();
        if let Some(list) = raw::explicit(&mut rest, 0)? {
            let mut list = raw::body(list)?;
            while !list.is_finished() {
                certificates.push(list.tlv_bytes()?.to_vec());
            }
        }
        rest.finish()?;
        if certificates.len() > MAX_CERTIFICATES {
            return Err(ErrorKind::Overlength.into());
        }
        Ok(Self {
            data: ResponseData::decode(frame.content)?,
            certificates,
            signed: frame.content.to_vec(),
            algorithm: frame.algorithm,
            signature: frame.signature.to_vec(),
        })
    }

    fn encode(&self) -> Result<Vec<u8>, Error> {
        let algorithm = raw::tlv(raw::SEQUENCE, &[&self.algorithm.to_der()?]);
        let signature = raw::tlv(raw::BIT_STRING, &[&[0], &self.signature]);
        let certificates = match &self.certificates[..] {
            [] => Vec::new(),
            list => raw::tlv(0xa0, &[&raw::tlv(raw::SEQUENCE, &[&list.concat()])]),
        };
        let basic = raw::tlv(raw::SEQUENCE, &[&self.signed, &algorithm, &signature, &certificates]);
        let bytes = raw::tlv(raw::SEQUENCE, &[&BASIC.to_der()?, &raw::tlv(raw::OCTET_STRING, &[&basic])]);
        let status = raw::tlv(ENUMERATED, &[&[0]]);
        Ok(raw::tlv(raw::SEQUENCE, &[&status, &raw::tlv(0xa0, &[&bytes])]))
    }
}

impl ResponseData {
    fn decode(der: &[u8]) -> Result<Self, Error> {
        let mut reader = raw::body(der)?;
        check_version(raw::explicit(&mut reader, 0)?)?;
        let responder = if let Some(name) = raw::explicit(&mut reader, 1)? {
            raw::body(name)?;
            ResponderId::Name(name.to_vec())
        } else if let Some(key) = raw::explicit(&mut reader, 2)? {
            let hash = OctetString::from_der(key)?;
            ResponderId::Key(hash.as_bytes().try_into().map_err(|_| ErrorKind::Overlength)?)
        } else {
            return Err(der::Tag::Sequence.value_error().into());
        };
        let produced_at = time(&mut reader)?;
        let mut list = raw::body(reader.tlv_bytes()?)?;
        let mut entries = Vec::new();
        while !list.is_finished() {
            entries.push(Entry::decode(list.tlv_bytes()?)?);
            if entries.len() > MAX_ENTRIES {
                return Err(ErrorKind::Overlength.into());
            }
        }
        let nonce = match raw::explicit(&mut reader, 1)? {
            Some(extensions) => decode_extensions(extensions, &[NONCE])?.into_iter().next(),
            None => None,
        };
        reader.finish()?;
        Ok(Self { responder, produced_at, entries, nonce })
    }

    fn to_der(&self) -> Result<Vec<u8>, Error> {
        let responder = match &self.responder {
            ResponderId::Name(name) => raw::tlv(0xa1, &[name]),
            ResponderId::Key(hash) => raw::tlv(0xa2, &[&raw::tlv(raw::OCTET_STRING, &[hash])]),
        };
        let mut entries = Vec::new();
        for entry in &self.entries {
            entries.extend(entry.to_der()?);
        }
        let nonce = match &self.nonce {
            Some(nonce) => raw::tlv(0xa1, &[&encode_nonce(nonce)?]),
            None => Vec::new(),
        };
        let list = raw::tlv(raw::SEQUENCE, &[&entries]);
        Ok(raw::tlv(raw::SEQUENCE, &[&responder, &encode_time(self.produced_at)?, &list, &nonce]))
    }
}

impl Entry {
    fn decode(der: &[u8]) -> Result<Self, Error> {
        let mut reader = raw::body(der)?;
        let id = CertId::decode(&mut reader)?;
        let tag = reader.peek_byte();
        let status = AnyRef::decode(&mut reader)?;
        let status = match (tag.unwrap_or_default(), status.value()) {
            (GOOD, []) => Status::Good,
            (REVOKED, body) => {
                let mut body = SliceReader::new(body)?;
                let at = time(&mut body)?;
                let reason = match raw::explicit(&mut body, 0)? {
                    Some([ENUMERATED, 1, reason]) => Some(*reason),
                    Some(_) => return Err(der::Tag::Enumerated.value_error().into()),
                    None => None,
                };
                body.finish()?;
                Status::Revoked { at, reason }
            }
            (UNKNOWN, []) => Status::Unknown,
            _ => return Err(status.tag().value_error().into()),
        };
        let this_update = time(&mut reader)?;
        let next_update = match raw::explicit(&mut reader, 0)? {
            Some(next) => Some(seconds(GeneralizedTime::from_der(next)?)),
            None => None,
        };
        if let Some(extensions) = raw::explicit(&mut reader, 1)? {
            decode_extensions(extensions, &[])?;
        }
        reader.finish()?;
        Ok(Self { id, status, this_update, next_update })
    }

    fn to_der(&self) -> Result<Vec<u8>, Error> {
        let status = match self.status {
            Status::Good => raw::tlv(GOOD, &[]),
            Status::Revoked { at, reason } => {
                let reason = match reason {
                    Some(reason) => raw::tlv(0xa0, &[&raw::tlv(ENUMERATED, &[&[reason]])]),
                    None => Vec::new(),
                };
                raw::tlv(REVOKED, &[&encode_time(at)?, &reason])
            }
            Status::Unknown => raw::tlv(UNKNOWN, &[]),
        };
        let next = match self.next_update {
            Some(next) => raw::tlv(0xa0, &[&encode_time(next)?]),
            None => Vec::new(),
        };
        let parts = [&self.id.to_der()?[..], &status, &encode_time(self.this_update)?, &next];
        Ok(raw::tlv(raw::SEQUENCE, &parts))
    }
}

const ENUMERATED: u8 = 0x0a;
const GOOD: u8 = 0x80;
const REVOKED: u8 = 0xa1;
const UNKNOWN: u8 = 0x82;

fn time(reader: &mut SliceReader<'_>) -> Result<UnixTime, Error> {
    GeneralizedTime::decode(reader).map(seconds)
}

fn seconds(time: GeneralizedTime) -> UnixTime {
    time.to_unix_duration().as_secs()
}

fn encode_time(at: UnixTime) -> Result<Vec<u8>, Error> {
    GeneralizedTime::from_unix_duration(Duration::from_secs(at))?.to_der()
}
