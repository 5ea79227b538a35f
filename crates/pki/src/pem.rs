//! PEM of keys and certificates (RFC 7468).

use pem_rfc7468::LineEnding;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer,
};
use tamarack_crypto::{KeyAgree, KeyType, PublicKey, Secret, Sign};

use crate::Error;

/// Makes a private key and gives it as PEM of PKCS#8. Write it where only its owner reads.
pub fn generate_key(key_type: KeyType) -> Result<String, Error> {
    let der = tamarack_crypto_aws_lc::provider().keys.generate_pkcs8(key_type)?;
    encode("PRIVATE KEY", der.expose())
}

/// Loads the first PKCS#8 key of a PEM text.
pub fn load_key(pem: &str) -> Result<Box<dyn Sign>, Error> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| Error::Pem { label: "PRIVATE KEY" })?;
    let der = Secret::new(der.secret_pkcs8_der().to_vec());
    Ok(tamarack_crypto_aws_lc::provider().keys.load_pkcs8(der.expose())?)
}

/// Loads the first PKCS#8 key of a PEM text for key agreement; it must be of P-256.
pub fn load_agreement_key(pem: &str) -> Result<Box<dyn KeyAgree>, Error> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| Error::Pem { label: "PRIVATE KEY" })?;
    let der = Secret::new(der.secret_pkcs8_der().to_vec());
    Ok(tamarack_crypto_aws_lc::provider().agree.load_pkcs8(der.expose())?)
}

/// Every certificate of a PEM text as DER, in order; at least one.
pub fn certificates_from_pem(pem: &str) -> Result<Vec<Vec<u8>>, Error> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(Error::Pem { label: "CERTIFICATE" }),
    }
}

/// PEM of a DER certificate.
pub fn certificate_to_pem(der: &[u8]) -> Result<String, Error> {
    encode("CERTIFICATE", der)
}

/// PEM of a DER revocation list.
pub fn list_to_pem(der: &[u8]) -> Result<String, Error> {
    encode("X509 CRL", der)
}

/// Every revocation list of a PEM text as DER, in order; at least one.
pub fn lists_from_pem(pem: &str) -> Result<Vec<Vec<u8>>, Error> {
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem.as_bytes())
        .map(|list| list.map(|der| der.to_vec()))
        .collect();
    match lists {
        Ok(lists) if !lists.is_empty() => Ok(lists),
        _ => Err(Error::Pem { label: "X509 CRL" }),
    }
}

/// PEM of a public key.
pub fn public_key_to_pem(key: &PublicKey) -> Result<String, Error> {
    encode("PUBLIC KEY", &key.to_spki())
}

/// Reads the first public key of a PEM text.
pub fn public_key_from_pem(pem: &str) -> Result<PublicKey, Error> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| Error::Pem { label: "PUBLIC KEY" })?;
    Ok(PublicKey::from_spki(&der)?)
}

pub(crate) fn encode(label: &'static str, der: &[u8]) -> Result<String, Error> {
    pem_rfc7468::encode_string(label, LineEnding::LF, der).map_err(|_| Error::Pem { label })
}
