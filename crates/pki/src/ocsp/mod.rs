//! An OCSP responder (RFC 6960) over the certificates of one authority.
//!
//! It knows what was revoked, not what was issued: every other serial number under its authority is good.

mod server;

use tamarack_crypto::Sign;
use tamarack_model::UnixTime;
use tamarack_x509::ocsp::{
    BasicResponse, CertId, Entry, Failure, IdHash, Request, ResponderId, Response, ResponseData, Status,
};

pub use server::Server;

use crate::{Authority, Error, Revocations, certificates_from_pem, load_key};

/// How long an answer holds by default: a day.
pub const LIFETIME: u64 = 86_400;

/// Signs answers about the certificates of one authority, as the authority itself or in its place.
pub struct Responder {
    issuer: Vec<u8>,
    signer: Box<dyn Sign>,
    id: ResponderId,
    /// What proves a responder in the authority's place.
    certificates: Vec<Vec<u8>>,
    lifetime: u64,
}

impl Responder {
    /// Answers with the authority's own key.
    pub fn new(authority: &Authority) -> Result<Self, Error> {
        let issuer = authority.cert_der().to_vec();
        let id = ResponderId::key_of(&issuer)?;
        Ok(Self {
            issuer,
            signer: load_key(authority.key_pem())?,
            id,
            certificates: Vec::new(),
            lifetime: LIFETIME,
        })
    }

    /// Answers in place of the authority whose certificate is `issuer` (DER), by what
    /// [`Authority::issue_responder`] gave for the key. So the authority's own key can stay offline.
    pub fn delegated(issuer: &[u8], certificate_pem: &str, key_pem: &str) -> Result<Self, Error> {
        let certificate = certificates_from_pem(certificate_pem)?.swap_remove(0);
        let signer = load_key(key_pem)?;
        if tamarack_x509::unvalidated_key(&certificate)? != signer.public_key() {
            return Err(Error::KeyMismatch);
        }
        let id = ResponderId::key_of(&certificate)?;
        Ok(Self { issuer: issuer.to_vec(), signer, id, certificates: vec![certificate], lifetime: LIFETIME })
    }

    /// The same with answers that hold so many seconds.
    pub fn with_lifetime(self, lifetime: u64) -> Self {
        Self { lifetime, ..self }
    }

    /// Answers a DER request; gives a DER response, whatever the request is.
    pub fn answer(&self, request: &[u8], revoked: &Revocations, now: UnixTime) -> Vec<u8> {
        let Ok(request) = Request::parse(request) else { return Failure::MalformedRequest.to_der() };
        self.respond(request, revoked, now).unwrap_or_else(|_| Failure::InternalError.to_der())
    }

    /// The answer about one certificate (DER) of the authority, without anybody asking: to be stapled.
    pub fn status(&self, certificate: &[u8], revoked: &Revocations, now: UnixTime) -> Result<Vec<u8>, Error> {
        let provider = tamarack_crypto_aws_lc::provider();
        tamarack_x509::issued_serial(certificate, &self.issuer, &provider).map_err(|_| Error::OtherIssuer)?;
        let id = CertId::new(certificate, &self.issuer, IdHash::Sha256, &provider)?;
        self.respond(Request { ids: vec![id], nonce: None }, revoked, now)
    }

    fn respond(&self, request: Request, revoked: &Revocations, now: UnixTime) -> Result<Vec<u8>, Error> {
        let provider = tamarack_crypto_aws_lc::provider();
        let [own_sha1, own_sha256] =
            [IdHash::Sha1, IdHash::Sha256].map(|hash| CertId::of_issuer(&self.issuer, hash, &provider));
        let (own_sha1, own_sha256) = (own_sha1?, own_sha256?);
        let entries = request.ids.into_iter().map(|id| {
            let own = match id.hash {
                IdHash::Sha1 => &own_sha1,
                IdHash::Sha256 => &own_sha256,
            };
            let is_own =
                id.issuer_name_hash == own.issuer_name_hash && id.issuer_key_hash == own.issuer_key_hash;
            let status = match revoked.find(&id.serial) {
                _ if !is_own => Status::Unknown,
                None => Status::Good,
                Some(entry) => Status::Revoked { at: entry.at, reason: Some(entry.reason.number()) },
            };
            Entry { id, status, this_update: now, next_update: Some(now.saturating_add(self.lifetime)) }
        });
        let data = ResponseData {
            responder: self.id.clone(),
            produced_at: now,
            entries: entries.collect(),
            nonce: request.nonce,
        };
        let basic = BasicResponse::sign(data, &*self.signer, self.certificates.clone())?;
        Ok(Response::Basic(basic).to_der()?)
    }
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Responder").field("id", &self.id).finish_non_exhaustive()
    }
}
