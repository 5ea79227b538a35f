//! The walls around the two processes of the software TEE, tried from both sides with real processes. The test starts itself
//! again in other roles: as somebody without privilege who starts a TEE, as its launcher, as its Agent, and as a curious
//! neighbour.
//!
//! Root can always read everything (security rule S1), so where the tests run as root the attempts are made by a process
//! that has given root up.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use rustix::fs::OFlags;
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::process::{Gid, Uid};
use tamarack_crypto_rustcrypto::provider;
use tamarack_tee_sandbox::Layers;
use tamarack_tee_sandbox::isolation::{
    EnterError, Image, Inherited, Launch, Launched, SecretMemory, Standing, enter, measure, prepare, spawn,
    spawn_agent,
};

const SECRET: &[u8; 32] = b"the root secret of this test TEE";
/// User ids that own nothing here: of a neighbour, and of a launcher without privilege.
const NEIGHBOUR: u32 = 60_123;
const NOBODY: u32 = 60_124;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = args.iter().filter_map(|a| a.to_str()).collect();
    match words.as_slice() {
        ["role-launcher", ..] => launcher(args),
        ["role-agent", ..] => agent(args),
        ["role-neighbour", uid, pid, address, folder] => {
            neighbour(uid.parse().unwrap(), pid, address.parse().unwrap(), Path::new(folder))
        }
        ["role-nobody", folder, fuse] => {
            become_uid(NOBODY);
            s1_walls_hold(Path::new(folder), Path::new(fuse));
            s1_required_layers_are_an_error(Path::new(folder), Path::new(fuse));
            ExitCode::SUCCESS
        }
        // What cargo's test runner passes (filters, --nocapture) selects nothing here: there is one story.
        ["--list", ..] => ExitCode::SUCCESS,
        _ => {
            all();
            ExitCode::SUCCESS
        }
    }
}

fn all() {
    let scratch = tempfile::tempdir().unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let fuse = scratch.path().join("fuse");
    fs::write(&fuse, SECRET).unwrap();

    s1_walls_hold(&scratch.path().join("tee"), &fuse);
    s1_required_layers_are_an_error(&scratch.path().join("tee"), &fuse);
    s1_many_threads_are_refused();
    foreign_arguments_are_not_inherited();

    if rustix::process::geteuid().is_root() {
        // The same again as started by a user without privilege: no own uid can be had, the rest must hold.
        let home = scratch.path().join("home");
        fs::create_dir(&home).unwrap();
        for path in [&home, &fuse] {
            std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut nobody = Command::new("/proc/self/exe");
        nobody.args([OsStr::new("role-nobody"), home.join("tee").as_os_str(), fuse.as_os_str()]);
        assert!(nobody.status().unwrap().success(), "as a user without privilege");
    }
    println!("isolation: all attempts refused");
}

/// A TEE with this test as launcher and, from a copy that is destroyed as soon as it is measured, as Agent.
fn start(folder: &Path, fuse: &Path, require: bool) -> Launched {
    // A descriptor that must not reach the TEE.
    let _leak = rustix::io::dup(File::open("/dev/null").unwrap()).unwrap();
    let code = OpenOptions::new().read(true).write(true).open(copy_of_this(folder)).unwrap();
    let fuse_file = File::open(fuse).unwrap();
    let mut args = vec![OsStr::new("role-launcher"), fuse.as_os_str()];
    args.extend(require.then_some(OsStr::new("require")));
    spawn(Launch {
        program: Path::new(Launch::THIS_PROGRAM),
        args: &args,
        folder,
        descriptors: &[Some(fuse_file.as_fd()), None, Some(code.as_fd())],
    })
    .unwrap()
}

/// A copy of this program beside the folder; hundreds of tests would pay for it, these few do not mind.
fn copy_of_this(folder: &Path) -> PathBuf {
    let copy = folder.with_extension("code");
    let _ = fs::remove_file(&copy);
    fs::copy("/proc/self/exe", &copy).unwrap();
    copy
}

/// Reads reports up to `last`; nothing was allowed.
fn reports(channel: &mut UnixStream, last: &str) {
    loop {
        let report = line(channel);
        match report.as_str() {
            end if end == last => return,
            refused if refused.starts_with("refused ") => {}
            other => println!("{other}"),
        }
        assert!(!report.starts_with("allowed "), "inside the sandbox: {report}");
    }
}

fn s1_walls_hold(folder: &Path, fuse: &Path) {
    let root = rustix::process::geteuid().is_root();
    let begun = Instant::now();
    let mut launched = start(folder, fuse, false);
    let introduction = |line: String| {
        let numbers: Vec<u64> = line.split(' ').map(|field| field.parse().unwrap()).collect();
        (Layers::from_bits(numbers[0]), numbers[1] as u32, numbers[2], numbers[3])
    };
    let own_uid = launched.uid.unwrap_or(rustix::process::geteuid().as_raw());

    // The launcher: its digest of the Agent is that of the file as it was, and what was written over it does not run.
    let digest = line(&mut launched.channel);
    let own = measure(&mut File::open("/proc/self/exe").unwrap(), &provider()).unwrap();
    assert_eq!(digest, format!("{own:?}"));
    let (layers, uid, launcher_address, launcher_pid) = introduction(line(&mut launched.channel));
    println!("launcher ready in {:?}, uid {uid}, layers: {layers}", begun.elapsed());
    assert_eq!((uid, launcher_pid), (own_uid, launched.child.id().into()));
    let mut expected = offered_by_kernel(launched.uid.is_some());
    for namespaces in [Layers::USER_NS, Layers::MOUNT_NS] {
        expected = Layers::from_bits(expected.bits() & !namespaces.bits());
    }
    assert!(layers.contains(expected), "this kernel offers {expected}, there are {layers}");
    reports(&mut launched.channel, "end of launcher");

    // The Agent.
    reports(&mut launched.channel, "before its own walls");
    let (layers, uid, address, pid) = introduction(line(&mut launched.channel));
    println!("Agent ready in {:?}, uid {uid}, layers: {layers}", begun.elapsed());
    reports(&mut launched.channel, "end");
    let expected = offered_by_kernel(launched.uid.is_some());
    assert!(layers.contains(expected), "this kernel offers {expected}, there are {layers}");
    assert_eq!(own_uid, uid);
    assert_ne!(pid, launcher_pid);

    let status = fs::metadata(folder).unwrap();
    assert_eq!(status.mode() & 0o777, 0o700);
    assert_eq!(status.uid(), uid);

    // From outside: with the same uid, and with a third one; both processes.
    let neighbours = if root { vec![uid, NEIGHBOUR] } else { vec![uid] };
    for as_uid in neighbours {
        for (pid, address) in [(pid, address), (launcher_pid, launcher_address)] {
            let output = Command::new("/proc/self/exe")
                .args(["role-neighbour", &as_uid.to_string(), &pid.to_string(), &address.to_string()])
                .arg(folder)
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "neighbour: {}", String::from_utf8_lossy(&output.stderr));
            for attempt in ["mem", "process_vm_readv", "ptrace"] {
                assert!(text.contains(&format!("refused {attempt}")), "uid {as_uid} outside: {text}");
            }
            if as_uid != uid {
                assert!(text.contains("refused file"), "uid {as_uid} outside: {text}");
            }
        }
    }

    drop(launched.channel);
    assert!(launched.child.wait().unwrap().success(), "the TEE ends with its channel");
    let status = format!("/proc/{pid}/stat");
    assert!(!Path::new(&status).exists(), "and nothing of it stays");
}

/// The layers that this machine offers to this user, asked in other ways than the sandbox does.
fn offered_by_kernel(own_uid: bool) -> Layers {
    let can_unshare = |what: &str| {
        Command::new("unshare")
            .args(["-U", what, "true"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    };
    // SAFETY: asks for the version of Landlock; no memory is passed.
    let landlock = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, 1) };
    let mut offered = Layers::NONE;
    for (layer, is_offered) in [
        (Layers::OWN_UID, own_uid),
        (Layers::NO_DUMP, true),
        (Layers::SECCOMP, true),
        (Layers::USER_NS, can_unshare("-U")),
        (Layers::NET_NS, can_unshare("-n")),
        (Layers::MOUNT_NS, can_unshare("-m")),
        (Layers::LANDLOCK, landlock > 0),
        (Layers::MEMFD_SECRET, SecretMemory::new(1).is_ok_and(|memory| memory.is_hidden())),
    ] {
        if is_offered {
            offered.insert(layer);
        }
    }
    offered
}

/// With every layer required, one that is missing keeps the TEE from starting.
fn s1_required_layers_are_an_error(folder: &Path, fuse: &Path) {
    let mut launched = start(folder, fuse, true);
    reports_up_to(&mut launched.channel, "before its own walls");
    let answer = line(&mut launched.channel);
    // Without an own uid something is always missing.
    let complete = offered_by_kernel(launched.uid.is_some()).contains(Layers::ALL);
    assert_eq!(answer.starts_with("missing sandbox layers: "), !complete, "{answer}");
    assert!(complete || answer.contains("own-uid") == launched.uid.is_none(), "{answer}");
    while complete && line(&mut launched.channel) != "end" {}
    drop(launched.channel);
    assert!(launched.child.wait().unwrap().success());
}

fn reports_up_to(channel: &mut UnixStream, last: &str) {
    while line(channel) != last {}
}

fn s1_many_threads_are_refused() {
    let result = std::thread::scope(|scope| {
        let folder = File::open("/tmp").unwrap();
        let outcome = move || (enter(folder.as_fd(), Standing::default(), false).err(), prepare(None).err());
        scope.spawn(outcome).join().unwrap()
    });
    let threads = |error: &Option<EnterError>| matches!(error, Some(EnterError::Threads(2)));
    assert!(threads(&result.0) && threads(&result.1), "{result:?}");
}

fn foreign_arguments_are_not_inherited() {
    for last in [
        "",
        "--inherited=",
        "--inherited=0,1,-,0",
        "--inherited=900,901,-,0,902",
        "--inherited=-,-,-,0",
        "--inherited=x",
    ] {
        assert!(Inherited::from_args([OsString::from(last)]).is_none(), "{last}");
    }
}

/// The launcher: measures and starts the Agent, closes the door behind itself, then tries to get out. Its reports go to the
/// channel before the Agent's, which waits for it.
fn launcher(args: Vec<OsString>) -> ExitCode {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
    let environment = std::env::vars_os().count();
    let (mut inherited, args) = Inherited::from_args(args).expect("descriptors");
    let fuse_path = args[1].clone();
    let prepared = prepare(inherited.standing.uid).unwrap();
    inherited.standing = prepared.standing();
    let [Some(fuse), None, Some(code)] = &inherited.descriptors[..] else { panic!("fuse, nothing, code") };
    let mut secret = SecretMemory::new(32).unwrap();
    File::from(fuse.try_clone().unwrap()).read_exact(secret.expose_mut()).unwrap();
    assert_eq!(secret.expose(), SECRET);
    let copy = Box::new(*SECRET);

    let mut code = File::from(code.try_clone().unwrap());
    let image = Image::copy(&mut code, &provider()).unwrap();
    code.set_len(0).unwrap();
    code.write_all_at(b"#!/bin/false\n", 0).unwrap();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let mut channel = inherited.channel.try_clone().unwrap();
    let address = copy.as_ptr() as usize;
    let numbers = format!("{},{address}", std::process::id());
    let mut words = vec![OsStr::new("role-agent"), OsStr::new(&numbers), &fuse_path];
    words.extend(args.get(2).map(|require| &**require));
    let mut child = spawn_agent(&image, &words, &inherited, &[Some(theirs.as_fd())]).unwrap();
    let digest = *image.digest();
    drop((inherited, image, code, theirs));
    let leaked = File::open("/").unwrap();
    let report = prepared.close();

    writeln!(channel, "{digest:?}").unwrap();
    writeln!(channel, "{} {} {address} {}", report.layers.bits(), report.uid, std::process::id()).unwrap();
    let mut say = Say { channel: &mut channel, layers: report.layers };
    // Standard error, channel, folder, two inherited, one of the listing itself, and standard input and output.
    say.of("descriptors", Layers::NONE, descriptors == 8);
    say.of("environment", Layers::NONE, environment == 0);
    say.common(&leaked);
    say.of("the agent's memory", Layers::SECCOMP, !can_read(child.id(), address as u64));
    for missing in &report.missing {
        writeln!(channel, "missing {missing}").unwrap();
    }
    writeln!(channel, "end of launcher").unwrap();
    drop(channel);
    ours.write_all(b"g").unwrap();
    // Nothing is asked of it; the Agent ends with the channel.
    let mut rest = Vec::new();
    ours.read_to_end(&mut rest).unwrap();
    let ended = child.wait().unwrap();
    assert_eq!((*copy, secret.expose()), (*SECRET, &SECRET[..]));
    if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The Agent: tries what it must not be able to even if it leaves out its own walls; then raises them and tries again.
fn agent(args: Vec<OsString>) -> ExitCode {
    let descriptors = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let environment = std::env::vars_os().count();
    let (inherited, args) = Inherited::from_args(args).expect("descriptors of the launcher");
    let Inherited { mut channel, folder, descriptors: mut given, standing } = inherited;
    let mut gate = File::from(given.remove(0).unwrap());
    gate.read_exact(&mut [0]).unwrap();
    let numbers = args[1].to_str().unwrap();
    let (pid, address) = numbers.split_once(',').unwrap();
    let (pid, address) = (pid.parse().unwrap(), address.parse().unwrap());

    let mut say = Say { channel: &mut channel, layers: Layers::ALL };
    // Standard error, channel, folder, one inherited, one of the listing itself, and standard input and output.
    say.of("descriptors", Layers::NONE, descriptors == 7);
    say.of("environment", Layers::NONE, environment == 0);
    say.of("the root secret by its name", Layers::LANDLOCK, File::open(&args[2]).is_err());
    say.of("passwd by its name", Layers::LANDLOCK, File::open("/etc/passwd").is_err());
    say.of("another program", Layers::LANDLOCK, Command::new("/bin/true").status().is_err());
    say.of("a socket", Layers::SECCOMP, socket(AddressFamily::UNIX, SocketType::STREAM, None).is_err());
    say.of("the launcher's memory", Layers::SECCOMP, !can_read(pid, address));
    let own_code = OpenOptions::new().write(true).open("/proc/self/exe");
    say.of("writing to its own code", Layers::NONE, own_code.is_err());
    // A child would go on when the launcher ends.
    let thread = std::thread::Builder::new().spawn(|| ());
    say.of("a thread before its own walls", Layers::SECCOMP, thread.is_err());
    // SAFETY: a child that could be made would share nothing that this process writes to, and ends at once.
    let child = unsafe { libc::fork() };
    if child == 0 {
        std::process::exit(0);
    }
    say.of("a child", Layers::SECCOMP, child < 0);
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: getpid has no arguments; where this interface is missing the call is unknown, which is another error.
        let other = unsafe { libc::syscall(libc::SYS_getpid | 0x4000_0000) };
        let errno = std::io::Error::last_os_error().raw_os_error();
        say.of("the x32 interface", Layers::SECCOMP, other < 0 && errno == Some(libc::EPERM));
    }
    writeln!(channel, "before its own walls").unwrap();

    // A descriptor of the host's processes, as if one had been left open by mistake.
    let leaked = File::open("/proc").unwrap();
    let report = match enter(folder.as_fd(), standing, args.iter().any(|arg| arg == "require")) {
        Ok(report) => report,
        Err(error) => {
            writeln!(channel, "{error}").unwrap();
            return ExitCode::SUCCESS;
        }
    };
    fs::write("sealed", b"sealed").unwrap();
    fs::rename("sealed", "state").unwrap();
    // An ordinary allocation is what a reader of memory would look for first.
    let copy = Box::new(*SECRET);
    let (bits, uid, own) = (report.layers.bits(), report.uid, copy.as_ptr() as usize);
    writeln!(channel, "{bits} {uid} {own} {}", std::process::id()).unwrap();
    let mut say = Say { channel: &mut channel, layers: report.layers };
    say.common(&leaked);
    say.of("the launcher's memory", Layers::SECCOMP, !can_read(pid, address));
    say.of(
        "parent",
        Layers::LANDLOCK,
        fs::read_dir("../..").map_or(true, |d| d.flatten().any(|e| e.file_name() == "state")),
    );
    say.of("outside", Layers::LANDLOCK, File::open("/").is_err() || report.layers.contains(Layers::MOUNT_NS));
    for missing in &report.missing {
        writeln!(channel, "missing {missing}").unwrap();
    }
    writeln!(channel, "end").unwrap();

    let mut rest = Vec::new();
    channel.read_to_end(&mut rest).unwrap();
    assert_eq!(*copy, *SECRET);
    ExitCode::SUCCESS
}

/// Tells the test what was tried.
struct Say<'a> {
    channel: &'a mut UnixStream,
    layers: Layers,
}

impl Say<'_> {
    fn of(&mut self, name: &str, layer: Layers, refused: bool) {
        let word = match (self.layers.contains(layer), refused) {
            (_, true) => "refused",
            (true, false) => "allowed",
            (false, false) => "unprotected",
        };
        writeln!(self.channel, "{word} {name}").unwrap();
    }

    /// What neither process may do behind all its walls. `leaked` is a folder of the host that was left open.
    fn common(&mut self, leaked: &File) {
        self.of("socket", Layers::SECCOMP, socket(AddressFamily::INET, SocketType::STREAM, None).is_err());
        let connected = UnixStream::connect("/run/x");
        self.of("connect", Layers::SECCOMP, connected.is_err_and(|e| e.raw_os_error() == Some(1)));
        self.of("execve", Layers::SECCOMP, Command::new("/bin/true").status().is_err());
        self.of("thread", Layers::SECCOMP, std::thread::Builder::new().spawn(|| ()).is_err());
        let through = |path| rustix::fs::openat(leaked, path, OFlags::RDONLY, rustix::fs::Mode::empty());
        self.of(
            "a file through a descriptor",
            Layers::LANDLOCK,
            through("self/environ").is_err() && through("etc/passwd").is_err(),
        );
        self.of("a listing through a descriptor", Layers::LANDLOCK, through(".").is_err());
        self.of("passwd", Layers::LANDLOCK, File::open("/etc/passwd").is_err());
        self.of("mknod", Layers::SECCOMP, !is_created("pipe"));
        let executable = [rustix::mm::ProtFlags::READ, rustix::mm::ProtFlags::EXEC].into_iter().collect();
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing.
        let code = unsafe {
            let flags = rustix::mm::MapFlags::PRIVATE;
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), 4096, executable, flags)
        };
        self.of("executable memory", Layers::SECCOMP, code.is_err());
        let killed = rustix::process::test_kill_process(rustix::process::Pid::INIT);
        self.of("kill", Layers::SECCOMP, killed == Err(rustix::io::Errno::PERM));
        self.of("root again", Layers::OWN_UID, rustix::thread::set_thread_uid(Uid::ROOT).is_err());
    }
}

fn is_created(name: &str) -> bool {
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, name, rustix::fs::FileType::Fifo, mode, 0).is_ok()
}

/// Another process of the machine: tries to read the TEE's memory and files.
fn neighbour(uid: u32, pid: &str, address: u64, folder: &Path) -> ExitCode {
    become_uid(uid);
    let say = |name: &str, refused: bool| println!("{} {name}", if refused { "refused" } else { "allowed" });
    let [mem, process_vm_readv, ptrace] = read_attempts(pid.parse().unwrap(), address);
    say("mem", !mem);
    say("process_vm_readv", !process_vm_readv);
    say("ptrace", !ptrace);
    say("file", fs::read(folder.join("state")).is_err());
    ExitCode::SUCCESS
}

fn can_read(pid: u32, address: u64) -> bool {
    read_attempts(pid, address).contains(&true)
}

/// Tries to read another process in three ways.
fn read_attempts(pid: u32, address: u64) -> [bool; 3] {
    let number = pid as i32;
    let mut buffer = [0u8; 32];
    let mem = File::open(format!("/proc/{pid}/mem"));
    let mem = mem.and_then(|f| f.read_exact_at(&mut buffer, address)).is_ok();

    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: 32 };
    let remote = libc::iovec { iov_base: address as *mut _, iov_len: 32 };
    // SAFETY: `local` names a buffer of 32 bytes that outlives the call; `remote` is only an address in another process.
    let read = unsafe { libc::process_vm_readv(number, &raw const local, 1, &raw const remote, 1, 0) };
    // SAFETY: PTRACE_SEIZE takes no memory of this process.
    let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, number, 0, 0) };
    assert_ne!(&buffer, SECRET);
    [mem, read >= 0, seized >= 0]
}

fn become_uid(uid: u32) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
    rustix::thread::set_thread_groups(&[]).unwrap();
    rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
    rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
}

fn line(stream: &mut UnixStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte).expect("a line of the TEE");
        match byte[0] {
            b'\n' => return String::from_utf8(text).unwrap(),
            other => text.push(other),
        }
    }
}
