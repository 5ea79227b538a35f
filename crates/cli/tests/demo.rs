//! The whole story in each protocol, played by the built program, and checked again by a program in another language that
//! shares no code with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value as Json;

const TEEP_STEPS: [&str; 29] = [
    "pki",
    "tam-up",
    "tee-up",
    "publish-v1",
    "request-install",
    "attested",
    "invoke-v1",
    "valve-actuate",
    "publish-v2",
    "policy-update",
    "state-survived",
    "wallet-card",
    "owner-denies",
    "refuse-downgrade",
    "refuse-replay",
    "refuse-tampered-payload",
    "refuse-wrong-signer",
    "refuse-rogue-tam",
    "refuse-unattested-device",
    "refuse-tampered-relay",
    "refuse-memory-read",
    "vault-release",
    "refuse-stolen-storage",
    "refuse-clone",
    "unrequest-delete",
    "revoke-ta",
    "two-makers",
    "refuse-modified-agent",
    "tam-restart",
];

/// Steps that refuse something, each with its number of attempts that must have left all digests alone.
const TEEP_REFUSALS: [(&str, usize); 11] = [
    ("owner-denies", 4),
    ("refuse-downgrade", 1),
    ("refuse-replay", 4),
    ("refuse-tampered-payload", 1),
    ("refuse-wrong-signer", 2),
    ("refuse-rogue-tam", 1),
    ("refuse-unattested-device", 4),
    ("refuse-tampered-relay", 12),
    ("refuse-stolen-storage", 1),
    ("refuse-clone", 1),
    ("refuse-modified-agent", 1),
];

const OTRP_STEPS: [&str; 28] = [
    "pki",
    "tam-up",
    "tee-up",
    "publish-v1",
    "create-domain",
    "request-install",
    "attested",
    "get-ta-information",
    "invoke-v1",
    "valve-actuate",
    "publish-v2",
    "policy-update",
    "state-survived",
    "update-domain-signer",
    "refuse-downgrade",
    "refuse-replay",
    "refuse-stale-state",
    "refuse-tampered-payload",
    "refuse-wrong-signer",
    "refuse-rogue-tam",
    "refuse-other-tam",
    "refuse-revoked-tam",
    "refuse-unattested-device",
    "refuse-tampered-relay",
    "refuse-memory-read",
    "unrequest-delete",
    "tam-restart",
    "delete-domain",
];

const OTRP_REFUSALS: [(&str, usize); 10] = [
    ("refuse-downgrade", 1),
    ("refuse-replay", 6),
    ("refuse-stale-state", 2),
    ("refuse-tampered-payload", 1),
    ("refuse-wrong-signer", 2),
    ("refuse-rogue-tam", 1),
    ("refuse-other-tam", 5),
    ("refuse-revoked-tam", 4),
    ("refuse-unattested-device", 4),
    ("refuse-tampered-relay", 12),
];

const BOTH_STEPS: [&str; 14] = [
    "pki",
    "tam-up",
    "tee-up",
    "publish-v1",
    "request-install",
    "attested",
    "get-ta-information",
    "invoke-v1",
    "publish-v2",
    "policy-update",
    "refuse-stale-state",
    "refuse-wrong-protocol",
    "unrequest-delete",
    "delete-domain",
];

const BOTH_REFUSALS: [(&str, usize); 2] = [("refuse-stale-state", 1), ("refuse-wrong-protocol", 2)];

fn play(protocol: &str, keep: &Path) -> Json {
    run(&["demo", "--json", "--protocol", protocol, "--keep"], keep)
}

fn run(args: &[&str], keep: &Path) -> Json {
    let output = Command::new(env!("CARGO_BIN_EXE_tamarack"))
        .args(args)
        .arg(keep)
        .output()
        .expect("the program starts");
    let result: Json = serde_json::from_slice(&output.stdout).expect("one JSON document");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), result["ok"] == true, "{said}");
    result
}

/// An interpreter with the two modules, if there is one.
fn python() -> Option<&'static str> {
    let has_modules = |python: &&&str| {
        let tried = Command::new(**python).args(["-c", "import cbor2, cryptography"]).output();
        tried.is_ok_and(|output| output.status.success())
    };
    ["/usr/bin/python3", "python3"].iter().find(has_modules).copied()
}

fn verify(python: &str, kept: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/verify-demo.py");
    Command::new(python).arg(script).arg(kept).output().expect("the interpreter starts")
}

#[test]
fn teep_goes_as_it_should_and_is_checked_from_outside() {
    let altered = [
        ("messages", "query-request"),
        ("messages", "query-response"),
        ("messages", "update"),
        ("messages", "success"),
        ("messages", "error"),
        ("receipts", "receipt-1"),
        ("reports", ""),
        ("manifests", "wallet-v2"),
        ("certs", "device-a"),
        ("keys", "wallet-1"),
    ];
    check("teep", &TEEP_STEPS, &TEEP_REFUSALS, &altered);
}

/// The same story, and the same TAs, on devices whose root of trust is a TPM.
#[test]
fn teep_goes_as_it_should_on_tpms() {
    if Command::new("swtpm").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "swtpm is required in CI but missing");
        println!("skipped: no swtpm on this machine");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let result = run(&["demo", "--json", "--platform", "tpm", "--keep"], &scratch.path().join("kept"));
    let steps = result["steps"].as_array().unwrap();
    let ids: Vec<&str> = steps.iter().filter_map(|step| step["id"].as_str()).collect();
    assert_eq!(ids, TEEP_STEPS);
    for step in steps {
        assert_eq!(step["ok"], true, "{}: {}", step["id"], step["detail"]["error"]);
    }
    let code = |id: &str| {
        let step = steps.iter().find(|step| step["id"] == id).unwrap();
        step["detail"]["refusals"][0]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code("refuse-modified-agent"), "TMK-5041");
    assert_eq!(code("refuse-stolen-storage"), "TMK-5041");
    assert_eq!(code("refuse-clone"), "TMK-5001");
}

#[test]
fn otrp_goes_as_it_should_and_is_checked_from_outside() {
    let altered = [
        ("messages", "GetDeviceStateRequest"),
        ("messages", "GetDeviceStateResponse"),
        ("messages", "CreateSDRequest"),
        ("messages", "InstallTARequest"),
        ("messages", "InstallTAResponse"),
        ("messages", "UpdateSDRequest"),
        ("messages", "OTrPBrokerError"),
        ("messages", "JWS"),
        ("receipts", "receipt-1"),
        ("manifests", "wallet-v2"),
        ("certs", "device-a-otrp"),
        ("certs", "tam_otrp"),
    ];
    check("otrp", &OTRP_STEPS, &OTRP_REFUSALS, &altered);
}

#[test]
fn both_protocols_go_as_they_should_and_are_checked_from_outside() {
    let altered = [("messages", "update"), ("messages", "UpdateTARequest"), ("certs", "device-b-otrp")];
    check("both", &BOTH_STEPS, &BOTH_REFUSALS, &altered);
}

/// Plays it, and looks at what it says of every step; then the other program looks, and notices each alteration.
fn check(protocol: &str, expected: &[&str], refusals: &[(&str, usize)], altered: &[(&str, &str)]) {
    let scratch = tempfile::tempdir().unwrap();
    let kept = scratch.path().join("kept");
    let result = play(protocol, &kept);
    let steps = result["steps"].as_array().unwrap();
    let ids: Vec<&str> = steps.iter().filter_map(|step| step["id"].as_str()).collect();
    assert_eq!(ids, expected);
    for step in steps {
        assert_eq!(step["ok"], true, "{}: {}", step["id"], step["detail"]["error"]);
    }
    assert_eq!((&result["ok"], &result["protocol"]), (&Json::Bool(true), &Json::from(protocol)));
    for (id, count) in refusals {
        let step = steps.iter().find(|step| step["id"] == *id).unwrap();
        let refusals = step["detail"]["refusals"].as_array().unwrap();
        assert_eq!(refusals.len(), *count, "{id}");
        for refusal in refusals {
            for digest in ["state_digest", "registry_digest"] {
                assert!(!refusal[digest]["before"].is_null(), "{id} has no {digest}");
                assert_eq!(refusal[digest]["before"], refusal[digest]["after"], "{id}");
            }
        }
    }

    let Some(python) = python() else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "python3 with cbor2 and cryptography is needed"
        );
        println!("skipped: python3 with cbor2 and cryptography is not installed");
        return;
    };
    let output = verify(python, &kept);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    altered_files_are_noticed(python, &kept, altered);
}

/// One bit of each kind of file, one after the other.
fn altered_files_are_noticed(python: &str, kept: &Path, files: &[(&str, &str)]) {
    for (folder, name) in files {
        let file = first_file(&kept.join(folder), name);
        let genuine = std::fs::read(&file).unwrap();
        let mut altered = genuine.clone();
        let middle = altered.len() / 2;
        altered[middle] ^= 1;
        std::fs::write(&file, &altered).unwrap();
        let output = verify(python, kept);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{} altered: {said}", file.display());
        assert!(said.contains("FAILED: "), "{said}");
        std::fs::write(&file, &genuine).unwrap();
    }
    assert!(verify(python, kept).status.success(), "the files are as they were");
}

/// The first file of a folder whose name contains `part`.
fn first_file(folder: &Path, part: &str) -> PathBuf {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let named = |file: &&PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().contains(part));
    files.iter().find(named).unwrap_or_else(|| panic!("no {part} in {}", folder.display())).clone()
}
