//! The strict reader: what it takes, the lenient one takes too, and it survives being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_cbor::{Decode, Encode, Value, check};
use tamarack_fuzz::{limits, messages, seeds};

fuzz_target!(init: seeds(|| messages().iter().map(|m| m.to_cbor()).collect()), |data: &[u8]| {
    let lenient = Value::decode_lenient(data);
    if check(data, &limits()).is_ok() {
        let value = Value::from_cbor(data, &limits()).expect("well-formed, so it is a value");
        assert_eq!(lenient, Ok((value.clone(), data.len())), "two readers differ");
        let written = value.to_cbor();
        assert_eq!(written.len(), data.len(), "there is one encoding but for the order of keys");
        assert_eq!(Value::from_cbor(&written, &limits()).expect("what we write").to_cbor(), written);
    }
});
