//! The smoke run of the fuzz targets in `fuzz/`. They are built directly, with the instrumentation that `cargo fuzz` would
//! ask the compiler for, so that no tool but a C++ compiler (for libFuzzer itself) is needed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

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
    // Two at a time: each target is one thread, and two cores are what can be counted on.
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            run(&binaries, target)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let here = work();
        match other.join() {
            Ok(there) => here.and(there),
            Err(_) => bail!("a thread of the smoke run ended abnormally"),
        }
    })?;
    println!("{} fuzz targets ran without a finding", targets.len());
    Ok(())
}

/// Runs one target for a while.
fn run(binaries: &Path, target: &str) -> Result<()> {
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
    sh(&mut run).with_context(|| format!("{target} found something: see {}", artifacts.display()))
}

/// Builds all targets and gives the folder with their binaries.
fn build() -> Result<PathBuf> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc).arg("-vV").output().context("cannot start rustc")?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    let folder = root().join("fuzz/target");
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
