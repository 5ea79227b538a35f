//! A TPM 2.0 emulator for tests: swtpm, one process each.

use std::io;
use std::path::{Path, PathBuf};

use tamarack_tee_tpm::emulator::Emulator;

/// A running emulator. It ends when this is dropped; its state stays in its folder.
#[derive(Debug)]
pub struct Swtpm {
    emulator: Emulator,
    folder: PathBuf,
}

impl Swtpm {
    /// Starts the TPM whose state is in `folder`, a new one if there is none: powered on, its PCRs zero. The folder's path
    /// must be short enough for a Unix socket.
    ///
    /// Without swtpm on this machine a test cannot run: `None`, after a line `skipped: ...` on standard output.
    ///
    /// # Panics
    /// With `CI=true` in the environment if there is no swtpm, so that continuous integration never skips in silence; and
    /// if it does not start.
    pub fn start(folder: &Path) -> Option<Self> {
        // swtpm resolves a relative state folder in its own way.
        let folder = folder.canonicalize().expect("the folder of the TPM's state exists");
        match Emulator::start(&folder) {
            Ok(emulator) => Some(Self { emulator, folder }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
                assert!(!in_ci, "swtpm is required in CI but missing");
                println!("skipped: no swtpm on this machine (apt-get install swtpm)");
                None
            }
            Err(error) => panic!("swtpm cannot be started: {error}"),
        }
    }

    /// Its address, as tpm2-tss writes it.
    pub fn address(&self) -> String {
        self.emulator.address().to_string()
    }

    /// The socket that takes TPM commands.
    pub fn socket(&self) -> &Path {
        self.emulator.socket()
    }

    /// Powers it off and on again.
    pub fn restart(self) -> Self {
        let Self { emulator, folder } = self;
        drop(emulator);
        Self::start(&folder).expect("it was there a moment ago")
    }
}
