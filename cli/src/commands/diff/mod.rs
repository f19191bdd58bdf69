//! `cku diff`: policy diffs, from proposed to active.

mod acts;
pub(super) mod check;
mod list;
mod propose;
mod review;
mod show;
mod source;
mod watch;

use cku_authority::{Purpose, active_for, load_bundle};
use cku_base::Digest;
use cku_changes::diff::{self, ActError, GateError};
use cku_engine::Worker;
use cku_gates::Submitter;
use cku_journal::Journal;

use crate::{
    exit::Exit,
    journal::{self, JournalArg, TokenArg},
    render::{foreign, problems},
};

/// Change what decides: propose a change, look at it, approve it, make it active, take it back.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Propose(propose::Args),
    Check(check::Args),
    Show(show::Args),
    Approve(acts::ConsentArgs),
    /// Refuse a policy diff: that ends it.
    Refuse(acts::ConsentArgs),
    Withdraw(acts::ReasonArgs),
    Activate(acts::ActivateArgs),
    Rollback(acts::RollbackArgs),
    List(list::Args),
    Watch(watch::Args),
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    use cku_gates::ApprovalDecision::{Approve, Refuse};
    match &args.command {
        Command::Propose(args) => propose::run(args),
        Command::Check(args) => check::run(args),
        Command::Show(args) => show::run(args),
        Command::Approve(args) => acts::consent(args, Approve),
        Command::Refuse(args) => acts::consent(args, Refuse),
        Command::Withdraw(args) => acts::withdraw(args),
        Command::Activate(args) => acts::activate(args),
        Command::Rollback(args) => acts::roll_back(args),
        Command::List(args) => list::run(args),
        Command::Watch(args) => watch::run(args),
    }
}

/// Which diff, where, and who acts.
#[derive(Debug, clap::Args)]
struct By {
    /// The diff: its digest, or the beginning of it.
    #[arg(value_name = "DIFF")]
    diff: String,
    #[command(flatten)]
    journal: JournalArg,
    #[command(flatten)]
    token: TokenArg,
}

/// A diff that somebody acts on.
struct Acting {
    journal: Journal,
    by: Submitter,
    id: Digest,
    worker: Worker,
}

impl By {
    fn open(&self) -> Result<Acting, Exit> {
        let journal = self.journal.open()?;
        let genesis = journal::genesis(&journal)?;
        let by = self.token.submitter(&journal, &genesis)?;
        let id = diff::find(&journal, &self.diff).map_err(|e| problems::of_store(&e))?;
        let worker = change_control(&journal)?;
        Ok(Acting { journal, by, id, worker })
    }
}

/// What decides over changes.
pub(super) fn change_control(journal: &Journal) -> Result<Worker, Exit> {
    let active = active_for(journal, Purpose::ChangeControl).map_err(|e| problems::of_store(&e))?;
    let active = active.ok_or_else(|| {
        journal::refuse(
            "nothing decides over changes in this journal; `cku init --control managed` makes one in which changes are proposed",
        )
    })?;
    load_bundle(journal, active.revision).map(Worker::new).map_err(|e| problems::of_bundle(&e))
}

/// Shows why an act on a diff did not happen.
pub(super) fn not_done(error: &ActError) -> Exit {
    match error {
        ActError::Access(error) => problems::of_access(error),
        ActError::Gate(error) => not_judged(error),
        ActError::Bundle(error) => problems::of_bundle(error),
        ActError::NotPassed { verdict, .. } => {
            crate::output::problem(foreign(&error.to_string()));
            if *verdict == "PAUSE" { Exit::Pause } else { Exit::Reject }
        }
        ActError::Floor { .. }
        | ActError::Violated(_)
        | ActError::TakesADiff
        | ActError::OtherControl
        | ActError::Bounds(_)
        | ActError::Stale { .. } => {
            crate::output::problem(foreign(&error.to_string()));
            Exit::Reject
        }
        ActError::Refused(_)
        | ActError::TakesToken
        | ActError::OtherTrial { .. }
        | ActError::NotLast
        | ActError::TooLate(_) => journal::refuse(&foreign(&error.to_string())),
    }
}

fn not_judged(error: &GateError) -> Exit {
    match error {
        GateError::Store(error) => problems::of_store(error),
        GateError::Refused(refusal) => journal::refuse(&foreign(&refusal.to_string())),
        GateError::Undecidable(why) => {
            crate::output::problem(foreign(&why.to_string()));
            Exit::from(why)
        }
    }
}

/// The first digits of a digest, as people name it.
fn short(id: &Digest) -> String {
    id.to_string().trim_start_matches("sha256:").chars().take(12).collect()
}
