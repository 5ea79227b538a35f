use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// A flat folder of files, as narrow as the sealed store needs it, so that tests can put a disk there that loses power
/// or fills up. Names are made by the store and hold no separators.
///
/// What was appended is durable after [`Disk::sync`]; what was created, renamed or removed after [`Disk::sync_folder`].
/// Before that, a power cut may leave either state, or part of what was appended.
pub trait Disk {
    /// Names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Reads at `offset` until `buffer` is full or the file ends; gives the number of bytes.
    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Length of a file in bytes.
    fn length(&self, name: &str) -> io::Result<u64>;
    /// Adds to the end of a file, which is created if it is not there. On an error any part may have been added.
    fn append(&mut self, name: &str, data: &[u8]) -> io::Result<()>;
    /// Cuts a file to `length` bytes.
    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()>;
    /// Makes the content of a file durable.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Makes creations, renamings and removals durable.
    fn sync_folder(&mut self) -> io::Result<()>;
    /// Renames a file, replacing what has that name.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; no error if there is none.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// How long a folder may still be in use by who had it before.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(5);

/// A folder of the file system that only its user can enter, locked against other processes while it is open.
pub struct FolderDisk {
    path: PathBuf,
    /// Holds the lock, and makes names durable.
    folder: File,
    /// The file that was written last: most writes in a row go to the same one.
    open: Option<(String, File)>,
}

impl FolderDisk {
    /// Opens the folder, making it (mode 0700) if it is not there. Fails if another process has it open and does not let go
    /// of it within a second: a TEE that was stopped just now may still be on its way out.
    pub fn open(path: &Path) -> io::Result<Self> {
        if !path.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        }
        let folder = File::open(path)?;
        let begun = Instant::now();
        loop {
            match folder.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(e)) => return Err(e),
                Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => thread::sleep(LOOK),
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(ErrorKind::ResourceBusy, "another TEE uses this folder"));
                }
            }
        }
        Ok(Self { path: path.to_path_buf(), folder, open: None })
    }

    fn writable(&mut self, name: &str) -> io::Result<&mut File> {
        if self.open.as_ref().is_none_or(|(open, _)| open != name) {
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(self.path.join(name))?;
            self.open = Some((name.to_string(), file));
        }
        // It was put there just above if it was missing.
        self.open.as_mut().map(|(_, file)| file).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn forget(&mut self, name: &str) {
        self.open.take_if(|(open, _)| open == name);
    }
}

impl Disk for FolderDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn read_at(&self, name: &str, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = File::open(self.path.join(name))?;
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path.join(name))?.len())
    }

    fn append(&mut self, name: &str, data: &[u8]) -> io::Result<()> {
        self.writable(name)?.write_all(data)
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.writable(name)?.set_len(length)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.writable(name)?.sync_data()
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.folder.sync_all()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.forget(from);
        self.forget(to);
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.forget(name);
        match fs::remove_file(self.path.join(name)) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}
