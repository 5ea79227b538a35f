use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tamarack_crypto::Provider;
use tamarack_model::Sha256Digest;
use tamarack_store::StoreError;

/// Content-addressed files: `ab/cdef..` under one folder.
pub(crate) struct Artifacts {
    folder: PathBuf,
    crypto: Provider,
}

/// Makes the names of files that are being written unique within this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Artifacts {
    pub(crate) fn open(folder: &Path, crypto: Provider) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|e| failed("create the folder", folder, &e))?;
        Ok(Self { folder: folder.to_path_buf(), crypto })
    }

    pub(crate) fn crypto(&self) -> &Provider {
        &self.crypto
    }

    pub(crate) fn path(&self, digest: &[u8; 32]) -> PathBuf {
        let name = Sha256Digest(*digest).to_string();
        let (shard, rest) = name.split_at(2);
        self.folder.join(shard).join(rest)
    }

    /// Writes beside, syncs, renames into place and syncs the folders, so that a name never shows half a file.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<[u8; 32], StoreError> {
        let digest = self.crypto.sha256(bytes);
        let path = self.path(&digest);
        if self.get(&digest).is_ok() {
            return Ok(digest);
        }
        self.write(&path, bytes).map_err(|e| failed("write", &path, &e))?;
        Ok(digest)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        // The path was made by `path`, which always adds a shard.
        let shard = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(shard)?;
        let unique = NEXT.fetch_add(1, Ordering::Relaxed);
        let beside = self.folder.join(format!("incoming-{}-{unique}", std::process::id()));
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&beside)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            // What could not be finished is only in the way; the error that counts is the one above.
            let _ = fs::remove_file(&beside);
        }
        written?;
        File::open(shard)?.sync_all()?;
        File::open(&self.folder)?.sync_all()
    }

    /// Reads an artifact and checks that it is the one.
    pub(crate) fn get(&self, digest: &[u8; 32]) -> Result<Vec<u8>, StoreError> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::ArtifactMissing(Sha256Digest(*digest)));
            }
            Err(e) => return Err(failed("read", &path, &e)),
        };
        match self.crypto.sha256(&bytes) == *digest {
            true => Ok(bytes),
            false => Err(StoreError::ArtifactDamaged(Sha256Digest(*digest))),
        }
    }
}

/// A sentence about a file operation.
pub(crate) fn failed(what: &str, path: &Path, error: &io::Error) -> StoreError {
    let path = path.display();
    StoreError::Failed(match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("cannot {what} {path}: the disk is full")
        }
        io::ErrorKind::PermissionDenied => format!("cannot {what} {path}: this user has no permission"),
        io::ErrorKind::ReadOnlyFilesystem => format!("cannot {what} {path}: the file system is read-only"),
        _ => format!("cannot {what} {path}: {error}"),
    })
}
