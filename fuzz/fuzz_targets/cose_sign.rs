//! COSE_Sign: parsed from anything, and verified with a payload of its own and a detached one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_cose::{Purpose, Sign, SignOptions};
use tamarack_fuzz::{key, limits, provider, seeds, verification_key};

fuzz_target!(init: seeds(|| vec![Sign::sign(&[(&*key("signer"), SignOptions::default()), (&*key("tam"), SignOptions::default())], b"payload", &[]).expect("the keys sign")]), |data: &[u8]| {
    let Ok(object) = Sign::parse(data, &limits()) else { return };
    for detached in [None, Some(&b"payload"[..])] {
        let _ = object.verify(&[verification_key("signer", Purpose::SuitManifest)], Purpose::SuitManifest, detached, b"", &provider());
    }
});
