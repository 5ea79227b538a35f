//! Certificates by hand: issued for OTrP, revoked, and their status asked of a responder.

mod support;

use support::{Running, fails, json, ok};
use tamarack_crypto_aws_lc::provider;
use tamarack_pki::{certificates_from_pem, lists_from_pem};
use tamarack_x509::ocsp::{Freshness, OcspError, check};
use tamarack_x509::{Anchor, NameKind, PathOptions, Role, crl, validate_any};

const OID: &str = "1.3.6.1.4.1.99999.1.7";

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn certificates_for_otrp_are_issued_revoked_and_asked_about() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    ok(at, "pki ca --role tam tam-ca");
    ok(at, "pki ca --role firmware fw-ca");
    ok(at, "pki key --key-type p256 otrp.key");
    ok(at, "pki key ed25519.key");
    fails(at, "pki issue --ca tam-ca --role otrp-tam --key otrp.key --out x.pem", 2, "--uri or --oid");
    fails(
        at,
        &format!("pki issue --ca tam-ca --role otrp-tam --key ed25519.key --oid {OID} --out x.pem"),
        2,
        "P-256",
    );
    fails(
        at,
        &format!("pki issue --ca tam-ca --role otrp-tee --key otrp.key --oid {OID} --out x.pem"),
        2,
        "TMK-1203",
    );
    fails(at, "pki issue --ca tam-ca --role otrp-tam --key otrp.key --oid x --out x.pem", 2, "TMK-1204");
    fails(
        at,
        "pki issue --ca tam-ca --role otrp-tam --key otrp.key --oid 1.2 --uri a:b --out x.pem",
        2,
        "cannot be used with",
    );
    assert!(!at.join("x.pem").exists(), "a mistake makes no certificate");
    ok(
        at,
        &format!("pki issue --ca tam-ca --role otrp-tam --key otrp.key --oid {OID} --chain --out otrp.pem"),
    );
    ok(at, "pki issue --ca fw-ca --key otrp.key --uri urn:x-test:firmware --out fw.pem");

    let read = |name: &str| std::fs::read_to_string(at.join(name)).unwrap();
    let chain = certificates_from_pem(&read("otrp.pem")).unwrap();
    assert_eq!(chain.len(), 2);
    let anchors = [Anchor::from_der(&chain[1]).unwrap()];
    let valid =
        validate_any(&chain, &anchors, Role::OtrpTam, now(), &PathOptions::default(), &provider()).unwrap();
    assert_eq!(valid.name(NameKind::RegisteredId), Ok(OID));
    let status = |file: &str| {
        let response = std::fs::read(at.join(file)).unwrap();
        check(&valid.path(), &[response], &Freshness::new(now(), 0), &provider()).map(drop)
    };
    let list = || {
        ok(at, "pki crl --ca tam-ca --out tam.crl");
        crl::check(&valid.path(), &lists_from_pem(&read("tam.crl")).unwrap(), now(), &provider())
    };

    let once = "pki ocsp --ca tam-ca --once --cert otrp.pem --out r.der --lifetime 60 --json";
    let made = json(at, once);
    assert_eq!(made["next_update"].as_u64().unwrap() - made["this_update"].as_u64().unwrap(), 60);
    assert_eq!(status("r.der"), Ok(()));
    assert_eq!(list(), Ok(()));
    // In the authority's place.
    ok(at, "pki key --key-type p256 ocsp.key");
    ok(at, "pki issue --ca tam-ca --role ocsp --key ocsp.key --days 30 --out ocsp.pem");
    ok(at, "pki ocsp --ca tam-ca --responder ocsp --once --cert otrp.pem --out d.der");
    assert_eq!(status("d.der"), Ok(()));

    // A TAM takes its status from a responder that runs.
    let responder = Running::start(at, "pki ocsp --ca tam-ca --listen 127.0.0.1:0 --json");
    let url = responder.url();
    let init = format!(
        "tam init tam --listen 127.0.0.1:0 --ca tam-ca --uri https://tam.example --otrp-oid {OID} --firmware-ca \
         fw-ca.pem --json"
    );
    fails(at, &init, 2, "--ocsp-url");
    ok(at, &format!("{init} --ocsp-url {url}"));
    let connect = || {
        let tam = Running::start(at, "tam serve --config tam/tam.toml");
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let uri = format!("{}/tam", tam.url());
        agent.post(uri).header("accept", "application/otrp+json").send(&[]).unwrap().status().as_u16()
    };
    assert_eq!(connect(), 200);
    ok(at, "pki revoke --ca tam-ca --cert tam/keys/otrp.pem --reason key-compromise");
    assert_eq!(connect(), 503);

    fails(at, "pki revoke --ca tam-ca --cert fw.pem", 2, "not issued by this authority");
    fails(at, "pki revoke --ca tam-ca --cert otrp.pem --reason anger", 2, "key-compromise");
    assert_eq!(
        json(at, "pki revoke --ca tam-ca --cert otrp.pem --reason superseded --json")["revoked"],
        true
    );
    assert_eq!(json(at, "pki revoke --ca tam-ca --cert otrp.pem --json")["revoked"], false);
    assert!(read("tam-ca.revoked").contains(" superseded\n"));
    ok(at, once);
    assert_eq!(status("r.der"), Err(OcspError::Revoked { index: 0 }));
    assert_eq!(list(), Err(crl::CrlError::Revoked { index: 0 }));
    std::fs::write(at.join("tam-ca.revoked"), "by hand\n").unwrap();
    fails(at, once, 2, "line 1 of the revocations");
    fails(at, "pki ocsp --ca tam-ca", 2, "--listen");
    fails(at, "pki ocsp --ca tam-ca --once", 2, "--cert");
}
