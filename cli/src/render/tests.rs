//! Test results: what failed, then one line with the count.

use std::fmt::Write;

use cku_base::diagnostic::Place;
use cku_engine::{UnitTest, UnitTestOutcome};
use cku_gates::tables::TableTest;
use serde::Serialize;

use super::style;

/// A test of any kind and how it ended.
#[derive(Debug, Serialize)]
pub(crate) struct TestLine {
    /// Its name.
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) place: Place,
    /// `passed`, `failed` or `skipped`.
    pub(crate) outcome: &'static str,
    /// What differed.
    pub(crate) differences: Vec<String>,
}

impl From<UnitTest> for TestLine {
    fn from(test: UnitTest) -> Self {
        let (outcome, differences) = match test.outcome {
            UnitTestOutcome::Passed => ("passed", Vec::new()),
            UnitTestOutcome::Skipped => ("skipped", Vec::new()),
            UnitTestOutcome::Failed(why) => ("failed", vec![why]),
            UnitTestOutcome::Error(error) => ("failed", vec![format!("error: {error}")]),
        };
        Self { name: test.name, place: test.place, outcome, differences }
    }
}

impl From<TableTest> for TestLine {
    fn from(test: TableTest) -> Self {
        let outcome = if test.differences.is_empty() { "passed" } else { "failed" };
        Self { name: test.name, place: test.place, outcome, differences: test.differences }
    }
}

/// How many ended how.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Summary {
    /// Tests that passed.
    pub(crate) passed: usize,
    /// Tests that failed.
    pub(crate) failed: usize,
    /// Tests that were skipped.
    pub(crate) skipped: usize,
}

impl Summary {
    /// Counts.
    pub(crate) fn of(tests: &[TestLine]) -> Self {
        let count = |outcome: &str| tests.iter().filter(|t| t.outcome == outcome).count();
        Self { passed: count("passed"), failed: count("failed"), skipped: count("skipped") }
    }
}

/// What failed or was skipped, and the summary line.
pub(crate) fn render(tests: &[TestLine], summary: Summary) -> String {
    let mut out = String::new();
    let (error, warning, good, dim) = (style::ERROR, style::WARNING, style::GOOD, style::DIM);
    for test in tests.iter().filter(|t| t.outcome == "skipped") {
        let _ = writeln!(out, "{warning}skipped{warning:#} {}  {dim}{}{dim:#}", test.name, test.place);
    }
    for test in tests.iter().filter(|t| t.outcome == "failed") {
        let _ = writeln!(out, "{error}failed{error:#} {}  {dim}{}{dim:#}", test.name, test.place);
        for difference in &test.differences {
            let _ = writeln!(out, "    {difference}");
        }
    }
    let colour = if summary.failed == 0 { good } else { error };
    let Summary { passed, failed, skipped } = summary;
    let _ = write!(out, "{colour}{passed} passed, {failed} failed{colour:#}");
    let _ = if skipped > 0 { writeln!(out, ", {skipped} skipped") } else { writeln!(out) };
    out
}
