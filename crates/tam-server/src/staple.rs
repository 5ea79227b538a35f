//! The status of the TAM's own certificates, which OTrP sends along ("OCSP stapling"): fetched, verified as a device would
//! verify it, and renewed when half of its time is over.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tamarack_crypto::Provider;
use tamarack_model::{UnixTime, codes};
use tamarack_tam::Staple;
use tamarack_x509::AnyChain;
use tamarack_x509::ocsp::{
    CertId, Freshness, IdHash, MAX_RESPONSE, OcspError, REQUEST_TYPE, RESPONSE_TYPE, Request, check,
};
use toml::Spanned;
use ureq::Agent;

use crate::Error;
use crate::config::{Config, OtrpFiles};

/// A responder that does not answer within this holds up the start of the TAM and a round of housekeeping.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the status comes from, and when the next is due.
pub(crate) struct Staples {
    source: Source,
    /// DER, leaf to root.
    path: Vec<Vec<u8>>,
    /// Until when the certificates themselves hold.
    not_after: UnixTime,
    crypto: Provider,
    due: Mutex<UnixTime>,
}

enum Source {
    Url { agent: Agent, url: String },
    Files(Vec<PathBuf>),
}

impl Staples {
    /// For the certificates of a path. The configuration was checked: it names one source.
    pub fn new(config: &Config, files: &OtrpFiles, chain: &AnyChain, crypto: Provider) -> Self {
        let source = match &files.ocsp_url {
            Some(url) => Source::Url { agent: agent(), url: url.get_ref().clone() },
            None => Source::Files(
                files.ocsp_files.iter().flat_map(Spanned::get_ref).map(|file| config.path(file)).collect(),
            ),
        };
        let path = chain.path().into_iter().map(<[u8]>::to_vec).collect();
        Self { source, path, not_after: chain.not_after(), crypto, due: Mutex::new(0) }
    }

    /// Whether it is time to renew.
    pub fn is_due(&self, now: UnixTime) -> bool {
        now >= *self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches and verifies. After a failure it stays due.
    pub fn renew(&self, now: UnixTime) -> Result<Staple, Error> {
        if now > self.not_after {
            let error = tamarack_x509::Error::Expired { not_after: self.not_after };
            return Err(Error::new(error.code(), format_args!("otrp.chain: {error}; renew it")));
        }
        let responses = match &self.source {
            Source::Url { agent, url } => self.fetch(agent, url)?,
            Source::Files(files) => files
                .iter()
                .map(|file| fs::read(file).map_err(|e| Error::unreadable(file, &e)))
                .collect::<Result<_, _>>()?,
        };
        let path: Vec<_> = self.path.iter().map(Vec::as_slice).collect();
        let checked = check(&path, &responses, &Freshness::new(now, 0), &self.crypto).map_err(failed)?;
        let until = checked.next_update.min(self.not_after);
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = now + (until - now) / 2;
        Ok(Staple { responses, until })
    }

    /// Asks for each certificate but the root.
    fn fetch(&self, agent: &Agent, url: &str) -> Result<Vec<Vec<u8>>, Error> {
        let ask = |pair: &[Vec<u8>]| {
            let [certificate, issuer] = pair else { return Err(failed(OcspError::Malformed)) };
            // SHA-1 is what every responder knows; it names the issuer and proves nothing.
            let id = CertId::new(certificate, issuer, IdHash::Sha1, &self.crypto).map_err(failed)?;
            let request = Request { ids: vec![id], nonce: None }.to_der().map_err(failed)?;
            post(agent, url, &request)
        };
        self.path.windows(2).map(ask).collect()
    }
}

fn failed(error: OcspError) -> Error {
    Error::new(error.code(), error)
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .max_redirects(0)
        .timeout_global(Some(PATIENCE))
        .build()
        .into()
}

fn post(agent: &Agent, url: &str, request: &[u8]) -> Result<Vec<u8>, Error> {
    let unavailable = |why: &dyn std::fmt::Display| {
        Error::new(codes::OCSP_UNAVAILABLE, format_args!("the OCSP responder {url} gives no answer: {why}"))
    };
    let mut response =
        agent.post(url).header("content-type", REQUEST_TYPE).send(request).map_err(|e| unavailable(&e))?;
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
    if response.status() != 200 || kind != Some(RESPONSE_TYPE) {
        let status = response.status();
        return Err(unavailable(&format_args!("status {status}, content type {kind:?}")));
    }
    let body = response.body_mut().with_config().limit(MAX_RESPONSE as u64).read_to_vec();
    body.map_err(|e| unavailable(&e))
}

#[cfg(test)]
mod tests;
