//! swtpm, a TPM 2.0 in software, for demonstrations and tests: it protects nothing.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Address;

/// A running emulator, one process on Unix sockets in its folder. It ends when this is dropped; its state stays.
#[derive(Debug)]
pub struct Emulator {
    child: Child,
    socket: PathBuf,
}

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

impl Emulator {
    /// Starts the TPM whose state is in `folder`, a new one if there is none: powered on, its PCRs zero. The folder's path
    /// must be absolute, and short enough for a Unix socket. [`io::ErrorKind::NotFound`] if this machine has no swtpm.
    pub fn start(folder: &Path) -> io::Result<Self> {
        let socket = folder.join("tpm");
        let child = Command::new("swtpm")
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
            .spawn()?;
        let mut this = Self { child, socket };
        let begun = Instant::now();
        while UnixStream::connect(&this.socket).is_err() {
            if let Some(status) = this.child.try_wait()? {
                return Err(io::Error::other(format!("swtpm has ended: {status}")));
            }
            if begun.elapsed() > PATIENCE {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "swtpm does not listen"));
            }
            sleep(Duration::from_millis(2));
        }
        Ok(this)
    }

    /// The socket that takes TPM commands.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its address.
    pub fn address(&self) -> Address {
        Address::Unix(self.socket.clone())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It writes its permanent state with each command that changes it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}
