//! Builds the inner layers for a Cortex-M4 without std, links them, runs them in an emulator and measures their text.
//!
//! The pinned toolchain has no core library for that target, so Debian's compiler and library sources are used; on a
//! machine with rustup, `rustup target add thumbv7em-none-eabihf` would do as well.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{have, install, root, sh};

const CARGO: &str = "/usr/bin/cargo";
const RUSTC: &str = "/usr/bin/rustc";
const LIBRARY: &str = "/usr/lib/rustlib/src/rust/library";
const BINARY: &str = "thumbv7em-none-eabihf/release/tamarack-thumbv7em";
/// Text and read-only data of the program, in bytes, when it was last measured.
const MEASURED: u64 = 303_860;
/// It may have one part in so many more, for what a change of compiler or library brings; what grows beyond that is looked
/// at, and measured anew here.
const LEEWAY: u64 = 50;

pub fn run() -> Result<()> {
    if ![CARGO, RUSTC, LIBRARY].iter().all(|path| Path::new(path).exists()) {
        install(&["rustc-web", "cargo-web", "rust-web-src"])?;
    }
    if !have("ld.lld") {
        install(&["lld"])?;
    }
    if !have("qemu-system-arm") {
        install(&["--no-install-recommends", "qemu-system-arm"])?;
    }
    let target = root().join("target/thumbv7em");
    let mut build = Command::new(CARGO);
    // What is measured is its own profile, whatever profile the caller wants for other builds.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PROFILE_") {
            build.env_remove(name);
        }
    }
    sh(build
        .arg("--config=platforms/thumbv7em/.cargo/config.toml")
        .args([
            "build",
            "-Zbuild-std=core,alloc",
            "--release",
            "--locked",
            "--manifest-path",
            "platforms/thumbv7em/Cargo.toml",
        ])
        .env("PATH", "/usr/bin:/bin")
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("CARGO_TARGET_DIR", &target))?;
    let binary = target.join(BINARY);
    sh(Command::new("qemu-system-arm")
        .args(["-M", "mps2-an386", "-cpu", "cortex-m4", "-nographic"])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(&binary))?;
    let size = Command::new("size").arg(&binary).output().context("size, from binutils")?;
    let report = String::from_utf8_lossy(&size.stdout).into_owned();
    let text = report.lines().nth(1).and_then(|line| line.split_whitespace().next());
    let Some(text) = text.and_then(|text| text.parse::<u64>().ok()) else {
        bail!("cannot read the output of size: {report}")
    };
    let most = MEASURED + MEASURED / LEEWAY;
    println!("thumbv7em: text + rodata {text} bytes, at most {most}");
    if text > most {
        bail!(
            "the bare-metal program has grown: {text} bytes instead of {MEASURED}, see xtask/src/no_std.rs"
        );
    }
    Ok(())
}
