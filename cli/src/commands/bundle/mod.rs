//! `cku bundle`: bundles as they change.

mod prove;

use crate::exit::Exit;

/// Work with bundles as they change.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Prove(prove::Args),
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    match &args.command {
        Command::Prove(args) => prove::run(args),
    }
}
