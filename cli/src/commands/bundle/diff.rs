//! `cku bundle diff`: what differs between two bundles.

use cku_changes::archive::{self, Change};
use serde_json::json;

use super::source;
use crate::{
    exit::Exit,
    journal::JournalArg,
    output::{self, Format},
    render::{foreign, style},
};

/// Show what differs between two bundles: thresholds, rules, files.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The old one: a folder, an archive, or a revision that the journal keeps, like `sha256:1f2e`.
    #[arg(value_name = "OLD")]
    old: String,

    /// The new one.
    #[arg(value_name = "NEW")]
    new: String,

    #[command(flatten)]
    journal: JournalArg,

    /// How to write it.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let old = source::bundle(&args.old, &args.journal)?;
    let new = source::bundle(&args.new, &args.journal)?;
    let found = archive::compare(&old, &new);
    if args.format == Format::Json {
        output::json(&json!({
            "old": old.revision(), "new": new.revision(),
            "thresholds": found.thresholds, "rules": found.rules, "files": found.files,
        }))?;
        return Ok(Exit::Pass);
    }
    let dim = style::DIM;
    let mut text = format!("{dim}{} -> {}{dim:#}\n", old.revision(), new.revision());
    if found.files.is_empty() {
        text.push_str("nothing differs\n");
    }
    for t in &found.thresholds {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        let name = format!("{}.{} in {}", t.gate, t.threshold, t.mode);
        text.push_str(&format!("threshold  {name}: {} -> {}\n", value(&t.old), value(&t.new)));
    }
    for rule in &found.rules {
        text.push_str(&format!("rule  {} {}\n", foreign(&rule.id), word(rule.change)));
    }
    for file in &found.files {
        text.push_str(&format!("file  {} {}\n", foreign(&file.path), word(file.change)));
    }
    for file in &found.files {
        text.push('\n');
        for line in file.diff.lines() {
            text.push_str(&format!("{}\n", foreign(line)));
        }
    }
    output::result(text)?;
    Ok(Exit::Pass)
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed => "changed",
    }
}
