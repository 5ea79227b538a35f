//! A device by hand: made, certified, run, asked; and what it says when it is used wrongly.

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{Running, fails, ok};

const VALVE: &str = "com.acme/510b1e5c-0f5a-4b0a-8a7e-4e6b0c7d1102";

/// Certifies a request of the device; gives the certificate with its CA's behind it.
fn certify(at: &Path, ca: &str, role: &str, request: &str) -> String {
    let out = format!("{request}.pem");
    ok(at, &format!("pki issue --ca {ca} --role {role} --csr {request} --uri urn:x-test:device --out {out}"));
    let root = std::fs::read_to_string(at.join(format!("{ca}.pem"))).unwrap();
    let chain = std::fs::read_to_string(at.join(&out)).unwrap() + &root;
    let file = format!("{request}.chain");
    std::fs::write(at.join(&file), chain).unwrap();
    file
}

#[test]
fn a_device_of_both_protocols_is_made_certified_and_run() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    for ca in ["tee", "tam", "firmware", "developer"] {
        ok(at, &format!("pki ca --role {ca} {ca}-ca"));
    }
    ok(at, "pki key acme.key");
    std::fs::write(at.join("acme.pub"), ok(at, "pki public acme.key")).unwrap();

    let init = "agent init device --fuse fuse --protocol both --tam-anchor tam-ca.pem=https://tam.example \
                --otrp-anchor tam-ca.pem=1.3.6.1.4.1.61999.2.1 --signer-anchor acme.pub:com.acme@acme --tee-name valve-tee";
    fails(at, &init.replace(" --protocol both", ""), 2, "--protocol otrp or both");
    fails(
        at,
        &init.replace(" --otrp-anchor tam-ca.pem=1.3.6.1.4.1.61999.2.1", ""),
        2,
        "need an --otrp-anchor",
    );
    fails(at, &init.replace(" --tam-anchor tam-ca.pem=https://tam.example", ""), 2, "needs a --tam-anchor");
    fails(at, &init.replace(" --signer-anchor acme.pub:com.acme@acme", ""), 2, "needs a --signer-anchor");
    fails(at, &init.replace("tam-ca.pem=1.3.6.1.4.1.61999.2.1", "tam-ca.pem"), 2, "CA.pem=OID-or-URI");
    fails(at, &init.replace("=1.3.6.1.4.1.61999.2.1", "=1.3.x"), 2, "object identifier");
    fails(at, &init.replace("tam-ca.pem=1.3", "acme.pub=1.3"), 2, "acme.pub");
    fails(at, &init.replace("tam-ca.pem=1.3", "developer-ca.pem=1.3"), 2, "--otrp-draft");
    fails(at, &init.replace("com.acme@acme", "com//acme@acme"), 2, "com//acme");
    fails(at, &init.replace("valve-tee", &"x".repeat(65)), 2, "64 bytes");
    assert!(!at.join("device/device.json").exists(), "a mistake makes no device");
    ok(at, init);

    let device = certify(at, "tee-ca", "tee", "device/device.csr");
    let otrp = certify(at, "tee-ca", "otrp-tee", "device/otrp.csr");
    let firmware = certify(at, "firmware-ca", "firmware", "device/firmware.csr");
    let certify = |more: &str| format!("agent certify device --cert {device}{more}");
    fails(at, &certify(""), 2, "--otrp-cert is needed");
    fails(at, &certify(" --firmware-cert x"), 2, "--otrp-cert");
    fails(at, &certify(" --otrp-cert device/otrp.csr.pem"), 2, "the root last");
    fails(at, &certify(&format!(" --otrp-cert {firmware}")), 1, "TMK-1205");
    fails(at, &certify(&format!(" --otrp-cert {otrp} --firmware-cert {otrp}")), 1, "firmware key");
    ok(at, &certify(&format!(" --otrp-cert {otrp} --firmware-cert {firmware}")));

    let device = Running::start(at, "agent run device");
    let ready = &device.ready;
    assert_eq!(ready["otrp"], json!({ "tee": "valve-tee", "ready": true }));
    let listed = support::json(at, "app --device device list --json");
    assert_eq!(listed["otrp"], ready["otrp"]);
    assert_eq!(listed["domains"], json!([]));
    drop(device);
}

#[test]
fn a_device_of_otrp_needs_neither_teep_nor_firmware() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    ok(at, "pki ca --role tee tee-ca");
    ok(at, "pki ca --role tam tam-ca");
    ok(
        at,
        "agent init device --fuse fuse --protocol otrp --otrp-anchor tam-ca.pem=https://tam.example/otrp --domains 2",
    );
    let device = certify(at, "tee-ca", "tee", "device/device.csr");
    let otrp = certify(at, "tee-ca", "otrp-tee", "device/otrp.csr");
    ok(at, &format!("agent certify device --cert {device} --otrp-cert {otrp}"));
    let device = Running::start(at, "agent run device");
    let ready = &device.ready;
    assert_eq!(ready["otrp"]["ready"], true);
    drop(device);

    // And the other way round.
    ok(at, "pki key acme.key");
    std::fs::write(at.join("acme.pub"), ok(at, "pki public acme.key")).unwrap();
    ok(
        at,
        "agent init plain --fuse fuse2 --tam-anchor tam-ca.pem=https://tam.example --signer-anchor acme.pub:com.acme",
    );
    assert!(!at.join("plain/otrp.csr").exists());
    let device = certify(at, "tee-ca", "tee", "plain/device.csr");
    fails(at, &format!("agent certify plain --cert {device} --otrp-cert {otrp}"), 2, "without OTrP");
}

#[test]
fn a_device_is_made_certified_and_run() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    ok(at, "pki ca --role tee tee-ca");
    ok(at, "pki ca --role tam tam-ca");
    ok(at, "pki key acme.key");
    std::fs::write(at.join("acme.pub"), ok(at, "pki public acme.key")).unwrap();

    let init = format!(
        "agent init device --fuse fuse --tam-anchor tam-ca.pem=https://tam.example --signer-anchor acme.pub:com.acme \
         --peripheral valve={VALVE}/suit --tam-uri http://127.0.0.1:9/tam"
    );
    fails(at, &init.replace("--fuse fuse", "--fuse device/fuse"), 2, "");
    fails(at, &init.replace("acme.pub:com.acme", "acme.pub"), 2, "FILE[=URI]:PREFIX");
    fails(at, &init.replace("tam-ca.pem=https://tam.example", "tam-ca.pem"), 2, "tam-ca.pem");
    fails(at, &init.replace("acme.pub:", "missing.pub:"), 2, "missing.pub");
    fails(at, &format!("{init} --agent no/agent"), 2, "TMK-0002]: the Agent's program no/agent");
    fails(at, &format!("{init} --owner acme.key.devices"), 2, "TMK-0002");
    assert!(
        !at.join("device/device.json").exists() && !at.join("fuse").exists(),
        "a mistake makes no device"
    );
    ok(at, &init);
    fails(at, &init, 2, "holds a device already");
    fails(at, "agent run device", 2, "no certificate yet");
    fails(at, "app --device device list", 1, "is the device running");

    ok(at, "pki issue --ca tee-ca --csr device/device.csr --uri urn:x-test:device --out device.pem");
    ok(at, "pki issue --ca tee-ca --key acme.key --uri urn:x-test:other --out other.pem");
    fails(at, "agent certify device --cert other.pem", 1, "TMK-1205");
    let certified = support::json(at, "agent certify device --cert device.pem --json");
    let named = ["device", "report_key"].map(|name| certified[name].as_str().unwrap().to_owned());
    assert_eq!((named[0].len(), &named[1][..4]), (64, "302a"));
    fails(at, "agent certify device --cert device.pem", 2, "certificate already");

    let device = Running::start(at, "agent run device");
    let ready = &device.ready;
    assert_eq!(ready["ready"], true);
    assert_eq!(ready["broker"]["pid"], device.child.id());
    assert_ne!(ready["tee"]["pid"], device.child.id());
    assert_eq!(ready["otrp"], Value::Null);

    let listed = support::json(at, "app --device device list --json");
    // Its maker was told who it is; neither Broker nor apps are.
    for name in named {
        assert!(!ready.to_string().contains(&name) && !listed.to_string().contains(&name), "{name}");
    }
    assert_eq!(listed["peripherals"]["valve"], "closed");
    assert_eq!(listed["installed"].as_array().map(Vec::len), Some(0));
    fails(at, &format!("app --device device invoke {VALVE}/ta 1 out:value"), 1, "TMK-5004");
    fails(at, &format!("app --device device invoke {VALVE}/ta 1 value:x"), 2, "value:A[,B]");
    fails(at, &format!("app --device device request {VALVE}/ta"), 1, "TMK-1403");
    fails(at, "app --device device request a//b", 2, "a//b");
    fails(at, "agent run device", 1, "");
    drop(device);
}
