//! What a replay found.

use std::{collections::BTreeMap, fmt};

use cku_base::{
    BasisPoints, Digest, TenantPath, Timestamp,
    canonical::{self, CanonicalError},
};
use cku_gates::Verdict;
use serde::{Deserialize, Serialize};

use super::{
    Filter,
    record::{Heads, Observed},
};

/// What a replay found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// The revision of the old bundle.
    pub old: Digest,
    /// The revision of the new bundle.
    pub new: Digest,
    /// Up to where each chain was read.
    pub heads: Heads,
    /// Which decisions were asked for.
    pub filter: Filter,
    /// Recorded decisions that were asked for.
    pub recorded: u64,
    /// Of these, looked at: all, or a uniform sample.
    pub looked_at: u64,
    /// Of these, decided under both bundles.
    pub replayed: u64,
    /// Of these, over an input of which something was masked that did not matter when it was recorded.
    pub masked: u64,
    /// Those that were looked at and not decided, by reason.
    pub not_replayable: Vec<NotReplayable>,
    /// Whether the old bundle says again what it said.
    pub agreement: Agreement,
    /// Decisions with another verdict under the new bundle.
    pub flips: u64,
    /// The share of flips among all that were asked for, as far as a sample can tell.
    pub bound: Bound,
    /// Verdicts, old × new.
    pub verdicts: Table<Verdict>,
    /// The same by mode.
    pub by_mode: BTreeMap<String, Table<Verdict>>,
    /// The same by tenant.
    pub by_tenant: BTreeMap<TenantPath, Table<Verdict>>,
    /// What counts of each gate, old × new.
    pub by_gate: BTreeMap<String, Table<Said>>,
    /// What was looked at beside the sample, counted nowhere else.
    pub beside: Beside,
    /// Some of the flips of each pair of verdicts, those beside the sample among them.
    pub samples: Vec<Flip>,
    /// How long decisions took; it differs each time, and is no evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

impl Replay {
    /// The canonical document of all that is the same each time: everything but the latency.
    pub fn evidence(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical::to_vec(&Self { latency: None, ..self.clone() })
    }

    /// The digest of the evidence.
    pub fn digest(&self) -> Result<Digest, CanonicalError> {
        Ok(Digest::of(&self.evidence()?))
    }
}

/// A table of pairs: what the old bundle says, what the new one says, how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Table<V> {
    /// The pairs that occur, in order.
    pub cells: Vec<Cell<V>>,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self { cells: Vec::new() }
    }
}

impl<V: Copy + Ord> Table<V> {
    /// Counts a pair, with what became of the run.
    pub(super) fn add(&mut self, old: V, new: V, outcome: Observed) {
        let found = self.cells.binary_search_by(|cell| (cell.old, cell.new).cmp(&(old, new)));
        let at = found.unwrap_or_else(|at| {
            self.cells.insert(at, Cell { old, new, count: 0, outcomes: Outcomes::default() });
            at
        });
        if let Some(cell) = self.cells.get_mut(at) {
            cell.count += 1;
            cell.outcomes.add(outcome);
        }
    }

    /// How often both say these.
    pub fn count(&self, old: V, new: V) -> u64 {
        self.cell(old, new).map_or(0, |cell| cell.count)
    }

    /// The cell of a pair that occurs.
    pub fn cell(&self, old: V, new: V) -> Option<&Cell<V>> {
        self.cells.iter().find(|cell| (cell.old, cell.new) == (old, new))
    }

    /// How often they say different things.
    pub fn flips(&self) -> u64 {
        self.cells.iter().filter(|cell| cell.old != cell.new).map(|cell| cell.count).sum()
    }
}

/// A pair that occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell<V> {
    /// What the old bundle says.
    pub old: V,
    /// What the new bundle says.
    pub new: V,
    /// How often.
    pub count: u64,
    /// What became of these runs; a run that was decided on twice counts twice.
    pub outcomes: Outcomes,
}

/// What became of runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Ended well.
    pub success: u64,
    /// Failed, or were followed by an incident or a revert.
    pub failure: u64,
    /// Ended in part.
    pub partial: u64,
    /// Never went ahead, or have not ended.
    pub none: u64,
}

impl Outcomes {
    fn add(&mut self, outcome: Observed) {
        *match outcome {
            Observed::Success => &mut self.success,
            Observed::Failure => &mut self.failure,
            Observed::Partial => &mut self.partial,
            Observed::None => &mut self.none,
        } += 1;
    }
}

/// What counts of a gate, after overrides and enforcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Said {
    Pass,
    Pause,
    Reject,
    /// An earlier gate ended it.
    NotReached,
    /// The mode's sequence does not have the gate.
    Absent,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "PASS",
            Self::Pause => "PAUSE",
            Self::Reject => "REJECT",
            Self::NotReached => "not reached",
            Self::Absent => "absent",
        })
    }
}

/// Where a decision is recorded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Whose chain.
    pub tenant: TenantPath,
    /// Where in it.
    pub seq: u64,
}

/// A decision that comes out differently.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flip {
    /// Where it is recorded.
    pub place: Place,
    /// When it was.
    pub time: Timestamp,
    /// The run.
    pub run: String,
    /// What the run was for; empty where that was erased.
    pub intent: String,
    /// Its mode.
    pub mode: String,
    /// The input that was recorded.
    pub input_digest: Digest,
    /// What the old bundle says.
    pub old: Verdict,
    /// Why, `gate: message` each; at most three.
    pub old_reasons: Vec<String>,
    /// What the new bundle says.
    pub new: Verdict,
    /// Why, `gate: message` each; at most three.
    pub new_reasons: Vec<String>,
    /// What became of the run.
    pub outcome: Observed,
}

/// Decisions that could not be decided anew for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReplayable {
    /// Why.
    pub reason: WhyNot,
    /// Under which bundle, where that matters; the new one only where the old one decided.
    pub under: Option<Side>,
    /// How many.
    pub count: u64,
}

/// Why a decision could not be decided anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyNot {
    /// The body of its entry was erased.
    Erased,
    /// Something of its input was masked that mattered.
    Masked,
    /// The journal does not have its input any more.
    InputMissing,
    /// Its input cannot be read by this version, or has no canonical form.
    InputUnreadable,
    /// The bundle does not have its mode.
    UnknownMode,
    /// The bundle does not take an input of its size.
    TooLarge,
    /// The bundle's time limit ran out; another replay may decide it.
    TimeLimit,
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Erased => "erased",
            Self::Masked => "something that mattered was masked",
            Self::InputMissing => "the input is missing",
            Self::InputUnreadable => "the input cannot be read",
            Self::UnknownMode => "unknown mode",
            Self::TooLarge => "the input is too large",
            Self::TimeLimit => "the time limit ran out",
        })
    }
}

/// One of the two bundles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Side {
    Old,
    New,
}

/// Whether a bundle says again what it said: it must, whenever it made the recorded decision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Replayed decisions that the old bundle made itself.
    pub same_revision: u64,
    /// Of these, with the recorded verdict.
    pub agrees: u64,
    /// Of these, with another one: a defect, or a journal that was tampered with.
    pub differs: u64,
    /// The first of those in the order of the journal; at most ten.
    pub examples: Vec<Place>,
}

/// What a sample says of all: with this confidence, no larger share than this flips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Decisions of which the sample was drawn.
    pub of: u64,
    /// Decisions of it that were decided under both bundles.
    pub replayed: u64,
    /// Flips among them.
    pub flips: u64,
    /// How sure it is, one-sided.
    pub confidence: BasisPoints,
    /// The share, in millionths, rounded up. Exact where all were looked at.
    pub at_most_millionths: u32,
}

/// What was looked at beside a sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// Decisions that were asked for and are not in the sample.
    pub looked_at: u64,
    /// Of these, decided under both bundles.
    pub replayed: u64,
    /// Of these, with another verdict under the new bundle.
    pub flips: u64,
}

/// How long decisions took under both bundles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Under the old one.
    pub old: Percentiles,
    /// Under the new one.
    pub new: Percentiles,
}

/// Microseconds of a decision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half took no longer.
    pub median_micros: u64,
    /// All but one in a hundred took no longer.
    pub p99_micros: u64,
}
