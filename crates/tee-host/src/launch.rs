use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tamarack_model::{Code, codes};
use tamarack_tee_sandbox::isolation::{Launch, Launched, spawn};
use tamarack_tee_sandbox::root_secret::RootSecret;

/// Argument by which the TEE is told that a missing sandbox layer is an error.
pub const REQUIRE_SANDBOX: &str = "--require-sandbox";
/// What is added to the name of the fuse file to name the rollback counter beside it.
pub const COUNTER_SUFFIX: &str = ".counter";

/// How to start a device's TEE.
#[derive(Clone, Copy, Debug)]
pub struct LaunchOptions<'a> {
    /// Hidden subcommand of the running program that calls [`crate::main`].
    pub subcommand: &'a str,
    /// The TEE's storage folder, made if it is missing.
    pub folder: &'a Path,
    /// File with the root secret, outside the storage folder (security rule S2).
    pub fuse: &'a Path,
    /// Whether to make the root secret and the counter if the file is missing: for a new device only.
    pub create: bool,
    /// Whether a missing sandbox layer is an error.
    pub require_sandbox: bool,
}

/// Why the TEE was not started.
#[derive(Debug)]
#[non_exhaustive]
pub enum LaunchError {
    /// The root secret, or the counter beside it, cannot be opened or made; which.
    Fuse(PathBuf, io::Error),
    /// The root secret lies in the storage folder, so that one copy takes both.
    FuseInside(PathBuf),
    /// The process cannot be started, or the storage folder not be prepared.
    Spawn(PathBuf, io::Error),
}

impl LaunchError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Fuse(_, error) if error.kind() == io::ErrorKind::NotFound => codes::FILE_UNREADABLE,
            Self::Fuse(..) | Self::Spawn(..) => codes::FILE_UNWRITABLE,
            Self::FuseInside(_) => codes::USAGE,
        }
    }
}

impl std::fmt::Display for LaunchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fuse(path, error) => {
                write!(f, "the root secret {} cannot be used: {error}", path.display())
            }
            Self::FuseInside(path) => {
                write!(f, "the root secret {} must lie outside the device's storage folder", path.display())
            }
            Self::Spawn(folder, error) => {
                write!(f, "the TEE of {} cannot be started: {error}", folder.display())
            }
        }
    }
}

impl std::error::Error for LaunchError {}

/// Starts the TEE: the running program again, behind its walls. The caller keeps [`Launched::channel`]; closing it ends
/// the TEE.
pub fn launch(options: LaunchOptions<'_>) -> Result<Launched, LaunchError> {
    let fuse_error = |path: &Path| {
        let path = path.to_owned();
        move |error| LaunchError::Fuse(path, error)
    };
    if inside(options.fuse, options.folder) {
        return Err(LaunchError::FuseInside(options.fuse.into()));
    }
    if options.create && !options.fuse.exists() {
        RootSecret::create_fuse(options.fuse, &tamarack_crypto_rustcrypto::provider())
            .map_err(fuse_error(options.fuse))?;
    }
    let fuse = File::open(options.fuse).map_err(fuse_error(options.fuse))?;
    let counter_path = counter_path(options.fuse);
    let counter = OpenOptions::new()
        .read(true)
        .write(true)
        .create(options.create)
        .truncate(false)
        .mode(0o600)
        .open(&counter_path)
        .map_err(fuse_error(&counter_path))?;
    let mut args = vec![OsStr::new(options.subcommand)];
    if options.require_sandbox {
        args.push(OsStr::new(REQUIRE_SANDBOX));
    }
    let launch = Launch {
        program: Path::new(Launch::THIS_PROGRAM),
        args: &args,
        folder: options.folder,
        fuse,
        counter: Some(counter),
    };
    spawn(launch).map_err(|error| LaunchError::Spawn(options.folder.into(), error))
}

fn counter_path(fuse: &Path) -> PathBuf {
    let mut path = fuse.as_os_str().to_owned();
    path.push(COUNTER_SUFFIX);
    path.into()
}

/// Whether `file` lies under `folder`, as far as both exist.
fn inside(file: &Path, folder: &Path) -> bool {
    let parent = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (parent.canonicalize(), folder.canonicalize()) {
        (Ok(parent), Ok(folder)) => parent.starts_with(folder),
        _ => false,
    }
}
