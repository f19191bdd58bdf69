//! `cku`: decides whether a piece of work may go ahead, and carries it out.
//!
//! Results go to standard output, diagnostics to standard error; the exit code is one of
//! [`exit::Exit`]. Each command is a file in [`commands`].

mod commands;
mod exit;
mod journal;
mod load;
mod output;
mod render;
mod share;
mod spans;

use std::any::Any;

use cku_gates::ApprovalDecision;
use clap::{Parser, Subcommand};
use exit::Exit;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Decides whether a piece of work may go ahead, from policies in Rego, Cedar and gate files, carries it
/// out, and records everything in a journal.
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
    Run(commands::run::Args),
    Runs(commands::runs::Args),
    Approve(commands::acts::ConsentArgs),
    /// Refuse a gate of a run: nothing lifts that.
    Refuse(commands::acts::ConsentArgs),
    Vote(commands::acts::VoteArgs),
    Heal(commands::acts::HealArgs),
    Cancel(commands::acts::CancelArgs),
    Outcome(commands::acts::OutcomeArgs),
    Killswitch(commands::killswitch::Args),
    Freeze(commands::freeze::Args),
    Serve(commands::serve::Args),
    Init(commands::init::Args),
    Auth(commands::auth::Args),
    Role(commands::role::Args),
    Journal(commands::journal::Args),
    Bundle(commands::bundle::Args),
    Diff(commands::diff::Args),
    Learn(commands::learn::Args),
    Reliability(commands::reliability::Args),
    Eval(commands::eval::Args),
    Test(commands::test::Args),
    Collect(commands::collect::Args),
    Compile(commands::compile::Args),
    Check(commands::check::Args),
    Fmt(commands::fmt::Args),
    /// Supervises a command of a step; cku starts it itself.
    #[command(name = commands::run::SUPERVISE, hide = true)]
    Supervise,
}

/// Policies evaluate recursively, on the stack of the thread that asks. How large the main thread's
/// stack is, the environment says (`ulimit -s`); what a bundle decides must not depend on it.
const STACK: usize = 64 << 20;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    if matches!(cli.command, Command::Supervise) {
        return cku_skills::supervise();
    }
    // A server says more, and to others: it sees to that itself.
    if !matches!(cli.command, Command::Serve(_)) {
        spans::show(cli.verbose);
    }
    quieten_panics();
    guarded(|| match cli.command {
        Command::Run(args) => commands::run::run(&args),
        Command::Runs(args) => commands::runs::run(&args),
        Command::Approve(args) => commands::acts::consent(&args, ApprovalDecision::Approve),
        Command::Refuse(args) => commands::acts::consent(&args, ApprovalDecision::Refuse),
        Command::Vote(args) => commands::acts::vote(&args),
        Command::Heal(args) => commands::acts::heal(&args),
        Command::Cancel(args) => commands::acts::cancel(&args),
        Command::Outcome(args) => commands::acts::outcome(&args),
        Command::Killswitch(args) => commands::killswitch::run(&args),
        Command::Freeze(args) => commands::freeze::run(&args),
        Command::Serve(args) => commands::serve::run(&args),
        Command::Init(args) => commands::init::run(&args),
        Command::Auth(args) => commands::auth::run(&args),
        Command::Role(args) => commands::role::run(&args),
        Command::Journal(args) => commands::journal::run(&args),
        Command::Bundle(args) => commands::bundle::run(&args),
        Command::Diff(args) => commands::diff::run(&args),
        Command::Learn(args) => commands::learn::run(&args),
        Command::Reliability(args) => commands::reliability::run(&args),
        Command::Eval(args) => commands::eval::run(&args),
        Command::Test(args) => commands::test::run(&args),
        Command::Collect(args) => commands::collect::run(&args),
        Command::Compile(args) => commands::compile::run(&args),
        Command::Check(args) => commands::check::run(&args),
        Command::Fmt(args) => commands::fmt::run(&args),
        Command::Supervise => Err(Exit::Internal),
    })
    .into()
}

/// Panics that a gate catches are reasons of its REJECT; they are shown only to who asks for them.
fn quieten_panics() {
    if std::env::var_os("RUST_BACKTRACE").is_none_or(|value| value == "0") {
        std::panic::set_hook(Box::new(|_| {}));
    }
}

/// Runs a command on a stack of its own size.
///
/// A defect of cku is not a verdict: it must not look like the exit code of one.
fn guarded(command: impl FnOnce() -> Result<Exit, Exit> + Send + 'static) -> Exit {
    let thread = std::thread::Builder::new().name("command".to_owned()).stack_size(STACK);
    match thread.spawn(command).map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(exit) | Err(exit))) => exit,
        Ok(Err(panic)) => {
            output::problem(defect(panic.as_ref()));
            Exit::Internal
        }
        Err(error) => {
            output::problem(format_args!("no thread to run on: {error}"));
            Exit::Internal
        }
    }
}

/// One line about a defect of cku.
fn defect(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).and_then(|t| t.lines().next());
    let said = text.map_or_else(String::new, |t| format!(": {t}"));
    format!("internal error, please report it{said}; RUST_BACKTRACE=1 shows where it happened")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_is_told_in_one_line() {
        let told = |panic: Box<dyn Any + Send>| defect(panic.as_ref());
        let rest = "; RUST_BACKTRACE=1 shows where it happened";
        assert_eq!(told(Box::new("a")), format!("internal error, please report it: a{rest}"));
        assert_eq!(told(Box::new("a\nb".to_owned())), format!("internal error, please report it: a{rest}"));
        assert_eq!(told(Box::new(7)), format!("internal error, please report it{rest}"));
    }

    #[test]
    fn a_panic_is_an_internal_error() {
        assert_eq!(guarded(|| panic!("a defect")), Exit::Internal);
        assert_eq!(guarded(|| Err(Exit::Usage)), Exit::Usage);
        assert_eq!(guarded(|| Ok(Exit::Pause)), Exit::Pause);
    }

    #[test]
    fn a_command_has_room_to_recurse() {
        fn deep(depth: usize) -> usize {
            let frame = std::hint::black_box([depth; 1024]);
            if depth == 0 { 0 } else { deep(depth - 1) + frame[0] - frame[1023] }
        }
        // At least 16 MiB, twice what the main thread commonly has.
        assert_eq!(guarded(|| if deep(2_000) == 0 { Ok(Exit::Pass) } else { Err(Exit::Usage) }), Exit::Pass);
    }
}
