use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;
use tamarack_crypto::Provider;
use tamarack_store::{Read, StoreError, verify_audit};

use crate::artifacts::{self, Artifacts};
use crate::{DATABASE, SqliteStore, connection};

/// Database pages that are copied in one step, between which the writer may go on.
const PAGES: i32 = 256;

/// What a copy holds, as counted in the copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Tenants.
    pub tenants: usize,
    /// Catalogue entries, each with its artifact.
    pub entries: usize,
    /// Devices.
    pub devices: usize,
    /// Audit records.
    pub audit: usize,
}

/// Copies the database as of one moment, then the artifacts that it names (those are never changed or removed), then
/// checks the copy.
pub(crate) fn backup(store: &SqliteStore, to: &Path) -> Result<Summary, StoreError> {
    fs::create_dir_all(to).map_err(|e| artifacts::failed("create the folder", to, &e))?;
    let mut inside = fs::read_dir(to).map_err(|e| artifacts::failed("read the folder", to, &e))?;
    if inside.next().is_some() {
        return Err(StoreError::Failed(format!("the backup folder {} is not empty", to.display())));
    }
    let path = to.join(DATABASE);
    let mut copy = Connection::open(&path).map_err(|e| connection::failed(&path, &e))?;
    store.with_reader(|db| Backup::new(db, &mut copy)?.run_to_completion(PAGES, Duration::ZERO, None))?;
    copy.close().map_err(|(_, e)| connection::failed(&path, &e))?;
    let sync = || fs::File::open(&path)?.sync_all().and_then(|()| fs::File::open(to)?.sync_all());
    sync().map_err(|e| artifacts::failed("write", &path, &e))?;
    let into = Artifacts::open(&to.join("artifacts"), *store.artifacts.crypto())?;
    for digest in artifacts_of(&path)? {
        into.put(&store.artifacts.get(&digest)?)?;
    }
    check(to, *store.artifacts.crypto())
}

/// Checks a store that is not in use, such as a backup before it is put in place: that the database is sound, every
/// artifact is there and undamaged, and every audit log is an unbroken chain. To restore a backup, copy it to where the
/// store is looked for.
pub fn check(folder: &Path, crypto: Provider) -> Result<Summary, StoreError> {
    let path = folder.join(DATABASE);
    if !path.is_file() {
        return Err(StoreError::Failed(format!("there is no store in {}", folder.display())));
    }
    let sound: String = connection::open_reader(&path)?
        .pragma_query_value(None, "integrity_check", |row| row.get(0))
        .map_err(|e| connection::failed(&path, &e))?;
    if sound != "ok" {
        return Err(StoreError::Failed(format!("the database {} is damaged: {sound}", path.display())));
    }
    let store = SqliteStore::open(folder, crypto)?;
    let mut summary = Summary::default();
    for tenant in store.tenants()? {
        summary.tenants += 1;
        for entry in store.catalogue(&tenant.id)? {
            store.artifact(&entry.artifact.0)?;
            summary.entries += 1;
        }
        summary.devices += store.devices(&tenant.id, None, usize::MAX)?.len();
        let records = store.audit(&tenant.id, 0, usize::MAX)?;
        if !verify_audit(&[0; 32], &records, &crypto) {
            return Err(StoreError::Failed(format!(
                "the audit log of tenant {} in {} was altered",
                tenant.id,
                path.display()
            )));
        }
        summary.audit += records.len();
    }
    Ok(summary)
}

/// The digests of the artifacts that a database names.
fn artifacts_of(path: &Path) -> Result<Vec<[u8; 32]>, StoreError> {
    let database = connection::open_reader(path)?;
    let read = || {
        let mut statement = database.prepare("SELECT DISTINCT artifact FROM catalogue ORDER BY artifact")?;
        statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<[u8; 32]>>>()
    };
    read().map_err(|e| connection::failed(path, &e))
}
