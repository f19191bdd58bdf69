//! What happens to a run: the entries of its stream in the journal.

use std::collections::BTreeMap;

use cku_base::{BasisPoints, Digest, Principal, Timestamp};
use cku_gates::{Approval, Submitter, Verdict, Vote};
use cku_journal::{Entry, Kind};
use cku_skills::{FailureClass, Report};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The subject of a run's entries, which is the name of its stream.
pub fn subject(run: &str) -> String {
    format!("run:{run}")
}

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Somebody wants it.
    Submitted(Submitted),
    /// The gates said something of it.
    Decided(Decided),
    /// Somebody approved or refused a gate.
    Consented(Approval),
    /// Somebody voted.
    Voted(Vote),
    /// Its steps begin.
    Started(Started),
    /// A step begins; durable before the step has any effect.
    StepStarted(StepStarted),
    /// A step ended, well or not.
    StepFinished(StepFinished),
    /// A step is left out.
    StepSkipped(StepSkipped),
    /// A step's undo begins; durable before it has any effect.
    UndoStarted(UndoStarted),
    /// A step's undo ended, well or not.
    Undone(Undone),
    /// What is done about a failure.
    Healing(Healing),
    /// Nothing more is done until a person acts.
    Waiting(Waiting),
    /// Somebody let it go on.
    Resumed(Resumed),
    /// It ended.
    Ended(Ended),
    /// Something was found out about it later.
    Labelled(Label),
}

/// Somebody wants a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submitted {
    /// The mode it is for.
    pub mode: String,
    /// Who submitted it.
    pub principal: Submitter,
    /// When.
    pub submitted_at: Timestamp,
    /// The submission, a blob of the tenant.
    pub submission: Digest,
    /// What approvals and votes bind to.
    pub subject_digest: Digest,
    /// Who submitted each piece of evidence, by the digest of its canonical document.
    pub evidence_by: BTreeMap<Digest, Principal>,
    /// What it is for, in a sentence.
    pub intent: String,
    /// Where its steps shall work.
    pub workspace: String,
    /// Whether commands shall be confined to it.
    pub confined: bool,
}

/// The gates said something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// What.
    pub verdict: Verdict,
    /// Under which policies.
    pub bundle_revision: Digest,
    /// About what.
    pub subject_digest: Digest,
    /// Over which input.
    pub input_digest: Digest,
    /// The input as stored, a blob of the tenant; another digest than the input's where it is masked.
    pub input: Digest,
    /// Whether the stored input decides as the whole one did.
    pub replayable: bool,
    /// The decision in full.
    pub decision: Value,
    /// The facts that learnable thresholds were compared with, by `gate.threshold`, each in the unit of its
    /// type: what the learner sees of a run that passed, too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub observed: BTreeMap<String, i64>,
    /// The one learnable threshold that stood in the way, where a draw alone said whether the run goes
    /// ahead, be it yes or no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exploration: Option<Opened>,
    /// Of a run that passed by itself, the thresholds where a draw that nobody has seen would have been asked,
    /// had the fact been worse and nothing else: by `gate.threshold`, with how likely a yes was. None where
    /// nothing explores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explorable: Option<BTreeMap<String, BasisPoints>>,
    /// The policy diff whose canary decided; none where what is active did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Digest>,
    /// What a policy diff in shadow would have decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadowed>,
}

/// A run that was open to exploration: nothing but one threshold stood in its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The gate.
    pub gate: String,
    /// Its threshold.
    pub threshold: String,
    /// How likely it was to be let through, in ten-thousandths.
    pub propensity: BasisPoints,
    /// Whether it was.
    pub explored: bool,
    /// Whether nothing was open before under the same draw: whoever submits again has seen it, and what
    /// they then submit is no sample.
    pub first: bool,
    /// What was drawn for: tenant, principal, base commit and gate.
    pub change: Digest,
}

/// What a policy diff in shadow would have decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadowed {
    /// The diff.
    pub diff: Digest,
    /// The revision that was asked.
    pub bundle_revision: Digest,
    /// What it said; none where it could not decide.
    pub verdict: Option<Verdict>,
    /// Why it could not, or the first reason of another verdict than that which holds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// The steps of a run begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Where its steps work.
    pub workspace: String,
    /// Whether commands are confined to it.
    pub confined: bool,
}

/// A step begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepStarted {
    /// Which.
    pub step: String,
    /// What carries it out.
    pub skill: String,
    /// The how-manieth try, from 1.
    pub attempt: u32,
    /// The idempotency key that the skill is given.
    pub key: String,
}

/// A step ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepFinished {
    /// Which.
    pub step: String,
    /// The how-manieth try, from 1.
    pub attempt: u32,
    /// What went wrong; none if nothing did.
    pub failure: Option<Failure>,
    /// What the skill reports; none where it was not heard from again.
    #[serde(default)]
    pub report: Option<Report>,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Of which kind it is.
    pub class: FailureClass,
    /// In words.
    pub message: String,
    /// What a command exited with.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// The signal that ended a command.
    #[serde(default)]
    pub signal: Option<i32>,
}

/// A step is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSkipped {
    /// Which.
    pub step: String,
    /// Why.
    pub reason: String,
}

/// A step's undo begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoStarted {
    /// Of which step.
    pub step: String,
    /// The idempotency key that the skill is given.
    pub key: String,
}

/// A step's undo ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undone {
    /// Of which step.
    pub step: String,
    /// What went wrong; none if nothing did.
    pub failure: Option<Failure>,
    /// What the skill reports.
    #[serde(default)]
    pub report: Option<Report>,
}

/// What can be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Try the step again.
    Retry,
    /// Go on without it.
    Skip,
    /// Undo the steps that succeeded, in reverse.
    Rollback,
    /// Wait for a person.
    Alert,
    /// End the run as it is; a person's choice alone.
    Abort,
}

impl Strategy {
    /// As entries and arguments write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::Rollback => "rollback",
            Self::Alert => "alert",
            Self::Abort => "abort",
        }
    }
}

/// What is done about a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healing {
    /// Of which step.
    pub step: String,
    /// What.
    pub strategy: Strategy,
    /// Why.
    pub reason: String,
    /// Before when it is not tried again.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
    /// Whether what it did is taken back before it is tried again.
    #[serde(default)]
    pub undo_first: bool,
    /// Who chose it; the bundle's policy where nobody did.
    #[serde(default)]
    pub by: Option<Submitter>,
}

/// What a run waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitingFor {
    /// For approvals or votes.
    Gates,
    /// For somebody to say what is to be done about a failure.
    Person,
    /// For the kill switch to be off.
    KillSwitch,
    /// For somebody to resume it.
    Resume,
}

/// Nothing more is done for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What for.
    pub waiting_for: WaitingFor,
    /// In words.
    pub reason: String,
}

/// Somebody let a run go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resumed {
    /// Who.
    pub by: Submitter,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All steps succeeded.
    Succeeded,
    /// A step failed, and what was done stays done.
    Failed,
    /// Steps were left out.
    Partial,
    /// A step failed, and what was done is undone.
    RolledBack,
    /// Somebody ended it.
    Cancelled,
    /// A gate did not let it go ahead.
    Rejected,
}

impl Ending {
    /// As entries write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::RolledBack => "rolled_back",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
        }
    }
}

/// What became of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All of it was done.
    Success,
    /// It was not done.
    Failure,
    /// Part of it was done.
    Partial,
}

/// A run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How.
    pub status: Ending,
    /// What became of the work.
    pub outcome: Option<Outcome>,
    /// Why, in words.
    pub cause: String,
    /// Tries of all steps together.
    pub attempts: u32,
    /// From submission to end, in milliseconds.
    pub took_ms: u64,
    /// Of these, waiting for people.
    pub waited_ms: u64,
}

/// Something was found out about a run later, such as an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// What, in a word: `incident`, `revert`.
    pub label: String,
    /// When it happened.
    pub at: Timestamp,
    /// In words.
    #[serde(default)]
    pub note: String,
}

impl Label {
    /// The words that count as failures.
    pub const FAILURES: [&str; 2] = ["incident", "revert"];

    /// Whether it counts against the error budget.
    pub fn counts(&self) -> bool {
        Self::FAILURES.contains(&self.label.as_str())
    }
}

impl Event {
    /// The kind of its entry.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Submitted(_) => Kind::RunSubmitted,
            Self::Decided(_) => Kind::DecisionMade,
            Self::Consented(_) => Kind::ApprovalGiven,
            Self::Voted(_) => Kind::VoteCast,
            Self::Started(_) => Kind::RunStarted,
            Self::StepStarted(_) => Kind::StepStarted,
            Self::StepFinished(_) => Kind::StepFinished,
            Self::StepSkipped(_) => Kind::StepSkipped,
            Self::UndoStarted(_) => Kind::StepUndoStarted,
            Self::Undone(_) => Kind::StepUndone,
            Self::Healing(_) => Kind::HealingChosen,
            Self::Waiting(_) => Kind::RunWaiting,
            Self::Resumed(_) => Kind::RunResumed,
            Self::Ended(_) => Kind::RunEnded,
            Self::Labelled(_) => Kind::RunLabelled,
        }
    }

    /// The members of its entry's body, beside actor and subject.
    pub fn members(&self) -> Result<Map<String, Value>, serde_json::Error> {
        let value = match self {
            Self::Submitted(e) => serde_json::to_value(e),
            Self::Decided(e) => serde_json::to_value(e),
            Self::Consented(e) => serde_json::to_value(e),
            Self::Voted(e) => serde_json::to_value(e),
            Self::Started(e) => serde_json::to_value(e),
            Self::StepStarted(e) => serde_json::to_value(e),
            Self::StepFinished(e) => serde_json::to_value(e),
            Self::StepSkipped(e) => serde_json::to_value(e),
            Self::UndoStarted(e) => serde_json::to_value(e),
            Self::Undone(e) => serde_json::to_value(e),
            Self::Healing(e) => serde_json::to_value(e),
            Self::Waiting(e) => serde_json::to_value(e),
            Self::Resumed(e) => serde_json::to_value(e),
            Self::Ended(e) => serde_json::to_value(e),
            Self::Labelled(e) => serde_json::to_value(e),
        }?;
        match value {
            Value::Object(members) => Ok(members),
            _ => Ok(Map::new()),
        }
    }

    /// Reads the entry of a run's stream; none for kinds that say nothing of a run's course.
    pub fn of(entry: &Entry) -> Result<Option<Self>, cku_authority::UnreadableEntry> {
        let read = match entry.kind() {
            Kind::RunSubmitted => cku_authority::body(entry).map(Self::Submitted),
            Kind::DecisionMade => cku_authority::body(entry).map(Self::Decided),
            Kind::ApprovalGiven => cku_authority::body(entry).map(Self::Consented),
            Kind::VoteCast => cku_authority::body(entry).map(Self::Voted),
            Kind::RunStarted => cku_authority::body(entry).map(Self::Started),
            Kind::StepStarted => cku_authority::body(entry).map(Self::StepStarted),
            Kind::StepFinished => cku_authority::body(entry).map(Self::StepFinished),
            Kind::StepSkipped => cku_authority::body(entry).map(Self::StepSkipped),
            Kind::StepUndoStarted => cku_authority::body(entry).map(Self::UndoStarted),
            Kind::StepUndone => cku_authority::body(entry).map(Self::Undone),
            Kind::HealingChosen => cku_authority::body(entry).map(Self::Healing),
            Kind::RunWaiting => cku_authority::body(entry).map(Self::Waiting),
            Kind::RunResumed => cku_authority::body(entry).map(Self::Resumed),
            Kind::RunEnded => cku_authority::body(entry).map(Self::Ended),
            Kind::RunLabelled => cku_authority::body(entry).map(Self::Labelled),
            _ => return Ok(None),
        };
        read.map(Some)
    }
}
