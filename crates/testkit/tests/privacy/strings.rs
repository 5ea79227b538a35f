//! Takes bytes apart into everything in them that could be an identifier.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use tamarack_cbor::{Limits, Value};
use tamarack_cose::Encrypted;
use tamarack_crypto::{KeyAgree, Provider};
use tamarack_jose::jwe::{DecryptionKey, Jwe};

/// The shortest string that can tell one device from many.
const SHORTEST: usize = 8;
/// Numbers from here on count as strings too: a state epoch with its offset, a serial number.
const LARGE: u64 = 1 << 24;
/// How deep things are nested into each other.
const DEPTH: usize = 24;

/// Whoever looks: with the keys that it has.
pub struct Onlooker<'a> {
    pub crypto: Provider,
    pub keys: &'a [&'a dyn KeyAgree],
}

impl Onlooker<'_> {
    /// Every string of at least 8 bytes in `bytes`: what they consist of as CBOR, JSON, DER, base64 and COSE or JOSE, in any
    /// nesting, and what this onlooker can decrypt of it.
    pub fn strings(&self, bytes: &[u8]) -> BTreeSet<Vec<u8>> {
        let mut found = BTreeSet::new();
        self.bytes(bytes, DEPTH, &mut found);
        found
    }

    fn bytes(&self, bytes: &[u8], depth: usize, found: &mut BTreeSet<Vec<u8>>) {
        if bytes.len() >= SHORTEST {
            found.insert(bytes.to_vec());
        }
        let Some(depth) = depth.checked_sub(1) else { return };
        if let Ok((value, length)) = Value::decode_lenient(bytes)
            && length == bytes.len()
            && length > 1
        {
            self.cbor(&value, depth, found);
            for key in self.keys {
                let encrypted = Encrypted::parse(bytes, &Limits::default());
                let open = |context| encrypted.as_ref().ok()?.decrypt(*key, None, context, &self.crypto).ok();
                if let Some(plain) = open(tamarack_teep::EVIDENCE_CONTEXT) {
                    self.bytes(plain.expose(), depth, found);
                }
            }
        } else if let Some(contents) = der(bytes) {
            contents.iter().for_each(|content| self.bytes(content, depth, found));
        }
        if let Ok(text) = std::str::from_utf8(bytes) {
            self.text(text, depth, found);
        }
    }

    fn text(&self, text: &str, depth: usize, found: &mut BTreeSet<Vec<u8>>) {
        if text.starts_with(['{', '[', '"'])
            && let Ok(value) = serde_json::from_str::<serde_json::Value>(text)
        {
            self.json(&value, depth, found);
        }
        for part in
            text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '+' | '/' | '='))
        {
            if part.len() >= SHORTEST {
                found.insert(part.as_bytes().to_vec());
            }
            let decoded = URL_SAFE_NO_PAD.decode(part).or_else(|_| STANDARD.decode(part));
            if let Ok(decoded) = decoded
                && decoded.len() >= SHORTEST
            {
                self.bytes(&decoded, depth.saturating_sub(1), found);
            }
            if let Ok(decoded) = hex::decode(part)
                && decoded.len() >= SHORTEST
            {
                self.bytes(&decoded, depth.saturating_sub(1), found);
            }
        }
    }

    fn cbor(&self, value: &Value, depth: usize, found: &mut BTreeSet<Vec<u8>>) {
        match value {
            Value::Uint(number) | Value::Nint(number) if *number >= LARGE => {
                found.insert(number.to_be_bytes().to_vec());
            }
            Value::Bytes(bytes) => self.bytes(bytes, depth, found),
            Value::Text(text) => self.bytes(text.as_bytes(), depth, found),
            Value::Array(items) => items.iter().for_each(|item| self.cbor(item, depth, found)),
            Value::Map(pairs) => pairs.iter().for_each(|(key, value)| {
                self.cbor(key, depth, found);
                self.cbor(value, depth, found);
            }),
            Value::Tag(_, item) => self.cbor(item, depth, found),
            _ => {}
        }
    }

    fn json(&self, value: &serde_json::Value, depth: usize, found: &mut BTreeSet<Vec<u8>>) {
        match value {
            serde_json::Value::String(text) => self.bytes(text.as_bytes(), depth.saturating_sub(1), found),
            serde_json::Value::Number(number) => {
                if let Some(number) = number.as_u64().filter(|number| *number >= LARGE) {
                    found.insert(number.to_be_bytes().to_vec());
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| self.json(item, depth, found)),
            serde_json::Value::Object(members) => {
                members.values().for_each(|member| self.json(member, depth, found));
                let text = serde_json::to_vec(value).unwrap();
                let parsed = tamarack_jose::json::parse(&text, &tamarack_jose::json::Limits::default());
                for key in self.keys {
                    let jwe = parsed.as_ref().ok().and_then(|json| Jwe::parse(json).ok());
                    let plain =
                        jwe.and_then(|jwe| jwe.decrypt(DecryptionKey::Agree(*key), &self.crypto).ok());
                    if let Some(plain) = plain {
                        self.bytes(plain.expose(), depth.saturating_sub(1), found);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The contents of the DER elements that `bytes` consist of; a BIT STRING also without its first byte. Text is no DER, though it
/// may walk like it: `{"` would be an element of 34 bytes, and where the next one begins would hang on whatever stands there.
/// DER that holds anything has a tag that no text has: those of its innermost elements are control characters, or no UTF-8.
fn der(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    if std::str::from_utf8(bytes)
        .is_ok_and(|text| !text.contains(|c: char| c.is_control() && !c.is_ascii_whitespace()))
    {
        return None;
    }
    let mut rest = bytes;
    let mut contents = Vec::new();
    while !rest.is_empty() {
        let (&tag, after) = rest.split_first()?;
        let (&first, after) = after.split_first()?;
        let (length, after) = match first {
            0..=0x7f => (usize::from(first), after),
            0x81 => (usize::from(*after.first()?), &after[1..]),
            0x82 => (usize::from(u16::from_be_bytes(*after.first_chunk()?)), &after[2..]),
            _ => return None,
        };
        let content = after.get(..length)?;
        contents.push(content);
        if tag == 3 {
            contents.push(content.get(1..)?);
        }
        rest = &after[length..];
    }
    Some(contents)
}

#[test]
fn text_is_not_taken_for_der() {
    // As DER: an element of 34 bytes, and one of 100.
    let json = format!(r#"{{"GetDeviceTEEStateResponse":{{"payload":"{:095}"}}"#, 0);
    assert_eq!((json.as_bytes()[1], json.as_bytes()[37], json.len()), (34, 100, 2 + 34 + 2 + 100));
    assert_eq!(der(json.as_bytes()), None);
    // The same with what cannot be printed as ASCII.
    let others = [json.replacen("00", "\u{e9}", 1), json.replacen('0', "\n", 1)];
    for json in others {
        assert_eq!((json.len(), der(json.as_bytes())), (138, None));
    }
    assert_eq!(der(&[4, 2, 8, 9, 3, 2, 0, 7]), Some(vec![&[8, 9][..], &[0, 7], &[7]]));
}
