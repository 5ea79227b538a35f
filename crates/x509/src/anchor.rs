use alloc::vec::Vec;

use der::asn1::ObjectIdentifier;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use tamarack_crypto::PublicKey;
use tamarack_model::UnixTime;

use crate::profile::Profile;
use crate::{Error, Role};

const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");

/// A root certificate that is trusted because it was configured. Its own signature is not looked at, but its dates,
/// basicConstraints, keyUsage and extended key usages are.
#[derive(Clone, Debug)]
pub struct Anchor {
    der: Vec<u8>,
    pub(crate) trust: TrustAnchor<'static>,
    pub(crate) profile: Profile,
}

impl Anchor {
    /// Reads a DER certificate of a CA.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let profile = Profile::read(der)?;
        profile.check_ca()?;
        profile.check_key_strength()?;
        let certificate = CertificateDer::from(der);
        let trust = webpki::anchor_from_trusted_cert(&certificate).map_err(|_| Error::Malformed)?.to_owned();
        Ok(Self { der: der.to_vec(), trust, profile })
    }

    /// The certificate as it was read.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The key of the CA, if it is P-256 or Ed25519.
    pub fn key(&self) -> Option<&PublicKey> {
        self.profile.key.as_ref()
    }

    /// The key of the CA as DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> &[u8] {
        &self.profile.spki
    }

    /// Whether its extended key usages name this role.
    pub fn has_role(&self, role: Role) -> bool {
        self.profile.has_purpose(&role.object_identifier())
    }

    /// Whether its extended key usages name TLS servers (id-kp-serverAuth).
    pub fn serves_tls(&self) -> bool {
        self.profile.has_purpose(&SERVER_AUTH)
    }

    /// The end of its validity.
    pub fn not_after(&self) -> UnixTime {
        self.profile.not_after
    }
}

impl PartialEq for Anchor {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Anchor {}
