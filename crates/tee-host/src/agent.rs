//! The Agent's process: the sandbox, the sealed store on the folder behind it, the software platform, RustCrypto and the
//! Agent, on one channel. It holds no root secret and no attestation key; for what needs them it asks its launcher.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use tamarack_channel::{Failure, Message, Request, receive};
use tamarack_crypto::Provider;
use tamarack_model::codes;
use tamarack_tee_sandbox::isolation::{Inherited, Report, SecretMemory, enter};
use tamarack_tee_sandbox::launcher::Launcher;
use tamarack_tee_sandbox::panel::Panel;
use tamarack_tee_sandbox::root_secret::RootSecret;
use tamarack_tee_sandbox::sealed::{FolderDisk, Store};

use crate::REQUIRE_SANDBOX;
use crate::host::{Base, Device, Host};

/// The Agent's process, from its first to its last instruction. `args` are the program's arguments behind
/// [`crate::AGENT_SUBCOMMAND`]. Ends with success when the channel closes, and with failure if this is not the child of a
/// launcher or the channel carries what is not a request.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let inherited = Inherited::from_args(args);
    let Some((Inherited { channel, folder, descriptors, standing }, args)) = inherited else {
        eprintln!("this command is for the launcher of the TEE only");
        return ExitCode::from(2);
    };
    let require = args.iter().any(|arg| arg == REQUIRE_SANDBOX);
    let mut descriptors = descriptors.into_iter().flatten().map(UnixStream::from);
    let (socket, panel) = (descriptors.next(), descriptors.next().map(Panel::new));
    let provider = tamarack_crypto_rustcrypto::provider();
    let report = match enter(folder.as_fd(), standing, require) {
        Ok(report) => report,
        Err(error) => return serve_failure(channel, Failure::new(error.code(), error.to_string()), provider),
    };
    let launcher = match greet(socket, require) {
        Ok(launcher) => launcher,
        Err(failure) => return serve_failure(channel, failure, provider),
    };
    let device = open(Base { layers: report.layers, launcher: launcher.clone(), panel }, provider);
    serve(channel, Host::new(device, report, Some(launcher), provider))
}

/// Greets the launcher, which must be behind its own walls if all are required.
fn greet(socket: Option<UnixStream>, require: bool) -> Result<Launcher, Failure> {
    let socket = socket.ok_or_else(|| Failure::new(codes::TEE_LAUNCHER, "there is no launcher"))?;
    let launcher = Launcher::connect(socket).map_err(|e| Failure::new(e.code(), e.to_string()))?;
    let missing = &launcher.hello().missing;
    if require && !missing.is_empty() {
        let text = format!("missing sandbox layers around the launcher: {}", missing.join(", "));
        return Err(Failure::new(codes::TEE_SANDBOX, text));
    }
    Ok(launcher)
}

/// Opens the device in the current folder, behind the walls.
fn open(base: Base, provider: Provider) -> Result<Device, Failure> {
    let storage = |what: &str, error: io::Error| Failure::new(codes::TEE_STORAGE, format!("{what}: {error}"));
    let platform = |error: tamarack_tee::Error| Failure::new(error.code(), error.to_string());
    let mut secret = base.launcher.storage_secret().map_err(platform)?;
    let secret =
        SecretMemory::take(secret.expose_mut()).map_err(|e| storage("memory for the storage secret", e))?;
    let disk = FolderDisk::open(Path::new(".")).map_err(|e| storage("the storage folder", e))?;
    let store = Store::open(Box::new(disk), base.launcher.counter(), RootSecret::new(secret), provider)
        .map_err(platform)?;
    Device::open(store, base, provider)
}

/// Answers every request with why there is no device, so that people see the reason and not a broken channel.
pub(crate) fn serve_failure(channel: UnixStream, failure: Failure, provider: Provider) -> ExitCode {
    let report = Report { layers: Default::default(), missing: Vec::new(), uid: 0 };
    serve(channel, Host::new(Err(failure), report, None, provider))
}

/// Answers requests until the channel closes.
fn serve(mut channel: UnixStream, mut host: Host) -> ExitCode {
    loop {
        let message: Message<Request> = match receive(|buffer| channel.read_exact(buffer)) {
            Ok(Ok(message)) => message,
            Ok(Err(error)) => {
                eprintln!("{} the TEE ends: the channel carried {error}", error.code());
                return ExitCode::FAILURE;
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return ExitCode::SUCCESS,
            Err(_) => return ExitCode::FAILURE,
        };
        let body = host.handle(message.body);
        let reply = Message { id: message.id, body };
        let frames = reply.to_frames().or_else(|error| {
            let failure = Failure::new(error.code(), error.to_string());
            Message { id: message.id, body: tamarack_channel::Reply::failed(failure) }.to_frames()
        });
        match frames.map(|frames| channel.write_all(&frames)) {
            Ok(Ok(())) => {}
            // The Broker has gone.
            Ok(Err(_)) => return ExitCode::SUCCESS,
            Err(_) => return ExitCode::FAILURE,
        }
    }
}
