//! Who may give reference values to a tenant, besides the operator's providers in `tam.toml`.

use std::path::PathBuf;

use serde_json::{Value, json};
use tamarack_model::codes;

use crate::fail::{Fail, Outcome};
use crate::rest::{Connection, Rest, encode};
use crate::{keys, out};

#[derive(clap::Subcommand)]
pub enum Action {
    /// Let somebody give reference values to this tenant, or change what he may speak of
    Add(Add),
    /// List who may, the operator's first
    List {
        #[command(flatten)]
        connection: Connection,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End that: his values do not count any more, and devices are compared with what is left
    Remove {
        /// Name
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(clap::Args)]
pub struct Add {
    /// Name
    name: String,
    /// What he is
    #[arg(long, value_enum, default_value = "maker")]
    role: Role,
    /// PEM file with a key or certificate that signs his reference values, repeatable; it serves nothing else
    #[arg(long = "key", required = true)]
    keys: Vec<PathBuf>,
    /// Devices that he may speak of, repeatable: CLASS-ID, CLASS-ID/MODEL or /MODEL
    #[arg(long = "scope", required = true)]
    scope: Vec<String>,
    /// Names of components that he may speak of, whole segments, repeatable; any without it
    #[arg(long = "element")]
    elements: Vec<String>,
    #[command(flatten)]
    connection: Connection,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Role {
    /// A maker of devices: what they run
    Maker,
    /// A signer of TAs: which of them were released
    TaSigner,
}

impl Role {
    /// As the REST interface has it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Maker => "maker",
            Self::TaSigner => "ta-signer",
        }
    }
}

pub fn run(action: Action) -> Outcome {
    match action {
        Action::Add(args) => add(&args),
        Action::List { connection, json } => {
            out::list(Rest::new(&connection)?.all("/reference-providers")?, json, "there is none", line)
        }
        Action::Remove { name, connection } => {
            Rest::new(&connection)?.delete(&format!("/reference-providers/{}", encode(&name)))?;
            out::lines(&format!("removed {name}"))
        }
    }
}

fn add(args: &Add) -> Outcome {
    let pem = |path: &PathBuf| {
        // The public half, so that a private key given by mistake never leaves the machine.
        let key = keys::public_key(path)?;
        tamarack_pki::public_key_to_pem(&key).map_err(|e| Fail::input(codes::PEM_INVALID, e))
    };
    let scope = |text: &String| {
        let (class, model) = text.split_once('/').unwrap_or((text, ""));
        let part = |text: &str| (!text.is_empty()).then(|| text.to_string());
        json!({ "class_id": part(class), "model": part(model) })
    };
    let body = json!({
        "role": args.role.as_str(),
        "keys": args.keys.iter().map(pem).collect::<Outcome<Vec<_>>>()?,
        "scope": args.scope.iter().map(scope).collect::<Vec<_>>(),
        "elements": (!args.elements.is_empty()).then_some(&args.elements),
    });
    let path = format!("/reference-providers/{}", encode(&args.name));
    let row = Rest::new(&args.connection)?.put(&path, &body)?;
    if args.json { out::json(&row) } else { out::lines(&line(&row)) }
}

fn line(row: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_string();
    let scope = row["scope"].as_array().map(Vec::as_slice).unwrap_or_default();
    let scope: Vec<String> =
        scope.iter().map(|scope| format!("{}/{}", text(&scope["class_id"]), text(&scope["model"]))).collect();
    let keys = row["keys"].as_array().map_or(0, Vec::len);
    let counts = if row["counts"] == true { "" } else { "  does not count" };
    format!(
        "{}  {} of the {}, {keys} keys, cap {}, about {}{counts}",
        text(&row["name"]),
        text(&row["role"]),
        text(&row["of"]),
        text(&row["cap"]),
        scope.join(", ")
    )
}
