use std::io;
use std::path::Path;
use std::sync::mpsc::channel;

use tamarack_model::DeviceId;
use tamarack_store::{AuditEntry, Read, Store, StoreError, StoreOp, TenantId, verify_audit};

use crate::writer::Writer;
use crate::{DATABASE, SqliteStore, artifacts, connection};

#[test]
fn a_full_disk_is_said_in_a_sentence_and_changes_nothing() {
    let crypto = tamarack_crypto_aws_lc::provider();
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path(), crypto).unwrap();
    let path = folder.path().join(DATABASE);
    // SQLite gives the same error for its own limit as for a full disk.
    let database = connection::open_writer(&path).unwrap();
    let _: i64 = database.query_row("PRAGMA max_page_count = 80", [], |row| row.get(0)).unwrap();
    let writer = Writer::start(database, path, crypto).unwrap();
    let write = || {
        let entry = AuditEntry {
            tenant: TenantId::default(),
            at: 1,
            actor: "writer".into(),
            action: "write".into(),
            subject: "x".repeat(40_000),
            detail: String::new(),
        };
        let (done, outcome) = channel();
        writer.submit(vec![StoreOp::Audit(entry)], Box::new(move |result| done.send(result).unwrap()));
        outcome.recv().unwrap()
    };
    let mut written = 0;
    let error = loop {
        match write() {
            Ok(()) => written += 1,
            Err(e) => break e.to_string(),
        }
        assert!(written < 100, "the limit is not in force");
    };
    assert!(error.contains("the disk is full"), "{error}");
    let records = store.audit(&TenantId::default(), 0, 1000).unwrap();
    assert_eq!(records.len(), written);
    assert!(verify_audit(&[0; 32], &records, &crypto));
}

#[test]
fn file_errors_are_sentences() {
    let cases = [
        (io::ErrorKind::StorageFull, "cannot write /store/a: the disk is full"),
        (io::ErrorKind::PermissionDenied, "cannot write /store/a: this user has no permission"),
        (io::ErrorKind::ReadOnlyFilesystem, "cannot write /store/a: the file system is read-only"),
    ];
    for (kind, expected) in cases {
        let error = artifacts::failed("write", Path::new("/store/a"), &kind.into());
        assert_eq!(error, StoreError::Failed(expected.into()));
    }
}

/// What the first version wrote is read by this one, and takes what is new.
#[test]
fn a_store_of_the_first_format_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DATABASE);
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../migrations/0001_initial.sql")).unwrap();
    old.execute_batch(
        "PRAGMA user_version = 1;
        INSERT INTO device VALUES ('default', zeroblob(32), 7, zeroblob(32), zeroblob(32), x'01', 'software', x'80', 5,
            zeroblob(32), NULL, 10, 20, x'80', 15, 'reported', NULL, NULL, NULL);
        INSERT INTO pending VALUES (3, 'default', zeroblob(32), zeroblob(32), zeroblob(16), x'80', x'80', 100, 200);",
    )
    .unwrap();
    drop(old);
    let store = SqliteStore::open(folder.path(), tamarack_crypto_aws_lc::provider()).unwrap();
    let tenant = TenantId::default();
    let device = store.device(&tenant, &DeviceId([0; 32])).unwrap().unwrap();
    assert_eq!((device.revision, device.teep.unwrap().id, device.otrp.clone()), (7, [0; 32], None));
    assert_eq!((device.state.unwrap().epoch, device.reported.as_ref().unwrap().at), (5, 15));
    let pending = store.pending(&tenant, &[0; 32]).unwrap().unwrap();
    assert_eq!((pending.sent, pending.command), (100, None));
    assert!(store.domains(&tenant).unwrap().is_empty());
    let without = tamarack_store::Device { teep: None, ..device };
    store.apply(vec![StoreOp::PutDevice(Box::new(without))]).unwrap();
    assert_eq!(store.device(&tenant, &DeviceId([0; 32])).unwrap().unwrap().teep, None);
}
