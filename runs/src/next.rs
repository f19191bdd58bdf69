//! What is to be done next with a run: the decisions of the executor, without its effects.

use cku_base::Timestamp;
use cku_gates::Step;
use cku_skills::{FailureClass, Tried};

use crate::{
    event::{Ended, Ending, Failure, Outcome, StepFinished, Strategy, WaitingFor},
    state::{Run, Status, StepState, StepStatus},
};

/// Steps that run side by side.
pub const SIDE_BY_SIDE: usize = 4;

/// Retries that one run may use up.
pub const RETRIES: u32 = 20;

/// Failures of a skill in a row after which its circuit is open.
pub const CIRCUIT: u32 = 5;

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Start these steps.
    Start(Vec<String>),
    /// Leave this step out, for this reason.
    Skip(String, String),
    /// Ask what is done about the failure of this step.
    Heal(String, Failure),
    /// Undo this step.
    Undo(String),
    /// Wait for the steps that run, or until a retry is due.
    Wait(Option<Timestamp>),
    /// Wait for a person, who must say what is done about a failure.
    Alert(String, Failure),
    /// End.
    End(Ending, String),
    /// Nothing: it does not run.
    Nothing,
}

impl Run {
    /// What is to be done next at this time.
    pub fn next(&self, now: Timestamp) -> Next {
        if self.status != Status::Running {
            return Next::Nothing;
        }
        let running = self.count(|s| matches!(s, StepStatus::Running | StepStatus::Undoing(_)));
        let failed = self.find(|s| match s {
            StepStatus::Failed(failure) => Some(failure.clone()),
            _ => None,
        });
        if let Some((step, failure)) = failed {
            return Next::Heal(step, failure);
        }
        let alerted = self.find(|s| match s {
            StepStatus::Alerted(failure) | StepStatus::UndoFailed(failure) => Some(failure.clone()),
            _ => None,
        });
        if let Some((step, failure)) = alerted {
            return if running > 0 { Next::Wait(None) } else { Next::Alert(step, failure) };
        }
        if self.aborted.is_some() || self.rolling_back.is_some() {
            return if running > 0 { Next::Wait(None) } else { self.next_undo() };
        }
        let first = self.plan_steps().find(|s| matches!(self.status_of(&s.id), Some(StepStatus::ToUndo(_))));
        if let Some(step) = first {
            return if running < SIDE_BY_SIDE { Next::Undo(step.id.clone()) } else { Next::Wait(None) };
        }
        if let Some((step, reason)) = self.unreachable() {
            return Next::Skip(step, reason);
        }
        let room = SIDE_BY_SIDE.saturating_sub(running);
        let ready: Vec<String> = self.ready(now).take(room).map(|s| s.id.clone()).collect();
        if !ready.is_empty() {
            return Next::Start(ready);
        }
        let due = self.steps.values().filter_map(|s| match s.status {
            StepStatus::Retrying(at) => at,
            _ => None,
        });
        match due.min() {
            due @ Some(_) if running < SIDE_BY_SIDE => Next::Wait(due),
            _ if running > 0 => Next::Wait(None),
            _ => self.ending(),
        }
    }

    /// What ends the steps that ran when cku went away: nobody heard how they ended.
    pub fn interrupted(&self) -> Vec<StepFinished> {
        let running = self.steps.iter().filter(|(_, s)| s.status == StepStatus::Running);
        running
            .map(|(id, step)| StepFinished {
                step: id.clone(),
                attempt: step.attempts,
                failure: Some(Failure {
                    class: FailureClass::Interrupted,
                    message: "cku went away while the step ran; what it did is unknown".to_owned(),
                    exit_code: None,
                    signal: None,
                }),
                report: None,
            })
            .collect()
    }

    /// The entry that ends the run now.
    pub fn end(&self, status: Ending, cause: String, now: Timestamp) -> Ended {
        let since = |from: Timestamp| now.micros_since(from);
        let waited = self.waited.0 + self.waited.1.map_or(0, since);
        Ended {
            status,
            outcome: self.outcome(status),
            cause,
            attempts: self.attempts(),
            took_ms: since(self.submitted.submitted_at) / 1_000,
            waited_ms: waited / 1_000,
        }
    }

    /// What the learner and the error budget count; none where nothing was carried out.
    fn outcome(&self, status: Ending) -> Option<Outcome> {
        match status {
            Ending::Succeeded => Some(Outcome::Success),
            Ending::Partial => Some(Outcome::Partial),
            Ending::Failed | Ending::RolledBack => Some(Outcome::Failure),
            // What was begun counts, whoever ended it.
            Ending::Cancelled | Ending::Rejected => {
                let mut begun = self
                    .plan_steps()
                    .filter(|step| step.effects)
                    .filter_map(|step| self.steps.get(&step.id).filter(|state| state.attempts > 0));
                let first = begun.next()?;
                let done = |state: &StepState| state.status == StepStatus::Succeeded;
                let any = done(first) || begun.any(done);
                Some(if any { Outcome::Partial } else { Outcome::Failure })
            }
        }
    }

    /// What may be said about a step that waits for a person; nothing where it waits for nobody.
    pub fn choices(&self, step: &str) -> &'static [Strategy] {
        use Strategy::{Abort, Retry, Rollback, Skip};
        match (self.status_of(step), &self.rolling_back) {
            (Some(StepStatus::Alerted(_) | StepStatus::UndoFailed(_)), None) => {
                &[Retry, Skip, Rollback, Abort]
            }
            (Some(StepStatus::Alerted(_)), Some(_)) => &[Rollback, Abort],
            (Some(StepStatus::UndoFailed(_)), Some(_)) => &[Retry, Skip, Abort],
            _ => &[],
        }
    }

    /// What a person is told who must say what is done about the failure of a step.
    pub fn alert(&self, step: &str, failure: &Failure) -> String {
        let what = match self.status_of(step) {
            Some(StepStatus::UndoFailed(_)) => "the undo of step",
            _ => "step",
        };
        let choices = self.choices(step);
        let rolling_back = match choices.contains(&Strategy::Retry) {
            true => "",
            false => "; what was done is about to be undone",
        };
        let choices = choices.iter().map(|c| c.as_str()).collect::<Vec<_>>().join("|");
        format!(
            "{what} `{step}` failed: {}{rolling_back}; say what is done with `cku heal {} {step} {choices}`",
            failure.message, self.id
        )
    }

    /// Whether the failures of a skill have opened its circuit.
    pub fn circuit_open(&self, skill: &str) -> bool {
        self.failing.get(skill).is_some_and(|failures| *failures >= CIRCUIT)
    }

    /// What the run waits for, if it waits.
    pub fn waiting_for(&self) -> Option<WaitingFor> {
        match self.status {
            Status::Waiting(what) => Some(what),
            _ => None,
        }
    }

    fn ready(&self, now: Timestamp) -> impl Iterator<Item = &Step> {
        self.plan_steps().filter(move |step| {
            let due = match self.status_of(&step.id) {
                Some(StepStatus::Pending) => true,
                Some(StepStatus::Retrying(at)) => at.is_none_or(|at| at <= now),
                _ => false,
            };
            due && step.needs.iter().all(|n| matches!(self.status_of(n), Some(StepStatus::Succeeded)))
        })
    }

    /// A step that needs one that was left out.
    fn unreachable(&self) -> Option<(String, String)> {
        self.plan_steps().find_map(|step| {
            let pending = self.status_of(&step.id) == Some(&StepStatus::Pending);
            let skipped = step.needs.iter().find(|n| self.status_of(n) == Some(&StepStatus::Skipped));
            let skipped = skipped.filter(|_| pending)?;
            Some((step.id.clone(), format!("it needs `{skipped}`, which was left out")))
        })
    }

    /// The step that did something last and can be undone, or the end.
    fn next_undo(&self) -> Next {
        let undoable = self.plan_steps().filter(|s| s.effects && s.reversible);
        let last = undoable.filter_map(|step| {
            let state = self.steps.get(&step.id)?;
            let given_up = matches!(state.status, StepStatus::NotUndone(_));
            state.effect.filter(|_| !given_up).map(|effect| (effect.place, &step.id))
        });
        match (&self.aborted, last.max()) {
            (None, Some((_, step))) => Next::Undo(step.clone()),
            _ => self.ending(),
        }
    }

    fn ending(&self) -> Next {
        let done = self.named(|_, state| state.effect.is_some_and(|e| e.tried == Tried::Succeeded));
        let begun = self.named(|_, state| state.effect.is_some_and(|e| e.tried != Tried::Succeeded));
        let said = |what: &str, names: &str| match names {
            "" => String::new(),
            names => format!("; {what} and not undone: {names}"),
        };
        let begun_stays = said("begun", &begun);
        let stays = said("done", &done) + &begun_stays;
        if let Some(reason) = &self.aborted {
            return Next::End(Ending::Cancelled, format!("{reason}{stays}"));
        }
        if let Some(cause) = &self.rolling_back {
            let ending = if stays.is_empty() { Ending::RolledBack } else { Ending::Failed };
            return Next::End(ending, format!("{cause}{stays}"));
        }
        let skipped = self.named(|_, state| state.status == StepStatus::Skipped);
        let open =
            self.named(|_, state| !matches!(state.status, StepStatus::Succeeded | StepStatus::Skipped));
        match (open.is_empty(), skipped.is_empty()) {
            (true, true) => Next::End(Ending::Succeeded, "all steps succeeded".to_owned()),
            (true, false) => Next::End(Ending::Partial, format!("left out: {skipped}{begun_stays}")),
            // Graphs have no cycles, so something can always be begun; if not, nothing succeeded by that.
            (false, _) => Next::End(Ending::Failed, format!("never begun: {open}{stays}")),
        }
    }

    /// The steps of which this holds, as a text.
    fn named(&self, holds: fn(&Step, &StepState) -> bool) -> String {
        let named = self.plan_steps().filter(|s| self.steps.get(&s.id).is_some_and(|state| holds(s, state)));
        named.map(|s| format!("`{}`", s.id)).collect::<Vec<_>>().join(", ")
    }

    fn count(&self, of: fn(&StepStatus) -> bool) -> usize {
        self.steps.values().filter(|s| of(&s.status)).count()
    }

    fn find(&self, of: fn(&StepStatus) -> Option<Failure>) -> Option<(String, Failure)> {
        self.plan_steps().find_map(|step| Some((step.id.clone(), self.status_of(&step.id).and_then(of)?)))
    }
}
