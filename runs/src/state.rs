//! The state of a run, computed from the entries of its stream.

use std::collections::BTreeMap;

use cku_base::{Digest, TenantPath, Timestamp};
use cku_gates::{Approval, RunSubmission, Step, Verdict, Vote};
use cku_skills::{FailureClass, Tried};

use crate::event::{
    Decided, Ended, Event, Failure, Healing, Label, Started, StepFinished, Strategy, Submitted, Undone,
    Waiting, WaitingFor,
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
    /// Done.
    Succeeded,
    /// Failed, and nobody has said what is done about it.
    Failed(Failure),
    /// Tried again, not before a time.
    Retrying(Option<Timestamp>),
    /// Failed, and a person must say what is done about it.
    Alerted(Failure),
    /// Failed, and left at that.
    GivenUp(Failure),
    /// What it did is taken back before it is tried again, not before a time, or before its run ends.
    ToUndo(Option<Timestamp>),
    /// Being undone; tried again after that, not before a time, where the run goes on.
    Undoing(Option<Timestamp>),
    /// Its undo failed, and a person must say what is done about it.
    UndoFailed(Failure),
    /// Its undo failed and was left at that.
    NotUndone(Failure),
    /// Left out.
    Skipped,
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
    /// How many of these tries nobody heard the end of, or were broken off because cku was asked to end.
    pub interrupted: u32,
    /// How often its effects were taken back, or a person let it begin anew: tries of one group share
    /// an idempotency key.
    pub group: u32,
    /// What it did or may have done, and what was not taken back since.
    pub effect: Option<Effect>,
}

/// What a step did or may have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// Its place in the order in which such things ended, over all steps of the run.
    pub place: u32,
    /// How the try ended that came last.
    pub tried: Tried,
}

impl StepState {
    /// Tries that count against the limits of the policy: an interruption is nobody's failure.
    pub fn counted(&self) -> u32 {
        self.attempts.saturating_sub(self.interrupted)
    }
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
    pub workspace: Option<Started>,
    /// Retries of all its steps so far.
    pub retries: u32,
    /// How many tries that had an effect, or may have had one, ended so far.
    pub effects: u32,
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
        let step =
            StepState { status: StepStatus::Pending, attempts: 0, interrupted: 0, group: 1, effect: None };
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
            effects: 0,
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
            Event::StepFinished(finished) => self.finish(finished),
            Event::StepSkipped(skipped) => self.set(&skipped.step, StepStatus::Skipped),
            Event::UndoStarted(undo) => {
                let not_before = match self.status_of(&undo.step) {
                    Some(StepStatus::ToUndo(not_before)) => *not_before,
                    _ => None,
                };
                self.set(&undo.step, StepStatus::Undoing(not_before));
            }
            Event::Undone(undone) => self.undone(undone),
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

    /// Where its steps work, and whether they are confined to it: as they began, or as it was submitted.
    pub fn place(&self) -> Started {
        let submitted =
            || Started { workspace: self.submitted.workspace.clone(), confined: self.submitted.confined };
        self.workspace.clone().unwrap_or_else(submitted)
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

    /// Whether a step did something, or may have, that can be undone.
    pub fn may_be_undone(&self, id: &str) -> bool {
        self.step(id).is_some_and(|s| s.reversible) && self.steps.get(id).is_some_and(|s| s.effect.is_some())
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

    fn finish(&mut self, finished: &StepFinished) {
        let id = &finished.step;
        let ran = finished.report.as_ref().is_none_or(|report| report.ran);
        // Denied by a policy, it never began.
        let began = self.status_of(id) == Some(&StepStatus::Running);
        if began && ran && self.step(id).is_some_and(|s| s.effects) {
            self.effects += 1;
            let tried = match &finished.failure {
                None => Tried::Succeeded,
                Some(failure) if failure.class == FailureClass::Interrupted => Tried::Interrupted,
                Some(_) => Tried::Failed,
            };
            let effect = Some(Effect { place: self.effects, tried });
            if let Some(step) = self.steps.get_mut(id) {
                step.effect = effect;
            }
        }
        let skill = self.step(id).map(|s| s.skill.clone()).unwrap_or_default();
        match &finished.failure {
            None => {
                self.set(id, StepStatus::Succeeded);
                self.failing.remove(&skill);
            }
            Some(failure) => {
                if failure.class != FailureClass::Interrupted {
                    *self.failing.entry(skill).or_default() += 1;
                } else if let Some(step) = self.steps.get_mut(id) {
                    step.interrupted += 1;
                }
                let status = if self.goes_on() { StepStatus::Failed } else { StepStatus::GivenUp };
                self.set(id, status(failure.clone()));
            }
        }
    }

    fn undone(&mut self, undone: &Undone) {
        let goes_on = self.goes_on();
        let ended = matches!(self.status, Status::Ended(_));
        let Some(step) = self.steps.get_mut(&undone.step) else { return };
        step.status = match (&undone.failure, &step.status) {
            (Some(failure), _) if ended => StepStatus::NotUndone(failure.clone()),
            (Some(failure), _) => StepStatus::UndoFailed(failure.clone()),
            (None, StepStatus::Undoing(not_before)) if goes_on => StepStatus::Retrying(*not_before),
            (None, _) => StepStatus::Undone,
        };
        if undone.failure.is_none() {
            step.group += 1;
            step.effect = None;
        }
    }

    /// Whether steps may still begin; else what fails is not tried again.
    fn goes_on(&self) -> bool {
        self.rolling_back.is_none() && self.aborted.is_none() && !matches!(self.status, Status::Ended(_))
    }

    fn heal(&mut self, healing: &Healing) {
        match self.status_of(&healing.step).cloned() {
            Some(StepStatus::Failed(failure) | StepStatus::Alerted(failure)) => {
                self.heal_try(healing, failure)
            }
            Some(StepStatus::UndoFailed(failure)) => self.heal_undo(healing, failure),
            _ => {}
        }
    }

    /// What is done about a try that failed.
    fn heal_try(&mut self, healing: &Healing, failure: Failure) {
        match healing.strategy {
            Strategy::Retry => {
                // Nobody's fault, and each takes somebody who resumes the run.
                self.retries += u32::from(failure.class != FailureClass::Interrupted);
                let not_before = healing.not_before;
                if healing.undo_first {
                    return self.set(&healing.step, StepStatus::ToUndo(not_before));
                }
                self.set(&healing.step, StepStatus::Retrying(not_before));
                if let (Some(step), Some(_)) = (self.steps.get_mut(&healing.step), &healing.by) {
                    step.group += 1;
                }
            }
            Strategy::Skip => self.set(&healing.step, StepStatus::Skipped),
            Strategy::Rollback => {
                self.set(&healing.step, StepStatus::GivenUp(failure.clone()));
                self.roll_back(format!("step `{}` failed: {}", healing.step, failure.message));
            }
            Strategy::Alert => self.set(&healing.step, StepStatus::Alerted(failure)),
            Strategy::Abort => {
                self.set(&healing.step, StepStatus::GivenUp(failure));
                self.abort(healing);
            }
        }
    }

    /// What is done about an undo that failed.
    fn heal_undo(&mut self, healing: &Healing, failure: Failure) {
        match healing.strategy {
            Strategy::Retry => self.set(&healing.step, StepStatus::ToUndo(healing.not_before)),
            Strategy::Skip if self.goes_on() => self.set(&healing.step, StepStatus::Skipped),
            Strategy::Skip => self.set(&healing.step, StepStatus::NotUndone(failure)),
            Strategy::Rollback => {
                // It is undone once more, with all that was done.
                self.set(&healing.step, StepStatus::ToUndo(None));
                self.roll_back(format!("the undo of step `{}` failed: {}", healing.step, failure.message));
            }
            Strategy::Alert => {}
            Strategy::Abort => {
                self.set(&healing.step, StepStatus::NotUndone(failure));
                self.abort(healing);
            }
        }
    }

    /// Undoes what was done; the first cause counts.
    fn roll_back(&mut self, cause: String) {
        self.rolling_back.get_or_insert(cause);
        // What failed beside it is not tried again. What waits for a person still does.
        for step in self.steps.values_mut() {
            if let StepStatus::Failed(failure) = &step.status {
                step.status = StepStatus::GivenUp(failure.clone());
            }
        }
    }

    /// Ends it as it is: nobody is asked about anything any more.
    fn abort(&mut self, healing: &Healing) {
        self.aborted = Some(healing.reason.clone());
        for step in self.steps.values_mut() {
            step.status = match &step.status {
                StepStatus::Failed(failure) | StepStatus::Alerted(failure) => {
                    StepStatus::GivenUp(failure.clone())
                }
                StepStatus::UndoFailed(failure) => StepStatus::NotUndone(failure.clone()),
                _ => continue,
            };
        }
    }
}
