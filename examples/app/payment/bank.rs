//! The bank: makes cards and takes charges.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use example_apps::payment::Bank;
use example_apps::write_secret;

#[derive(Parser)]
#[command(about = "The bank of the payment example: makes cards and takes charges")]
struct Args {
    /// Where the bank keeps its cards
    #[arg(long)]
    book: PathBuf,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a card; `tamarack ta personalize` brings it to one device
    Issue {
        /// Its number, 12 to 19 digits
        pan: String,
        /// When it expires, MM/YY
        expiry: String,
        /// Where to write what the wallet is personalized with; delete it when the device has it
        out: PathBuf,
    },
    /// Take a charge
    Take {
        /// The charge
        charge: PathBuf,
    },
}

fn main() -> Result<()> {
    let args = Args::parse();
    let crypto = tamarack_crypto_aws_lc::provider();
    let mut bank = match fs::read(&args.book) {
        Ok(saved) => Bank::load(crypto, &saved).with_context(|| args.book.display().to_string())?,
        Err(_) => Bank::new(crypto),
    };
    match args.action {
        Action::Issue { pan, expiry, out } => {
            let card = bank.issue(&pan, &expiry)?;
            write_secret(&out, card.expose())?;
            println!("card {} made", &pan[pan.len() - 4..]);
        }
        Action::Take { charge } => {
            let charge = bank.take(&fs::read(&charge)?)?;
            let how = if charge.confirmed { "confirmed at the device" } else { "not confirmed" };
            let (whole, cents) = (charge.amount / 100, charge.amount % 100);
            println!("charge {}: {whole}.{cents:02} to {}, {how}", charge.number, charge.payee);
        }
    }
    write_secret(&args.book, bank.save().expose())
}
