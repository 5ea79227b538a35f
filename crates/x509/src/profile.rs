use alloc::vec::Vec;

use der::asn1::{BitStringRef, ObjectIdentifier, UintRef};
use der::{Decode, Encode, Reader};
use tamarack_crypto::PublicKey;
use tamarack_model::UnixTime;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};
use x509_cert::{Certificate, Version};

use crate::signature::is_p384;
use crate::{Error, Name, NameKind, PathOptions, Role, Usage, raw};

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
    /// The key, if it is P-256 or Ed25519.
    pub key: Option<PublicKey>,
    pub spki: Vec<u8>,
    strength: Strength,
    pub not_before: UnixTime,
    pub not_after: UnixTime,
    pub names: Vec<Name>,
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
        if body.version() != Version::V3 {
            return Ok(None);
        }
        let spki = body.subject_public_key_info().to_der()?;
        let names = body.get_extension::<SubjectAltName>()?.map(|(_, names)| names.0).unwrap_or_default();
        Ok(Some(Self {
            key: PublicKey::from_spki(&spki).ok(),
            strength: Strength::of(&spki)?,
            spki,
            not_before: body.validity().not_before.to_unix_duration().as_secs(),
            not_after: body.validity().not_after.to_unix_duration().as_secs(),
            names: names.iter().filter_map(Name::from_general).collect(),
            basic_constraints: body.get_extension::<BasicConstraints>()?.map(|(_, value)| value),
            key_usage: body.get_extension::<KeyUsage>()?.map(|(_, value)| value),
            purposes: body.get_extension::<ExtendedKeyUsage>()?.map(|(_, value)| value.0),
        }))
    }

    /// The one name of this type (security rule K2).
    pub fn name(&self, kind: NameKind) -> Option<&str> {
        let mut names = self.names.iter().filter(|name| name.kind() == kind);
        match (names.next(), names.next()) {
            (Some(name), None) => Some(name.text()),
            _ => None,
        }
    }

    /// Refuses keys that are too weak or of an unknown kind.
    pub fn check_key_strength(&self) -> Result<(), Error> {
        match self.strength {
            Strength::Elliptic => Ok(()),
            Strength::Rsa { bits } if bits >= MIN_RSA_BITS => Ok(()),
            Strength::Rsa { .. } | Strength::Unknown => Err(Error::Algorithm),
        }
    }

    /// Whether something may be encrypted to the key: keyAgreement, of an RSA key keyEncipherment.
    pub fn may_agree(&self) -> bool {
        self.key_usage.as_ref().is_some_and(|usage| match self.strength {
            Strength::Rsa { .. } => usage.key_encipherment(),
            Strength::Elliptic | Strength::Unknown => usage.key_agreement(),
        })
    }

    /// Whether keyUsage allows signatures over anything but certificates and lists.
    pub fn may_sign(&self) -> bool {
        self.key_usage.as_ref().is_some_and(KeyUsage::digital_signature)
    }

    /// Whether keyUsage allows signatures over revocation lists.
    pub fn may_sign_lists(&self) -> bool {
        self.key_usage.as_ref().is_some_and(KeyUsage::crl_sign)
    }

    /// Whether it is a CA.
    pub fn is_ca(&self) -> bool {
        self.basic_constraints.as_ref().is_some_and(|basic| basic.ca)
    }

    /// Whether it is a certificate for any [`Role`].
    pub fn has_any_role(&self) -> bool {
        Role::ALL.into_iter().any(|role| self.has_purpose(&role.object_identifier()))
    }

    /// Whether the extended key usages contain this one.
    pub fn has_purpose(&self, purpose: &ObjectIdentifier) -> bool {
        self.purposes.as_ref().is_some_and(|purposes| purposes.contains(purpose))
    }

    /// Checks what a leaf of this role must be. Where the role is not required, a leaf without any extended key usage
    /// passes too.
    pub fn check_leaf(&self, role: Role, options: &PathOptions) -> Result<(), Error> {
        if self.is_ca() {
            return Err(Error::Usage(Usage::LeafIsCa));
        }
        if !self.may_sign() {
            return Err(Error::Usage(Usage::LeafKeyUsage));
        }
        if !options.require_role && self.purposes.is_none() {
            return Ok(());
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
        if !self.is_ca() {
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

/// What a key is worth.
#[derive(Clone, Copy, Debug)]
enum Strength {
    /// P-256, P-384 or Ed25519.
    Elliptic,
    /// RSA with a modulus of so many bits.
    Rsa { bits: usize },
    /// Of another kind.
    Unknown,
}

const MIN_RSA_BITS: usize = 2048;
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

impl Strength {
    fn of(spki: &[u8]) -> Result<Self, der::Error> {
        if PublicKey::from_spki(spki).is_ok() || is_p384(spki) {
            return Ok(Self::Elliptic);
        }
        let mut reader = raw::body(spki)?;
        let mut identifier = raw::body(reader.tlv_bytes()?)?;
        if ObjectIdentifier::decode(&mut identifier)? != RSA_ENCRYPTION {
            return Ok(Self::Unknown);
        }
        let key = raw::octets(BitStringRef::decode(&mut reader)?)?;
        let modulus = UintRef::decode(&mut raw::body(key)?)?.as_bytes();
        let unused = modulus.first().map_or(0, |first| first.leading_zeros() as usize);
        Ok(Self::Rsa { bits: modulus.len() * 8 - unused })
    }
}
