//! Certificate signing requests (RFC 2986).

use der::{Decode, Encode};
use rcgen::{CertificateParams, DistinguishedName, DnType};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use tamarack_crypto::{PublicKey, Sign};
use x509_cert::request::CertReq;

use crate::Error;
use crate::pem::encode;
use crate::remote::Signer;

/// Makes a request with any key, such as one that never leaves a TEE; gives PEM.
pub fn csr(signer: &dyn Sign, common_name: &str) -> Result<String, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let request = params.serialize_request(&Signer::new(signer))?;
    encode("CERTIFICATE REQUEST", request.der())
}

/// Reads the requests of a PEM text, at least one, and checks that the key inside each signed it. Their names are not
/// looked at: the authority decides them.
pub(crate) fn requested_keys(pem: &str) -> Result<Vec<PublicKey>, Error> {
    let malformed = || Error::Pem { label: "CERTIFICATE REQUEST" };
    let requests = CertificateSigningRequestDer::pem_slice_iter(pem.as_bytes());
    let keys =
        requests.map(|der| requested_key(&der.map_err(|_| malformed())?)).collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() { Err(malformed()) } else { Ok(keys) }
}

fn requested_key(der: &[u8]) -> Result<PublicKey, Error> {
    let read = || {
        let request = CertReq::from_der(der)?;
        let key = request.info.public_key.to_der()?;
        Ok((key, request.info.to_der()?, request.signature.raw_bytes().to_vec()))
    };
    let (key, message, signature) = read().map_err(|_: der::Error| Error::Request)?;
    let key = PublicKey::from_spki(&key)?;
    let signature = match key {
        PublicKey::P256 { .. } => {
            tamarack_x509::ecdsa_from_der(&signature).map_err(|_| Error::Request)?.to_vec()
        }
        PublicKey::Ed25519(_) => signature,
    };
    let provider = tamarack_crypto_aws_lc::provider();
    provider.verify.verify(&key, &message, &signature).map_err(|_| Error::Request)?;
    Ok(key)
}
