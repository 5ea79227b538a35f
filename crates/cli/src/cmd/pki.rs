use std::path::{Path, PathBuf};

use tamarack_crypto::KeyType;
use tamarack_model::codes;
use tamarack_pki::{Authority, Kind, Subject, Validity};
use tamarack_x509::Role;

use crate::fail::{self, Fail, Outcome};
use crate::{keys, out};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Make a certificate authority: PREFIX.pem and PREFIX.key
    Ca {
        /// What it certifies
        #[arg(long, value_enum)]
        role: CaRole,
        /// Where to write, without the extension
        prefix: PathBuf,
        /// Name for people
        #[arg(long)]
        name: Option<String>,
        /// Days until it expires
        #[arg(long, default_value_t = 3650)]
        days: u32,
        /// Type of its key
        #[arg(long, value_enum, default_value = "ed25519")]
        key_type: KeyKind,
    },
    /// Make a private key, PKCS#8 PEM, and print its thumbprint
    Key {
        /// Where to write it
        file: PathBuf,
        /// Its type
        #[arg(long, value_enum, default_value = "ed25519")]
        key_type: KeyKind,
    },
    /// Write the public half of a key
    Public {
        /// The private key or certificate
        file: PathBuf,
    },
    /// Certify a key
    Issue {
        /// The authority: the PREFIX that `pki ca` was given
        #[arg(long)]
        ca: PathBuf,
        /// The key to certify: a PEM file with a private or public key
        #[arg(long, conflicts_with = "csr")]
        key: Option<PathBuf>,
        /// The certificate signing request to answer
        #[arg(long)]
        csr: Option<PathBuf>,
        /// The one URI that names the principal; for TLS a host name or address, repeatable
        #[arg(long = "uri", required = true)]
        names: Vec<String>,
        /// Days until it expires
        #[arg(long, default_value_t = 365)]
        days: u32,
        /// Where to write the certificate
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum CaRole {
    /// TAM certificates
    Tam,
    /// Attestation keys of TEEs
    Tee,
    /// Developers who sign TAs
    Developer,
    /// TLS servers
    Tls,
}

/// The types of key that can be made.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum KeyKind {
    /// Ed25519
    Ed25519,
    /// NIST P-256
    P256,
}

impl From<KeyKind> for KeyType {
    fn from(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Ed25519 => Self::Ed25519,
            KeyKind::P256 => Self::P256,
        }
    }
}

pub fn run(args: Args) -> Outcome {
    match args.action {
        Action::Ca { role, prefix, name, days, key_type } => make_ca(role, &prefix, name, days, key_type),
        Action::Key { file, key_type } => {
            let pem = tamarack_pki::generate_key(key_type.into()).map_err(pki)?;
            keys::write_secret(&file, &pem)?;
            let public = tamarack_pki::load_key(&pem).map_err(pki)?.public_key();
            let thumbprint = tamarack_cose::thumbprint(&public, &tamarack_crypto_aws_lc::provider());
            out::lines(&thumbprint.to_string())
        }
        Action::Public { file } => {
            out::lines(&tamarack_pki::public_key_to_pem(&keys::public_key(&file)?).map_err(pki)?)
        }
        Action::Issue { ca, key, csr, names, days, out } => issue(&ca, key, csr, &names, days, &out),
    }
}

/// An error of the library as an error of the command.
pub fn pki(error: tamarack_pki::Error) -> Fail {
    Fail::input(error.code(), error)
}

/// `PREFIX.pem` or `PREFIX.key`.
fn with(prefix: &Path, extension: &str) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(extension);
    name.into()
}

fn make_ca(role: CaRole, prefix: &Path, name: Option<String>, days: u32, key_type: KeyKind) -> Outcome {
    let (kind, label) = match role {
        CaRole::Tam => (Kind::Role(Role::Tam), "TAM CA"),
        CaRole::Tee => (Kind::Role(Role::Tee), "TEE CA"),
        CaRole::Developer => (Kind::Role(Role::Developer), "developer CA"),
        CaRole::Tls => (Kind::Tls, "TLS CA"),
    };
    let name = name.unwrap_or_else(|| format!("Tamarack development {label}"));
    // An hour back, so that a clock that is a little behind still takes it.
    let validity = Validity::days(keys::now().saturating_sub(3600), days);
    let authority = Authority::create(kind, &name, key_type.into(), validity).map_err(pki)?;
    keys::write_secret(&with(prefix, ".key"), authority.key_pem())?;
    fail::write(&with(prefix, ".pem"), authority.cert_pem().as_bytes())?;
    eprintln!("wrote {} and its key beside it (development only)", with(prefix, ".pem").display());
    Ok(())
}

fn issue(
    ca: &Path,
    key: Option<PathBuf>,
    csr: Option<PathBuf>,
    names: &[String],
    days: u32,
    out: &Path,
) -> Outcome {
    let cert_pem = keys::read_text(&with(ca, ".pem"))?;
    let key_pem = keys::read_text(&with(ca, ".key"))?;
    let authority = Authority::load(&cert_pem, &key_pem).map_err(pki)?;
    let validity = Validity::days(keys::now().saturating_sub(3600), days);
    let subject = Subject { uri: names[0].clone(), common_name: names[0].clone() };
    let (from, to) = (validity.not_before, validity.not_after);
    let pem = match (authority.kind(), key, csr) {
        (Kind::Tls, Some(key), None) => authority.issue_tls(keys::public_key(&key)?, names, validity),
        (_, Some(key), None) => authority.issue(keys::public_key(&key)?, subject, from, to),
        (_, None, Some(csr)) => authority.issue_from_csr(&keys::read_text(&csr)?, subject, from, to),
        _ => return Err(Fail::input(codes::USAGE, "say what to certify: either --key FILE or --csr FILE")),
    };
    fail::write(out, pem.map_err(pki)?.as_bytes())?;
    eprintln!("wrote {} for {}", out.display(), names.join(", "));
    Ok(())
}
