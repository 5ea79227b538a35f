//! An app that is installed with what it needs, on a device whose owner has a say: real processes, one command at a time.

mod support;

use std::path::PathBuf;

use serde_json::{Value as Json, json};
use support::{module, run_args};

/// Where nobody answers.
const NOWHERE: &str = "http://127.0.0.1:1/tam";

struct World {
    up: support::World,
    folder: tempfile::TempDir,
}

/// What a command said.
#[derive(Debug)]
struct Said {
    ok: bool,
    out: String,
    err: String,
}

impl Said {
    #[track_caller]
    fn json(&self) -> Json {
        assert!(self.ok, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    #[track_caller]
    fn refused(&self, code: &str) {
        assert!(!self.ok && self.err.contains(&format!("error[{code}]")), "expected {code}: {self:?}");
    }
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { up: support::World::up(folder.path()), folder }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn run(&self, args: &[&str]) -> Said {
        let output = run_args(self.folder.path(), args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { ok: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    fn owner(&self, args: &[&str]) -> Said {
        let more = ["--key", "world/owner.key", "--device", "world/device", "--json"];
        self.run(&[&["owner"], args, &more[..]].concat())
    }

    /// Makes a package with this dependency, and installs it.
    fn install(&self, mut need: Json, bundle: Option<&[u8]>, more: &[&str]) -> Said {
        let app = self.at("app");
        std::fs::create_dir_all(app.join("bin")).unwrap();
        std::fs::write(app.join("bin/hello"), "#!/bin/sh\necho hello\n").unwrap();
        if let Some(bundle) = bundle {
            std::fs::write(app.join("hello.wasm"), bundle).unwrap();
            need["bundle"] = "hello.wasm".into();
        }
        let dependencies = json!({ "name": "hello", "needs": [need] }).to_string();
        std::fs::write(app.join("tamarack.json"), dependencies).unwrap();
        let packed = self.run(&["app", "pack", "app", "hello.tar"]);
        assert!(packed.ok, "{packed:?}");
        let command = ["app", "--device", "world/device", "--json", "install", "hello.tar"];
        self.run(&[&command[..], more].concat())
    }

    fn by_owner(&self) -> Json {
        let token = ["--url", &self.up.url, "--token-file", "world/operator.token", "--json"];
        let devices = self.run(&[&["tam", "devices"], &token[..]].concat()).json();
        devices[0]["by_owner"][0]["state"].clone()
    }
}

#[test]
fn f13_f14_f17_an_app_is_installed_with_what_it_needs_and_the_owner_lets_in() {
    let world = World::new();
    let module = module();
    assert!(world.run(&["ta", "new", "hello"]).ok);
    std::fs::write(world.at("hello/hello.wasm"), &module).unwrap();
    assert!(world.run(&["ta", "pack", "hello/ta.yaml", "--key", "world/developer.key"]).ok);
    let yaml = std::fs::read_to_string(world.at("hello/ta.yaml")).unwrap();
    let uuid = yaml.lines().find_map(|line| line.strip_prefix("uuid:")).unwrap().trim();
    let ta = format!("com.example/{uuid}/ta");
    let need = |minimum: u64, tam: &str| json!({ "ta": ta, "minimum_sequence": minimum, "tams": [tam] });
    let tam = format!("{}/tam", world.up.url);

    // What is wrong with the command line is found before anything is asked.
    let usage = |args: &[&str], says: &str| {
        let said = world.run(args);
        assert!(said.err.contains("error[TMK-00") && said.err.contains(says), "{said:?}");
    };
    usage(&["owner", "deny", "--tam", "", "--key", "world/owner.key", "--device", "world/device"], "--tam");
    usage(&["owner", "key", "world/owner.key"], "exists already");
    usage(&["app", "--device", "world/device", "install", "missing.tar"], "missing.tar");
    usage(&["app", "pack", "missing", "x.tar"], "cannot read missing");
    usage(&["panel", "world/dev.json"], "is no socket");

    // Nobody grants it yet, with or without the bytes at hand; and nobody is reached elsewhere.
    world.install(need(1, &tam), None, &[]).refused("TMK-5025");
    world.install(need(1, &tam), Some(&module), &[]).refused("TMK-5025");
    world.install(need(1, NOWHERE), None, &[]).refused("TMK-1403");

    let publish =
        ["ta", "publish", "hello/hello.suit", "--url", &world.up.url, "--token-file", "world/operator.token"];
    let published = world.run(&[&publish[..], &["--provider", "dev"]].concat());
    assert!(published.ok, "{published:?}");
    world.install(need(9, &tam), None, &[]).refused("TMK-5025");
    let mut altered = module.clone();
    *altered.last_mut().unwrap() ^= 1;
    world.install(need(1, &tam), Some(&altered), &[]).refused("TMK-5026");

    // The owner wants to be asked.
    world.owner(&["consent", "--component", "*"]).json();
    let waits = world.install(need(1, &tam), Some(&module), &["--into", "installed"]).json();
    assert_eq!((&waits["ready"], &waits["needs"][0]["state"]), (&json!(false), &json!("DEFERRED")));
    assert!(!world.at("installed").exists(), "the app is not there before its TA is");
    assert_eq!(world.owner(&["show"]).json()["pending"][0]["state"], "pending");
    assert_eq!(world.by_owner(), "deferred");
    world.owner(&["approve", &ta]).json();
    let ready = world.install(need(1, &tam), Some(&module), &["--into", "installed"]).json();
    assert_eq!((&ready["ready"], &ready["needs"][0]["state"]), (&json!(true), &json!("INSTALLED")));
    assert_eq!(std::fs::read(world.at("installed/hello.wasm")).unwrap(), module);

    // The second start needs no network.
    let again = world.install(need(1, NOWHERE), None, &[]).json();
    assert_eq!(again["ready"], true);

    // The owner changes its mind.
    world.owner(&["deny", "--provider", "com.example"]).json();
    world.install(need(1, &tam), None, &[]).refused("TMK-5020");
    let invoked = world.run(&["app", "--device", "world/device", "invoke", &ta, "0"]);
    invoked.refused("TMK-5020");
    assert!(world.run(&["app", "--device", "world/device", "policy-check"]).ok);
    assert_eq!(world.by_owner(), "refused by owner");
    world.owner(&["forget", "--provider", "com.example"]).json();
    assert_eq!(world.install(need(1, NOWHERE), None, &[]).json()["ready"], true);

    // Another key is no owner's, and what another device says is not believed.
    assert!(world.run(&["owner", "key", "other.key"]).ok);
    let other = ["owner", "deny", "--tam", "*", "--key", "other.key", "--device", "world/device"];
    world.run(&other).refused("TMK-5022");
    let before = world.owner(&["show"]).json()["rules"].clone();
    let known = std::fs::read_to_string(world.at("world/owner.key.devices")).unwrap();
    let digit = if known.trim_end().ends_with('0') { '1' } else { '0' };
    let forged = format!("{}{digit}\n", &known.trim_end()[..known.trim_end().len() - 1]);
    std::fs::write(world.at("world/owner.key.devices"), forged).unwrap();
    let unsure = world.owner(&["show"]);
    assert!(!unsure.ok, "{unsure:?}");
    // A list of devices that cannot be read is not an empty one: nothing is ordered, and nobody is believed anew.
    std::fs::write(world.at("world/owner.key.devices"), [0xff]).unwrap();
    world.owner(&["consent", "--component", "*"]).refused("TMK-0004");
    std::fs::write(world.at("world/owner.key.devices"), known).unwrap();
    let rules = world.owner(&["show"]).json()["rules"].clone();
    assert_eq!(rules, before);
}
