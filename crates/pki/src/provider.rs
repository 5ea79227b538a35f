use rcgen::{ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose};
use rustls_pki_types::CertificateDer;
use tamarack_crypto::{PublicKey, Sign};
use tamarack_x509::Role;

use crate::authority::params;
use crate::remote::{Signer, Subject as SubjectKey};
use crate::{Error, Validity};

/// Puts a provider's key into a certificate, DER, for devices that pin certificates: what OTrP calls "spcert". Devices
/// compare its digest and use its key; no path is built, and so the TAM signs it with its own leaf (`issuer`, DER, whose
/// key is `signer`).
pub fn provider_certificate(
    issuer: &[u8],
    signer: &dyn Sign,
    key: PublicKey,
    provider: &str,
    validity: Validity,
) -> Result<Vec<u8>, Error> {
    let mut params = params(provider, validity)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(Role::Developer.oid().to_vec())];
    let issuer = CertificateDer::from(issuer);
    let issuer = Issuer::from_ca_cert_der(&issuer, Signer::new(signer))?;
    Ok(params.signed_by(&SubjectKey::new(&key), &issuer)?.der().to_vec())
}
