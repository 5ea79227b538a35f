//! An attacker who owns the phone's rich OS: he has the device's socket, its folder, the rich OS's processes and every charge,
//! and wants to pay with the card, to have its number, or to be paid twice.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use example_apps::payment::{NOT_CONFIRMED, NOT_SUPPORTED, Wallet, wallet};
use example_apps::search::Search;
use example_apps::{Carrier, Place, Session};
use tamarack_tee::Param;

#[derive(Parser)]
#[command(about = "Attacks on the payment example, from the rich OS; succeeds if all of them fail")]
struct Args {
    #[command(flatten)]
    place: Place,
    /// Socket of the device's panel
    #[arg(long)]
    panel: Option<PathBuf>,
    /// A charge that the bank has taken, to be altered
    #[arg(long)]
    charge: Option<PathBuf>,
    /// Where to write the altered charge
    #[arg(long, requires = "charge")]
    forged: Option<PathBuf>,
    /// Digits to look for: the card number, which the attacker would not know
    #[arg(long)]
    pan: String,
    /// A process of the rich OS whose memory to look through, repeatable
    #[arg(long)]
    process: Vec<u32>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(args.pan.len() >= 12, "--pan: a card number has 12 digits or more");
    let mut wallet = Wallet(Session::open(&args.place.device, &wallet(&args.place.domain))?);
    ensure!(wallet.card()?.is_ok(), "the wallet has no card: there is nothing to be had");

    // 1. Approving in the person's place: whatever is said to the TA, it asks the panel itself.
    match wallet.charge(50_000, "Attacker Ltd", b"reference")? {
        Err(NOT_CONFIRMED | NOT_SUPPORTED) => println!("refused: 500.00 without a person's word"),
        Err(code) => bail!("the wallet did not pay 500.00, but why: {code:#010x}"),
        Ok(_) => bail!("the wallet paid 500.00 without a person's word"),
    }
    // In parts: the TA asks about what was charged since the last yes.
    let mut charged = 0;
    while charged < 50_000 && wallet.charge(900, "Attacker Ltd", b"reference")?.is_ok() {
        charged += 900;
    }
    ensure!(charged <= 2_000, "the wallet paid {charged} cents without a person's word, in parts");
    println!("refused: more than {}.{:02} of it in parts", charged / 100, charged % 100);
    if let Some(panel) = &args.panel {
        // As the user that the rich OS runs as; root is not kept out of anything (docs/personalization.md).
        match UnixStream::connect(panel) {
            Ok(_) => println!("open:    the panel's socket: this user is the panel's own, or root"),
            Err(error) => println!("refused: to be the panel: {error}"),
        }
    }

    // 2. The card: through every command that there is or might be, and wherever this user can look.
    let search = Search::new(&[("the card number", &args.pan.as_bytes()[..12])]);
    for command in (0..64).chain([u32::MAX]) {
        let output = || Param::MemrefOutput { capacity: 4096, data: Vec::new() };
        let shapes = [
            vec![output()],
            vec![output(); 4],
            vec![Param::MemrefInput(b"personalization".to_vec()), output()],
        ];
        for params in shapes {
            let Ok(Ok(params)) = wallet.0.invoke(command, params) else { continue };
            for param in params {
                if let Param::MemrefOutput { data, .. } = param {
                    ensure!(search.find(&data).is_none(), "command {command} gave the card number away");
                }
            }
        }
    }
    println!("refused: the card number by any command");
    search.rich_os("the card number", &args.place.device, &args.process)?;

    // 3. A charge of another amount: for the bank to refuse, as it refuses the same charge again.
    if let (Some(charge), Some(forged)) = (&args.charge, &args.forged) {
        let mut bytes = fs::read(charge)?;
        if let Some(byte) = bytes.iter_mut().rev().nth(24) {
            *byte ^= 1;
        }
        fs::write(forged, bytes)?;
        println!("made:    {}: offer it to the bank", forged.display());
    }
    Ok(())
}
