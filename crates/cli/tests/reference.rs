//! "Attested" means: by its maker's key, and running what its maker released. A copy of the program that differs in one byte
//! runs, has all the keys, and is not attested.

mod support;

use std::path::Path;

use serde_json::json;
use support::{MAKER, Running, TAMARACK, append, authorities, device, fails, ok, run, tam};

const AGENT: &str = "urn:x-tamarack:agent";
const LAUNCHER: &str = "urn:x-tamarack:launcher";

/// A copy of the program in which one byte of a help text is another.
fn altered(folder: &Path) -> std::path::PathBuf {
    let mut program = std::fs::read(TAMARACK).unwrap();
    let text = b"Explain an error code";
    let at = program.windows(text.len()).position(|window| window == text).expect("a help text");
    program[at] ^= 1;
    let path = folder.join("tamarack-altered");
    std::fs::write(&path, program).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&path, mode).unwrap();
    path
}

#[test]
fn an_agent_changed_by_one_byte_is_not_attested() {
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    authorities(at);
    tam(at, "--tee-ca tee-ca.pem=software");
    append(&at.join("tam/tam.toml"), MAKER);
    let tam = Running::start(at, "tam serve --config tam/tam.toml");
    let connection = format!("--url {} --token-file token", tam.url());

    device(at, &tam, "com.acme");

    // What a device runs besides its program: how it was started.
    let measured = ok(at, "agent measure device");
    let configuration = measured.lines().find(|line| line.contains("configuration")).unwrap();
    let make = format!(
        "reference make --key maker.key --signer Maker --tag firmware --vendor tamarack.example --class software-tee \
         --component {AGENT}={TAMARACK}@1 --component {LAUNCHER}={TAMARACK}@1 --component {configuration} --days 9 \
         --out firmware.corim"
    );
    assert!(ok(at, &make).contains("signed firmware version 1 for devices of class-id"));
    let added = ok(at, &format!("reference add firmware.corim {connection}"));
    assert!(
        added.contains("in force") && added.contains("by Maker: firmware version 1 (3 values)"),
        "{added}"
    );
    fails(at, &make.replace("--days 9", "--component nothing"), 2, "NAME=VALUE");
    fails(at, &make.replace("--days 9", "--days 0"), 2, "--days");
    fails(at, &make.replace("--days 9", &format!("--version {}", u64::MAX)), 2, "--version");
    fails(at, &make.replace("--vendor tamarack.example --class software-tee ", ""), 2, "--vendor");

    let devices = || support::json(at, &format!("tam devices --json {connection}"));
    let check = "app --device device policy-check";
    let start = |program: &Path| Running::start_program(program, at, "agent run device");
    let genuine = Path::new(TAMARACK);
    let altered = altered(at);

    // The altered program first: it has every key of the device, and the TAM never hears of it.
    let device = start(&altered);
    let said = run(at, check);
    assert_eq!(devices(), json!([]), "{}", String::from_utf8_lossy(&said.stderr));
    drop(device);
    let device = start(genuine);
    ok(at, check);
    let attested = devices();
    assert_eq!(attested.as_array().map(Vec::len), Some(1));
    assert_eq!(attested[0]["claims"]["reference-values"], "affirming");
    assert_eq!(attested[0]["attested"]["proof"], "attested");
    drop(device);
    // And after it: what was proved before stays as it was.
    let device = start(&altered);
    run(at, check);
    assert_eq!(devices(), attested);
    drop(device);

    // Nothing else is wrong with it: once its maker has released it, it is the other one that is not attested.
    let second = make.replace(TAMARACK, "tamarack-altered").replace("--days", "--version 2 --days");
    ok(at, &second);
    let added = ok(at, &format!("reference add firmware.corim {connection}"));
    let device = start(genuine);
    run(at, check);
    assert_eq!(devices(), attested);
    drop(device);
    let device = start(&altered);
    ok(at, check);
    drop(device);
    let proved = devices();
    assert_ne!(proved, attested);
    assert_eq!(proved[0]["id"], attested[0]["id"]);

    // Once nothing is in force, nothing is accepted.
    let id = added.split_whitespace().nth(1).unwrap();
    ok(at, &format!("reference deactivate {id} {connection}"));
    let listed = ok(at, &format!("reference list {connection}"));
    assert!(listed.contains("superseded") && listed.contains("deactivated"), "{listed}");
    let device = start(&altered);
    run(at, check);
    assert_eq!(devices(), proved);
    drop(device);
}
