//! `tamarack dev up`: a developer's whole world in one command.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tamarack_model::codes;
use tamarack_tam_server::Config;

use crate::fail::{self, Fail, Outcome};
use crate::keys;
use crate::rest::{Connection, Rest};

/// The provider that the developer publishes as.
const PROVIDER: &str = "dev";

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Make what is missing (authorities, TAM, one device) and run it until interrupted
    Up(Up),
}

#[derive(clap::Args)]
struct Up {
    /// Folder of this world; made at the first start, used again afterwards
    #[arg(long, default_value = ".tamarack")]
    dir: PathBuf,
    /// Address of the TAM, chosen at the first start
    #[arg(long, default_value = "127.0.0.1:8480")]
    listen: SocketAddr,
    /// Security Domain that the developer owns, chosen at the first start
    #[arg(long, default_value = "com.example")]
    domain: String,
}

/// `dev.json`: what `ta push` has to know of a world.
#[derive(Serialize, Deserialize)]
pub struct World {
    url: String,
    provider: String,
    domain: String,
    device: String,
    #[serde(skip)]
    dir: PathBuf,
}

impl World {
    /// Reads the world in `dir`.
    pub fn read(dir: &Path) -> Outcome<Self> {
        let file = dir.join("dev.json");
        let read: Self = serde_json::from_str(&keys::read_text(&file)?)
            .map_err(|e| Fail::input(codes::CONFIG_INVALID, format_args!("{}: {e}", file.display())))?;
        Ok(Self { dir: dir.to_path_buf(), ..read })
    }

    /// The developer's private key.
    pub fn developer_key(&self) -> PathBuf {
        self.dir.join("developer.key")
    }

    /// The provider's id.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The id of its device at the TAM.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The operator's connection to the TAM.
    pub fn connection(&self) -> Connection {
        Connection {
            url: Some(self.url.clone()),
            token: None,
            token_file: Some(self.dir.join("operator.token")),
            root: None,
            allow_plain_http: false,
        }
    }

    /// Makes everything. Each step is a command that works by itself, and is printed.
    fn make(up: &Up) -> Outcome<Self> {
        let dir = &up.dir;
        if !up.listen.ip().is_loopback() || up.listen.port() == 0 {
            let message = "--listen: this world is for one machine: give a loopback address with its port";
            return Err(Fail::input(codes::USAGE, message));
        }
        let unwritable =
            |e| Fail::input(codes::FILE_UNWRITABLE, format_args!("cannot make {}: {e}", dir.display()));
        std::fs::create_dir_all(dir).map_err(unwritable)?;
        let at = |name: &str| dir.join(name).display().to_string();
        let url = format!("http://{}", up.listen);
        let tam_uri = format!("{url}/tam");
        step(&["pki", "ca", "--role", "tam", &at("tam-ca")])?;
        step(&["pki", "ca", "--role", "tee", &at("tee-ca")])?;
        step(&["pki", "key", &at("developer.key")])?;
        let public = step(&["pki", "public", &at("developer.key")])?;
        fail::write(&dir.join("developer.pub"), public.as_bytes())?;
        let listen = up.listen.to_string();
        // Any grade: a machine that lacks a sandbox layer can still be developed on, and the device says so.
        let tee_ca = at("tee-ca.pem");
        let mut init =
            vec!["tam", "init", "--listen", &listen, "--uri", &tam_uri, "--tee-ca", &tee_ca, "--minimum"];
        let (tam, tam_ca) = (at("tam"), at("tam-ca"));
        init.extend(["none", "--ca", &tam_ca, &tam]);
        keys::write_secret(&dir.join("operator.token"), &step(&init)?)?;
        let (tam_anchor, signer_anchor) =
            (format!("{}={tam_uri}", at("tam-ca.pem")), format!("{}:{}", at("developer.pub"), up.domain));
        let (device, fuse) = (at("device"), at("device.fuse"));
        step(&["owner", "key", &at("owner.key")])?;
        let owner = at("owner.key.pub");
        step(&[
            "agent",
            "init",
            &device,
            "--fuse",
            &fuse,
            "--tam-anchor",
            &tam_anchor,
            "--signer-anchor",
            &signer_anchor,
            "--owner",
            &owner,
        ])?;
        let (csr, cert, tee_ca) = (at("device/device.csr"), at("device.pem"), at("tee-ca"));
        step(&[
            "pki",
            "issue",
            "--ca",
            &tee_ca,
            "--csr",
            &csr,
            "--uri",
            "urn:x-tamarack:dev:device",
            "--out",
            &cert,
        ])?;
        let certified = step(&["agent", "certify", &device, "--cert", &cert, "--json"])?;
        let certified: serde_json::Value =
            serde_json::from_str(&certified).map_err(|e| Fail::new(codes::INTERNAL, e))?;
        let device = certified["device"].as_str().unwrap_or_default().to_owned();
        let (provider, domain) = (PROVIDER.into(), up.domain.clone());
        let world = Self { url, provider, domain, device, dir: dir.clone() };
        let text = serde_json::to_vec_pretty(&world).map_err(|e| Fail::new(codes::INTERNAL, e))?;
        // Last, so that a world that was not finished is not taken for one.
        fail::write(&dir.join("dev.json"), &text)?;
        Ok(world)
    }

    /// Registers the developer at the running TAM, if that was not done yet.
    fn register(&self) -> Outcome {
        let rest = Rest::new(&self.connection())?;
        let providers = rest.all("/providers")?;
        if providers.iter().any(|row| row["id"] == *self.provider) {
            return Ok(());
        }
        let signer = keys::read_text(&self.dir.join("developer.pub"))?;
        rest.post(
            "/providers",
            &json!({ "id": self.provider, "prefixes": [self.domain], "signers": [signer] }),
        )?;
        Ok(())
    }
}

pub fn run(args: Args) -> Outcome {
    let Action::Up(up) = args.action;
    let world = match up.dir.join("dev.json").exists() {
        true => World::read(&up.dir)?,
        false => World::make(&up)?,
    };
    let tam = |e: tamarack_tam_server::Error| Fail::new(e.code(), e);
    let config = Config::read(&world.dir.join("tam/tam.toml")).map_err(tam)?;
    // In this process, as is the Broker; the TEE has one of its own. They end together.
    let _running = tamarack_tam_server::start(&config).map_err(tam)?;
    world.register()?;
    let dir = world.dir.display();
    super::agent::serve_device(&world.dir.join("device"), |device| {
        eprintln!("\nTAM     {} (operator's token in {dir}/operator.token)", world.url);
        eprintln!("device  {dir}/device, TEE process {}", device["tee"]["pid"]);
        eprintln!("signer  {dir}/developer.key owns {}", world.domain);
        eprintln!(
            "owner   {dir}/owner.key of the device: tamarack owner show --key {dir}/owner.key --device {dir}/device"
        );
        eprintln!("everything in {dir} is for development only; Ctrl-C ends it, the same command goes on\n");
        eprintln!("next:   tamarack ta new hello --domain {} && cd hello && tamarack ta build", world.domain);
        eprintln!("        tamarack ta push --to ../{dir}/device");
        Ok(())
    })
}

/// Runs a command of this program, showing it, and gives what it printed.
fn step(args: &[&str]) -> Outcome<String> {
    eprintln!("$ tamarack {}", args.join(" "));
    let failed =
        |e: std::io::Error| Fail::new(codes::INTERNAL, format_args!("cannot start this program again: {e}"));
    let program = std::env::current_exe().map_err(failed)?;
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(failed)?;
    if !output.status.success() {
        return Err(Fail::new(
            codes::INTERNAL,
            format_args!("tamarack {} failed, see above", args.join(" ")),
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
