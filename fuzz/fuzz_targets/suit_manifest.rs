//! Manifests that nobody vouches for: read as tools read them, and shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_fuzz::{envelope_around, manifest, provider, seeds, suit_limits};
use tamarack_suit::author::Payload;
use tamarack_suit::{Envelope, explain};

fuzz_target!(
    init: seeds(|| vec![manifest(Payload::by_uri("https://tam.example/ta", b"a TA", &provider())).manifest().to_vec()]),
    |data: &[u8]| {
        let Ok(envelope) = Envelope::parse(&envelope_around(data), &suit_limits()) else { return };
        let read = envelope.unauthenticated_manifest();
        assert_eq!(read.is_ok(), explain::explain(&envelope).is_ok(), "what can be read can be shown");
    }
);
