//! A change of a bundle, as the gates of change control see it.

use cku_base::{Digest, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A change of a bundle that shall become active in the mode of the input.
///
/// It is part of the subject: what people approve is this change, on this base, with this evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "a policy diff, an object with `id`, `base`, `revision`, `evidence` and what was found")]
pub struct PolicyDiff {
    /// The digest of the diff.
    pub id: Digest,
    /// The bundle that changes.
    pub bundle: ChangedBundle,
    /// The revision it applies to.
    pub base: Digest,
    /// The revision it comes to.
    pub revision: Digest,
    /// The modes in which it is to decide; all of them where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<String>,
    /// The digest of all that was found out about it.
    pub evidence: Digest,
    /// Whether the learner proposed it.
    pub learned: bool,
    /// Whether the new revision loads.
    pub loads: bool,
    /// Tests of the new revision.
    pub tests: TestCounts,
    /// The join of all that bears on the mode: `neutral`, `tighten`, `loosen`, `incomparable`, `unproved`.
    pub direction: String,
    /// What changed.
    #[serde(default)]
    pub parts: Vec<ChangedPart>,
    /// Bounds, by what is known of them.
    pub invariants: InvariantCounts,
    /// Recorded decisions under old and new; none where nothing was replayed.
    #[serde(default)]
    pub replay: Option<ReplayCounts>,
    /// Thresholds with another value, in any mode.
    #[serde(default)]
    pub thresholds: Vec<ThresholdChange>,
    /// Whether it touches what the learner itself is bound by: ranges, steps, rates, its settings.
    #[serde(default)]
    pub learner_settings: bool,
    /// Until when it can be approved.
    pub expires_at: Timestamp,
}

/// The bundle that a diff changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object with `name` and `protected`")]
pub struct ChangedBundle {
    /// Its name.
    pub name: String,
    /// Whether it is the one that decides over changes, or says that it is protected.
    pub protected: bool,
}

/// Tests of a bundle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object with `passed` and `failed`")]
pub struct TestCounts {
    /// That passed.
    pub passed: u64,
    /// That failed.
    pub failed: u64,
}

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object with `what` and `direction`")]
pub struct ChangedPart {
    /// What, like `gate quality in prod`.
    pub what: String,
    /// In which direction.
    pub direction: String,
}

/// Bounds, by what is known of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object with `held`, `violated` and `unproved`")]
pub struct InvariantCounts {
    /// Those that hold.
    pub held: u64,
    /// The names of those that do not.
    pub violated: Vec<String>,
    /// The names of those of which nobody knows.
    pub unproved: Vec<String>,
}

/// Recorded decisions under old and new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object with `decisions`, `flips` and `not_replayable`")]
pub struct ReplayCounts {
    /// Decided anew.
    pub decisions: u64,
    /// Of these, with another verdict.
    pub flips: u64,
    /// Not decided anew.
    pub not_replayable: u64,
}

/// A threshold with another value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object with `gate`, `name`, `mode`, `from` and `to`")]
pub struct ThresholdChange {
    /// The gate.
    pub gate: String,
    /// Its name.
    pub name: String,
    /// The mode.
    pub mode: String,
    /// Its value before, in the unit of its type.
    pub from: i64,
    /// Its value after.
    pub to: i64,
    /// Whether it may be learned, before and after.
    pub learn: bool,
    /// Whether the new value is a whole number of steps from the lower end of the range.
    pub on_grid: bool,
    /// Whether the new value lies within the range.
    pub in_range: bool,
    /// Whether it goes back on the last learned change of it, part or all of the way and not beyond.
    ///
    /// The journal says so when the diff is decided on, so what is found out beforehand does not; where it is
    /// not said, it is not so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub returns: bool,
}

/// What was so in change control when a diff is decided on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "an object with `base_active`, `open` and `activated`")]
pub struct Changes {
    /// What it is decided for: `active`, or to be tried, `shadow` or `canary`.
    #[serde(default = "active")]
    pub asked: String,
    /// How it was tried, in the order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Tried>,
    /// Whether the base is the active revision of the mode.
    pub base_active: bool,
    /// Other diffs of the same bundle and mode that are open, with the thresholds they change.
    #[serde(default)]
    pub open: Vec<OpenDiff>,
    /// Activations of learned diffs in the last 30 days.
    #[serde(default)]
    pub activated: Vec<Activated>,
    /// What the genesis says no bundle can lower.
    #[serde(default)]
    pub floor: Option<Value>,
}

fn active() -> String {
    "active".to_owned()
}

/// A stage in which a diff was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object with `stage` and `since`")]
pub struct Tried {
    /// `shadow` or `canary`.
    pub stage: String,
    /// Since when.
    pub since: Timestamp,
}

/// Another diff that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object with `id` and `thresholds`")]
pub struct OpenDiff {
    /// Its digest.
    pub id: Digest,
    /// Whether the learner proposed it.
    #[serde(default)]
    pub learned: bool,
    /// The thresholds it changes, like `quality.min_line_coverage`.
    pub thresholds: Vec<String>,
}

/// A diff that became active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object with `time` and `thresholds`")]
pub struct Activated {
    /// When.
    pub time: Timestamp,
    /// Whether the learner proposed it.
    #[serde(default)]
    pub learned: bool,
    /// The thresholds it changed, like `quality.min_line_coverage`.
    pub thresholds: Vec<String>,
}
