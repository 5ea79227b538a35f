//! OCSP requests and responses: what is read writes back the same, and nothing that the authority did not sign is good.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tamarack_crypto::KeyType;
use tamarack_fuzz::{NOW, key, provider, seeds};
use tamarack_pki::ocsp::Responder;
use tamarack_pki::{Authority, Reason, Revocations, Subject, Validity, certificates_from_pem};
use tamarack_x509::Role;
use tamarack_x509::ocsp::{CertId, Freshness, IdHash, Request, Response, check};

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    Authority::create(Role::Tee, "maker", KeyType::P256, Validity::days(NOW - 1, 99)).expect("an authority")
});
static LEAF: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let subject = Subject { uri: "urn:x-tamarack:device:1".into(), common_name: "device 1".into() };
    let pem = AUTHORITY.issue(key("attestation").public_key(), subject, NOW - 1, NOW + 1000);
    certificates_from_pem(&pem.expect("a certificate")).expect("PEM").swap_remove(0)
});

fn examples() -> Vec<Vec<u8>> {
    let responder = Responder::new(&AUTHORITY).expect("a responder");
    let mut revoked = Revocations::default();
    AUTHORITY.revoke(&LEAF, &mut revoked, Reason::KeyCompromise, NOW).expect("a revocation");
    let request = |hash, nonce| {
        let id = CertId::new(&LEAF, AUTHORITY.cert_der(), hash, &provider()).expect("an id");
        Request { ids: vec![id], nonce }.to_der().expect("a request")
    };
    let requests = [request(IdHash::Sha1, None), request(IdHash::Sha256, Some(vec![1; 16]))];
    // Only revocations are among the seeds: whatever becomes good then is a forgery.
    let answers = requests.iter().map(|request| responder.answer(request, &revoked, NOW)).collect::<Vec<_>>();
    [&requests[..], &answers[..]].concat()
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    if let Ok(request) = Request::parse(data) {
        let der = request.to_der().expect("what was read can be written");
        assert_eq!(Request::parse(&der).as_ref(), Ok(&request));
    }
    if let Ok(response) = Response::parse(data) {
        let der = response.to_der().expect("what was read can be written");
        assert_eq!(Response::parse(&der).as_ref(), Ok(&response));
    }
    let path = [&LEAF[..], AUTHORITY.cert_der()];
    let result = check(&path, &[data.to_vec()], &Freshness::new(NOW, 0), &provider());
    assert!(result.is_err(), "a status was forged");
});
