//! What the journal keeps at hand of its entries: who holds which role, what is switched off, where
//! each run stands. All of it can be computed again from the entries.

use cku_journal::{Entry, Kind, ProjectError, Projector, Rows};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    event::{Decided, Ended, Ending, Event, Label, Outcome, Submitted, Waiting, body},
    office::{BundleActivated, Genesis, KeyRevoked, KeyTrusted, KillSwitch, RoleChange},
};
use cku_base::Timestamp;
use cku_engine::access::RoleGrant;
use cku_gates::Verdict;

/// Roles: `ROLE PRINCIPAL HOME` -> [`RoleGrant`].
pub(crate) const GRANTS: &str = "grants";
/// One row, `set` -> [`KillSwitch`].
pub(crate) const KILL_SWITCH: &str = "killswitch";
/// Key id -> the trusted key; `revoked_at` is set in it once it is.
pub(crate) const KEYS: &str = "keys";
/// One row, `genesis` -> [`Genesis`].
pub(crate) const GENESIS: &str = "genesis";
/// One row, `active` -> [`BundleActivated`].
pub(crate) const BUNDLES: &str = "bundles";
/// Run id -> [`RunRow`].
pub(crate) const RUNS: &str = "runs";
/// Skill -> the first run of the tenant that used it.
pub(crate) const SKILLS: &str = "skills";
/// Day -> [`Outcomes`].
pub(crate) const OUTCOMES: &str = "outcomes";

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
        let unreadable = |e: crate::event::UnreadableEntry| ProjectError::new(e.to_string());
        match entry.kind() {
            Kind::Genesis => {
                let genesis: Genesis = body(entry).map_err(unreadable)?;
                for key in &genesis.keys {
                    put_key(rows, key)?;
                }
                rows.put(GENESIS, "genesis", to_value(&genesis)?)
            }
            Kind::RoleGranted => {
                let change: RoleChange = body(entry).map_err(unreadable)?;
                rows.put(GRANTS, &grant_key(&change.grant), to_value(&change.grant)?)
            }
            Kind::RoleRevoked => {
                let change: RoleChange = body(entry).map_err(unreadable)?;
                rows.remove(GRANTS, &grant_key(&change.grant))
            }
            Kind::KeyTrusted => {
                let trusted: KeyTrusted = body(entry).map_err(unreadable)?;
                // A key that was revoked must not be trusted again by being trusted anew.
                if rows.get(KEYS, &trusted.id)?.is_some() {
                    return Err(ProjectError::new(format!("the key {} is there already", trusted.id)));
                }
                put_key(rows, &trusted.key)
            }
            Kind::KeyRevoked => {
                let revoked: KeyRevoked = body(entry).map_err(unreadable)?;
                let Some(mut key) = rows.get(KEYS, &revoked.id)? else { return Ok(()) };
                if let Some(members) = key.as_object_mut() {
                    members.insert("revoked_at".to_owned(), json!(revoked.revoked_at));
                }
                rows.put(KEYS, &revoked.id, key)
            }
            Kind::KillSwitchSet => {
                let set: KillSwitch = body(entry).map_err(unreadable)?;
                rows.put(KILL_SWITCH, "set", to_value(&set)?)
            }
            Kind::BundleActivated => {
                let activated: BundleActivated = body(entry).map_err(unreadable)?;
                rows.put(BUNDLES, &activated.revision.to_string(), to_value(&activated)?)?;
                rows.put(BUNDLES, "active", to_value(&activated)?)
            }
            _ => match Event::of(entry).map_err(unreadable)? {
                Some(event) => project_run(entry, &event, rows),
                None => Ok(()),
            },
        }
    }

    fn authority(&self) -> &[&str] {
        &[GRANTS, KILL_SWITCH, KEYS, GENESIS, BUNDLES]
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
    let Some(row) = rows.get(RUNS, id)? else { return Ok(()) };
    let row: RunRow = serde_json::from_value(row).map_err(|e| ProjectError::new(e.to_string()))?;
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
    let day: String = at.to_string().chars().take(10).collect();
    let counted = rows.get(OUTCOMES, &day)?.map(serde_json::from_value::<Outcomes>).transpose();
    let mut counted = counted.map_err(|e| ProjectError::new(e.to_string()))?.unwrap_or_default();
    counted.ended += u64::from(ended);
    counted.failed += u64::from(failed);
    rows.put(OUTCOMES, &day, to_value(&counted)?)
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
    }
}

fn after(mut row: RunRow, event: &Event, time: Timestamp) -> RunRow {
    let mut stands = |status: &str, waiting: Option<Waiting>| {
        row.status = status.to_owned();
        row.waiting = waiting;
    };
    match event {
        Event::Decided(Decided { verdict: Verdict::Pass, .. }) | Event::Started(_) | Event::Resumed(_) => {
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

fn put_key(rows: &mut dyn Rows, key: &Value) -> Result<(), ProjectError> {
    let id = key.get("id").and_then(Value::as_str);
    let id = id.ok_or_else(|| ProjectError::new("a trusted key without an id".to_owned()))?;
    rows.put(KEYS, id, key.clone())
}

fn grant_key(grant: &RoleGrant) -> String {
    format!("{} {} {}", grant.role, grant.principal, grant.principal.tenant)
}

fn to_value(value: &impl Serialize) -> Result<Value, ProjectError> {
    serde_json::to_value(value).map_err(|e| ProjectError::new(e.to_string()))
}
