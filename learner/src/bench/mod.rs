//! The benchmark: what the learner promises, measured in synthetic worlds and on real outcomes.
//!
//! Everything is seeded; the same settings give the same figures, whatever the number of threads.

mod binomial;
mod commits;
mod cost;
mod learners;
mod measures;
mod replay;
mod report;
mod watch;
mod worlds;

use std::path::PathBuf;

use serde::Serialize;

pub use commits::{CommitsError, Project, ProjectResult, read_project, run_project};
pub use cost::Workload;
pub use report::{markdown, plots};

/// How the benchmark is run.
#[derive(Debug, Clone)]
pub struct BenchSettings {
    /// Worlds per probability that must be small (L1, L2, L7); the other measures take a tenth, at least 50.
    pub worlds: u64,
    /// The seed of everything.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
    /// The folder of real commit outcomes, one CSV a project; measured where it is there.
    pub commits: Option<PathBuf>,
    /// A clock in nanoseconds, for the cost of an outcome; not measured without.
    pub clock: Option<fn() -> u64>,
}

impl BenchSettings {
    /// The quick form: under a minute on one core.
    pub fn quick() -> Self {
        Self { worlds: 500, seed: 1, threads: 1, commits: None, clock: None }
    }

    /// The full form: 10,000 worlds.
    pub fn full() -> Self {
        Self { worlds: 10_000, ..Self::quick() }
    }
}

/// How far the benchmark is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The measure that begins.
    pub measure: String,
    /// The measures before it.
    pub done: usize,
    /// All measures.
    pub of: usize,
}

/// One figure beside its target.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// The measure: `L1` to `L11`, or `W` for the watch over a loosening.
    pub id: &'static str,
    /// What is measured.
    pub what: String,
    /// The measured value; absent where it was not measured.
    pub value: Option<f64>,
    /// The value in words, with what belongs to it.
    pub shown: String,
    /// The target in words.
    pub target: &'static str,
    /// Whether the target is met; none for a figure that has none, or was not measured.
    pub met: Option<bool>,
}

/// What the benchmark found.
#[derive(Debug, Clone, Serialize)]
pub struct BenchReport {
    /// Worlds per small probability.
    pub worlds: u64,
    /// The seed.
    pub seed: u64,
    /// The figures of the learner.
    pub figures: Vec<Figure>,
    /// The same for rules of thumb.
    pub baselines: Vec<Baseline>,
    /// Real projects.
    pub projects: Vec<ProjectResult>,
    /// What was left out, and why.
    pub skipped: Vec<String>,
    /// Delays over the bound, sorted, one list per shift: for the plots.
    pub delays: Vec<(f64, Vec<f64>)>,
}

/// A rule of thumb in the same worlds.
#[derive(Debug, Clone, Serialize)]
pub struct Baseline {
    /// Its name.
    pub name: &'static str,
    /// P(any wrong tighten) at a rate of exactly ε.
    pub wrong_tighten: f64,
    /// P(any wrong loosen) at a rate of exactly ε.
    pub wrong_loosen: f64,
    /// Distance to the best threshold 7,000 runs after a shift to 3ε.
    pub distance: f64,
    /// Escapes above ε per 1,000 runs after it.
    pub escapes: f64,
}

/// Runs the benchmark.
pub fn run(settings: &BenchSettings, progress: &dyn Fn(Progress)) -> BenchReport {
    measures::all(settings, progress)
}

/// `f` of each number below `n`, in order, on so many threads.
fn each<T: Send>(threads: usize, n: u64, f: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let threads = threads.max(1) as u64;
    if threads == 1 {
        return (0..n).map(f).collect();
    }
    let f = &f;
    let parts = std::thread::scope(|scope| {
        let part =
            |t: u64| scope.spawn(move || (n * t / threads..n * (t + 1) / threads).map(f).collect::<Vec<T>>());
        let handles: Vec<_> = (0..threads).map(part).collect();
        handles.into_iter().map(|handle| handle.join().unwrap_or_default()).collect::<Vec<_>>()
    });
    parts.into_iter().flatten().collect()
}
