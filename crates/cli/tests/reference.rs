//! "Attested" means: by its maker's key, and running what its maker released. A copy of the program that differs in one byte
//! runs, has all the keys, and is not attested.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

const TAMARACK: &str = env!("CARGO_BIN_EXE_tamarack");
const AGENT: &str = "urn:x-tamarack:agent";
const LAUNCHER: &str = "urn:x-tamarack:launcher";

fn ok(folder: &Path, args: &str) -> String {
    let output = Command::new(TAMARACK).args(args.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn fails(folder: &Path, args: &str, says: &str) {
    let output = Command::new(TAMARACK).args(args.split(' ')).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(says), "{args}: {said}");
}

/// A process that prints one line of JSON when it is ready.
struct Running {
    child: Child,
    ready: Value,
}

impl Running {
    fn start(program: &Path, folder: &Path, args: &str) -> Self {
        let mut child = Command::new(program)
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
    let config = at.join("tam/tam.toml");
    let provider = "\n[[reference_provider]]\nname = \"Maker\"\nrole = \"maker\"\nkeys = [\"../maker.pub\"]\n\
        [[reference_provider.scope]]\nmodel = \"software-tee\"\n";
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + provider).unwrap();
    let tam = Running::start(Path::new(TAMARACK), at, "tam serve --config tam/tam.toml");
    let url = tam.ready["url"].as_str().unwrap();
    let connection = format!("--url {url} --token-file token");

    ok(
        at,
        &format!(
            "agent init device --fuse fuse --tam-anchor tam-ca.pem=https://tam.example/tam \
             --signer-anchor acme.pub:com.acme --tam-uri {url}/tam"
        ),
    );
    ok(at, "pki issue --ca tee-ca --csr device/device.csr --uri urn:x-test:device --out device.pem");
    ok(at, "agent certify device --cert device.pem");

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
    fails(at, &make.replace("--days 9", "--component nothing"), "NAME=VALUE");
    fails(at, &make.replace("--vendor tamarack.example --class software-tee ", ""), "--vendor");

    let devices = || -> Vec<Value> {
        serde_json::from_str(&ok(at, &format!("tam devices --json {connection}"))).unwrap()
    };
    let run = "agent run device";
    let altered = altered(at);

    // The altered program first: it has every key of the device, and the TAM never hears of it.
    let device = Running::start(&altered, at, run);
    let asked =
        Command::new(TAMARACK).args(["app", "--device", "device", "policy-check"]).current_dir(at).output();
    let said = asked.unwrap();
    assert_eq!(devices(), Vec::<Value>::new(), "{}", String::from_utf8_lossy(&said.stderr));
    drop(device);
    let device = Running::start(Path::new(TAMARACK), at, run);
    ok(at, "app --device device policy-check");
    let attested = devices();
    assert_eq!(attested.len(), 1);
    assert_eq!(attested[0]["claims"]["reference-values"], "affirming");
    assert_eq!(attested[0]["attested"]["proof"], "attested");
    drop(device);
    // And after it: what was proved before stays as it was.
    let device = Running::start(&altered, at, run);
    let _ =
        Command::new(TAMARACK).args(["app", "--device", "device", "policy-check"]).current_dir(at).output();
    assert_eq!(devices(), attested);
    drop(device);

    // Nothing else is wrong with it: once its maker has released it, it is the other one that is not attested.
    let second = make.replace(TAMARACK, "tamarack-altered").replace("--days", "--version 2 --days");
    ok(at, &second);
    let added = ok(at, &format!("reference add firmware.corim {connection}"));
    let device = Running::start(Path::new(TAMARACK), at, run);
    let _ =
        Command::new(TAMARACK).args(["app", "--device", "device", "policy-check"]).current_dir(at).output();
    assert_eq!(devices(), attested);
    drop(device);
    let device = Running::start(&altered, at, run);
    ok(at, "app --device device policy-check");
    drop(device);
    let proved = devices();
    assert_ne!(proved, attested);
    assert_eq!(proved[0]["id"], attested[0]["id"]);

    // Once nothing is in force, nothing is accepted.
    let id = added.split_whitespace().nth(1).unwrap();
    ok(at, &format!("reference deactivate {id} {connection}"));
    let listed = ok(at, &format!("reference list {connection}"));
    assert!(listed.contains("superseded") && listed.contains("deactivated"), "{listed}");
    let device = Running::start(&altered, at, run);
    let _ =
        Command::new(TAMARACK).args(["app", "--device", "device", "policy-check"]).current_dir(at).output();
    assert_eq!(devices(), proved);
    drop(device);
}
