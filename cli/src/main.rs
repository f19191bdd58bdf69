//! `cku`: decides whether a piece of work may go ahead.
//!
//! Results go to standard output, diagnostics to standard error; the exit code is one of
//! [`exit::Exit`]. Each command is a file in [`commands`].

mod commands;
mod exit;
mod load;
mod output;
mod render;
mod spans;

use clap::{Parser, Subcommand};
use exit::Exit;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Decides whether a piece of work may go ahead, from policies in Rego, Cedar and gate files.
#[derive(Parser)]
#[command(name = "cku", version, max_term_width = 100)]
struct Cli {
    /// Show on standard error what takes how long.
    #[arg(short, long, global = true)]
    verbose: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Eval(commands::eval::Args),
    Test(commands::test::Args),
    Collect(commands::collect::Args),
    Compile(commands::compile::Args),
    Check(commands::check::Args),
}

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    if cli.verbose {
        spans::show();
    }
    let run = || match cli.command {
        Command::Eval(args) => commands::eval::run(&args),
        Command::Test(args) => commands::test::run(&args),
        Command::Collect(args) => commands::collect::run(&args),
        Command::Compile(args) => commands::compile::run(&args),
        Command::Check(args) => commands::check::run(&args),
    };
    // A defect of cku is not a verdict: it must not look like the exit code of one.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or(Exit::Internal).into()
}
