//! A TAM that knows no TEE CA and asks a verifier that does; and the verifier as relying parties use it.

mod support;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use support::{MAKER, Running, append, authorities, device, fails, ok, run, tam};
use tamarack_cbor::Limits;
use tamarack_eat::Token;

#[test]
fn a_device_is_attested_on_the_word_of_a_verifier_and_shows_its_result_to_others() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    authorities(at);
    fails(at, "verifier init verifier --tee-ca missing.pem", 2, "missing.pem");
    assert!(!at.join("verifier").exists(), "a mistake makes no verifier");
    let token = ok(at, "verifier init verifier --tee-ca tee-ca.pem=software --minimum none");
    std::fs::write(at.join("verifier-token"), token).unwrap();
    append(&at.join("verifier/verifier.toml"), MAKER);
    let verifier = Running::start(at, "verifier serve --config verifier/verifier.toml --listen 127.0.0.1:0");

    tam(at, "");
    let believes = format!(
        "\n[[verifier_key]]\nname = \"Verity\"\nkey = \"../verifier/verifier.pub\"\ncap = \"software\"\n\
         [[verifier_key.scope]]\nmodel = \"software-tee\"\n[verifier]\nurl = \"{}\"\n",
        verifier.url()
    );
    append(&at.join("tam/tam.toml"), &believes);
    let tam = Running::start(at, "tam serve --config tam/tam.toml");
    let to_tam = format!("--url {} --token-file token", tam.url());
    device(at, &tam, "com.acme");

    // Nobody has released what it runs: the verifier does not affirm it, and the TAM hears so.
    let devices = || support::json(at, &format!("tam devices --json {to_tam}"));
    let device = Running::start(at, "agent run device");
    run(at, "app --device device policy-check");
    assert_eq!(devices(), json!([]));
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
    assert_eq!(attested.as_array().map(Vec::len), Some(1));
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
    let checked = support::json(at, &format!("{check} --nonce {nonce} --json"));
    assert_eq!((&checked["status"], &checked["submods"]["tee"]["device"]), (&"affirming".into(), &id.into()));
    fails(at, &format!("{check} --nonce {}", "00".repeat(32)), 1, "TMK-3123");
    fails(at, &format!("{check} --attester maker.pub"), 1, "TMK-3124");
    fails(at, &check.replace("none", "hardware"), 1, "TMK-3125");
    fails(at, "verifier check result.ear --key maker.pub", 1, "TMK-3121");
    fails(at, "verifier check evidence --key verifier/verifier.pub", 1, "TMK-3121");
    fails(at, "verifier check firmware.corim --key maker.pub", 1, "TMK-3120");
    fails(at, "verifier check record.json --key maker.pub", 1, "TMK-3120");
    // Without the nonce it must be a challenge of the verifier, which this was not.
    fails(at, &format!("verifier appraise evidence {url}"), 1, "TMK-3004");
    fails(
        at,
        &format!("verifier appraise evidence --nonce {nonce} --format text/plain {url}"),
        1,
        "TMK-3002",
    );
    assert_eq!(ok(at, &format!("verifier challenge {url}")).trim().len(), 64);
    assert!(support::json(at, &format!("verifier challenge --json {url}"))["expires"].is_u64());
    fails(at, &format!("verifier appraise evidence --nonce {nonce}"), 2, "--url");
    fails(at, &format!("verifier appraise evidence --nonce x {url}"), 2, "--nonce");
    // The same in this process, by the same folder.
    let local =
        ok(at, &format!("verifier appraise evidence --nonce {nonce} --config verifier/verifier.toml"));
    assert!(local.contains("tee: affirming"), "{local}");

    // Out of force, and the device is affirmed no more.
    let rows = ok(at, &format!("reference list {to_verifier}"));
    let reference = rows.split_whitespace().next().unwrap();
    ok(at, &format!("reference deactivate {reference} {to_verifier}"));
    ok(at, &format!("verifier appraise evidence --nonce {nonce} {url} --out result.ear"));
    fails(at, check, 1, "TMK-3125");
    drop(device);
}
