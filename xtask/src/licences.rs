//! Checks the dependency graph against `deny.toml` without the network: every licence is on the list, no banned crate is
//! in the graph, everything comes from the registry. `cargo deny check` does the same and more where it is installed.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

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

    let output = Command::new("cargo")
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(root())
        .output()?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("packages")?;
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().unwrap_or("none");
        if !is_allowed(licence, &allowed) {
            wrong.push(format!("{name}: licence {licence} is not on the list of deny.toml"));
        }
        if banned.contains(name) {
            wrong.push(format!("{name} is banned by deny.toml"));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|source| !source.starts_with("registry+") && !source.starts_with("sparse+")) {
            wrong.push(format!("{name} does not come from the registry"));
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
