//! EAT claims and the token around them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_cbor::{Decode, Encode};
use tamarack_cose::Purpose;
use tamarack_eat::{Claims, TeepClaims, Token};
use tamarack_fuzz::{evidence_claims, key, limits, provider, seeds, verification_key};

fn examples() -> Vec<Vec<u8>> {
    let claims = evidence_claims();
    let token = tamarack_eat::sign(&claims, &*key("attestation"), &[]).expect("the key signs");
    vec![claims.to_cbor(), token]
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    if let Ok(claims) = Claims::from_cbor(data, &limits()) {
        let _ = TeepClaims::try_from(&claims);
        assert_eq!(Claims::from_cbor(&claims.to_cbor(), &limits()), Ok(claims));
    }
    if let Ok(token) = Token::parse(data, &limits()) {
        let _ = (token.unverified(), token.x5chain(), token.kid());
        let _ = token.verify(&[verification_key("attestation", Purpose::Evidence)], Purpose::Evidence, &provider());
    }
});
