//! The normal app on the host: it carries what the tenant and the vault say to each other, and understands none of it.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use example_apps::cloud::{Service, Vault, vault};
use example_apps::{Place, Session, install};

#[derive(Parser)]
#[command(about = "The normal app of the confidential cloud: gets the vault, unlocks it, feeds it")]
struct Args {
    #[command(flatten)]
    place: Place,
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
    let Args { place: Place { device, domain }, action } = Args::parse();
    let component = vault(&domain);
    if let Action::Install = action {
        return install(&device, &component);
    }
    let mut vault = Vault(Session::open(&device, &component)?);
    match action {
        Action::Install => {}
        Action::Unlock { service, evidence } => {
            let service = Service(service);
            let shown = vault.attest(&service.challenge()?)?;
            if let Some(file) = evidence {
                fs::write(file, &shown)?;
            }
            match service.release(&shown)? {
                Ok(release) => vault.unlock(&release)?,
                Err(why) => bail!("the key service releases nothing: {why}"),
            }
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
