//! `tamarack`: the one command of developers, operators and device makers.
//!
//! Exit codes: 0 success, 1 the operation was refused or failed, 2 the command line or an input is wrong. Data goes to
//! standard output, everything else to standard error.
#![forbid(unsafe_code)]

mod cmd;
#[cfg(test)]
mod documents;
mod fail;
mod inspect;
mod keys;
mod out;
mod rest;
mod ta_yaml;
mod try_ta;

use std::process::ExitCode;

use clap::Parser;

/// Provision and manage Trusted Applications in Trusted Execution Environments.
#[derive(Parser)]
#[command(
    name = "tamarack",
    version,
    about,
    max_term_width = 110,
    after_help = "Exit codes: 0 done, 1 refused or failed, 2 the command line or an input is wrong. \
                  `tamarack explain CODE` says more about an error."
)]
struct Cli {
    #[command(subcommand)]
    command: cmd::Command,
}

fn main() -> ExitCode {
    // The TEE's processes are this program again: nothing of the command line may run in them.
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(first) if first == tamarack_tee_host::LAUNCHER_SUBCOMMAND => {
            return tamarack_tee_host::launcher_main(args);
        }
        Some(first) if first == tamarack_tee_host::AGENT_SUBCOMMAND => {
            return tamarack_tee_host::agent_main(args);
        }
        Some(first) if first == cmd::demo::peek::SUBCOMMAND => return cmd::demo::peek::main(args),
        _ => {}
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // clap prints help and versions to standard output with code 0, mistakes to standard error with code 2.
        Err(e) => e.exit(),
    };
    match cli.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fail) => {
            fail.print();
            fail.exit_code()
        }
    }
}
