//! Measured components and the TAs among them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_cbor::{Decode, Encode};
use tamarack_eat::{MeasuredComponent, MeasuredTa, Measurement};
use tamarack_fuzz::{limits, seeds, wallet};

fn examples() -> Vec<Vec<u8>> {
    let ta = MeasuredTa {
        component: wallet("ta"),
        manifest: wallet("suit"),
        provider: "maker".into(),
        sequence: 4,
        digest: [5; 32],
        loaded: true,
    };
    let component = MeasuredComponent::from(&ta);
    vec![component.to_cbor(), Measurement::Component(component).to_cbor()]
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    if let Ok(measurement) = Measurement::from_cbor(data, &limits()) {
        assert_eq!(Measurement::from_cbor(&measurement.to_cbor(), &limits()), Ok(measurement));
    }
    if let Ok(component) = MeasuredComponent::from_cbor(data, &limits()) {
        if let Ok(ta) = MeasuredTa::try_from(&component) {
            assert_eq!(MeasuredComponent::from(&ta), component, "one TA has one spelling");
        }
        assert_eq!(MeasuredComponent::from_cbor(&component.to_cbor(), &limits()), Ok(component));
    }
});
