//! COSE_Sign1: parsed from anything, and verified with a payload of its own and a detached one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_cose::{Purpose, Sign1, SignOptions};
use tamarack_fuzz::{key, limits, provider, seeds, verification_key};

fuzz_target!(init: seeds(|| vec![Sign1::sign(&*key("signer"), b"payload", &[], &SignOptions { kid: Some(b"1"), ..SignOptions::default() }).expect("the key signs")]), |data: &[u8]| {
    let Ok(object) = Sign1::parse(data, &limits()) else { return };
    for detached in [None, Some(&b"payload"[..])] {
        let _ = object.verify(&[verification_key("signer", Purpose::SuitManifest)], Purpose::SuitManifest, detached, b"", &provider());
    }
});
