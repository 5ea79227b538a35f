//! The normal app on the phone: it asks the wallet to pay and carries the charge to the bank.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use example_apps::payment::{NOT_CONFIRMED, Session, Wallet, wallet};
use tamarack_broker::{Client, SOCKET_NAME};

#[derive(Parser)]
#[command(about = "The normal app of the payment example: gets the wallet, shows its card, pays")]
struct Args {
    /// Folder of the device
    #[arg(long)]
    device: PathBuf,
    /// Security Domain of the wallet's provider
    #[arg(long, default_value = "com.acme")]
    domain: String,
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
    let args = Args::parse();
    let component = wallet(&args.domain);
    let mut client = Client::connect(args.device.join(SOCKET_NAME))?;
    if let Action::Install = args.action {
        for progress in client.request_ta(&component, None)? {
            println!("{}", progress?.state);
        }
        return Ok(client.policy_check()?);
    }
    let mut wallet = Wallet(Session::open(client, component)?);
    match args.action {
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
