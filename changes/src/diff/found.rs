//! What was found out about a diff.

use cku_base::Digest;
use cku_gates::{TestCounts, ThresholdChange};
use serde::{Deserialize, Serialize};

use crate::{
    prove::{
        Comparison,
        invariants::{InvariantOutcome, InvariantResult},
    },
    replay::Replay,
};

/// What was found out about a diff; its canonical form is kept, and its digest is what approvals bind to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The diff.
    pub diff: Digest,
    /// The revision it applies to.
    pub base: Digest,
    /// The revision it comes to.
    pub revision: Digest,
    /// Whether the bundle decides over changes, or says before or after that it is protected.
    pub protected: bool,
    /// Tests of the new revision.
    pub tests: TestCounts,
    /// Some of the tests that failed, with what differed.
    pub failures: Vec<String>,
    /// Tests of the base, run over the new revision; none where they do not load over it.
    #[serde(default)]
    pub base_tests: Option<TestCounts>,
    /// Directions, with proofs and counterexamples.
    pub comparison: Comparison,
    /// Bounds, and whether they are kept.
    pub invariants: Vec<InvariantResult>,
    /// Thresholds with another value.
    pub thresholds: Vec<ThresholdChange>,
    /// Whether it touches what the learner is bound by.
    pub learner_settings: bool,
    /// Recorded decisions under old and new, up to a fixed head; none for changes of change control.
    pub replay: Option<Replay>,
    /// Who proved; none where there was no solver.
    pub solver: Option<String>,
}

impl Evidence {
    /// The names of bounds that are violated.
    pub fn violated(&self) -> Vec<String> {
        let violated = |r: &&InvariantResult| matches!(r.outcome, InvariantOutcome::Violated { .. });
        self.invariants.iter().filter(violated).map(|r| r.id.clone()).collect()
    }

    /// The names of bounds of which nobody knows.
    pub fn unproved(&self) -> Vec<String> {
        let unproved = |r: &&InvariantResult| matches!(r.outcome, InvariantOutcome::Unproved { .. });
        self.invariants.iter().filter(unproved).map(|r| r.id.clone()).collect()
    }
}
