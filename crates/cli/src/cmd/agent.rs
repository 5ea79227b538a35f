//! `tamarack agent`: makes a device and runs it: the Broker in this process, the TEE in one of its own.
//!
//! A device folder holds `device.json` (how to start it), `device.csr`, `tee/` (the TEE's sealed storage, its own user's
//! where that can be had) and, while it runs, `app.sock`. The root secret lies elsewhere (security rule S2).

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tamarack_broker::{Broker, HttpOptions, Server, TamClient, TeeChannel};
use tamarack_channel::{
    Enrolment, PeripheralSeed, Profile, Proof, Request, SignerSeed, Status, TamSeed, Value,
};
use tamarack_model::{ComponentId, Protocol, codes};
use tamarack_tee_host::LaunchOptions;
use tamarack_tee_sandbox::Layers;

use super::pki::{KeyKind, pki};
use crate::fail::{self, Fail, Outcome};
use crate::ta_yaml::{DEFAULT_CLASS, DEFAULT_VENDOR, class_id, vendor_id};
use crate::{keys, out};

/// Hidden first argument by which the program starts itself as the TEE.
pub const TEE_SUBCOMMAND: &str = "__tee";
/// Most bytes that the components of one signer may take.
const SIGNER_QUOTA: u64 = 64 << 20;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Make a device: keys inside, a certificate signing request outside
    Init(Init),
    /// Install the attestation key's certificate and seal the trust anchors, once
    Certify {
        /// The device folder
        dir: PathBuf,
        /// The certificate, PEM, leaf first
        #[arg(long)]
        cert: PathBuf,
    },
    /// Run the device's Broker and TEE until interrupted
    Run(Run),
}

#[derive(clap::Args)]
struct Init {
    /// The device folder; it must not hold a device yet
    dir: PathBuf,
    /// File of the device's root secret, outside the folder; made if it is missing
    #[arg(long)]
    fuse: PathBuf,
    /// A TAM to obey: FILE with its public key, or CA.pem=URI for the one name under a CA
    #[arg(long = "tam-anchor", required = true, value_name = "FILE[=URI]")]
    tam_anchors: Vec<String>,
    /// A developer to trust for a prefix of component ids: KEY.pem:PREFIX, or CA.pem=URI:PREFIX
    #[arg(long = "signer-anchor", required = true, value_name = "FILE[=URI]:PREFIX")]
    signer_anchors: Vec<String>,
    /// A peripheral and the manifest id of the one TA that commands it
    #[arg(long = "peripheral", value_name = "NAME=COMPONENT")]
    peripherals: Vec<String>,
    /// Where to reach the first TAM; its name under the CA without this
    #[arg(long)]
    tam_uri: Option<String>,
    /// Vendor of the device: a UUID or a DNS name
    #[arg(long, default_value = DEFAULT_VENDOR)]
    vendor: String,
    /// Class of the device: a UUID or a name within the vendor
    #[arg(long, default_value = DEFAULT_CLASS)]
    class: String,
    /// Name for people, in the certificate signing request
    #[arg(long, default_value = "Tamarack device")]
    name: String,
    /// Type of the device's keys
    #[arg(long, value_enum, default_value = "ed25519")]
    key_type: KeyKind,
    /// Accept Updates that are not bound to the exchange, as other TAMs send them (weaker: rule C6)
    #[arg(long)]
    allow_unbound: bool,
}

#[derive(clap::Args)]
struct Run {
    /// The device folder
    dir: PathBuf,
    /// Speak plain HTTP to TAMs that are not on this machine
    #[arg(long)]
    allow_http: bool,
    /// Refuse to run if a sandbox layer is missing
    #[arg(long)]
    require_sandbox: bool,
    /// Ask the TAMs for changes every so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    policy_check_every: Option<u64>,
    /// Certificates to trust for HTTPS besides the system's, PEM
    #[arg(long)]
    ca: Option<PathBuf>,
    /// When started as root: the user id that the Broker takes once the TEE runs
    #[arg(long)]
    uid: Option<u32>,
}

/// `device.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Device {
    version: u32,
    /// File of the root secret.
    fuse: PathBuf,
    /// What `certify` will seal; gone once it is sealed.
    pending: Option<Pending>,
}

/// Trust anchors that wait for the certificate. Texts are as the command line gave them, files are copied.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pending {
    tams: Vec<Anchor>,
    tam_uri: Option<String>,
    require_binding: bool,
    signers: Vec<(Anchor, String)>,
    peripherals: Vec<(String, String)>,
}

/// A key or certificate, and the name under it if it is a certificate's.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Anchor {
    pem: String,
    uri: Option<String>,
}

impl Anchor {
    /// Reads `FILE` or `FILE=URI`.
    fn read(text: &str) -> Outcome<Self> {
        let (file, uri) = match text.split_once('=') {
            Some((file, uri)) => (file, Some(uri.to_owned())),
            None => (text, None),
        };
        let anchor = Self { pem: keys::read_text(Path::new(file))?, uri };
        anchor.proof().map_err(|e| Fail::input(codes::PEM_INVALID, format_args!("{file}: {e}")))?;
        Ok(anchor)
    }

    fn proof(&self) -> Result<Proof, String> {
        match &self.uri {
            Some(uri) => {
                let mut chain = tamarack_pki::certificates_from_pem(&self.pem)
                    .map_err(|e| format!("{e}; a name needs the CA certificate that it stands under"))?;
                Ok(Proof::Certificate { root: chain.swap_remove(0), uri: uri.clone() })
            }
            None => tamarack_pki::public_key_from_pem(&self.pem)
                .map(|key| Proof::Keys(vec![key.to_spki()]))
                .map_err(|e| {
                    format!("{e}; without a name it must be a public key (FILE=URI names one under a CA)")
                }),
        }
    }
}

pub fn run(args: Args) -> Outcome {
    match args.action {
        Action::Init(args) => init(args),
        Action::Certify { dir, cert } => certify(&dir, &cert),
        Action::Run(args) => serve(args, |device| out::lines(&device.to_string())),
    }
}

fn usage(message: impl std::fmt::Display) -> Fail {
    Fail::input(codes::USAGE, message)
}

fn split<'a>(text: &'a str, at: char, form: &str) -> Outcome<(&'a str, &'a str)> {
    text.rsplit_once(at).ok_or_else(|| usage(format_args!("{text}: expected {form}")))
}

fn component(text: &str) -> Outcome<ComponentId> {
    ComponentId::parse_text(text).map_err(|e| usage(format_args!("{text}: {e}")))
}

fn settings(dir: &Path) -> PathBuf {
    dir.join("device.json")
}

fn storage(dir: &Path) -> PathBuf {
    dir.join("tee")
}

fn load(dir: &Path) -> Outcome<Device> {
    let file = settings(dir);
    serde_json::from_str(&keys::read_text(&file)?)
        .map_err(|e| Fail::input(codes::CONFIG_INVALID, format_args!("{}: {e}", file.display())))
}

fn save(dir: &Path, device: &Device) -> Outcome {
    let text = serde_json::to_vec_pretty(device).map_err(|e| Fail::new(codes::INTERNAL, e))?;
    fail::write(&settings(dir), &text)
}

fn unwritable(path: &Path, error: std::io::Error) -> Fail {
    Fail::input(codes::FILE_UNWRITABLE, format_args!("cannot write {}: {error}", path.display()))
}

/// A TEE that was started for one or two questions. It ends with its channel.
struct Tee {
    channel: TeeChannel,
    child: std::process::Child,
}

impl Tee {
    fn launch(dir: &Path, fuse: &Path, create: bool, require_sandbox: bool) -> Outcome<Self> {
        let folder = storage(dir);
        let options =
            LaunchOptions { subcommand: TEE_SUBCOMMAND, folder: &folder, fuse, create, require_sandbox };
        let launched = tamarack_tee_host::launch(options).map_err(|e| Fail::new(e.code(), e))?;
        Ok(Self { channel: TeeChannel::new(launched.channel), child: launched.child })
    }

    fn ask(&mut self, request: Request) -> Outcome<Value> {
        let reply = self.channel.call(request).map_err(|e| Fail::new(e.code(), e))?;
        reply.result.map_err(|failure| Fail::new(failure.code, failure.text))
    }

    fn status(&mut self) -> Outcome<Status> {
        match self.ask(Request::Status)? {
            Value::Status(status) => Ok(status),
            _ => Err(Fail::new(codes::TEE_CHANNEL, "the TEE answered something else than was asked")),
        }
    }

    /// Ends it, and waits until its storage is free.
    fn end(mut self) {
        drop(self.channel);
        let _ = self.child.wait();
    }
}

fn init(args: Init) -> Outcome {
    let dir = &args.dir;
    if settings(dir).exists() {
        return Err(usage(format_args!("{} holds a device already; nothing was changed", dir.display())));
    }
    let tams: Vec<_> = args.tam_anchors.iter().map(|text| Anchor::read(text)).collect::<Outcome<_>>()?;
    let mut signers = Vec::new();
    for text in &args.signer_anchors {
        let (anchor, prefix) = split(text, ':', "FILE[=URI]:PREFIX")?;
        component(prefix)?;
        signers.push((Anchor::read(anchor)?, prefix.to_owned()));
    }
    let mut peripherals = Vec::new();
    for text in &args.peripherals {
        let (name, manifest) = split(text, '=', "NAME=COMPONENT")?;
        component(manifest)?;
        peripherals.push((name.to_owned(), manifest.to_owned()));
    }
    std::fs::create_dir_all(dir).map_err(|e| unwritable(dir, e))?;
    let dir = dir.canonicalize().map_err(|e| unwritable(dir, e))?;
    let fuse = absolute(&args.fuse)?;
    if fuse.starts_with(&dir) {
        return Err(usage(format_args!("--fuse {}: it must lie outside {}", fuse.display(), dir.display())));
    }
    let vendor = vendor_id(&args.vendor);
    let profile = Profile {
        common_name: args.name,
        vendor_id: vendor,
        class_id: class_id(vendor, &args.class),
        oemid: vendor,
        hwmodel: args.class.bytes().take(32).collect(),
        hwversion: env!("CARGO_PKG_VERSION").into(),
        key_type: args.key_type.into(),
        otrp: None,
    };
    let mut tee = Tee::launch(&dir, &fuse, true, false)?;
    let Value::Csr(csr) = tee.ask(Request::Csr(profile))? else {
        return Err(Fail::new(codes::TEE_CHANNEL, "the TEE answered something else than was asked"));
    };
    tee.end();
    let request = dir.join("device.csr");
    fail::write(&request, csr.as_bytes())?;
    let require_binding = !args.allow_unbound;
    let pending = Pending { tams, tam_uri: args.tam_uri, require_binding, signers, peripherals };
    save(&dir, &Device { version: 1, fuse, pending: Some(pending) })?;
    eprintln!(
        "made {}; next: have {} certified by a TEE CA, then tamarack agent certify",
        dir.display(),
        request.display()
    );
    Ok(())
}

fn absolute(path: &Path) -> Outcome<PathBuf> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = parent.canonicalize().map_err(|e| unwritable(path, e))?;
    Ok(parent.join(path.file_name().unwrap_or_default()))
}

fn certify(dir: &Path, cert: &Path) -> Outcome {
    let mut device = load(dir)?;
    let Some(pending) = device.pending.take() else {
        return Err(usage(format_args!("{} has its certificate already", dir.display())));
    };
    let chain = tamarack_pki::certificates_from_pem(&keys::read_text(cert)?).map_err(pki)?;
    let enrolment = enrolment(&pending, chain)
        .map_err(|e| Fail::input(codes::CONFIG_INVALID, format_args!("{}: {e}", settings(dir).display())))?;
    let mut tee = Tee::launch(dir, &device.fuse, false, false)?;
    tee.ask(Request::Enrol(enrolment))?;
    tee.end();
    save(dir, &device)?;
    eprintln!("{} is enrolled; its trust anchors are sealed; next: tamarack agent run", dir.display());
    Ok(())
}

fn enrolment(pending: &Pending, chain: Vec<Vec<u8>>) -> Result<Enrolment, String> {
    let id = |text: &str| ComponentId::parse_text(text).map_err(|e| format!("{text}: {e}"));
    let mut tams = Vec::new();
    for (i, anchor) in pending.tams.iter().enumerate() {
        let default = if i == 0 { pending.tam_uri.clone() } else { None };
        tams.push(TamSeed {
            proof: Some(anchor.proof()?),
            otrp: None,
            protocol: Protocol::Teep,
            domains: 0,
            domain_quota: 0,
            uri: default.or_else(|| anchor.uri.clone()),
            scopes: vec![Vec::new()],
            require_binding: pending.require_binding,
        });
    }
    let mut signers = Vec::new();
    for (anchor, prefix) in &pending.signers {
        signers.push(SignerSeed {
            provider: prefix.clone(),
            proof: anchor.proof()?,
            prefixes: vec![id(prefix)?.segments().to_vec()],
            quota: SIGNER_QUOTA,
        });
    }
    let mut peripherals = Vec::new();
    for (name, manifest) in &pending.peripherals {
        peripherals.push(PeripheralSeed { name: name.clone(), tam: 0, manifest: id(manifest)? });
    }
    Ok(Enrolment {
        chain,
        otrp_chain: Vec::new(),
        firmware_chain: Vec::new(),
        tams,
        signers,
        peripherals,
        authority: None,
    })
}

/// Runs the device in `dir` as `agent run` does without options; `ready` is told what `agent run` prints.
pub fn serve_device(dir: &Path, ready: impl FnOnce(&serde_json::Value) -> Outcome) -> Outcome {
    let run = Run {
        dir: dir.to_path_buf(),
        allow_http: false,
        require_sandbox: false,
        policy_check_every: None,
        ca: None,
        uid: None,
    };
    serve(run, ready)
}

fn serve(args: Run, ready: impl FnOnce(&serde_json::Value) -> Outcome) -> Outcome {
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .try_init();
    let dir = args.dir.as_path();
    let device = load(dir)?;
    if device.pending.is_some() {
        return Err(usage(format_args!(
            "{} has no certificate yet: certify device.csr, then tamarack agent certify",
            dir.display()
        )));
    }
    let mut tee = Tee::launch(dir, &device.fuse, false, args.require_sandbox)?;
    let status = tee.status()?;
    let options =
        HttpOptions { extra_root: args.ca, allow_plain_http: args.allow_http, ..HttpOptions::default() };
    let http = TamClient::new(options).map_err(|e| Fail::input(e.code(), e))?;
    if let Some(uid) = args.uid {
        take_uid(dir, uid)?;
    }
    let broker = Arc::new(Broker::new(tee.channel, http, None));
    let server =
        Server::bind(dir, broker).map_err(|e| unwritable(&dir.join(tamarack_broker::SOCKET_NAME), e))?;
    let layers = Layers::from_bits(status.layers);
    let missing = &status.missing_layers;
    let device = json!({
        "ready": true,
        "device": status.device_id.map(hex::encode),
        "socket": server.path(),
        "broker": { "pid": std::process::id(), "uid": rustix::process::geteuid().as_raw() },
        "tee": {
            "pid": status.pid, "uid": status.uid,
            "layers": layers.names().collect::<Vec<_>>(), "missing": missing,
        },
    });
    ready(&device)?;
    for layer in missing {
        eprintln!("warning: a wall around the TEE is missing, and its Evidence says so: {layer}");
    }
    server.run(args.policy_check_every.map(Duration::from_secs)).map_err(|e| Fail::new(e.code(), e))
}

/// Leaves root behind: the Broker needs nothing of it, and the TEE keeps its own user id. Called while this process has one
/// thread.
fn take_uid(dir: &Path, uid: u32) -> Outcome {
    use rustix::process::{Gid, Uid};
    let failed = |what: &str, e: &dyn std::fmt::Display| {
        Fail::new(codes::TEE_SANDBOX, format_args!("the Broker cannot become user {uid}: {what}: {e}"))
    };
    for path in [dir.to_path_buf(), settings(dir)] {
        std::os::unix::fs::chown(&path, Some(uid), Some(uid)).map_err(|e| failed("chown", &e))?;
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
    rustix::thread::set_thread_groups(&[]).map_err(|e| failed("setgroups", &e))?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(|e| failed("setresgid", &e))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(|e| failed("setresuid", &e))?;
    Ok(())
}
