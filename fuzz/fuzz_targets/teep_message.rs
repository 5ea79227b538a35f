//! TEEP messages without their signature: what is read is what was meant.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_fuzz::{limits, messages, seeds};
use tamarack_teep::Message;

fuzz_target!(init: seeds(|| messages().iter().map(Message::to_cbor).collect()), |data: &[u8]| {
    let Ok(message) = Message::from_cbor(data, &limits()) else { return };
    assert_eq!(Message::from_cbor(&message.to_cbor(), &limits()), Ok(message));
});
