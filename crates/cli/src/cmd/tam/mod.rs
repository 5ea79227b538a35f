//! `tamarack tam`: make, serve, keep and ask a TAM.

mod remote;

pub use remote::{Publish, publish};

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use tamarack_model::codes;
use tamarack_tam_server::{Config, GradeName, InitOptions, NewToken, OtrpInit, Profile, Role, TenantId};
use tamarack_x509::Name;

use crate::fail::{Fail, Outcome};
use crate::{keys, out};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Make a folder with all that a TAM needs: tam.toml, keys, store and the operator's token
    Init(Init),
    /// Serve a TAM until SIGTERM; prints one JSON line with its address when it is ready
    Serve {
        /// The configuration
        #[arg(long, default_value = "tam.toml")]
        config: PathBuf,
        #[command(flatten)]
        how: Serving,
    },
    /// Make API tokens
    Token {
        #[command(subcommand)]
        action: TokenAction,
    },
    /// Copy the store, also of a TAM that runs; keys are not copied
    Backup {
        /// New or empty folder for the copy
        to: PathBuf,
        /// The configuration
        #[arg(long, default_value = "tam.toml")]
        config: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Put a backup in place of a missing data folder, with new challenge keys
    Restore {
        /// Folder that a backup was written to
        from: PathBuf,
        /// The configuration
        #[arg(long, default_value = "tam.toml")]
        config: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Remote(remote::Action),
}

/// How a service is run.
#[derive(clap::Args)]
pub struct Serving {
    /// Address to listen on instead of the configured one; port 0 takes a free one
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// Log as JSON
    #[arg(long)]
    pub log_json: bool,
}

#[derive(clap::Args)]
struct Init {
    /// The folder
    folder: PathBuf,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// What kind of deployment
    #[arg(long, value_enum, default_value = "development")]
    profile: ProfileArg,
    /// Certify the TAM's keys with this authority: the PREFIX that `pki ca` was given
    #[arg(long, requires = "uri")]
    ca: Option<PathBuf>,
    /// The URI that names the TAM in its certificates
    #[arg(long, requires = "ca")]
    uri: Option<String>,
    /// Speak OTrP too, under this object identifier (tamid); makes a key with a certificate of --ca
    #[arg(long, requires_all = ["ca", "ocsp_url"], conflicts_with = "otrp_uri")]
    otrp_oid: Option<String>,
    /// The same under a URI
    #[arg(long, requires_all = ["ca", "ocsp_url"])]
    otrp_uri: Option<String>,
    /// OCSP responder of --ca, http://..
    #[arg(long)]
    ocsp_url: Option<String>,
    /// Certificate of a CA of trusted firmware, for OTrP; repeatable
    #[arg(long = "firmware-ca", value_name = "FILE")]
    firmware_cas: Vec<PathBuf>,
    /// Certificate of a TEE CA, with the best grade of its devices: FILE or FILE=software or FILE=hardware
    #[arg(long = "tee-ca", value_name = "FILE[=GRADE]", value_parser = tee_ca)]
    tee_cas: Vec<(PathBuf, GradeName)>,
    /// Lowest grade of devices that get anything: none, software or hardware
    #[arg(long, value_parser = grade)]
    minimum: Option<GradeName>,
    /// TLS certificate chain, PEM
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// TLS private key, PEM
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum TokenAction {
    /// Make a token, which is printed once; the TAM may run meanwhile
    Add {
        /// What its bearer may do
        #[arg(long, value_parser = role)]
        role: Role,
        /// The provider it publishes for
        #[arg(long)]
        provider: Option<String>,
        /// Tenant; it is made if there is none
        #[arg(long, default_value = "default", value_parser = TenantId::new)]
        tenant: TenantId,
        /// Its name in the audit log; role and provider without it
        #[arg(long)]
        label: Option<String>,
        /// The configuration
        #[arg(long, default_value = "tam.toml")]
        config: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What kind of deployment
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum ProfileArg {
    /// Development certificates and software TEEs are accepted
    Development,
    /// They are refused
    Production,
}

impl From<ProfileArg> for Profile {
    fn from(profile: ProfileArg) -> Self {
        match profile {
            ProfileArg::Development => Self::Development,
            ProfileArg::Production => Self::Production,
        }
    }
}

/// What a service's error is to whoever started it.
pub fn failed(error: tamarack_tam_server::Error) -> Fail {
    match error.code() {
        code @ (codes::CONFIG_INVALID
        | codes::FILE_UNREADABLE
        | codes::FILE_UNWRITABLE
        | codes::PORT_IN_USE
        | codes::VERIFIER_KEY) => Fail::input(code, error),
        code => Fail::new(code, error),
    }
}

/// A grade by its name.
pub fn grade(text: &str) -> Result<GradeName, String> {
    match text {
        "none" => Ok(GradeName::None),
        "software" => Ok(GradeName::Software),
        "hardware" => Ok(GradeName::Hardware),
        _ => Err("give none, software or hardware".into()),
    }
}

/// A file with a grade behind it.
pub fn tee_ca(text: &str) -> Result<(PathBuf, GradeName), String> {
    match text.rsplit_once('=') {
        Some((file, cap)) => Ok((file.into(), grade(cap)?)),
        None => Ok((text.into(), GradeName::Software)),
    }
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| "give operator, provider or auditor".into())
}

pub fn run(args: Args) -> Outcome {
    match args.action {
        Action::Init(args) => init(args),
        Action::Serve { config, how } => serve(&config, &how),
        Action::Token { action: TokenAction::Add { role, provider, tenant, label, config, json } } => {
            let label = label.unwrap_or_else(|| match &provider {
                Some(provider) => format!("{} {provider}", role.as_str()),
                None => role.as_str().to_string(),
            });
            let new = NewToken { tenant, role, provider, label };
            let token = tamarack_tam_server::add_token(&read(&config)?, &new).map_err(failed)?;
            if json {
                return out::json(
                    &json!({ "token": token, "role": role.as_str(), "tenant": new.tenant.as_str() }),
                );
            }
            eprintln!("keep this token, it is not stored:");
            out::lines(&token)
        }
        Action::Backup { to, config, json } => {
            let summary = tamarack_tam_server::backup(&read(&config)?, &to).map_err(failed)?;
            kept("backed up to", &to, &summary, json)
        }
        Action::Restore { from, config, json } => {
            let summary = tamarack_tam_server::restore(&read(&config)?, &from).map_err(failed)?;
            kept("restored from", &from, &summary, json)
        }
        Action::Remote(action) => remote::run(action),
    }
}

fn read(config: &Path) -> Outcome<Config> {
    Config::read(config).map_err(failed)
}

fn kept(what: &str, folder: &Path, summary: &tamarack_tam_server::Summary, json: bool) -> Outcome {
    let tamarack_tam_server::Summary { tenants, entries, devices, audit } = summary;
    if json {
        return out::json(&json!({
            "folder": folder.display().to_string(), "tenants": tenants, "components": entries,
            "devices": devices, "audit": audit,
        }));
    }
    out::lines(&format!(
        "{what} {}: {tenants} tenants, {entries} components, {devices} devices, {audit} audit records; checked",
        folder.display()
    ))
}

fn init(args: Init) -> Outcome {
    let name = args.otrp_oid.map(Name::RegisteredId).or(args.otrp_uri.map(Name::Uri));
    let firmware_cas = args.firmware_cas;
    let otrp = name.zip(args.ocsp_url).map(|(name, ocsp_url)| OtrpInit { name, ocsp_url, firmware_cas });
    let options = InitOptions {
        folder: args.folder,
        listen: args.listen,
        profile: args.profile.into(),
        ca: args.ca.zip(args.uri),
        otrp,
        tee_cas: args.tee_cas,
        minimum: args.minimum,
        tls: args.tls_cert.zip(args.tls_key),
        now: keys::now(),
    };
    let made = tamarack_tam_server::init(&options).map_err(failed)?;
    let config = made.config.display().to_string();
    let public: Vec<String> = made.public_keys.iter().map(|path| path.display().to_string()).collect();
    if args.json {
        return out::json(&json!({
            "config": config, "public_keys": public, "operator_token": made.operator_token,
        }));
    }
    eprintln!("made {config}, the TAM's keys ({}) and its challenge key", public.join(", "));
    eprintln!("next: tamarack tam serve --config {config}");
    eprintln!("keep the operator's token, it is not stored:");
    out::lines(&made.operator_token)
}

fn serve(config: &Path, how: &Serving) -> Outcome {
    out::log(how.log_json);
    let mut config = read(config)?;
    config.listen = how.listen.unwrap_or(config.listen);
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let ready = |address| out::ready(scheme, address);
    tamarack_tam_server::run(&config, ready).map_err(failed)
}
