//! The smoke run of the fuzz targets in `fuzz/`. They are built directly, with the instrumentation that `cargo fuzz` would
//! ask the compiler for, so that no tool but a C++ compiler (for libFuzzer itself) is needed.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{have, install, root, sh};

/// Seconds per target.
const SECONDS: u32 = 5;

/// Coverage counters, traced comparisons, and one name for every address.
const RUSTFLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

pub fn smoke() -> Result<()> {
    if !have("c++") {
        install(&["g++"])?;
    }
    let mut targets: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        targets.extend(entry?.path().file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    targets.sort();
    if targets.is_empty() {
        bail!("there are no fuzz targets");
    }
    let binaries = build()?;
    for target in &targets {
        println!("fuzz {target} for {SECONDS} s");
        // Both are ignored by git: what a target learnt is kept for the next run, and a finding stays to be looked at.
        let corpus = root().join("fuzz/corpus").join(target);
        let artifacts = root().join("fuzz/artifacts").join(target);
        for folder in [&corpus, &artifacts] {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let mut run = Command::new(binaries.join(target));
        run.env("TAMARACK_FUZZ_SEEDS", &corpus)
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .arg(format!("-max_total_time={SECONDS}"))
            .args(["-timeout=10", "-rss_limit_mb=1024", "-verbosity=0", "-print_final_stats=1"])
            .arg(&corpus);
        sh(&mut run).with_context(|| format!("{target} found something: see {}", artifacts.display()))?;
    }
    println!("{} fuzz targets ran without a finding", targets.len());
    Ok(())
}

/// Builds all targets and gives the folder with their binaries.
fn build() -> Result<PathBuf> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc).arg("-vV").output().context("cannot start rustc")?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    let folder = root().join("fuzz/target");
    // Not --locked: when a crate of the main workspace takes in another dependency, that is no finding.
    // A target triple keeps the instrumentation away from build scripts and macros, which are not linked with libFuzzer.
    sh(Command::new("cargo")
        .args([
            "build",
            "--release",
            "--locked",
            "--bins",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--target",
            host,
        ])
        .env("CARGO_TARGET_DIR", &folder)
        .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\u{1f}")))?;
    Ok(folder.join(host).join("release"))
}
