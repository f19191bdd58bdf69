//! Decisions: the verdict of a run and how each gate came to its own.

use std::collections::BTreeMap;

use cku_base::Digest;
use serde::{Deserialize, Serialize, Serializer};

use crate::{
    exploration::{Explorable, Explored},
    reason::Reason,
};

/// What a gate or a run comes to; the order is the order of strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// It may go ahead.
    Pass,
    /// It waits for people.
    Pause,
    /// It may not go ahead.
    Reject,
}

impl Verdict {
    /// As decisions write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Pause => "PAUSE",
            Self::Reject => "REJECT",
        }
    }
}

/// The answer of the gates to one input under one bundle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// The worst that counts.
    pub verdict: Verdict,
    /// The mode it was made in.
    pub mode: String,
    /// Whether the input came from a file instead of from the journal.
    pub simulated: bool,
    /// The bundle.
    pub bundle_revision: Digest,
    /// What approvals and votes bind to.
    pub subject_digest: Digest,
    /// The whole input, for replay.
    pub input_digest: Digest,
    /// Reasons that stand outside all gates, such as the kill switch.
    pub reasons: Vec<Reason>,
    /// The gates, in the order of the mode's sequence.
    pub gates: Vec<GateOutcome>,
    /// What exploration had to do with it, for whoever learns from the outcome.
    #[serde(skip)]
    pub exploration: Explorable,
}

/// What came of one gate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GateOutcome {
    /// Its name.
    pub gate: String,
    /// What it says; none if it was not reached.
    pub verdict: Option<Verdict>,
    /// What counts of it after overrides and enforcement; none if it was not reached.
    pub effective: Option<Verdict>,
    /// Whether it counts in this mode.
    #[serde(serialize_with = "enforcement")]
    pub enforcement: cku_lang::Enforcement,
    /// Whether it was evaluated.
    pub reached: bool,
    /// Who let its PAUSE pass.
    pub overridden_by: Vec<String>,
    /// The draw that let its PAUSE pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explored: Option<Explored>,
    /// Why, sorted by rule.
    pub reasons: Vec<Reason>,
    /// The facts that learnable thresholds were compared with, by the names of the thresholds, each in the
    /// unit of its type; no part of what is decided.
    #[serde(skip)]
    pub observed: BTreeMap<String, i64>,
}

fn enforcement<S: Serializer>(value: &cku_lang::Enforcement, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match value {
        cku_lang::Enforcement::Enforce => "enforce",
        cku_lang::Enforcement::Advise => "advise",
    })
}
