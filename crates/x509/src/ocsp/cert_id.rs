use alloc::vec::Vec;

use der::asn1::{ObjectIdentifier, OctetString};
use der::{Decode, Encode, Error, Reader, SliceReader};
use sha1::{Digest, Sha1};
use tamarack_crypto::Provider;

use super::OcspError;
use crate::raw;

/// The hash by which a [`CertId`] names an issuer. It only tells issuers apart; what is trusted hangs on signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdHash {
    /// SHA-1, which every responder knows (RFC 5019 section 2.1.1).
    Sha1,
    /// SHA-256.
    Sha256,
}

impl IdHash {
    fn identifier(self) -> ObjectIdentifier {
        match self {
            Self::Sha1 => ObjectIdentifier::new_unwrap("1.3.14.3.2.26"),
            Self::Sha256 => ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"),
        }
    }

    fn digest(self, data: &[u8], provider: &Provider) -> Vec<u8> {
        match self {
            Self::Sha1 => sha1(data).to_vec(),
            Self::Sha256 => provider.sha256(data).to_vec(),
        }
    }
}

/// SHA-1, as RFC 6960 section 4.2.1 names responders by their keys.
pub(crate) fn sha1(data: &[u8]) -> [u8; 20] {
    Sha1::digest(data).into()
}

/// Names a certificate by its issuer and serial number (RFC 6960 section 4.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertId {
    /// How the issuer is hashed.
    pub hash: IdHash,
    /// Over the DER of the issuer's name.
    pub issuer_name_hash: Vec<u8>,
    /// Over the bits of the issuer's public key.
    pub issuer_key_hash: Vec<u8>,
    /// The serial number, content octets of the INTEGER.
    pub serial: Vec<u8>,
}

impl CertId {
    /// The name of `certificate`, which `issuer` issued; both are DER.
    pub fn new(
        certificate: &[u8],
        issuer: &[u8],
        hash: IdHash,
        provider: &Provider,
    ) -> Result<Self, OcspError> {
        let read = |der| raw::Certificate::read(der).map_err(|_| OcspError::Malformed);
        Ok(Self::of(&read(certificate)?, &read(issuer)?, hash, provider))
    }

    /// What the names of all certificates that `issuer` (DER) issued have in common; the serial number is empty.
    pub fn of_issuer(issuer: &[u8], hash: IdHash, provider: &Provider) -> Result<Self, OcspError> {
        let issuer = raw::Certificate::read(issuer).map_err(|_| OcspError::Malformed)?;
        Ok(Self {
            hash,
            issuer_name_hash: hash.digest(issuer.subject, provider),
            issuer_key_hash: hash.digest(issuer.key, provider),
            serial: Vec::new(),
        })
    }

    pub(crate) fn of(
        certificate: &raw::Certificate<'_>,
        issuer: &raw::Certificate<'_>,
        hash: IdHash,
        provider: &Provider,
    ) -> Self {
        Self {
            hash,
            issuer_name_hash: hash.digest(certificate.issuer, provider),
            issuer_key_hash: hash.digest(issuer.key, provider),
            serial: certificate.serial.to_vec(),
        }
    }

    pub(crate) fn decode(reader: &mut SliceReader<'_>) -> Result<Self, Error> {
        let mut reader = raw::body(reader.tlv_bytes()?)?;
        let algorithm = raw::algorithm(&mut reader)?;
        let known = [IdHash::Sha1, IdHash::Sha256].into_iter().find(|hash| hash.identifier() == algorithm);
        let hash = known.ok_or(der::ErrorKind::OidUnknown { oid: algorithm })?;
        let issuer_name_hash = OctetString::decode(&mut reader)?.into_bytes().into_vec();
        let issuer_key_hash = OctetString::decode(&mut reader)?.into_bytes().into_vec();
        let serial = raw::integer(&mut reader)?.to_vec();
        reader.finish()?;
        Ok(Self { hash, issuer_name_hash, issuer_key_hash, serial })
    }

    pub(crate) fn to_der(&self) -> Result<Vec<u8>, Error> {
        let algorithm = raw::tlv(raw::SEQUENCE, &[&self.hash.identifier().to_der()?, raw::NULL]);
        let parts = [
            &algorithm[..],
            &raw::tlv(raw::OCTET_STRING, &[&self.issuer_name_hash]),
            &raw::tlv(raw::OCTET_STRING, &[&self.issuer_key_hash]),
            &raw::tlv(raw::INTEGER, &[&self.serial]),
        ];
        Ok(raw::tlv(raw::SEQUENCE, &parts))
    }
}
