//! `cku learn bench`: whether the learner keeps what it promises, in synthetic worlds and on real outcomes.

use std::{
    fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Instant,
};

use cku_learner::bench::{self, BenchReport, BenchSettings, Progress};

use crate::{
    exit::Exit,
    journal,
    output::{self, Format},
};

/// Measure what the learner promises: in synthetic worlds, against rules of thumb, and on real outcomes.
///
/// The same seed gives the same figures, whatever the number of threads; costs aside. A target that is missed
/// is said to be.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Worlds for each probability that must be small; other measures take a tenth.
    #[arg(long, value_name = "NUMBER", default_value = "500", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    worlds: u64,

    /// 10,000 worlds, on all cores: hours.
    #[arg(long, conflicts_with = "worlds")]
    full: bool,

    /// The seed of everything.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    seed: u64,

    /// Threads; all cores without it.
    #[arg(long, value_name = "NUMBER")]
    threads: Option<usize>,

    /// A folder of real commits and whether each proved defective, one CSV a project.
    #[arg(long, value_name = "DIR")]
    commits: Option<PathBuf>,

    /// A folder for the report, as Markdown, JSON and SVG plots.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// How to write it.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

/// Nanoseconds since the first call.
fn nanoseconds() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn run(args: &Args) -> Result<Exit, Exit> {
    if let Some(folder) = args.commits.as_ref().filter(|folder| !folder.is_dir()) {
        return Err(journal::refuse(&format!("--commits {} is no folder", folder.display())));
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let settings = BenchSettings {
        worlds: if args.full { BenchSettings::full().worlds } else { args.worlds },
        seed: args.seed,
        threads: args.threads.unwrap_or(cores).clamp(1, 256),
        commits: args.commits.clone(),
        clock: Some(nanoseconds),
    };
    let shows = std::io::stderr().is_terminal();
    let report = bench::run(&settings, &|at: Progress| {
        if shows {
            let _ = write!(std::io::stderr(), "\r{} of {}: {}\x1b[K", at.done + 1, at.of, at.measure);
        }
    });
    if shows {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    if let Some(folder) = &args.out {
        write(folder, &report)
            .map_err(|e| journal::failed(&format!("{} cannot be written: {e}", folder.display())))?;
    }
    match args.format {
        Format::Json => output::json(&report)?,
        Format::Pretty => output::result(bench::markdown(&report))?,
    }
    let missed = report.figures.iter().any(|figure| figure.met == Some(false));
    Ok(if missed { Exit::Reject } else { Exit::Pass })
}

fn write(folder: &Path, report: &BenchReport) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("bench.md"), bench::markdown(report))?;
    fs::write(folder.join("bench.json"), serde_json::to_string_pretty(report)?)?;
    for (name, plot) in bench::plots(report) {
        fs::write(folder.join(name), plot)?;
    }
    Ok(())
}
