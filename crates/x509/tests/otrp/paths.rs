use rcgen::{
    BasicConstraints, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256,
};
use tamarack_model::{Code, codes};
use tamarack_x509::{Anchor, Error, NameKind, PathOptions, Role, Usage, validate_any};

use crate::support::*;

#[test]
fn a_good_chain_tells_all() {
    let root = Ca::role_root(Role::OtrpTam);
    let middle = root.below("middle");
    let chain = [middle.leaf(Role::OtrpTam), middle.der.clone()];
    let valid = validate_both(&chain, &[root.anchor()], Role::OtrpTam, true).unwrap();
    assert_eq!(valid.path(), [&chain[0], &chain[1], &root.der]);
    assert_eq!(valid.leaf_der(), chain[0]);
    assert_eq!(valid.name(NameKind::RegisteredId), Ok(OID));
    assert_eq!(valid.name(NameKind::Uri), Err(Error::Name));
    assert_eq!(valid.key().unwrap().to_spki(), valid.spki());
    assert_eq!(valid.encryption_spki(), Ok(valid.spki()));
    assert_eq!((valid.anchor_index(), valid.role()), (0, Role::OtrpTam));
    assert_eq!(valid.not_after(), NOW + 365 * DAY);
}

/// Every fault for every role.
#[test]
fn k4_faults_are_refused_in_every_role() {
    type Expect = fn(Role) -> Error;
    let leaf_faults: [(&str, Edit, Expect); 9] = [
        ("expired", |p| p.not_after = at(NOW - 1), |_| Error::Expired { not_after: NOW - 1 }),
        ("not yet", |p| p.not_before = at(NOW + 1), |_| Error::NotYetValid { not_before: NOW + 1 }),
        ("a CA", |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained), |_| Error::Usage(Usage::LeafIsCa)),
        ("no key usage", |p| p.key_usages.clear(), |_| Error::Usage(Usage::LeafKeyUsage)),
        (
            "key agreement alone",
            |p| p.key_usages = vec![KeyUsagePurpose::KeyAgreement],
            |_| Error::Usage(Usage::LeafKeyUsage),
        ),
        ("no role", |p| p.extended_key_usages.clear(), |role| Error::Usage(Usage::Role(role))),
        (
            "a TLS server",
            |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            |role| Error::Usage(Usage::Role(role)),
        ),
        (
            "any purpose",
            |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any],
            |role| Error::Usage(Usage::Role(role)),
        ),
        (
            "every role",
            |p| p.extended_key_usages = Role::ALL.map(purpose).to_vec(),
            |role| Error::Usage(Usage::Role(role)),
        ),
    ];
    for role in Role::ALL {
        let root = Ca::role_root(role);
        for (name, edit, expected) in leaf_faults {
            let mut params = leaf_params(Some(role));
            edit(&mut params);
            let chain = [root.issue(&params).0];
            let error = validate_both(&chain, &[root.anchor()], role, true).expect_err(name);
            assert_eq!(error, expected(role), "{name} as {role}");
        }
        let leaf = root.leaf(role);
        let chain = [leaf.clone()];
        assert!(validate_both(&chain, &[root.anchor()], role, true).is_ok());
        assert_eq!(validate_both(&chain, &[], role, true).unwrap_err(), Error::UnknownIssuer);
        let mut forged = leaf;
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(validate_both(&[forged], &[root.anchor()], role, true).unwrap_err(), Error::Signature);
        let garbage = [vec![0x30, 0x03, 0x02, 0x01, 0x00]];
        assert_eq!(validate_both(&garbage, &[root.anchor()], role, true).unwrap_err(), Error::Malformed);
    }
}

/// Every certificate under the wrong authority, in the wrong role, or both.
#[test]
fn swapped_certificates_are_refused_with_their_code() {
    const ROLES: [Role; 4] = [Role::OtrpTam, Role::OtrpTee, Role::Firmware, Role::Developer];
    let roots = ROLES.map(Ca::role_root);
    let plain = ROLES.map(|role| Ca::root(&format!("{role} root"), keep));
    let check = |name: String, result: Result<_, Error>, expected: Option<Code>| {
        assert_eq!(result.err().map(|error| error.code()), expected, "{name}");
    };
    for (asked, (anchor, plain_anchor)) in ROLES.into_iter().zip(roots.iter().zip(&plain)) {
        for (under, (root, plain_root)) in ROLES.into_iter().zip(roots.iter().zip(&plain)) {
            let wrong_ca = (under != asked).then_some(codes::X509_PATH);
            for made in ROLES {
                let name = |form| format!("{form}: a certificate of {made} under {under}, used as {asked}");
                let wrong_role = (made != asked).then_some(codes::X509_USAGE);
                let chain = [root.leaf(made)];
                let hardened = validate_both(&chain, &[anchor.anchor()], asked, true);
                check(name("hardened"), hardened, wrong_role.or(wrong_ca));
                // The draft's form does not make up for the extended key usage of another role.
                let chain = [plain_root.leaf(made)];
                let draft = validate_both(&chain, &[plain_anchor.anchor()], asked, false);
                check(name("draft"), draft, wrong_role.or(wrong_ca));
                // The authority itself is listed where it does not belong.
                if under != asked && made == asked {
                    let listed = validate_both(&[root.leaf(made)], &[root.anchor()], asked, true);
                    check(name("listed"), listed, Some(codes::X509_USAGE));
                }
            }
            let chain = [plain_root.issue(&leaf_params(None)).0];
            let name = |form| format!("{form}: a certificate without role under {under}, used as {asked}");
            let draft = validate_both(&chain, &[plain_anchor.anchor()], asked, false);
            check(name("draft"), draft, wrong_ca);
            let hardened = validate_both(&chain, &[plain_anchor.anchor()], asked, true);
            check(name("hardened"), hardened, Some(codes::X509_USAGE));
        }
    }
}

#[test]
fn only_six_certificates_are_looked_at() {
    let root = Ca::role_root(Role::OtrpTam);
    let chain = vec![root.leaf(Role::OtrpTam); 7];
    let expected = Error::ChainLength { length: 7, limit: 6 };
    assert_eq!(validate_both(&chain, &[root.anchor()], Role::OtrpTam, true).unwrap_err(), expected);
    assert!(validate_both(&chain[..6], &[root.anchor()], Role::OtrpTam, true).is_ok());
    let expected = Error::ChainLength { length: 0, limit: 6 };
    assert_eq!(validate_both(&[], &[root.anchor()], Role::OtrpTam, true).unwrap_err(), expected);
    // A path of six: the leaf and five CAs under the root.
    let mut above = vec![Ca::role_root(Role::OtrpTam)];
    for n in 0..5 {
        above.push(above[n].below(&format!("{n}")));
    }
    let mut chain = vec![above[5].leaf(Role::OtrpTam)];
    chain.extend(above[1..].iter().rev().map(|ca| ca.der.clone()));
    assert!(validate_both(&chain, &[above[0].anchor()], Role::OtrpTam, true).is_ok());
}

#[test]
fn names_are_exactly_one_of_their_kind() {
    let root = Ca::role_root(Role::OtrpTam);
    let with = |uris: &[&str]| {
        let mut params = leaf_params(Some(Role::OtrpTam));
        params.custom_extensions.clear();
        params.subject_alt_names = uris.iter().map(|text| uri(text)).collect();
        validate_both(&[root.issue(&params).0], &[root.anchor()], Role::OtrpTam, true).unwrap()
    };
    assert_eq!(with(&["urn:a"]).name(NameKind::Uri), Ok("urn:a"));
    assert_eq!(with(&["urn:a"]).name(NameKind::RegisteredId), Err(Error::Name));
    assert_eq!(with(&["urn:a", "urn:b"]).name(NameKind::Uri), Err(Error::Name));
    assert_eq!(with(&[]).name(NameKind::Uri), Err(Error::Name));
}

/// Security rule K2: certificates may overlap, and a sibling or a namesake under another anchor is somebody else.
#[test]
fn k2_a_renewed_certificate_names_the_same_principal() {
    let (root, other) = (Ca::role_root(Role::OtrpTam), Ca::role_root(Role::OtrpTam));
    let anchors = [root.anchor(), other.anchor()];
    let principal = |ca: &Ca, edit: Edit| {
        let mut params = leaf_params(Some(Role::OtrpTam));
        edit(&mut params);
        let valid = validate_both(&[ca.issue(&params).0], &anchors, Role::OtrpTam, true)?;
        let name = valid.name(NameKind::RegisteredId).map(str::to_owned);
        Ok::<_, Error>((valid.anchor_index(), name, valid.spki().to_vec()))
    };
    let (anchor, name, key) = principal(&root, |params| params.not_after = at(NOW + 1)).unwrap();
    let renewed = principal(&root, keep).unwrap();
    assert_eq!((anchor, name.as_deref()), (0, Ok(OID)));
    assert_eq!((renewed.0, &renewed.1), (anchor, &name));
    assert_ne!(renewed.2, key, "with a new key");
    let (anchor, namesake, _) = principal(&other, keep).unwrap();
    assert_eq!((anchor, namesake), (1, name.clone()));
    let sibling = principal(&root, |params| {
        params.custom_extensions[0] =
            rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x30, 4, 0x88, 2, 0x2a, 3]);
    });
    assert_eq!(sibling.unwrap().1.as_deref(), Ok("1.2.3"));
    assert!(principal(&root, |params| params.not_after = at(NOW - 1)).is_err(), "the overlap ends");
}

#[test]
fn encryption_needs_key_agreement() {
    let root = Ca::role_root(Role::OtrpTee);
    let mut params = leaf_params(Some(Role::OtrpTee));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let chain = [root.issue(&params).0];
    let valid = validate_both(&chain, &[root.anchor()], Role::OtrpTee, true).unwrap();
    assert!(!valid.may_agree());
    assert_eq!(valid.encryption_spki(), Err(Error::Usage(Usage::LeafKeyAgreement)));
}

/// Makes a root of any algorithm with a leaf under it.
fn chain_of(algorithm: &'static rcgen::SignatureAlgorithm) -> (Vec<u8>, Vec<u8>) {
    let key = || rcgen::KeyPair::generate_for(algorithm).unwrap();
    let mut root = ca_params("root");
    root.extended_key_usages = vec![purpose(Role::OtrpTee)];
    let root_key = key();
    let root_der = root.self_signed(&root_key).unwrap().der().to_vec();
    let mut leaf = leaf_params(Some(Role::OtrpTee));
    leaf.key_usages.push(KeyUsagePurpose::KeyEncipherment);
    let leaf = leaf.signed_by(&key(), &rcgen::Issuer::new(root, root_key)).unwrap().der().to_vec();
    (root_der, leaf)
}

#[test]
fn other_keys_are_for_providers_that_have_them() {
    let options = PathOptions::default();
    for (algorithm, everywhere) in
        [(&PKCS_ED25519, true), (&PKCS_ECDSA_P384_SHA384, false), (&PKCS_RSA_SHA256, false)]
    {
        let (root, leaf) = chain_of(algorithm);
        let anchors = [Anchor::from_der(&root).unwrap()];
        let chain = [leaf];
        let [aws, rustcrypto] =
            providers().map(|p| validate_any(&chain, &anchors, Role::OtrpTee, NOW, &options, &p));
        let valid = aws.unwrap();
        assert_eq!(valid.key().is_some(), everywhere, "{algorithm:?}");
        assert!(valid.may_agree());
        assert_eq!(rustcrypto.is_ok(), everywhere, "{algorithm:?}");
        // Nothing of this is for TEEP.
        let teep = tamarack_x509::validate(&chain, &anchors, Role::OtrpTee, NOW, &providers()[0]);
        assert_eq!(teep.is_ok(), everywhere, "{algorithm:?}");
    }
}

/// RSA of 1,024 bits and signatures with SHA-1, made once with OpenSSL because no library of ours makes them.
#[test]
fn weak_certificates_are_refused() {
    let der = |pem: &str| {
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        <base64ct::Base64 as base64ct::Encoding>::decode_vec(&body).unwrap()
    };
    for (name, root, leaf) in [
        ("RSA 1024", include_str!("weak/rsa1024-root.pem"), include_str!("weak/rsa1024-leaf.pem")),
        ("SHA-1", include_str!("weak/sha1-root.pem"), include_str!("weak/sha1-leaf.pem")),
        ("SHA-1 with P-256", include_str!("weak/ecsha1-root.pem"), include_str!("weak/ecsha1-leaf.pem")),
    ] {
        let (root, leaf) = (der(root), der(leaf));
        let anchors: Vec<_> = Anchor::from_der(&root).into_iter().collect();
        assert_eq!(anchors.is_empty(), name == "RSA 1024", "{name}");
        let options = PathOptions { require_role: false };
        for provider in providers() {
            let chain = [leaf.clone()];
            let error =
                validate_any(&chain, &anchors, Role::OtrpTam, NOW, &options, &provider).expect_err(name);
            assert_eq!(error, Error::Algorithm, "{name}");
            assert_eq!(error.code(), codes::X509_ALGORITHM);
        }
    }
}
