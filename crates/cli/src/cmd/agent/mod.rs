//! `tamarack agent`: makes a device and runs it: the Broker in this process, the TEE in two of its own.
//!
//! A device folder holds `device.json` (how to start it), `device.csr` (with OTrP also `otrp.csr` and `firmware.csr`), `tee/` (the TEE's sealed storage, its own user's
//! where that can be had) and, while it runs, `app.sock`. The root secret lies elsewhere (security rule S2).

mod measure;
mod order;
mod pending;
mod root;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tamarack_broker::{Broker, HttpOptions, Server, TamClient, TeeChannel};
use tamarack_channel::{OtrpProfile, Profile, Request, Status, Value};
use tamarack_model::{ComponentId, codes};
use tamarack_tee_host::{LaunchOptions, PanelAt, Root, RootKind};
use tamarack_tee_sandbox::Layers;

use pending::{Anchor, Chains, Otrp, Pending};
use root::RootAddress;

use super::pki::{KeyKind, pki};
use crate::fail::{self, Fail, Outcome};
use crate::ta_yaml::{DEFAULT_CLASS, DEFAULT_VENDOR, class_id, vendor_id};
use crate::{keys, out};

/// Most bytes that the components of one security domain may take, unless told otherwise.
const DOMAIN_QUOTA: u64 = 16 << 20;
/// The file with the root secret that a TPM has sealed, in the device folder.
const SEALED: &str = "root.sealed";
/// Personas that a device has besides those of its TAMs, for TAMs that a device authority adds later.
const SPARE_PERSONAS: u32 = 2;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Make a device: keys inside, a certificate signing request outside
    Init(Box<Init>),
    /// Install the certificates of the device's keys and seal the trust anchors, once
    Certify(Certify),
    /// Run the device's Broker and TEE until interrupted
    Run(Run),
    /// Order as the device authority: activate, restrict, revoke or re-key a provider's anchor
    Order(order::Order),
    /// Before an update of the Agent: have the device's TPM release its secret to another program from now on
    Reseal(Reseal),
    /// Print the digests that a maker releases: of launcher, Agent and launch configuration
    Measure(measure::Args),
}

#[derive(clap::Args)]
struct Init {
    /// The device folder; it must not hold a device yet
    dir: PathBuf,
    /// File of the device's root secret, outside the folder; made if it is missing
    #[arg(long, required_unless_present = "root")]
    fuse: Option<PathBuf>,
    /// Use a TPM 2.0 instead: tpm:ADDRESS, where ADDRESS is device:/dev/tpmrm0
    /// or swtpm:path=SOCKET or swtpm:host=HOST,port=PORT. With ,pcrs=0+2+4+7 behind it, the PCRs that it is sealed to
    #[arg(long, value_name = "ROOT", conflicts_with = "fuse")]
    root: Option<RootAddress>,
    /// The Agent's program, if it is not this one; it is measured at every start
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// A TAM to obey: FILE with its public key, or CA.pem=URI for the one name under a CA
    #[arg(long = "tam-anchor", required_unless_present = "otrp_anchors", value_name = "FILE[=URI]")]
    tam_anchors: Vec<String>,
    /// What the device speaks: TEEP, OTrP or both. It begins in TEEP with a TAM that has an anchor for each, unless this is
    /// otrp
    #[arg(long, value_enum, default_value = "teep")]
    protocol: Spoken,
    /// A TAM to obey in OTrP: CA.pem=NAME with the tamid that its certificates have, an object identifier or a URI. The
    /// first one is the same owner as the first --tam-anchor and so on; without a --tam-anchor it is one of its own
    #[arg(long = "otrp-anchor", value_name = "CA=NAME")]
    otrp_anchors: Vec<String>,
    /// Accept OTrP requests in the plain form of the draft, which does not bind the certificate to the signature (weaker:
    /// rule K4)
    #[arg(long)]
    otrp_draft: bool,
    /// Name of the TEE in OTrP, the same for a whole kind of device
    #[arg(long, default_value = "Tamarack")]
    tee_name: String,
    /// Most security domains that each OTrP TAM may create, and so introduce signers; 0 for none
    #[arg(long, value_name = "N", default_value_t = 16)]
    domains: u32,
    /// Most bytes that the components of one domain may take
    #[arg(long, value_name = "BYTES", default_value_t = DOMAIN_QUOTA)]
    domain_quota: u64,
    /// A developer to trust for a prefix of component ids: KEY.pem:PREFIX, or CA.pem=URI:PREFIX. With @PROVIDER behind it,
    /// the name that the TAM has for the developer's provider, which OTrP knows domains by; the prefix without
    #[arg(
        long = "signer-anchor",
        required_unless_present = "otrp_anchors",
        value_name = "FILE[=URI]:PREFIX[@PROVIDER]"
    )]
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
    /// Public key of the device authority, which alone changes the trust anchors later (`tamarack agent order`)
    #[arg(long)]
    authority: Option<PathBuf>,
    /// Public key of the device's owner (`tamarack owner key`), whose rules stand beside the anchors
    #[arg(long, value_name = "KEY.pub")]
    owner: Option<PathBuf>,
    /// Accept Updates that are not bound to the exchange, as other TAMs send them (weaker: rule C6)
    #[arg(long)]
    allow_unbound: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Spoken {
    /// The IETF's protocol
    Teep,
    /// Its predecessor; TEEP too with TAMs that have a --tam-anchor
    Otrp,
    /// TEEP, and OTrP with TAMs that speak only that
    Both,
}

#[derive(clap::Args)]
struct Certify {
    /// The device folder
    dir: PathBuf,
    /// The certificates of device.csr, PEM; those above them behind them
    #[arg(long)]
    cert: PathBuf,
    /// The certificates of otrp.csr, PEM, and those above them behind them, the root last
    #[arg(long)]
    otrp_cert: Option<PathBuf>,
    /// The certificates of firmware.csr, PEM, and those above them behind them, the root last
    #[arg(long, requires = "otrp_cert")]
    firmware_cert: Option<PathBuf>,
    /// Print JSON: the device's id at its first TAM, and the key that signs its reports there
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Reseal {
    /// The device folder; the device must not run
    dir: PathBuf,
    /// The Agent's program from now on
    #[arg(long, value_name = "FILE")]
    agent: PathBuf,
}

#[derive(clap::Args)]
struct Run {
    /// The device folder
    dir: PathBuf,
    /// Speak plain HTTP to TAMs that are not on this machine
    #[arg(long)]
    allow_http: bool,
    /// Run this Agent's program instead of the device's; it is measured, and Evidence tells its digest
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Socket of the device's panel, where `tamarack panel` waits for questions of TAs; not as this Broker's user
    #[arg(long, value_name = "PATH")]
    panel: Option<PathBuf>,
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
    /// File of the root secret; with a TPM, of what the TPM has sealed.
    fuse: PathBuf,
    /// The TPM that is the root of trust; null if that is the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tpm: Option<RootAddress>,
    /// Kind of its keys.
    key_type: KeyKind,
    /// The Agent's program; null for the one that runs the device.
    agent: Option<PathBuf>,
    /// What `certify` will seal; gone once it is sealed.
    pending: Option<Pending>,
}

impl Device {
    fn root_kind(&self) -> RootKind {
        match self.tpm {
            None => RootKind::File,
            Some(_) => RootKind::Tpm,
        }
    }
}

pub fn run(args: Args) -> Outcome {
    match args.action {
        Action::Init(args) => init(*args),
        Action::Certify(args) => certify(&args),
        Action::Order(args) => order::run(&args),
        Action::Run(args) => serve(args, |device| out::lines(&device.to_string())),
        Action::Reseal(args) => reseal(&args),
        Action::Measure(args) => measure::run(&args),
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

/// How a device is started this time.
#[derive(Clone, Copy, Default)]
struct How<'a> {
    /// Whether to make its root secret.
    create: bool,
    require_sandbox: bool,
    agent: Option<&'a Path>,
    panel: Option<PanelAt<'a>>,
}

/// A TEE that was started for one or two questions. It ends with its channel.
struct Tee {
    channel: TeeChannel,
    child: std::process::Child,
}

impl Tee {
    fn launch(dir: &Path, device: &Device, how: How<'_>) -> Outcome<Self> {
        let options = LaunchOptions {
            folder: &storage(dir),
            root: match &device.tpm {
                None => Root::File { fuse: &device.fuse },
                Some(RootAddress { tpm, pcrs }) => {
                    Root::Tpm { address: tpm, sealed: &device.fuse, pcrs: *pcrs }
                }
            },
            key_type: device.key_type.into(),
            agent: how.agent.or(device.agent.as_deref()),
            panel: how.panel,
            create: how.create,
            require_sandbox: how.require_sandbox,
        };
        let launched = tamarack_tee_host::launch(options).map_err(|e| Fail::new(e.code(), e))?;
        Ok(Self { channel: TeeChannel::new(launched.channel), child: launched.child })
    }

    fn ask(&mut self, request: Request) -> Outcome<Value> {
        let reply = self.channel.call(request).map_err(|e| Fail::new(e.code(), e))?;
        reply.result.map_err(|failure| Fail::new(failure.code, failure.text))
    }

    fn status(&mut self) -> Outcome<Status> {
        match self.ask(Request::Status)? {
            Value::Status(status) => Ok(*status),
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
        let (anchor, scope) = split(text, ':', "FILE[=URI]:PREFIX")?;
        component(pending::prefix_and_provider(scope).0)?;
        signers.push((Anchor::read(anchor)?, scope.to_owned()));
    }
    let mut peripherals = Vec::new();
    for text in &args.peripherals {
        let (name, manifest) = split(text, '=', "NAME=COMPONENT")?;
        component(manifest)?;
        peripherals.push((name.to_owned(), manifest.to_owned()));
    }
    let pending = Pending {
        tams,
        tam_uri: args.tam_uri.clone(),
        require_binding: !args.allow_unbound,
        signers,
        peripherals,
        otrp: otrp(&args)?,
        authority: args.authority.as_deref().map(public_pem).transpose()?,
        owner: args.owner.as_deref().map(public_pem).transpose()?,
    };
    pending::check(&pending)?;
    let agent = args.agent.as_deref().map(program).transpose()?;
    std::fs::create_dir_all(dir).map_err(|e| unwritable(dir, e))?;
    let dir = dir.canonicalize().map_err(|e| unwritable(dir, e))?;
    let fuse = match &args.fuse {
        Some(fuse) => absolute(fuse)?,
        // Without its TPM a copy of it opens nothing.
        None => dir.join(SEALED),
    };
    if args.root.is_none() && fuse.starts_with(&dir) {
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
        personas: pending.tams().saturating_add(SPARE_PERSONAS),
        otrp: pending
            .otrp
            .is_some()
            .then(|| OtrpProfile { tee_name: args.tee_name, tee_version: env!("CARGO_PKG_VERSION").into() }),
    };
    let tpm = args.root.map(RootAddress::absolute).transpose().map_err(|e| Fail::new(codes::INTERNAL, e))?;
    let mut device = Device { version: 1, fuse, tpm, key_type: args.key_type, agent, pending: None };
    let mut tee = Tee::launch(&dir, &device, How { create: true, ..How::default() })?;
    let Value::Csr(csr) = tee.ask(Request::Csr(profile))? else {
        return Err(Fail::new(codes::TEE_CHANNEL, "the TEE answered something else than was asked"));
    };
    tee.end();
    let files = [("device.csr", csr.attestation), ("otrp.csr", csr.tee), ("firmware.csr", csr.firmware)];
    for (name, requests) in files.iter().filter(|(_, requests)| !requests.is_empty()) {
        fail::write(&dir.join(name), requests.as_bytes())?;
    }
    let speaks_otrp = pending.otrp.is_some();
    device.pending = Some(pending);
    save(&dir, &device)?;
    let more = match speaks_otrp {
        true => " and otrp.csr certified by a TEE CA, firmware.csr by a firmware CA",
        false => " certified by a TEE CA",
    };
    eprintln!(
        "made {}; next: have {}{more}, then tamarack agent certify",
        dir.display(),
        dir.join("device.csr").display()
    );
    Ok(())
}

/// The OTrP side of the command line; None for a device that speaks TEEP only.
fn otrp(args: &Init) -> Outcome<Option<Otrp>> {
    let given = !args.otrp_anchors.is_empty();
    match args.protocol {
        Spoken::Teep if given || args.otrp_draft => {
            return Err(usage("--otrp-anchor and --otrp-draft need --protocol otrp or both"));
        }
        Spoken::Teep => return Ok(None),
        Spoken::Otrp | Spoken::Both if !given => {
            return Err(usage("--protocol otrp and both need an --otrp-anchor"));
        }
        Spoken::Both if args.tam_anchors.is_empty() => {
            return Err(usage("--protocol both needs a --tam-anchor; otrp does not"));
        }
        // Over TEEP a TAM cannot introduce any.
        Spoken::Both if args.signer_anchors.is_empty() => {
            return Err(usage("--protocol both needs a --signer-anchor; otrp does not"));
        }
        Spoken::Otrp | Spoken::Both => {}
    }
    if !(1..=64).contains(&args.tee_name.len()) {
        return Err(usage("--tee-name: expected 1 to 64 bytes"));
    }
    Ok(Some(Otrp {
        anchors: args.otrp_anchors.iter().map(|text| Anchor::read_otrp(text)).collect::<Outcome<_>>()?,
        teep_first: args.protocol == Spoken::Both,
        draft: args.otrp_draft,
        domains: args.domains,
        domain_quota: args.domain_quota,
    }))
}

/// A public key as PEM.
fn public_pem(file: &Path) -> Outcome<String> {
    tamarack_pki::public_key_to_pem(&keys::public_key(file)?).map_err(pki)
}

/// An Agent's program, which is there.
fn program(path: &Path) -> Outcome<PathBuf> {
    let found = std::fs::File::open(path).and_then(|_| path.canonicalize());
    found.map_err(|e| {
        let text = format_args!("the Agent's program {} cannot be read: {e}", path.display());
        Fail::input(codes::FILE_UNREADABLE, text)
    })
}

fn absolute(path: &Path) -> Outcome<PathBuf> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = parent.canonicalize().map_err(|e| unwritable(path, e))?;
    Ok(parent.join(path.file_name().unwrap_or_default()))
}

fn certify(args: &Certify) -> Outcome {
    let dir = args.dir.as_path();
    let mut device = load(dir)?;
    let Some(pending) = device.pending.take() else {
        return Err(usage(format_args!("{} has its certificate already", dir.display())));
    };
    match (&args.otrp_cert, &pending.otrp) {
        (None, Some(_)) => {
            return Err(usage(format_args!("{} speaks OTrP: --otrp-cert is needed too", dir.display())));
        }
        (Some(_), None) => {
            return Err(usage(format_args!("{} was made without OTrP (--protocol)", dir.display())));
        }
        (None, None) | (Some(_), Some(_)) => {}
    }
    let chains = Chains {
        attestation: chains(&args.cert)?.0,
        otrp: args.otrp_cert.as_deref().map_or(Ok(Vec::new()), whole_chains)?,
        firmware: args.firmware_cert.as_deref().map_or(Ok(Vec::new()), whole_chains)?,
    };
    let enrolment = pending::enrolment(&pending, chains)
        .map_err(|e| Fail::input(codes::CONFIG_INVALID, format_args!("{}: {e}", settings(dir).display())))?;
    let mut tee = Tee::launch(dir, &device, How::default())?;
    // The last time that the TEE tells who it is: whoever asks later is a Broker.
    let status = tee.status()?;
    tee.ask(Request::Enrol(enrolment))?;
    tee.end();
    save(dir, &device)?;
    let id = status.device_id.map(hex::encode).unwrap_or_default();
    eprintln!(
        "{} is enrolled as device {id}; its trust anchors are sealed; next: tamarack agent run",
        dir.display()
    );
    if args.json {
        out::json(&json!({ "device": id, "report_key": status.report_key.map(hex::encode) }))?;
    }
    Ok(())
}

fn reseal(args: &Reseal) -> Outcome {
    let dir = args.dir.as_path();
    let mut device = load(dir)?;
    let Some(RootAddress { tpm, .. }) = &device.tpm else {
        return Err(usage(format_args!(
            "{} has no TPM: its root secret is in {}",
            dir.display(),
            device.fuse.display()
        )));
    };
    let next = program(&args.agent)?;
    tamarack_tee_host::reseal(tpm, &device.fuse, device.agent.as_deref(), Some(&next))
        .map_err(|failure| Fail::new(failure.code, failure.text))?;
    device.agent = Some(next);
    save(dir, &device)?;
    eprintln!("{} runs {} from now on, and nothing else", dir.display(), args.agent.display());
    Ok(())
}

/// A chain for each leaf of a file: the leaf and the certificates of CAs, which stand behind all leaves; and whether there
/// are any of CAs.
fn chains(file: &Path) -> Outcome<(Vec<Vec<Vec<u8>>>, bool)> {
    let all = tamarack_pki::certificates_from_pem(&keys::read_text(file)?).map_err(pki)?;
    let is_ca = |certificate: &Vec<u8>| tamarack_x509::Anchor::from_der(certificate).is_ok();
    let leaves = all.iter().take_while(|certificate| !is_ca(certificate)).count();
    let (leaves, above) = all.split_at(leaves);
    if leaves.is_empty() || !above.iter().all(is_ca) {
        return Err(Fail::input(
            codes::PEM_INVALID,
            format_args!(
                "{}: expected the device's certificates, and behind them those of CAs",
                file.display()
            ),
        ));
    }
    let chains = leaves.iter().map(|leaf| [&[leaf.clone()][..], above].concat());
    Ok((chains.collect(), !above.is_empty()))
}

/// The same up to a root, which OTrP shows to TAMs.
fn whole_chains(file: &Path) -> Outcome<Vec<Vec<Vec<u8>>>> {
    match chains(file)? {
        (chains, true) => Ok(chains),
        (_, false) => Err(Fail::input(
            codes::PEM_INVALID,
            format_args!("{}: expected those above behind the certificates, the root last", file.display()),
        )),
    }
}

/// Runs the device in `dir` as `agent run` does without options; `ready` is told what `agent run` prints.
pub fn serve_device(dir: &Path, ready: impl FnOnce(&serde_json::Value) -> Outcome) -> Outcome {
    let run = Run {
        dir: dir.to_path_buf(),
        allow_http: false,
        agent: None,
        panel: None,
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
    let rich_os = args.uid.unwrap_or_else(|| rustix::process::geteuid().as_raw());
    let how = How {
        create: false,
        require_sandbox: args.require_sandbox,
        agent: args.agent.as_deref(),
        panel: args.panel.as_deref().map(|socket| PanelAt { socket, rich_os }),
    };
    let mut tee = Tee::launch(dir, &device, how)?;
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
        "socket": server.path(),
        "broker": { "pid": std::process::id(), "uid": rustix::process::geteuid().as_raw() },
        "tee": {
            "pid": status.pid, "launcher": status.launcher_pid, "uid": status.uid,
            "measured": measure::json(&status.measured),
            "layers": layers.names().collect::<Vec<_>>(), "missing": missing,
        },
        "otrp": status.otrp_name.as_ref().map(|name| json!({ "tee": name, "ready": status.otrp_ready })),
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
