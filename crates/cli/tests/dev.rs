//! A developer's day: `dev up`, a new TA, `ta push` until the device attests it.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const TAMARACK: &str = env!("CARGO_BIN_EXE_tamarack");

struct World(Child);

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tamarack(folder: &Path, args: &[&str]) -> Output {
    Command::new(TAMARACK).args(args).current_dir(folder).output().unwrap()
}

#[track_caller]
fn push(folder: &Path, expected: &str) {
    let output = tamarack(folder, &["ta", "push", "hello/ta.yaml", "--to", "world/device"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && text.contains(expected), "{text}\n{talk}");
}

#[test]
fn a_developer_pushes_until_the_device_attests() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    // Free a moment ago; nobody else asks for it meanwhile.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let up = Command::new(TAMARACK)
        .args(["dev", "up", "--dir", "world", "--listen", &format!("127.0.0.1:{port}")])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _world = World(up);
    let begin = Instant::now();
    while !folder.join("world/device/app.sock").exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "dev up is not ready");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(tamarack(folder, &["ta", "new", "hello"]).status.success());
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/ta/built/template-c.wasm");
    std::fs::copy(built, folder.join("hello/hello.wasm")).unwrap();
    push(folder, "attests hello 0.1.0 (sequence 1)");
    push(folder, "nothing to do");
    let yaml = folder.join("hello/ta.yaml");
    let text = std::fs::read_to_string(&yaml).unwrap();
    std::fs::write(&yaml, text.replace("sequence: 1", "sequence: 2")).unwrap();
    push(folder, "attests hello 0.1.0 (sequence 2)");
    // Back again: the device does not take it, and the developer hears why.
    std::fs::write(&yaml, text.replace("version: 0.1.0", "version: 0.0.9")).unwrap();
    let refused = tamarack(folder, &["ta", "push", "hello/ta.yaml", "--to", "world/device"]);
    let talk = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && talk.contains("error[TMK-"), "{talk}");
    personalize(folder, port);
}

/// Data for the TA on this one device, by the key in its Evidence; then it is nowhere but in the TEE.
fn personalize(folder: &Path, port: u16) {
    const SECRET: &str = "card 4012888888881881";
    let url = format!("http://127.0.0.1:{port}");
    let remote = ["--url", &url, "--token-file", "world/operator.token"];
    let listed = tamarack(folder, &[&["tam", "devices", "--json"][..], &remote].concat());
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let device = listed[0]["id"].as_str().or(listed["items"][0]["id"].as_str()).unwrap();
    let card = folder.join("card");
    std::fs::write(&card, SECRET).unwrap();
    let common =
        ["--provider", "dev", "--device", device, "--ta", "hello/ta.yaml", "--key", "world/developer.key"];
    let args = |more: &[&'static str]| -> Vec<&str> {
        [&["ta", "personalize", "card"][..], &remote, &common, more].concat()
    };
    // A device of another maker than the provider wants.
    let refused = tamarack(folder, &args(&["--tee-ca", "world/tam-ca.pem"]));
    let talk = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && talk.contains("TMK-3005"), "{talk}");

    let mut given = Command::new(TAMARACK)
        .args(args(&["--tee-ca", "world/tee-ca.pem", "--wait"]))
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while given.try_wait().unwrap().is_none() && begin.elapsed() < Duration::from_secs(30) {
        assert!(tamarack(folder, &["app", "--device", "world/device", "policy-check"]).status.success());
    }
    let output = given.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("proved by its Evidence"), "{text}");
    std::fs::remove_file(&card).unwrap();
    let found =
        Command::new("grep").args(["-rla", "4012888888881881", "."]).current_dir(folder).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "files that hold the data");
}
