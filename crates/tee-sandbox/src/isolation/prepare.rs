use std::fs;

use rustix::thread::UnshareFlags;

use super::enter::{
    EnterError, Report, drop_capabilities, memfd_secret, namespaces_as_root, net_ns, no_dump, own_uid, say,
    unshare_verified,
};
use super::{filter, walls};
use crate::Layers;

/// What a process of the TEE has got rid of before its first instruction, and the user id that it has or is to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// User id, given by whoever chowned the storage folder to it; None if no own one could be had.
    pub uid: Option<u32>,
    /// Namespaces that were made while the process was still root, as bits of `CLONE_NEW*`.
    pub namespaces: u32,
}

/// The launcher's process, behind its first walls: it cannot be read by others any more, and has its own user id and no
/// network where that can be had. It can still read files and start the Agent.
#[derive(Debug)]
pub struct Prepared {
    standing: Standing,
    report: Report,
    no_dump: Result<(), String>,
}

/// Puts the launcher's process, which must have one thread, behind its first walls. Called before it reads a secret.
pub fn prepare(uid: Option<u32>) -> Result<Prepared, EnterError> {
    single_thread()?;
    let mut report = Report { layers: Layers::NONE, missing: Vec::new(), uid: 0 };
    let dump = no_dump();
    let made = namespaces_as_root();
    report.note(Layers::OWN_UID, own_uid(uid));
    report.uid = rustix::process::geteuid().as_raw();
    // The kernel may have set another behaviour when the credentials changed.
    let no_dump = dump.and_then(|()| no_dump());
    Ok(Prepared { standing: Standing { uid, namespaces: made.bits() }, report, no_dump })
}

impl Prepared {
    /// What the Agent is told of it.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Closes the rest, for good: no file, no network but what is open, no other program, no way to read another process.
    /// Called when the Agent runs and before it is answered. Layers that are missing are in the report.
    pub fn close(self) -> Report {
        let Self { standing, mut report, no_dump } = self;
        let outside = rustix::fs::open(PROBED, OPEN, rustix::fs::Mode::empty()).ok();
        report.note(Layers::NO_DUMP, no_dump);
        if !made(standing.namespaces).contains(UnshareFlags::NEWNET) {
            // Only as root of a namespace of its own could it leave the network.
            report.note(Layers::USER_NS, unshare_verified(UnshareFlags::NEWUSER, "user"));
        }
        report.note(Layers::NET_NS, net_ns(made(standing.namespaces)));
        report.note(Layers::LANDLOCK, no_files(outside.as_ref()));
        drop(outside);
        report.note(Layers::SECCOMP, drop_capabilities().and_then(|()| filter::install(&filter::LAUNCHER)));
        report.note(Layers::MEMFD_SECRET, memfd_secret());
        report
    }
}

/// A folder that every process may list, until it is kept from it.
pub(super) const PROBED: &str = "/proc";
/// How the folder is held to try it later.
pub(super) const OPEN: rustix::fs::OFlags = rustix::fs::OFlags::PATH.union(rustix::fs::OFlags::CLOEXEC);

/// The namespaces that a [`Standing`] speaks of.
pub(super) fn made(bits: u32) -> UnshareFlags {
    UnshareFlags::from_bits_truncate(bits)
}

/// The layers bind the calling thread only.
pub(super) fn single_thread() -> Result<(), EnterError> {
    match fs::read_dir("/proc/self/task").map_or(1, Iterator::count) {
        1 => Ok(()),
        threads => Err(EnterError::Threads(threads)),
    }
}

/// Whether the probed folder can be listed through a descriptor that was opened before.
pub(super) fn lists(outside: Option<&std::os::fd::OwnedFd>) -> bool {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
    outside.is_some_and(|root| rustix::fs::openat(root, ".", flags, rustix::fs::Mode::empty()).is_ok())
}

fn no_files(outside: Option<&std::os::fd::OwnedFd>) -> Result<(), String> {
    rustix::thread::set_no_new_privs(true).map_err(say("no_new_privs"))?;
    if !lists(outside) {
        return Err("it cannot be tried: the host's processes cannot be listed".into());
    }
    let none = walls::restricting().and_then(landlock::Ruleset::create);
    none.and_then(landlock::RulesetCreated::restrict_self).map_err(say("landlock"))?;
    if lists(outside) { Err("the kernel does not enforce it".into()) } else { Ok(()) }
}
