//! `cku reliability`: how skills, agents, gates, voters and tenants have turned out.

use std::fmt::Write;

use cku_base::TenantPath;
use cku_journal::Journal;
use cku_learner::patterns::Pattern;
use cku_learning::{KnownSubject, Reckoning, ReliabilityError, Report, SubjectKind, TrackRecord};

use crate::{
    exit::Exit,
    journal::{self, JournalArg},
    output::{self, Format, counted},
    render::{foreign, problems, style},
};

/// Show how reliable skills, agents, gates, voters and tenants have been.
///
/// The mean counts the latest outcomes most. The interval holds 95 times of 100, however often it is looked at.
/// The lower bound is what is safe to go by: few outcomes, or bad ones of late, make it low.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Of whom; `patterns` shows skills that fail in one way more often than the others of their mode. Without
    /// it, of all.
    #[arg(value_name = "KIND", value_enum)]
    kind: Option<Shown>,

    /// Only the outcomes of this tenant and those below it.
    #[arg(long, value_name = "TENANT", default_value = "/")]
    tenant: TenantPath,

    #[command(flatten)]
    journal: JournalArg,

    /// How to write it.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Shown {
    /// What carries out steps, by tries.
    Skills,
    /// Who submits runs.
    Agents,
    /// Gates, by the runs that they let pass.
    Gates,
    /// Who votes, by whether runs turned out as they said.
    Voters,
    /// Tenants, by their runs.
    Tenants,
    /// Skills that fail in one way more often than the others.
    Patterns,
}

impl Shown {
    /// The one kind of subject that is meant.
    fn kind(self) -> Option<SubjectKind> {
        match self {
            Self::Skills => Some(SubjectKind::Skills),
            Self::Agents => Some(SubjectKind::Agents),
            Self::Gates => Some(SubjectKind::Gates),
            Self::Voters => Some(SubjectKind::Voters),
            Self::Tenants => Some(SubjectKind::Tenants),
            Self::Patterns => None,
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let journal = args.journal.open_to_read()?;
    super::runs::known(&journal, &args.tenant)?;
    let bundle = cku_authority::active(&journal).map_err(|e| problems::of_bundle(&e))?;
    let reckoning = Reckoning::of(&bundle);
    let reckoning = reckoning.map_err(|e| problems::of_reliability(&ReliabilityError::Declared(e)))?;
    let records = records(&journal, &args.tenant, reckoning)?;
    let kinds = match args.kind {
        None => SubjectKind::ALL.to_vec(),
        Some(shown) => shown.kind().into_iter().collect(),
    };
    let report = Report::of(&records, reckoning, &kinds);
    match (args.format, args.kind) {
        (Format::Json, _) => output::json(&report)?,
        (Format::Pretty, Some(Shown::Patterns)) => output::result(patterns(&report))?,
        (Format::Pretty, _) => output::result(subjects(&report))?,
    }
    Ok(Exit::Pass)
}

/// The records of a tenant and those below it that have any outcome.
fn records(journal: &Journal, above: &TenantPath, reckoning: Reckoning) -> Result<Vec<TrackRecord>, Exit> {
    let mut records = Vec::new();
    for tenant in journal.tenants().map_err(|e| journal::failed(&e))? {
        if above.contains(&tenant) {
            let mut record = TrackRecord::new(tenant, reckoning);
            record.follow(journal, None).map_err(|e| problems::of_store(&e))?;
            records.push(record);
        }
    }
    records.retain(|record| !record.subjects().is_empty());
    Ok(records)
}

fn heading(report: &Report) -> String {
    let (bold, dim) = (style::BOLD, style::DIM);
    let names: Vec<&str> = report.tenants.iter().map(|read| read.tenant.as_str()).collect();
    let mut text = match report.tenants.as_slice() {
        [read] => format!("{bold}{}{bold:#}  {dim}up to entry {}{dim:#}\n", read.tenant, read.seq),
        _ => format!("{bold}{} together{bold:#}\n", names.join(", ")),
    };
    if report.erased > 0 {
        let what = if report.erased == 1 { "1 entry is" } else { &format!("{} entries are", report.erased) };
        let _ = writeln!(text, "{dim}{what} erased, and count for nothing{dim:#}");
    }
    text
}

fn subjects(report: &Report) -> String {
    if report.subjects.values().all(Vec::is_empty) {
        return match report.subjects.keys().collect::<Vec<_>>().as_slice() {
            [kind] => format!("nothing is known of {} yet\n", kind.as_str()),
            _ => "nothing is known yet: no run came to an outcome\n".to_owned(),
        };
    }
    let (mut text, dim) = (heading(report), style::DIM);
    let names = report.subjects.values().flatten().map(|known| known.name.chars().count());
    let width = names.max().unwrap_or_default().max(20);
    for (kind, known) in report.subjects.iter().filter(|(_, known)| !known.is_empty()) {
        let _ = writeln!(
            text,
            "\n{:<1$} {dim}outcomes  failures     mean  95 % interval       lower bound{dim:#}",
            kind.as_str(),
            width + 2
        );
        for known in known {
            line(&mut text, report, *kind, (known, width));
        }
    }
    if report.tenants.len() > 1 && report.subjects.keys().any(|kind| kind.is_given_to_gates()) {
        let _ = writeln!(
            text,
            "\n{dim}each tenant decides by its own outcomes: --tenant shows what its gates are given{dim:#}"
        );
    }
    if !report.patterns.is_empty() {
        let found = counted(report.patterns.len(), "pattern");
        let _ = writeln!(text, "\n{found}: `cku reliability patterns`");
    }
    text
}

fn line(text: &mut String, report: &Report, kind: SubjectKind, (known, width): (&KnownSubject, usize)) {
    let dim = style::DIM;
    let says = match known.given {
        _ if report.tenants.len() > 1 || !kind.is_given_to_gates() => String::new(),
        Some(_) => "  given to gates".to_owned(),
        None => {
            let more = u64::from(report.reckoning.from).saturating_sub(known.outcomes);
            format!("  {dim}too few to be given to gates: {more} more{dim:#}")
        }
    };
    let interval = format!("{} to {}", percent(known.interval.0), percent(known.interval.1));
    let bound = f64::from(known.lower_bound.get()) / 10_000.0;
    let _ = writeln!(
        text,
        "  {:<width$} {:>8}  {:>8}  {:>7}  {interval:<19}  {:>9}{says}",
        foreign(&known.name),
        known.outcomes,
        known.failures,
        percent(known.mean),
        percent(bound),
    );
}

fn patterns(report: &Report) -> String {
    if report.patterns.is_empty() {
        return "no skill is known to fail in one way more often than the others of its mode\n".to_owned();
    }
    let (mut text, dim) = (heading(report), style::DIM);
    let _ = writeln!(
        text,
        "\n{dim}  {:<16} {:<12} {:<8} {:<22} {:<22} e-value{dim:#}",
        "skill", "fails by", "mode", "of its tries", "of those of others"
    );
    for pattern in &report.patterns {
        pattern_line(&mut text, report, pattern);
    }
    let _ = writeln!(
        text,
        "\n{dim}of those that are ever shown here, at most one in twenty is no worse than the others, on the average{dim:#}"
    );
    text
}

fn pattern_line(text: &mut String, report: &Report, pattern: &Pattern) {
    let dim = style::DIM;
    let share = |(tries, failed): (u64, u64)| {
        format!("{failed} of {tries}, {}", percent(failed as f64 / tries.max(1) as f64))
    };
    let tenant =
        if report.tenants.len() > 1 { format!("  {dim}{}{dim:#}", pattern.tenant) } else { String::new() };
    let _ = writeln!(
        text,
        "  {:<16} {:<12} {:<8} {:<22} {:<22} {:.1e}{tenant}",
        foreign(&pattern.skill),
        pattern.class,
        foreign(&pattern.mode),
        share(pattern.own),
        share(pattern.others),
        pattern.e_value
    );
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
