//! What evidence holds, one shape per kind.
//!
//! These shapes are the contract that bundles are written against; `gates/schema/` publishes them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Executed lines and branches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// Lines, as the sum over the files.
    pub lines: Ratio,
    /// Outcomes of branches; null if the report names no branch.
    pub branches: Option<Ratio>,
    /// The files, each once; empty if only totals are known.
    pub files: Vec<FileCoverage>,
}

/// How many of how many; the percentage is derived from it and never stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ratio {
    /// Those that were executed, at most `total`.
    pub hit: u64,
    /// All of them.
    pub total: u64,
}

impl Ratio {
    /// The sum; a number that would not fit stays at the largest one, which no check lets pass.
    pub(super) fn plus(self, other: Self) -> Self {
        Self { hit: self.hit.saturating_add(other.hit), total: self.total.saturating_add(other.total) }
    }
}

/// The lines of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileCoverage {
    /// The path as the tool wrote it.
    pub path: String,
    /// Its lines.
    pub lines: Ratio,
}

/// What a static analysis found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Findings {
    /// The findings that are not suppressed, in the order of the report.
    pub findings: Vec<Finding>,
    /// How many findings have each level.
    pub counts: LevelCounts,
    /// How many findings were left out because somebody suppressed them.
    pub suppressed: u64,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The rule that was broken; null if the tool names none.
    pub rule: Option<String>,
    /// How bad it is.
    pub level: Level,
    /// What the tool says, cut after 2000 characters.
    pub message: String,
    /// The file, as the tool wrote it (a URI reference); null if it is about no file.
    pub path: Option<String>,
    /// The line, from 1; null if it is about the whole file.
    #[schemars(range(min = 1))]
    pub line: Option<u64>,
}

/// The level of a finding (SARIF 2.1.0, 3.27.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A serious problem.
    Error,
    /// A problem.
    Warning,
    /// A minor problem, or an opportunity.
    Note,
    /// No problem: the rule passed, or does not apply.
    None,
}

/// How many findings have each level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LevelCounts {
    /// Findings of level `error`.
    pub error: u64,
    /// Findings of level `warning`.
    pub warning: u64,
    /// Findings of level `note`.
    pub note: u64,
    /// Findings of level `none`.
    pub none: u64,
}

impl LevelCounts {
    /// Counts the levels of `findings`.
    pub fn of(findings: &[Finding]) -> Self {
        let mut counts = Self::default();
        for finding in findings {
            match finding.level {
                Level::Error => counts.error += 1,
                Level::Warning => counts.warning += 1,
                Level::Note => counts.note += 1,
                Level::None => counts.none += 1,
            }
        }
        counts
    }
}

/// What a test run gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tests {
    /// All cases: passed, failed, errors and skipped together.
    pub total: u64,
    /// Cases that passed.
    pub passed: u64,
    /// Cases in which something expected was not so.
    pub failed: u64,
    /// Cases that could not be carried out.
    pub errors: u64,
    /// Cases that were left out.
    pub skipped: u64,
    /// The cases that failed or could not be carried out, in the order of the report.
    pub failures: Vec<TestFailure>,
}

/// A case that failed or could not be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestFailure {
    /// The class of the case, or the suite that holds it; empty if it has neither.
    pub suite: String,
    /// The name of the case.
    pub name: String,
    /// What the tool says, cut after 2000 characters.
    pub message: String,
}

/// What a change touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The files, each path once.
    pub files: Vec<ChangedFile>,
    /// Lines added in all files that are text.
    pub added: u64,
    /// Lines removed in all files that are text.
    pub removed: u64,
}

/// One file of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedFile {
    /// The path after the change, relative to the repository, with `/`.
    pub path: String,
    /// The path before, if the file was renamed or copied.
    pub from: Option<String>,
    /// Lines added; null if the file is binary.
    pub added: Option<u64>,
    /// Lines removed; null if the file is binary.
    pub removed: Option<u64>,
    /// Whether git takes the file for binary.
    pub binary: bool,
}

/// A message that is not longer than evidence should carry.
pub(super) fn cut(message: &str) -> String {
    const MAX: usize = 2000;
    let message = message.trim();
    match message.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", message.get(..end).unwrap_or(message)),
        None => message.to_owned(),
    }
}
