use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::fs::{Mode, OFlags};

use super::Image;
use super::prepare::Standing;
use super::uid::assign;
use super::walls::Walls;

/// How the launcher of a TEE is started.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Program to execute; [`Launch::THIS_PROGRAM`] for a fresh start of the running one.
    pub program: &'a Path,
    /// Its arguments; the one that [`Inherited::from_args`] reads is added at the end.
    pub args: &'a [&'a OsStr],
    /// The TEE's storage folder; it is made if it does not exist, and no one else may use it.
    pub folder: &'a Path,
    /// What else it needs from the outside, opened before the walls go up; in an order that both ends know.
    pub descriptors: &'a [Option<BorrowedFd<'a>>],
}

impl Launch<'_> {
    /// The running program, whatever became of its file.
    pub const THIS_PROGRAM: &'static str = "/proc/self/exe";
}

/// A TEE that was started.
#[derive(Debug)]
pub struct Launched {
    /// Its first process, the launcher. It ends when the Agent does, and that with the channel.
    pub child: Child,
    /// The Broker's end of the channel.
    pub channel: UnixStream,
    /// The user id that it was told to take, if an own one could be had.
    pub uid: Option<u32>,
}

/// What a process of the TEE got from the one that started it.
#[derive(Debug)]
pub struct Inherited {
    /// The TEE's end of the channel to the Broker.
    pub channel: UnixStream,
    /// The storage folder.
    pub folder: OwnedFd,
    /// What else it was given.
    pub descriptors: Vec<Option<OwnedFd>>,
    /// What it has already, or is to take.
    pub standing: Standing,
}

/// Prefix of the argument that names what is inherited: `--inherited=CHANNEL,FOLDER,UID|-,NAMESPACES,DESCRIPTOR|-,...`.
const ARGUMENT: &str = "--inherited=";
/// Most descriptors besides channel and folder.
const MAX_DESCRIPTORS: usize = 16;

/// Starts the launcher: a fresh exec with an empty environment, no standard input and output (its standard error is ours),
/// and no file descriptor but the channel, the storage folder and those that `launch` names. As root, the folder is given to
/// an unused user id first; in any case it is closed to all others.
pub fn spawn(launch: Launch<'_>) -> io::Result<Launched> {
    fs::create_dir_all(launch.folder)?;
    let uid = assign(launch.folder)?;
    fs::set_permissions(launch.folder, fs::Permissions::from_mode(0o700))?;
    let folder = rustix::fs::open(
        launch.folder,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let (ours, theirs) = UnixStream::pair()?;
    let keep = Keep::new(&theirs, &folder, launch.descriptors);
    let mut command = Command::new(launch.program);
    command.args(launch.args).arg(keep.argument(&Standing { uid, namespaces: 0 }));
    let child = start(command, keep, None)?;
    Ok(Launched { child, channel: ours, uid })
}

/// Starts the Agent from its measured image, with the channel and the folder that the launcher inherited, and with
/// `descriptors`. The walls that need not know the Agent stand before its first instruction: no file but the libraries that
/// this program has too, its own entry of /proc and the storage folder; no socket, no tracing; and it does not outlive the
/// launcher. The rest the Agent sets up itself ([`super::enter`]), and has to say so in Evidence.
///
/// Called by a process of one thread that went through [`super::prepare`].
pub fn spawn_agent(
    image: &Image,
    args: &[&OsStr],
    inherited: &Inherited,
    descriptors: &[Option<BorrowedFd<'_>>],
) -> io::Result<Child> {
    let walls = Walls::new(&inherited.folder)?;
    let keep = Keep::new(&inherited.channel, &inherited.folder, descriptors);
    // Of the sealed memory itself: no name of a file is followed to what runs.
    let mut command = Command::new(format!("/proc/self/fd/{}", image.file().as_raw_fd()));
    command.arg0("tamarack-agent").args(args).arg(keep.argument(&inherited.standing));
    start(command, keep, Some(walls))
}

/// The descriptors that an exec keeps.
struct Keep {
    channel: RawFd,
    folder: RawFd,
    others: Vec<Option<RawFd>>,
}

impl Keep {
    fn new(channel: &UnixStream, folder: &OwnedFd, others: &[Option<BorrowedFd<'_>>]) -> Self {
        let others = others.iter().map(|fd| fd.map(|fd| fd.as_raw_fd())).collect();
        Self { channel: channel.as_raw_fd(), folder: folder.as_raw_fd(), others }
    }

    fn argument(&self, standing: &Standing) -> String {
        let mut argument = format!("{ARGUMENT}{},{},", self.channel, self.folder);
        argument.push_str(&format!("{},{}", text(standing.uid), standing.namespaces));
        self.others.iter().for_each(|fd| argument.push_str(&format!(",{}", text(*fd))));
        argument
    }

    fn all(&self) -> Vec<RawFd> {
        [self.channel, self.folder].into_iter().chain(self.others.iter().copied().flatten()).collect()
    }
}

fn start(mut command: Command, keep: Keep, mut walls: Option<Walls>) -> io::Result<Child> {
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null());
    let keep = keep.all();
    // SAFETY: between fork and exec the closure makes only system calls on descriptors that the caller of `start` keeps open
    // until it returns. Where there are walls, it also allocates; their caller has one thread, so that no other one can have
    // held a lock of the allocator at the fork.
    unsafe {
        command.pre_exec(move || {
            inherit_only(&keep)?;
            walls.take().map_or(Ok(()), Walls::raise)
        });
    }
    command.spawn()
}

/// Marks every descriptor above standard error as closed on exec, except `keep`.
fn inherit_only(keep: &[RawFd]) -> io::Result<()> {
    // SAFETY: the call only sets a flag on descriptors of this process, which is about to exec.
    let marked =
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if marked != 0 {
        return Err(io::Error::last_os_error());
    }
    for fd in keep {
        // SAFETY: the descriptor is open (see the caller); the call only clears its flag.
        if unsafe { libc::fcntl(*fd, libc::F_SETFD, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

impl Inherited {
    /// Finds and takes what [`spawn`] or [`spawn_agent`] left: gives it and the arguments before it. None if it is not there,
    /// or if the descriptors are not what they should be.
    ///
    /// Call it once, first thing in the process.
    pub fn from_args(args: impl IntoIterator<Item = OsString>) -> Option<(Self, Vec<OsString>)> {
        let mut args: Vec<OsString> = args.into_iter().collect();
        let last = args.pop()?.into_string().ok()?;
        let mut fields = last.strip_prefix(ARGUMENT)?.split(',');
        let mut field = || fields.next();
        let (channel, folder) = (field()?.parse().ok()?, field()?.parse().ok()?);
        let standing = Standing { uid: optional(field()?)?, namespaces: field()?.parse().ok()? };
        let others: Vec<Option<RawFd>> = fields.map(optional).collect::<Option<_>>()?;
        if others.len() > MAX_DESCRIPTORS {
            return None;
        }
        // Taken one after the other: a number that stands twice is no longer inherited the second time.
        let (channel, folder) = (inherited_fd(channel)?, inherited_fd(folder)?);
        let others = others.into_iter().map(|fd| match fd {
            Some(fd) => inherited_fd(fd).map(Some),
            None => Some(None),
        });
        let descriptors = others.collect::<Option<_>>()?;
        Some((Self { channel: channel.into(), folder, descriptors, standing }, args))
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
