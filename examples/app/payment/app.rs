//! The normal app on the phone: it asks the wallet to pay and carries the charge to the bank.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use example_apps::payment::{NOT_CONFIRMED, Wallet, wallet};
use example_apps::{Place, Session, install};

#[derive(Parser)]
#[command(about = "The normal app of the payment example: gets the wallet, shows its card, pays")]
struct Args {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Ask the device's TAM for the wallet, and for the card that the bank has for it
    Install,
    /// Show what people may see of the card
    Card,
    /// Pay
    Pay {
        /// Minor units, such as cents
        amount: u32,
        /// To whom
        payee: String,
        /// The merchant's reference, 8 to 64 characters
        reference: String,
        /// Where to write the charge, for the bank
        out: PathBuf,
    },
}

fn main() -> Result<()> {
    let Args { place: Place { device, domain }, action } = Args::parse();
    let component = wallet(&domain);
    if let Action::Install = action {
        return install(&device, &component);
    }
    let mut wallet = Wallet(Session::open(&device, &component)?);
    match action {
        Action::Install => Ok(()),
        Action::Card => match wallet.card()? {
            Ok(card) => {
                println!("{card}");
                Ok(())
            }
            Err(code) => bail!("the wallet has no card (it returned {code:#010x})"),
        },
        Action::Pay { amount, payee, reference, out } => {
            match wallet.charge(amount, &payee, reference.as_bytes())? {
                Ok(charge) => {
                    fs::write(&out, &charge)?;
                    println!("paid; take {} to the bank", out.display());
                    Ok(())
                }
                Err(NOT_CONFIRMED) => bail!("the person at the device did not confirm"),
                Err(code) => bail!("the wallet returned {code:#010x}"),
            }
        }
    }
}
