//! A TPM 2.0 emulator for tests: swtpm, one process each, on Unix sockets in a folder of its own.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running emulator. It ends when this is dropped; its state stays in its folder.
#[derive(Debug)]
pub struct Swtpm {
    child: Child,
    socket: PathBuf,
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
                let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
                assert!(!in_ci, "swtpm is required in CI but missing");
                println!("skipped: no swtpm on this machine (apt-get install swtpm)");
                return None;
            }
            Err(error) => panic!("swtpm cannot be started: {error}"),
        };
        let mut this = Self { child, socket, folder };
        let began = Instant::now();
        while UnixStream::connect(&this.socket).is_err() {
            let ended = this.child.try_wait().expect("swtpm can be waited for");
            assert!(ended.is_none(), "swtpm has ended: {ended:?}");
            assert!(began.elapsed() < Duration::from_secs(10), "swtpm does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(this)
    }

    /// Its address, as tpm2-tss writes it.
    pub fn address(&self) -> String {
        format!("swtpm:path={}", self.socket.display())
    }

    /// The socket that takes TPM commands.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Powers it off and on again.
    pub fn restart(self) -> Self {
        let folder = self.folder.clone();
        drop(self);
        Self::start(&folder).expect("it was there a moment ago")
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        // It writes its permanent state with each command that changes it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}
