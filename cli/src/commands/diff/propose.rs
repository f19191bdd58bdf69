//! `cku diff propose`: a change of a bundle, put into the journal.

use std::path::PathBuf;

use cku_authority::{Modes, Purpose};
use cku_changes::diff::{self, Proposal, ProposeError};

use super::{check, source};
use crate::{
    exit::Exit,
    journal::{self, JournalArg, TokenArg},
    output::Format,
    render::{foreign, problems},
};

/// Propose a change of the active bundle, and find out all that is to be known about it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of the bundle as it should be.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,

    /// Take the bundle of that folder from git instead, changed from A to B.
    #[arg(long, value_name = "A..B")]
    from_git: Option<String>,

    /// Why, in one sentence.
    #[arg(long, value_name = "TEXT")]
    title: String,

    /// Change what decides over changes, not what decides over runs.
    #[arg(long)]
    change_control: bool,

    /// Let it decide in this mode only; may be given more than once.
    #[arg(long, value_name = "MODE", conflicts_with = "change_control")]
    mode: Vec<String>,

    /// How long it can be approved.
    #[arg(long, value_name = "SPAN", default_value = "72h")]
    expires: String,

    #[command(flatten)]
    how: check::How,

    #[command(flatten)]
    journal: JournalArg,

    #[command(flatten)]
    token: TokenArg,
}

pub(super) fn run(args: &Args) -> Result<Exit, Exit> {
    let journal = args.journal.open()?;
    let genesis = journal::genesis(&journal)?;
    let by = args.token.submitter(&journal, &genesis)?;
    let mut worker = super::change_control(&journal)?;
    let proposed = match &args.from_git {
        Some(range) => source::git(range, &args.dir)?,
        None => source::folder(&args.dir)?,
    };
    let span = cku_skills::parse_duration(&args.expires).filter(|span| !span.is_zero());
    let time = journal::now();
    let expires_at = span.and_then(|span| time.after(span)).ok_or_else(|| {
        journal::refuse(&format!(
            "`--expires {}` is no span of time; write it like `72h`, `30m`, `7d`",
            foreign(&args.expires)
        ))
    })?;
    let proposal = Proposal {
        title: args.title.clone(),
        purpose: if args.change_control { Purpose::ChangeControl } else { Purpose::Gates },
        modes: Modes::of(args.mode.iter().map(String::as_str)),
        bundle: &proposed.bundle,
        base: proposed.base,
        by: by.clone(),
        time,
        expires_at,
        origin: proposed.origin,
    };
    let diff = diff::propose(&journal, &mut worker, &proposal).map_err(|error| match &error {
        ProposeError::Access(error) => problems::of_access(error),
        refused => journal::refuse(&foreign(&refused.to_string())),
    })?;
    check::found(&journal, &mut worker, &diff.id, &by, &args.how, Format::Pretty)
}
