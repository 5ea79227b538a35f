//! The program as people and scripts use it: commands with their exit codes, and processes that run beside them.
// No test uses all of it.
#![allow(dead_code)]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub const TAMARACK: &str = env!("CARGO_BIN_EXE_tamarack");

/// What the caller's shell has set must not be an option of these commands.
const VARIABLES: [&str; 4] = ["TAMARACK_URL", "TAMARACK_TOKEN", "TAMARACK_TLS_ROOT", "TAMARACK_ROOT"];

fn command(program: &Path, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).stdin(Stdio::null());
    VARIABLES.iter().for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// Runs a command to its end, with arguments that have no spaces.
pub fn run(folder: &Path, args: &str) -> Output {
    run_args(folder, &args.split_whitespace().collect::<Vec<_>>())
}

/// Runs a command to its end.
pub fn run_args(folder: &Path, args: &[&str]) -> Output {
    command(Path::new(TAMARACK), folder, args).output().expect("the program starts")
}

/// Ends well; gives what went to standard output.
#[track_caller]
pub fn ok(folder: &Path, args: &str) -> String {
    let output = run(folder, args);
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Ends well and prints JSON.
#[track_caller]
pub fn json(folder: &Path, args: &str) -> Value {
    let printed = ok(folder, args);
    serde_json::from_str(&printed).unwrap_or_else(|e| panic!("{args}: {e}: {printed}"))
}

/// Ends with this exit code, and says this; gives what went to standard output.
#[track_caller]
pub fn fails(folder: &Path, args: &str, code: i32, says: &str) -> String {
    let output = run(folder, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args}: {said}");
    assert!(said.contains(says), "{args}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A process that prints a JSON document when it is ready, and ends with this value.
pub struct Running {
    pub child: Child,
    pub ready: Value,
}

impl Running {
    #[track_caller]
    pub fn start(folder: &Path, args: &str) -> Self {
        Self::start_program(Path::new(TAMARACK), folder, args)
    }

    /// The same of a copy of the program.
    #[track_caller]
    pub fn start_program(program: &Path, folder: &Path, args: &str) -> Self {
        let mut command = command(program, folder, &args.split_whitespace().collect::<Vec<_>>());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut running = Self { child, ready: Value::Null };
        let mut out = BufReader::new(running.child.stdout.take().unwrap());
        let mut text = String::new();
        while running.ready.is_null() {
            assert_ne!(out.read_line(&mut text).unwrap(), 0, "{args}: ended before it was ready: {text:?}");
            running.ready = serde_json::from_str(&text).unwrap_or_default();
        }
        running
    }

    pub fn url(&self) -> &str {
        self.ready["url"].as_str().expect("a service")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `tamarack dev up` in the folder `world`, with its device ready; ends with this value.
pub struct World {
    up: Child,
    pub url: String,
}

impl World {
    #[track_caller]
    pub fn up(folder: &Path) -> Self {
        // Free a moment ago; nobody else asks for it meanwhile.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let args = ["dev", "up", "--dir", "world", "--listen", &address.to_string()];
        let mut command = command(Path::new(TAMARACK), folder, &args);
        let up = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let world = Self { up, url: format!("http://{address}") };
        let begin = Instant::now();
        while !folder.join("world/device/app.sock").exists() {
            assert!(begin.elapsed() < Duration::from_secs(60), "dev up is not ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        world
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.up.kill();
        let _ = self.up.wait();
    }
}

/// The code of the example TA, as a developer would have compiled it.
pub fn module() -> Vec<u8> {
    std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/ta/built/template-c.wasm")).unwrap()
}

/// Authorities of a maker and of a TAM, and the keys of a maker and of a developer.
pub fn authorities(at: &Path) {
    for authority in ["tee", "tam"] {
        ok(at, &format!("pki ca --role {authority} {authority}-ca"));
    }
    for key in ["maker", "acme"] {
        ok(at, &format!("pki key {key}.key"));
        std::fs::write(at.join(format!("{key}.pub")), ok(at, &format!("pki public {key}.key"))).unwrap();
    }
}

/// A TAM in the folder `tam`, which takes any grade, with its operator's token in the file `token`.
pub fn tam(at: &Path, more: &str) {
    let init = "tam init tam --listen 127.0.0.1:0 --ca tam-ca --uri https://tam.example/tam --minimum none";
    std::fs::write(at.join("token"), ok(at, &format!("{init} {more}"))).unwrap();
}

/// A certified device in the folder `device`, for this TAM and for what acme signs in this domain.
pub fn device(at: &Path, tam: &Running, domain: &str) {
    let init = format!(
        "agent init device --fuse fuse --tam-anchor tam-ca.pem=https://tam.example/tam \
         --signer-anchor acme.pub:{domain} --tam-uri {}/tam",
        tam.url()
    );
    ok(at, &init);
    ok(at, "pki issue --ca tee-ca --csr device/device.csr --uri urn:x-test:device --out device.pem");
    ok(at, "agent certify device --cert device.pem");
}

/// Adds lines to a file.
pub fn append(file: &Path, text: &str) {
    let before = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, before + text).unwrap();
}

/// Lines of `tam.toml` or `verifier.toml`: the maker may speak of software TEEs.
pub const MAKER: &str = "\n[[reference_provider]]\nname = \"Maker\"\nrole = \"maker\"\nkeys = [\"../maker.pub\"]\n\
    [[reference_provider.scope]]\nmodel = \"software-tee\"\n";
