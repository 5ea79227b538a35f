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
}
