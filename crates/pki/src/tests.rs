use rustls_pki_types::{CertificateDer, ServerName};
use tamarack_crypto::{KeyType, Provider, PublicKey, Sign};
use tamarack_x509::{Anchor, Name, NameKind, PathOptions, Role, Usage, validate, validate_any};

use super::*;

mod status;

const NOW: u64 = 1_800_000_000;
const URI: &str = "urn:example:principal";

fn validity() -> Validity {
    Validity::days(NOW - 10, 1)
}

fn subject() -> Subject {
    Subject { uri: URI.into(), common_name: "principal".into() }
}

fn authority(kind: impl Into<Kind>, key_type: KeyType) -> Authority {
    Authority::create(kind, "root", key_type, validity()).unwrap()
}

fn der(pem: &str) -> Vec<u8> {
    let mut certificates = certificates_from_pem(pem).unwrap();
    assert_eq!(certificates.len(), 1);
    certificates.remove(0)
}

fn key(provider: &Provider, key_type: KeyType) -> Box<dyn Sign> {
    let der = provider.keys.generate_pkcs8(key_type).unwrap();
    provider.keys.load_pkcs8(der.expose()).unwrap()
}

fn providers() -> [Provider; 2] {
    [tamarack_crypto_aws_lc::provider(), tamarack_crypto_rustcrypto::provider()]
}

/// Issued for one role, a certificate serves this role, and under every pair of other roles it is refused.
#[test]
fn chains_serve_their_own_role_only() {
    for key_type in [KeyType::P256, KeyType::Ed25519] {
        let roots = Role::ALL.map(|role| authority(role, key_type));
        for (issued, root) in Role::ALL.into_iter().zip(&roots) {
            for provider in providers() {
                // Certificates for OTrP are for P-256 keys only, whatever the authority's own key is.
                let otrp = matches!(issued, Role::OtrpTam | Role::OtrpTee | Role::Firmware);
                let key = key(&provider, if otrp { KeyType::P256 } else { key_type });
                let Validity { not_before, not_after } = validity();
                let leaf = root.issue(key.public_key(), subject(), not_before, not_after).unwrap();
                let chain = [der(&leaf)];
                for (listed, anchor) in Role::ALL.into_iter().zip(&roots) {
                    let anchor = Anchor::from_der(anchor.cert_der()).unwrap();
                    for asked in Role::ALL {
                        let result = validate(&chain, std::slice::from_ref(&anchor), asked, NOW, &provider);
                        let good = issued == asked && issued == listed;
                        assert_eq!(result.is_ok(), good, "{issued} as {asked} under the root of {listed}");
                        if let Ok(valid) = result {
                            assert_eq!(valid.principal(), Ok(URI));
                            assert_eq!(*valid.leaf_key(), key.public_key());
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn k4_an_anchor_of_another_role_does_not_serve() {
    let tee = authority(Role::Tee, KeyType::P256);
    let key = key(&providers()[0], KeyType::P256).public_key();
    let leaf = der(&tee.issue(key, subject(), NOW, NOW + 1).unwrap());
    let anchors = [Anchor::from_der(tee.cert_der()).unwrap()];
    let error = validate(&[leaf], &anchors, Role::Tam, NOW, &providers()[0]).unwrap_err();
    assert_eq!(error, tamarack_x509::Error::Usage(Usage::Role(Role::Tam)));
}

#[test]
fn authorities_load_as_they_were_made() {
    for kind in Role::ALL.map(Kind::Role).into_iter().chain([Kind::Tls]) {
        let made = authority(kind, KeyType::Ed25519);
        let loaded = Authority::load(made.cert_pem(), made.key_pem()).unwrap();
        assert_eq!(loaded.kind(), kind);
        assert_eq!(loaded.cert_der(), made.cert_der());
    }
    let (one, other) = (authority(Role::Tam, KeyType::P256), authority(Role::Tam, KeyType::P256));
    assert!(matches!(Authority::load(one.cert_pem(), other.key_pem()), Err(Error::KeyMismatch)));
    assert!(matches!(Authority::load("", one.key_pem()), Err(Error::Pem { label: "CERTIFICATE" })));
    assert!(matches!(Authority::load(one.cert_pem(), ""), Err(Error::Pem { label: "PRIVATE KEY" })));
}

#[test]
fn requests_prove_possession() {
    let root = authority(Role::Tee, KeyType::P256);
    for provider in providers() {
        for key_type in [KeyType::P256, KeyType::Ed25519] {
            let key = key(&provider, key_type);
            let request = csr(&*key, "device 7").unwrap();
            let leaf = root.issue_from_csr(&request, subject(), NOW, NOW + 60).unwrap();
            let anchors = [Anchor::from_der(root.cert_der()).unwrap()];
            let valid = validate(&[der(&leaf)], &anchors, Role::Tee, NOW, &provider).unwrap();
            assert_eq!(*valid.leaf_key(), key.public_key());

            let stolen = csr(&Thief(key.public_key()), "device 7").unwrap();
            let result = root.issue_from_csr(&stolen, subject(), NOW, NOW + 60);
            assert!(matches!(result, Err(Error::Request)), "{result:?}");
        }
    }
    assert!(root.issue_from_csr("garbage", subject(), NOW, NOW + 60).is_err());
}

/// Asks for a certificate of a key that it does not have.
struct Thief(PublicKey);

impl Sign for Thief {
    fn public_key(&self) -> PublicKey {
        self.0
    }

    fn sign(&self, _: &[u8]) -> Result<[u8; 64], tamarack_crypto::Error> {
        Ok([1; 64])
    }
}

#[test]
fn authorities_issue_only_their_kind() {
    let (tls, tam) = (authority(Kind::Tls, KeyType::P256), authority(Role::Tam, KeyType::P256));
    let key = key(&providers()[0], KeyType::P256).public_key();
    assert!(matches!(tls.issue(key, subject(), NOW, NOW + 1), Err(Error::WrongKind)));
    assert!(matches!(tam.issue_tls(key, &["localhost"], validity()), Err(Error::WrongKind)));
    assert!(matches!(tls.issue_tls(key, &[] as &[&str], validity()), Err(Error::Name(_))));
    assert!(matches!(tls.issue_tls(key, &["bücher.example"], validity()), Err(Error::Name(_))));
    assert!(matches!(tam.issue(key, subject(), NOW, NOW - 1), Err(Error::Validity)));
}

#[test]
fn tls_certificates_name_their_servers() {
    let tls = authority(Kind::Tls, KeyType::P256);
    let key = key(&providers()[0], KeyType::P256).public_key();
    let leaf = der(&tls.issue_tls(key, &["localhost", "127.0.0.1", "::1"], validity()).unwrap());
    let leaf = CertificateDer::from(leaf);
    let leaf = webpki::EndEntityCert::try_from(&leaf).unwrap();
    for (name, good) in [("localhost", true), ("127.0.0.1", true), ("::1", true), ("example.org", false)] {
        let server = ServerName::try_from(name).unwrap();
        assert_eq!(leaf.verify_is_valid_for_subject_name(&server).is_ok(), good, "{name}");
    }
}

#[test]
fn development_certificates_are_told() {
    let root = authority(Role::Developer, KeyType::Ed25519);
    let key = key(&providers()[0], KeyType::Ed25519).public_key();
    let leaf = der(&root.issue(key, subject(), NOW, NOW + 1).unwrap());
    assert!(is_development(root.cert_der()));
    assert!(is_development(&leaf));
    let foreign = rcgen::generate_simple_self_signed(["example.org".to_owned()]).unwrap();
    assert!(!is_development(foreign.cert.der()));
    assert!(!is_development(b"garbage"));
}

#[test]
fn serial_numbers_do_not_repeat() {
    let root = authority(Role::Tam, KeyType::P256);
    let key = key(&providers()[0], KeyType::P256).public_key();
    let [a, b] = [0, 1].map(|_| der(&root.issue(key, subject(), NOW, NOW + 1).unwrap()));
    assert_ne!(a, b);
}

#[test]
fn public_keys_read_back() {
    for key_type in [KeyType::P256, KeyType::Ed25519] {
        let key = load_key(&generate_key(key_type).unwrap()).unwrap().public_key();
        assert_eq!(public_key_from_pem(&public_key_to_pem(&key).unwrap()).unwrap(), key);
    }
    assert!(matches!(public_key_from_pem("x"), Err(Error::Pem { label: "PUBLIC KEY" })));
}

#[test]
fn roots_of_tams_and_tees_certify_for_both_protocols() {
    use Role::*;
    for (root, certified) in [
        (Tam, &[Tam, OtrpTam][..]),
        (Tee, &[Tee, OtrpTee]),
        (Developer, &[Developer]),
        (OtrpTam, &[OtrpTam]),
        (OtrpTee, &[OtrpTee]),
        (Firmware, &[Firmware]),
    ] {
        let authority = authority(root, KeyType::P256);
        let anchors = [Anchor::from_der(authority.cert_der()).unwrap()];
        let key = key(&providers()[0], KeyType::P256).public_key();
        for role in Role::ALL {
            let made = authority.issue_named(key, role, &Name::Uri(URI.into()), "x", validity());
            assert_eq!(made.is_ok(), certified.contains(&role), "{role} under a root of {root}");
            assert_eq!(authority.certifies(role), certified.contains(&role));
            let Ok(leaf) = made else { continue };
            let chain = [der(&leaf)];
            for asked in Role::ALL {
                let valid = validate(&chain, &anchors, asked, NOW, &providers()[0]);
                assert_eq!(valid.is_ok(), asked == role, "{role} as {asked}");
            }
        }
    }
}

#[test]
fn otrp_names_are_what_was_asked_for() {
    let root = authority(Role::Tam, KeyType::P256);
    let anchors = [Anchor::from_der(root.cert_der()).unwrap()];
    let signer = key(&providers()[0], KeyType::P256);
    let oid = "1.3.6.1.4.1.99999.1.7";
    for name in [
        Name::Uri(URI.into()),
        Name::RegisteredId(oid.into()),
        Name::RegisteredId("2.5.29.4294967295".into()),
        Name::Dns("tam.example".into()),
    ] {
        let by_key = root.issue_named(signer.public_key(), Role::OtrpTam, &name, "TAM", validity()).unwrap();
        let request = csr(&*signer, "ignored").unwrap();
        let by_csr = root.issue_named_from_csr(&request, Role::OtrpTam, &name, "TAM", validity()).unwrap();
        for leaf in [by_key, by_csr] {
            let options = PathOptions::default();
            let valid =
                validate_any(&[der(&leaf)], &anchors, Role::OtrpTam, NOW, &options, &providers()[0]).unwrap();
            for kind in [NameKind::Uri, NameKind::RegisteredId, NameKind::Dns] {
                assert_eq!(valid.name(kind).ok(), (kind == name.kind()).then_some(name.text()));
            }
            assert!(valid.may_agree());
        }
    }
    let public = signer.public_key();
    for bad in ["", "1", "9.9.9", "1.3.6.1.4.1.x", "tam.example", "1.3..6"] {
        let name = Name::RegisteredId(bad.into());
        let made = root.issue_named(public, Role::OtrpTam, &name, "TAM", validity());
        assert!(matches!(made, Err(Error::Name(_))), "{bad:?}");
    }
    let ed25519 = key(&providers()[0], KeyType::Ed25519).public_key();
    let made = root.issue_named(ed25519, Role::OtrpTam, &Name::Uri(URI.into()), "TAM", validity());
    assert!(matches!(made, Err(Error::KeyType)));
}
