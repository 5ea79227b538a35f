//! A JWS from anything: both serializations, both modes; nothing but what was signed verifies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_fuzz::{provider, seeds};
use tamarack_jose::Mode;
use tamarack_jose::json::{Limits, parse, to_vec};
use tamarack_jose::jws::{Purpose, SignHeaders, Signer, Unverified, VerificationKey, sign};
use tamarack_testkit::crypto_suite::p256_pkcs8;

fn make() -> Vec<Vec<u8>> {
    let key = provider().keys.load_pkcs8(&p256_pkcs8(&[7; 32])).expect("a key");
    let chain = [vec![1; 8], vec![2; 8]];
    let headers = [SignHeaders::default(), SignHeaders::chain(&chain, &provider())];
    headers.map(|headers| to_vec(&sign(b"payload", Signer::Es256(&*key), &headers).expect("signs"))).into()
}

fuzz_target!(init: seeds(make), |data: &[u8]| {
    let Ok(json) = parse(data, &Limits { bytes: 8192, ..Limits::default() }) else { return };
    let public = provider().keys.load_pkcs8(&p256_pkcs8(&[7; 32])).expect("a key").public_key();
    let trusted = VerificationKey::of(&public, Purpose::OtrpRequest).expect("P-256");
    for mode in [Mode::Strict, Mode::Compat] {
        for jws in [Unverified::parse(&json, mode), Unverified::parse_general(&json, mode)].into_iter().flatten() {
            if let Ok(verified) = jws.verify(&trusted, Purpose::OtrpRequest, &provider()) {
                assert_eq!(verified.value(), b"payload");
            }
        }
    }
});
