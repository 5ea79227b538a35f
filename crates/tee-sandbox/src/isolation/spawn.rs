use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::process::{Gid, Uid};

/// What the launcher asks for.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Program to execute; [`Launch::THIS_PROGRAM`] for a fresh start of the running one.
    pub program: &'a Path,
    /// Its arguments; those that [`Inherited::from_args`] reads are added at the end.
    pub args: &'a [&'a OsStr],
    /// The TEE's storage folder; it is made if it does not exist, and no one else may use it.
    pub folder: &'a Path,
    /// The root secret (security rule S2), opened before the walls go up.
    pub fuse: File,
    /// The rollback counter, opened for reading and writing; None if there is no place for one.
    pub counter: Option<File>,
}

impl Launch<'_> {
    /// The running program, whatever became of its file.
    pub const THIS_PROGRAM: &'static str = "/proc/self/exe";
}

/// A TEE process that was started.
#[derive(Debug)]
pub struct Launched {
    /// The process. Its end is the end of the channel, too.
    pub child: Child,
    /// The Broker's end of the channel.
    pub channel: UnixStream,
    /// The user id that it was told to take, if an own one could be had.
    pub uid: Option<u32>,
}

/// What the TEE process got from its launcher.
#[derive(Debug)]
pub struct Inherited {
    /// The TEE's end of the channel.
    pub channel: UnixStream,
    /// The storage folder.
    pub folder: OwnedFd,
    /// The root secret.
    pub fuse: File,
    /// The rollback counter.
    pub counter: Option<File>,
    /// User id to take.
    pub uid: Option<u32>,
}

/// Prefix of the argument that names descriptors and user id: `--inherited=CHANNEL,FOLDER,FUSE,COUNTER|-,UID|-`.
const ARGUMENT: &str = "--inherited=";

/// Starts the TEE's process: a fresh exec with an empty environment, no standard input and output (its standard error is
/// ours), and no file descriptor but the channel, the storage folder, the root secret and the counter. As root, the folder is given
/// to an unused user id first; in any case it is closed to all others.
pub fn spawn(launch: Launch<'_>) -> io::Result<Launched> {
    fs::create_dir_all(launch.folder)?;
    let uid = assign(launch.folder)?;
    let folder = rustix::fs::open(
        launch.folder,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let (ours, theirs) = UnixStream::pair()?;
    let counter = launch.counter.as_ref().map(AsRawFd::as_raw_fd);
    let keep = [Some(theirs.as_raw_fd()), Some(folder.as_raw_fd()), Some(launch.fuse.as_raw_fd()), counter];
    let fds: Vec<String> = keep.iter().map(|fd| text(*fd)).collect();
    let mut command = Command::new(launch.program);
    command
        .args(launch.args)
        .arg(format!("{ARGUMENT}{},{}", fds.join(","), text(uid)))
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    // SAFETY: between fork and exec the closure makes only system calls (async-signal-safe) on descriptors that `theirs`,
    // `folder` and `launch` keep open until `spawn` returns; it neither allocates nor locks.
    unsafe {
        command.pre_exec(move || inherit_only(&keep));
    }
    let child = command.spawn()?;
    Ok(Launched { child, channel: ours, uid })
}

/// Marks every descriptor above standard error as closed on exec, except `keep`.
fn inherit_only(keep: &[Option<RawFd>]) -> io::Result<()> {
    // SAFETY: the call only sets a flag on descriptors of this process, which is about to exec.
    let marked =
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if marked != 0 {
        return Err(io::Error::last_os_error());
    }
    for fd in keep.iter().flatten() {
        // SAFETY: the descriptor is open (see the caller); the call only clears its flag.
        if unsafe { libc::fcntl(*fd, libc::F_SETFD, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

impl Inherited {
    /// Finds and takes what [`spawn`] left: gives it and the arguments before it. None if it is not there, or if the
    /// descriptors are not what they should be.
    ///
    /// Call it once, first thing in the process.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Option<(Self, Vec<OsString>)> {
        let mut args: Vec<OsString> = args.into_iter().collect();
        let last = args.pop()?.into_string().ok()?;
        let mut fields = last.strip_prefix(ARGUMENT)?.split(',');
        let mut take = || optional(fields.next()?);
        let numbers: [Option<RawFd>; 4] = [take()?, take()?, take()?, take()?];
        let uid = optional(fields.next()?)?;
        // Taken one after the other: a number that stands twice is no longer inherited the second time.
        let [channel, folder, fuse, counter] = numbers;
        let (channel, folder, fuse) = (inherited_fd(channel?)?, inherited_fd(folder?)?, inherited_fd(fuse?)?);
        let counter = match counter {
            Some(fd) => Some(File::from(inherited_fd(fd)?)),
            None => None,
        };
        Some((Self { channel: channel.into(), folder, fuse: fuse.into(), counter, uid }, args))
    }
}

fn text(value: Option<impl ToString>) -> String {
    value.map_or("-".into(), |value| value.to_string())
}

/// Reads what [`text`] writes; the outer None is for what is neither a number nor a dash.
fn optional<T: std::str::FromStr>(field: &str) -> Option<Option<T>> {
    if field == "-" { Some(None) } else { field.parse().ok().map(Some) }
}

fn inherited_fd(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: the call only reads a flag, and says whether the descriptor is open.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    // Only what came over the exec has the flag clear, and nothing in this process can have taken it yet.
    if fd < 3 || flags != 0 {
        return None;
    }
    // SAFETY: the descriptor is open, came over the exec and has no owner in this process; marking it as closed on exec
    // makes a second call for the same number fail above.
    unsafe {
        libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
        Some(OwnedFd::from_raw_fd(fd))
    }
}

/// First of the user ids to choose from: far above those that systems hand out; and, for containers that map only
/// 65,536 ids, a range that is meant for services without a name.
const UID_RANGES: [(u32, u32); 2] = [(1_414_000_000, 500_000), (61_184, 4_000)];

/// Gives the folder to an own user id where this process may do that, and closes it to all others.
fn assign(folder: &Path) -> io::Result<Option<u32>> {
    let owner = fs::metadata(folder)?.uid();
    let is_root = rustix::process::geteuid().is_root();
    let uid = if is_root { choose_uid(folder, owner)? } else { None };
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    Ok(uid)
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
