//! The normal app on the host: it carries what the tenant and the vault say to each other, and understands none of it.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use example_apps::cloud::{Session, Vault, vault};
use tamarack_broker::{Client, SOCKET_NAME};

#[derive(Parser)]
#[command(about = "The normal app of the confidential cloud: gets the vault, unlocks it, feeds it")]
struct Args {
    /// Folder of the device
    #[arg(long)]
    device: PathBuf,
    /// Security Domain of the vault's provider
    #[arg(long, default_value = "com.acme")]
    domain: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Ask the device's TAM for the vault
    Install,
    /// Have the vault prove itself to the tenant's key service, and bring it the data key
    Unlock {
        /// Address of the key service, http://HOST:PORT
        service: String,
        /// Also write the Evidence here
        #[arg(long)]
        evidence: Option<PathBuf>,
    },
    /// Hand over sealed records, in the order of their numbers
    Add {
        /// Files with one record each
        records: Vec<PathBuf>,
    },
    /// Fetch the sealed sum
    Total {
        /// Where to write it
        out: PathBuf,
    },
    /// Show whether the vault has a data key, and how many records
    Status,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let component = vault(&args.domain);
    let mut client = Client::connect(args.device.join(SOCKET_NAME))?;
    if let Action::Install = args.action {
        for progress in client.request_ta(&component, None)? {
            println!("{}", progress?.state);
        }
        return Ok(());
    }
    let mut vault = Vault(Session::open(client, &component)?);
    match args.action {
        Action::Install => {}
        Action::Unlock { service, evidence } => {
            let nonce = post(&format!("{service}/challenge"), &[])?;
            let shown = vault.attest(nonce.as_slice().try_into().context("a challenge has 32 bytes")?)?;
            if let Some(file) = evidence {
                fs::write(file, &shown)?;
            }
            let release = post(&format!("{service}/release"), &shown)?;
            vault.unlock(&release)?;
            println!("the vault has the tenant's key");
        }
        Action::Add { records } => {
            for record in records {
                let number = vault.add(&fs::read(&record)?)?;
                println!("{}: record {number}", record.display());
            }
        }
        Action::Total { out } => fs::write(out, vault.total()?)?,
        Action::Status => {
            let (unlocked, records) = vault.status()?;
            println!("{}, {records} records", if unlocked { "unlocked" } else { "locked" });
        }
    }
    Ok(())
}

fn post(url: &str, body: &[u8]) -> Result<Vec<u8>> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut response = agent.post(url).send(body)?;
    let answer = response.body_mut().read_to_vec()?;
    match response.status().as_u16() {
        200 => Ok(answer),
        status => anyhow::bail!("{url}: {status}: {}", String::from_utf8_lossy(&answer)),
    }
}
