//! Which lines and branches of which files were executed, gathered from a report.

use std::collections::BTreeMap;

use super::data::{Coverage, FileCoverage, Ratio};

/// The lines of each file; a file or line that is reported again is merged.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    files: BTreeMap<String, FileLines>,
}

/// The lines and branches of one file.
#[derive(Debug, Default)]
pub(super) struct FileLines {
    /// Line number -> was it executed.
    lines: BTreeMap<u32, bool>,
    /// Branch, as the format identifies it -> how many of its outcomes were taken, of how many.
    branches: BTreeMap<String, Ratio>,
}

impl Gathered {
    /// The lines of `path`, empty if it was not named before.
    pub(super) fn file(&mut self, path: &str) -> &mut FileLines {
        self.files.entry(path.to_owned()).or_default()
    }

    /// How many files were named.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// The sums, file by file in the order of their paths.
    pub(super) fn into_coverage(self) -> Coverage {
        let mut coverage = Coverage { lines: Ratio::default(), branches: None, files: Vec::new() };
        let mut branches = Ratio::default();
        for (path, file) in self.files {
            let lines = file.lines();
            coverage.lines = coverage.lines.plus(lines);
            branches = branches.plus(file.branches());
            coverage.files.push(FileCoverage { path, lines });
        }
        coverage.branches = (branches.total > 0).then_some(branches);
        coverage
    }
}

impl FileLines {
    /// A line was executed, or not; once executed is executed.
    pub(super) fn line(&mut self, number: u32, hit: bool) {
        *self.lines.entry(number).or_default() |= hit;
    }

    /// Outcomes of a branch; reported again, the larger numbers count.
    pub(super) fn branch(&mut self, id: String, outcomes: Ratio) {
        let known = self.branches.entry(id).or_default();
        known.hit = known.hit.max(outcomes.hit);
        known.total = known.total.max(outcomes.total);
    }

    /// Takes over what another reading of the same file saw.
    pub(super) fn merge(&mut self, other: FileLines) {
        other.lines.into_iter().for_each(|(number, hit)| self.line(number, hit));
        other.branches.into_iter().for_each(|(id, outcomes)| self.branch(id, outcomes));
    }

    /// Executed lines of all lines.
    pub(super) fn lines(&self) -> Ratio {
        Ratio { hit: self.lines.values().filter(|hit| **hit).count() as u64, total: self.lines.len() as u64 }
    }

    /// Taken outcomes of all outcomes.
    pub(super) fn branches(&self) -> Ratio {
        self.branches.values().fold(Ratio::default(), |sum, outcomes| sum.plus(*outcomes))
    }
}
