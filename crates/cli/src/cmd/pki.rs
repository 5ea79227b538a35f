use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use tamarack_crypto::KeyType;
use tamarack_model::codes;
use tamarack_pki::ocsp::{Responder, Server};
use tamarack_pki::{Authority, Kind, Reason, Revocations, Validity};
use tamarack_x509::ocsp::Failure;
use tamarack_x509::{Name, Role};

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
        /// What the key is for, if not for the authority's own role
        #[arg(long, value_enum)]
        role: Option<LeafRole>,
        /// The key to certify: a PEM file with a private or public key
        #[arg(long, conflicts_with = "csr")]
        key: Option<PathBuf>,
        /// The certificate signing requests to answer: one certificate for each of the file's
        #[arg(long)]
        csr: Option<PathBuf>,
        /// The one URI that names the principal; for TLS a host name or address, repeatable
        #[arg(long = "uri", required_unless_present_any = ["oid", "role"])]
        names: Vec<String>,
        /// The one object identifier that names the principal, such as the tamid of OTrP
        #[arg(long, conflicts_with = "names")]
        oid: Option<String>,
        /// Days until it expires
        #[arg(long, default_value_t = 365)]
        days: u32,
        /// Write the authority's certificate behind it
        #[arg(long)]
        chain: bool,
        /// Where to write the certificate
        #[arg(long)]
        out: PathBuf,
    },
    /// Revoke a certificate: enter it into PREFIX.revoked
    Revoke {
        /// The authority: the PREFIX that `pki ca` was given
        #[arg(long)]
        ca: PathBuf,
        /// The certificate, PEM
        #[arg(long)]
        cert: PathBuf,
        /// Why
        #[arg(long, default_value = "unspecified", value_parser = reason)]
        reason: Reason,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Answer OCSP requests about the certificates of an authority, by PREFIX.revoked
    Ocsp(Ocsp),
    /// Write the list of what an authority has revoked
    Crl {
        /// The authority: the PREFIX that `pki ca` was given
        #[arg(long)]
        ca: PathBuf,
        /// Where to write it, PEM
        #[arg(long)]
        out: PathBuf,
        /// Days until the next one is due
        #[arg(long, default_value_t = 7)]
        days: u32,
    },
}

#[derive(clap::Args)]
struct Ocsp {
    /// The authority: the PREFIX that `pki ca` was given
    #[arg(long)]
    ca: PathBuf,
    /// Sign with this key instead of the authority's: the PREFIX of what `pki issue --role ocsp` certified
    #[arg(long)]
    responder: Option<PathBuf>,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, required_unless_present = "once", conflicts_with = "once")]
    listen: Option<SocketAddr>,
    /// Do not listen: write one response about --cert to --out
    #[arg(long, requires_all = ["cert", "out"])]
    once: bool,
    /// The certificate that --once is about, PEM
    #[arg(long, requires = "once")]
    cert: Option<PathBuf>,
    /// Where --once writes the response, DER
    #[arg(long, requires = "once")]
    out: Option<PathBuf>,
    /// Seconds that an answer holds
    #[arg(long, default_value_t = tamarack_pki::ocsp::LIFETIME)]
    lifetime: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum CaRole {
    /// TAM certificates
    Tam,
    /// Attestation keys of TEEs
    Tee,
    /// Developers who sign TAs
    Developer,
    /// Firmware that starts TEEs, for OTrP
    Firmware,
    /// TLS servers
    Tls,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum LeafRole {
    /// Signs TEEP messages as a TAM
    Tam,
    /// Signs Evidence
    Tee,
    /// Signs TAs
    Developer,
    /// Signs and decrypts OTrP messages as a TAM; a P-256 key
    OtrpTam,
    /// Signs and decrypts OTrP messages as a TEE; a P-256 key
    OtrpTee,
    /// Signs the firmware data of OTrP; a P-256 key
    Firmware,
    /// Answers OCSP requests in the authority's place
    Ocsp,
}

impl LeafRole {
    /// The role of the certificate; `None` for an OCSP responder's.
    fn role(self) -> Option<Role> {
        match self {
            Self::Tam => Some(Role::Tam),
            Self::Tee => Some(Role::Tee),
            Self::Developer => Some(Role::Developer),
            Self::OtrpTam => Some(Role::OtrpTam),
            Self::OtrpTee => Some(Role::OtrpTee),
            Self::Firmware => Some(Role::Firmware),
            Self::Ocsp => None,
        }
    }
}

fn reason(name: &str) -> Result<Reason, String> {
    let all = || Reason::ALL.map(Reason::name).join(", ");
    Reason::parse(name).ok_or_else(|| format!("one of {}", all()))
}

/// The types of key that can be made.
#[derive(Clone, Copy, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
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
        Action::Issue { ca, role, key, csr, names, oid, days, chain, out } => {
            issue(&ca, role, key, csr, &names, oid, days, chain, &out)
        }
        Action::Revoke { ca, cert, reason, json } => revoke(&ca, &cert, reason, json),
        Action::Ocsp(args) => ocsp(args),
        Action::Crl { ca, out, days } => {
            let authority = authority(&ca)?;
            let revoked = Revocations::read(&with(&ca, ".revoked")).map_err(pki)?;
            let lifetime = u64::from(days) * 86_400;
            let list = authority.revocation_list(&revoked, keys::now(), lifetime).map_err(pki)?;
            fail::write(&out, tamarack_pki::list_to_pem(&list).map_err(pki)?.as_bytes())?;
            eprintln!("wrote {} with {} certificates", out.display(), revoked.entries().len());
            Ok(())
        }
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
        CaRole::Firmware => (Kind::Role(Role::Firmware), "firmware CA"),
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

/// Loads what `pki ca` wrote.
fn authority(prefix: &Path) -> Outcome<Authority> {
    let cert_pem = keys::read_text(&with(prefix, ".pem"))?;
    let key_pem = keys::read_text(&with(prefix, ".key"))?;
    Authority::load(&cert_pem, &key_pem).map_err(pki)
}

/// The first certificate of a PEM file, DER.
fn certificate(file: &Path) -> Outcome<Vec<u8>> {
    let certificates = tamarack_pki::certificates_from_pem(&keys::read_text(file)?);
    certificates
        .map(|mut all| all.swap_remove(0))
        .map_err(|e| Fail::input(e.code(), format_args!("{}: {e}", file.display())))
}

#[allow(clippy::too_many_arguments)]
fn issue(
    ca: &Path,
    role: Option<LeafRole>,
    key: Option<PathBuf>,
    csr: Option<PathBuf>,
    names: &[String],
    oid: Option<String>,
    days: u32,
    chain: bool,
    out: &Path,
) -> Outcome {
    let authority = authority(ca)?;
    // To the full hour: the certificates of a device that were asked for in several files have the same dates.
    let begin = keys::now().saturating_sub(3600);
    let validity = Validity::days(begin - begin % 3600, days);
    let tls = role.is_none() && authority.kind() == Kind::Tls;
    let role = match (role, authority.kind()) {
        (Some(role), _) => role.role(),
        (None, Kind::Role(role)) => Some(role),
        (None, Kind::Tls) => None,
    };
    let name = match (oid, names) {
        (Some(oid), _) => Name::RegisteredId(oid),
        (None, [uri]) => Name::Uri(uri.clone()),
        (None, []) if role.is_none() => Name::Uri(String::from("OCSP responder")),
        (None, [first, ..]) if tls => Name::Uri(first.clone()),
        (None, _) => {
            return Err(Fail::input(codes::USAGE, "a principal has one name: give --uri or --oid once"));
        }
    };
    let common_name = name.text();
    let pem = match (key, csr, role) {
        (Some(key), None, Some(role)) => {
            authority.issue_named(keys::public_key(&key)?, role, &name, common_name, validity)
        }
        (None, Some(csr), Some(role)) => {
            authority.issue_named_from_csr(&keys::read_text(&csr)?, role, &name, common_name, validity)
        }
        (Some(key), None, None) if tls => authority.issue_tls(keys::public_key(&key)?, names, validity),
        (Some(key), None, None) => authority.issue_responder(keys::public_key(&key)?, common_name, validity),
        _ => return Err(Fail::input(codes::USAGE, "say what to certify: either --key FILE or --csr FILE")),
    };
    let mut pem = pem.map_err(pki)?;
    if chain {
        pem.push_str(authority.cert_pem());
    }
    fail::write(out, pem.as_bytes())?;
    eprintln!("wrote {} for {common_name}", out.display());
    Ok(())
}

fn revoke(ca: &Path, cert: &Path, reason: Reason, json: bool) -> Outcome {
    let file = with(ca, ".revoked");
    let mut revoked = Revocations::read(&file).map_err(pki)?;
    let now = keys::now();
    let is_new = authority(ca)?.revoke(&certificate(cert)?, &mut revoked, reason, now).map_err(pki)?;
    if is_new {
        revoked.write(&file).map_err(pki)?;
    }
    let state = if is_new { "revoked" } else { "was revoked before" };
    match json {
        true => out::json(&json!({ "file": file, "revoked": is_new, "reason": reason.name() })),
        false => out::lines(&format!("{} {state}; {} says so", cert.display(), file.display())),
    }
}

fn ocsp(args: Ocsp) -> Outcome {
    let Ocsp { ca, responder, listen, cert, out, lifetime, json, once: _ } = args;
    let responder = match responder {
        None => Responder::new(&authority(&ca)?),
        Some(prefix) => {
            let key_pem = keys::read_text(&with(&prefix, ".key"))?;
            let cert_pem = keys::read_text(&with(&prefix, ".pem"))?;
            Responder::delegated(&certificate(&with(&ca, ".pem"))?, &cert_pem, &key_pem)
        }
    };
    let responder = responder.map_err(pki)?.with_lifetime(lifetime);
    let file = with(&ca, ".revoked");
    if let (Some(cert), Some(out)) = (cert, out) {
        let revoked = Revocations::read(&file).map_err(pki)?;
        let now = keys::now();
        let response = responder.status(&certificate(&cert)?, &revoked, now).map_err(pki)?;
        fail::write(&out, &response)?;
        let until = now.saturating_add(lifetime);
        return match json {
            true => out::json(&json!({ "file": out, "this_update": now, "next_update": until })),
            false => out::lines(&format!("wrote {}", out.display())),
        };
    }
    let Some(listen) = listen else {
        return Err(Fail::input(codes::USAGE, "give --listen ADDR, or --once with --cert and --out"));
    };
    let server = Server::start(listen, move |request| {
        // Read at each request, so that a revocation counts at once.
        match Revocations::read(&file) {
            Ok(revoked) => responder.answer(request, &revoked, keys::now()),
            Err(error) => {
                eprintln!("error[{}]: {error}", error.code());
                Failure::InternalError.to_der()
            }
        }
    });
    let server = server.map_err(pki)?;
    let url = format!("http://{}", server.address());
    match json {
        true => out::json(&json!({ "url": url }))?,
        false => out::lines(&format!("the OCSP responder is ready: {url}"))?,
    }
    server.wait();
    Ok(())
}
