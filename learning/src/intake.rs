//! Runs as the learner sees them: decided, begun, ended, and final for the detectors after a while.
//!
//! A run counts once, when the time in which its outcome may still be corrected is over: the *maturity* that
//! the bundle declares, from when the gates let it go ahead, told by the times of entries. It counts whatever
//! becomes of it then, also if nobody begins it or somebody cancels it: else whoever begins runs would choose
//! among them. What is not known by then
//! counts as a success for tightening and as a failure for loosening, both of which err toward no proposal.
//! A label that comes later changes what is reported, and no detector that has moved on.

use std::collections::{BTreeMap, BTreeSet};

use cku_base::{Digest, Timestamp};
use cku_gates::Verdict;
use cku_learner::{
    Advisory, Band, Certifying, Cut, Event as ScopeEvent, Loss, Matured, Outcome, Propensity, Route, Source,
};
use cku_runs::{Decided, Ended, Ending, Event, Label};
use serde::{Deserialize, Serialize};

/// What could not be taken in, and what was late; told, and never passed over in silence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Runs whose outcome is final.
    pub matured: u64,
    /// Of these, runs of which nothing was known by then.
    pub unknown: u64,
    /// Labels and ends that came after that.
    pub late: u64,
    /// Ends of runs that nobody submitted in the chain as far as it can be read, and what was said twice: the first
    /// word counts.
    pub stray: u64,
    /// Entries whose body was erased or cannot be read.
    pub unreadable: u64,
    /// Outcomes that were left out, since what their fact means had changed meanwhile.
    pub redefined: u64,
}

/// A fact of a run, as a threshold saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) band: Band,
    pub(crate) cut: Cut,
    pub(crate) definition: Digest,
    /// A canary saw it: that is no word of the threshold that is active.
    pub(crate) trial: bool,
    pub(crate) maturity_seconds: u64,
    pub(crate) partial: Loss,
    /// How the run came to go ahead, if the decision let it.
    pub(crate) route: Route,
}

/// A run that is not final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    mode: String,
    /// Who submitted it, in the text form.
    source: String,
    /// What the gates said last, and what of it thresholds saw, by `gate.name`.
    seen: BTreeMap<String, Seen>,
    /// Whether they let it go ahead.
    goes: bool,
    ended: bool,
    /// How, where that is known.
    outcome: Option<Outcome>,
    /// What was found out said that it was a failure.
    refuted: bool,
    /// Thresholds for which it is not final yet.
    waiting: u32,
}

/// What happened in a scope.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Happened {
    pub(crate) mode: String,
    pub(crate) threshold: String,
    /// Who submitted the run.
    pub(crate) source: String,
    pub(crate) definition: Digest,
    pub(crate) event: ScopeEvent,
}

/// Runs that are not final, of one tenant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Intake {
    runs: BTreeMap<String, Known>,
    /// When which run is final for which threshold: the time, the entry that began it, the run, the threshold.
    due: BTreeSet<(Timestamp, u64, String, String)>,
    pub(crate) counts: Counts,
}

impl Intake {
    /// The mode of a run that is not final.
    pub(crate) fn mode_of(&self, id: &str) -> Option<&str> {
        self.runs.get(id).map(|run| run.mode.as_str())
    }

    /// What became final before a time, in its order.
    pub(crate) fn mature(&mut self, now: Timestamp) -> Vec<Happened> {
        let mut happened = Vec::new();
        while self.due.first().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, _, id, threshold)) = self.due.pop_first() else { break };
            let Some(run) = self.runs.get_mut(&id) else { continue };
            happened.extend(run.matured(&threshold));
            run.waiting = run.waiting.saturating_sub(1);
            if run.waiting == 0 {
                self.counts.matured += 1;
                self.counts.unknown += u64::from(run.outcome.is_none() && !run.refuted);
                self.runs.remove(&id);
            }
        }
        happened
    }

    /// Takes in an entry of a run. `seen` says what thresholds of a bundle in a mode saw of facts.
    pub(crate) fn take(
        &mut self,
        (id, seq, time): (&str, u64, Timestamp),
        event: &Event,
        seen: impl FnOnce(&Decided) -> BTreeMap<String, Seen>,
    ) -> Vec<Happened> {
        if let Event::Submitted(submitted) = event {
            if self.runs.contains_key(id) {
                self.counts.stray += 1;
                return Vec::new();
            }
            let run = Known {
                mode: submitted.mode.clone(),
                source: submitted.principal.principal.to_string(),
                seen: BTreeMap::new(),
                goes: false,
                ended: false,
                outcome: None,
                refuted: false,
                waiting: 0,
            };
            self.runs.insert(id.to_owned(), run);
            return Vec::new();
        }
        let Some(run) = self.runs.get_mut(id) else {
            match event {
                // A run that was final, or one that is not in this chain: no detector hears of it.
                Event::Labelled(_) => self.counts.late += 1,
                Event::Ended(_) => self.counts.stray += 1,
                _ => {}
            }
            return Vec::new();
        };
        match event {
            Event::Decided(decided) if !run.goes => {
                run.goes = decided.verdict == Verdict::Pass;
                run.seen = seen(decided);
                if !run.goes {
                    return Vec::new();
                }
                for (threshold, seen) in &run.seen {
                    let horizon = std::time::Duration::from_secs(seen.maturity_seconds);
                    let at = time.after(horizon).unwrap_or(time);
                    self.due.insert((at, seq, id.to_owned(), threshold.clone()));
                    run.waiting += 1;
                }
                if run.waiting == 0 {
                    self.runs.remove(id);
                }
            }
            // The first end is the one that counts.
            Event::Ended(_) if run.ended => self.counts.stray += 1,
            Event::Ended(ended) if run.goes => {
                run.ended = true;
                run.outcome = outcome(ended);
            }
            Event::Ended(_) => {
                let held = self.runs.remove(id);
                return held.map(|run| run.held()).unwrap_or_default();
            }
            Event::Labelled(label) => run.refuted |= Label::counts(label),
            _ => {}
        }
        Vec::new()
    }
}

impl Known {
    /// What each threshold sees of a run that never began.
    fn held(self) -> Vec<Happened> {
        let Self { mode, source, seen, .. } = self;
        let of = |(threshold, seen): (String, Seen)| Happened {
            mode: mode.clone(),
            threshold,
            source: source.clone(),
            definition: seen.definition,
            event: ScopeEvent::Held(seen.band),
        };
        seen.into_iter().filter(|(_, seen)| !seen.trial).map(of).collect()
    }

    fn matured(&self, threshold: &str) -> Option<Happened> {
        let seen = self.seen.get(threshold)?;
        let known = match (self.refuted, self.outcome) {
            (true, _) => Some(Loss::FULL),
            (false, outcome) => outcome.map(|outcome| outcome.loss(seen.partial)),
        };
        let matured = Matured {
            band: seen.band,
            cut: seen.cut,
            route: seen.route,
            // Numbered by the scope.
            source: Source(0),
            tighten: known.unwrap_or(Loss::NONE),
            loosen: known.unwrap_or(Loss::FULL),
        };
        Some(Happened {
            mode: self.mode.clone(),
            threshold: threshold.to_owned(),
            source: self.source.clone(),
            definition: seen.definition,
            event: if seen.trial { ScopeEvent::Tried(matured) } else { ScopeEvent::Matured(matured) },
        })
    }
}

/// How a run that was carried out ended; none where it did not come to anything that can be told.
pub(crate) fn outcome(ended: &Ended) -> Option<Outcome> {
    match (ended.outcome, ended.status) {
        (_, Ending::RolledBack) | (Some(cku_runs::Outcome::Failure), _) => Some(Outcome::Failure),
        (Some(cku_runs::Outcome::Success), _) => Some(Outcome::Success),
        (Some(cku_runs::Outcome::Partial), _) => Some(Outcome::Partial),
        (None, _) => None,
    }
}

/// How a run comes to go ahead where a decision lets it, for a threshold by its `gate.name`.
///
/// A run that passed certifies only if exploration would have been open to it; one that was explored only the
/// first time that its draw was seen. Whatever else did not pass the threshold was let through by somebody.
pub(crate) fn route(decided: &Decided, threshold: &str, passes: bool) -> Route {
    if passes {
        let open = decided.explorable.as_ref().and_then(|open| open.get(threshold));
        return match open.and_then(|open| Propensity::try_from(open.get()).ok()) {
            Some(propensity) => Route::Certifying(Certifying::Passed { propensity }),
            None => Route::PassedUnexplorable,
        };
    }
    let explored = decided.exploration.as_ref().filter(|opened| {
        opened.explored && opened.first && format!("{}.{}", opened.gate, opened.threshold) == threshold
    });
    match explored.and_then(|opened| Propensity::try_from(opened.propensity.get()).ok()) {
        Some(propensity) => Route::Certifying(Certifying::Explored { propensity }),
        None => Route::Advisory(Advisory),
    }
}
