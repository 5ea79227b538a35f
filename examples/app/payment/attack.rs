//! An attacker who owns the phone's rich OS: he has the device's socket, its folder and every charge, and wants to pay with
//! the card, to have its number, or to be paid twice.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Parser;
use example_apps::payment::{CARD, Carrier, Session, Wallet, wallet};
use tamarack_broker::{Client, SOCKET_NAME};
use tamarack_tee::Param;

#[derive(Parser)]
#[command(about = "Attacks on the payment example, from the rich OS; succeeds if all of them fail")]
struct Args {
    /// Folder of the device
    #[arg(long)]
    device: PathBuf,
    /// Security Domain of the wallet's provider
    #[arg(long, default_value = "com.acme")]
    domain: String,
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
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut wallet =
        Wallet(Session::open(Client::connect(args.device.join(SOCKET_NAME))?, wallet(&args.domain))?);

    // 1. Approving in the person's place: whatever is said to the TA, it asks the panel itself.
    if let Ok(Ok(_)) = wallet.charge(50_000, "Attacker Ltd", b"reference") {
        bail!("the wallet paid 500.00 without a person's word");
    }
    println!("refused: 500.00 without a person's word");
    if let Some(panel) = &args.panel {
        // As the user that the rich OS runs as; root is not kept out of anything (docs/personalization.md).
        match UnixStream::connect(panel) {
            Ok(_) => println!("open:    the panel's socket: this user is the panel's own, or root"),
            Err(error) => println!("refused: to be the panel: {error}"),
        }
    }

    // 2. The card: through every command that there is or might be, and in every file that this user can read.
    for command in (0..64).chain([u32::MAX]) {
        let output = || Param::MemrefOutput { capacity: 4096, data: Vec::new() };
        let shapes = [
            vec![output()],
            vec![output(); 4],
            vec![Param::MemrefInput(b"personalization".to_vec()), output()],
        ];
        for params in shapes {
            let Ok(Ok(params)) = wallet.0.invoke(command, params) else { continue };
            let told = format!("{params:?}");
            let said = params.iter().any(|param| match param {
                Param::MemrefOutput { data, .. } => contains(data, args.pan.as_bytes()),
                _ => false,
            });
            if said || (command != CARD && told.contains(&args.pan)) {
                bail!("command {command} gave the card number away");
            }
        }
    }
    println!("refused: the card number by any command");
    let mut read = 0;
    search(&args.device, args.pan.as_bytes(), &mut read)?;
    println!("refused: the card number in any of {read} files that this user can read");

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

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len().max(1)).any(|window| window == needle)
}

fn search(folder: &Path, needle: &[u8], read: &mut usize) -> Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            search(&path, needle, read)?;
        } else if let Ok(bytes) = fs::read(&path) {
            *read += 1;
            if contains(&bytes, needle) {
                bail!("the card number is in {}", path.display());
            }
        }
    }
    Ok(())
}
