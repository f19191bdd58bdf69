//! `cku bundle`: bundles as such: archives, signatures, differences, proofs, replay.

mod build;
mod diff;
mod list;
mod prove;
mod pull;
mod push;
mod replay;
mod show;
mod sign;
mod source;
mod verify;

use crate::exit::Exit;

/// Bundles as such: pack, sign, verify, compare, prove, hand on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Build(build::Args),
    Sign(sign::Args),
    Verify(verify::Args),
    Show(show::Args),
    List(list::Args),
    Diff(diff::Args),
    Prove(prove::Args),
    Replay(replay::Args),
    Push(push::Args),
    Pull(pull::Args),
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    match &args.command {
        Command::Build(args) => build::run(args),
        Command::Sign(args) => sign::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Show(args) => show::run(args),
        Command::List(args) => list::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Prove(args) => prove::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Push(args) => push::run(args),
        Command::Pull(args) => pull::run(args),
    }
}
