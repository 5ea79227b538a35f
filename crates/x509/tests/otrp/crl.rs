use rcgen::KeyUsagePurpose;
use tamarack_model::codes;
use tamarack_x509::Role;
use tamarack_x509::crl::{CrlError, check, is_readable};

use crate::support::*;

fn check_both(path: &[&[u8]], lists: &[Vec<u8>]) -> Result<(), CrlError> {
    let [first, second] = providers().map(|provider| check(path, lists, NOW, &provider));
    assert_eq!(first, second);
    first
}

#[test]
fn lists_are_matched_by_issuer() {
    let root = Ca::role_root(Role::OtrpTee);
    let middle = root.below("middle");
    let leaf = middle.leaf(Role::OtrpTee);
    let path: [&[u8]; 3] = [&leaf, &middle.der, &root.der];
    let other = middle.leaf(Role::OtrpTee);
    let good = |ca: &Ca, revoked: &[&[u8]]| ca.list(revoked, NOW - 10, NOW + DAY);
    let (of_root, of_middle) = (good(&root, &[]), good(&middle, &[&other]));
    assert_eq!(check_both(&path, &[of_root.clone(), of_middle.clone()]), Ok(()));
    assert_eq!(check_both(&path, &[of_middle.clone(), of_root.clone()]), Ok(()));
    assert_eq!(check_both(&path, std::slice::from_ref(&of_root)), Err(CrlError::Missing { index: 0 }));
    assert_eq!(check_both(&path, std::slice::from_ref(&of_middle)), Err(CrlError::Missing { index: 1 }));
    let bad_root = good(&root, &[&middle.der]);
    assert_eq!(check_both(&path, &[of_middle, bad_root]), Err(CrlError::Revoked { index: 1 }));
    assert!(is_readable(&of_root) && !is_readable(&leaf));
}

#[test]
fn faults_of_a_list_are_told_apart() {
    let root = Ca::role_root(Role::OtrpTee);
    let leaf = root.leaf(Role::OtrpTee);
    let path: [&[u8]; 2] = [&leaf, &root.der];
    let good = root.list(&[], NOW - 10, NOW + DAY);
    assert_eq!(check_both(&path, std::slice::from_ref(&good)), Ok(()));
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    // A namesake of the root with a key of its own, and one that must not sign lists.
    let namesake = Ca::role_root(Role::OtrpTee);
    let silent = Ca::root("silent", |params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]);
    assert!(silent.issuer.key_usages().len() == 1);
    let index = 0;
    for (name, list, expected, code) in [
        (
            "revoked",
            root.list(&[&leaf], NOW - 10, NOW + DAY),
            CrlError::Revoked { index },
            codes::X509_REVOKED,
        ),
        (
            "revoked, list over",
            root.list(&[&leaf], NOW - DAY, NOW - 1),
            CrlError::Revoked { index },
            codes::X509_REVOKED,
        ),
        ("over", root.list(&[], NOW - DAY, NOW - 1), CrlError::Stale { index }, codes::OCSP_STALE),
        ("future", root.list(&[], NOW + 301, NOW + DAY), CrlError::Future { index }, codes::OCSP_STALE),
        ("changed", forged, CrlError::Signature { index }, codes::OCSP_UNTRUSTED),
        (
            "of a namesake",
            namesake.list(&[], NOW - 10, NOW + DAY),
            CrlError::Signature { index },
            codes::OCSP_UNTRUSTED,
        ),
        (
            "of another issuer",
            root.below("x").list(&[], NOW - 10, NOW + DAY),
            CrlError::Missing { index },
            codes::OCSP_MISSING,
        ),
        ("garbage", b"garbage".to_vec(), CrlError::Malformed, codes::OCSP_MALFORMED),
        ("a certificate", leaf.clone(), CrlError::Malformed, codes::OCSP_MALFORMED),
        ("cut off", good[..good.len() - 1].to_vec(), CrlError::Malformed, codes::OCSP_MALFORMED),
    ] {
        let error = check_both(&path, &[list]).expect_err(name);
        assert_eq!(error, expected, "{name}");
        assert_eq!(error.code(), code, "{name}");
        assert!(!error.to_string().is_empty());
    }
    assert_eq!(check_both(&path, &[]), Err(CrlError::Missing { index }));
    // An old list does not spoil a new one.
    assert_eq!(check_both(&path, &[root.list(&[], NOW - DAY, NOW - 1), good]), Ok(()));
}

/// RFC 5280 section 4.2.1.3: lists are signed by CAs with cRLSign only.
#[test]
fn lists_need_the_right_to_sign_them() {
    let signs = Ca::root("root", |params| params.key_usages.push(KeyUsagePurpose::CrlSign));
    let leaf = signs.leaf(Role::OtrpTee);
    let list = signs.list(&[], NOW - 10, NOW + DAY);
    // The same key under a certificate that does not let it sign lists.
    let mut params = ca_params("root");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let silent = params.self_signed(signs.issuer.key()).unwrap().der().to_vec();
    assert_eq!(check_both(&[&leaf, &signs.der], std::slice::from_ref(&list)), Ok(()));
    assert_eq!(check_both(&[&leaf, &silent], &[list]), Err(CrlError::Signature { index: 0 }));
}
