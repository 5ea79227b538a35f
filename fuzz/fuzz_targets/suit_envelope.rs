//! SUIT envelopes from anybody: parsed, stored without payloads, authenticated, and carried out if authentic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_fuzz::{envelopes, provider, seeds, suit_limits, with_trusted_keys};
use tamarack_suit::{Envelope, Machine, MemoryDevice, Procedure};

fuzz_target!(init: seeds(envelopes), |data: &[u8]| {
    let Ok(envelope) = Envelope::parse(data, &suit_limits()) else { return };
    let stored = envelope.without_payloads();
    let again = Envelope::parse(&stored, &suit_limits()).expect("what is stored can be read");
    assert_eq!(again.digest_bytes(), envelope.digest_bytes());
    assert_eq!(again.without_payloads(), stored);
    let Ok(authentic) = with_trusted_keys(|keys| envelope.authenticate(keys, &provider())) else { return };
    if let Ok(mut machine) = Machine::new(authentic, Procedure::Update, suit_limits()) {
        let mut device = MemoryDevice::new(provider());
        device.payloads.insert("https://tam.example/ta".into(), b"a TA".to_vec());
        let _ = device.drive(&mut machine);
        let _ = machine.report(None);
    }
});
