//! PSA tokens: the claims, and Evidence around any claims that an endorsed key signed.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tamarack_attest::psa_token::{FORMAT, PsaClaims, binding, wrap};
use tamarack_attest::{
    Expectations, Grade, Policy, ProviderRole, ReferenceProvider, References, appraise, hints_unverified,
};
use tamarack_cbor::{Decode, Encoder};
use tamarack_corim::{AttestKeys, Class, ClassId, Comid, Corim, CryptoKey, Environment, Id, Signer};
use tamarack_cose::{Purpose, Sign1, SignOptions, thumbprint};
use tamarack_fuzz::{NONCE, NOW, key, limits, provider, seeds, verification_key};

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let class = Class { class_id: Some(ClassId::Bytes(vec![5; 32])), ..Class::default() };
    let environment = Environment::of_class(class);
    let mut references = References::new(vec![ReferenceProvider {
        name: "maker".into(),
        role: ProviderRole::Maker,
        keys: vec![verification_key("maker", Purpose::ReferenceValues)],
        scope: vec![environment.clone()],
        elements: None,
        cap: Grade::Software,
    }]);
    let mut tag = Comid::new(Id::Text("keys".into()), 1);
    tag.attest_keys = vec![AttestKeys {
        environment,
        keys: vec![CryptoKey::new(&key("attestation").public_key())],
        element: None,
        authorized_by: Vec::new(),
    }];
    let corim = Corim::new(Id::Text("maker".into()), tag);
    let signed = tamarack_corim::sign(&corim, &Signer::new("maker"), &*key("maker"), None).expect("a CoRIM");
    references.add(&signed, NOW, &provider()).expect("a good CoRIM");
    Policy { references: Some(references.into()), ..Policy::new(Vec::new(), Grade::None) }
});

fn claims() -> Vec<u8> {
    let mut instance = [7; 33];
    instance[0] = 1;
    let mut e = Encoder::new();
    e.map_with(|map| {
        map.int(10, |e| e.bytes(&binding(&NONCE, &key("teep").public_key(), &provider())))
            .int(256, |e| e.bytes(&instance))
            .int(265, |e| e.text("tag:psacertified.org,2023:psa#tfm"))
            .int(2394, |e| e.int(-1))
            .int(2395, |e| e.uint(0x3000))
            .int(2396, |e| e.bytes(&[5; 32]))
            .int(2399, |e| {
                e.array(1).map_with(|map| {
                    map.int(2, |e| e.bytes(&[8; 32])).int(5, |e| e.bytes(&[6; 32]));
                })
            });
    });
    e.into_bytes()
}

fn sign(claims: &[u8]) -> Vec<u8> {
    let token =
        Sign1::sign(&*key("attestation"), claims, &[], &SignOptions::default()).expect("the key signs");
    wrap(&NONCE, &key("teep").public_key(), &token)
}

fn examples() -> Vec<Vec<u8>> {
    vec![claims(), sign(&claims())]
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    let _ = PsaClaims::from_cbor(data, &limits());
    let teep_key = thumbprint(&key("teep").public_key(), &provider());
    let expected = Expectations { nonce: &NONCE, teep_key: Some(teep_key), now: NOW };
    for evidence in [data.to_vec(), sign(data)] {
        let _ = hints_unverified(Some(FORMAT), &evidence);
        let outcome = appraise(Some(FORMAT), &evidence, &expected, &POLICY, &provider());
        assert!(outcome.is_err(), "nothing was released");
    }
});
