//! The walls around the software TEE, tried from both sides with real processes. The test starts itself again in other
//! roles: as a launcher without privilege, as the TEE, and as a curious neighbour.
//!
//! Root can always read everything (security rule S1), so where the tests run as root the attempts are made by a process
//! that has given root up.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use rustix::fs::OFlags;
use rustix::process::{Gid, Uid};
use tamarack_tee_sandbox::Layers;
use tamarack_tee_sandbox::isolation::{EnterError, Inherited, Launch, SecretMemory, enter, spawn};

const SECRET: &[u8; 32] = b"the root secret of this test TEE";
/// User ids that own nothing here: of a neighbour, and of a launcher without privilege.
const NEIGHBOUR: u32 = 60_123;
const NOBODY: u32 = 60_124;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = args.iter().filter_map(|a| a.to_str()).collect();
    match words.as_slice() {
        ["role-tee", ..] => tee(args),
        ["role-neighbour", uid, pid, address, folder] => {
            neighbour(uid.parse().unwrap(), pid, address.parse().unwrap(), Path::new(folder))
        }
        ["role-launcher", folder, fuse] => {
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
        let mut launcher = Command::new("/proc/self/exe");
        launcher.args([OsStr::new("role-launcher"), home.join("tee").as_os_str(), fuse.as_os_str()]);
        assert!(launcher.status().unwrap().success(), "as a user without privilege");
    }
    println!("isolation: all attempts refused");
}

fn s1_walls_hold(folder: &Path, fuse: &Path) {
    let root = rustix::process::geteuid().is_root();
    // A descriptor that must not reach the TEE.
    let _leak = rustix::io::dup(File::open("/dev/null").unwrap()).unwrap();
    let begun = Instant::now();
    let mut launched = spawn(Launch {
        program: Path::new(Launch::THIS_PROGRAM),
        args: &[OsStr::new("role-tee")],
        folder,
        fuse: File::open(fuse).unwrap(),
        counter: None,
    })
    .unwrap();
    let ready = line(&mut launched.channel);
    let took = begun.elapsed();
    let mut fields = ready.split(' ');
    let mut number = || fields.next().unwrap().parse::<u64>().unwrap();
    let (layers, uid, address) = (Layers::from_bits(number()), number() as u32, number());
    println!("ready in {took:?}, uid {uid}, layers: {layers}");
    loop {
        let report = line(&mut launched.channel);
        match report.as_str() {
            "end" => break,
            refused if refused.starts_with("refused ") => {}
            other => println!("{other}"),
        }
        assert!(!report.starts_with("allowed "), "inside the sandbox: {report}");
    }
    let expected = offered_by_kernel(launched.uid.is_some());
    assert!(layers.contains(expected), "this kernel offers {expected}, there are {layers}");
    assert_eq!(launched.uid.unwrap_or(rustix::process::geteuid().as_raw()), uid);

    let status = fs::metadata(folder).unwrap();
    assert_eq!(status.mode() & 0o777, 0o700);
    assert_eq!(status.uid(), uid);

    // From outside: with the same uid, and with a third one.
    let neighbours = if root { vec![uid, NEIGHBOUR] } else { vec![uid] };
    for as_uid in neighbours {
        let output = Command::new("/proc/self/exe")
            .args(["role-neighbour", &as_uid.to_string(), &launched.child.id().to_string()])
            .arg(address.to_string())
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

    drop(launched.channel);
    assert!(launched.child.wait().unwrap().success(), "the TEE ends with its channel");
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
    let mut launched = spawn(Launch {
        program: Path::new(Launch::THIS_PROGRAM),
        args: &[OsStr::new("role-tee"), OsStr::new("require")],
        folder,
        fuse: File::open(fuse).unwrap(),
        counter: None,
    })
    .unwrap();
    let answer = line(&mut launched.channel);
    // Without an own uid something is always missing.
    let complete = offered_by_kernel(launched.uid.is_some()).contains(Layers::ALL);
    assert_eq!(answer.starts_with("missing sandbox layers: "), !complete, "{answer}");
    assert!(complete || answer.contains("own-uid") == launched.uid.is_none(), "{answer}");
    while complete && line(&mut launched.channel) != "end" {}
    drop(launched.channel);
    assert!(launched.child.wait().unwrap().success());
}

fn s1_many_threads_are_refused() {
    let result = std::thread::scope(|scope| {
        let folder = File::open("/tmp").unwrap();
        scope.spawn(move || enter(folder.as_fd(), None, false)).join().unwrap()
    });
    assert!(matches!(result, Err(EnterError::Threads(2))), "{result:?}");
}

fn foreign_arguments_are_not_inherited() {
    for last in [
        "",
        "--inherited=",
        "--inherited=0,1,2,-,-",
        "--inherited=900,901,902,-,-",
        "--inherited=-,-,-,-,-",
        "--inherited=x",
    ] {
        assert!(Inherited::from_args([OsString::from(last)]).is_none(), "{last}");
    }
}

/// The TEE: enters the sandbox, says so, then tries to get out.
fn tee(args: Vec<OsString>) -> ExitCode {
    let (inherited, args) = Inherited::from_args(args).expect("descriptors of the launcher");
    let Inherited { mut channel, folder, mut fuse, counter: _, uid } = inherited;
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
    let environment = std::env::vars_os().count();
    // A descriptor of the host's root directory, as if one had been left open by mistake.
    let leaked = File::open("/").unwrap();
    let report = match enter(folder.as_fd(), uid, args.iter().any(|arg| arg == "require")) {
        Ok(report) => report,
        Err(error) => {
            writeln!(channel, "{error}").unwrap();
            return ExitCode::SUCCESS;
        }
    };

    let mut secret = SecretMemory::new(32).unwrap();
    fuse.read_exact(secret.expose_mut()).unwrap();
    assert_eq!(secret.expose(), SECRET);
    fs::write("sealed", b"sealed").unwrap();
    fs::rename("sealed", "state").unwrap();
    // An ordinary allocation is what a reader of memory would look for first.
    let copy = Box::new(*SECRET);
    writeln!(channel, "{} {} {}", report.layers.bits(), report.uid, copy.as_ptr() as usize).unwrap();

    let mut say = |name: &str, layer: Layers, refused: bool| {
        let word = match (report.layers.contains(layer), refused) {
            (_, true) => "refused",
            (true, false) => "allowed",
            (false, false) => "unprotected",
        };
        writeln!(channel, "{word} {name}").unwrap();
    };
    // Standard error, three inherited, one of the listing itself, and standard input and output.
    say("descriptors", Layers::NONE, descriptors == 7);
    say("environment", Layers::NONE, environment == 0);
    use rustix::net::{AddressFamily, SocketType, socket};
    say("socket", Layers::SECCOMP, socket(AddressFamily::INET, SocketType::STREAM, None).is_err());
    say(
        "connect",
        Layers::SECCOMP,
        UnixStream::connect("/run/x").is_err_and(|e| e.raw_os_error() == Some(1)),
    );
    say("execve", Layers::SECCOMP, Command::new("/bin/true").status().is_err());
    say("thread", Layers::SECCOMP, std::thread::Builder::new().spawn(|| ()).is_err());
    let through = |path| rustix::fs::openat(&leaked, path, OFlags::RDONLY, rustix::fs::Mode::empty());
    say("passwd through a descriptor", Layers::LANDLOCK, through("etc/passwd").is_err());
    say("listing through a descriptor", Layers::LANDLOCK, through(".").is_err());
    say("passwd", Layers::LANDLOCK, File::open("/etc/passwd").is_err());
    say("outside", Layers::LANDLOCK, File::open("/").is_err() || report.layers.contains(Layers::MOUNT_NS));
    say(
        "parent",
        Layers::LANDLOCK,
        fs::read_dir("../..").map_or(true, |d| d.flatten().any(|e| e.file_name() == "state")),
    );
    say("mknod", Layers::SECCOMP, !is_created("pipe"));
    let executable = [rustix::mm::ProtFlags::READ, rustix::mm::ProtFlags::EXEC].into_iter().collect();
    // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing.
    let code = unsafe {
        rustix::mm::mmap_anonymous(std::ptr::null_mut(), 4096, executable, rustix::mm::MapFlags::PRIVATE)
    };
    say("executable memory", Layers::SECCOMP, code.is_err());
    say(
        "kill",
        Layers::SECCOMP,
        rustix::process::test_kill_process(rustix::process::Pid::INIT) == Err(rustix::io::Errno::PERM),
    );
    say("root again", Layers::OWN_UID, rustix::thread::set_thread_uid(Uid::ROOT).is_err());
    for missing in &report.missing {
        writeln!(channel, "missing {missing}").unwrap();
    }
    writeln!(channel, "end").unwrap();

    let mut rest = Vec::new();
    channel.read_to_end(&mut rest).unwrap();
    assert_eq!(*copy, *SECRET);
    ExitCode::SUCCESS
}

fn is_created(name: &str) -> bool {
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, name, rustix::fs::FileType::Fifo, mode, 0).is_ok()
}

/// Another process of the machine: tries to read the TEE's memory and files.
fn neighbour(uid: u32, pid: &str, address: u64, folder: &Path) -> ExitCode {
    become_uid(uid);
    let number: i32 = pid.parse().unwrap();
    let say = |name: &str, refused: bool| println!("{} {name}", if refused { "refused" } else { "allowed" });
    let mut buffer = [0u8; 32];
    let mem = File::open(format!("/proc/{pid}/mem"));
    say("mem", mem.and_then(|f| f.read_exact_at(&mut buffer, address)).is_err());

    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: 32 };
    let remote = libc::iovec { iov_base: address as *mut _, iov_len: 32 };
    // SAFETY: `local` names a buffer of 32 bytes that outlives the call; `remote` is only an address in another process.
    let read = unsafe { libc::process_vm_readv(number, &raw const local, 1, &raw const remote, 1, 0) };
    say("process_vm_readv", read < 0);
    // SAFETY: PTRACE_SEIZE takes no memory of this process.
    let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, number, 0, 0) };
    say("ptrace", seized < 0);
    say("file", fs::read(folder.join("state")).is_err());
    assert_ne!(&buffer, SECRET);
    ExitCode::SUCCESS
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
