//! The commands, one file per noun; a new noun is a file and a row here.

mod completions;
mod explain;
mod inspect;

use crate::fail::Outcome;

/// Every noun of the command line.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Show a CBOR, COSE, EAT, SUIT or TEEP object as an annotated tree
    Inspect(inspect::Args),
    /// Explain an error code
    Explain(explain::Args),
    /// Print shell completions
    Completions(completions::Args),
}

impl Command {
    /// Does what the command line says.
    pub fn run(self) -> Outcome {
        match self {
            Self::Inspect(args) => inspect::run(args),
            Self::Explain(args) => explain::run(args),
            Self::Completions(args) => completions::run(args),
        }
    }
}
