use der::{Decode, Encode};
use tamarack_cbor::{Decoder, Encoder, Limits};
use tamarack_cose::{CoseKey, Sign1, SignOptions};
use tamarack_crypto::{Provider, PublicKey, Sign};
use tamarack_tee::{Error, Evidence, EvidenceRequest, Identity, StateRoot};

use crate::enrol::csr;
use crate::platform::Measured;

/// The attestation key and its certificates, apart from everything else (security rule K6): the key signs Evidence and
/// the one request for its own certificate.
pub(super) struct Attester {
    key: Box<dyn Sign>,
    chain: Vec<Vec<u8>>,
}

/// What Evidence states besides what was asked.
pub(super) struct Standing<'a> {
    pub identity: &'a Identity,
    pub teep_key: PublicKey,
    pub measured: &'a Measured,
    pub counter_quality: &'static str,
    pub root: StateRoot,
}

impl Attester {
    pub fn new(key: Box<dyn Sign>, chain: Vec<Vec<u8>>) -> Self {
        Self { key, chain }
    }

    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    pub fn set_chain(&mut self, chain: Vec<Vec<u8>>) {
        self.chain = chain;
    }

    pub fn certificate_request(&self, common_name: &str) -> Result<Vec<u8>, Error> {
        csr::request(&*self.key, common_name).map_err(|_| Error::Crypto)
    }

    pub fn evidence(
        &self,
        request: &EvidenceRequest<'_>,
        standing: &Standing<'_>,
        _provider: &Provider,
    ) -> Result<Evidence, Error> {
        let mut claims = Encoder::new();
        claims.map_with(|map| {
            map.int(10, |e| e.bytes(request.nonce))
                .int(256, |e| e.bytes(request.ueid))
                .int(258, |e| e.bytes(&standing.identity.oemid))
                .int(8, |e| {
                    e.map_with(|cnf| {
                        cnf.int(1, |e| e.item(&CoseKey(standing.teep_key)));
                    })
                });
        });
        let options = SignOptions { x5chain: &self.chain, ..SignOptions::default() };
        let payload =
            Sign1::sign(&*self.key, &claims.into_bytes(), &[], &options).map_err(|_| Error::Crypto)?;
        Ok(Evidence { format: "application/eat+cwt".into(), payload })
    }
}

/// The public key that a DER certificate certifies.
pub(super) fn certified_key(certificate: &[u8]) -> Option<PublicKey> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let spki = certificate.tbs_certificate().subject_public_key_info().to_der().ok()?;
    PublicKey::from_spki(&spki).ok()
}

pub(super) fn write_chain(chain: &[Vec<u8>]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(chain.len());
    chain.iter().for_each(|certificate| drop(e.bytes(certificate)));
    e.into_bytes()
}

pub(super) fn read_chain(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let read = || {
        let mut d = Decoder::new(bytes, &Limits::default())?;
        (0..d.array()?).map(|_| Ok(d.bytes()?.to_vec())).collect::<Result<Vec<_>, _>>()
    };
    read().map_err(|e: tamarack_cbor::Error| Error::Storage(format!("stored certificates: {e}")))
}
