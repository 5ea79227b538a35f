//! A TAM that knows no TEE CA and asks a verifier that does; and the verifier as relying parties use it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tamarack_cbor::Limits;
use tamarack_eat::Token;

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

#[track_caller]
fn fails(folder: &Path, args: &str, says: &str) {
    let output = run(folder, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(says), "{args}: {said}");
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

    fn url(&self) -> &str {
        self.ready["url"].as_str().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn append(file: &Path, text: &str) {
    let before = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, before + text).unwrap();
}

#[test]
fn a_device_is_attested_on_the_word_of_a_verifier_and_shows_its_result_to_others() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    for authority in ["tee", "tam"] {
        ok(at, &format!("pki ca --role {authority} {authority}-ca"));
    }
    for key in ["maker", "acme"] {
        ok(at, &format!("pki key {key}.key"));
        std::fs::write(at.join(format!("{key}.pub")), ok(at, &format!("pki public {key}.key"))).unwrap();
    }
    let token = ok(at, "verifier init verifier --tee-ca tee-ca.pem=software --minimum none");
    std::fs::write(at.join("verifier-token"), token).unwrap();
    let provider = "\n[[reference_provider]]\nname = \"Maker\"\nrole = \"maker\"\nkeys = [\"../maker.pub\"]\n\
        [[reference_provider.scope]]\nmodel = \"software-tee\"\n";
    append(&at.join("verifier/verifier.toml"), provider);
    let verifier = Running::start(at, "verifier serve --config verifier/verifier.toml --listen 127.0.0.1:0");

    let token =
        ok(at, "tam init tam --listen 127.0.0.1:0 --ca tam-ca --uri https://tam.example/tam --minimum none");
    std::fs::write(at.join("token"), token).unwrap();
    let believes = format!(
        "\n[[verifier_key]]\nname = \"Verity\"\nkey = \"../verifier/verifier.pub\"\ncap = \"software\"\n\
         [[verifier_key.scope]]\nmodel = \"software-tee\"\n[verifier]\nurl = \"{}\"\n",
        verifier.url()
    );
    append(&at.join("tam/tam.toml"), &believes);
    let tam = Running::start(at, "tam serve --config tam/tam.toml");
    let to_tam = format!("--url {} --token-file token", tam.url());
    ok(
        at,
        &format!(
            "agent init device --fuse fuse --tam-anchor tam-ca.pem=https://tam.example/tam \
             --signer-anchor acme.pub:com.acme --tam-uri {}/tam",
            tam.url()
        ),
    );
    ok(at, "pki issue --ca tee-ca --csr device/device.csr --uri urn:x-test:device --out device.pem");
    ok(at, "agent certify device --cert device.pem");

    // Nobody has released what it runs: the verifier does not affirm it, and the TAM hears so.
    let devices =
        || -> Vec<Value> { serde_json::from_str(&ok(at, &format!("tam devices --json {to_tam}"))).unwrap() };
    let device = Running::start(at, "agent run device");
    run(at, "app --device device policy-check");
    assert_eq!(devices(), Vec::<Value>::new());
    let measured = ok(at, "agent measure device")
        .lines()
        .fold(String::new(), |all, line| format!("{all} --component {line}@1"));
    ok(
        at,
        &format!(
            "reference make --key maker.key --signer Maker --tag firmware --vendor tamarack.example \
             --class software-tee {measured} --out firmware.corim"
        ),
    );
    let to_verifier = format!("--url {} --token-file verifier-token", verifier.url());
    assert!(ok(at, &format!("reference add firmware.corim {to_verifier}")).contains("in force"));
    ok(at, "app --device device policy-check");
    let attested = devices();
    assert_eq!(attested.len(), 1);
    assert_eq!(attested[0]["attested"]["proof"], "attested");

    // The Evidence that it sent, in the hands of a relying party who knows its nonce.
    let id = attested[0]["id"].as_str().unwrap();
    ok(at, &format!("policy record --device {id} --out record.json {to_tam}"));
    let record: Value = serde_json::from_slice(&std::fs::read(at.join("record.json")).unwrap()).unwrap();
    let evidence = BASE64_STANDARD.decode(record["evidence"].as_str().unwrap()).unwrap();
    std::fs::write(at.join("evidence"), &evidence).unwrap();
    let claims = Token::parse(&evidence, &Limits::default()).unwrap().unverified().unwrap();
    let nonce = hex::encode(&claims.eat_nonce[0]);
    let url = format!("--url {}", verifier.url());
    let shown = ok(at, &format!("verifier appraise evidence --nonce {nonce} {url} --out result.ear"));
    assert!(shown.contains("tee: affirming"), "{shown}");
    // With the public key and nothing else; the verifier need not even run.
    let check = "verifier check result.ear --key verifier/verifier.pub --minimum none";
    let checked = ok(at, &format!("{check} --nonce {nonce} --json"));
    let checked: Value = serde_json::from_str(&checked).unwrap();
    assert_eq!((&checked["status"], &checked["submods"]["tee"]["device"]), (&"affirming".into(), &id.into()));
    fails(at, &format!("{check} --nonce {}", "00".repeat(32)), "TMK-3123");
    fails(at, &format!("{check} --attester maker.pub"), "TMK-3124");
    fails(at, &check.replace("none", "hardware"), "TMK-3125");
    fails(at, "verifier check result.ear --key maker.pub", "TMK-3121");
    fails(at, "verifier check evidence --key verifier/verifier.pub", "TMK-3121");
    fails(at, "verifier check firmware.corim --key maker.pub", "TMK-3120");
    fails(at, "verifier check record.json --key maker.pub", "TMK-3120");
    // Without the nonce it must be a challenge of the verifier, which this was not.
    fails(at, &format!("verifier appraise evidence {url}"), "TMK-3004");
    fails(at, &format!("verifier appraise evidence --nonce {nonce} --format text/plain {url}"), "TMK-3002");
    assert_eq!(ok(at, &format!("verifier challenge {url}")).trim().len(), 64);
    // The same in this process, by the same folder.
    let local =
        ok(at, &format!("verifier appraise evidence --nonce {nonce} --config verifier/verifier.toml"));
    assert!(local.contains("tee: affirming"), "{local}");

    // Out of force, and the device is affirmed no more.
    let rows = ok(at, &format!("reference list {to_verifier}"));
    let reference = rows.split_whitespace().next().unwrap();
    ok(at, &format!("reference deactivate {reference} {to_verifier}"));
    ok(at, &format!("verifier appraise evidence --nonce {nonce} {url} --out result.ear"));
    fails(at, check, "TMK-3125");
    drop(device);
}
