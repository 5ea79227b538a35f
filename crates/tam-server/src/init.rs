//! `tamarack tam init`: a folder with all that a TAM needs to start.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tamarack_crypto::KeyType;
use tamarack_model::{UnixTime, codes};
use tamarack_pki::{Authority, Subject, Validity};
use tamarack_store::{Role, TenantId};
use tamarack_store_sqlite::SqliteStore;
use tamarack_x509::Name;

use crate::challenge_file::ChallengeFile;
use crate::token::NewToken;
use crate::{Error, GradeName, Profile, secret_file, token};

/// What a new TAM is to be like.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// Folder to make; it must not hold a TAM already.
    pub folder: PathBuf,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Kind of deployment.
    pub profile: Profile,
    /// Authority that certifies the TAM's keys (`PREFIX.pem` and `PREFIX.key`) and the URI that names the TAM; without it
    /// Agents know the raw keys.
    pub ca: Option<(PathBuf, String)>,
    /// Speak OTrP too; the authority must be one that certifies TAMs for it.
    pub otrp: Option<OtrpInit>,
    /// TEE CA certificates with their grade caps.
    pub tee_cas: Vec<(PathBuf, GradeName)>,
    /// Lowest grade that gets anything; what the profile says without it.
    pub minimum: Option<GradeName>,
    /// TLS certificate chain and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Now.
    pub now: UnixTime,
}

/// What a new TAM needs for OTrP.
#[derive(Clone, Debug)]
pub struct OtrpInit {
    /// The `tamid`.
    pub name: Name,
    /// The OCSP responder of the authority, `http://..`.
    pub ocsp_url: String,
    /// Certificates of the CAs of trusted firmware.
    pub firmware_cas: Vec<PathBuf>,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Initialised {
    /// The configuration file.
    pub config: PathBuf,
    /// Public halves of the signing keys, PEM: what a device enrols of a TAM with raw keys.
    pub public_keys: Vec<PathBuf>,
    /// The operator's first token, which is stored nowhere.
    pub operator_token: String,
}

const KEYS: [(KeyType, &str); 2] = [(KeyType::Ed25519, "tam-ed25519"), (KeyType::P256, "tam-p256")];

/// Makes the folder, the signing keys, the challenge key, `tam.toml`, the store and the operator's first token.
pub fn init(options: &InitOptions) -> Result<Initialised, Error> {
    let crypto = tamarack_crypto_aws_lc::provider();
    let folder = &options.folder;
    let config = folder.join("tam.toml");
    if config.exists() {
        let message = format_args!("{} exists already; nothing was changed", config.display());
        return Err(Error::new(codes::FILE_UNWRITABLE, message));
    }
    let authority = match &options.ca {
        Some((prefix, uri)) => Some((load_authority(prefix)?, uri)),
        None => None,
    };
    // A file that is missing is missed before anything is made.
    config_text(options, "")?;

    let keys = folder.join("keys");
    fs::create_dir_all(&keys).map_err(|e| Error::unwritable(&keys, &e))?;
    let mut signers = String::new();
    let mut public_keys = Vec::new();
    for (key_type, name) in KEYS {
        let pem = tamarack_pki::generate_key(key_type).map_err(pki)?;
        secret_file::create(&keys.join(format!("{name}.key")), &pem)?;
        let public = tamarack_pki::load_key(&pem).map_err(pki)?.public_key();
        let public_file = keys.join(format!("{name}.pub"));
        write(&public_file, &tamarack_pki::public_key_to_pem(&public).map_err(pki)?)?;
        public_keys.push(public_file);
        line(&mut signers, format_args!("\n[[signer]]\nkey = \"keys/{name}.key\""));
        if let Some((authority, uri)) = &authority {
            // An hour back, so that a device whose clock is a little behind still takes it.
            let validity = Validity::days(options.now.saturating_sub(3600), 365);
            let subject = Subject { uri: uri.to_string(), common_name: uri.to_string() };
            let leaf =
                authority.issue(public, subject, validity.not_before, validity.not_after).map_err(pki)?;
            write(&keys.join(format!("{name}.pem")), &leaf)?;
            line(&mut signers, format_args!("chain = \"keys/{name}.pem\""));
        }
    }
    if let Some(otrp) = &options.otrp {
        let Some((authority, _)) = &authority else {
            return Err(Error::new(
                codes::USAGE,
                "OTrP needs a certificate: name the authority that makes it",
            ));
        };
        write_otrp(&keys, otrp, authority, options.now)?;
    }
    let evidence_key = tamarack_pki::generate_key(KeyType::P256).map_err(pki)?;
    secret_file::create(&keys.join("evidence.key"), &evidence_key)?;
    let challenge_key = folder.join("challenge.key");
    secret_file::create(&challenge_key, &ChallengeFile::generate(options.now, &crypto)?.text())?;
    write(&config, &config_text(options, &signers)?)?;

    let store = SqliteStore::open(&folder.join("data"), crypto)?;
    let operator = NewToken {
        tenant: TenantId::default(),
        role: Role::Operator,
        provider: None,
        label: "operator".into(),
    };
    let operator_token = token::add(&store, &operator, "tam init", options.now, &crypto)?;
    Ok(Initialised { config, public_keys, operator_token })
}

/// Makes the key for OTrP with its chain.
fn write_otrp(keys: &Path, otrp: &OtrpInit, authority: &Authority, now: UnixTime) -> Result<(), Error> {
    let pem = tamarack_pki::generate_key(KeyType::P256).map_err(pki)?;
    secret_file::create(&keys.join("otrp.key"), &pem)?;
    let public = tamarack_pki::load_key(&pem).map_err(pki)?.public_key();
    let validity = Validity::days(now.saturating_sub(3600), 365);
    let (name, role) = (&otrp.name, tamarack_x509::Role::OtrpTam);
    let leaf = authority.issue_named(public, role, name, name.text(), validity).map_err(pki)?;
    write(&keys.join("otrp.pem"), &[&leaf, authority.cert_pem()].concat())
}

fn config_text(options: &InitOptions, signers: &str) -> Result<String, Error> {
    let mut text = String::from("# Configuration of a Tamarack TAM. Paths are relative to this file.\n");
    let profile = match options.profile {
        Profile::Development => "development",
        Profile::Production => "production",
    };
    line(&mut text, format_args!("profile = \"{profile}\""));
    line(&mut text, format_args!("listen = \"{}\"", options.listen));
    line(&mut text, format_args!("data = \"data\"\nchallenge_key = \"challenge.key\""));
    if let Some((cert, key)) = &options.tls {
        let (cert, key) = (quoted(cert)?, quoted(key)?);
        line(&mut text, format_args!("\n[tls]\ncert = {cert}\nkey = {key}"));
    }
    text.push_str(signers);
    for (file, cap) in &options.tee_cas {
        line(&mut text, format_args!("\n[[tee_ca]]\nfile = {}\ncap = \"{}\"", quoted(file)?, grade(*cap)));
    }
    if let Some(OtrpInit { ocsp_url, firmware_cas, .. }) = &options.otrp {
        let url = toml::Value::String(ocsp_url.clone());
        let files = "key = \"keys/otrp.key\"\nchain = \"keys/otrp.pem\"";
        line(&mut text, format_args!("\n[otrp]\n{files}\nocsp_url = {url}"));
        for file in firmware_cas {
            line(&mut text, format_args!("\n[[firmware_ca]]\nfile = {}", quoted(file)?));
        }
    }
    line(&mut text, format_args!("\n[evidence]\nkey = \"keys/evidence.key\""));
    if let Some(minimum) = options.minimum {
        line(&mut text, format_args!("minimum = \"{}\"", grade(minimum)));
        if options.profile == Profile::Production && minimum != GradeName::Hardware {
            line(&mut text, format_args!("allow_software_tee = true"));
        }
    }
    Ok(text)
}

fn grade(grade: GradeName) -> &'static str {
    match grade {
        GradeName::None => "none",
        GradeName::Software => "software",
        GradeName::Hardware => "hardware",
    }
}

/// An existing file as a TOML string, absolute, because the configuration lies elsewhere.
fn quoted(path: &Path) -> Result<String, Error> {
    let absolute = fs::canonicalize(path).map_err(|e| Error::unreadable(path, &e))?;
    Ok(toml::Value::String(absolute.display().to_string()).to_string())
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{arguments}");
}

fn load_authority(prefix: &Path) -> Result<Authority, Error> {
    let read = |extension: &str| {
        let mut name = prefix.as_os_str().to_owned();
        name.push(extension);
        let path = PathBuf::from(name);
        fs::read_to_string(&path).map_err(|e| Error::unreadable(&path, &e))
    };
    Authority::load(&read(".pem")?, &read(".key")?).map_err(pki)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|e| Error::unwritable(path, &e))
}

fn pki(error: tamarack_pki::Error) -> Error {
    Error::new(error.code(), error)
}
