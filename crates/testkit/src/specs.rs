//! Where the public specifications with their vectors and CDDL lie. They are read in place and never copied.

use std::path::{Path, PathBuf};

/// The folder of specifications: the environment variable `TAMARACK_SPECS`, else `../shared/specs` beside the workspace.
///
/// Without it a test cannot run: `None`, after a line `skipped: ...` on standard output.
///
/// # Panics
/// With `CI=true` in the environment, so that continuous integration never skips in silence.
pub fn specs_dir() -> Option<PathBuf> {
    let dir = match std::env::var_os("TAMARACK_SPECS") {
        Some(dir) => PathBuf::from(dir),
        None => workspace_root().join("../shared/specs"),
    };
    if dir.is_dir() {
        return Some(dir);
    }
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!in_ci, "the specifications are required in CI but missing: {}", dir.display());
    println!("skipped: no specifications at {} (set TAMARACK_SPECS)", dir.display());
    None
}

/// The folder with the OTrP draft and its samples: `../otrp` beside [`specs_dir`], on the same terms.
///
/// # Panics
/// With `CI=true` in the environment, so that continuous integration never skips in silence.
pub fn otrp_dir() -> Option<PathBuf> {
    let dir = specs_dir()?.join("../otrp");
    if dir.is_dir() {
        return Some(dir);
    }
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!in_ci, "the OTrP samples are required in CI but missing: {}", dir.display());
    println!("skipped: no OTrP samples at {}", dir.display());
    None
}

/// The root of this workspace.
pub fn workspace_root() -> &'static Path {
    // This crate lies two levels below the root.
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
