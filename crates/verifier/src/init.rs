//! `tamarack verifier init`: a folder with all that a verifier needs to start.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tamarack_crypto::KeyType;
use tamarack_model::codes;
use tamarack_service::{Error, GradeName, Profile, secret_file};

/// What a new verifier is to be like.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// Folder to make; it must not hold a verifier already.
    pub folder: PathBuf,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Kind of deployment.
    pub profile: Profile,
    /// TEE CA certificates with their grade caps.
    pub tee_cas: Vec<(PathBuf, GradeName)>,
    /// Lowest grade that gets a result; software without it.
    pub minimum: Option<GradeName>,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Initialised {
    /// The configuration file.
    pub config: PathBuf,
    /// The public key, PEM: what relying parties need.
    pub public_key: PathBuf,
    /// The operator's token for reference values, which is stored nowhere.
    pub operator_token: String,
}

/// Makes the folder, the key, `verifier.toml` and the operator's token.
pub fn init(options: &InitOptions) -> Result<Initialised, Error> {
    let crypto = tamarack_crypto_aws_lc::provider();
    // A file that is missing is missed before anything is made.
    config_text(options, "")?;
    let folder = &options.folder;
    let config = folder.join("verifier.toml");
    if config.exists() {
        let message = format_args!("{} exists already; nothing was changed", config.display());
        return Err(Error::new(codes::FILE_UNWRITABLE, message));
    }
    let references = folder.join("references");
    fs::create_dir_all(&references).map_err(|e| Error::unwritable(&references, &e))?;
    let pki = |e: tamarack_pki::Error| Error::new(e.code(), e);
    let pem = tamarack_pki::generate_key(KeyType::P256).map_err(pki)?;
    secret_file::create(&folder.join("verifier.key"), &pem)?;
    let public = tamarack_pki::load_key(&pem).map_err(pki)?.public_key();
    let public_key = folder.join("verifier.pub");
    write(&public_key, &tamarack_pki::public_key_to_pem(&public).map_err(pki)?)?;
    let mut token = [0; 32];
    let random = crypto.random.fill(&mut token);
    random.map_err(|e| Error::new(codes::INTERNAL, format_args!("no random bytes: {e:?}")))?;
    let operator_token = hex::encode(token);
    let hash = hex::encode(crypto.sha256(operator_token.as_bytes()));
    write(&config, &config_text(options, &hash)?)?;
    Ok(Initialised { config, public_key, operator_token })
}

fn config_text(options: &InitOptions, operator: &str) -> Result<String, Error> {
    let mut text = String::from("# Configuration of a Tamarack verifier. Paths are relative to this file.\n");
    let profile = match options.profile {
        Profile::Development => "development",
        Profile::Production => "production",
    };
    let listen = options.listen;
    // Writing to a String does not fail.
    let _ = writeln!(text, "profile = \"{profile}\"\nlisten = \"{listen}\"");
    let _ = writeln!(text, "key = \"verifier.key\"\nreferences = \"references\"");
    let _ = writeln!(text, "# SHA-256 of the operator's token.\noperator = \"{operator}\"");
    if let Some(minimum) = options.minimum {
        let _ = writeln!(text, "\n[evidence]\nminimum = \"{}\"", name(minimum));
        if options.profile == Profile::Production && minimum != GradeName::Hardware {
            let _ = writeln!(text, "allow_software_tee = true");
        }
    }
    for (file, cap) in &options.tee_cas {
        let file = fs::canonicalize(file).map_err(|e| Error::unreadable(file, &e))?;
        let file = toml::Value::String(file.display().to_string());
        let _ = writeln!(text, "\n[[tee_ca]]\nfile = {file}\ncap = \"{}\"", name(*cap));
    }
    Ok(text)
}

fn name(grade: GradeName) -> &'static str {
    match grade {
        GradeName::None => "none",
        GradeName::Software => "software",
        GradeName::Hardware => "hardware",
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|e| Error::unwritable(path, &e))
}
