//! A release policy as an operator uses it: tried on recorded Evidence, put in force, felt by a device.

mod support;

use support::{Running, authorities, device, fails, json, module, ok, tam};

#[test]
fn a_policy_is_tried_on_recorded_evidence_and_then_felt_by_a_device() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    authorities(at);
    tam(at, "--tee-ca tee-ca.pem=software");
    let tam = Running::start(at, "tam serve --config tam/tam.toml");
    let to = format!("--url {} --token-file token", tam.url());

    // A TA that every device should have.
    ok(at, "ta new hello");
    std::fs::write(at.join("hello/hello.wasm"), module()).unwrap();
    let yaml = std::fs::read_to_string(at.join("hello/ta.yaml")).unwrap();
    let domain = yaml.lines().find_map(|line| line.strip_prefix("domain: ")).expect("a domain");
    let domain = domain.split_whitespace().next().unwrap();
    ok(at, &format!("tam provider add acme --prefix {domain} --signer acme.pub {to}"));
    ok(at, "ta pack hello/ta.yaml --out hello.suit --key acme.key");
    let published = ok(at, &format!("ta publish hello.suit --provider acme {to}"));
    let manifest = published.split_whitespace().nth(1).unwrap().to_string();
    ok(at, &format!("tam policy want {manifest} {to}"));

    device(at, &tam, domain);
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
    let devices = json(at, &format!("tam devices --json {to}"));
    let device = devices[0]["id"].as_str().unwrap();
    let shown = json(at, &format!("tam device {device} {to}"));
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
    let made = json(at, &format!("{make}{} --json", "00".repeat(32)));
    let class_id = made["class_id"].as_str().unwrap();
    let compared =
        format!("{offline} --tee-ca tee-ca.pem --reference firmware.corim --reference-key maker.pub");
    let table = fails(at, &compared, 1, "1 of 1 releases are denied");
    assert!(table.contains("TMK-3111"), "{table}");
    let decided = json(at, &format!("{offline} --json --ta a/b/suit=7@acme"));
    assert_eq!(decided[0]["releases"][0]["allow"], true);
    assert_eq!(decided[0]["releases"][0]["sequence"], 7);

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
    // What would count for nothing is not taken.
    fails(at, &format!("policy test --all --ta a/b/suit {to}"), 2, "--all");
    fails(at, &format!("policy test --ta a/b/suit {to}"), 2, "--evidence");
    fails(at, &format!("{offline} --reference firmware.corim"), 2, "--tee-ca");
    fails(at, &format!("{offline} --tee-ca tee-ca.pem --reference-key maker.pub"), 2, "--reference");
    std::fs::write(at.join("bad.json"), "{}").unwrap();
    fails(at, "policy test --policy open.cel --evidence bad.json", 2, "bad.json");
    assert!(ok(at, "policy facts").contains("claims.root_secret ?"));
    assert_eq!(json(at, "policy facts --json")[0]["fact"], "device.id");

    // Somebody of the tenant's own may give reference values.
    let class = format!("{class_id}/software-tee");
    let add = format!("reference provider add Maker --key maker.pub --scope {class} {to}");
    fails(at, &format!("{add} --role owner"), 2, "ta-signer");
    let added = ok(at, &add);
    assert!(added.contains("Maker  maker of the tenant, 1 keys, cap none"), "{added}");
    let values = ok(at, &format!("reference add firmware.corim {to}"));
    assert!(values.contains("by Maker"), "{values}");
    assert!(ok(at, &format!("reference provider list {to}")).contains(&class));
    fails(at, check, 1, "TMK-3111");
    ok(at, &format!("reference provider remove Maker {to}"));
    fails(at, &format!("reference provider remove Maker {to}"), 1, "TMK-4004");
}
