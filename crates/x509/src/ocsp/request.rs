use alloc::vec::Vec;

use der::asn1::Int;
use der::{Decode, Error, Reader};

use super::extension::{NONCE, decode_extensions, encode_nonce};
use super::{CertId, MAX_ENTRIES, OcspError};
use crate::raw;

/// An OCSP request (RFC 6960 section 4.1.1), unsigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The certificates asked about, 1 to [`MAX_ENTRIES`].
    pub ids: Vec<CertId>,
    /// A nonce to be echoed. Responses that are to be stapled go without one.
    pub nonce: Option<Vec<u8>>,
}

impl Request {
    /// Reads a DER request. A signature on it is not looked at; a name of the requestor is refused.
    pub fn parse(der: &[u8]) -> Result<Self, OcspError> {
        Self::decode(der).map_err(|_| OcspError::Malformed)
    }

    fn decode(der: &[u8]) -> Result<Self, Error> {
        let mut outer = raw::body(der)?;
        let content = outer.tlv_bytes()?;
        if raw::explicit(&mut outer, 0)?.is_some() {
            // The signature of the requestor, which no rule here asks for.
        }
        outer.finish()?;
        let mut reader = raw::body(content)?;
        check_version(raw::explicit(&mut reader, 0)?)?;
        let mut list = raw::body(reader.tlv_bytes()?)?;
        let extensions = raw::explicit(&mut reader, 2)?;
        reader.finish()?;
        let mut ids = Vec::new();
        while !list.is_finished() {
            let mut request = raw::body(list.tlv_bytes()?)?;
            ids.push(CertId::decode(&mut request)?);
            if let Some(extensions) = raw::explicit(&mut request, 0)? {
                decode_extensions(extensions, &[])?;
            }
            request.finish()?;
            if ids.len() > MAX_ENTRIES {
                return Err(der::ErrorKind::Overlength.into());
            }
        }
        if ids.is_empty() {
            return Err(
                der::ErrorKind::Incomplete { expected_len: 1u8.into(), actual_len: 0u8.into() }.into()
            );
        }
        let nonce = match extensions {
            Some(extensions) => decode_extensions(extensions, &[NONCE])?.into_iter().next(),
            None => None,
        };
        Ok(Self { ids, nonce })
    }

    /// The request as DER.
    pub fn to_der(&self) -> Result<Vec<u8>, OcspError> {
        let encode = || {
            let mut list = Vec::new();
            for id in &self.ids {
                list.extend(raw::tlv(raw::SEQUENCE, &[&id.to_der()?]));
            }
            let list = raw::tlv(raw::SEQUENCE, &[&list]);
            let extensions = match &self.nonce {
                Some(nonce) => raw::tlv(0xa2, &[&encode_nonce(nonce)?]),
                None => Vec::new(),
            };
            Ok(raw::tlv(raw::SEQUENCE, &[&raw::tlv(raw::SEQUENCE, &[&list, &extensions])]))
        };
        encode().map_err(|_: Error| OcspError::Malformed)
    }
}

/// Version 1, which is 0 on the wire, is the only one.
pub(super) fn check_version(version: Option<&[u8]>) -> Result<(), Error> {
    match version {
        None => Ok(()),
        Some(der) if Int::from_der(der)?.as_bytes() == [0] => Ok(()),
        Some(_) => Err(der::Tag::Integer.value_error().into()),
    }
}
