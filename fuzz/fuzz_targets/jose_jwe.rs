//! A JWE from anything: all serializations; nothing but what was encrypted decrypts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_fuzz::{provider, seeds};
use tamarack_jose::json::{Limits, parse, to_vec};
use tamarack_jose::jwe::{DecryptionKey, Enc, Jwe, Recipient, encrypt, encrypt_compact};
use tamarack_testkit::crypto_suite::p256_pkcs8;

fn make() -> Vec<Vec<u8>> {
    let key = provider().agree.load_pkcs8(&p256_pkcs8(&[7; 32])).expect("a key");
    let recipient = Recipient::from_spki(&key.public_key().to_spki()).expect("P-256");
    let general =
        Enc::ALL.map(|enc| to_vec(&encrypt(b"plaintext", &recipient, enc, &provider()).expect("encrypts")));
    let compact =
        Enc::ALL.map(|enc| encrypt_compact(b"plaintext", &recipient, enc, &provider()).expect("encrypts"));
    general.into_iter().chain(compact.map(String::into_bytes)).collect()
}

fuzz_target!(init: seeds(make), |data: &[u8]| {
    let from_json = parse(data, &Limits { bytes: 8192, ..Limits::default() }).ok().map(|json| Jwe::parse(&json));
    let from_compact = core::str::from_utf8(data).ok().map(Jwe::parse_compact);
    for jwe in [from_json, from_compact].into_iter().flatten().flatten() {
        let key = provider().agree.load_pkcs8(&p256_pkcs8(&[7; 32])).expect("a key");
        if let Ok(plaintext) = jwe.decrypt(DecryptionKey::Agree(&*key), &provider()) {
            assert_eq!(plaintext.expose(), b"plaintext");
        }
    }
});
