use clap::CommandFactory;

use crate::fail::Outcome;

#[derive(clap::Args)]
pub struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub fn run(args: Args) -> Outcome {
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "tamarack", &mut std::io::stdout());
    Ok(())
}
