//! The state of a run, computed from the entries of its stream.

use std::collections::BTreeMap;

use cku_base::{Digest, TenantPath, Timestamp};
use cku_gates::{Approval, RunSubmission, Step, Verdict, Vote};
use cku_skills::FailureClass;

use crate::event::{
    Decided, Ended, Event, Failure, Healing, Label, Strategy, Submitted, Waiting, WaitingFor,
};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Submitted, and not decided on.
    Planned,
    /// Waiting for people.
    Waiting(WaitingFor),
    /// Allowed to go ahead, or going.
    Running,
    /// Ended.
    Ended(crate::event::Ending),
}

impl Status {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Waiting(_) => "waiting",
            Self::Running => "running",
            Self::Ended(ending) => ending.as_str(),
        }
    }
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepStatus {
    /// Not begun.
    Pending,
    /// Begun, and not heard from.
    Running,
    /// Done; the number is its place in the order in which steps were done.
    Succeeded(u32),
    /// Failed, and nobody has said what is done about it.
    Failed(Failure),
    /// Failed, and tried again, not before a time.
    Retrying(Option<Timestamp>),
    /// Failed, and a person must say what is done about it.
    Alerted(Failure),
    /// Failed, and left at that.
    GivenUp(Failure),
    /// Done, and its undo failed and was left at that.
    NotUndone(Failure),
    /// Left out.
    Skipped,
    /// Being undone.
    Undoing,
    /// Undone.
    Undone,
}

/// A step of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepState {
    /// Where it stands.
    pub status: StepStatus,
    /// How often it was tried.
    pub attempts: u32,
    /// How often its effects were taken back, or a person let it begin anew: tries of one group share
    /// an idempotency key.
    pub group: u32,
}

/// A run: what was submitted, and what became of it so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its name.
    pub id: String,
    /// Whose it is.
    pub tenant: TenantPath,
    /// How it was submitted.
    pub submitted: Submitted,
    /// What was submitted.
    pub submission: RunSubmission,
    /// Where it stands.
    pub status: Status,
    /// The steps, by id.
    pub steps: BTreeMap<String, StepState>,
    /// What people decided of its gates.
    pub approvals: Vec<Approval>,
    /// What voters said of it.
    pub votes: Vec<Vote>,
    /// What the gates said last.
    pub decided: Option<Decided>,
    /// What it waits for, in words.
    pub waiting: Option<Waiting>,
    /// Whether the steps that succeeded are being undone, and why.
    pub rolling_back: Option<String>,
    /// Whether a person ended it, and why.
    pub aborted: Option<String>,
    /// How it ended.
    pub ended: Option<Ended>,
    /// What was found out later.
    pub labels: Vec<Label>,
    /// Where its steps work.
    pub workspace: Option<crate::event::Started>,
    /// Retries of all its steps so far.
    pub retries: u32,
    /// How many steps succeeded so far, ever.
    pub successes: u32,
    /// Microseconds that it waited for people, and since when it does now.
    pub waited: (u64, Option<Timestamp>),
    /// Failures of each skill since it last succeeded.
    pub failing: BTreeMap<String, u32>,
    /// The last entry of its stream.
    pub seq: u64,
}

impl Run {
    /// A run that was submitted just now.
    pub fn new(id: String, tenant: TenantPath, submitted: Submitted, submission: RunSubmission) -> Self {
        let step = StepState { status: StepStatus::Pending, attempts: 0, group: 1 };
        let steps = submission.plan.iter().flat_map(|p| &p.steps);
        let steps = steps.map(|s| (s.id.clone(), step.clone())).collect();
        Self {
            id,
            tenant,
            submitted,
            submission,
            status: Status::Planned,
            steps,
            approvals: Vec::new(),
            votes: Vec::new(),
            decided: None,
            waiting: None,
            rolling_back: None,
            aborted: None,
            ended: None,
            labels: Vec::new(),
            workspace: None,
            retries: 0,
            successes: 0,
            waited: (0, None),
            failing: BTreeMap::new(),
            seq: 0,
        }
    }

    /// The run after something happened, at entry `seq` of its tenant.
    pub fn apply(mut self, event: &Event, seq: u64, time: Timestamp) -> Self {
        self.seq = seq;
        match event {
            Event::Submitted(_) => {}
            Event::Decided(decided) => {
                if decided.verdict == Verdict::Pass && self.status == Status::Planned {
                    self.status = Status::Running;
                }
                self.decided = Some(decided.clone());
            }
            Event::Consented(approval) => self.approvals.push(approval.clone()),
            Event::Voted(vote) => self.votes.push(vote.clone()),
            Event::Started(started) => {
                self.status = Status::Running;
                self.workspace = Some(started.clone());
            }
            Event::StepStarted(started) => {
                if let Some(step) = self.steps.get_mut(&started.step) {
                    step.attempts = started.attempt;
                    step.status = StepStatus::Running;
                }
            }
            Event::StepFinished(finished) => self.finish(&finished.step, finished.failure.as_ref()),
            Event::StepSkipped(skipped) => self.set(&skipped.step, StepStatus::Skipped),
            Event::UndoStarted(undo) => self.set(&undo.step, StepStatus::Undoing),
            Event::Undone(undone) => match &undone.failure {
                None => {
                    self.set(&undone.step, StepStatus::Undone);
                    if let Some(step) = self.steps.get_mut(&undone.step) {
                        step.group += 1;
                    }
                }
                Some(failure) => self.set(&undone.step, StepStatus::Alerted(failure.clone())),
            },
            Event::Healing(healing) => self.heal(healing),
            Event::Waiting(waiting) => {
                self.status = Status::Waiting(waiting.waiting_for);
                self.waiting = Some(waiting.clone());
                self.waited.1 = Some(time);
            }
            Event::Resumed(_) => {
                self.status = if self.workspace.is_some() { Status::Running } else { Status::Planned };
                self.waiting = None;
                if let Some(since) = self.waited.1.take() {
                    self.waited.0 += time.micros_since(since);
                }
            }
            Event::Ended(ended) => {
                self.status = Status::Ended(ended.status);
                self.waiting = None;
                self.ended = Some(ended.clone());
            }
            Event::Labelled(label) => self.labels.push(label.clone()),
        }
        self
    }

    /// The step of the plan of this name.
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.plan_steps().find(|s| s.id == id)
    }

    /// The steps of the plan, in its order.
    pub fn plan_steps(&self) -> impl Iterator<Item = &Step> {
        self.submission.plan.iter().flat_map(|p| &p.steps)
    }

    /// Where a step stands.
    pub fn status_of(&self, id: &str) -> Option<&StepStatus> {
        self.steps.get(id).map(|s| &s.status)
    }

    /// What the next try of a step, or its undo, hands to the skill: tries of one effect share it.
    pub fn key_of(&self, id: &str) -> String {
        let group = self.steps.get(id).map_or(1, |s| s.group);
        format!("{}/{id}/{group}", self.id)
    }

    /// What approvals and votes bind to.
    pub fn subject_digest(&self) -> Digest {
        self.submitted.subject_digest
    }

    /// Tries of all steps together.
    pub fn attempts(&self) -> u32 {
        self.steps.values().map(|s| s.attempts).sum()
    }

    fn set(&mut self, id: &str, status: StepStatus) {
        if let Some(step) = self.steps.get_mut(id) {
            step.status = status;
        }
    }

    fn finish(&mut self, id: &str, failure: Option<&Failure>) {
        let skill = self.step(id).map(|s| s.skill.clone()).unwrap_or_default();
        match failure {
            None => {
                self.successes += 1;
                self.set(id, StepStatus::Succeeded(self.successes));
                self.failing.remove(&skill);
            }
            Some(failure) => {
                // Nobody's fault: cku went away while the step ran.
                if failure.class != FailureClass::Interrupted {
                    *self.failing.entry(skill).or_default() += 1;
                }
                self.set(id, StepStatus::Failed(failure.clone()));
            }
        }
    }

    fn heal(&mut self, healing: &Healing) {
        let failure = match self.status_of(&healing.step) {
            Some(StepStatus::Failed(failure) | StepStatus::Alerted(failure)) => failure.clone(),
            _ => return,
        };
        // A step that failed while it was undone had succeeded before.
        match healing.strategy {
            Strategy::Retry if self.rolling_back.is_some() => {
                self.successes += 1;
                self.set(&healing.step, StepStatus::Succeeded(self.successes));
            }
            Strategy::Retry => {
                self.retries += 1;
                self.set(&healing.step, StepStatus::Retrying(healing.not_before));
                if let (Some(step), Some(_)) = (self.steps.get_mut(&healing.step), &healing.by) {
                    step.group += 1;
                }
            }
            Strategy::Skip if self.rolling_back.is_some() => {
                self.set(&healing.step, StepStatus::NotUndone(failure));
            }
            Strategy::Skip => self.set(&healing.step, StepStatus::Skipped),
            Strategy::Rollback => {
                self.rolling_back = Some(format!("step `{}` failed: {}", healing.step, failure.message));
                self.set(&healing.step, StepStatus::GivenUp(failure));
            }
            Strategy::Alert => self.set(&healing.step, StepStatus::Alerted(failure)),
            Strategy::Abort => {
                let status =
                    if self.rolling_back.is_some() { StepStatus::NotUndone } else { StepStatus::GivenUp };
                self.set(&healing.step, status(failure));
                self.aborted = Some(healing.reason.clone());
            }
        }
    }
}
