//! `cku bundle`: look at bundles and at what changes between them.

mod replay;

use crate::exit::Exit;

/// Look at bundles, and at what changes between them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Replay(replay::Args),
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    match &args.command {
        Command::Replay(args) => replay::run(args),
    }
}
