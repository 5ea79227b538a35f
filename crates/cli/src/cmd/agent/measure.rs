//! `tamarack agent measure`: what a launcher would measure, for the maker who releases it.

use std::path::PathBuf;

use serde_json::{Value as Json, json};
use tamarack_model::codes;
use tamarack_tee_host::{Configuration, Measured, RootKind, measurements};

use super::load;
use crate::cmd::pki::KeyKind;
use crate::fail::{Fail, Outcome};
use crate::out;

#[derive(clap::Args)]
pub(super) struct Args {
    /// A device folder, whose Agent and kind of key are measured
    dir: Option<PathBuf>,
    /// The Agent's program, if it is not this one or the device's
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Type of the device's keys
    #[arg(long, value_enum, default_value = "ed25519", conflicts_with = "dir")]
    key_type: KeyKind,
    /// For devices with a TPM
    #[arg(long, conflicts_with = "dir")]
    tpm: bool,
    /// For devices that are started with --panel
    #[arg(long)]
    panel: bool,
    /// For devices that are started with --require-sandbox
    #[arg(long)]
    require_sandbox: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What Evidence and reference values call each measurement.
const NAMES: [&str; 3] = ["urn:x-tamarack:agent", "urn:x-tamarack:launcher", "urn:x-tamarack:configuration"];

pub(super) fn run(args: &Args) -> Outcome {
    let device = args.dir.as_deref().map(load).transpose()?;
    let (agent, key_type, root) = match &device {
        Some(device) => (device.agent.as_deref(), device.key_type, device.root_kind()),
        None => (None, args.key_type, if args.tpm { RootKind::Tpm } else { RootKind::File }),
    };
    let agent = args.agent.as_deref().or(agent);
    let configuration = Configuration {
        root,
        key_type: key_type.into(),
        panel: args.panel,
        require_sandbox: args.require_sandbox,
    };
    let Measured { agent, launcher, configuration } =
        measurements(agent, &configuration).map_err(|error| {
            let what = agent.map_or("this program".into(), |path| path.display().to_string());
            Fail::input(codes::FILE_UNREADABLE, format_args!("cannot measure {what}: {error}"))
        })?;
    let digests = [agent, launcher, configuration];
    if args.json {
        return out::json(&json(&digests));
    }
    // As `tamarack reference make --component` takes them.
    let lines =
        NAMES.iter().zip(digests).map(|(name, digest)| format!("{name}=sha256:{}", hex::encode(digest)));
    out::lines(&lines.collect::<Vec<_>>().join("\n"))
}

/// The digests by name.
pub(super) fn json(digests: &[[u8; 32]; 3]) -> Json {
    let [agent, launcher, configuration] = digests.map(hex::encode);
    json!({ "agent": agent, "launcher": launcher, "configuration": configuration })
}
