//! `cku diff list`: the policy diffs of a journal.

use std::fmt::Write;

use cku_changes::diff;
use serde_json::json;

use crate::{
    exit::Exit,
    journal::{self, JournalArg},
    output::{self, Format},
    render::{foreign, problems, style},
};

/// List policy diffs, the oldest first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only those that can still become active.
    #[arg(long)]
    open: bool,

    #[command(flatten)]
    journal: JournalArg,

    /// How to write it.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<Exit, Exit> {
    let journal = args.journal.open_to_read()?;
    let mut all = diff::list(&journal).map_err(|e| problems::of_store(&e))?;
    all.retain(|(_, row)| !args.open || row.ended_at.is_none());
    if args.format == Format::Json {
        let all: Vec<_> = all.iter().map(|(id, row)| json!({"id": id, "diff": row})).collect();
        output::json(&all)?;
        return Ok(Exit::Pass);
    }
    let mut text = String::new();
    let dim = style::DIM;
    for (id, row) in &all {
        let over = row.ended_at.is_none() && row.expires_at <= journal::now();
        let status = if over { "expired" } else { row.status.as_str() };
        let direction = row.direction.as_deref().unwrap_or("");
        let _ = writeln!(
            text,
            "{}  {:11}  {:12}  {}  {dim}{}, {}{dim:#}",
            super::short(id),
            status,
            direction,
            foreign(&row.title),
            foreign(&row.author),
            row.proposed_at
        );
    }
    if all.is_empty() {
        text.push_str("no policy diffs\n");
    }
    output::result(text)?;
    Ok(Exit::Pass)
}
