//! Certificate paths: the input is a list of certificates, each after its length in two bytes.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tamarack_crypto::KeyType;
use tamarack_fuzz::{NOW, key, provider, seeds};
use tamarack_pki::{Authority, Subject, Validity, certificates_from_pem};
use tamarack_x509::{Anchor, Role, validate};

static AUTHORITIES: LazyLock<Vec<Authority>> = LazyLock::new(|| {
    let make = |key_type| Authority::create(Role::Tee, "maker", key_type, Validity::days(NOW - 1, 99));
    [KeyType::P256, KeyType::Ed25519].map(|key_type| make(key_type).expect("an authority")).into()
});
static ANCHORS: LazyLock<Vec<Anchor>> = LazyLock::new(|| {
    AUTHORITIES.iter().map(|a| Anchor::from_der(a.cert_der()).expect("an authority is an anchor")).collect()
});

fn examples() -> Vec<Vec<u8>> {
    let issue = |authority: &Authority| {
        let subject = Subject { uri: "urn:x-tamarack:device:1".into(), common_name: "device 1".into() };
        let pem = authority.issue(key("attestation").public_key(), subject, NOW - 1, NOW + 1000);
        let leaf = certificates_from_pem(&pem.expect("a certificate")).expect("PEM").swap_remove(0);
        let framed = [leaf, authority.cert_der().to_vec()].map(|der| {
            [&u16::try_from(der.len()).expect("certificates are small").to_be_bytes()[..], &der].concat()
        });
        framed.concat()
    };
    AUTHORITIES.iter().map(issue).collect()
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    let mut chain = Vec::new();
    let mut rest = data;
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let (der, tail) = tail.split_at(tail.len().min(u16::from_be_bytes(*length).into()));
        chain.push(der.to_vec());
        rest = tail;
    }
    for der in &chain {
        let _ = (Anchor::from_der(der), tamarack_x509::is_development(der));
    }
    for role in Role::ALL {
        if let Ok(valid) = validate(&chain, &ANCHORS, role, NOW, &provider()) {
            assert_eq!(role, Role::Tee, "a certificate of one role passed for another");
            assert_eq!(valid.leaf_der(), chain[0]);
        }
    }
});
