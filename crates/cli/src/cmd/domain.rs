//! `tamarack domain`: Security Domains, as the TAM has them.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::fail::{self, Outcome};
use crate::out;
use crate::rest::{Connection, Rest, encode};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Create a domain of a provider
    Create {
        /// Its name: what the component ids in it begin with
        name: String,
        /// Whose it is
        #[arg(long)]
        provider: String,
        /// PEM file with a certificate of the provider that devices pin, repeatable; the TAM makes one for each of its keys
        #[arg(long = "certificate")]
        certificates: Vec<PathBuf>,
        /// Most bytes that it may take on a device, as agreed on with the provider
        #[arg(long)]
        quota: Option<u64>,
        #[command(flatten)]
        connection: Connection,
    },
    /// List domains
    List {
        #[command(flatten)]
        connection: Connection,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a domain and whose manifests devices take into it
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        connection: Connection,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Let another provider publish into a domain; devices that have it are told
    Allow {
        /// Its name
        name: String,
        /// The guest
        #[arg(long)]
        provider: String,
        /// PEM file with a certificate of the guest, repeatable; the TAM makes one for each of its keys
        #[arg(long = "certificate")]
        certificates: Vec<PathBuf>,
        #[command(flatten)]
        connection: Connection,
    },
    /// End that; what devices have of the guest stays
    Disallow {
        /// Its name
        name: String,
        /// The guest
        #[arg(long)]
        provider: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Delete a domain with all that is in it, on every device
    Delete {
        /// Its name
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
}

pub fn run(args: Args) -> Outcome {
    match args.action {
        Action::Create { name, provider, certificates, quota, connection } => {
            let body = json!({
                "name": name, "provider": provider, "certificates": pems(&certificates)?, "quota": quota,
            });
            Rest::new(&connection)?.post("/domains", &body)?;
            out::lines(&format!("created domain {name} of {provider}"))
        }
        Action::List { connection, json } => {
            out::list(Rest::new(&connection)?.all("/domains")?, json, "there is none", line)
        }
        Action::Show { name, connection, json } => {
            let domain = Rest::new(&connection)?.get(&format!("/domains/{}", encode(&name)))?;
            if json {
                return out::json(&domain);
            }
            out::lines(&line(&domain))
        }
        Action::Allow { name, provider, certificates, connection } => {
            let body = json!({ "provider": provider, "certificates": pems(&certificates)? });
            Rest::new(&connection)?.post(&format!("/domains/{}/providers", encode(&name)), &body)?;
            out::lines(&format!("{provider} may publish into {name}"))
        }
        Action::Disallow { name, provider, connection } => {
            let path = format!("/domains/{}/providers/{}", encode(&name), encode(&provider));
            Rest::new(&connection)?.delete(&path)?;
            out::lines(&format!("{provider} may no longer publish into {name}"))
        }
        Action::Delete { name, connection } => {
            Rest::new(&connection)?.delete(&format!("/domains/{}", encode(&name)))?;
            out::lines(&format!("deleted domain {name}; devices are told when they come"))
        }
    }
}

fn pems(files: &[PathBuf]) -> Outcome<Vec<String>> {
    files.iter().map(|path| Ok(String::from_utf8_lossy(&fail::read(path)?).into_owned())).collect()
}

fn line(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or("-").to_string();
    let mut guests: Vec<&str> = row["signers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|signer| signer["provider"].as_str())
        .filter(|guest| row["provider"] != *guest)
        .collect();
    guests.dedup();
    let guests = if guests.is_empty() { String::new() } else { format!("  guests: {}", guests.join(", ")) };
    let deleted = if row["deleted"].is_null() { "" } else { "  DELETED" };
    let certificates = row["signers"].as_array().map_or(0, Vec::len);
    format!("{}  of {}  {certificates} certificates{guests}{deleted}", text("name"), text("provider"))
}
