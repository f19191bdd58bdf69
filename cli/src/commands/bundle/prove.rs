//! `cku bundle prove`: in which direction one bundle differs from another.

mod shown;

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use cku_changes::prove::{
    self, Cache, Comparison, Solver, SolverOptions,
    invariants::{self, InvariantResult, Invariants},
};
use cku_engine::Bundle;
use cku_lang::Enforcement;
use serde::Serialize;

use crate::{
    exit::Exit,
    load,
    output::{self, Format},
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
    /// Where answers of the solver are kept; without it, `proofs` in cku's folder below $XDG_CACHE_HOME or
    /// ~/.cache.
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache: Option<PathBuf>,
    /// Ask the solver everything anew, and keep nothing.
    #[arg(long)]
    no_cache: bool,
}

impl Args {
    /// The folder of the cache; none where none is wanted or there is no place for it.
    fn cache(&self) -> Option<PathBuf> {
        if self.no_cache || self.cache.is_some() {
            return self.cache.clone();
        }
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let below = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
        below.map(|below| below.join("cku/proofs"))
    }
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
    let cache = args.cache();
    let mut solver = solver(args, cache.as_deref());
    let comparison = prove::compare(&old, &new, solver.as_mut());
    let enforced = enforced(&old);
    let enforced: Vec<&str> = enforced.iter().copied().collect();
    let mut kept = invariants::structure(&new, &enforced, &[]);
    if let Some(bounds) = bounds {
        kept.extend(invariants::check(&new, &bounds, solver.as_mut()));
        kept.extend(invariants::never_errs(&new, solver.as_mut()));
        let present: Vec<&str> = ENFORCED.into_iter().filter(|gate| !enforced.contains(gate)).collect();
        kept.extend(invariants::structure(&new, &present, &ENFORCED));
    }
    if let Some((solver, dir)) = solver.as_ref().zip(cache)
        && let Err(why) = solver.cache().save(&dir)
    {
        output::note(format_args!("proofs are not kept in `{}`: {why}\n", dir.display()));
    }
    let safe = !comparison.whole.counts_as_loosening() && kept.iter().all(InvariantResult::is_held);
    let found = Found { comparison, invariants: kept };
    match args.format {
        Format::Json => output::json(&found)?,
        Format::Pretty => output::result(shown::pretty(&found))?,
    }
    Ok(if safe { Exit::Pass } else { Exit::Reject })
}

/// The gates that some mode of a bundle enforces.
fn enforced(bundle: &Bundle) -> BTreeSet<&str> {
    let sequences = bundle.manifest().modes.iter().filter_map(|mode| bundle.sequence(mode)?.as_ref().ok());
    let enforced = sequences.flatten().filter(|step| step.enforcement == Enforcement::Enforce);
    enforced.map(|step| step.gate.as_str()).collect()
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
fn solver(args: &Args, cache: Option<&Path>) -> Option<Solver> {
    if args.no_solver {
        return None;
    }
    let options = SolverOptions { time_limit: Duration::from_secs(args.timeout), ..SolverOptions::default() };
    match Solver::new(options, cache.map(Cache::load).unwrap_or_default()) {
        Ok(solver) => Some(solver),
        Err(why) => {
            output::note(format_args!("nothing is proved: {why}\n"));
            None
        }
    }
}
