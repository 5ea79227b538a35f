//! Revocation lists: nothing that the authority did not sign is in force.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tamarack_crypto::KeyType;
use tamarack_fuzz::{NOW, key, provider, seeds};
use tamarack_pki::{Authority, Reason, Revocations, Subject, Validity, certificates_from_pem};
use tamarack_x509::Role;
use tamarack_x509::crl::check;

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    Authority::create(Role::Tee, "maker", KeyType::P256, Validity::days(NOW - 1, 99)).expect("an authority")
});
static LEAF: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let subject = Subject { uri: "urn:x-tamarack:device:1".into(), common_name: "device 1".into() };
    let pem = AUTHORITY.issue(key("attestation").public_key(), subject, NOW - 1, NOW + 1000);
    certificates_from_pem(&pem.expect("a certificate")).expect("PEM").swap_remove(0)
});

fn examples() -> Vec<Vec<u8>> {
    let mut revoked = Revocations::default();
    AUTHORITY.revoke(&LEAF, &mut revoked, Reason::KeyCompromise, NOW).expect("a revocation");
    // Only what revokes is among the seeds: whatever becomes good then is a forgery.
    vec![AUTHORITY.revocation_list(&revoked, NOW, 1000).expect("a list")]
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    let path = [&LEAF[..], AUTHORITY.cert_der()];
    assert!(check(&path, &[data.to_vec()], NOW, &provider()).is_err(), "a list was forged");
});
