//! Base64 (RFC 4648) in its two alphabets, strictly: no whitespace, no other characters, unused bits zero.

use alloc::string::String;
use alloc::vec::Vec;

use base64ct::{Base64, Base64Unpadded, Base64UrlUnpadded, Encoding};

/// The text is not base64 of the kind that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBase64;

impl core::fmt::Display for NotBase64 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not base64")
    }
}

impl core::error::Error for NotBase64 {}

/// Standard alphabet, padded: what certificates in JSON use.
pub fn encode(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// URL alphabet, not padded: what JOSE uses.
pub fn encode_url(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// Reads the standard alphabet, padded.
pub fn decode(text: &str) -> Result<Vec<u8>, NotBase64> {
    Base64::decode_vec(text).map_err(|_| NotBase64)
}

/// Reads the URL alphabet, not padded.
pub fn decode_url(text: &str) -> Result<Vec<u8>, NotBase64> {
    Base64UrlUnpadded::decode_vec(text).map_err(|_| NotBase64)
}

/// Reads either alphabet, padded or not: for peers that mix them up. Still no whitespace, and unused bits are zero.
pub fn decode_any(text: &str) -> Result<Vec<u8>, NotBase64> {
    let unpadded = text.trim_end_matches('=');
    let padding = text.len() - unpadded.len();
    if padding > 0 && (padding > 2 || !text.len().is_multiple_of(4)) {
        return Err(NotBase64);
    }
    let standard = unpadded.replace('-', "+").replace('_', "/");
    Base64Unpadded::decode_vec(&standard).map_err(|_| NotBase64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_strict_unless_asked_otherwise() {
        // RFC 4648 section 10, and bytes in which the alphabets differ.
        let cases: [(&[u8], &str, &str); 5] = [
            (b"", "", ""),
            (b"f", "Zg==", "Zg"),
            (b"fo", "Zm8=", "Zm8"),
            (b"foo", "Zm9v", "Zm9v"),
            (&[0xfb, 0xff], "+/8=", "-_8"),
        ];
        for (bytes, standard, url) in cases {
            assert_eq!((&*encode(bytes), &*encode_url(bytes)), (standard, url));
            assert_eq!(decode(standard).as_deref(), Ok(bytes));
            assert_eq!(decode_url(url).as_deref(), Ok(bytes));
            for text in [standard, url, standard.trim_end_matches('=')] {
                assert_eq!(decode_any(text).as_deref(), Ok(bytes), "{text}");
            }
        }
        for wrong in ["Zg=", "Zg", "Z", "Zh==", " Zg==", "Zg==\n", "Zg==Zg==", "-_8=", "Z\u{e9}=="] {
            assert_eq!(decode(wrong), Err(NotBase64), "{wrong:?}");
        }
        for wrong in ["Zg==", "Z", "Zh", " Zg", "Zg\n", "+/8", "Zm8="] {
            assert_eq!(decode_url(wrong), Err(NotBase64), "{wrong:?}");
        }
        for wrong in ["Zg=", "Zg===", "====", "=", "Zh==", "Z g=", "Zg\n", "Zm=8"] {
            assert_eq!(decode_any(wrong), Err(NotBase64), "{wrong:?}");
        }
    }
}
