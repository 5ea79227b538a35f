//! `tamarack tam` as an operator uses it: separate processes, files and exit codes.

mod support;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::{Running, run_args};

#[track_caller]
fn ok(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = run_args(Path::new("."), arguments);
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// The command fails with this exit code, and says why.
#[track_caller]
fn refused(arguments: &[&str], code: i32, says: &[&str]) {
    let output = run_args(Path::new("."), arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    for part in says {
        assert!(stderr.contains(part), "{part:?} is not in {stderr}");
    }
}

struct Server(Running);

impl Server {
    fn start(config: &str) -> Self {
        let args = format!("tam serve --config {config} --listen 127.0.0.1:0");
        Self(Running::start(Path::new("."), &args))
    }

    /// Ends it by SIGTERM and says whether it ended well.
    fn stop(mut self) -> bool {
        let pid = self.0.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.0.child.wait().unwrap().success()
    }

    /// Asks it with a token.
    #[track_caller]
    fn ask(&self, token: &str, arguments: &[&str]) -> String {
        ok(&[arguments, &["--url", self.0.url(), "--token", token]].concat())
    }

    #[track_caller]
    fn refuses(&self, token: &str, arguments: &[&str], code: &str) {
        refused(&[arguments, &["--url", self.0.url(), "--token", token]].concat(), 1, &[code]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_tam_is_made_served_backed_up_and_restored() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (tam, key, copy) = (path("tam"), path("developer.key"), path("copy"));
    let made: Value = serde_json::from_str(&ok(&["tam", "init", text(&tam), "--json"])).unwrap();
    let (config, token) = (made["config"].as_str().unwrap(), made["operator_token"].as_str().unwrap());
    refused(&["tam", "init", text(&tam)], 2, &["TMK-0003", "exists already"]);
    ok(&["pki", "key", text(&key)]);

    let server = Server::start(config);
    let add = ["tam", "provider", "add", "acme", "--prefix", "acme", "--signer", text(&key)];
    server.ask(token, &add);
    server.ask(token, &["tam", "policy", "want", "acme/wallet/suit"]);
    assert!(server.ask(token, &["tam", "provider", "list"]).contains("acme"));
    let audit: Value = serde_json::from_str(&server.ask(token, &["tam", "audit", "--json"])).unwrap();
    assert_eq!(audit.as_array().map(Vec::len), Some(3), "{audit}");
    let digest = server.ask(token, &["tam", "registry-digest"]);
    server.refuses(token, &add, "TMK-4005");
    server.refuses("tmk_wrong", &["tam", "devices"], "TMK-4001");
    refused(&["tam", "devices", "--url", "http://192.0.2.1", "--token", token], 2, &["TMK-1404"]);
    let busy = server.0.url().trim_start_matches("http://");
    refused(&["tam", "serve", "--config", config, "--listen", busy], 2, &["TMK-0005", "another process"]);

    ok(&["tam", "backup", text(&copy), "--config", config]);
    server.ask(token, &["tam", "policy", "drop", "acme/wallet/suit"]);
    assert_ne!(server.ask(token, &["tam", "registry-digest"]), digest);
    assert!(server.stop(), "SIGTERM ends it well");

    refused(&["tam", "restore", text(&copy), "--config", config], 2, &["is not empty"]);
    std::fs::remove_dir_all(tam.join("data")).unwrap();
    ok(&["tam", "restore", text(&copy), "--config", config]);
    let auditor = ok(&["tam", "token", "add", "--role", "auditor", "--config", config]);
    let auditor = auditor.trim();
    let server = Server::start(config);
    assert_eq!(server.ask(token, &["tam", "registry-digest"]), digest, "the state of the backup");
    assert!(server.ask(auditor, &["tam", "policy", "list"]).contains("acme/wallet/suit"));
    server.refuses(auditor, &["tam", "registry-digest"], "TMK-4002");
}

#[test]
fn wrong_configuration_is_a_sentence() {
    let folder = tempfile::TempDir::new().unwrap();
    let config = folder.path().join("tam.toml");
    refused(&["tam", "serve", "--config", text(&config)], 2, &["TMK-0002", "tam.toml"]);
    let (made, missing) = (folder.path().join("made"), folder.path().join("missing.pem"));
    refused(&["tam", "init", text(&made), "--tee-ca", text(&missing)], 2, &["TMK-0002", "missing.pem"]);
    assert!(!made.exists(), "a mistake makes no TAM");
    std::fs::write(&config, "colour = 1\n").unwrap();
    refused(&["tam", "serve", "--config", text(&config)], 2, &["TMK-0004", "tam.toml:1:", "colour"]);
}

#[test]
fn domains_are_created_shared_and_deleted() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let made: Value = serde_json::from_str(&ok(&["tam", "init", text(&path("tam")), "--json"])).unwrap();
    let (config, token) = (made["config"].as_str().unwrap(), made["operator_token"].as_str().unwrap());
    let server = Server::start(config);
    for name in ["acme", "isv"] {
        let key = path(&format!("{name}.key"));
        ok(&["pki", "key", text(&key)]);
        server.ask(token, &["tam", "provider", "add", name, "--prefix", name, "--signer", text(&key)]);
    }
    let (root, prefix) = (path("root.pem"), path("root"));
    ok(&["pki", "ca", "--role", "developer", text(&prefix)]);
    server.ask(token, &["domain", "create", "acme", "--provider", "acme", "--quota", "4096"]);
    server.refuses(token, &["domain", "create", "acme", "--provider", "acme"], "TMK-4005");
    server.refuses(token, &["domain", "create", "isv", "--provider", "acme"], "TMK-4007");
    let allow = ["domain", "allow", "acme", "--provider", "isv", "--certificate", text(&root)];
    server.ask(token, &allow);
    let shown = server.ask(token, &["domain", "show", "acme"]);
    assert!(shown.contains("of acme") && shown.contains("guests: isv"), "{shown}");
    server.ask(token, &["domain", "disallow", "acme", "--provider", "isv"]);
    server.ask(token, &["domain", "delete", "acme"]);
    assert!(server.ask(token, &["domain", "list"]).contains("DELETED"));
    let listed: Value = serde_json::from_str(&server.ask(token, &["domain", "list", "--json"])).unwrap();
    assert_eq!((&listed[0]["name"], &listed[0]["quota"]), (&"acme".into(), &4096.into()));
}
