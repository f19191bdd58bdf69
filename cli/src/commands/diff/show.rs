//! `cku diff show`: a diff as a page on which a person can decide.

use cku_changes::diff;

use super::review::{self, Format};
use crate::{exit::Exit, journal::JournalArg, render::problems};

/// Show a policy diff: what changes, what is proved, what would have been decided otherwise, who may approve.
///
/// The exit code is what change control says of it: 0 PASS, 1 REJECT, 4 PAUSE.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The diff: its digest, or the beginning of it.
    #[arg(value_name = "DIFF")]
    diff: String,

    #[command(flatten)]
    journal: JournalArg,

    /// How to write it.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<Exit, Exit> {
    let journal = args.journal.open_to_read()?;
    let id = diff::find(&journal, &args.diff).map_err(|e| problems::of_store(&e))?;
    let diff = diff::load(&journal, &id).map_err(|e| problems::of_store(&e))?;
    let mut worker = super::change_control(&journal)?;
    review::show(&journal, &mut worker, &diff, args.format)
}
