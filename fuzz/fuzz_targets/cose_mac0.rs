//! COSE_Mac0: parsed from anything, and verified with a payload of its own and a detached one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_cose::{Mac0, Purpose};
use tamarack_fuzz::{limits, mac_key, provider, seeds};

fuzz_target!(init: seeds(|| vec![Mac0::authenticate(&mac_key(), b"payload", &[], false, &provider())]), |data: &[u8]| {
    let Ok(object) = Mac0::parse(data, &limits()) else { return };
    for detached in [None, Some(&b"payload"[..])] {
        let _ = object.verify(&[mac_key()], Purpose::SuitManifest, detached, b"", &provider());
    }
});
