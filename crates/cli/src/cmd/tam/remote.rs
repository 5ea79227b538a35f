//! What is asked of a running TAM over REST.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tamarack_model::codes;

use crate::fail::{self, Fail, Outcome};
use crate::rest::{Connection, Rest, encode};
use crate::{keys, out};

/// Every action over REST.
#[derive(clap::Subcommand)]
pub enum Action {
    /// Who ships TAs, under which prefixes
    Provider {
        #[command(subcommand)]
        action: ProviderAction,
    },
    /// The catalogue
    Component {
        #[command(subcommand)]
        action: ComponentAction,
    },
    /// What every device should hold
    Policy {
        #[command(subcommand)]
        action: PolicyAction,
    },
    /// List devices with what they report and what they proved
    Devices(List),
    /// Show one device: all that is known of it, and what the release policy did not let it have
    Device {
        /// Device id
        device: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// List the catalogue
    Components(List),
    /// List exchanges with devices, their outcome and reason
    Sessions(List),
    /// List every change that was made
    Audit(List),
    /// Let a device out of quarantine
    Release {
        /// Device id
        device: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Print the digest of all that the TAM decides by
    RegistryDigest {
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(clap::Args)]
pub struct List {
    #[command(flatten)]
    connection: Connection,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
pub enum ProviderAction {
    /// Register a provider
    Add {
        /// Its id
        name: String,
        /// What its component ids begin with, repeatable
        #[arg(long = "prefix", required = true)]
        prefixes: Vec<String>,
        /// PEM file with a key or certificate that signs its manifests, repeatable
        #[arg(long = "signer", required = true)]
        signers: Vec<PathBuf>,
        /// Replace the prefixes and signers of a provider that is there
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// List providers
    List(List),
}

#[derive(clap::Subcommand)]
pub enum ComponentAction {
    /// Publish a signed envelope
    Publish(Publish),
    /// Withdraw a component, named by its manifest digest
    Withdraw {
        /// Digest
        digest: String,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(clap::Args)]
pub struct Publish {
    /// The envelope
    file: PathBuf,
    /// The provider, if the token is an operator's
    #[arg(long)]
    provider: Option<String>,
    #[command(flatten)]
    connection: Connection,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
pub enum PolicyAction {
    /// Want a component on every device
    Want {
        /// Component id, such as com.example/UUID/ta
        component: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Want it no longer
    Drop {
        /// Component id
        component: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// List what is wanted
    List(List),
}

pub fn run(action: Action) -> Outcome {
    match action {
        Action::Provider { action: ProviderAction::Add { name, prefixes, signers, replace, connection } } => {
            provider(&name, &prefixes, &signers, replace, &connection)
        }
        Action::Provider { action: ProviderAction::List(list) } => {
            show(&list, "/providers", |row| format!("{}  {}", text(&row["id"]), joined(&row["prefixes"])))
        }
        Action::Component { action: ComponentAction::Publish(args) } => publish(&args),
        Action::Component { action: ComponentAction::Withdraw { digest, connection } } => {
            Rest::new(&connection)?.delete(&format!("/components/{}", encode(&digest)))?;
            out::lines(&format!("withdrawn {digest}"))
        }
        Action::Policy { action: PolicyAction::Want { component, connection } } => {
            Rest::new(&connection)?.put(&format!("/policies/{}", encode(&component)), &Value::Null)?;
            out::lines(&format!("wanted on every device: {component}"))
        }
        Action::Policy { action: PolicyAction::Drop { component, connection } } => {
            Rest::new(&connection)?.delete(&format!("/policies/{}", encode(&component)))?;
            out::lines(&format!("no longer wanted: {component}"))
        }
        Action::Policy { action: PolicyAction::List(list) } => {
            show(&list, "/policies", |row| text(&row["component"]))
        }
        Action::Devices(list) => show(&list, "/devices", device),
        Action::Device { device, connection } => {
            out::json(&Rest::new(&connection)?.get(&format!("/devices/{}", encode(&device)))?)
        }
        Action::Components(list) => show(&list, "/components", component),
        Action::Sessions(list) => show(&list, "/sessions", |row| {
            let (device, outcome) = (text(&row["device"]), text(&row["outcome"]));
            format!(
                "{}  {device:.16}  {outcome:<14} {} {}",
                row["started"],
                text(&row["code"]),
                text(&row["reason"])
            )
        }),
        Action::Audit(list) => show(&list, "/audit", |row| {
            let (actor, action) = (text(&row["actor"]), text(&row["action"]));
            format!(
                "{:>5}  {}  {actor}  {action}  {}  {}",
                row["number"],
                row["at"],
                text(&row["subject"]),
                text(&row["detail"])
            )
        }),
        Action::Release { device, connection } => {
            Rest::new(&connection)?.post(&format!("/devices/{}/release", encode(&device)), &Value::Null)?;
            out::lines(&format!("released {device}"))
        }
        Action::RegistryDigest { connection } => {
            out::lines(&text(&Rest::new(&connection)?.get("/registry-digest")?["sha256"]))
        }
    }
}

/// Publishes an envelope; also what `ta publish` does.
pub fn publish(args: &Publish) -> Outcome {
    let envelope = fail::read(&args.file)?;
    let query = args.provider.as_ref().map(|id| format!("?provider={}", encode(id))).unwrap_or_default();
    let path = format!("/components{query}");
    let entry = Rest::new(&args.connection)?.post_bytes(&path, "application/cbor", envelope)?;
    if args.json {
        return out::json(&entry);
    }
    out::lines(&format!("published {}", component(&entry)))
}

fn provider(
    name: &str,
    prefixes: &[String],
    signers: &[PathBuf],
    replace: bool,
    connection: &Connection,
) -> Outcome {
    let pem = |path: &PathBuf| signer(path);
    let body = json!({
        "id": name, "prefixes": prefixes, "signers": signers.iter().map(pem).collect::<Outcome<Vec<_>>>()?,
    });
    let rest = Rest::new(connection)?;
    if replace {
        rest.put(&format!("/providers/{}", encode(name)), &body)?;
    } else {
        rest.post("/providers", &body)?;
    }
    out::lines(&format!("registered {name} for {}", prefixes.join(", ")))
}

/// The public half of what a file holds, so that a private key given by mistake never leaves the machine.
fn signer(path: &Path) -> Outcome<String> {
    tamarack_pki::public_key_to_pem(&keys::public_key(path)?).map_err(|e| Fail::input(codes::PEM_INVALID, e))
}

fn show(list: &List, path: &str, line: fn(&Value) -> String) -> Outcome {
    out::list(Rest::new(&list.connection)?.all(path)?, list.json, "there is none", line)
}

fn device(row: &Value) -> String {
    let held = |name: &str| {
        let held = &row[name];
        let count = held["components"].as_array().map_or(0, Vec::len);
        if held.is_null() { "-".to_string() } else { format!("{count} {}", text(&held["proof"])) }
    };
    let quarantine = match row["quarantine"].as_str() {
        Some(reason) => format!("  QUARANTINE: {reason}"),
        None => String::new(),
    };
    let withheld = row["by_owner"].as_array().into_iter().flatten();
    let withheld: Vec<String> =
        withheld.map(|one| format!("{} {}", text(&one["state"]), text(&one["component"]))).collect();
    let withheld = match withheld.is_empty() {
        true => String::new(),
        false => format!("  {}", withheld.join(", ")),
    };
    let (id, grade) = (text(&row["id"]), text(&row["grade"]));
    let (protocols, domains) = (joined(&row["protocols"]), row["otrp"]["domains"].as_array());
    let domains = domains.map(|list| format!("  {} domains", list.len())).unwrap_or_default();
    format!(
        "{id}  {grade:<8}  {protocols}{domains}  reports {}, proved {}{withheld}{quarantine}",
        held("reported"),
        held("attested")
    )
}

fn component(row: &Value) -> String {
    let state = if row["withdrawn"].is_null() { "" } else { "  withdrawn" };
    let (digest, manifest) = (text(&row["digest"]), text(&row["manifest"]));
    format!("{manifest}  sequence {}  {digest}  {} bytes{state}", row["sequence"], row["size"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_string()
}

fn joined(value: &Value) -> String {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(text).collect::<Vec<_>>().join(", ")
}
