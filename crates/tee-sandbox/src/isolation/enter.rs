use core::fmt;
use std::fs;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Gid, Resource, Rlimit, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};

use super::prepare::{OPEN, PROBED, Standing, lists, made, single_thread};
use super::{SecretMemory, filter, walls};
use crate::Layers;

/// Which layers hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Layers that were set up and held when tried.
    pub layers: Layers,
    /// Layers that are not there, and why.
    pub missing: Vec<Missing>,
    /// Effective user id of the process, as the outside sees it.
    pub uid: u32,
}

/// A layer that could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The layer.
    pub layer: Layers,
    /// Why, in a few words.
    pub reason: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.layer, self.reason)
    }
}

/// Why the sandbox was not entered. The process should end: it may be half inside.
#[derive(Debug)]
#[non_exhaustive]
pub enum EnterError {
    /// The process has more than one thread, and the layers bind only the calling one; how many there are.
    Threads(usize),
    /// Layers are missing and all were required.
    Missing(Vec<Missing>),
    /// The storage folder cannot be used from inside.
    Folder(io::Error),
}

impl EnterError {
    /// The stable code.
    pub fn code(&self) -> tamarack_model::Code {
        match self {
            Self::Threads(_) | Self::Missing(_) => tamarack_model::codes::TEE_SANDBOX,
            Self::Folder(_) => tamarack_model::codes::TEE_STORAGE,
        }
    }
}

impl fmt::Display for EnterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threads(n) => write!(f, "the sandbox must be entered by a single thread, there are {n}"),
            Self::Missing(missing) => {
                f.write_str("missing sandbox layers:")?;
                missing.iter().try_for_each(|one| write!(f, " [{one}]"))
            }
            Self::Folder(error) => {
                write!(f, "the storage folder cannot be used from inside the sandbox: {error}")
            }
        }
    }
}

impl std::error::Error for EnterError {}

/// Puts the calling process, which must have one thread, into the sandbox around `folder`, for good. `standing` is what it
/// has of that already, and the user id to take, which needs root. Afterwards the current directory is the folder: use
/// relative paths. With `require` a missing layer is an error.
pub fn enter(folder: BorrowedFd<'_>, standing: Standing, require: bool) -> Result<Report, EnterError> {
    single_thread()?;
    let mut report = Report { layers: Layers::NONE, missing: Vec::new(), uid: 0 };
    // To try from inside whether Landlock holds; closed when this function returns.
    let outside = rustix::fs::open(PROBED, OPEN, Mode::empty()).ok();

    let dump = no_dump();
    let privileged = made(standing.namespaces) | namespaces_as_root();
    report.note(Layers::OWN_UID, own_uid(standing.uid));
    // Read here: inside a user namespace without a mapping every id reads as the overflow id.
    report.uid = rustix::process::geteuid().as_raw();
    report.note(Layers::USER_NS, unshare_verified(UnshareFlags::NEWUSER, "user"));
    report.note(Layers::NET_NS, net_ns(privileged));
    report.note(Layers::MOUNT_NS, mount_ns(privileged, folder));
    rustix::process::fchdir(folder).map_err(|e| EnterError::Folder(e.into()))?;
    // The kernel may have set another behaviour when the credentials changed.
    report.note(Layers::NO_DUMP, dump.and_then(|()| no_dump()));
    let landlock = landlock_folder(folder, outside.as_ref());
    drop(outside);
    report.note(Layers::LANDLOCK, landlock);
    report.note(Layers::SECCOMP, drop_capabilities().and_then(|()| filter::install(&filter::AGENT)));
    report.note(Layers::MEMFD_SECRET, memfd_secret());
    try_folder().map_err(EnterError::Folder)?;

    if require && !report.missing.is_empty() { Err(EnterError::Missing(report.missing)) } else { Ok(report) }
}

impl Report {
    pub(super) fn note(&mut self, layer: Layers, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.layers.insert(layer),
            Err(reason) => self.missing.push(Missing { layer, reason }),
        }
    }
}

pub(super) fn no_dump() -> Result<(), String> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(say("prctl"))?;
    rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(say("setrlimit"))?;
    match rustix::process::dumpable_behavior() {
        Ok(DumpableBehavior::NotDumpable) => Ok(()),
        other => Err(format!("the kernel says {other:?}")),
    }
}

/// Started by root, the namespaces are made before root is given up, so that not even a user namespace owns them.
/// Says which are there.
pub(super) fn namespaces_as_root() -> UnshareFlags {
    let mut made = UnshareFlags::empty();
    if rustix::process::geteuid().is_root() {
        for flag in [UnshareFlags::NEWNET, UnshareFlags::NEWNS, UnshareFlags::NEWIPC] {
            if unshare(flag).is_ok() {
                made |= flag;
            }
        }
    }
    made
}

pub(super) fn own_uid(uid: Option<u32>) -> Result<(), String> {
    let uid = uid.ok_or("not started by root, so it shares its user's id")?;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
    // The Agent has it from the launcher already.
    if rustix::process::geteuid().is_root() {
        rustix::thread::set_thread_groups(&[]).map_err(say("setgroups"))?;
        rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(say("setresgid"))?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(say("setresuid"))?;
    }
    let held = (rustix::process::getuid(), rustix::process::geteuid(), rustix::process::getegid());
    let groups = rustix::process::getgroups().map_err(say("getgroups"))?;
    if held != (uid, uid, gid) || !groups.is_empty() {
        return Err("the kernel kept the old ids".into());
    }
    match rustix::thread::set_thread_uid(Uid::ROOT) {
        Ok(()) => Err("it could become root again".into()),
        Err(_) => Ok(()),
    }
}

fn unshare(flag: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: FILES is never asked for, so no descriptor changes its meaning for anybody.
    unsafe { rustix::thread::unshare_unsafe(flag) }
}

pub(super) fn unshare_verified(flag: UnshareFlags, name: &str) -> Result<(), String> {
    let link = || fs::read_link(format!("/proc/self/ns/{name}")).map_err(say("readlink"));
    let before: PathBuf = link()?;
    unshare(flag).map_err(say("unshare"))?;
    if link()? == before { Err("the namespace is still the old one".into()) } else { Ok(()) }
}

pub(super) fn net_ns(made: UnshareFlags) -> Result<(), String> {
    if !made.contains(UnshareFlags::NEWNET) {
        unshare(UnshareFlags::NEWNET).map_err(say("unshare"))?;
    }
    // The loopback device of a new namespace is down, so not even this host can be reached.
    match UdpSocket::bind(("0.0.0.0", 0)).and_then(|socket| socket.connect(("127.0.0.1", 9))) {
        Ok(()) => Err("the host's network can be reached".into()),
        Err(_) => Ok(()),
    }
}

fn mount_ns(made: UnshareFlags, folder: BorrowedFd<'_>) -> Result<(), String> {
    for flag in [UnshareFlags::NEWNS, UnshareFlags::NEWIPC] {
        if !made.contains(flag) {
            unshare(flag).map_err(say("unshare"))?;
        }
    }
    rustix::process::fchdir(folder).map_err(say("fchdir"))?;
    rustix::process::chroot(".").map_err(say("chroot"))?;
    let (root, inside) =
        (rustix::fs::stat("/").map_err(say("stat"))?, rustix::fs::fstat(folder).map_err(say("fstat"))?);
    if (root.st_dev, root.st_ino) == (inside.st_dev, inside.st_ino) {
        Ok(())
    } else {
        Err("the root directory is still the old one".into())
    }
}

fn landlock_folder(folder: BorrowedFd<'_>, outside: Option<&OwnedFd>) -> Result<(), String> {
    rustix::thread::set_no_new_privs(true).map_err(say("no_new_privs"))?;
    if !lists(outside) {
        return Err("it cannot be tried: the host's processes cannot be listed".into());
    }
    let rules = walls::folder_only(folder);
    rules.and_then(landlock::RulesetCreated::restrict_self).map_err(say("landlock"))?;
    if lists(outside) { Err("the kernel does not enforce it".into()) } else { Ok(()) }
}

pub(super) fn drop_capabilities() -> Result<(), String> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).map_err(say("capset"))
}

pub(super) fn memfd_secret() -> Result<(), String> {
    match SecretMemory::new(1) {
        Ok(memory) if memory.is_hidden() => Ok(()),
        Ok(_) => Err("the kernel does not offer memfd_secret".into()),
        Err(error) => Err(format!("mmap: {error}")),
    }
}

/// The one thing that must still work.
fn try_folder() -> io::Result<()> {
    const PROBE: &str = ".probe";
    fs::write(PROBE, b"x")?;
    let content = fs::read(PROBE)?;
    fs::remove_file(PROBE)?;
    if content == b"x" { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

pub(super) fn say<E: fmt::Display>(call: &'static str) -> impl Fn(E) -> String {
    move |error| format!("{call}: {error}")
}
