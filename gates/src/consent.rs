//! Approvals and votes: what people and agents said of a run.

use cku_base::{BasisPoints, Digest, Principal, Timestamp};
use serde::{Deserialize, Serialize};

/// What somebody decided of a gate of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an approval, an object with `approver`, `gate`, `decision` and what it is bound to")]
pub struct Approval {
    /// Who.
    pub approver: Principal,
    /// The gate.
    pub gate: String,
    /// Yes or no.
    pub decision: ApprovalDecision,
    /// What it is bound to: for another subject it is void.
    pub subject_digest: Digest,
    /// The policies it is bound to: under another revision it is void.
    pub bundle_revision: Digest,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// When.
    pub time: Timestamp,
    /// Until when it holds.
    pub expires_at: Timestamp,
    /// The key that signed the token it was given with, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalDecision {
    /// The gate may let it through.
    Approve,
    /// It may not.
    Refuse,
}

/// What a voter thinks of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "a vote, an object with `voter`, `voter_kind`, `vote` and what it is bound to")]
pub struct Vote {
    /// Who.
    pub voter: Principal,
    /// In what part: person, planner, builder, reviewer or security.
    pub voter_kind: VoterKind,
    /// What it is bound to: for another subject it is void.
    pub subject_digest: Digest,
    /// What they say.
    pub vote: Ballot,
    /// How sure they are.
    pub confidence: BasisPoints,
    /// When.
    pub time: Timestamp,
    /// The key that signed the token it was given with, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The part in which somebody votes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum VoterKind {
    Person,
    Planner,
    Builder,
    Reviewer,
    Security,
}

/// What a voter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Ballot {
    Approve,
    Revise,
    Reject,
}
