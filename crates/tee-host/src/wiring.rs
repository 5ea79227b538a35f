//! What the TEE is made of: the sandbox, the sealed store on the folder behind it, the software platform, RustCrypto and
//! the Agent, on one channel.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use tamarack_channel::{Failure, Message, Request, receive};
use tamarack_crypto::{HashAlgorithm, Provider};
use tamarack_model::codes;
use tamarack_tee_sandbox::isolation::{Inherited, Report, SecretMemory, enter};
use tamarack_tee_sandbox::platform::Measured;
use tamarack_tee_sandbox::root_secret::RootSecret;
use tamarack_tee_sandbox::sealed::{Counter, FolderDisk, Store};

use crate::REQUIRE_SANDBOX;
use crate::host::{Device, Host};

/// The TEE's process, from its first to its last instruction. `args` are the program's arguments behind the hidden
/// subcommand. Ends with success when the channel closes, and with failure if this is not the child of a launcher or the
/// channel carries what is not a request.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let Some((inherited, args)) = Inherited::from_args(args) else {
        eprintln!("this command is for the launcher of the TEE only");
        return ExitCode::from(2);
    };
    let require = args.iter().any(|arg| arg == REQUIRE_SANDBOX);
    let Inherited { channel, folder, fuse, counter, uid } = inherited;
    let provider = tamarack_crypto_rustcrypto::provider();
    // The program's own file cannot be reached from inside.
    let code = measure_code(&provider);
    let pid = std::process::id();
    let host = match enter(folder.as_fd(), uid, require) {
        Ok(report) => {
            let device = code
                .map_err(|error| {
                    Failure::new(codes::INTERNAL, format!("the TEE cannot read its own code: {error}"))
                })
                .and_then(|code| open(&report, code, fuse, counter, provider));
            Host::new(device, report, pid, provider)
        }
        Err(error) => {
            let report = Report { layers: Default::default(), missing: Vec::new(), uid: 0 };
            Host::new(Err(Failure::new(error.code(), error.to_string())), report, pid, provider)
        }
    };
    serve(channel, host)
}

/// SHA-256 of the running program. Launcher and Agent are one program here, so it is the digest of both.
fn measure_code(provider: &Provider) -> io::Result<[u8; 32]> {
    let mut file = File::open("/proc/self/exe")?;
    let mut hasher = provider.sha2.start(HashAlgorithm::Sha256);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(&hasher.finish());
    Ok(digest)
}

/// Opens the device in the current folder, behind the walls.
fn open(
    report: &Report,
    code: [u8; 32],
    mut fuse: File,
    counter: Option<File>,
    provider: Provider,
) -> Result<Device, Failure> {
    let storage = |what: &str, error: io::Error| Failure::new(codes::TEE_STORAGE, format!("{what}: {error}"));
    let mut secret = RootSecret::read(&mut fuse).map_err(|e| storage("the root secret", e))?;
    let secret =
        SecretMemory::take(secret.expose_mut()).map_err(|e| storage("memory for the root secret", e))?;
    let disk = FolderDisk::open(Path::new(".")).map_err(|e| storage("the storage folder", e))?;
    let counter = counter.map_or(Counter::None, Counter::file);
    let store = Store::open(Box::new(disk), counter, RootSecret::new(secret), provider)
        .map_err(|error| Failure::new(error.code(), error.to_string()))?;
    let measured = Measured {
        layers: report.layers,
        agent_digest: code,
        firmware_digest: code,
        configuration_digest: provider.sha256(b""),
        root_secret: "file",
    };
    Device::open(store, measured, provider)
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
