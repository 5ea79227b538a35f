//! Evidence of a TA: from anybody, around any submodule, and with any claims from a device under the TEE CA; and the whole way
//! from there to a result.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tamarack_attest::{Expectations, Grade, Policy, References, TeeCa, assess, hints_unverified};
use tamarack_cbor::{Decode, Encode};
use tamarack_cose::{Sign1, SignOptions};
use tamarack_crypto::KeyType;
use tamarack_eat::ear::{Ear, LIMITS, Tier, VerifierId};
use tamarack_eat::{SOFTWARE_TEE_FORMAT, TA_FORMAT, TaClaims, TaIdentity};
use tamarack_fuzz::{NONCE, NOW, evidence_claims, key, limits, provider, seeds, wallet};
use tamarack_pki::{Authority, Subject, Validity, certificates_from_pem};
use tamarack_x509::{Anchor, Role};

static WORLD: LazyLock<(Policy, Vec<Vec<u8>>)> = LazyLock::new(|| {
    let authority = Authority::create(Role::Tee, "maker", KeyType::Ed25519, Validity::days(NOW - 1, 99));
    let authority = authority.expect("an authority");
    let subject = Subject { uri: "urn:x-tamarack:device:1".into(), common_name: "device 1".into() };
    let leaf = authority.issue(key("attestation").public_key(), subject, NOW - 1, NOW + 1000);
    let chain = certificates_from_pem(&leaf.expect("a certificate")).expect("PEM");
    let anchor = Anchor::from_der(authority.cert_der()).expect("an authority is an anchor");
    let policy = Policy::new(vec![TeeCa { anchor, cap: Grade::Software }], Grade::Software);
    // Nobody released anything, so nothing may be affirmed.
    (Policy { references: Some(References::new(Vec::new()).into()), ..policy }, chain)
});

fn sign(claims: &[u8]) -> Vec<u8> {
    let options = SignOptions { x5chain: &WORLD.1, ..SignOptions::default() };
    Sign1::sign(&*key("attestation"), claims, &[], &options).expect("the key signs")
}

/// What a device would sign around the submodule of a hostile TA, if the Agent let it.
fn around(submodule: &[u8]) -> Vec<u8> {
    sign(&TaClaims::embed(submodule, evidence_claims(), &provider()).to_cbor())
}

fn submodule() -> Vec<u8> {
    let identity = TaIdentity {
        manifest: wallet("suit"),
        digest: [5; 32],
        sequence: 4,
        domain: b"maker".to_vec(),
        component: wallet("ta"),
        provider: "maker".into(),
    };
    TaClaims { nonce: NONCE.to_vec(), key: Some(key("ta").public_key()), identity }.to_cbor()
}

fn examples() -> Vec<Vec<u8>> {
    vec![submodule(), around(&submodule())]
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    if let Ok(claims) = TaClaims::from_cbor(data, &limits()) {
        assert_eq!(TaClaims::from_cbor(&claims.to_cbor(), &limits()), Ok(claims));
    }
    let expected = Expectations { nonce: &NONCE, teep_key: None, now: NOW };
    let embedded = match limits_hold(data) {
        true => around(data),
        false => Vec::new(),
    };
    for evidence in [data.to_vec(), sign(data), embedded] {
        for format in [TA_FORMAT, SOFTWARE_TEE_FORMAT] {
            let _ = hints_unverified(Some(format), &evidence);
            let assessment = assess(Some(format), &evidence, &expected, &WORLD.0, &provider());
            assert!(assessment.outcome.is_err(), "nothing was released");
            assert_ne!(assessment.result.status, Tier::Affirming);
            let verifier = VerifierId { developer: "fuzz".into(), build: "1".into() };
            if let Some(ear) = assessment.ear(verifier, NOW, 60) {
                assert_ne!(ear.status, Some(Tier::Affirming));
                assert_eq!(ear.eat_nonce, [NONCE.to_vec()], "stale Evidence");
                assert_eq!(Ear::from_cbor(&ear.to_cbor(), &LIMITS), Ok(ear), "a verifier says what is no EAR");
            }
        }
    }
});

/// Whether the bytes are one item, so that they can stand in a map.
fn limits_hold(data: &[u8]) -> bool {
    tamarack_cbor::check(data, &limits()).is_ok()
}
