//! `tamarack ta push`: from ta.yaml to a device that proves it holds the TA, in one command.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tamarack_broker::{Client, SOCKET_NAME};
use tamarack_model::codes;

use crate::cmd::dev::World;
use crate::fail::{Fail, Outcome};
use crate::out;
use crate::rest::{Connection, Rest, encode};
use crate::ta_yaml::TaYaml;

/// How long the device may take to prove it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(clap::Args)]
pub struct Args {
    /// The ta.yaml
    #[arg(default_value = "ta.yaml")]
    file: PathBuf,
    /// The device folder; the device must be running
    #[arg(long)]
    to: PathBuf,
    /// The device's id at the TAM, as `tamarack agent certify` said and `tamarack tam devices` lists; the one of `tamarack dev up`
    /// without it
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// The developer's key; the one of `tamarack dev up` without it
    #[arg(long, requires = "url")]
    key: Option<PathBuf>,
    /// URL of the TAM; the one of `tamarack dev up` without it
    #[arg(long, requires_all = ["token_file", "key", "device"])]
    url: Option<String>,
    /// File that holds the API token
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// The provider, if the token is an operator's
    #[arg(long)]
    provider: Option<String>,
    /// Certificates to trust for HTTPS besides the system's, PEM
    #[arg(long)]
    root: Option<PathBuf>,
}

pub fn run(args: Args) -> Outcome {
    let began = Instant::now();
    let yaml = TaYaml::read(&args.file)?;
    let folder = args.file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Target { device, key, provider, connection } = target(&args)?;
    let release = format!("{} {} (sequence {})", yaml.name, yaml.version, yaml.sequence);

    let failed =
        |e: tamarack_suit::Error| Fail::input(e.code(), format_args!("{}: {e}", args.file.display()));
    let unsigned = yaml.builder(folder)?.build(&tamarack_crypto_aws_lc::provider()).map_err(failed)?;
    let digest = hex::encode(unsigned.digest().bytes());
    let envelope = super::sign_with(unsigned, &key, None)?.envelope();
    eprintln!(
        "packed {release}: {} bytes, digest {digest:.16}.., signed with {}",
        envelope.len(),
        key.display()
    );

    let mut device = Device::connect(&args.to, device, Rest::new(&connection)?)?;
    if device.attests(&digest)? {
        return out::lines(&format!("nothing to do: {} already attests {release}", args.to.display()));
    }
    if device.rest.get(&format!("/components/{digest}")).is_err() {
        let query = provider.map(|id| format!("?provider={}", encode(&id))).unwrap_or_default();
        device.rest.post_bytes(&format!("/components{query}"), "application/cbor", envelope)?;
        eprintln!("published at {}", connection.url.as_deref().unwrap_or_default());
    }
    let component = yaml.component_id().map_err(|e| Fail::input(codes::CONFIG_INVALID, e))?;
    let broker = |e: tamarack_broker::Error| Fail::new(e.code(), e);
    for progress in device.client.request_ta(&component, None).map_err(broker)? {
        eprintln!("device: {}", progress.map_err(broker)?.state);
    }
    // An update of what is there already comes with a policy check, and so does the Evidence that proves either.
    while !device.attests(&digest)? {
        if began.elapsed() > PATIENCE {
            let reason = device.last_refusal()?;
            return Err(Fail::new(
                codes::TEE_CHANNEL,
                format_args!("the device does not attest {release}{reason}"),
            ));
        }
        device.client.policy_check().map_err(broker)?;
        std::thread::sleep(PAUSE);
    }
    let seconds = began.elapsed().as_secs_f64();
    out::lines(&format!("{} attests {release}: {component} after {seconds:.1} s", args.to.display()))
}

/// Where things are.
struct Target {
    device: String,
    key: PathBuf,
    provider: Option<String>,
    connection: Connection,
}

/// What the command line says, and for the rest the world of `dev up` around the device.
fn target(args: &Args) -> Outcome<Target> {
    let root = args.root.clone();
    if let (Some(url), Some(key), Some(device)) = (&args.url, &args.key, &args.device) {
        let connection = Connection {
            url: Some(url.clone()),
            token: None,
            token_file: args.token_file.clone(),
            root,
            allow_plain_http: false,
        };
        let (device, key) = (device.clone(), key.clone());
        return Ok(Target { device, key, provider: args.provider.clone(), connection });
    }
    let around = args.to.canonicalize().ok();
    let world =
        World::read(around.as_deref().and_then(Path::parent).unwrap_or(Path::new("."))).map_err(|_| {
            let message = format_args!(
                "{} is not a device of tamarack dev up: give --url, --token-file, --key and --device",
                args.to.display()
            );
            Fail::input(codes::USAGE, message)
        })?;
    Ok(Target {
        device: args.device.clone().unwrap_or_else(|| world.device().to_owned()),
        key: args.key.clone().unwrap_or_else(|| world.developer_key()),
        provider: args.provider.clone().or_else(|| Some(world.provider().to_owned())),
        connection: Connection { root, ..world.connection() },
    })
}

/// The device, from both sides.
struct Device {
    client: Client,
    rest: Rest,
    id: String,
}

impl Device {
    fn connect(folder: &Path, id: String, rest: Rest) -> Outcome<Self> {
        let socket = folder.join(SOCKET_NAME);
        let gone = |e: tamarack_broker::Error| {
            Fail::new(e.code(), format_args!("{}: {e}; is the device running?", socket.display()))
        };
        let client = Client::connect(&socket).map_err(gone)?;
        Ok(Self { client, rest, id })
    }

    /// Whether the last Evidence showed the manifest.
    fn attests(&self, digest: &str) -> Outcome<bool> {
        match self.rest.get(&format!("/devices/{}", self.id)) {
            Ok(row) => Ok(holds(&row["attested"], digest)),
            // The TAM does not know the device before its first Evidence.
            Err(e) if e.code() == codes::API_NOT_FOUND => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Why the device's last exchange failed, if it did.
    fn last_refusal(&self) -> Outcome<String> {
        let sessions = self.rest.all("/sessions")?;
        let refused = |row: &&Value| row["device"] == *self.id && row["reason"].is_string();
        let last = sessions.iter().filter(refused).max_by_key(|row| row["started"].as_u64());
        Ok(last.map(|row| format!(": {} ({})", text(&row["reason"]), text(&row["code"]))).unwrap_or_default())
    }
}

fn holds(held: &Value, digest: &str) -> bool {
    held["components"].as_array().is_some_and(|rows| rows.iter().any(|row| row["digest"] == digest))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_device_attests_what_its_evidence_showed() {
        let row = json!({ "components": [{ "id": "a", "digest": "00" }, { "id": "b", "digest": null }] });
        assert!(holds(&row, "00"));
        assert!(!holds(&row, "01") && !holds(&Value::Null, "00"));
    }
}
