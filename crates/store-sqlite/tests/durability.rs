//! What was acknowledged is there after a SIGKILL, and what cannot be written is said in a sentence.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tamarack_crypto::Provider;
use tamarack_model::Sha256Digest;
use tamarack_store::{
    AuditEntry, CatalogueEntry, Conflict, Read, Store, StoreError, StoreOp, TenantId, registry_digest,
    verify_audit,
};
use tamarack_store_sqlite::{SqliteStore, check};
use tamarack_testkit::store_suite::{device, entry, id, provider};

/// Tells the test binary that it is the child of `sigkill_loses_nothing_acknowledged`.
const CHILD: &str = "TAMARACK_TEST_STORE_FOLDER";

fn crypto() -> Provider {
    tamarack_crypto_aws_lc::provider()
}

fn open(folder: &Path) -> SqliteStore {
    SqliteStore::open(folder, crypto()).unwrap()
}

fn audit(subject: &str) -> StoreOp {
    StoreOp::Audit(AuditEntry {
        tenant: TenantId::default(),
        at: 1,
        actor: "writer".into(),
        action: "write".into(),
        subject: subject.into(),
        detail: String::new(),
    })
}

/// In the child: writes from several threads until it is killed and prints what was acknowledged.
#[test]
fn child_writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let store = Arc::new(open(Path::new(&folder)));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || {
                for number in 0.. {
                    let name = format!("{thread}-{number}");
                    let digest = store.put_artifact(name.as_bytes()).unwrap();
                    store.apply(vec![audit(&name)]).unwrap();
                    // One write per line, so that lines of threads do not mix.
                    let line = format!("acknowledged {name} {}\n", Sha256Digest(digest));
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn sigkill_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        let store_folder = folder.path().join(format!("round-{round}"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_writes_until_it_is_killed", "--nocapture"])
            .env(CHILD, &store_folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged: Vec<String> = Vec::new();
        let mut read = |lines: &mut dyn Iterator<Item = std::io::Result<String>>, limit: usize| {
            for line in lines {
                let line = line.unwrap();
                // The harness prints the name of the test in front of the first line.
                if let Some(at) = line.find("acknowledged ") {
                    acknowledged.push(line[at + "acknowledged ".len()..].into());
                }
                if acknowledged.len() >= limit {
                    break;
                }
            }
        };
        read(&mut lines, 40 * round);
        child.kill().unwrap();
        child.wait().unwrap();
        // What was written to the pipe before the kill was acknowledged too; a line cut short is not.
        read(&mut lines.filter(|line| line.as_ref().is_ok_and(|line| line.len() >= 64 + 17)), usize::MAX);
        assert!(acknowledged.len() >= 40 * round);

        check(&store_folder, crypto()).unwrap();
        let store = open(&store_folder);
        let records = store.audit(&TenantId::default(), 0, usize::MAX).unwrap();
        assert!(verify_audit(&[0; 32], &records, &crypto()));
        let written: std::collections::BTreeSet<_> =
            records.iter().map(|r| r.entry.subject.as_str()).collect();
        for line in &acknowledged {
            let (name, digest) = line.split_once(' ').unwrap();
            assert!(written.contains(name), "acknowledged and lost: {name}");
            let mut bytes = [0; 32];
            for (at, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::from_str_radix(&digest[2 * at..2 * at + 2], 16).unwrap();
            }
            assert_eq!(store.artifact(&bytes).unwrap(), name.as_bytes());
        }
    }
}

#[test]
fn c2_two_instances_on_one_store_burn_a_challenge_once() {
    let folder = tempfile::tempdir().unwrap();
    let stores = [open(folder.path()), open(folder.path())];
    for round in 0..20 {
        let burn = StoreOp::BurnChallenge {
            tenant: TenantId::default(),
            challenge: [round; 16],
            expires: 100,
            keep_until: 200,
        };
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|n| {
                    let (store, burn) = (&stores[n % 2], burn.clone());
                    scope.spawn(move || store.apply(vec![burn]))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        let burned = Err(StoreError::Conflict(Conflict::Burned));
        assert_eq!(results.iter().filter(|result| **result == burned).count(), 7);
    }
}

#[test]
fn a_group_commit_keeps_batches_apart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (sender, receiver) = std::sync::mpsc::channel();
    for number in 0..500 {
        let sender = sender.clone();
        // Every second batch breaks a rule at its end.
        let mut ops = vec![audit(&number.to_string())];
        if number % 2 == 1 {
            ops.push(StoreOp::TakePending { tenant: TenantId::default(), token_hash: [1; 32] });
        }
        store.apply_then(ops, move |outcome| sender.send((number, outcome)).unwrap());
    }
    drop(sender);
    for (number, outcome) in receiver {
        assert_eq!(outcome.is_ok(), number % 2 == 0, "batch {number}");
    }
    let records = store.audit(&TenantId::default(), 0, 1000).unwrap();
    assert_eq!(records.len(), 250);
    assert!(verify_audit(&[0; 32], &records, &crypto()));
}

#[test]
fn a_backup_is_a_store_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (live, copy) = (folder.path().join("live"), folder.path().join("copy"));
    let store = open(&live);
    let artifact = Sha256Digest(store.put_artifact(b"envelope").unwrap());
    let published = CatalogueEntry { artifact, ..entry("acme/w/suit", "acme/w/ta", 1) };
    let ops = vec![
        StoreOp::InsertProvider(provider("acme", "acme")),
        StoreOp::Publish(published.clone()),
        StoreOp::PutDevice(Box::new(device(1))),
        audit("one"),
    ];
    store.apply(ops).unwrap();
    let digest = registry_digest(&store, &crypto()).unwrap();

    let summary = store.backup(&copy).unwrap();
    assert_eq!((summary.entries, summary.devices, summary.audit), (1, 1, 1));
    // It goes on, and the copy does not.
    store.apply(vec![StoreOp::PutDevice(Box::new(device(2)))]).unwrap();
    assert!(store.backup(&copy).is_err(), "never over something that is there");
    drop(store);

    assert_eq!(check(&copy, crypto()).unwrap(), summary);
    let restored = open(&copy);
    assert_eq!(registry_digest(&restored, &crypto()).unwrap(), digest);
    assert_eq!(restored.artifact(&artifact.0).unwrap(), b"envelope");
    assert_eq!(restored.newest(&TenantId::default(), &id("acme/w/suit")).unwrap(), Some(published));
    restored.apply(vec![audit("two")]).unwrap();
}

#[test]
fn the_check_finds_what_was_altered() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let digest = store.put_artifact(b"envelope").unwrap();
    let published = CatalogueEntry { artifact: Sha256Digest(digest), ..entry("acme/w/suit", "acme/w/ta", 1) };
    let ops =
        vec![StoreOp::InsertProvider(provider("acme", "acme")), StoreOp::Publish(published), audit("one")];
    store.apply(ops).unwrap();
    drop(store);
    check(folder.path(), crypto()).unwrap();

    let name = Sha256Digest(digest).to_string();
    let path = folder.path().join("artifacts").join(&name[..2]).join(&name[2..]);
    std::fs::write(&path, b"tampered").unwrap();
    assert_eq!(check(folder.path(), crypto()), Err(StoreError::ArtifactDamaged(Sha256Digest(digest))));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(check(folder.path(), crypto()), Err(StoreError::ArtifactMissing(Sha256Digest(digest))));
    // Storing it again repairs it.
    open(folder.path()).put_artifact(b"envelope").unwrap();
    check(folder.path(), crypto()).unwrap();

    let database = rusqlite::Connection::open(folder.path().join("tam.db")).unwrap();
    assert!(database.execute("UPDATE audit SET actor = 'nobody'", []).is_err(), "append-only");
    assert!(database.execute("DELETE FROM audit", []).is_err(), "append-only");
    database.execute_batch("DROP TRIGGER audit_is_never_changed; UPDATE audit SET actor = 'nobody'").unwrap();
    let error = check(folder.path(), crypto()).unwrap_err().to_string();
    assert!(error.contains("audit log of tenant default"), "{error}");
}

#[test]
fn what_cannot_be_opened_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let sentence = |path: &Path| match SqliteStore::open(path, crypto()) {
        Err(StoreError::Failed(sentence)) => sentence,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("{} was opened", path.display()),
    };

    let file = folder.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    assert!(sentence(&file).contains("cannot create the folder"));
    assert!(sentence(&file.join("below")).contains("cannot create the folder"));

    let garbage = folder.path().join("garbage");
    std::fs::create_dir(&garbage).unwrap();
    std::fs::write(garbage.join("tam.db"), [7; 5000]).unwrap();
    assert!(sentence(&garbage).contains("is no SQLite database"));

    let newer = folder.path().join("newer");
    drop(open(&newer));
    let database = rusqlite::Connection::open(newer.join("tam.db")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    assert!(sentence(&newer).contains("newer version of this program"));

    assert!(check(&folder.path().join("nowhere"), crypto()).unwrap_err().to_string().contains("no store in"));
}

#[test]
fn a_read_only_folder_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let read_only =
        |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    read_only(0o500);
    // For root permissions do not exist, and there is nothing to see.
    let enforced = std::fs::write(folder.path().join("probe"), b"x").is_err();
    if enforced {
        let error = SqliteStore::open(folder.path(), crypto()).err().expect("refused").to_string();
        assert!(error.contains("read-only") || error.contains("cannot be opened"), "{error}");
    } else {
        eprintln!("skipped: this user may write to read-only folders");
    }
    read_only(0o700);
}
