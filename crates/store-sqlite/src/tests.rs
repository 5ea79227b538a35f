use std::io;
use std::path::Path;
use std::sync::mpsc::channel;

use tamarack_store::{AuditEntry, Read, StoreError, StoreOp, TenantId, verify_audit};

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
