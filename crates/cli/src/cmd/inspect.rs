use std::path::PathBuf;

use crate::fail::{self, Fail, Outcome};
use crate::inspect::{self, Shape};
use crate::out;

#[derive(clap::Args)]
pub struct Args {
    /// The file, in binary, hexadecimal, JSON or a compact serialization of JOSE; - reads standard input
    file: PathBuf,
    /// What it is, if it does not say so itself
    #[arg(long = "as", value_enum)]
    shape: Option<Shape>,
    /// Print the tree as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Outcome {
    let bytes = inspect::unhex(fail::read(&args.file)?);
    let tree = inspect::tree(&bytes, args.shape)
        .map_err(|e| Fail::input(e.code(), format_args!("{}: {e}", args.file.display())))?;
    if args.json { out::json(&tree.to_json()) } else { out::lines(&tree.to_string()) }
}
