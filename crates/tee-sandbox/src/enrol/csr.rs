use tamarack_crypto::{KeyType, PublicKey};
use tamarack_tee::Error;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTF8_STRING: u8 = 0x0c;
const ATTRIBUTES: u8 = 0xa0;
/// 2.5.4.3, commonName.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
/// 1.2.840.10045.4.3.2, ecdsa-with-SHA256.
const ECDSA_SHA256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// 1.3.101.112, Ed25519.
const ED25519: [u8; 5] = [0x06, 0x03, 0x2b, 0x65, 0x70];

/// A certification request (PKCS #10, RFC 2986), DER, for `key` with nothing but a common name.
///
/// It is written here by hand because a library that issues certificates has no place in the TEE.
pub(crate) fn request(
    key: &PublicKey,
    common_name: &str,
    mut sign: impl FnMut(&[u8]) -> Result<[u8; 64], Error>,
) -> Result<Vec<u8>, Error> {
    let name = element(SEQUENCE, &[&COMMON_NAME, &element(UTF8_STRING, &[common_name.as_bytes()])]);
    let subject = element(SEQUENCE, &[&element(SET, &[&name])]);
    let info =
        element(SEQUENCE, &[&element(INTEGER, &[&[0]]), &subject, &key.to_spki(), &element(ATTRIBUTES, &[])]);
    let raw = sign(&info)?;
    let (algorithm, signature) = match key.key_type() {
        KeyType::P256 => {
            let (r, s) = raw.split_at(32);
            (&ECDSA_SHA256[..], element(SEQUENCE, &[&unsigned(r), &unsigned(s)]))
        }
        KeyType::Ed25519 => (&ED25519[..], raw.to_vec()),
    };
    let signature = element(BIT_STRING, &[&[0], &signature]);
    Ok(element(SEQUENCE, &[&info, &element(SEQUENCE, &[algorithm]), &signature]))
}

/// A DER INTEGER of a big-endian unsigned number: no leading zeros but the one that keeps it positive.
fn unsigned(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count().min(number.len() - 1);
    let digits = &number[zeros..];
    let sign: &[u8] = if digits[0] & 0x80 != 0 { &[0] } else { &[] };
    element(INTEGER, &[sign, digits])
}

/// A DER element (X.690 section 8.1) of the concatenated parts.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        out.push(0x80 | bytes.len() as u8);
        out.extend_from_slice(bytes);
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}
