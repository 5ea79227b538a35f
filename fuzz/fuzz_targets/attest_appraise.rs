//! Appraisal of Evidence: from anybody, and with any claims from a device under the TEE CA.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tamarack_attest::{Expectations, Grade, Policy, TeeCa, appraise, hints_unverified};
use tamarack_cbor::Encode;
use tamarack_cose::{Sign1, SignOptions, thumbprint};
use tamarack_crypto::KeyType;
use tamarack_eat::SOFTWARE_TEE_FORMAT;
use tamarack_fuzz::{NONCE, NOW, evidence_claims, key, provider, seeds};
use tamarack_pki::{Authority, Subject, Validity, certificates_from_pem};
use tamarack_x509::{Anchor, Role};

static WORLD: LazyLock<(Policy, Vec<Vec<u8>>)> = LazyLock::new(|| {
    let authority = Authority::create(Role::Tee, "maker", KeyType::Ed25519, Validity::days(NOW - 1, 99));
    let authority = authority.expect("an authority");
    let subject = Subject { uri: "urn:x-tamarack:device:1".into(), common_name: "device 1".into() };
    let leaf = authority.issue(key("attestation").public_key(), subject, NOW - 1, NOW + 1000);
    let chain = certificates_from_pem(&leaf.expect("a certificate")).expect("PEM");
    let anchor = Anchor::from_der(authority.cert_der()).expect("an authority is an anchor");
    (Policy::new(vec![TeeCa { anchor, cap: Grade::Software }], Grade::Software), chain)
});

fn sign(claims: &[u8]) -> Vec<u8> {
    let options = SignOptions { x5chain: &WORLD.1, ..SignOptions::default() };
    Sign1::sign(&*key("attestation"), claims, &[], &options).expect("the key signs")
}

fn examples() -> Vec<Vec<u8>> {
    let claims = evidence_claims().to_cbor();
    vec![claims.clone(), sign(&claims)]
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    let teep_key = thumbprint(&key("teep").public_key(), &provider());
    let expected = Expectations { nonce: &NONCE, teep_key: Some(teep_key), now: NOW };
    for evidence in [data.to_vec(), sign(data)] {
        let _ = hints_unverified(Some(SOFTWARE_TEE_FORMAT), &evidence);
        if let Ok(a) = appraise(Some(SOFTWARE_TEE_FORMAT), &evidence, &expected, &WORLD.0, &provider()) {
            assert_eq!(a.grade, Grade::Software, "the grade is capped");
            assert_eq!(a.claims.eat_nonce, [NONCE.to_vec()], "stale Evidence");
        }
    }
});
