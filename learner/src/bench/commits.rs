//! Real outcomes: commits in order of time, with whether each later proved defective.
//!
//! A project is a CSV file with a header, of which the columns `bug`, `la` and `ld` are read (lines added and
//! deleted). The fact is the number of changed lines, and the gate lets small changes pass. What could be declared
//! in advance comes from the first tenth of the commits: the grid (40 quantiles of the fact), and the
//! budget ε, the failure rate of the smaller half. The learner starts at that half. The labels are noisy, and
//! there is no author in the data, so no source is left out.

use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use serde::Serialize;

use cku_base::BasisPoints;

use crate::{
    Band, Certifying, Cut, Declared, Event, Loss, Matured, Route, Settings, Source, Tables,
    bench::{
        Figure,
        learners::{Certified, Learner},
        worlds::{APPROVAL_DELAY, BANDS, uniform},
    },
};

/// The probability of exploration, in ten-thousandths.
pub(super) const EXPLORATION: u32 = 3_000;

/// Runs of each project with other draws; their mean is reported.
const DRAWS: u64 = 5;

/// The commits of a project.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its name, that of the file.
    pub name: String,
    /// Changed lines, and whether the commit proved defective.
    pub commits: Vec<(f64, bool)>,
}

/// Why real commits were not measured.
#[derive(Debug, thiserror::Error)]
pub enum CommitsError {
    /// No folder was named.
    #[error("no folder of real commits was given")]
    NotGiven,
    /// The folder or a file in it cannot be read.
    #[error("`{path}` cannot be read: {source}")]
    Unreadable {
        /// The path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what is expected.
    #[error("`{path}` line {line}: {what}")]
    Malformed {
        /// The path.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// There is nothing to measure.
    #[error("`{0}` holds no CSV file of commits")]
    Empty(String),
}

/// What the learner did on a project.
#[derive(Debug, Clone, Serialize)]
pub struct ProjectResult {
    /// Its name.
    pub name: String,
    /// Commits after the first tenth.
    pub commits: u64,
    /// ε.
    pub epsilon: f64,
    /// The share that passed the threshold.
    pub passed: f64,
    /// The failure rate of those.
    pub failed: f64,
    /// The share that passes at the best fixed threshold, known afterwards.
    pub hindsight: f64,
    /// The share that passed with the threshold left where it started, and their failure rate.
    pub fixed: (f64, f64),
    /// Proposals, on the average.
    pub proposals: f64,
    /// The share that went ahead, explored runs included.
    pub ahead: f64,
    /// The failure rate of those.
    pub ahead_failed: f64,
}

impl ProjectResult {
    /// How much less passed than at the best fixed threshold.
    pub fn gap(&self) -> f64 {
        (self.hindsight - self.passed).max(0.0)
    }
}

/// Reads a project from a CSV file.
pub fn read_project(path: &Path) -> Result<Project, CommitsError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|source| CommitsError::Unreadable { path: shown.clone(), source })?;
    let malformed = |line: usize, what: String| CommitsError::Malformed { path: shown.clone(), line, what };
    let mut lines = text.lines().zip(1..);
    let header: Vec<&str> = lines.next().map(|(line, _)| line.split(',').collect()).unwrap_or_default();
    let column = |name: &str| {
        let at = header.iter().position(|column| column.trim() == name);
        at.ok_or_else(|| malformed(1, format!("no column `{name}`")))
    };
    let (bug, la, ld) = (column("bug")?, column("la")?, column("ld")?);
    let mut commits = Vec::new();
    for (line, at) in lines.filter(|(line, _)| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |column: usize| {
            let cell = cells.get(column).map_or("", |cell| cell.trim());
            let number = cell.parse::<f64>().ok().filter(|number| number.is_finite());
            number.ok_or_else(|| malformed(at, format!("`{cell}` is no number")))
        };
        commits.push((number(la)? + number(ld)?, number(bug)? > 0.5));
    }
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Project { name, commits })
}

/// All projects of a folder, by name, explored at a rate in ten-thousandths.
pub(super) fn run_all(
    folder: Option<&Path>,
    points: u32,
    seed: u64,
) -> Result<Vec<ProjectResult>, CommitsError> {
    let folder = folder.ok_or(CommitsError::NotGiven)?;
    let shown = || folder.display().to_string();
    let unreadable = |source| CommitsError::Unreadable { path: shown(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "csv") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        return Err(CommitsError::Empty(shown()));
    }
    paths.iter().map(|path| read_project(path).map(|project| explored(&project, points, seed))).collect()
}

/// What the learner does on a project at an exploration rate of 0.3, on the average over several draws.
pub fn run_project(project: &Project, seed: u64) -> ProjectResult {
    explored(project, EXPLORATION, seed)
}

fn explored(project: &Project, points: u32, seed: u64) -> ProjectResult {
    let warm = (project.commits.len() / 10).max(1);
    let (before, rest) = project.commits.split_at(warm.min(project.commits.len()));
    let mut sizes: Vec<f64> = before.iter().map(|(size, _)| *size).collect();
    sizes.sort_by(f64::total_cmp);
    let limits: Vec<f64> = (1..usize::from(BANDS))
        .map(|band| sizes.get(band * sizes.len() / usize::from(BANDS)).copied().unwrap_or(f64::MAX))
        .collect();
    let band = |size: f64| Band(limits.partition_point(|limit| *limit < size) as u16);
    let start = Cut(BANDS / 2);
    let rate = |commits: &[(f64, bool)], cut: Cut| {
        let passing = commits.iter().filter(|(size, _)| cut.passes(band(*size)));
        let (n, failed) = passing.fold((0u64, 0u64), |(n, f), (_, bug)| (n + 1, f + u64::from(*bug)));
        (n as f64 / commits.len().max(1) as f64, failed as f64 / n.max(1) as f64)
    };
    let epsilon = rate(before, start).1.clamp(0.001, 0.5);
    let declared = Declared {
        epsilon,
        left_out: 0,
        exploration_rate: BasisPoints::try_from(points).unwrap_or_default(),
        ..Declared::default()
    };
    let tables = Tables::new(Settings::check(declared).unwrap_or_default(), BANDS);
    let follow = |draw: u64| {
        let commits = rest.iter().map(|(size, bug)| (band(*size), *bug));
        follow(commits, &tables, start, seed ^ (draw << 32))
    };
    let courses: Vec<Followed> = (0..DRAWS).map(follow).collect();
    let sum = |of: fn(&Followed) -> u64| courses.iter().map(of).sum::<u64>() as f64;
    let runs = rest.len().max(1) as f64 * DRAWS as f64;
    let passed = sum(|course| course.passed);
    let best = (1..=BANDS).map(|k| rate(rest, Cut(k))).filter(|(_, failed)| *failed <= epsilon);
    ProjectResult {
        name: project.name.clone(),
        commits: rest.len() as u64,
        epsilon,
        passed: passed / runs,
        failed: sum(|course| course.failed) / passed.max(1.0),
        hindsight: best.map(|(share, _)| share).fold(0.0, f64::max),
        fixed: rate(rest, start),
        proposals: sum(|course| course.proposals) / DRAWS as f64,
        ahead: sum(|course| course.ahead) / runs,
        ahead_failed: sum(|course| course.ahead_failed) / sum(|course| course.ahead).max(1.0),
    }
}

#[derive(Default)]
struct Followed {
    passed: u64,
    failed: u64,
    ahead: u64,
    ahead_failed: u64,
    proposals: u64,
}

fn follow(commits: impl Iterator<Item = (Band, bool)>, tables: &Tables, start: Cut, seed: u64) -> Followed {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let propensity = tables.settings().propensity();
    let reach = tables.settings().get().exploration_bands;
    let mut learner = Certified::new(tables, start);
    let mut cut = start;
    let mut pending: Option<(u64, Cut)> = None;
    let mut followed = Followed::default();
    for ((band, bug), at) in commits.zip(0u64..) {
        if pending.is_some_and(|(due, _)| at >= due)
            && let Some((_, to)) = pending.take()
        {
            cut = to;
            learner.adopted(cut);
        }
        let loss = if bug { Loss::FULL } else { Loss::NONE };
        let drawn = uniform(&mut rng);
        let route = if cut.passes(band) {
            followed.passed += 1;
            followed.failed += u64::from(bug);
            propensity.map(|propensity| Certifying::Passed { propensity })
        } else {
            propensity
                .filter(|p| band.0 < cut.0 + reach && drawn < p.probability())
                .map(|propensity| Certifying::Explored { propensity })
        };
        if route.is_some() {
            followed.ahead += 1;
            followed.ahead_failed += u64::from(bug);
        }
        let event = match route {
            Some(evidence) => Event::Matured(Matured {
                band,
                cut,
                route: Route::Certifying(evidence),
                source: Source(0),
                tighten: loss,
                loosen: loss,
            }),
            None => Event::Held(band),
        };
        if let Some(said) = learner.apply(&event)
            && pending.is_none()
        {
            followed.proposals += u64::from(!said.expiry);
            pending = Some((at + if said.expiry { 0 } else { APPROVAL_DELAY }, said.to));
        }
    }
    followed
}

fn mean_gap(results: &[ProjectResult]) -> f64 {
    results.iter().map(ProjectResult::gap).sum::<f64>() / results.len().max(1) as f64
}

/// What more exploration buys: the same projects explored at these rates, in ten-thousandths.
pub(super) fn more_exploration(all: &[(u32, Vec<ProjectResult>)]) -> Figure {
    let part = |(points, results): &(u32, Vec<ProjectResult>)| {
        let ahead = results.iter().filter(|r| r.ahead_failed <= r.epsilon).count();
        let (p, gap) = (f64::from(*points) / 10_000.0, mean_gap(results));
        format!("p = {p}: {gap:.3}, {ahead} of {} with explored runs", results.len())
    };
    Figure {
        id: "L9",
        what: "the gap where more is explored; projects within ε when explored runs count too".to_owned(),
        value: all.last().map(|(_, results)| mean_gap(results)),
        shown: all.iter().map(part).collect::<Vec<_>>().join("; "),
        target: "–",
        met: None,
    }
}

pub(super) fn figures(results: &[ProjectResult]) -> Vec<Figure> {
    let gap = mean_gap(results);
    let within = results.iter().filter(|r| r.failed <= r.epsilon).count();
    let often = results.iter().map(|r| 10_000.0 * r.proposals / r.commits.max(1) as f64).fold(0.0, f64::max);
    let met = gap <= 0.08 && within == results.len() && often <= 5.0;
    let shown = format!("{gap:.3}; {within} of {}; {often:.1}", results.len());
    vec![Figure {
        id: "L9",
        what: "real commits: mean pass-rate gap to hindsight; projects within ε; proposals per 10,000"
            .to_owned(),
        value: Some(gap),
        shown,
        target: "≤ 0.08; all; ≤ 5",
        met: Some(met),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_said_and_not_measured() {
        let missing = run_all(Some(Path::new("no/such/folder")), EXPLORATION, 1).unwrap_err().to_string();
        assert!(missing.starts_with("`no/such/folder` cannot be read"), "{missing}");
        assert_eq!(
            run_all(None, EXPLORATION, 1).unwrap_err().to_string(),
            "no folder of real commits was given"
        );
    }
}
