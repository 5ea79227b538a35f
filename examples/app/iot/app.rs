//! The controller of the valve: it commands the TA, and cannot command the valve.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use example_apps::iot::{Command, command};

#[derive(Parser)]
#[command(about = "The controller of the valve: opens and closes it through its TA")]
struct Args {
    /// Folder of the device
    #[arg(long)]
    device: PathBuf,
    /// Security Domain of the TA's provider
    #[arg(long, default_value = "com.acme")]
    domain: String,
    /// What to do
    #[arg(value_enum)]
    action: Action,
}

#[derive(Clone, Copy, ValueEnum)]
enum Action {
    Open,
    Close,
    Status,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let wanted = match args.action {
        Action::Open => Command::Open,
        Action::Close => Command::Close,
        Action::Status => Command::Status,
    };
    let position = command(&args.device, &args.domain, wanted)?;
    println!("{}, moved {} times", if position.open { "open" } else { "closed" }, position.moved);
    Ok(())
}
