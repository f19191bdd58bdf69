//! `cku bundle replay`: recorded decisions, decided anew under two bundles.

use std::{fmt::Write as _, io::IsTerminal, path::PathBuf};

use cku_base::{TenantPath, Timestamp};
use cku_changes::replay::{
    Filter, Flip, Latency, Observed, Options, Outcomes, Replay, ReplayError, Side, replay,
};
use cku_gates::Verdict;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    exit::Exit,
    journal::{JournalArg, failed},
    load,
    output::{self, Format},
    render::{foreign, style},
};

/// Decide what the journal records anew under two bundles, and show what comes out differently.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of the bundle as it is.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The folder of the bundle as it may become.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Only decisions of this tenant and those below it.
    #[arg(long, value_name = "TENANT", default_value = "/")]
    tenant: TenantPath,
    /// Only decisions of this mode.
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// Only decisions since then, like `2026-11-20` or `2026-11-20T12:00:00Z`.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// At most so many: a uniform sample of them if there are more.
    #[arg(long, value_name = "N", value_parser = limit)]
    limit: Option<usize>,
    #[command(flatten)]
    journal: JournalArg,
    /// How to write the result.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

fn since(text: &str) -> Result<Timestamp, String> {
    let read = text.parse().or_else(|_| format!("{text}T00:00:00Z").parse::<Timestamp>());
    read.map_err(|_| "write a day or a time, like `2026-11-20` or `2026-11-20T12:00:00Z`".to_owned())
}

fn limit(text: &str) -> Result<usize, String> {
    let read = text.parse().ok().filter(|n| *n > 0);
    read.ok_or_else(|| "write a whole number from 1, like `1000`".to_owned())
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let old = load::bundle(&args.old, args.format)?;
    let new = load::bundle(&args.new, args.format)?;
    let journal = args.journal.open_to_read()?;
    if let Some(note) = crate::journal::strange(&journal, &args.tenant)? {
        output::note(note);
    }
    let filter = Filter {
        tenant: args.tenant.clone(),
        mode: args.mode.clone(),
        since: args.since,
        ..Filter::default()
    };
    let options = Options { filter, limit: args.limit, ..Options::default() };
    let bar = bar(args.format);
    let progress = |done: usize, total: usize| {
        bar.set_length(u64::try_from(total).unwrap_or(u64::MAX));
        bar.set_position(u64::try_from(done).unwrap_or(u64::MAX));
    };
    let found = replay(&journal, old, new, &options, &progress);
    bar.finish_and_clear();
    let found = found.map_err(|error| match error {
        ReplayError::Damaged(damage) => failed(&damage),
        error => failed(&error),
    })?;
    match args.format {
        Format::Json => output::json(&found)?,
        Format::Pretty => output::result(pretty(&found))?,
    }
    Ok(Exit::Pass)
}

/// How far it is, on a terminal alone.
fn bar(format: Format) -> ProgressBar {
    if format == Format::Json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    match ProgressStyle::with_template("{bar:40} {pos} of {len} decisions, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

const VERDICTS: [Verdict; 3] = [Verdict::Pass, Verdict::Pause, Verdict::Reject];

fn pretty(found: &Replay) -> String {
    let mut text = String::new();
    // Writing to a text does not fail.
    let _ = write_all(&mut text, found);
    text
}

fn write_all(text: &mut String, found: &Replay) -> std::fmt::Result {
    let (bold, dim) = (style::BOLD, style::DIM);
    writeln!(text, "old {}\nnew {}\n", found.old, found.new)?;
    let decisions = |n| output::counted(usize::try_from(n).unwrap_or(usize::MAX), "recorded decision");
    write!(text, "{}", decisions(found.recorded))?;
    if found.looked_at < found.recorded {
        write!(text, ", a sample of {}", found.looked_at)?;
    }
    writeln!(text, ", {} decided anew, {bold}{}{bold:#}", found.replayed, flips(found.flips))?;
    if found.replayed > 0 {
        write!(text, "\n{dim}{:8} {:>9} {:>9} {:>9}{dim:#}\n", "old\\new", "PASS", "PAUSE", "REJECT")?;
        for old in VERDICTS {
            write!(text, "{:8}", old.as_str())?;
            for new in VERDICTS {
                let count = found.verdicts.count(old, new);
                let colour = match (old == new, count) {
                    (true, _) | (_, 0) => style::DIM,
                    _ => style::of(Some(new)),
                };
                write!(text, " {colour}{count:>9}{colour:#}")?;
            }
            writeln!(text)?;
        }
        writeln!(text)?;
    }
    for cell in found.verdicts.cells.iter().filter(|cell| cell.old != cell.new) {
        let pair = format!("{} -> {}", cell.old.as_str(), cell.new.as_str());
        writeln!(text, "{pair}: {}", became(cell.outcomes))?;
    }
    let gates = found.by_gate.iter().filter(|(_, table)| table.flips() > 0);
    for (gate, table) in gates {
        let pairs = table.cells.iter().filter(|cell| cell.old != cell.new);
        let pairs: Vec<String> =
            pairs.map(|cell| format!("{} {} -> {}", cell.count, cell.old, cell.new)).collect();
        writeln!(text, "{dim}gate {gate}: {}{dim:#}", pairs.join(", "))?;
    }
    if !found.samples.is_empty() {
        writeln!(text)?;
    }
    for flip in &found.samples {
        sample(text, flip)?;
    }
    uncertain(text, found)?;
    if let Some(Latency { old, new }) = &found.latency
        && found.replayed > 0
    {
        writeln!(
            text,
            "{dim}a decision took {} µs (99 %: {} µs) under old, {} µs (99 %: {} µs) under new{dim:#}",
            old.median_micros, old.p99_micros, new.median_micros, new.p99_micros
        )?;
    }
    Ok(())
}

fn flips(n: u64) -> String {
    match n {
        0 => "none comes out differently".to_owned(),
        1 => "1 comes out differently".to_owned(),
        n => format!("{n} come out differently"),
    }
}

/// What became of the runs of a cell.
fn became(outcomes: Outcomes) -> String {
    let Outcomes { success, failure, partial, none } = outcomes;
    let all =
        [(success, "ended well"), (failure, "failed"), (partial, "ended in part"), (none, "have no outcome")];
    let parts: Vec<String> =
        all.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    parts.join(", ")
}

fn sample(text: &mut String, flip: &Flip) -> std::fmt::Result {
    let (old, new) = (style::of(Some(flip.old)), style::of(Some(flip.new)));
    let outcome = match flip.outcome {
        Observed::Success => "it ended well",
        Observed::Failure => "it failed",
        Observed::Partial => "it ended in part",
        Observed::None => "no outcome",
    };
    writeln!(
        text,
        "{} {} {old}{}{old:#} -> {new}{}{new:#}, {outcome}: {}",
        foreign(&flip.run),
        foreign(&flip.mode),
        flip.old.as_str(),
        flip.new.as_str(),
        foreign(&flip.intent)
    )?;
    for (side, reasons) in [("old", &flip.old_reasons), ("new", &flip.new_reasons)] {
        for reason in reasons {
            writeln!(text, "  {side}: {}", foreign(reason))?;
        }
    }
    Ok(())
}

/// All that keeps the table from being the whole truth.
fn uncertain(text: &mut String, found: &Replay) -> std::fmt::Result {
    let (warning, error) = (style::WARNING, style::ERROR);
    if found.looked_at < found.recorded {
        let share = f64::from(found.bound.at_most_millionths) / 10_000.0;
        let sure = f64::from(found.bound.confidence.get()) / 100.0;
        writeln!(text, "of all, at most {share:.2} % come out differently, with a confidence of {sure} %")?;
    }
    for not in &found.not_replayable {
        let under = match not.under {
            Some(Side::Old) => " under old",
            Some(Side::New) => " under new",
            None => "",
        };
        writeln!(text, "{warning}not replayable{warning:#}: {} ({}{under})", not.count, not.reason)?;
    }
    if found.masked > 0 {
        writeln!(
            text,
            "{} replayed with something masked that did not matter when it was recorded",
            found.masked
        )?;
    }
    let agreement = &found.agreement;
    if agreement.differs > 0 {
        let places: Vec<String> =
            agreement.examples.iter().map(|at| format!("entry {} of {}", at.seq, at.tenant)).collect();
        writeln!(
            text,
            "{error}old does not say again what it said{error:#}: {} of {} ({})",
            agreement.differs,
            agreement.same_revision,
            places.join(", ")
        )?;
    } else if agreement.same_revision > 0 {
        writeln!(text, "old made {} of them and says the same again", agreement.same_revision)?;
    }
    Ok(())
}
