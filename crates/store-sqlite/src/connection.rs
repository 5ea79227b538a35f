use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tamarack_store::StoreError;

/// Each brings the database from its index to the next `user_version`.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_initial.sql"),
    include_str!("../migrations/0002_otrp.sql"),
    include_str!("../migrations/0003_references.sql"),
    include_str!("../migrations/0004_release.sql"),
    include_str!("../migrations/0005_owner.sql"),
];

/// Pages that each connection caches: negative means KiB.
const CACHE: &str = "-16384";

/// Prepared statements that each connection keeps.
const STATEMENTS: usize = 64;

/// Opens the database for writing and brings it up to date.
pub(crate) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.pragma_update(None, "cache_size", CACHE)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(connection)
    };
    let mut connection = open().map_err(|e| failed(path, &e))?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let sentence = |e: rusqlite::Error| failed(path, &e);
    let version: u32 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sentence)?;
    let version = version as usize;
    if version > MIGRATIONS.len() {
        return Err(StoreError::Failed(format!(
            "{} was written by a newer version of this program (format {version}, this one knows {})",
            path.display(),
            MIGRATIONS.len()
        )));
    }
    for (index, script) in MIGRATIONS.iter().enumerate().skip(version) {
        let transaction = connection.transaction().map_err(sentence)?;
        transaction.execute_batch(script).map_err(sentence)?;
        transaction.pragma_update(None, "user_version", (index + 1) as u32).map_err(sentence)?;
        transaction.commit().map_err(sentence)?;
    }
    Ok(())
}

/// Opens the database for reading only.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "cache_size", CACHE)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(connection)
    };
    open().map_err(|e| failed(path, &e))
}

/// A sentence about a database operation.
pub(crate) fn failed(path: &Path, error: &rusqlite::Error) -> StoreError {
    let path = path.display();
    StoreError::Failed(match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => format!("the database {path} cannot be written: the disk is full"),
        Some(ErrorCode::ReadOnly) => {
            format!("the database {path} cannot be written: the file or its folder is read-only")
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            format!(
                "the database {path} cannot be opened: check that the folder exists and who may write to it"
            )
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            format!("the database {path} is damaged or is no SQLite database: restore a backup")
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("the database {path} is locked by another process")
        }
        _ => format!("the database {path} failed: {error}"),
    })
}
