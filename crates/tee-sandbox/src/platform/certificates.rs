use der::{Decode, Encode};
use tamarack_cbor::{Decoder, Encoder, Limits};
use tamarack_crypto::PublicKey;
use tamarack_tee::Error;

use crate::enrol::csr;
use crate::platform::CertificateError;

/// A certificate request (PKCS #10) for a key, as PEM.
pub(super) fn request_pem(der: &[u8]) -> Result<String, Error> {
    pem_rfc7468::encode_string("CERTIFICATE REQUEST", pem_rfc7468::LineEnding::LF, der)
        .map_err(|_| Error::Crypto)
}

/// The same of a key that is at hand.
pub(super) fn request(key: &dyn tamarack_crypto::Sign, common_name: &str) -> Result<String, Error> {
    let sign = |message: &[u8]| key.sign(message).map_err(|_| Error::Crypto);
    request_pem(&csr::request(&key.public_key(), common_name, sign)?)
}

/// Sorts chains by the keys that they are for: one chain for each of `keys`, all of the kind that is called `which`.
pub(super) fn by_key(
    chains: Vec<Vec<Vec<u8>>>,
    keys: &[PublicKey],
    which: &'static str,
) -> Result<Vec<Vec<Vec<u8>>>, CertificateError> {
    let mut sorted = vec![Vec::new(); keys.len()];
    for chain in chains {
        let leaf = chain.first().ok_or(CertificateError::Malformed)?;
        let certified = certified_key(leaf).ok_or(CertificateError::Malformed)?;
        let number = keys.iter().position(|key| *key == certified);
        let place = &mut sorted[number.ok_or(CertificateError::OtherKey(which))?];
        if !place.is_empty() {
            return Err(CertificateError::Count(which));
        }
        *place = chain;
    }
    match sorted.iter().any(Vec::is_empty) {
        true => Err(CertificateError::Count(which)),
        false => Ok(sorted),
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
    chain.iter().fold(e.array(chain.len()), |e, certificate| e.bytes(certificate));
    e.into_bytes()
}

pub(super) fn read_chain(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let read = || {
        let mut d = Decoder::new(bytes, &Limits::default())?;
        (0..d.array()?).map(|_| Ok(d.bytes()?.to_vec())).collect::<Result<Vec<_>, _>>()
    };
    read().map_err(|e: tamarack_cbor::Error| Error::Storage(format!("stored certificates: {e}")))
}
