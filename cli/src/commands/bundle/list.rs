//! `cku bundle list`: the revisions that the journal keeps.

use serde_json::json;

use super::source;
use crate::{
    exit::Exit,
    journal::{self, JournalArg},
    output::{self, Format},
    render::{foreign, style},
};

/// List the revisions that the journal keeps, in the order in which they became active.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    journal: JournalArg,

    /// How to write them.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let journal = args.journal.open_to_read()?;
    let kept = source::kept(&journal)?;
    let is_active = |at: usize, purpose| {
        // The last of each purpose is the one that is active.
        kept.iter().rposition(|(other, _)| other.purpose == purpose) == Some(at)
    };
    if args.format == Format::Json {
        let list: Vec<_> = kept
            .iter()
            .enumerate()
            .map(|(at, (a, time))| {
                json!({"revision": a.revision, "name": a.name, "activated_at": time, "active": is_active(at, a.purpose)})
            })
            .collect();
        output::json(&list)?;
        return Ok(Exit::Pass);
    }
    if kept.is_empty() {
        return Err(journal::refuse(
            "the journal keeps no bundle; the first run or `cku init` activates one",
        ));
    }
    let (good, dim) = (style::GOOD, style::DIM);
    for (at, (activated, time)) in kept.iter().enumerate() {
        let active =
            if is_active(at, activated.purpose) { format!("  {good}active{good:#}") } else { String::new() };
        let name = foreign(&activated.name);
        output::result(format_args!("{}  {name}  {dim}{time}{dim:#}{active}\n", activated.revision))?;
    }
    Ok(Exit::Pass)
}
