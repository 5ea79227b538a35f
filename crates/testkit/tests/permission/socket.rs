//! The socket of normal apps and the channel to the TEE: a real TEE behind its walls, a real Broker, apps on its socket,
//! and other users of the machine.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tamarack_broker::{Broker, Client, HttpOptions, Server, TamClient, Target, TeeChannel};
use tamarack_channel::{
    Action as Done, Enrolment, Message, PeripheralSeed, Profile, Proof, Reply, Request, Requests, SignerSeed,
    TamSeed, Value, receive,
};
use tamarack_crypto::KeyType;
use tamarack_model::permission::{Action, Grant, Place, Role};
use tamarack_model::{ComponentId, Protocol, codes};
use tamarack_pki::{Subject, Validity, certificates_from_pem, public_key_from_pem};
use tamarack_tee_host::{LaunchOptions, Root, launch};

use crate::matrix::Observed;
use crate::rest::{ACME, World, envelope, validity};

/// Argument by which the test becomes another user.
pub const STRANGER: &str = "__stranger";
/// The first user id of those.
pub const FIRST_UID: u32 = 61_950;
/// The frame of an operation that moves the valve, which there is none of: `[version 1, id 1, op 99, ["valve", "open"]]`.
const MOVE_THE_VALVE: &[u8] = b"\x84\x01\x01\x18\x63\x82\x65valve\x64open";

fn id(kind: &str) -> ComponentId {
    ComponentId::tamarack(ACME, [0x2c; 16], kind).unwrap()
}

fn actions() -> impl Iterator<Item = Action> {
    Action::ALL.iter().copied().filter(|action| action.place() == Place::Socket)
}

/// The folder of a device.
struct Folder {
    folder: PathBuf,
}

/// A TEE that was started; it ends with its channel.
struct Tee {
    stream: Option<UnixStream>,
    child: std::process::Child,
}

impl Folder {
    fn new(world: &World, name: &str) -> Self {
        let folder = world.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        Self { folder }
    }

    fn start(&self, create: bool) -> Tee {
        let (folder, fuse) = (self.folder.join("tee"), self.folder.join("fuse"));
        let options = LaunchOptions {
            folder: &folder,
            root: Root::File { fuse: &fuse },
            key_type: KeyType::Ed25519,
            agent: None,
            panel: None,
            create,
            require_sandbox: false,
        };
        let launched = launch(options).unwrap();
        Tee { stream: Some(launched.channel), child: launched.child }
    }
}

impl Tee {
    fn ask(&mut self, request: Request) -> Reply {
        let stream = self.stream.as_mut().unwrap();
        stream.write_all(&Message { id: 1, body: request }.to_frames().unwrap()).unwrap();
        receive::<Reply, _>(|buffer| stream.read_exact(buffer)).unwrap().unwrap().body
    }

    /// Sends what is no request; whether anything but the end came back.
    fn survives(&mut self, frame: &[u8]) -> bool {
        let stream = self.stream.as_mut().unwrap();
        stream.write_all(&[&(frame.len() as u32).to_be_bytes()[..], frame].concat()).unwrap();
        stream.read(&mut [0; 16]).is_ok_and(|read| read > 0)
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        drop(self.stream.take());
        let _ = self.child.wait();
    }
}

/// Whether the caller was let through; what came of it then is another matter, such as OTrP on a device that speaks TEEP.
fn let_through(result: &Result<Value, tamarack_channel::Failure>) -> bool {
    !matches!(result, Err(failure) if [codes::NOT_PERMITTED, codes::USAGE].contains(&failure.code))
}

/// The same of a device that is not enrolled: it says that first.
fn blank_lets_through(result: &Result<Value, tamarack_channel::Failure>) -> bool {
    let_through(result) && !matches!(result, Err(failure) if failure.code == codes::CONFIG_INVALID)
}

fn profile() -> Profile {
    Profile {
        common_name: "a device".into(),
        vendor_id: [1; 16],
        class_id: [2; 16],
        oemid: [3; 16],
        hwmodel: b"model".to_vec(),
        hwversion: "1".into(),
        key_type: KeyType::Ed25519,
        otrp: None,
        personas: 1,
    }
}

fn enrolment(world: &World, requests: &Requests) -> Enrolment {
    let Validity { not_before, not_after } = validity();
    let subject = Subject { uri: "urn:device:1".into(), common_name: "a device".into() };
    let leaf = world.tee_ca.issue_from_csr(&requests.attestation, subject, not_before, not_after).unwrap();
    let mut chain = certificates_from_pem(&leaf).unwrap();
    chain.push(world.tee_ca.cert_der().to_vec());
    let keys = world
        .tam_keys
        .iter()
        .map(|file| public_key_from_pem(&fs::read_to_string(file).unwrap()).unwrap().to_spki());
    Enrolment {
        chains: vec![chain],
        otrp_chains: Vec::new(),
        firmware_chains: Vec::new(),
        tams: vec![TamSeed {
            proof: Some(Proof::Keys(keys.collect())),
            otrp: None,
            protocol: Protocol::Teep,
            domains: 0,
            domain_quota: 0,
            uri: Some(world.url("/tam")),
            scopes: vec![Vec::new()],
            require_binding: true,
        }],
        signers: vec![SignerSeed {
            provider: ACME.into(),
            proof: Proof::Keys(vec![world.key(ACME).public_key().to_spki()]),
            prefixes: vec![vec![ACME.as_bytes().to_vec()]],
            quota: 1 << 20,
        }],
        peripherals: vec![PeripheralSeed { name: "valve".into(), tam: 0, manifest: id("suit") }],
        authority: None,
        owner: None,
    }
}

/// A request of each kind, with nothing in it that would make it fail before it is looked at.
fn request(action: Action) -> Request {
    let component = id("ta");
    match action {
        Action::TaRequest => Request::RequestTa { component, tam_uri: None },
        Action::TaUnrequest => Request::UnrequestTa { component },
        Action::TaAnnounce => Request::AnnounceTa { component, tam_uri: None },
        Action::PolicyCheck => Request::RequestPolicyCheck,
        Action::SessionOpen => open(),
        Action::SessionInvoke => invoke(1),
        Action::SessionClose => Request::CloseSession { session: 1 },
        Action::StatusRead => Request::Status,
        Action::OtrpInformation => Request::GetTaInformation { query: b"{}".to_vec(), tam_uri: None },
        Action::OtrpCarry => Request::ProcessOtrpMessage(b"{}".to_vec()),
        Action::BundleOffer => Request::OfferBundle { component, data: vec![1], last: true },
        Action::OwnerAsk => Request::OwnerChallenge,
        Action::OwnerCarry => Request::OwnerOrder(b"an order".to_vec()),
        Action::OrderCarry => Request::ChangeAnchor(b"an order".to_vec()),
        Action::TeepCarry => Request::ProcessTeepMessage(b"a message".to_vec()),
        Action::ExchangeFail => Request::ProcessError,
        Action::PayloadCarry => Request::Chunk { fetch: 1, data: vec![1], last: true },
        Action::PayloadFail => Request::FetchFailed { fetch: 1 },
        Action::DeviceMake => Request::Csr(profile()),
        Action::DeviceEnrol => Request::Enrol(nothing()),
        other => panic!("{} is no request", other.id()),
    }
}

fn open() -> Request {
    Request::OpenSession { target: Target::Component(id("ta")), tam_uri: None, params: Vec::new() }
}

fn invoke(session: u32) -> Request {
    Request::Invoke { session, command: 0, params: Vec::new() }
}

/// An enrolment that says nothing.
fn nothing() -> Enrolment {
    Enrolment {
        chains: Vec::new(),
        otrp_chains: Vec::new(),
        firmware_chains: Vec::new(),
        tams: Vec::new(),
        signers: Vec::new(),
        peripherals: Vec::new(),
        authority: None,
        owner: None,
    }
}

pub fn try_all(world: &World, observed: &mut Observed) {
    let hello = format!("{}/../../examples/ta/built/hello.wasm", env!("CARGO_MANIFEST_DIR"));
    let hello = fs::read(&hello).unwrap_or_else(|e| panic!("{hello}: {e}"));
    world.publish_envelope(ACME, &envelope(&id("suit"), &id("ta"), hello, world.key(ACME)));

    let place = Folder::new(world, "device");
    maker(world, &place, observed);

    // On the channel: the TEE ends, and the valve stays as it was.
    let moved = place.start(false).survives(MOVE_THE_VALVE);
    observed.note_whether(Action::ActuatorCommand, Role::Broker, moved);
    let mut tee = place.start(false);
    let Ok(Value::Status(status)) = tee.ask(Request::Status).result else { panic!("no status") };
    assert_eq!(status.peripherals, [("valve".to_string(), b"closed".to_vec())]);

    let channel = TeeChannel::new(tee.stream.take().unwrap());
    let http = TamClient::new(HttpOptions::default()).unwrap();
    let broker = Arc::new(Broker::new(channel, http, None));
    let server = Server::bind(&place.folder, Arc::clone(&broker)).unwrap();
    let socket = server.path().to_owned();
    std::thread::spawn(move || server.run(None));
    apps(&broker, &socket, observed);
    the_broker(&broker, &socket, observed);
    strangers(&place.folder, &socket, observed);
    // The broker's threads live as long as the test; the TEE must not be waited for.
    std::mem::forget(tee);
}

/// Who holds the channel of a device that is not enrolled.
fn maker(world: &World, place: &Folder, observed: &mut Observed) {
    let mut tee = place.start(true);
    let may = |action| matches!(action, Action::DeviceMake | Action::DeviceEnrol);
    for action in actions().filter(|action| !may(*action) && *action != Action::ActuatorCommand) {
        let answered = tee.ask(request(action)).result;
        observed.note_whether(action, Role::Maker, blank_lets_through(&answered));
    }
    let made = tee.ask(request(Action::DeviceMake)).result;
    observed.note_whether(Action::DeviceMake, Role::Maker, made.is_ok());
    let Ok(Value::Csr(requests)) = made else { panic!("{made:?}") };
    let enrolled = tee.ask(Request::Enrol(enrolment(world, &requests))).result;
    observed.note_whether(Action::DeviceEnrol, Role::Maker, enrolled.is_ok());
    assert_eq!(enrolled, Ok(Value::Done));
    let mut blank = Folder::new(world, "blank").start(true);
    observed.note_whether(Action::ActuatorCommand, Role::Maker, blank.survives(MOVE_THE_VALVE));
}

/// One request on a connection; how it ended, or None if the connection did.
fn say(stream: &mut UnixStream, frames: &[u8]) -> Option<Result<Value, tamarack_channel::Failure>> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(frames).ok()?;
    loop {
        let reply = receive::<Reply, _>(|buffer| stream.read_exact(buffer)).ok()?.ok()?.body;
        let finished = reply.actions.iter().find_map(|action| match action {
            Done::Finished { failure } => Some(failure.clone()),
            _ => None,
        });
        match (finished, reply.result) {
            (_, Err(failure)) | (Some(Some(failure)), Ok(_)) => return Some(Err(failure)),
            (Some(None), Ok(value)) => return Some(Ok(value)),
            (None, Ok(value)) if reply.actions.is_empty() => return Some(Ok(value)),
            // Progress: there is more to come.
            (None, Ok(_)) => {}
        }
    }
}

fn frames(request: Request) -> Vec<u8> {
    Message { id: 1, body: request }.to_frames().unwrap()
}

fn state(socket: &Path) -> [u8; 32] {
    Client::connect(socket).unwrap().status().unwrap().state_digest
}

fn install(broker: &Broker) {
    let exchange = broker.request_ta(&id("ta"), None, &mut |_| ()).unwrap();
    assert_eq!(exchange.failure, None);
}

fn session(stream: &mut UnixStream) -> u32 {
    match say(stream, &frames(open())) {
        Some(Ok(Value::Session(session))) => session,
        other => panic!("{other:?}"),
    }
}

fn apps(broker: &Broker, socket: &Path, observed: &mut Observed) {
    for action in actions() {
        if action != Action::TaRequest {
            install(broker);
        }
        let (mut app, mut other) =
            (UnixStream::connect(socket).unwrap(), UnixStream::connect(socket).unwrap());
        let before = state(socket);
        let grant = match action {
            Action::ActuatorCommand => {
                let frame = [&(MOVE_THE_VALVE.len() as u32).to_be_bytes()[..], MOVE_THE_VALVE].concat();
                whether(say(&mut app, &frame).is_some())
            }
            Action::SessionInvoke | Action::SessionClose => {
                let number = session(&mut app);
                let request = match action {
                    Action::SessionInvoke => invoke(number),
                    _ => Request::CloseSession { session: number },
                };
                let of_other = say(&mut other, &frames(request.clone())).unwrap();
                let own = say(&mut app, &frames(request)).unwrap();
                match (own.is_ok(), of_other.is_ok()) {
                    (true, true) => Grant::Allowed,
                    (true, false) => Grant::Own,
                    (false, _) => Grant::Denied,
                }
            }
            _ => whether(say(&mut app, &frames(request(action))).is_some_and(|result| let_through(&result))),
        };
        if grant == Grant::Denied {
            assert_eq!(state(socket), before, "{}: a refusal changed the device", action.id());
        }
        if action == Action::TaRequest {
            let status = Client::connect(socket).unwrap().status().unwrap();
            assert!(status.installed.iter().any(|one| one.component == id("ta")), "the app has its TA");
        }
        observed.note(action, Role::App, grant);
    }
}

fn whether(allowed: bool) -> Grant {
    if allowed { Grant::Allowed } else { Grant::Denied }
}

/// The channel as the Broker has it: any session is in its hands.
fn the_broker(broker: &Broker, socket: &Path, observed: &mut Observed) {
    for action in actions().filter(|action| *action != Action::ActuatorCommand) {
        install(broker);
        let mut app = UnixStream::connect(socket).unwrap();
        let before = state(socket);
        let request = match action {
            Action::SessionInvoke => invoke(session(&mut app)),
            Action::SessionClose => Request::CloseSession { session: session(&mut app) },
            _ => request(action),
        };
        let allowed = let_through(&broker.call(request).unwrap().result);
        if !allowed {
            assert_eq!(state(socket), before, "{}: a refusal changed the device", action.id());
        }
        observed.note_whether(action, Role::Broker, allowed);
    }
}

/// Everybody else is another user of the machine. Even where the folder lies open, the Broker looks who calls.
fn strangers(folder: &Path, socket: &Path, observed: &mut Observed) {
    let root = rustix::process::geteuid().is_root();
    let open_to_all = |mode: u32, of_socket: u32| {
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
        fs::set_permissions(socket, fs::Permissions::from_mode(of_socket)).unwrap();
    };
    fs::set_permissions(folder.parent().unwrap(), fs::Permissions::from_mode(0o711)).unwrap();
    for (number, role) in Role::ALL.into_iter().enumerate() {
        if matches!(role, Role::App | Role::Broker | Role::Maker) {
            continue;
        }
        let uid = FIRST_UID + number as u32;
        if !root {
            // Without root there is no other user to become: the question that the Broker asks itself is asked here.
            let let_in = tamarack_broker::admits(uid, rustix::process::geteuid().as_raw());
            actions().for_each(|action| observed.note_whether(action, role, let_in));
            continue;
        }
        open_to_all(0o700, 0o600);
        let closed = as_stranger(uid, socket);
        open_to_all(0o777, 0o666);
        let before = state(socket);
        let open = as_stranger(uid, socket);
        assert_eq!(state(socket), before);
        for (action, (closed, open)) in actions().zip(closed.into_iter().zip(open)) {
            observed.note_whether(action, role, closed || open);
        }
    }
    open_to_all(0o700, 0o600);
}

/// Whether a process of this user gets an answer to each request.
fn as_stranger(uid: u32, socket: &Path) -> Vec<bool> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([STRANGER, &uid.to_string()])
        .arg(socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for action in actions() {
        let frames = match action {
            Action::ActuatorCommand => {
                [&(MOVE_THE_VALVE.len() as u32).to_be_bytes()[..], MOVE_THE_VALVE].concat()
            }
            _ => frames(request(action)),
        };
        writeln!(input, "{}", hex::encode(frames)).unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the stranger failed");
    let lines: Vec<bool> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| line == "in").collect();
    assert_eq!(lines.len(), actions().count());
    lines
}

/// The stranger's process: `UID SOCKET`, frames in hexadecimal on standard input.
pub fn stranger(args: &[OsString]) -> ExitCode {
    become_user(args[0].to_str().unwrap().parse().unwrap());
    for line in std::io::stdin().lock().lines() {
        let frames = hex::decode(line.unwrap()).unwrap();
        let answered = UnixStream::connect(Path::new(&args[1]))
            .is_ok_and(|mut stream| say(&mut stream, &frames).is_some());
        println!("{}", if answered { "in" } else { "out" });
    }
    ExitCode::SUCCESS
}

/// Takes this user id, and nothing of any group; for a process of one thread that is root.
pub fn become_user(uid: u32) {
    use rustix::process::{Gid, Uid};
    rustix::thread::set_thread_groups(&[]).unwrap();
    let (gid, uid) = (Gid::from_raw(uid), Uid::from_raw(uid));
    rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
    rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
}
