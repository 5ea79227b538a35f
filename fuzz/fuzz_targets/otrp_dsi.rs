//! A DSI from anything: what is read is told again to the same, and keeps the hash of what came.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_fuzz::{limits_otrp, otrp_dsi, provider, seeds};
use tamarack_otrp::{Mode, SerializedDsi, taid};

fuzz_target!(init: seeds(|| vec![otrp_dsi().serialize().octets()]), |data: &[u8]| {
    for mode in [Mode::Strict, Mode::Compat] {
        let Ok(received) = SerializedDsi::parse(data, &mode, &limits_otrp()) else { continue };
        assert_eq!(received.hash(&provider()), provider().sha256(data));
        assert!(received.hashes(&provider()).matches(&provider().sha256(data)));
        let told = received.dsi().serialize();
        let again = SerializedDsi::parse(&told.octets(), &Mode::Strict, &limits_otrp()).expect("what is told is read");
        assert_eq!(again.dsi(), received.dsi());
        for sd in &received.dsi().tee.sdlist {
            for ta in &sd.talist {
                let Ok(manifest) = taid::to_manifest(&sd.name, &ta.taid) else { continue };
                let (sdname, again) = taid::from_manifest(&manifest).expect("it came from a name");
                assert!(sdname == sd.name && again.eq_ignore_ascii_case(&ta.taid));
            }
        }
    }
});
