//! Rules that hold for the whole tree.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Base,
    Wire,
    Port,
    Engine,
    Adapter,
    Program,
}
use Layer::*;

/// Where every crate stands. A new crate is a row here.
const LAYERS: &[(&str, Layer)] = &[
    ("model", Base),
    ("crypto", Base),
    ("cbor", Base),
    ("cose", Wire),
    ("channel", Port),
    ("corim", Wire),
    ("eat", Wire),
    ("jose", Wire),
    ("otrp", Wire),
    ("owner", Wire),
    ("suit", Wire),
    ("teep", Wire),
    ("x509", Wire),
    ("attest", Port),
    ("store", Port),
    ("tee", Port),
    ("agent", Engine),
    ("tam", Engine),
    ("crypto-aws-lc", Adapter),
    ("crypto-rustcrypto", Adapter),
    ("policy-cel", Adapter),
    ("store-sqlite", Adapter),
    ("tee-sandbox", Adapter),
    ("tee-tpm", Adapter),
    ("broker", Program),
    ("cli", Program),
    ("pki", Program),
    ("service", Program),
    ("tam-server", Program),
    ("tee-host", Program),
    ("testkit", Program),
    ("verifier", Program),
];

/// Whether a crate of layer `from` may depend on one of layer `to`. Engines and adapters never see each other.
fn allowed(from: Layer, to: Layer) -> bool {
    match from {
        Base => to == Base,
        Wire => matches!(to, Base | Wire),
        Port => matches!(to, Base | Wire | Port),
        Engine | Adapter => matches!(to, Base | Wire | Port),
        Program => true,
    }
}

fn layer(name: &str) -> Layer {
    LAYERS.iter().find(|row| row.0 == name).unwrap_or_else(|| panic!("crate {name} has no row in LAYERS")).1
}

fn crates() -> Vec<String> {
    let entries = fs::read_dir(root().join("crates")).expect("crates/");
    let mut names: Vec<String> =
        entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn manifest(name: &str) -> toml::Table {
    let path = root().join("crates").join(name).join("Cargo.toml");
    fs::read_to_string(&path).expect("Cargo.toml").parse().expect("Cargo.toml parses")
}

#[test]
fn dependencies_point_downwards() {
    let mut wrong = Vec::new();
    for name in crates() {
        let table = manifest(&name);
        let dependencies = table.get("dependencies").and_then(|d| d.as_table()).cloned().unwrap_or_default();
        for dependency in dependencies.keys().filter_map(|d| d.strip_prefix("tamarack-")) {
            if !allowed(layer(&name), layer(dependency)) {
                wrong.push(format!("{name} -> {dependency}"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point upwards or sideways: {wrong:?}");
    for (name, _) in LAYERS {
        assert!(crates().iter().any(|c| c == name), "LAYERS has a row for {name}, which does not exist");
    }
}

#[test]
fn inner_layers_are_no_std_and_unsafe_stays_in_the_sandbox() {
    for (name, layer) in LAYERS {
        let main = ["src/lib.rs", "src/main.rs"].map(|file| root().join("crates").join(name).join(file));
        let text = main.iter().find_map(|path| fs::read_to_string(path).ok()).expect("lib.rs or main.rs");
        if matches!(layer, Base | Wire | Port | Engine) {
            assert!(text.contains("#![no_std]"), "{name} must be no_std");
        }
        if *name != "tee-sandbox" {
            assert!(text.contains("#![forbid(unsafe_code)]"), "{name} must forbid unsafe code");
        }
    }
}

#[test]
fn only_programs_use_anyhow() {
    for (name, layer) in LAYERS.iter().filter(|row| row.1 != Program) {
        assert!(!manifest(name).to_string().contains("anyhow"), "{name} ({layer:?}) uses anyhow");
    }
}

#[test]
fn every_file_of_an_open_set_has_a_row_in_its_table() {
    // folder of one file per member, and the file that has the table
    for (folder, table) in [
        ("crates/suit/src/command", "crates/suit/src/command/mod.rs"),
        ("crates/attest/src/format", "crates/attest/src/format/mod.rs"),
        ("crates/cli/src/cmd", "crates/cli/src/cmd/mod.rs"),
    ] {
        let text = fs::read_to_string(root().join(table)).unwrap_or_else(|e| panic!("{table}: {e}"));
        for entry in fs::read_dir(root().join(folder)).expect("folder") {
            let path = entry.expect("entry").path();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if matches!(stem.as_str(), "mod" | "tests") {
                continue;
            }
            let rows = text.matches(&format!("{stem}::")).count();
            assert!(rows > 0, "{folder}/{stem}.rs has no row in the table of {table}");
        }
    }
}

/// All files that git would commit, as (path below the root, content).
fn sources(extensions: &[&str]) -> BTreeMap<PathBuf, String> {
    fn walk(folder: &Path, extensions: &[&str], files: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(folder).expect("folder") {
            let path = entry.expect("entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "corpus" {
                walk(&path, extensions, files);
            } else if path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
                files.insert(path.clone(), fs::read_to_string(&path).unwrap_or_default());
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(&root(), extensions, &mut files);
    files
}

#[test]
fn nothing_unfinished_is_left_in_the_sources() {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("dbg", "!("),
    ];
    let mut found = Vec::new();
    for (path, text) in sources(&["rs", "py", "sh", "c", "h"]) {
        for word in words.iter().filter(|word| text.contains(**word)) {
            found.push(format!("{}: {word}", path.display()));
        }
    }
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn tests_that_documents_name_exist() {
    let all: String = sources(&["rs", "py"]).into_values().collect();
    let mut missing = Vec::new();
    let mut named = 0;
    for entry in fs::read_dir(root().join("docs/conformance")).expect("docs/conformance") {
        let path = entry.expect("entry").path();
        let text = fs::read_to_string(&path).expect("document");
        for word in text.split('`').skip(1).step_by(2).filter_map(|word| word.strip_prefix("test:")) {
            named += 1;
            if !all.contains(&format!("fn {word}(")) {
                missing.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "tests named in documents that do not exist: {missing:?}");
    assert!(named > 0, "the conformance documents name no test");
}

/// A test's name as a function, or a demo step's id as a text in the sources of the demo.
fn is_proof(kind: &str, name: &str, all: &str, demo: &str) -> bool {
    match kind {
        "test" => all.contains(&format!("fn {name}(")),
        _ => demo.contains(&format!("\"{name}\"")),
    }
}

#[test]
fn every_capability_has_a_row_with_a_state_and_proofs_that_exist() {
    let text = fs::read_to_string(root().join("docs/capabilities.md")).expect("docs/capabilities.md");
    let all: String = sources(&["rs", "py"]).into_values().collect();
    let steps = root().join("crates/cli/src/cmd/demo/steps");
    let demo: String = sources(&["rs"])
        .into_iter()
        .filter(|(path, _)| path.starts_with(&steps))
        .map(|(_, text)| text)
        .collect();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| F"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let expected: Vec<String> = (1..=36).chain(49..=52).map(|n| format!("F{n:02}")).collect();
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), expected);
    let mut wrong = Vec::new();
    for row in &rows {
        assert_eq!(row.len(), 4, "{row:?}");
        let state = row[2].split([',', ';', ':', ' ']).next().unwrap_or_default();
        let proofs: Vec<&str> = row[3].split('`').skip(1).step_by(2).collect();
        match state {
            "works" | "partly" if proofs.is_empty() && !row[3].contains("](") => {
                wrong.push(format!("{}: no proof", row[0]))
            }
            "works" | "not" => {}
            "partly" if row[2].len() > "partly:".len() => {}
            _ => wrong.push(format!("{}: state '{}'", row[0], row[2])),
        }
        for proof in proofs {
            if let Some((kind @ ("test" | "demo"), name)) = proof.split_once(':')
                && !is_proof(kind, name, &all, &demo)
            {
                wrong.push(format!("{}: {proof} does not exist", row[0]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
