//! The controller of the valve: it commands the TA, and cannot command the valve.
#![forbid(unsafe_code)]

use std::io::BufRead;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use example_apps::iot::{Command, Controller, valve};
use example_apps::{Place, Session};

#[derive(Parser)]
#[command(about = "The controller of the valve: opens and closes it through its TA")]
struct Args {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Open the valve
    Open,
    /// Close it
    Close,
    /// Ask where it is
    Status,
    /// Carry out commands from standard input, one a line, in one session
    Session,
}

fn main() -> Result<()> {
    let Args { place, action } = Args::parse();
    let mut controller = Controller(Session::open(&place.device, &valve(&place.domain))?);
    let mut carry_out = |command| -> Result<()> {
        let position = controller.command(command)?;
        println!("{}, moved {} times", if position.open { "open" } else { "closed" }, position.moved);
        Ok(())
    };
    match action {
        Action::Open => carry_out(Command::Open),
        Action::Close => carry_out(Command::Close),
        Action::Status => carry_out(Command::Status),
        Action::Session => {
            for line in std::io::stdin().lock().lines() {
                let command = Command::from_str(line?.trim(), false).map_err(anyhow::Error::msg)?;
                carry_out(command)?;
            }
            Ok(())
        }
    }
}
