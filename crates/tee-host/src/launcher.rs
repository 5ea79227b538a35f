//! The launcher: the first process of the TEE. It alone holds the root of trust.
//!
//! What it is told stands in its arguments ([`arguments`]) and in the descriptors that it inherits: the Agent's program, then
//! what the root of trust needs.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tamarack_channel::Failure;
use tamarack_crypto::{KeyType, Provider};
use tamarack_model::codes;
use tamarack_tee::{Error, RootOfTrust};
use tamarack_tee_sandbox::isolation::{
    Image, Inherited, Prepared, SecretMemory, measure, measure_self, prepare, spawn_agent,
};
use tamarack_tee_sandbox::launcher::{Measured, Service};
use tamarack_tee_sandbox::panel;
use tamarack_tee_sandbox::root::FileRoot;
use tamarack_tee_sandbox::root_secret::RootSecret;
use tamarack_tee_tpm::commands::Tpm;
use tamarack_tee_tpm::root::TpmRoot;
use tamarack_tee_tpm::{Address, Pcrs};

use crate::configuration::{Configuration, RootKind};
use crate::launch::{PanelAt, counter_path};
use crate::{AGENT_SUBCOMMAND, LAUNCHER_SUBCOMMAND, REQUIRE_SANDBOX, agent};

/// Argument that names the root of trust.
const ROOT: &str = "--root=";
/// Argument that names the kind of the attestation keys.
const KEY_TYPE: &str = "--key-type=";
/// Argument that names the panel's socket.
const PANEL: &str = "--panel=";
/// Argument that says which user the rich OS is, for the panel.
const RICH_OS: &str = "--rich-os=";
/// Argument that names the PCRs to which a new root secret is sealed.
const SEAL_TO: &str = "--seal-to=";

/// The arguments by which the launcher is told its configuration, behind the running program's name.
pub(crate) fn arguments(
    configuration: &Configuration,
    panel: Option<PanelAt<'_>>,
    seal_to: Option<Pcrs>,
) -> Vec<OsString> {
    let Configuration { root, key_type, panel: _, require_sandbox } = configuration;
    let mut args: Vec<OsString> = vec![LAUNCHER_SUBCOMMAND.into(), format!("{ROOT}{}", root.name()).into()];
    args.push(format!("{KEY_TYPE}{}", key_type_name(*key_type)).into());
    if let Some(PanelAt { socket, rich_os }) = panel {
        // A path need not be UTF-8.
        let mut arg = OsString::from(PANEL);
        arg.push(socket);
        args.extend([arg, format!("{RICH_OS}{rich_os}").into()]);
    }
    args.extend(require_sandbox.then(|| REQUIRE_SANDBOX.into()));
    args.extend(seal_to.map(|pcrs| OsString::from(format!("{SEAL_TO}{pcrs}"))));
    args
}

fn key_type_name(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::Ed25519 => "ed25519",
        KeyType::P256 => "p256",
    }
}

/// What [`arguments`] says.
struct Told {
    configuration: Configuration,
    /// The panel's socket, and the user that the rich OS is.
    panel: Option<(PathBuf, u32)>,
    /// Only for a new device with a TPM.
    seal_to: Option<Pcrs>,
}

impl Told {
    fn read(args: &[OsString]) -> Option<Self> {
        let (mut root, mut key_type, mut panel, mut require_sandbox) = (None, None, None, false);
        let (mut seal_to, mut rich_os) = (None, None);
        for arg in args {
            let bytes = arg.as_encoded_bytes();
            if arg == REQUIRE_SANDBOX {
                require_sandbox = true;
            } else if bytes.starts_with(PANEL.as_bytes()) {
                use std::os::unix::ffi::OsStrExt;
                panel = Some(PathBuf::from(OsStr::from_bytes(&bytes[PANEL.len()..])));
            } else if let Some(name) = arg.to_str()?.strip_prefix(ROOT) {
                root = Some(RootKind::from_name(name)?);
            } else if let Some(uid) = arg.to_str()?.strip_prefix(RICH_OS) {
                rich_os = Some(uid.parse().ok()?);
            } else if let Some(pcrs) = arg.to_str()?.strip_prefix(SEAL_TO) {
                seal_to = Some(pcrs.parse().ok()?);
            } else {
                let name = arg.to_str()?.strip_prefix(KEY_TYPE)?;
                let all = [KeyType::Ed25519, KeyType::P256];
                key_type = Some(all.into_iter().find(|kind| key_type_name(*kind) == name)?);
            }
        }
        let configuration =
            Configuration { root: root?, key_type: key_type?, panel: panel.is_some(), require_sandbox };
        let panel = match panel {
            Some(path) => Some((path, rich_os?)),
            None => None,
        };
        Some(Self { configuration, panel, seal_to })
    }
}

/// The launcher's process, from its first to its last instruction. `args` are the program's arguments behind
/// [`LAUNCHER_SUBCOMMAND`]. It ends when the Agent does, with success if that did; with failure if it was not started as a
/// launcher, or if the Agent says what is no question.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let inherited = Inherited::from_args(args);
    let told = inherited.and_then(|(inherited, args)| Some((inherited, Told::read(&args)?)));
    let Some((mut inherited, told)) = told else {
        eprintln!("this command is for whoever starts a TEE only");
        return ExitCode::from(2);
    };
    let provider = tamarack_crypto_rustcrypto::provider();
    // Before the user id changes: the panel is another user's.
    let panel = connect_panel(told.panel.as_ref(), inherited.standing.uid.is_some());
    let prepared =
        prepare(inherited.standing.uid).map_err(|error| Failure::new(error.code(), error.to_string()));
    match prepared.and_then(|prepared| start(&mut inherited, &told, prepared, panel?, provider)) {
        Ok(running) => {
            // Only the Agent speaks to the Broker from here on, and only it has the storage folder.
            drop(inherited);
            running.serve()
        }
        // There is no Agent to tell it.
        Err(failure) => agent::serve_failure(inherited.channel, failure, provider),
    }
}

/// What is left to do when the Agent runs.
struct Running {
    service: Service,
    socket: UnixStream,
    child: std::process::Child,
}

impl Running {
    fn serve(mut self) -> ExitCode {
        if let Err(error) = self.service.serve(&mut self.socket) {
            // The Agent does not outlive this process.
            eprintln!("{} the launcher ends: {error}", codes::TEE_LAUNCHER);
            return ExitCode::FAILURE;
        }
        match self.child.wait() {
            Ok(status) if status.success() => ExitCode::SUCCESS,
            Ok(_) | Err(_) => ExitCode::FAILURE,
        }
    }
}

/// Opens the root of trust, measures and starts the Agent, and closes the door.
fn start(
    inherited: &mut Inherited,
    told: &Told,
    prepared: Prepared,
    panel: Option<UnixStream>,
    provider: Provider,
) -> Result<Running, Failure> {
    let launcher =
        |what: &str, error: io::Error| Failure::new(codes::TEE_LAUNCHER, format!("{what}: {error}"));
    inherited.standing = prepared.standing();
    let mut descriptors = std::mem::take(&mut inherited.descriptors).into_iter();
    let code = descriptors.next().flatten().map(File::from);
    let mut code = code.ok_or_else(|| Failure::new(codes::TEE_LAUNCHER, "there is no Agent to start"))?;
    let root = open_root(told, descriptors.collect(), provider);

    let image = Image::copy(&mut code, &provider).map_err(|e| launcher("the Agent cannot be measured", e))?;
    let own = measure_self(Some((&code, &image)), &provider);
    let measured = Measured {
        agent: *image.digest(),
        launcher: own.map_err(|e| launcher("the launcher cannot be measured", e))?,
        configuration: told.configuration.digest(&provider),
    };
    let (socket, theirs) = UnixStream::pair().map_err(|e| launcher("the Agent cannot be started", e))?;
    let mut args = vec![OsStr::new(AGENT_SUBCOMMAND)];
    args.extend(told.configuration.require_sandbox.then_some(OsStr::new(REQUIRE_SANDBOX)));
    let given = [Some(theirs.as_fd()), panel.as_ref().map(AsFd::as_fd)];
    let child = spawn_agent(&image, &args, inherited, &given)
        .map_err(|e| launcher("the Agent cannot be started", e))?;
    drop((image, code));
    let report = prepared.close();
    let missing: Vec<String> = report.missing.iter().map(ToString::to_string).collect();
    let root = match told.configuration.require_sandbox && !missing.is_empty() {
        true => Err(Error::Launcher(format!("missing sandbox layers around it: {}", missing.join(", ")))),
        false => root,
    };
    let service = Service::new(root, measured, provider).with_layers(report.layers, missing);
    Ok(Running { service, socket, child })
}

/// Connects the panel. Users can be told apart only where the TEE is one of its own.
fn connect_panel(panel: Option<&(PathBuf, u32)>, own_user: bool) -> Result<Option<UnixStream>, Failure> {
    panel
        .map(|(path, rich_os)| panel::connect(path, own_user.then_some(*rich_os)))
        .transpose()
        .map_err(|error| Failure::new(codes::TEE_NO_PANEL, format!("the panel cannot be had: {error}")))
}

/// Opens the root of trust on the descriptors that [`crate::launch`] opened for it, in that order. A root that speaks to a
/// device does so from here on over what it opens now: the walls close behind it.
fn open_root(
    told: &Told,
    descriptors: Vec<Option<OwnedFd>>,
    provider: Provider,
) -> Result<Box<dyn RootOfTrust>, Error> {
    let mut descriptors = descriptors.into_iter();
    match told.configuration.root {
        RootKind::File => {
            let fuse = descriptors.next().flatten();
            let mut fuse = File::from(fuse.ok_or_else(|| Error::Launcher("there is no root secret".into()))?);
            let storage = |what: &str, error: io::Error| Error::Storage(format!("{what}: {error}"));
            let mut secret = RootSecret::read(&mut fuse).map_err(|e| storage("the root secret", e))?;
            let secret = SecretMemory::take(secret.expose_mut())
                .map_err(|e| storage("memory for the root secret", e))?;
            let counter = descriptors.next().flatten().map(File::from);
            let secret = RootSecret::new(secret);
            Ok(Box::new(FileRoot::new(secret, counter, told.configuration.key_type, provider)))
        }
        RootKind::Tpm => {
            let mut next = || descriptors.next().flatten();
            let (Some(tpm), Some(sealed), Some(marks)) = (next(), next(), next()) else {
                return Err(Error::Launcher("there is no TPM, or its files are missing".into()));
            };
            let tpm = Tpm::open(tpm, provider)
                .map_err(|e| Error::RootOfTrust { code: e.code(), why: e.to_string() })?;
            Ok(Box::new(TpmRoot::new(tpm, sealed.into(), marks.into(), told.seal_to)))
        }
    }
}

/// Seals the root secret of a device with a TPM anew, so that another Agent (None for the running program) can have it. The
/// device must not run; `now` is the Agent that it ran until now, and loses its access.
pub fn reseal(
    address: &Address,
    sealed: &Path,
    now: Option<&Path>,
    next: Option<&Path>,
) -> Result<(), Failure> {
    let provider = tamarack_crypto_rustcrypto::provider();
    let unreadable = |error: io::Error| Failure::new(codes::FILE_UNREADABLE, error.to_string());
    let digest = |agent: Option<&Path>| match agent {
        Some(path) => File::open(path).and_then(|mut file| measure(&mut file, &provider)),
        None => measure_self(None, &provider),
    };
    let (now, next) = (digest(now).map_err(unreadable)?, digest(next).map_err(unreadable)?);
    let open = |path: &Path| File::options().read(true).write(true).open(path).map_err(unreadable);
    let tpm = address.open().map_err(tamarack_tee_tpm::Error::Io);
    let tpm = tpm.and_then(|tpm| Tpm::open(tpm, provider));
    let tpm = tpm.map_err(|e| Failure::new(e.code(), e.to_string()))?;
    let mut root = TpmRoot::new(tpm, open(sealed)?, open(&counter_path(sealed))?, None);
    // No configuration of an Agent: this is none.
    let anew = root.measure(&now, &[0; 32]).and_then(|()| root.reseal(&next));
    let anew = anew.map_err(|e| Failure::new(e.code(), e.to_string()))?;
    // The old file or the new one, never half of either.
    let beside = sealed.with_extension("next");
    let replace = || {
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&anew)?;
        file.sync_all()?;
        std::fs::rename(&beside, sealed)
    };
    replace().map_err(|error| {
        Failure::new(codes::FILE_UNWRITABLE, format!("cannot write {}: {error}", sealed.display()))
    })
}

/// What a launcher that is the running program would measure: of an Agent (None for the running program) and a
/// configuration. It is what a maker releases.
pub fn measurements(agent: Option<&Path>, configuration: &Configuration) -> io::Result<Measured> {
    let provider = tamarack_crypto_rustcrypto::provider();
    let launcher = measure_self(None, &provider)?;
    let agent = match agent {
        Some(path) => measure(&mut File::open(path)?, &provider)?,
        None => launcher,
    };
    Ok(Measured { agent, launcher, configuration: configuration.digest(&provider) })
}
