//! The snapshot of the world that a decision depends on, taken from the journal.

use std::collections::BTreeMap;

use cku_base::{BasisPoints, Timestamp};
use cku_engine::access::RoleGrant;
use serde::{Deserialize, Serialize};

use crate::{exploration::Draw, policy_diff::Changes};

/// What was so when the decision was made.
///
/// A part that is absent is unknown, and facts over it are missing; the kill switch and the role
/// grants are always known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "an object with `kill_switch`, `role_grants` and the rest of the state")]
pub struct State {
    /// Whether everything is stopped.
    pub kill_switch: bool,
    /// Who holds which role where.
    pub role_grants: Vec<RoleGrant>,
    /// Whether releases are frozen.
    #[serde(default)]
    pub freeze: Option<Freeze>,
    /// What is known of the journal's chain.
    #[serde(default)]
    pub chain: Option<Chain>,
    /// What is left of the error budget.
    #[serde(default)]
    pub error_budget: Option<ErrorBudget>,
    /// How reliable skills and voters have been.
    #[serde(default)]
    pub reliability: Reliability,
    /// Skills that this tenant never ran before.
    #[serde(default)]
    pub first_time_skills: Option<Vec<String>>,
    /// The draws that may let a run explore, one for each threshold beyond which it might; none where
    /// nothing explores. No gate sees them: they apply after all of them were asked.
    #[serde(default)]
    pub exploration: Option<Vec<Draw>>,
    /// What was so in change control; none where a run is decided on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
}

/// A freeze of releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object with `active`")]
pub struct Freeze {
    /// Whether it holds now.
    pub active: bool,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// What is known of the journal's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object with `intact`, `verified_to` and `verified_at`")]
pub struct Chain {
    /// Whether every entry that was verified fits the one before.
    pub intact: bool,
    /// The last entry that was verified.
    pub verified_to: u64,
    /// When.
    pub verified_at: Timestamp,
}

/// What is left of the error budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object with `remaining`")]
pub struct ErrorBudget {
    /// The share of it that is left; ten-thousandths are hundredths of a percent.
    pub remaining: BasisPoints,
}

/// Lower bounds of reliability.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object with `skills` and `voters`", default)]
pub struct Reliability {
    /// By the name of the skill.
    pub skills: BTreeMap<String, BasisPoints>,
    /// By the text form of the principal.
    pub voters: BTreeMap<String, BasisPoints>,
}
