//! The samples that lie beside the specifications, read in place: the 27 that the draft prints, which a receiver must
//! refuse, and an exchange that follows the draft.

mod fresh;
mod printed;

use std::path::Path;

use tamarack_crypto::Provider;
use tamarack_jose::json::{self, Json};

fn providers() -> [Provider; 2] {
    [tamarack_crypto_aws_lc::provider(), tamarack_crypto_rustcrypto::provider()]
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parse(text: &[u8]) -> Json {
    json::parse(text, &json::Limits::default()).expect("JSON")
}

fn text<'j>(json: &'j Json, name: &str) -> &'j str {
    json.get(name).and_then(Json::as_str).unwrap_or_else(|| panic!("{name}"))
}

fn find(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).position(|window| window == needle).expect("what a certificate holds")
}
