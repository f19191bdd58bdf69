//! What the journal keeps at hand of its entries: who holds which role, what is switched off, where
//! each run stands. All of it can be computed again from the entries.

use cku_authority::AuthorityRows;
use cku_journal::{Entry, ProjectError, Projector, Rows};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    event::{Decided, Ended, Ending, Event, Label, Outcome, Submitted, Waiting},
    exploration,
};
use cku_base::{Digest, Timestamp};
use cku_gates::Verdict;

/// Run id -> [`RunRow`].
pub(crate) const RUNS: &str = "runs";
/// Skill -> the first run of the tenant that used it.
pub(crate) const SKILLS: &str = "skills";
/// Day -> [`Outcomes`].
pub(crate) const OUTCOMES: &str = "outcomes";
/// Policy diff -> [`TrialCounts`].
pub(crate) const TRIALS: &str = "trials";

/// What came of trying a policy diff.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialCounts {
    /// Decisions beside which it was asked, or that it made.
    pub decisions: u64,
    /// Decisions that it would have made otherwise.
    pub flips: u64,
    /// Decisions that it could not have made.
    pub undecided: u64,
    /// Runs of its canary that were carried out.
    pub ended: u64,
    /// Of these, badly.
    pub failed: u64,
}

/// How the runs that ended on a day ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcomes {
    /// Runs that were carried out.
    pub(crate) ended: u64,
    /// Of these, badly.
    pub(crate) failed: u64,
}

/// A run as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    /// What it is for.
    pub intent: String,
    /// Its mode.
    pub mode: String,
    /// Who submitted it, in the text form.
    pub by: String,
    /// When.
    pub submitted_at: Timestamp,
    /// Where it stands.
    pub status: String,
    /// What it waits for.
    #[serde(default)]
    pub waiting: Option<Waiting>,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
    /// What became of the work.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// What was found out later.
    #[serde(default)]
    pub labels: Vec<Label>,
    /// The policy diff whose canary let it go ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Digest>,
}

/// Computes the rows of entries.
#[derive(Debug, Clone, Copy, Default)]
pub struct Projections;

impl Projector for Projections {
    fn project(&self, entry: &Entry, rows: &mut dyn Rows) -> Result<(), ProjectError> {
        // What was erased, or made by a later version, leaves its rows as they are.
        if entry.body.is_none() {
            return Ok(());
        }
        let unreadable = |e: cku_authority::UnreadableEntry| ProjectError::new(e.to_string());
        if entry.kind().is_authority() {
            return AuthorityRows.project(entry, rows);
        }
        match Event::of(entry).map_err(unreadable)? {
            Some(event) => project_run(entry, &event, rows),
            None => Ok(()),
        }
    }

    fn authority(&self) -> &[&str] {
        AuthorityRows.authority()
    }
}

fn project_run(entry: &Entry, event: &Event, rows: &mut dyn Rows) -> Result<(), ProjectError> {
    let Some(id) = entry.subject().and_then(|s| s.strip_prefix("run:")) else { return Ok(()) };
    if let Event::StepStarted(started) = event {
        return match rows.get(SKILLS, &started.skill)? {
            Some(_) => Ok(()),
            None => rows.put(SKILLS, &started.skill, json!(id)),
        };
    }
    if let Event::Submitted(submitted) = event {
        return rows.put(RUNS, id, to_value(&listed(submitted))?);
    }
    if let Event::Decided(decided) = event {
        count_decision(rows, decided)?;
    }
    let Some(row) = rows.get(RUNS, id)? else { return Ok(()) };
    let row: RunRow = serde_json::from_value(row).map_err(|e| ProjectError::new(e.to_string()))?;
    if let Event::Decided(decided) = event {
        exploration::project(rows, (id, &row), decided)?;
    }
    let next = after(row.clone(), event, entry.header.time);
    if next == row {
        return Ok(());
    }
    count(rows, &row, &next)?;
    rows.put(RUNS, id, to_value(&next)?)
}

/// Counts a run once when it was carried out, and once more when it turns out to have ended badly.
fn count(rows: &mut dyn Rows, before: &RunRow, after: &RunRow) -> Result<(), ProjectError> {
    // What turned out badly later was carried out, whatever was known of it when it ended.
    let counted = |row: &RunRow| row.outcome.is_some() || row.failed();
    let ended = !counted(before) && counted(after);
    let failed = !before.failed() && after.failed();
    let Some(at) = after.ended_at.filter(|_| ended || failed) else { return Ok(()) };
    if let Some(diff) = after.canary {
        count_trial(rows, &diff, |counts| {
            counts.ended += u64::from(ended);
            counts.failed += u64::from(failed);
        })?;
    }
    let day: String = at.to_string().chars().take(10).collect();
    let counted = rows.get(OUTCOMES, &day)?.map(serde_json::from_value::<Outcomes>).transpose();
    let mut counted = counted.map_err(|e| ProjectError::new(e.to_string()))?.unwrap_or_default();
    counted.ended += u64::from(ended);
    counted.failed += u64::from(failed);
    rows.put(OUTCOMES, &day, to_value(&counted)?)
}

/// Counts a decision for what is tried.
fn count_decision(rows: &mut dyn Rows, decided: &Decided) -> Result<(), ProjectError> {
    if let Some(diff) = &decided.canary {
        count_trial(rows, diff, |counts| counts.decisions += 1)?;
    }
    let Some(shadow) = &decided.shadow else { return Ok(()) };
    count_trial(rows, &shadow.diff, |counts| {
        counts.decisions += 1;
        counts.flips += u64::from(shadow.verdict.is_some_and(|verdict| verdict != decided.verdict));
        counts.undecided += u64::from(shadow.verdict.is_none());
    })
}

fn count_trial(
    rows: &mut dyn Rows,
    diff: &Digest,
    count: impl FnOnce(&mut TrialCounts),
) -> Result<(), ProjectError> {
    let diff = diff.to_string();
    let counted = rows.get(TRIALS, &diff)?.map(serde_json::from_value::<TrialCounts>).transpose();
    let mut counted = counted.map_err(|e| ProjectError::new(e.to_string()))?.unwrap_or_default();
    count(&mut counted);
    rows.put(TRIALS, &diff, to_value(&counted)?)
}

fn listed(submitted: &Submitted) -> RunRow {
    RunRow {
        intent: submitted.intent.clone(),
        mode: submitted.mode.clone(),
        by: submitted.principal.principal.to_string(),
        submitted_at: submitted.submitted_at,
        status: "planned".to_owned(),
        waiting: None,
        ended_at: None,
        outcome: None,
        labels: Vec::new(),
        canary: None,
    }
}

fn after(mut row: RunRow, event: &Event, time: Timestamp) -> RunRow {
    let mut stands = |status: &str, waiting: Option<Waiting>| {
        row.status = status.to_owned();
        row.waiting = waiting;
    };
    match event {
        Event::Decided(Decided { verdict: Verdict::Pass, canary, .. }) => {
            stands("running", None);
            row.canary = *canary;
        }
        Event::Started(_) | Event::Resumed(_) => {
            stands("running", None);
        }
        Event::Waiting(waiting) => stands("waiting", Some(waiting.clone())),
        Event::Ended(Ended { status, outcome, .. }) => {
            stands(status.as_str(), None);
            row.outcome = *outcome;
            row.ended_at = Some(time);
        }
        Event::Labelled(label) => row.labels.push(label.clone()),
        _ => {}
    }
    row
}

impl RunRow {
    /// Whether it ended so that it counts against the error budget: badly, or with an incident later.
    pub fn failed(&self) -> bool {
        self.outcome == Some(Outcome::Failure)
            || self.status == Ending::RolledBack.as_str()
            || self.labels.iter().any(Label::counts)
    }
}

fn to_value(value: &impl Serialize) -> Result<Value, ProjectError> {
    serde_json::to_value(value).map_err(|e| ProjectError::new(e.to_string()))
}
