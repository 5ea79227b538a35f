use std::path::PathBuf;

use serde_json::json;
use tamarack_cose::{MacKey, Purpose, VerificationKey, Verified};
use tamarack_crypto::Secret;
use tamarack_model::codes;
use tamarack_suit::{AuthenticEnvelope, Envelope, Limits, Machine, MemoryDevice, Outcome as CommandOutcome};
use tamarack_suit::{Procedure, TrustedKeys};

use crate::fail::{self, Fail, Outcome};
use crate::inspect::{self, Shape};
use crate::{keys, out};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Show a SUIT envelope or manifest as an annotated tree
    Explain {
        /// The file
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check who signed a SUIT envelope and that it is complete
    Verify {
        #[command(flatten)]
        trust: Trust,
        /// The file
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Verify an envelope, then carry it out against a device in memory
    Run {
        #[command(flatten)]
        trust: Trust,
        /// A payload that the device can fetch, as URI=FILE; repeatable
        #[arg(long = "payload", value_name = "URI=FILE")]
        payloads: Vec<String>,
        /// What the device holds beforehand, as COMPONENT=FILE; repeatable
        #[arg(long = "component", value_name = "ID=FILE")]
        components: Vec<String>,
        /// The slot that a component stands in, as COMPONENT=NUMBER; repeatable
        #[arg(long = "slot", value_name = "ID=NUMBER")]
        slots: Vec<String>,
        /// Also run the invocation procedure
        #[arg(long)]
        invoke: bool,
        /// The file
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Who is trusted to sign.
#[derive(clap::Args)]
struct Trust {
    /// A trusted key: PEM with a public key, certificate or private key; repeatable
    #[arg(long = "anchor", value_name = "KEY.pem")]
    anchors: Vec<PathBuf>,
    /// A trusted HMAC-SHA-256 key in hexadecimal; repeatable
    #[arg(long = "mac-key", value_name = "HEX")]
    mac_keys: Vec<String>,
    /// Accept the deprecated algorithm ids -7 and -8
    #[arg(long)]
    legacy: bool,
}

pub fn run(args: Args) -> Outcome {
    match args.action {
        Action::Explain { file, json } => {
            let bytes = inspect::unhex(fail::read(&file)?);
            let tree = inspect::tree(&bytes, None)
                .or_else(|_| inspect::tree(&bytes, Some(Shape::SuitEnvelope)))
                .map_err(|e| Fail::input(codes::CBOR_MALFORMED, format_args!("{}: {e}", file.display())))?;
            if json { out::json(&tree.to_json()) } else { out::lines(&tree.to_string()) }
        }
        Action::Verify { trust, file, json } => verify(&trust, &file, json),
        Action::Run { trust, payloads, components, slots, invoke, file, json } => {
            let mut device = MemoryDevice::new(tamarack_crypto_aws_lc::provider());
            for pair in &payloads {
                let (uri, path) = split(pair)?;
                device.payloads.insert(uri.to_owned(), fail::read(path.as_ref())?);
            }
            for pair in &components {
                let (id, path) = split(pair)?;
                device.components.insert(component(id)?, fail::read(path.as_ref())?);
            }
            for pair in &slots {
                let (id, number) = split(pair)?;
                let number = number.parse().map_err(|_| {
                    Fail::input(codes::USAGE, format_args!("--slot {pair}: '{number}' is not a number"))
                })?;
                device.slots.insert(component(id)?, number);
            }
            execute(&trust, device, invoke, &file, json)
        }
    }
}

fn split(pair: &str) -> Outcome<(&str, &str)> {
    // A URI may contain '='; a file name given here may not.
    pair.rsplit_once('=')
        .ok_or_else(|| Fail::input(codes::USAGE, format_args!("'{pair}': expected NAME=VALUE")))
}

fn component(text: &str) -> Outcome<tamarack_model::ComponentId> {
    tamarack_model::ComponentId::parse_text(text)
        .map_err(|e| Fail::input(codes::USAGE, format_args!("component id '{text}': {e}")))
}

fn authenticate(trust: &Trust, file: &std::path::Path) -> Outcome<Verified<AuthenticEnvelope>> {
    let provider = tamarack_crypto_aws_lc::provider();
    if trust.anchors.is_empty() && trust.mac_keys.is_empty() {
        return Err(Fail::input(
            codes::USAGE,
            "nothing to verify with: give --anchor KEY.pem or --mac-key HEX",
        ));
    }
    let mut signatures = Vec::new();
    for path in &trust.anchors {
        let key = VerificationKey::new(keys::public_key(path)?, Purpose::SuitManifest, &provider);
        signatures.push(if trust.legacy { key.accepting_legacy_ids() } else { key });
    }
    let mut macs = Vec::new();
    for text in &trust.mac_keys {
        let key = hex::decode(text).map_err(|e| Fail::input(codes::USAGE, format_args!("--mac-key: {e}")))?;
        macs.push(MacKey::new(Secret::new(key), Purpose::SuitManifest, &provider));
    }
    let bytes = inspect::unhex(fail::read(file)?);
    let failed = |e: tamarack_suit::Error| Fail::new(e.code(), format_args!("{}: {e}", file.display()));
    let envelope = Envelope::parse(&bytes, &Limits::default()).map_err(failed)?;
    let trusted = TrustedKeys { signatures: &signatures, macs: &macs };
    envelope.authenticate(&trusted, &provider).map_err(failed)
}

fn verify(trust: &Trust, file: &std::path::Path, json: bool) -> Outcome {
    let verified = authenticate(trust, file)?;
    let manifest = &verified.value().manifest;
    let id = manifest.manifest_component_id.as_ref().map(ToString::to_string);
    let components: Vec<String> = manifest.components.iter().map(ToString::to_string).collect();
    if json {
        return out::json(&json!({
            "ok": true,
            "key": verified.key().to_string(),
            "sequence_number": manifest.sequence_number,
            "manifest_component_id": id,
            "components": components,
        }));
    }
    out::lines(&format!(
        "verified: authentic\n  key       {}\n  sequence  {}\n  manifest  {}\n  installs  {}",
        verified.key(),
        manifest.sequence_number,
        id.as_deref().unwrap_or("(unnamed)"),
        components.join(", "),
    ))
}

fn execute(
    trust: &Trust,
    mut device: MemoryDevice,
    invoke: bool,
    file: &std::path::Path,
    json: bool,
) -> Outcome {
    let verified = authenticate(trust, file)?;
    let failed = |e: tamarack_suit::Error| Fail::new(e.code(), format_args!("{}: {e}", file.display()));
    let mut procedures = vec![Procedure::Update];
    if invoke {
        procedures.push(Procedure::Invocation);
    }
    let mut steps = Vec::new();
    let mut failure = None;
    for procedure in procedures {
        let mut machine = Machine::new(verified.clone(), procedure, Limits::default()).map_err(failed)?;
        let result = device.drive(&mut machine);
        for entry in machine.log() {
            let (ok, why) = match &entry.outcome {
                CommandOutcome::Ok => (true, None),
                CommandOutcome::Condition(why) | CommandOutcome::Abort(why) => (false, Some(why.to_string())),
            };
            steps.push(json!({
                "section": entry.section.name(),
                "offset": entry.offset,
                "component": entry.component_index,
                "command": entry.command.name,
                "ok": ok,
                "why": why,
            }));
        }
        if let Err(e) = result {
            failure = Some(e);
            break;
        }
    }
    if json {
        let held: serde_json::Map<_, _> =
            device.components.iter().map(|(id, content)| (id.to_string(), json!(content.len()))).collect();
        let reason = failure.as_ref().map(|f| json!({"code": f.code.to_string(), "message": f.message}));
        out::json(&json!({"ok": failure.is_none(), "steps": steps, "components": held, "failure": reason}))?;
    } else {
        for step in &steps {
            let mark = if step["ok"] == true { "ok  " } else { "FAIL" };
            let why = step["why"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
            out::lines(&format!(
                "{mark} {:<22} @{:<4} component {}  {}{why}",
                step["section"].as_str().unwrap_or_default(),
                step["offset"],
                step["component"],
                step["command"].as_str().unwrap_or_default(),
            ))?;
        }
        for (id, content) in &device.components {
            out::lines(&format!("holds {id}: {} bytes", content.len()))?;
        }
    }
    match failure {
        None => Ok(()),
        Some(f) => Err(Fail::new(f.code, f.message)),
    }
}
