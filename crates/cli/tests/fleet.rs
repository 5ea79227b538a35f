//! An update of a fleet as an operator sees it: first a few devices, then all; one of them fails, is seen to, and catches up.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use support::{Running, ok, run};

const DEVICES: [&str; 4] = ["d1", "d2", "d3", "d4"];

/// What the operator reads of one device.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    /// Sequence number that it reports.
    reported: Option<u64>,
    /// Sequence number that it proved.
    attested: Option<u64>,
    /// How its last exchange ended, and the code.
    outcome: (String, Option<String>),
}

struct Fleet {
    scratch: tempfile::TempDir,
    _tam: Running,
    _devices: Vec<Running>,
    /// Device ids by name.
    ids: BTreeMap<&'static str, String>,
    /// How commands reach the TAM.
    to: String,
    manifest: String,
}

impl Fleet {
    /// A TAM, devices with a device authority, and the first version of a TA that all of them should have.
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let at = scratch.path();
        for authority in ["tee", "tam"] {
            ok(at, &format!("pki ca --role {authority} {authority}-ca"));
        }
        for key in ["acme", "authority"] {
            ok(at, &format!("pki key {key}.key"));
            std::fs::write(at.join(format!("{key}.pub")), ok(at, &format!("pki public {key}.key"))).unwrap();
        }
        let token = ok(
            at,
            "tam init tam --listen 127.0.0.1:0 --ca tam-ca --uri https://tam.example/tam --tee-ca tee-ca.pem=software \
             --minimum none",
        );
        std::fs::write(at.join("token"), token).unwrap();
        let tam = Running::start(at, "tam serve --config tam/tam.toml");
        let url = tam.ready["url"].as_str().unwrap().to_string();
        let to = format!("--url {url} --token-file token");
        ok(at, "ta new hello");
        let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/ta/built/template-c.wasm");
        std::fs::copy(built, at.join("hello/hello.wasm")).unwrap();
        let yaml = std::fs::read_to_string(at.join("hello/ta.yaml")).unwrap();
        let domain = yaml.lines().find_map(|line| line.strip_prefix("domain: ")).expect("a domain");
        let domain = domain.split_whitespace().next().unwrap();
        ok(at, &format!("tam provider add acme --prefix {domain} --signer acme.pub {to}"));
        let (mut ids, mut devices) = (BTreeMap::new(), Vec::new());
        for name in DEVICES {
            ok(
                at,
                &format!(
                    "agent init {name} --fuse fuse-{name} --tam-anchor tam-ca.pem=https://tam.example/tam \
                     --signer-anchor acme.pub:{domain}@acme --tam-uri {url}/tam --authority authority.pub"
                ),
            );
            let csr = format!("--csr {name}/device.csr --uri urn:x-test:{name} --out {name}.pem");
            ok(at, &format!("pki issue --ca tee-ca {csr}"));
            let certified = support::json(at, &format!("agent certify {name} --cert {name}.pem --json"));
            ids.insert(name, certified["device"].as_str().unwrap().to_string());
            let device = Running::start(at, &format!("agent run {name}"));
            devices.push(device);
        }
        let mut fleet = Self { scratch, _tam: tam, _devices: devices, ids, to, manifest: String::new() };
        fleet.manifest = fleet.publish(1);
        fleet.tam("tam policy want", &fleet.manifest);
        fleet
    }

    fn at(&self) -> &Path {
        self.scratch.path()
    }

    #[track_caller]
    fn tam(&self, command: &str, more: &str) -> String {
        ok(self.at(), &format!("{command} {more} {}", self.to))
    }

    #[track_caller]
    fn rest(&self, command: &str) -> Vec<Value> {
        serde_json::from_str(&self.tam(command, "--json")).unwrap()
    }

    /// Publishes the TA with this sequence number; gives its manifest's name.
    fn publish(&self, sequence: u64) -> String {
        let file = self.at().join("hello/ta.yaml");
        let yaml = std::fs::read_to_string(&file).unwrap();
        let lines = yaml.lines().map(|line| match line.starts_with("sequence: ") {
            true => format!("sequence: {sequence}\n"),
            false => format!("{line}\n"),
        });
        std::fs::write(&file, lines.collect::<String>()).unwrap();
        ok(self.at(), "ta pack hello/ta.yaml --out hello.suit --key acme.key");
        let published = self.tam("ta publish hello.suit", "--provider acme");
        published.split_whitespace().nth(1).unwrap().to_string()
    }

    /// The device asks its TAM; the code of what came of it, if that is not success.
    fn check(&self, name: &str) -> Option<String> {
        let output = run(self.at(), &format!("app --device {name} policy-check"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = said.split_once("error[").and_then(|(_, rest)| rest.split_once(']'));
        assert_eq!(output.status.success(), code.is_none(), "{name}: {said}");
        code.map(|(code, _)| code.to_string())
    }

    fn order(&self, name: &str, state: &str) {
        ok(self.at(), &format!("agent order {name} --key authority.key --provider acme --state {state}"));
    }

    /// Over REST, and over what the commands print for people, which must say the same.
    fn seen(&self) -> BTreeMap<&'static str, Seen> {
        let published: BTreeMap<String, u64> = self
            .rest("tam components")
            .iter()
            .map(|row| (row["digest"].as_str().unwrap().to_string(), row["sequence"].as_u64().unwrap()))
            .collect();
        let (devices, sessions) = (self.rest("tam devices"), self.rest("tam sessions"));
        let (printed, ended) = (self.tam("tam devices", ""), self.tam("tam sessions", ""));
        let mut seen = BTreeMap::new();
        for (name, id) in &self.ids {
            let Some(row) = devices.iter().find(|row| row["id"] == **id) else { continue };
            let held = |proof: &str| {
                let entries = row[proof]["components"].as_array()?;
                let manifest = entries.iter().find(|entry| entry["id"] == *self.manifest)?;
                published.get(manifest["digest"].as_str()?).copied()
            };
            let last = sessions.iter().find(|row| row["device"] == **id).expect("the latest comes first");
            let text = |value: &Value| value.as_str().map(str::to_string);
            let outcome = (text(&last["outcome"]).unwrap(), text(&last["code"]));
            // People see the same.
            let line = printed.lines().find(|line| line.starts_with(id.as_str())).unwrap();
            let proved = if row["attested"].is_null() { "proved -" } else { "attested" };
            assert!(line.contains("reports ") && line.contains(proved), "{line}");
            let line = ended.lines().find(|line| line.contains(&id[..16])).unwrap();
            let code = outcome.1.as_deref().unwrap_or("-");
            assert!(line.contains(&outcome.0) && line.contains(code), "{line}: {outcome:?}");
            seen.insert(*name, Seen { reported: held("reported"), attested: held("attested"), outcome });
        }
        seen
    }

    #[track_caller]
    fn expect(&self, rows: [(u64, &str, Option<&str>); 4]) {
        let seen = self.seen();
        for (name, (sequence, outcome, code)) in DEVICES.into_iter().zip(rows) {
            let seen = &seen[name];
            assert_eq!(seen.outcome, (outcome.to_string(), code.map(str::to_string)), "{name}: {seen:?}");
            assert_eq!(seen.reported.or(seen.attested), Some(sequence), "{name}: {seen:?}");
        }
    }
}

/// Row F22 of the capabilities: how do I update my apps, and where has it come to?
#[test]
fn f22_an_update_goes_in_stages_and_a_device_that_fails_catches_up() {
    let fleet = Fleet::new();
    assert!(fleet.seen().is_empty(), "no device has shown itself");
    for name in DEVICES {
        assert_eq!(fleet.check(name), None);
    }
    fleet.expect([(1, "updated", None); 4]);

    // The second version goes to one device first: by its id, as a share of a large fleet would.
    fleet.publish(2);
    let id = &fleet.ids["d1"];
    let stage = format!("!ta.update || ta.sequence < 2 || device.id.startsWith('{}')\n", &id[..8]);
    std::fs::write(fleet.at().join("stage.cel"), stage).unwrap();
    fleet.tam("policy set stage.cel", "");
    let waits = ("refused", Some("TMK-4026"));
    for (name, code) in [("d1", None), ("d2", waits.1), ("d3", waits.1)] {
        assert_eq!(fleet.check(name).as_deref(), code, "{name}");
    }
    fleet.expect([(2, "updated", None), (1, waits.0, waits.1), (1, waits.0, waits.1), (1, "updated", None)]);
    let shown: Value = serde_json::from_str(&fleet.tam("tam device", &fleet.ids["d2"])).unwrap();
    assert_eq!(
        (&shown["release"]["withheld"][0]["sequence"], &shown["release"]["withheld"][0]["code"]),
        (&2.into(), &"TMK-4026".into())
    );

    // Then to all. The second device takes nothing of this provider any more; the others go on.
    fleet.tam("policy clear", "");
    fleet.order("d2", "load-only");
    let failed = fleet.check("d2").expect("a failure");
    assert_eq!((fleet.check("d3"), fleet.check("d4")), (None, None));
    let fails = ("failed", Some(failed.as_str()));
    fleet.expect([(2, "updated", None), (1, fails.0, fails.1), (2, "updated", None), (2, "updated", None)]);
    let ta = fleet.manifest.replace("/suit", "/ta");
    assert!(ok(fleet.at(), "app --device d2 list").contains(&ta), "the old version runs on");

    // Trying again does not help yet, and harms nobody.
    assert_eq!(fleet.check("d2").as_deref(), Some(failed.as_str()));
    assert_eq!(fleet.check("d1"), None);
    fleet.expect([
        (2, "nothing-to-do", None),
        (1, fails.0, fails.1),
        (2, "updated", None),
        (2, "updated", None),
    ]);

    // Seen to, the device catches up at its next policy check, without anything being done at the TAM.
    fleet.order("d2", "active");
    assert_eq!(fleet.check("d2"), None);
    fleet.expect([
        (2, "nothing-to-do", None),
        (2, "updated", None),
        (2, "updated", None),
        (2, "updated", None),
    ]);
    for name in DEVICES {
        assert_eq!(fleet.check(name), None);
    }
    fleet.expect([(2, "nothing-to-do", None); 4]);
    assert!(fleet.seen().values().all(|seen| seen.attested == Some(2)), "all have proved it");
}
