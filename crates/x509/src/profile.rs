use alloc::string::String;
use alloc::vec::Vec;

use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use tamarack_crypto::PublicKey;
use tamarack_model::UnixTime;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};
use x509_cert::{Certificate, Version};

use crate::{Error, Role, Usage};

/// The organization (O) in the subject of every certificate that `tamarack pki` makes.
pub const DEVELOPMENT_ORGANIZATION: &str = "Tamarack development";

/// Whether a DER certificate was made for development: its subject or issuer carries [`DEVELOPMENT_ORGANIZATION`].
/// Production profiles refuse such certificates and anchors. What cannot be read is no development certificate, nor
/// any other.
pub fn is_development(der: &[u8]) -> bool {
    let Ok(certificate) = Certificate::from_der(der) else { return false };
    let body = certificate.tbs_certificate();
    [body.subject(), body.issuer()].into_iter().any(|name| {
        name.organization().is_ok_and(|found| {
            found.is_some_and(|organization| organization.value() == DEVELOPMENT_ORGANIZATION)
        })
    })
}

/// What this crate itself reads of a certificate.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub key: PublicKey,
    pub not_before: UnixTime,
    pub not_after: UnixTime,
    pub uris: Vec<String>,
    basic_constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
    purposes: Option<Vec<ObjectIdentifier>>,
}

impl Profile {
    /// Reads a DER certificate of version 3.
    pub fn read(der: &[u8]) -> Result<Self, Error> {
        Self::decode(der).map_err(|_| Error::Malformed)?.ok_or(Error::Malformed)
    }

    fn decode(der: &[u8]) -> Result<Option<Self>, der::Error> {
        let certificate = Certificate::from_der(der)?;
        let body = certificate.tbs_certificate();
        let Ok(key) = PublicKey::from_spki(&body.subject_public_key_info().to_der()?) else {
            return Ok(None);
        };
        if body.version() != Version::V3 {
            return Ok(None);
        }
        let names = body.get_extension::<SubjectAltName>()?.map(|(_, names)| names.0).unwrap_or_default();
        let uris = names.into_iter().filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str().into()),
            _ => None,
        });
        Ok(Some(Self {
            key,
            not_before: body.validity().not_before.to_unix_duration().as_secs(),
            not_after: body.validity().not_after.to_unix_duration().as_secs(),
            uris: uris.collect(),
            basic_constraints: body.get_extension::<BasicConstraints>()?.map(|(_, value)| value),
            key_usage: body.get_extension::<KeyUsage>()?.map(|(_, value)| value),
            purposes: body.get_extension::<ExtendedKeyUsage>()?.map(|(_, value)| value.0),
        }))
    }

    /// Whether the extended key usages contain this one.
    pub fn has_purpose(&self, purpose: &ObjectIdentifier) -> bool {
        self.purposes.as_ref().is_some_and(|purposes| purposes.contains(purpose))
    }

    /// Checks what a leaf of this role must be.
    pub fn check_leaf(&self, role: Role) -> Result<(), Error> {
        if self.basic_constraints.as_ref().is_some_and(|basic| basic.ca) {
            return Err(Error::Usage(Usage::LeafIsCa));
        }
        if !self.key_usage.as_ref().is_some_and(KeyUsage::digital_signature) {
            return Err(Error::Usage(Usage::LeafKeyUsage));
        }
        let has = |role: Role| self.has_purpose(&role.object_identifier());
        // One purpose a key (security rule K5): a certificate for two roles serves neither.
        if Role::ALL.into_iter().any(|other| has(other) != (other == role)) {
            return Err(Error::Usage(Usage::Role(role)));
        }
        Ok(())
    }

    /// Checks what a CA must be, whatever the role of the leaf.
    pub fn check_ca(&self) -> Result<(), Error> {
        if !self.basic_constraints.as_ref().is_some_and(|basic| basic.ca) {
            return Err(Error::Usage(Usage::IssuerIsNotCa));
        }
        if !self.key_usage.as_ref().is_some_and(KeyUsage::key_cert_sign) {
            return Err(Error::Usage(Usage::CaKeyUsage));
        }
        Ok(())
    }

    /// Checks that this CA may stand above a leaf of this role with so many intermediates between them.
    pub fn check_ca_for(&self, role: Role, intermediates: usize) -> Result<(), Error> {
        let path_length = self.basic_constraints.as_ref().and_then(|basic| basic.path_len_constraint);
        if path_length.is_some_and(|limit| intermediates > usize::from(limit)) {
            return Err(Error::Usage(Usage::PathLength));
        }
        match &self.purposes {
            Some(purposes) if !purposes.contains(&role.object_identifier()) => {
                Err(Error::Usage(Usage::Role(role)))
            }
            _ => Ok(()),
        }
    }

    /// Checks that `now` lies within the validity.
    pub fn check_dates(&self, now: UnixTime) -> Result<(), Error> {
        if now < self.not_before {
            return Err(Error::NotYetValid { not_before: self.not_before });
        }
        if now > self.not_after {
            return Err(Error::Expired { not_after: self.not_after });
        }
        Ok(())
    }
}
