//! Extensions of requests and responses.

use alloc::vec::Vec;

use der::asn1::{ObjectIdentifier, OctetString};
use der::{Decode, Encode, Error, Reader};

use crate::raw;

/// id-pkix-ocsp-nonce (RFC 9654).
pub(super) const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");

const MAX_NONCE: usize = 128;

/// Reads the content of `Extensions`; gives the values of the known ones. A critical one that is not known is an error.
pub(super) fn decode_extensions(der: &[u8], known: &[ObjectIdentifier]) -> Result<Vec<Vec<u8>>, Error> {
    let mut list = raw::body(der)?;
    let mut found = Vec::new();
    while !list.is_finished() {
        let mut extension = raw::body(list.tlv_bytes()?)?;
        let oid = ObjectIdentifier::decode(&mut extension)?;
        let critical = match extension.peek_byte() {
            Some(0x01) => bool::decode(&mut extension)?,
            _ => false,
        };
        let value = OctetString::decode(&mut extension)?;
        extension.finish()?;
        match known.contains(&oid) {
            true => found.push(OctetString::from_der(value.as_bytes())?.into_bytes().into_vec()),
            false if critical => return Err(der::ErrorKind::OidUnknown { oid }.into()),
            false => {}
        }
    }
    if found.iter().any(|nonce| nonce.len() > MAX_NONCE) {
        return Err(der::ErrorKind::Overlength.into());
    }
    Ok(found)
}

/// `Extensions` with a nonce alone.
pub(super) fn encode_nonce(nonce: &[u8]) -> Result<Vec<u8>, Error> {
    let value = raw::tlv(raw::OCTET_STRING, &[&raw::tlv(raw::OCTET_STRING, &[nonce])]);
    let extension = raw::tlv(raw::SEQUENCE, &[&NONCE.to_der()?, &value]);
    Ok(raw::tlv(raw::SEQUENCE, &[&extension]))
}
