//! A release policy as an operator uses it: tried on recorded Evidence, put in force, felt by a device.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const TAMARACK: &str = env!("CARGO_BIN_EXE_tamarack");

fn run(folder: &Path, args: &str) -> Output {
    Command::new(TAMARACK).args(args.split_whitespace()).current_dir(folder).output().unwrap()
}

#[track_caller]
fn ok(folder: &Path, args: &str) -> String {
    let output = run(folder, args);
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Ends with this exit code, and says this; gives what went to standard output.
#[track_caller]
fn fails(folder: &Path, args: &str, code: i32, says: &str) -> String {
    let output = run(folder, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args}: {said}");
    assert!(said.contains(says), "{args}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A process that prints one line of JSON when it is ready.
struct Running {
    child: Child,
    ready: Value,
}

impl Running {
    fn start(folder: &Path, args: &str) -> Self {
        let mut child = Command::new(TAMARACK)
            .args(args.split(' '))
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{args}: not ready: {line:?}"));
        Self { child, ready }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_policy_is_tried_on_recorded_evidence_and_then_felt_by_a_device() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    for authority in ["tee", "tam"] {
        ok(at, &format!("pki ca --role {authority} {authority}-ca"));
    }
    for key in ["maker", "acme"] {
        ok(at, &format!("pki key {key}.key"));
        std::fs::write(at.join(format!("{key}.pub")), ok(at, &format!("pki public {key}.key"))).unwrap();
    }
    let token = ok(
        at,
        "tam init tam --listen 127.0.0.1:0 --ca tam-ca --uri https://tam.example/tam --tee-ca tee-ca.pem=software \
         --minimum none",
    );
    std::fs::write(at.join("token"), token).unwrap();
    let tam = Running::start(at, "tam serve --config tam/tam.toml");
    let url = tam.ready["url"].as_str().unwrap();
    let to = format!("--url {url} --token-file token");

    // A TA that every device should have.
    ok(at, "ta new hello");
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/ta/built/template-c.wasm");
    std::fs::copy(built, at.join("hello/hello.wasm")).unwrap();
    let yaml = std::fs::read_to_string(at.join("hello/ta.yaml")).unwrap();
    let domain = yaml.lines().find_map(|line| line.strip_prefix("domain: ")).expect("a domain");
    let domain = domain.split_whitespace().next().unwrap();
    ok(at, &format!("tam provider add acme --prefix {domain} --signer acme.pub {to}"));
    ok(at, "ta pack hello/ta.yaml --out hello.suit --key acme.key");
    let published = ok(at, &format!("ta publish hello.suit --provider acme {to}"));
    let manifest = published.split_whitespace().nth(1).unwrap().to_string();
    ok(at, &format!("tam policy want {manifest} {to}"));

    ok(
        at,
        &format!(
            "agent init device --fuse fuse --tam-anchor tam-ca.pem=https://tam.example/tam \
             --signer-anchor acme.pub:{domain} --tam-uri {url}/tam"
        ),
    );
    ok(at, "pki issue --ca tee-ca --csr device/device.csr --uri urn:x-test:device --out device.pem");
    ok(at, "agent certify device --cert device.pem");
    let _device = Running::start(at, "agent run device");
    let check = "app --device device policy-check";

    // Nothing may be had without a root of trust in hardware: the device is told, and the record shows it.
    assert_eq!(ok(at, &format!("policy show {to}")), "");
    std::fs::write(
        at.join("strict.cel"),
        "// Only where the root secret is in a TPM.\ndevice.grade != 'hardware' &&\n  claims.root_secret == 'tpm'\n",
    )
    .unwrap();
    assert!(ok(at, &format!("policy set strict.cel {to}")).contains("version 1 is in force"));
    fails(at, check, 1, "TMK-4026");
    let devices = ok(at, &format!("tam devices --json {to}"));
    let devices: Vec<Value> = serde_json::from_str(&devices).unwrap();
    let device = devices[0]["id"].as_str().unwrap();
    let shown: Value = serde_json::from_str(&ok(at, &format!("tam device {device} {to}"))).unwrap();
    assert_eq!(shown["release"]["policy"], 1);
    assert_eq!(shown["release"]["withheld"][0]["code"], "TMK-4026");
    let table = fails(at, &format!("policy test --device {device} {to}"), 1, "1 of 1 releases are denied");
    let denied = format!(
        "  deny   install  {manifest} 1  TMK-4026 not: claims.root_secret == 'tpm' (line 3, column 22)"
    );
    assert!(table.contains(&denied), "{table}");
    let sessions = ok(at, &format!("tam sessions {to}"));
    assert!(sessions.contains("refused") && sessions.contains("claims.root_secret == 'tpm'"), "{sessions}");

    // What would another policy do? First to the recorded Evidence, without the TAM.
    let recorded = ok(at, &format!("policy record --device {device} --out device.json {to}"));
    assert!(recorded.contains("with 1 releases"), "{recorded}");
    std::fs::write(at.join("open.cel"), "claims.root_secret in ['file', 'tpm'] && ta.provider == 'acme'\n")
        .unwrap();
    let offline = "policy test --policy open.cel --evidence device.json";
    let table = ok(at, offline);
    assert!(table.contains(&format!("  allow  install  {manifest} 1")), "{table}");
    fails(at, "policy test --policy strict.cel --evidence device.json", 1, "TMK-4026");
    // Appraised anew, under the CA and against reference values.
    ok(at, &format!("{offline} --tee-ca tee-ca.pem"));
    let table = fails(at, &format!("{offline} --tee-ca tam-ca.pem"), 1, "1 of 1 releases are denied");
    assert!(table.contains("TMK-3003") && table.contains("never appraised"), "{table}");
    let make = "reference make --key maker.key --signer Maker --tag firmware --vendor tamarack.example \
        --class software-tee --out firmware.corim --component urn:x-tamarack:agent=sha256:";
    let made = ok(at, &format!("{make}{}", "00".repeat(32)));
    let class_id = made.split("class-id ").nth(1).unwrap().split(',').next().unwrap();
    let compared =
        format!("{offline} --tee-ca tee-ca.pem --reference firmware.corim --reference-key maker.pub");
    let table = fails(at, &compared, 1, "1 of 1 releases are denied");
    assert!(table.contains("TMK-3111"), "{table}");
    let json: Value =
        serde_json::from_str(&ok(at, &format!("{offline} --json --ta a/b/suit=7@acme"))).unwrap();
    assert_eq!(json[0]["releases"][0]["allow"], true);
    assert_eq!(json[0]["releases"][0]["sequence"], 7);

    // Then to the fleet, and then in force.
    let fleet = ok(at, &format!("policy test --policy open.cel --all {to}"));
    assert!(fleet.contains("1 devices: 1 are given everything") && fleet.contains("changes: 1"), "{fleet}");
    ok(at, &format!("policy set open.cel {to}"));
    ok(at, check);
    let table = ok(at, &format!("policy test --device {device} {to}"));
    assert!(table.contains(&format!("  allow  update   {manifest} 1")), "{table}");
    let fleet = fails(at, &format!("policy test --policy strict.cel --all {to}"), 1, "would be denied");
    assert!(fleet.contains("changes: 1") && fleet.contains("deny"), "{fleet}");
    let history = ok(at, &format!("policy history {to}"));
    assert!(history.starts_with("version 2") && history.contains("version 1"), "{history}");
    ok(at, &format!("policy clear {to}"));
    assert_eq!(ok(at, &format!("policy show {to}")), "");

    // Wrong input.
    std::fs::write(at.join("bad.cel"), "device.grade ==\n").unwrap();
    fails(at, &format!("policy set bad.cel {to}"), 2, "TMK-4020");
    std::fs::write(at.join("bad.cel"), "device.owner == 'me'\n").unwrap();
    fails(at, "policy test --policy bad.cel --evidence device.json", 2, "TMK-4021]: line 1, column 7");
    fails(at, &format!("policy test --policy open.cel {to}"), 2, "--device, --all or --evidence");
    fails(at, "policy test --evidence device.json", 2, "--policy");
    fails(at, "policy test --policy open.cel --evidence device.pem", 2, "--tee-ca");
    std::fs::write(at.join("bad.json"), "{}").unwrap();
    fails(at, "policy test --policy open.cel --evidence bad.json", 2, "bad.json");
    assert!(ok(at, "policy facts").contains("claims.root_secret ?"));

    // Somebody of the tenant's own may give reference values.
    let class = format!("{class_id}/software-tee");
    let added = ok(at, &format!("reference provider add Maker --key maker.pub --scope {class} {to}"));
    assert!(added.contains("Maker  maker of the tenant, 1 keys, cap none"), "{added}");
    let values = ok(at, &format!("reference add firmware.corim {to}"));
    assert!(values.contains("by Maker"), "{values}");
    assert!(ok(at, &format!("reference provider list {to}")).contains(&class));
    fails(at, check, 1, "TMK-3111");
    ok(at, &format!("reference provider remove Maker {to}"));
    fails(at, &format!("reference provider remove Maker {to}"), 1, "TMK-4004");
}
