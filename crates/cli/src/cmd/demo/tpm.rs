//! A TPM for each device of `--platform tpm`: swtpm, an emulator.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

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
pub struct Tpm {
    child: Child,
    socket: PathBuf,
}

impl Tpm {
    /// Makes a TPM whose state is in `folder`, and powers it on.
    pub fn start(folder: &Path) -> Result<Self> {
        std::fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let socket = folder.join("tpm");
        let started = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .arg("--tpmstate")
            .arg(format!("dir={}", folder.display()))
            .arg("--server")
            .arg(format!("type=unixio,path={}", socket.display()))
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}", folder.join("ctrl").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match started {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!("--platform tpm needs swtpm (apt-get install swtpm)")
            }
            Err(error) => return Err(error).context("cannot start swtpm"),
        };
        let mut this = Self { child, socket };
        let begun = Instant::now();
        while UnixStream::connect(&this.socket).is_err() {
            ensure!(this.child.try_wait()?.is_none(), "swtpm has ended");
            ensure!(begun.elapsed() < Duration::from_secs(10), "swtpm does not listen");
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(this)
    }

    /// What `agent init --root` takes.
    pub fn root(&self) -> String {
        format!("tpm:swtpm:path={}", self.socket.display())
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
