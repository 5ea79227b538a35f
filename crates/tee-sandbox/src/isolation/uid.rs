//! The own user id of a TEE.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::AtFlags;
use rustix::process::{Gid, Uid};

/// First of the user ids to choose from: far above those that systems hand out; and, for containers that map only
/// 65,536 ids, a range that is meant for services without a name.
const UID_RANGES: [(u32, u32); 2] = [(1_414_000_000, 500_000), (61_184, 4_000)];

/// Gives the folder to an own user id where this process may do that.
pub(super) fn assign(folder: &Path) -> io::Result<Option<u32>> {
    let owner = fs::metadata(folder)?.uid();
    match rustix::process::geteuid().is_root() {
        true => choose_uid(folder, owner),
        false => Ok(None),
    }
}

fn choose_uid(folder: &Path, owner: u32) -> io::Result<Option<u32>> {
    for (first, count) in UID_RANGES {
        // A folder keeps the id it has, so that several TEEs of one machine never share one.
        if (first..first + count).contains(&owner) {
            give(folder, owner)?;
            return Ok(Some(owner));
        }
    }
    let used = used_uids();
    for (first, count) in UID_RANGES {
        let mut random = [0; 4];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let offset = u32::from_ne_bytes(random) % count;
        let free = (0..count).map(|i| first + (offset + i) % count).find(|uid| !used.contains(uid));
        let Some(uid) = free else { continue };
        match give(folder, uid) {
            Ok(()) => return Ok(Some(uid)),
            // The user namespace does not map this id, or may not change owners.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EPERM)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// User ids of running processes and of the system's user table.
fn used_uids() -> std::collections::BTreeSet<u32> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().filter_map(|line| line.split(':').nth(2)?.parse().ok());
    let running = fs::read_dir("/proc").into_iter().flatten().flatten();
    named.chain(running.filter_map(|entry| entry.metadata().ok().map(|m| m.uid()))).collect()
}

/// Changes the owner of `path` and all below it, without following links.
fn give(path: &Path, uid: u32) -> io::Result<()> {
    let (owner, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    rustix::fs::chownat(rustix::fs::CWD, path, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), uid)?;
        }
    }
    Ok(())
}
