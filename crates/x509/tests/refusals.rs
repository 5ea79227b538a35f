//! Every reason for which a chain is refused, beside the chains that are accepted.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType,
    SignatureAlgorithm,
};
use tamarack_crypto::{Provider, PublicKey};
use tamarack_model::codes;
use tamarack_x509::{Anchor, Error, Role, Usage, ValidChain, validate};
use time::OffsetDateTime;

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;
const URI: &str = "urn:example:tam";

type Edit = fn(&mut CertificateParams);

fn keep(_: &mut CertificateParams) {}

fn at(seconds: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds as i64).unwrap()
}

fn purpose(role: Role) -> ExtendedKeyUsagePurpose {
    ExtendedKeyUsagePurpose::Other(role.oid().to_vec())
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = at(NOW - DAY);
    params.not_after = at(NOW + 365 * DAY);
    params
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn leaf_params() -> CertificateParams {
    let mut params = params("leaf");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose(Role::Tam)];
    params.subject_alt_names = vec![uri(URI)];
    params
}

/// A root and, leaf first, the chain below it.
struct Made {
    root: Vec<u8>,
    chain: Vec<Vec<u8>>,
    leaf_key: PublicKey,
}

/// Makes a chain with so many intermediates; `edit_ca` is applied to each of them.
fn make(intermediates: usize, edit_root: Edit, edit_ca: Edit, edit_leaf: Edit) -> Made {
    make_with(&PKCS_ECDSA_P256_SHA256, intermediates, edit_root, edit_ca, edit_leaf)
}

fn make_with(
    algorithm: &'static SignatureAlgorithm,
    intermediates: usize,
    edit_root: Edit,
    edit_ca: Edit,
    edit_leaf: Edit,
) -> Made {
    let new_key = || KeyPair::generate_for(algorithm).unwrap();
    let mut root_params = ca_params("root");
    edit_root(&mut root_params);
    let key = new_key();
    let root = root_params.self_signed(&key).unwrap().der().to_vec();
    let mut issuer = Issuer::new(root_params, key);
    let mut chain = Vec::new();
    for n in 0..intermediates {
        let mut params = ca_params(&format!("intermediate {n}"));
        edit_ca(&mut params);
        let key = new_key();
        chain.insert(0, params.signed_by(&key, &issuer).unwrap().der().to_vec());
        issuer = Issuer::new(params, key);
    }
    let mut params = leaf_params();
    edit_leaf(&mut params);
    let key = new_key();
    chain.insert(0, params.signed_by(&key, &issuer).unwrap().der().to_vec());
    let leaf_key = PublicKey::from_spki(&rcgen::PublicKeyData::subject_public_key_info(&key));
    Made { root, chain, leaf_key: leaf_key.unwrap_or(PublicKey::Ed25519([0; 32])) }
}

fn providers() -> [Provider; 2] {
    [tamarack_crypto_aws_lc::provider(), tamarack_crypto_rustcrypto::provider()]
}

/// Validates with both providers, which must agree.
fn validate_both(chain: &[Vec<u8>], anchors: &[Anchor], role: Role, now: u64) -> Result<ValidChain, Error> {
    let [first, second] = providers().map(|provider| validate(chain, anchors, role, now, &provider));
    assert_eq!(first.as_ref().err(), second.as_ref().err());
    first
}

fn check(name: &str, made: &Made, now: u64, expected: Error) {
    let anchor = Anchor::from_der(&made.root).expect(name);
    let error = validate_both(&made.chain, &[anchor], Role::Tam, now).expect_err(name);
    assert_eq!(error, expected, "{name}");
    assert!(error.code().info().is_some(), "{name}");
}

#[test]
fn good_chains_give_their_leaf() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
        for intermediates in 0..=3 {
            let made = make_with(algorithm, intermediates, keep, keep, keep);
            let others = make(0, keep, keep, keep);
            let anchors = [&others.root, &made.root].map(|der| Anchor::from_der(der).unwrap());
            let valid = validate_both(&made.chain, &anchors, Role::Tam, NOW).unwrap();
            assert_eq!(*valid.leaf_key(), made.leaf_key);
            assert_eq!(valid.principal(), Ok(URI));
            assert_eq!(valid.anchor_index(), 1);
            assert_eq!(valid.leaf_der(), made.chain[0]);
            assert_eq!(valid.not_after(), NOW + 365 * DAY);
        }
    }
}

#[test]
fn the_root_may_come_along() {
    let made = make(1, keep, keep, keep);
    let chain = [&made.chain[..], std::slice::from_ref(&made.root)].concat();
    let anchor = Anchor::from_der(&made.root).unwrap();
    assert!(validate_both(&chain, &[anchor], Role::Tam, NOW).is_ok());
}

#[test]
fn the_earliest_end_of_validity_counts() {
    let made = make(1, keep, |ca| ca.not_after = at(NOW + DAY), keep);
    let anchor = Anchor::from_der(&made.root).unwrap();
    assert_eq!(validate_both(&made.chain, &[anchor], Role::Tam, NOW).unwrap().not_after(), NOW + DAY);
}

/// Security rule K4: dates, basicConstraints, keyUsage, role and path are all checked before a key is given out.
#[test]
fn k4_every_fault_of_a_chain_is_refused() {
    let past: Edit = |p| p.not_after = at(NOW - 1);
    let future: Edit = |p| p.not_before = at(NOW + 1);
    let expired = Error::Expired { not_after: NOW - 1 };
    let not_yet = Error::NotYetValid { not_before: NOW + 1 };
    let no_usage: Edit = |p| p.key_usages.clear();
    let not_a_ca: Edit = |p| p.is_ca = IsCa::ExplicitNoCa;
    let silent: Edit = |p| p.is_ca = IsCa::NoCa;
    let other_role: Edit = |p| p.extended_key_usages = vec![purpose(Role::Tee)];
    let wrong_role = Error::Usage(Usage::Role(Role::Tam));
    let leaf_usage = Error::Usage(Usage::LeafKeyUsage);
    let ca_usage = Error::Usage(Usage::CaKeyUsage);
    let issuer_not_ca = Error::Usage(Usage::IssuerIsNotCa);
    let unknown_critical: Edit = |p| {
        let mut extension =
            rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 61999, 99], vec![5, 0]);
        extension.set_criticality(true);
        p.custom_extensions.push(extension);
    };
    let cases: [(&str, usize, Edit, Edit, Edit, Error); 23] = [
        ("leaf expired", 0, keep, keep, past, expired),
        ("leaf not yet valid", 0, keep, keep, future, not_yet),
        ("intermediate expired", 1, keep, past, keep, expired),
        ("intermediate not yet valid", 1, keep, future, keep, not_yet),
        ("anchor expired", 0, past, keep, keep, expired),
        ("anchor not yet valid", 1, future, keep, keep, not_yet),
        (
            "leaf is a CA",
            0,
            keep,
            keep,
            |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            Error::Usage(Usage::LeafIsCa),
        ),
        ("intermediate is no CA", 1, keep, not_a_ca, keep, issuer_not_ca),
        ("intermediate does not say it is a CA", 1, keep, silent, keep, issuer_not_ca),
        ("leaf without keyUsage", 0, keep, keep, no_usage, leaf_usage),
        (
            "leaf that only agrees keys",
            0,
            keep,
            keep,
            |p| p.key_usages = vec![KeyUsagePurpose::KeyAgreement],
            leaf_usage,
        ),
        ("intermediate without keyUsage", 1, keep, no_usage, keep, ca_usage),
        (
            "intermediate that signs no certificates",
            1,
            keep,
            |p| p.key_usages = vec![KeyUsagePurpose::CrlSign],
            keep,
            ca_usage,
        ),
        ("leaf of another role", 0, keep, keep, other_role, wrong_role),
        ("leaf without role", 0, keep, keep, |p| p.extended_key_usages.clear(), wrong_role),
        (
            "leaf of any purpose",
            0,
            keep,
            keep,
            |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any],
            wrong_role,
        ),
        ("leaf of two roles", 0, keep, keep, |p| p.extended_key_usages.push(purpose(Role::Tee)), wrong_role),
        (
            "leaf of a TLS server",
            0,
            keep,
            keep,
            |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            wrong_role,
        ),
        ("intermediate of another role", 1, keep, other_role, keep, wrong_role),
        ("anchor of another role", 0, other_role, keep, keep, wrong_role),
        (
            "anchor allows no intermediate",
            1,
            |p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)),
            keep,
            keep,
            Error::Usage(Usage::PathLength),
        ),
        (
            "intermediate allows no other",
            2,
            keep,
            |p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)),
            keep,
            Error::Usage(Usage::PathLength),
        ),
        ("unknown critical extension", 0, keep, keep, unknown_critical, Error::Malformed),
    ];
    for (name, intermediates, root, ca, leaf, expected) in cases {
        check(name, &make(intermediates, root, ca, leaf), NOW, expected);
    }
}

#[test]
fn the_clock_decides() {
    let made = make(1, keep, keep, keep);
    let (first, last) = (NOW - DAY, NOW + 365 * DAY);
    let anchor = Anchor::from_der(&made.root).unwrap();
    for now in [first, last] {
        assert!(validate_both(&made.chain, std::slice::from_ref(&anchor), Role::Tam, now).is_ok(), "{now}");
    }
    check("before", &made, first - 1, Error::NotYetValid { not_before: first });
    check("after", &made, last + 1, Error::Expired { not_after: last });
}

/// Security rule K2: several names or none identify nobody.
#[test]
fn k2_a_principal_has_exactly_one_name() {
    let cases: [(&str, Edit, Result<&str, Error>); 5] = [
        ("one", keep, Ok(URI)),
        ("none", |p| p.subject_alt_names.clear(), Err(Error::Name)),
        ("two", |p| p.subject_alt_names.push(uri("urn:example:other")), Err(Error::Name)),
        ("the same twice", |p| p.subject_alt_names.push(uri(URI)), Err(Error::Name)),
        (
            "another kind",
            |p| p.subject_alt_names = vec![SanType::DnsName("example.org".try_into().unwrap())],
            Err(Error::Name),
        ),
    ];
    for (name, leaf, expected) in cases {
        let made = make(0, keep, keep, leaf);
        let anchor = Anchor::from_der(&made.root).unwrap();
        let valid = validate_both(&made.chain, &[anchor], Role::Tam, NOW).expect(name);
        assert_eq!(valid.principal(), expected, "{name}");
        assert_eq!(valid.uri_name(), expected.ok(), "{name}");
    }
    assert_eq!(Error::Name.code(), codes::X509_NAME);
}

#[test]
fn chains_to_other_anchors_are_refused() {
    let made = make(1, keep, keep, keep);
    // The other root has the same name and another key.
    let other = make(0, keep, keep, keep);
    let renamed = make(0, |p| p.distinguished_name.push(DnType::OrganizationName, "other"), keep, keep);
    let refused = |anchors: &[Anchor], chain: &[Vec<u8>]| {
        validate_both(chain, anchors, Role::Tam, NOW).expect_err("refused")
    };
    let anchor = |made: &Made| Anchor::from_der(&made.root).unwrap();
    assert_eq!(refused(&[], &made.chain), Error::UnknownIssuer);
    assert_eq!(refused(&[anchor(&renamed)], &made.chain), Error::UnknownIssuer);
    assert_eq!(refused(&[anchor(&other)], &made.chain).code(), codes::X509_PATH);
    assert_eq!(refused(&[anchor(&made)], &made.chain[..1]), Error::UnknownIssuer);
    // Of two anchors of one name the one that fits is found.
    let valid = validate_both(&made.chain, &[anchor(&other), anchor(&made)], Role::Tam, NOW).unwrap();
    assert_eq!(valid.anchor_index(), 1);
}

#[test]
fn a_leaf_cannot_issue() {
    let made = make(0, keep, keep, keep);
    let key = KeyPair::generate().unwrap();
    let thief = Issuer::new(leaf_params(), KeyPair::generate().unwrap());
    let stolen = leaf_params().signed_by(&key, &thief).unwrap().der().to_vec();
    let anchor = Anchor::from_der(&made.root).unwrap();
    let chain = [stolen, made.chain[0].clone()];
    let error = validate_both(&chain, &[anchor], Role::Tam, NOW).expect_err("refused");
    assert_eq!(error, Error::Usage(Usage::IssuerIsNotCa));
}

#[test]
fn chain_lengths_are_limited() {
    let made = make(4, keep, keep, keep);
    check("five certificates", &made, NOW, Error::ChainLength { length: 5, limit: 4 });
    let empty = Made { chain: Vec::new(), ..made };
    check("none", &empty, NOW, Error::ChainLength { length: 0, limit: 4 });
}

#[test]
fn tampered_certificates_are_refused() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
        let made = make_with(algorithm, 1, keep, keep, keep);
        let anchors = [Anchor::from_der(&made.root).unwrap()];
        for (which, der) in made.chain.iter().enumerate() {
            for byte in 0..der.len() {
                let mut chain = made.chain.clone();
                chain[which][byte] ^= 1;
                let result = validate(&chain, &anchors, Role::Tam, NOW, &providers()[0]);
                assert!(result.is_err(), "{algorithm:?}: byte {byte} of certificate {which}");
            }
        }
        let mut signature = made.chain.clone();
        *signature[0].last_mut().unwrap() ^= 1;
        let error = validate_both(&signature, &anchors, Role::Tam, NOW).expect_err("refused");
        assert_eq!(error, Error::Signature);
    }
}

#[test]
fn garbage_is_refused() {
    let made = make(0, keep, keep, keep);
    let good = &made.chain[0];
    let anchors = [Anchor::from_der(&made.root).unwrap()];
    let garbage = [
        ("empty", Vec::new()),
        ("text", b"-----BEGIN CERTIFICATE-----".to_vec()),
        ("truncated", good[..good.len() - 1].to_vec()),
        ("trailing byte", [&good[..], &[0]].concat()),
        ("endless length", vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
    ];
    for (name, der) in garbage {
        assert_eq!(Anchor::from_der(&der).err(), Some(Error::Malformed), "{name}");
        let error = validate_both(&[der], &anchors, Role::Tam, NOW).expect_err(name);
        assert_eq!(error, Error::Malformed, "{name}");
    }
}

#[test]
fn other_kinds_of_key_are_refused() {
    let made = make_with(&PKCS_ECDSA_P384_SHA384, 0, keep, keep, keep);
    // Such a root can be an anchor, but only for what asks for any kind of key.
    let foreign = Anchor::from_der(&made.root).unwrap();
    assert_eq!(foreign.key(), None);
    let good = make(0, keep, keep, keep);
    let anchors = [Anchor::from_der(&good.root).unwrap(), foreign];
    assert_eq!(validate_both(&made.chain, &anchors, Role::Tam, NOW).expect_err("P-384"), Error::Malformed);
}

#[test]
fn an_anchor_must_be_a_ca() {
    let cases: [(&str, Edit, Error); 3] = [
        ("no CA", |p| p.is_ca = IsCa::ExplicitNoCa, Error::Usage(Usage::IssuerIsNotCa)),
        ("silent", |p| p.is_ca = IsCa::NoCa, Error::Usage(Usage::IssuerIsNotCa)),
        (
            "no keyCertSign",
            |p| p.key_usages = vec![KeyUsagePurpose::CrlSign],
            Error::Usage(Usage::CaKeyUsage),
        ),
    ];
    for (name, root, expected) in cases {
        assert_eq!(Anchor::from_der(&make(0, root, keep, keep).root).err(), Some(expected), "{name}");
    }
}
