//! `cku bundle prove`: in which direction one bundle differs from another.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use cku_changes::prove::{
    self, Cache, Comparison, Direction, Proof, Solver, SolverOptions,
    invariants::{self, InvariantOutcome, InvariantResult, Invariants},
};
use serde::Serialize;

use crate::{
    exit::Exit,
    load,
    output::{self, Format},
    render::style,
};

/// What a file of invariants may hold at most.
const INVARIANTS_LIMIT: usize = 1 << 20;

/// Gates that every bundle must enforce, in every mode.
const ENFORCED: [&str; 2] = ["security", "tenant_scope"];

/// Say whether a bundle lets more or less through than another, with proofs and counterexamples.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The bundle as it is.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The bundle as it would be.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// How to write what was found.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
    /// How long the solver may think about one question.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Prove nothing: Cedar that changed is `unproved`.
    #[arg(long)]
    no_solver: bool,
    /// Cedar permits with `@bound("upper")` or `@bound("lower")` that the new bundle must keep.
    #[arg(long, value_name = "FILE")]
    invariants: Option<PathBuf>,
}

#[derive(Serialize)]
struct Found {
    #[serde(flatten)]
    comparison: Comparison,
    invariants: Vec<InvariantResult>,
}

/// Compares the bundles and shows what was found.
pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let bounds = args.invariants.as_deref().map(read).transpose()?;
    let old = load::bundle(&args.old, args.format)?;
    let new = load::bundle(&args.new, args.format)?;
    let mut solver = solver(args);
    let comparison = prove::compare(&old, &new, solver.as_mut());
    let mut kept = Vec::new();
    if let Some(bounds) = bounds {
        kept = invariants::check(&new, &bounds, solver.as_mut());
        kept.extend(invariants::never_errs(&new, solver.as_mut()));
        kept.extend(invariants::structure(&new, &ENFORCED, &ENFORCED));
    }
    let safe = !comparison.whole.counts_as_loosening() && kept.iter().all(InvariantResult::is_held);
    let found = Found { comparison, invariants: kept };
    match args.format {
        Format::Json => output::json(&found)?,
        Format::Pretty => output::result(pretty(&found))?,
    }
    Ok(if safe { Exit::Pass } else { Exit::Reject })
}

fn read(path: &Path) -> Result<Invariants, Exit> {
    let bytes = load::bytes(path, INVARIANTS_LIMIT)?;
    let refused = |why: String| {
        output::problem(format_args!("`{}` holds no invariants: {why}", path.display()));
        Exit::Usage
    };
    if bytes.len() > INVARIANTS_LIMIT {
        return Err(refused(format!("it is larger than {INVARIANTS_LIMIT} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|e| refused(e.to_string()))?;
    Invariants::read(&text).map_err(refused)
}

/// The solver, if one is wanted and there; that there is none is told.
fn solver(args: &Args) -> Option<Solver> {
    if args.no_solver {
        return None;
    }
    let options = SolverOptions { time_limit: Duration::from_secs(args.timeout), ..SolverOptions::default() };
    match Solver::new(options, Cache::default()) {
        Ok(solver) => Some(solver),
        Err(why) => {
            output::note(format_args!("nothing is proved: {why}\n"));
            None
        }
    }
}

fn pretty(found: &Found) -> String {
    let mut text = String::new();
    let dim = style::DIM;
    for part in &found.comparison.parts {
        let _ = writeln!(text, "{}: {}", part.what, coloured(part.direction));
        for check in &part.checks {
            let _ = match &check.proof {
                Proof::Proved { .. } => writeln!(text, "  {dim}proved: {}{dim:#}", check.statement),
                Proof::Structural => writeln!(text, "  {}", check.statement),
                Proof::Refuted { counterexample } => writeln!(text, "  {}", counterexample.sentence),
                Proof::Unproved { why } => writeln!(text, "  not proved: {}: {why}", check.statement),
            };
        }
    }
    for result in &found.invariants {
        let (good, error) = (style::GOOD, style::ERROR);
        let _ = match &result.outcome {
            InvariantOutcome::Held => writeln!(text, "{good}held{good:#}: {}", result.id),
            InvariantOutcome::Violated { counterexample } => {
                writeln!(text, "{error}violated{error:#}: {}: {}", result.id, counterexample.sentence)
            }
            InvariantOutcome::Unproved { why } => {
                writeln!(text, "{error}not proved{error:#}: {}: {why}", result.id)
            }
        };
    }
    let modes = found.comparison.modes.iter().map(|(mode, d)| format!("{mode} {}", d.name()));
    let modes: Vec<String> = modes.collect();
    let _ = writeln!(text, "{} {dim}({}){dim:#}", coloured(found.comparison.whole), modes.join(", "));
    text
}

fn coloured(direction: Direction) -> String {
    let style = if direction.counts_as_loosening() { style::ERROR } else { style::GOOD };
    format!("{style}{}{style:#}", direction.name())
}
