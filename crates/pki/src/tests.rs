use rustls_pki_types::{CertificateDer, ServerName};
use tamarack_crypto::{KeyType, Provider, PublicKey, Sign};
use tamarack_x509::{Anchor, Role, Usage, validate};

use super::*;

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
                let key = key(&provider, key_type);
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
    for kind in [Kind::Role(Role::Tam), Kind::Role(Role::Tee), Kind::Role(Role::Developer), Kind::Tls] {
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
