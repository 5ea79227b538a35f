//! A developer's day: `dev up`, a new TA, `ta push` until the device attests it.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{TAMARACK, World, module, run_args};

#[track_caller]
fn push(folder: &Path, expected: &str) {
    let output = run_args(folder, &["ta", "push", "hello/ta.yaml", "--to", "world/device"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && text.contains(expected), "{text}\n{talk}");
}

#[test]
fn a_developer_pushes_until_the_device_attests() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let world = World::up(folder);
    assert!(run_args(folder, &["ta", "new", "hello"]).status.success());
    std::fs::write(folder.join("hello/hello.wasm"), module()).unwrap();
    push(folder, "attests hello 0.1.0 (sequence 1)");
    push(folder, "nothing to do");
    let yaml = folder.join("hello/ta.yaml");
    let text = std::fs::read_to_string(&yaml).unwrap();
    std::fs::write(&yaml, text.replace("sequence: 1", "sequence: 2")).unwrap();
    push(folder, "attests hello 0.1.0 (sequence 2)");
    // Back again: the device does not take it, and the developer hears why.
    std::fs::write(&yaml, text.replace("version: 0.1.0", "version: 0.0.9")).unwrap();
    let refused = run_args(folder, &["ta", "push", "hello/ta.yaml", "--to", "world/device"]);
    let talk = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && talk.contains("error[TMK-"), "{talk}");
    personalize(folder, &world.url);
}

/// Data for the TA on this one device, by the key in its Evidence; then it is nowhere but in the TEE.
fn personalize(folder: &Path, url: &str) {
    const SECRET: &str = "card 4012888888881881";
    let remote = ["--url", url, "--token-file", "world/operator.token"];
    let listed = run_args(folder, &[&["tam", "devices", "--json"][..], &remote].concat());
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let device = listed[0]["id"].as_str().unwrap();
    let card = folder.join("card");
    std::fs::write(&card, SECRET).unwrap();
    let common =
        ["--provider", "dev", "--device", device, "--ta", "hello/ta.yaml", "--key", "world/developer.key"];
    let args = |more: &[&'static str]| -> Vec<&str> {
        [&["ta", "personalize", "card"][..], &remote, &common, more].concat()
    };
    // A device of another maker than the provider wants.
    let refused = run_args(folder, &args(&["--tee-ca", "world/tam-ca.pem"]));
    let talk = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && talk.contains("TMK-3003"), "{talk}");
    // A device that runs something else than its maker released.
    let released = released(folder);
    let of = |corim| args(&["--tee-ca", "world/tee-ca.pem", "--maker", "maker.key", corim]);
    let refused = run_args(folder, &of("other.corim"));
    let talk = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && talk.contains("TMK-3111"), "{talk}");
    // A TAM that shows the genuine Evidence of another device than the one that is meant.
    refuse_another_device(folder, url, device);

    let mut given = Command::new(TAMARACK)
        .args([of(released), vec!["--wait"]].concat())
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while given.try_wait().unwrap().is_none() && begin.elapsed() < Duration::from_secs(30) {
        assert!(run_args(folder, &["app", "--device", "world/device", "policy-check"]).status.success());
    }
    let output = given.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("proved by its Evidence"), "{text}");
    std::fs::remove_file(&card).unwrap();
    let found =
        Command::new("grep").args(["-rla", "4012888888881881", "."]).current_dir(folder).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "files that hold the data");
}

/// What the maker of the device has released, and what it might have released instead, each in a file.
fn released(folder: &Path) -> &'static str {
    let measured = run_args(folder, &["agent", "measure", "world/device"]);
    let measured = String::from_utf8(measured.stdout).unwrap();
    assert!(run_args(folder, &["pki", "key", "maker.key"]).status.success());
    for (file, other) in [("released.corim", false), ("other.corim", true)] {
        let digest = format!("urn:x-tamarack:agent=sha256:{}", "0".repeat(64));
        let lines = measured.lines().map(|line| match other && line.starts_with("urn:x-tamarack:agent=") {
            true => digest.as_str(),
            false => line,
        });
        let mut args = vec!["reference", "make", "--key", "maker.key", "--signer", "maker", "--tag", "tee"];
        args.extend(["--vendor", "tamarack.example", "--class", "software-tee", "--out", file]);
        args.extend(lines.flat_map(|line| ["--component", line]));
        let made = run_args(folder, &args);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
    "released.corim"
}

/// Asks a TAM for a device and gets, well proved, the key of another one.
fn refuse_another_device(folder: &Path, url: &str, genuine: &str) {
    let token = std::fs::read_to_string(folder.join("world/operator.token")).unwrap();
    let request = format!(
        "GET /api/v1/devices/{genuine}/decryption-key HTTP/1.0\r\nauthorization: Bearer {}\r\n\r\n",
        token.trim()
    );
    let mut tam = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    tam.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    tam.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    let (_, told) = answer.split_once("\r\n\r\n").unwrap();
    let lie = told.to_owned();

    let meant = "11".repeat(32);
    let liar = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", liar.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in liar.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 4096];
            let read = stream.read(&mut asked).unwrap();
            // Whoever hands over data is thanked.
            let (status, body) = match asked[..read].starts_with(b"GET") {
                true => ("200 OK", lie.as_str()),
                false => ("201 Created", "{}"),
            };
            let head = "content-type: application/json\r\nconnection: close";
            let answer =
                format!("HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let args = ["--provider", "dev", "--ta", "hello/ta.yaml", "--key", "world/developer.key", "card"];
    let lied_to = ["--url", &address, "--token-file", "world/operator.token", "--device", &meant];
    let proof = ["--tee-ca", "world/tee-ca.pem"];
    let refused = run_args(folder, &[&["ta", "personalize"][..], &lied_to, &proof, &args].concat());
    let talk = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && talk.contains("it is another device's"), "{talk}");
}
