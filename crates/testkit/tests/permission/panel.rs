//! The device's own panel: a person's process that is at it, and everybody else, who would rather answer in that person's
//! place. The test starts itself again as both.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use tamarack_model::permission::{Action, Place, Role};
use tamarack_tee_sandbox::panel::{self, Panel};
use tempfile::TempDir;

use crate::matrix::Observed;
use crate::socket::{FIRST_UID, become_user};

/// Argument by which the test becomes the person at the panel: `UID SOCKET yes|no`.
pub const PERSON: &str = "__person";
/// Argument by which the test becomes somebody who wants to confirm: `UID SOCKET`.
pub const INTRUDER: &str = "__intruder";
/// The person's user id.
const PERSON_UID: u32 = FIRST_UID - 1;
const QUESTION: &str = "acme (wallet) asks: Pay 49.90 to Bookshop?";

pub fn try_all(observed: &mut Observed) {
    for action in Action::ALL.iter().copied().filter(|action| action.place() == Place::Panel) {
        assert_eq!(action, Action::PanelConfirm);
        for role in Role::ALL {
            observed.note_whether(action, role, attempt(role));
        }
    }
}

/// Whether a TA that asks is told yes. The person says no, unless the role is the person's own; others use what they have: a
/// user id of the machine, or that of the rich OS, which is root here.
fn attempt(role: Role) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let is_rich_os = matches!(role, Role::App | Role::Broker);
    if own != 0 && role == Role::User {
        // Without root there is no other user to become: what the launcher asks is asked here.
        return panel::may_confirm(own + 1, own);
    }
    let rich_os = if own == 0 || is_rich_os { own } else { own + 1 };
    let scratch = TempDir::new().unwrap();
    let home = scratch.path().join("home");
    fs::create_dir(&home).unwrap();
    for folder in [scratch.path(), &home] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).unwrap();
    }
    if own == 0 {
        std::os::unix::fs::chown(&home, Some(PERSON_UID), Some(PERSON_UID)).unwrap();
    }
    let socket = home.join("panel");
    let answer = if role == Role::User { "yes" } else { "no" };
    let _person = Actor::start(PERSON, PERSON_UID, &socket, answer);
    let connect = || panel::connect(&socket, Some(rich_os)).ok().map(Panel::new);
    let says_yes = |panel: Option<Panel>| {
        let panel = panel.map(|panel| panel.with_timeout(Duration::from_secs(10)));
        panel.is_some_and(|panel| panel.ask(QUESTION) == Ok(true))
    };
    if role == Role::User {
        return says_yes(connect());
    }
    let running = connect();
    let number = Role::ALL.iter().position(|other| *other == role).unwrap() as u32;
    let uid = if is_rich_os { own } else { FIRST_UID + number };
    let _intruder = Actor::start(INTRUDER, uid, &socket, "");
    // On the device that runs, and after it was started anew.
    says_yes(running) || says_yes(connect())
}

/// A process that has said that it is ready; ended when dropped.
struct Actor(Child);

impl Actor {
    fn start(what: &str, uid: u32, socket: &Path, answer: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([what, &uid.to_string()]).arg(socket).arg(answer);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready", "{what} as {uid}");
        Self(child)
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ready() {
    println!("ready");
    std::io::stdout().flush().unwrap();
}

fn answer_all(listener: UnixListener, answer: bool) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || panel::serve(&mut stream, |_| Ok(answer)));
        }
    });
}

/// Until the test ends it.
fn wait() -> ExitCode {
    let _ = std::io::stdin().read(&mut [0]);
    ExitCode::SUCCESS
}

fn start(args: &[OsString]) -> &Path {
    if rustix::process::geteuid().is_root() {
        become_user(args[0].to_str().unwrap().parse().unwrap());
    }
    Path::new(&args[1])
}

/// The person's process. Everybody may connect to it, though `tamarack panel` lets nobody.
pub fn person(args: &[OsString]) -> ExitCode {
    let socket = start(args);
    let listener = UnixListener::bind(socket).unwrap();
    fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).unwrap();
    answer_all(listener, args[2] == "yes");
    ready();
    wait()
}

/// The intruder's process: says yes to whoever is at the panel, then takes its place, if it can.
pub fn intruder(args: &[OsString]) -> ExitCode {
    let socket = start(args);
    let mut held = Vec::new();
    for number in 1..=8 {
        let Ok(mut stream) = UnixStream::connect(socket) else { continue };
        // `[number, true]` behind its length.
        let _ = stream.write_all(&[0, 0, 0, 3, 0x82, number, 0xf5]);
        held.push(stream);
    }
    let _ = fs::remove_file(socket);
    if let Ok(listener) = UnixListener::bind(socket) {
        answer_all(listener, true);
    }
    ready();
    wait()
}
