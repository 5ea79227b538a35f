//! Automation of this repository: `cargo xtask TASK`.
//!
//! The rules that hold for the tree (layers, documents, tables) are tests of this package, so that `cargo test` checks
//! them; what needs tools or runs programs is a task.
#![forbid(unsafe_code)]

mod blocks;
mod fuzz;
mod licences;
mod no_std;
#[cfg(test)]
mod tidy;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A task: its name, what it does, and how.
type Task = (&'static str, &'static str, fn() -> Result<()>);

const TASKS: &[Task] = &[
    ("blocks", "run the command blocks of README.md and docs/", blocks::run),
    ("fuzz-smoke", "run every fuzz target for a few seconds", fuzz::smoke),
    ("licences", "check the dependency graph against deny.toml, offline", licences::run),
    ("no-std", "build the wire crates and engines for thumbv7em and run them in an emulator", no_std::run),
];

fn main() -> Result<()> {
    let name = std::env::args().nth(1).unwrap_or_default();
    match TASKS.iter().find(|task| task.0 == name) {
        Some(task) => task.2(),
        None => {
            let list: Vec<String> =
                TASKS.iter().map(|(name, what, _)| format!("  {name:<12} {what}")).collect();
            bail!("usage: cargo xtask TASK\n{}", list.join("\n"))
        }
    }
}

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Runs a command in the workspace root and fails if it does.
fn sh(command: &mut Command) -> Result<()> {
    let status = command.current_dir(root()).status().with_context(|| format!("cannot start {command:?}"))?;
    if status.success() { Ok(()) } else { bail!("{command:?} ended with {status}") }
}

/// Whether a program is on the path.
fn have(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program} >/dev/null 2>&1")]).status();
    found.is_ok_and(|status| status.success())
}

/// Installs Debian packages, saying so.
fn install(packages: &[&str]) -> Result<()> {
    println!("installing with apt-get: {}", packages.join(" "));
    let sudo = if have("sudo") { "sudo " } else { "" };
    let install = format!("{sudo}apt-get install -y -q -o DPkg::Lock::Timeout=300 {}", packages.join(" "));
    sh(Command::new("sh").args(["-ec", &format!("{sudo}apt-get update -q; {install} || {install}")]))
}
