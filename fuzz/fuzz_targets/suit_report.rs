//! SUIT reports, plain and signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_cbor::Encode;
use tamarack_cose::{Purpose, SignOptions};
use tamarack_fuzz::{envelopes, key, limits, provider, seeds, suit_limits, verification_key};
use tamarack_model::codes;
use tamarack_suit::{Envelope, Reason, Report, SignedReport};

fn examples() -> Vec<Vec<u8>> {
    let envelope = Envelope::parse(&envelopes()[0], &suit_limits()).expect("our own envelope");
    let report = Report::refusal(&envelope, codes::SUIT_UNAUTHORISED, Reason::ALL[0], Some(&[1; 16]));
    vec![report.to_cbor(), report.sign(&*key("report"), &SignOptions::default()).expect("the key signs")]
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    if let Ok(report) = Report::parse(data, &limits()) {
        let again = Report::parse(&report.to_cbor(), &limits());
        assert_eq!(again, Ok(report));
    }
    if let Ok(signed) = SignedReport::parse(data, &limits()) {
        let _ = signed.verify(&[verification_key("report", Purpose::SuitReport)], &provider());
    }
});
