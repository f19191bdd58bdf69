//! `cku diff check`: all that can be found out about a diff before anybody looks.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use cku_authority::Chains;
use cku_base::Digest;
use cku_changes::{
    diff::{self, CheckError, CheckOptions},
    prove::{Cache, Solver, SolverOptions},
    replay::{self, ReplayError},
};
use cku_engine::Worker;
use cku_gates::Submitter;
use cku_journal::Journal;

use super::{By, review};
use crate::{
    exit::Exit,
    journal,
    output::{self, Format},
    render::{foreign, problems},
};

/// Find out anew all that is to be known about a diff: tests, directions, bounds, replay.
///
/// What was approved before does not count any more when something else is found. Proofs are made anew:
/// what people decide on rests on no folder that somebody can write to.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    by: By,

    #[command(flatten)]
    how: How,

    /// How to write it.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

/// How it is found out.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct How {
    /// How long the solver may think about one question.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,

    /// Prove nothing: Cedar that changed is `unproved`.
    #[arg(long)]
    no_solver: bool,

    /// Replay a uniform sample of so many recorded decisions, if there are more.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
}

impl How {
    /// The solver, unless there is none or none is wanted.
    pub(in crate::commands) fn solver(&self) -> Option<Solver> {
        if self.no_solver {
            return None;
        }
        let time_limit = Duration::from_secs(self.timeout);
        let options = SolverOptions { time_limit, ..SolverOptions::default() };
        Solver::new(options, Cache::default())
            .inspect_err(|why| output::note(format_args!("nothing is proved: {why}\n")))
            .ok()
    }

    /// What is replayed.
    pub(in crate::commands) fn options(&self) -> CheckOptions {
        let limit = self.sample.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        CheckOptions { replay: replay::Options { limit, ..replay::Options::default() } }
    }
}

pub(super) fn run(args: &Args) -> Result<Exit, Exit> {
    let mut acting = args.by.open()?;
    found(&acting.journal, &mut acting.worker, &acting.id, &acting.by, &args.how, args.format)
}

/// Finds it out, asks change control, and shows the diff.
pub(in crate::commands) fn found(
    journal: &Journal,
    worker: &mut Worker,
    id: &Digest,
    by: &Submitter,
    how: &How,
    format: Format,
) -> Result<Exit, Exit> {
    let mut solver = how.solver();
    let options = how.options();
    let shows = std::io::stderr().is_terminal();
    let progress = |done: usize, of: usize| {
        if shows {
            let _ = write!(std::io::stderr(), "\rreplayed {done} of {of} decisions\x1b[K");
        }
    };
    let checked =
        diff::check(journal, worker, id, by, solver.as_mut(), (&options, journal::now()), &progress);
    if shows {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    let (diff, _) = checked.map_err(|error| not_found_out(&error))?;
    let judged = diff::gate(journal, &Chains::default(), worker, diff, by, journal::now());
    let (diff, _) = judged.map_err(|error| super::not_judged(&error))?;
    review::show(journal, worker, &diff, format.into())
}

fn not_found_out(error: &CheckError) -> Exit {
    match error {
        CheckError::Store(error) => problems::of_store(error),
        CheckError::Access(error) => problems::of_access(error),
        CheckError::Bundle(error) => problems::of_bundle(error),
        CheckError::Refused(refusal) => journal::refuse(&refusal.to_string()),
        CheckError::Tests(_) => {
            output::problem(foreign(&error.to_string()));
            Exit::Bundle
        }
        CheckError::Replay(ReplayError::Damaged(_)) | CheckError::Replay(_) | CheckError::Bounds(_) => {
            journal::failed(error)
        }
    }
}
