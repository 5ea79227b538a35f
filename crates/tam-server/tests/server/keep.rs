//! Restart, backup, restore.

use std::fs;

use tamarack_tam_server::{backup, restore};

use crate::support::{World, envelope, signer};

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let (mut world, key) = (World::new(), signer());
    world.provider("acme", "acme", &*key);
    world.api(&world.operator, "POST", "/components?provider=acme", &envelope("acme", 1, &*key));
    let (digest, audit) = (world.digest(), world.audit());
    world.stop();
    world.restart();
    assert_eq!((world.digest(), world.audit()), (digest, audit));
}

#[test]
fn a_backup_of_a_running_tam_can_be_restored() {
    let (mut world, key) = (World::new(), signer());
    world.provider("acme", "acme", &*key);
    world.api(&world.operator, "POST", "/components?provider=acme", &envelope("acme", 1, &*key));
    let (digest, audit) = (world.digest(), world.audit());
    let copy = world.folder.path().join("copy");
    let summary = backup(&world.config, &copy).unwrap();
    assert_eq!((summary.entries, summary.audit), (1, audit.len()));

    world.api(&world.operator, "PUT", "/policies/acme%2Fx", b"");
    assert_ne!(world.digest(), digest);
    world.stop();
    let data = world.config.path(&world.config.data);
    let error = restore(&world.config, &copy).unwrap_err();
    assert!(error.to_string().contains("is not empty"), "{error}");
    fs::remove_dir_all(&data).unwrap();
    let challenge = world.config.path(&world.config.challenge_key);
    let old = fs::read_to_string(&challenge).unwrap();
    assert_eq!(restore(&world.config, &copy).unwrap(), summary);
    assert_ne!(fs::read_to_string(&challenge).unwrap(), old, "C1: new challenge keys after a restore");
    world.restart();
    assert_eq!((world.digest(), world.audit()), (digest, audit));
}

#[test]
fn a_damaged_backup_is_refused() {
    let (world, key) = (World::new(), signer());
    world.provider("acme", "acme", &*key);
    world.api(&world.operator, "POST", "/components?provider=acme", &envelope("acme", 1, &*key));
    let copy = world.folder.path().join("copy");
    backup(&world.config, &copy).unwrap();
    let mut folders = vec![copy.join("artifacts")];
    let mut damaged = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                fs::remove_file(&path).unwrap();
                fs::write(&path, b"other bytes").unwrap();
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0);
    fs::remove_dir_all(world.config.path(&world.config.data)).unwrap();
    let error = restore(&world.config, &copy).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}
