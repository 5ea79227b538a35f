//! [`tamarack_store::Store`] in SQLite: one folder with a database in WAL mode and content-addressed artifact files.
//!
//! | file | content |
//! |---|---|
//! | `tam.db`, `tam.db-wal`, `tam.db-shm` | rows |
//! | `artifacts/ab/cdef..` | envelopes by SHA-256 |
//!
//! All writing is done by one thread with `synchronous=FULL`: what waits in its queue is committed together, each batch
//! within a savepoint of its own, and acknowledged after the commit. Reading uses connections of its own and never waits
//! for the writer.
#![forbid(unsafe_code)]

mod artifacts;
mod backup;
mod connection;
mod read;
mod write;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rusqlite::Connection;
use tamarack_crypto::Provider;
use tamarack_store::{Store, StoreError, StoreOp};

use artifacts::Artifacts;
pub use backup::{Summary, check};
use writer::Writer;

/// Name of the database in the store's folder.
const DATABASE: &str = "tam.db";

/// A store in a folder.
pub struct SqliteStore {
    folder: PathBuf,
    writer: Writer,
    readers: Mutex<Vec<Connection>>,
    artifacts: Artifacts,
}

impl SqliteStore {
    /// Opens the store in `folder`, making the folder and an empty store if there is none, and bringing an older one up to
    /// date.
    pub fn open(folder: &Path, crypto: Provider) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|e| artifacts::failed("create the folder", folder, &e))?;
        let database = connection::open_writer(&folder.join(DATABASE))?;
        Ok(Self {
            folder: folder.to_path_buf(),
            artifacts: Artifacts::open(&folder.join("artifacts"), crypto)?,
            writer: Writer::start(database, folder.join(DATABASE), crypto)?,
            readers: Mutex::default(),
        })
    }

    /// The folder that it lives in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// As [`Store::apply`], without waiting: `done` is called by the writer thread after the commit and must not block.
    pub fn apply_then(&self, ops: Vec<StoreOp>, done: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        self.writer.submit(ops, Box::new(done));
    }

    /// Copies the store as it is now into the folder `to`, which must be new or empty, while it stays in use.
    pub fn backup(&self, to: &Path) -> Result<Summary, StoreError> {
        backup::backup(self, to)
    }

    /// Runs `read` on a read connection of the pool.
    fn with_reader<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        // A panic while the list is locked cannot leave it half-changed.
        let pooled = self.readers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        let path = self.folder.join(DATABASE);
        let connection = match pooled {
            Some(connection) => connection,
            None => connection::open_reader(&path)?,
        };
        let result = read(&connection).map_err(|e| connection::failed(&path, &e));
        self.readers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(connection);
        result
    }
}

impl Store for SqliteStore {
    fn apply(&self, ops: Vec<StoreOp>) -> Result<(), StoreError> {
        let (done, result) = std::sync::mpsc::sync_channel(1);
        // The writer may find nobody waiting only if this thread is gone.
        self.apply_then(ops, move |outcome| drop(done.send(outcome)));
        result.recv().unwrap_or_else(|_| Err(StoreError::Failed("the store's writer has stopped".into())))
    }

    fn put_artifact(&self, bytes: &[u8]) -> Result<[u8; 32], StoreError> {
        self.artifacts.put(bytes)
    }
}

#[cfg(test)]
mod tests;
