//! `tamarack app`: what a normal app does, from the command line.

mod otrp;
mod package;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use tamarack_broker::{Client, Error, SOCKET_NAME, Target};
use tamarack_channel::Domain;
use tamarack_model::{ComponentId, codes};
use tamarack_tee::{Param, Params};

use crate::fail::{Fail, Outcome};
use crate::out;

#[derive(clap::Args)]
pub struct Args {
    /// The device folder
    #[arg(long, global = true, default_value = "device")]
    device: PathBuf,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Ask for a TA and wait until it can be used
    Request {
        /// Its component id, such as com.acme/UUID/ta
        component: String,
        /// The TAM to ask, if not the device's own
        #[arg(long)]
        tam_uri: Option<String>,
        /// Carry the messages: ask the TAM here rather than have the Broker ask it (OTrP; needs --tam-uri and what
        /// `app information` needs). Prints and keeps the keys that the TAM vouches for
        #[arg(long, requires = "tam_uri")]
        carry: bool,
        #[command(flatten)]
        trust: Trust,
    },
    /// Say that a TA is no longer needed
    Unrequest {
        /// Its component id
        component: String,
    },
    /// Invoke a command of a TA: parameters in order
    Invoke {
        /// Its component id or UUID
        ta: String,
        /// Number of the command
        command: u32,
        /// value:A or value:A,B | text:TEXT | hex:BYTES | out:value | out:ROOM | none
        params: Vec<String>,
    },
    /// What the TEE itself says of a TA, verified with keys that the TAM vouches for (OTrP)
    Information {
        /// Its component id, such as com.acme/UUID/ta
        component: String,
        /// Its service provider, as the TAM knows it
        #[arg(long)]
        provider: String,
        /// Where the TAM is: without --aiks, or if those do not fit, it is asked for keys, and for the TA
        #[arg(long)]
        tam_uri: Option<String>,
        #[command(flatten)]
        trust: Trust,
    },
    /// Put an app's folder with its dependency file tamarack.json into a package, a tar archive
    Pack {
        /// The folder
        folder: PathBuf,
        /// Where to write the package
        package: PathBuf,
    },
    /// Install what an app's package needs, as an installer does before the app starts first
    Install {
        /// The package: a tar archive, or a folder of the same content
        package: PathBuf,
        /// Where the app's files go once its TAs are there
        #[arg(long)]
        into: Option<PathBuf>,
        /// Download TAs that the package brings along
        #[arg(long)]
        no_bundle: bool,
        /// Ask again for so many seconds while no TAM can be reached or the device's owner has not decided
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        wait: u64,
    },
    /// What is installed, and how the TEE is
    List,
    /// Ask the TAMs whether they want something changed
    PolicyCheck,
}

/// By what an app knows its TAM in OTrP.
#[derive(clap::Args)]
struct Trust {
    /// Certificate of the authority that certifies the TAM, PEM
    #[arg(long, requires = "tam_name")]
    tam_root: Option<PathBuf>,
    /// Name of the TAM under it: an object identifier (tamid) or a URI
    #[arg(long, requires = "tam_root")]
    tam_name: Option<String>,
    /// File of the keys that the TAM vouches for: read if it is there, written when the TAM gives new ones
    #[arg(long)]
    aiks: Option<PathBuf>,
    /// Certificates to trust for HTTPS besides the system's, PEM
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Speak plain HTTP to a TAM that is not on this machine
    #[arg(long)]
    allow_http: bool,
}

pub fn run(args: Args) -> Outcome {
    if let Action::Pack { folder, package } = &args.action {
        return self::package::pack(folder, package, args.json);
    }
    let mut client = connect(&args.device)?;
    match args.action {
        Action::Request { component, tam_uri: Some(tam_uri), carry: true, trust } => {
            otrp::carry(&mut client, &self::component(&component)?, &tam_uri, &trust, args.json)
        }
        Action::Request { component, tam_uri, .. } => {
            request(&mut client, &self::component(&component)?, tam_uri.as_deref(), args.json)
        }
        Action::Unrequest { component } => {
            client.unrequest_ta(&self::component(&component)?).map_err(failed)?;
            done(args.json, &format!("{component} is no longer needed"), json!({ "ok": true }))
        }
        Action::Invoke { ta, command, params } => invoke(&mut client, &ta, command, &params, args.json),
        Action::Information { component, provider, tam_uri, trust } => {
            let ta = otrp::ta(&self::component(&component)?, &provider)?;
            otrp::information(&mut client, &ta, tam_uri.as_deref(), &trust, args.json)
        }
        // Done above: it needs no device.
        Action::Pack { .. } => Ok(()),
        Action::Install { package, into, no_bundle, wait } => {
            let wait = std::time::Duration::from_secs(wait);
            let how = self::package::How { into, no_bundle, wait, json: args.json };
            self::package::install(&mut client, &package, &how)
        }
        Action::List => list(&mut client, args.json),
        Action::PolicyCheck => {
            client.policy_check().map_err(failed)?;
            done(args.json, "the TAMs were asked", json!({ "ok": true }))
        }
    }
}

/// A device that runs, by its folder.
pub fn connect(device: &Path) -> Outcome<Client> {
    let socket = device.join(SOCKET_NAME);
    Client::connect(&socket).map_err(|e| {
        let text = format!("{}: {e}; is the device running (tamarack agent run)?", socket.display());
        Fail::new(codes::TEE_CHANNEL, text)
    })
}

fn failed(error: Error) -> Fail {
    Fail::new(error.code(), error)
}

fn component(text: &str) -> Outcome<ComponentId> {
    ComponentId::parse_text(text).map_err(|e| Fail::input(codes::USAGE, format_args!("{text}: {e}")))
}

fn done(json: bool, text: &str, value: Json) -> Outcome {
    if json { out::json(&value) } else { out::lines(text) }
}

fn request(client: &mut Client, component: &ComponentId, tam_uri: Option<&str>, json: bool) -> Outcome {
    let show = !json && std::io::stderr().is_terminal();
    let mut last = None;
    for progress in client.request_ta(component, tam_uri).map_err(failed)? {
        let progress = progress.map_err(failed)?;
        if show {
            match progress.total {
                Some(total) => eprintln!("{}  {} of {total} bytes", progress.state, progress.received),
                None => eprintln!("{}", progress.state),
            }
        }
        last = Some(progress.state);
    }
    let state = last.map_or("PENDING", |state| state.name());
    done(
        json,
        &format!("{component}: {state}"),
        json!({ "component": component.to_string(), "state": state }),
    )
}

/// Reads one parameter of the command line.
fn param(text: &str) -> Outcome<Param> {
    let wrong = || {
        Fail::input(
            codes::USAGE,
            format_args!("{text}: expected value:A[,B], text:TEXT, hex:BYTES, out:value, out:ROOM or none"),
        )
    };
    Ok(match text.split_once(':') {
        None if text == "none" => Param::None,
        Some(("value", numbers)) => {
            let (a, b) = numbers.split_once(',').unwrap_or((numbers, "0"));
            Param::ValueInput(a.parse().map_err(|_| wrong())?, b.parse().map_err(|_| wrong())?)
        }
        Some(("text", data)) => Param::MemrefInput(data.as_bytes().to_vec()),
        Some(("hex", data)) => Param::MemrefInput(hex::decode(data).map_err(|_| wrong())?),
        Some(("out", "value")) => Param::ValueOutput(0, 0),
        Some(("out", room)) => {
            Param::MemrefOutput { capacity: room.parse().map_err(|_| wrong())?, data: Vec::new() }
        }
        _ => return Err(wrong()),
    })
}

fn invoke(client: &mut Client, ta: &str, command: u32, params: &[String], json: bool) -> Outcome {
    let params: Params = params.iter().map(|text| param(text)).collect::<Outcome<_>>()?;
    let target = match uuid::Uuid::parse_str(ta) {
        Ok(uuid) => Target::Uuid(uuid.into_bytes()),
        Err(_) => Target::Component(component(ta)?),
    };
    let session = client.open_session(target, None, Vec::new()).map_err(failed)?;
    let returned = client.invoke(session, command, params).map_err(failed)?;
    client.close_session(session).map_err(failed)?;
    let outputs: Vec<Json> = returned.params.iter().map(shown).collect();
    if json {
        out::json(&json!({ "code": returned.code, "params": outputs }))?;
    } else {
        let text: Vec<String> = outputs.iter().filter(|o| !o.is_null()).map(ToString::to_string).collect();
        out::lines(&format!("returned {:#010x} {}", returned.code, text.join(" ")))?;
    }
    match returned.code {
        0 => Ok(()),
        code => Err(Fail::new(codes::TA_ERROR, format_args!("the TA returned {code:#010x}"))),
    }
}

/// An output parameter; null for what only goes in.
fn shown(param: &Param) -> Json {
    match param {
        Param::None | Param::ValueInput(..) | Param::MemrefInput(_) => Json::Null,
        Param::ValueOutput(a, b) | Param::ValueInout(a, b) => json!([a, b]),
        Param::MemrefOutput { data, .. } | Param::MemrefInout { data, .. } => json!(hex::encode(data)),
    }
}

fn list(client: &mut Client, json: bool) -> Outcome {
    let status = client.status().map_err(failed)?;
    let layers = tamarack_tee_sandbox::Layers::from_bits(status.layers);
    if json {
        let installed: Vec<Json> = status
            .installed
            .iter()
            .map(|one| {
                json!({
                    "component": one.component.to_string(), "manifest": one.manifest.to_string(),
                    "sequence": one.sequence_number, "digest": hex::encode(one.digest), "size": one.size,
                })
            })
            .collect();
        let peripherals: serde_json::Map<String, Json> = status
            .peripherals
            .iter()
            .map(|(name, at)| (name.clone(), json!(String::from_utf8_lossy(at))))
            .collect();
        return out::json(&json!({
            "state_digest": hex::encode(status.state_digest), "state_epoch": status.state_epoch, "trust_store_sequence": status.trust_store_sequence,
            "layers": layers.names().collect::<Vec<_>>(), "missing": status.missing_layers,
            "installed": installed, "peripherals": peripherals,
            "otrp": status.otrp_name.as_ref().map(|name| json!({ "tee": name, "ready": status.otrp_ready })),
            "domains": status.domains.iter().map(domain).collect::<Vec<_>>(),
        }));
    }
    let mut text = format!("TEE process {} (uid {}): {layers}\n", status.pid, status.uid);
    for one in &status.installed {
        text += &format!("{}  sequence {}  {} bytes\n", one.component, one.sequence_number, one.size);
    }
    for one in &status.domains {
        let quota = one.quota.map_or(String::new(), |quota| format!(" of {quota}"));
        text += &format!(
            "domain {} of {}: {} TAs, {}{quota} bytes, {} signers\n",
            one.name,
            one.provider,
            one.manifests,
            one.used,
            one.signers.len()
        );
    }
    for (name, at) in &status.peripherals {
        text += &format!("peripheral {name}: {}\n", String::from_utf8_lossy(at));
    }
    out::lines(&text)
}

fn domain(domain: &Domain) -> Json {
    json!({
        "tam": domain.tam_uri, "name": domain.name, "label": String::from_utf8_lossy(&domain.label),
        "provider": domain.provider, "signers": domain.signers.iter().map(hex::encode).collect::<Vec<_>>(),
        "installed": domain.manifests, "used": domain.used, "quota": domain.quota,
    })
}
