//! A TPM for each device of `--platform tpm`: swtpm, an emulator.

use std::io;
use std::path::Path;

use anyhow::{Context, Result, bail};
use tamarack_tee_tpm::emulator::Emulator;

/// Where the devices' roots of trust are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Platform {
    /// In files
    #[default]
    Sandbox,
    /// In a TPM 2.0 for each device, emulated by swtpm, which must be installed
    Tpm,
}

/// A running TPM. It ends when this is dropped.
pub struct Tpm(Emulator);

impl Tpm {
    /// Makes a TPM whose state is in `folder`, and powers it on.
    pub fn start(folder: &Path) -> Result<Self> {
        std::fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        match Emulator::start(folder) {
            Ok(emulator) => Ok(Self(emulator)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!("--platform tpm needs swtpm (apt-get install swtpm)")
            }
            Err(error) => Err(error).context("cannot start swtpm"),
        }
    }

    /// What `agent init --root` takes.
    pub fn root(&self) -> String {
        format!("tpm:{}", self.0.address())
    }
}
