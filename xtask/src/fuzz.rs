//! The smoke run of the fuzz targets in `fuzz/`.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{have, root, sh};

/// Seconds per target.
const SECONDS: u32 = 5;

pub fn smoke() -> Result<()> {
    if !have("cargo-fuzz") {
        println!("installing cargo-fuzz from the crate registry");
        sh(Command::new("cargo").args(["install", "--locked", "cargo-fuzz"]))?;
    }
    let mut targets: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        targets.extend(entry?.path().file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    targets.sort();
    if targets.is_empty() {
        bail!("there are no fuzz targets");
    }
    for target in &targets {
        println!("fuzz {target} for {SECONDS} s");
        // The instrumentation is unstable in name only: the flag makes the pinned stable compiler accept it.
        let seconds = format!("-max_total_time={SECONDS}");
        sh(Command::new("cargo").env("RUSTC_BOOTSTRAP", "1").args([
            "fuzz",
            "run",
            "--sanitizer",
            "none",
            target,
            "--",
            &seconds,
            "-max_len=4096",
            "-verbosity=0",
        ]))?;
    }
    println!("{} fuzz targets ran without a finding", targets.len());
    Ok(())
}
