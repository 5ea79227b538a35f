//! Checks the dependency graph against `deny.toml` without the network: every licence is on the list, no banned crate is
//! in the graph, everything comes from the registry. `cargo deny check` does the same and more where it is installed.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::root;

pub fn run() -> Result<()> {
    let policy: toml::Table = std::fs::read_to_string(root().join("deny.toml"))?.parse()?;
    let allowed: BTreeSet<&str> = strings(&policy["licenses"]["allow"]);
    let banned: BTreeSet<&str> = policy["bans"]["deny"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| row["name"].as_str())
        .collect();

    // The tree, not the metadata: that also lists packages behind features that nothing turns on.
    let output = Command::new("cargo")
        .args(["tree", "--workspace", "--locked", "--edges", "normal,build,dev", "--prefix", "none"])
        .args(["--format", "{p}|{l}"])
        .current_dir(root())
        .output()?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    let packages: BTreeSet<&str> =
        text.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect();
    let here = root().display().to_string();
    let mut wrong = Vec::new();
    for package in &packages {
        let (package, licence) = package.split_once('|').context("a line of cargo tree")?;
        let name = package.split(' ').next().unwrap_or_default();
        if !is_allowed(licence, &allowed) {
            wrong.push(format!("{name}: licence '{licence}' is not on the list of deny.toml"));
        }
        if banned.contains(name) {
            wrong.push(format!("{name} is banned by deny.toml"));
        }
        // What does not come from the registry names its folder or repository in brackets.
        let origin = package.rsplit_once('(').map(|(_, origin)| origin.trim_end_matches(')'));
        if origin.is_some_and(|origin| origin != "proc-macro" && origin != "*" && !origin.starts_with(&here))
        {
            wrong.push(format!("{package} does not come from the registry"));
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    println!(
        "{} packages: licences allowed, none banned, all from the registry or this repository",
        packages.len()
    );
    Ok(())
}

fn strings(value: &toml::Value) -> BTreeSet<&str> {
    value.as_array().into_iter().flatten().filter_map(toml::Value::as_str).collect()
}

/// SPDX expressions as crates write them: alternatives of conjunctions, `/` as an old form of OR, parentheses around
/// alternatives.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let flat = expression.replace('/', " OR ");
    // (A OR B) AND C: every conjunct must have an allowed alternative.
    flat.split(" AND ").all(|conjunct| {
        conjunct.split(" OR ").any(|licence| allowed.contains(licence.trim_matches(['(', ')', ' ']).trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read() {
        let allowed = BTreeSet::from(["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]);
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("MIT OR GPL-3.0", true),
            ("MIT/GPL-3.0", true),
            ("ISC AND (MIT OR GPL-3.0)", true),
            ("ISC AND GPL-3.0", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("none", false),
        ] {
            assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
        }
    }
}
