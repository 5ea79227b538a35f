//! The tenant's side: its key service, and what it does with its key where nobody else is.
#![forbid(unsafe_code)]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use clap::{Parser, Subcommand};
use example_apps::cloud::{KeyService, Tenant, vault};
use example_apps::{domain, write_secret};
use tamarack_attest::{Grade, Policy, ProviderRole, ReferenceProvider, References, TeeCa, ta_environment};
use tamarack_corim::Environment;
use tamarack_cose::{Purpose, VerificationKey};
use tamarack_crypto::{Provider, Secret};
use tamarack_x509::Anchor;

#[derive(Parser)]
#[command(about = "The tenant of a confidential cloud: its key, its records, and who gets the key")]
struct Args {
    /// File with the data key, 64 hexadecimal digits
    #[arg(long)]
    key: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make the data key
    Init,
    /// Seal a record
    Seal {
        /// Its number, from 1
        number: u32,
        /// Its amount
        amount: u32,
        /// Where to write it
        out: PathBuf,
    },
    /// Open a sum
    Open {
        /// The file
        total: PathBuf,
    },
    /// Serve the key to vaults that prove themselves
    Serve(Box<Serve>),
}

#[derive(clap::Args)]
struct Serve {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Security Domain of the vault's provider
    #[arg(long, default_value = "com.acme", value_parser = domain)]
    domain: String,
    /// Certificate of a TEE CA, PEM, repeatable
    #[arg(long, required = true)]
    tee_ca: Vec<PathBuf>,
    /// The lowest grade of a TEE that gets the key: none, software or hardware
    #[arg(long, default_value = "software", value_parser = grade)]
    minimum: Grade,
    /// The device maker's key for reference values, PEM, and its signed CoRIM
    #[arg(long, num_args = 2, required = true)]
    maker: Vec<PathBuf>,
    /// The TA signer's key for reference values, PEM, and its signed CoRIM
    #[arg(long, num_args = 2, required = true)]
    ta_signer: Vec<PathBuf>,
}

fn grade(text: &str) -> Result<Grade, String> {
    Grade::parse(text).ok_or_else(|| "none, software or hardware".into())
}

fn main() -> Result<()> {
    let args = Args::parse();
    let crypto = tamarack_crypto_aws_lc::provider();
    if let Action::Init = args.action {
        ensure!(!args.key.exists(), "{} is there already; nothing was changed", args.key.display());
        let text = Secret::new(hex::encode(Tenant::generate(crypto)?.key().expose()).into_bytes());
        return write_secret(&args.key, text.expose());
    }
    let text = fs::read_to_string(&args.key).with_context(|| args.key.display().to_string())?;
    let key: Vec<u8> = hex::decode(text.trim()).map_err(|e| anyhow::anyhow!("{e}"))?;
    let tenant = Tenant::new(key.as_slice().try_into().context("a data key has 32 bytes")?, crypto);
    match args.action {
        Action::Init => Ok(()),
        Action::Seal { number, amount, out } => Ok(fs::write(out, tenant.seal(number, amount)?)?),
        Action::Open { total } => {
            let total = tenant.open(&fs::read(total)?)?;
            println!("{} records, sum {}", total.records, total.sum);
            Ok(())
        }
        Action::Serve(serve) => run(tenant, &serve, crypto),
    }
}

fn run(tenant: Tenant, args: &Serve, crypto: Provider) -> Result<()> {
    let mut tee_cas = Vec::new();
    for file in &args.tee_ca {
        for der in tamarack_pki::certificates_from_pem(&fs::read_to_string(file)?)? {
            let anchor = Anchor::from_der(&der).map_err(|e| anyhow::anyhow!("{}: {e}", file.display()))?;
            tee_cas.push(TeeCa { anchor, cap: Grade::Hardware });
        }
    }
    let component = vault(&args.domain);
    // Who signs the vault has no say about what it runs on.
    let vault_only = ta_environment(&component);
    let provider = |name: &str, role, scope, key: &Path| -> Result<ReferenceProvider> {
        let key = tamarack_pki::public_key_from_pem(&fs::read_to_string(key)?)?;
        Ok(ReferenceProvider {
            name: name.into(),
            role,
            keys: vec![VerificationKey::new(key, Purpose::ReferenceValues, &crypto)],
            scope: vec![scope],
            elements: None,
            cap: Grade::Hardware,
        })
    };
    let mut references = References::new(vec![
        provider("maker", ProviderRole::Maker, Environment::default(), &args.maker[0])?,
        provider("ta-signer", ProviderRole::TaSigner, vault_only, &args.ta_signer[0])?,
    ]);
    for file in [&args.maker[1], &args.ta_signer[1]] {
        let signed = fs::read(file).with_context(|| file.display().to_string())?;
        let added = references.add(&signed, now(), &crypto);
        added.map_err(|refusal| anyhow::anyhow!("{}: {refusal}", file.display()))?;
    }
    let policy = Policy::new(tee_cas, args.minimum);
    let service = KeyService::new(tenant, policy, references, component);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(args.listen).await?;
        println!("http://{}", listener.local_addr()?);
        let routes = Router::new().route("/challenge", post(challenge)).route("/release", post(release));
        Ok(axum::serve(listener, routes.with_state(Arc::new(Mutex::new(service)))).await?)
    })
}

type Shared = State<Arc<Mutex<KeyService>>>;

async fn challenge(State(service): Shared) -> Result<Vec<u8>, StatusCode> {
    let mut service = service.lock().unwrap_or_else(PoisonError::into_inner);
    let nonce = service.challenge(now()).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(nonce.to_vec())
}

async fn release(State(service): Shared, evidence: Bytes) -> Result<Vec<u8>, (StatusCode, String)> {
    let mut service = service.lock().unwrap_or_else(PoisonError::into_inner);
    service.release(now(), &evidence).map_err(|refusal| (StatusCode::FORBIDDEN, refusal.to_string()))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
