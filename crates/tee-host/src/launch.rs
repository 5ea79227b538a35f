use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tamarack_crypto::KeyType;
use tamarack_model::{Code, codes};
use tamarack_tee_sandbox::isolation::{Launch, Launched, spawn};
use tamarack_tee_sandbox::root_secret::RootSecret;
use tamarack_tee_tpm::{Address, Pcrs};

use crate::configuration::{Configuration, RootKind};
use crate::launcher::arguments;

/// What is added to the name of the fuse file to name the rollback counter beside it.
pub const COUNTER_SUFFIX: &str = ".counter";

/// How to start a device's TEE.
#[derive(Clone, Copy, Debug)]
pub struct LaunchOptions<'a> {
    /// The TEE's storage folder, made if it is missing.
    pub folder: &'a Path,
    /// The root of trust.
    pub root: Root<'a>,
    /// Kind of the attestation keys, as the device was made with; a root that has its own kind passes over it.
    pub key_type: KeyType,
    /// The Agent's program; None for the running one.
    pub agent: Option<&'a Path>,
    /// The device's panel, if it has one.
    pub panel: Option<PanelAt<'a>>,
    /// Whether to make a root secret and a counter where there are none: for a new device only.
    pub create: bool,
    /// Whether a missing sandbox layer is an error.
    pub require_sandbox: bool,
}

/// Where a panel listens.
#[derive(Clone, Copy, Debug)]
pub struct PanelAt<'a> {
    /// Its socket.
    pub socket: &'a Path,
    /// The user that the Broker and normal apps are, who is not to be at it. Where the TEE gets no user of its own nothing
    /// tells users apart, and this counts for nothing.
    pub rich_os: u32,
}

/// The root of trust of a device.
#[derive(Clone, Copy, Debug)]
pub enum Root<'a> {
    /// In files.
    File {
        /// The file with the root secret, outside the storage folder (security rule S2). The rollback counter is beside it.
        fuse: &'a Path,
    },
    /// In a TPM 2.0.
    Tpm {
        /// Where it is.
        address: &'a Address,
        /// The file with the root secret that the TPM has sealed; it may be copied freely. The marks of the rollback counter
        /// are beside it.
        sealed: &'a Path,
        /// The PCRs that a new device's secret is sealed to, besides the launcher's own.
        pcrs: Pcrs,
    },
}

/// Why the TEE was not started.
#[derive(Debug)]
#[non_exhaustive]
pub enum LaunchError {
    /// The root secret, or the counter beside it, cannot be opened or made; which.
    Fuse(PathBuf, io::Error),
    /// The root secret lies in the storage folder, so that one copy takes both.
    FuseInside(PathBuf),
    /// The TPM cannot be opened.
    Tpm(Address, io::Error),
    /// The Agent's program cannot be read.
    Agent(PathBuf, io::Error),
    /// The process cannot be started, or the storage folder not be prepared.
    Spawn(PathBuf, io::Error),
}

impl LaunchError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Fuse(_, error) if error.kind() == io::ErrorKind::NotFound => codes::FILE_UNREADABLE,
            Self::Agent(..) => codes::FILE_UNREADABLE,
            Self::Tpm(..) => codes::TPM_UNAVAILABLE,
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
            Self::Tpm(address, error) => write!(f, "the TPM {address} cannot be opened: {error}"),
            Self::Agent(path, error) => {
                write!(f, "the Agent's program {} cannot be read: {error}", path.display())
            }
            Self::Spawn(folder, error) => {
                write!(f, "the TEE of {} cannot be started: {error}", folder.display())
            }
        }
    }
}

impl std::error::Error for LaunchError {}

impl Root<'_> {
    /// What Evidence and the launch configuration call it.
    pub(crate) fn kind(&self) -> RootKind {
        match self {
            Self::File { .. } => RootKind::File,
            Self::Tpm { .. } => RootKind::Tpm,
        }
    }
}

/// Starts the TEE: its launcher, which is the running program again, and from there the Agent. The caller keeps
/// [`Launched::channel`]; closing it ends both.
pub fn launch(options: LaunchOptions<'_>) -> Result<Launched, LaunchError> {
    let root = open(&options)?;
    let code = options.agent.unwrap_or(Path::new(Launch::THIS_PROGRAM));
    let code = File::open(code).map_err(|error| LaunchError::Agent(code.into(), error))?;
    let seal_to = match options.root {
        Root::Tpm { pcrs, .. } if options.create => Some(pcrs),
        Root::Tpm { .. } | Root::File { .. } => None,
    };
    let args = arguments(&configuration(&options), options.panel, seal_to);
    let args: Vec<_> = args.iter().map(OsString::as_os_str).collect();
    let mut descriptors = vec![Some(code.as_fd())];
    descriptors.extend(root.iter().map(|file| file.as_ref().map(AsFd::as_fd)));
    let launch = Launch {
        program: Path::new(Launch::THIS_PROGRAM),
        args: &args,
        folder: options.folder,
        descriptors: &descriptors,
    };
    spawn(launch).map_err(|error| LaunchError::Spawn(options.folder.into(), error))
}

/// What the launcher is going to measure as its configuration.
fn configuration(options: &LaunchOptions<'_>) -> Configuration {
    Configuration {
        root: options.root.kind(),
        key_type: options.key_type,
        panel: options.panel.is_some(),
        require_sandbox: options.require_sandbox,
    }
}

/// Opens what the root of trust needs, in the order that [`crate::launcher`] takes it.
fn open(options: &LaunchOptions<'_>) -> Result<Vec<Option<OwnedFd>>, LaunchError> {
    let fuse_error = |path: &Path| {
        let path = path.to_owned();
        move |error| LaunchError::Fuse(path, error)
    };
    let both = |path: &Path| {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(options.create)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(fuse_error(path))
    };
    match options.root {
        Root::File { fuse: path } => {
            if inside(path, options.folder) {
                return Err(LaunchError::FuseInside(path.into()));
            }
            if options.create && !path.exists() {
                RootSecret::create_fuse(path, &tamarack_crypto_rustcrypto::provider())
                    .map_err(fuse_error(path))?;
            }
            let fuse = File::open(path).map_err(fuse_error(path))?;
            Ok(vec![Some(fuse.into()), Some(both(&counter_path(path))?.into())])
        }
        Root::Tpm { address, sealed, pcrs: _ } => {
            let tpm = address.open().map_err(|error| LaunchError::Tpm(address.clone(), error))?;
            Ok(vec![Some(tpm), Some(both(sealed)?.into()), Some(both(&counter_path(sealed))?.into())])
        }
    }
}

pub(crate) fn counter_path(fuse: &Path) -> PathBuf {
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
