//! Runs in the journal: reading one from its stream, and adding to it.

use cku_base::{Digest, TenantPath, Timestamp, canonical};
use cku_gates::{RunSubmission, Submitter, read_submission};
use cku_journal::{AppendError, Command, Draft, Guard, Journal, Kind, ReadError};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    event::{Event, Submitted, UnreadableEntry, subject},
    projection::{self, RunRow},
    state::Run,
};

/// Why the journal did not give or take something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It did not take an entry.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// An entry does not hold what its kind promises.
    #[error(transparent)]
    Entry(#[from] UnreadableEntry),
    /// There is no such run.
    #[error("there is no run `{0}` in this journal; `cku runs list` shows what there is")]
    NoSuchRun(String),
    /// Something that the journal should hold is not there.
    #[error("the journal holds no {what}; run `cku journal verify`")]
    Missing {
        /// What.
        what: String,
    },
    /// Something could not be written as JSON.
    #[error("it has no JSON form: {0}")]
    Json(String),
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error.to_string())
    }
}

impl From<canonical::CanonicalError> for StoreError {
    fn from(error: canonical::CanonicalError) -> Self {
        Self::Json(error.to_string())
    }
}

impl StoreError {
    /// Whether somebody else added to the run meanwhile: read it again and decide anew.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Append(AppendError::Conflict { .. }))
    }
}

/// The tenant of a run and how it is listed.
pub fn find(journal: &Journal, run: &str) -> Result<(TenantPath, RunRow), StoreError> {
    for tenant in journal.tenants()? {
        if let Some(row) = journal.row(&tenant, projection::RUNS, run)? {
            return Ok((tenant, serde_json::from_value(row)?));
        }
    }
    Err(StoreError::NoSuchRun(crate::problem::shown(run)))
}

/// Where a run stands, as it is listed.
pub(crate) fn status_row(
    journal: &Journal,
    tenant: &TenantPath,
    id: &str,
) -> Result<Option<String>, StoreError> {
    let row = journal.row(tenant, projection::RUNS, id)?;
    Ok(row.and_then(|row| row.get("status").and_then(Value::as_str).map(str::to_owned)))
}

/// All runs of a tenant and those below it, by id, which is by time.
pub fn list(journal: &Journal, tenant: &TenantPath) -> Result<Vec<(TenantPath, String, RunRow)>, StoreError> {
    let mut list = Vec::new();
    for at in journal.tenants()?.into_iter().filter(|at| tenant.contains(at)) {
        for (id, row) in journal.rows(&at, projection::RUNS)? {
            list.push((at.clone(), id, serde_json::from_value(row)?));
        }
    }
    list.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(list)
}

/// Reads a run from its stream.
pub fn load(journal: &Journal, tenant: &TenantPath, id: &str) -> Result<Run, StoreError> {
    let entries = journal.stream(tenant, &subject(id))?;
    let mut events = Vec::with_capacity(entries.len());
    for entry in &entries {
        events.push((Event::of(entry)?, entry.header.seq, entry.header.time));
    }
    let first = events.iter().find_map(|(event, _, _)| match event {
        Some(Event::Submitted(submitted)) => Some(submitted.clone()),
        _ => None,
    });
    let submitted = first.ok_or_else(|| StoreError::NoSuchRun(id.to_owned()))?;
    let submission = submission(journal, tenant, submitted.submission)?;
    let run = Run::new(id.to_owned(), tenant.clone(), submitted, submission);
    Ok(events.iter().fold(run, |run, (event, seq, time)| match event {
        Some(event) => run.apply(event, *seq, *time),
        None => Run { seq: *seq, ..run },
    }))
}

fn submission(journal: &Journal, tenant: &TenantPath, digest: Digest) -> Result<RunSubmission, StoreError> {
    let bytes = journal.blob(tenant, &digest)?;
    let missing = || StoreError::Missing { what: format!("submission {digest}") };
    let document: Value = serde_json::from_slice(&bytes.ok_or_else(missing)?)?;
    let (submission, _) = read_submission(&document).map_err(|e| StoreError::Json(e.to_string()))?;
    Ok(submission)
}

/// Puts a run that was submitted into the journal, with what happened to it at once.
pub(crate) fn begin(
    journal: &Journal,
    (tenant, id): (&TenantPath, &str),
    submitted: Submitted,
    submission: RunSubmission,
) -> Result<Run, StoreError> {
    let by = submitted.principal.clone();
    let blob = (tenant.clone(), canonical::to_vec(&submission)?);
    let run = Run::new(id.to_owned(), tenant.clone(), submitted.clone(), submission);
    add(journal, run, &Actor::Person(&by), vec![Event::Submitted(submitted)], vec![blob])
}

/// Who adds to a run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Actor<'a> {
    /// cku itself.
    Cku,
    /// A person, a machine or an agent.
    Person(&'a Submitter),
}

/// Adds events to a run, all or none, durable before this returns; somebody else who added to it
/// meanwhile is a conflict.
pub(crate) fn add(
    journal: &Journal,
    run: Run,
    actor: &Actor<'_>,
    events: Vec<Event>,
    blobs: Vec<(TenantPath, Vec<u8>)>,
) -> Result<Run, StoreError> {
    let subject = subject(&run.id);
    let actor = match actor {
        Actor::Cku => json!("cku"),
        Actor::Person(by) => named(by),
    };
    let mut drafts = Vec::with_capacity(events.len());
    for event in &events {
        let body = with_actor(event.members()?, &actor, &subject);
        drafts.push(Draft { tenant: run.tenant.clone(), kind: event.kind(), body });
    }
    let guard = Some(Guard { tenant: run.tenant.clone(), subject, after: run.seq });
    let appended = journal.append(Command { drafts, key: None, guard, blobs })?;
    Ok(events
        .iter()
        .zip(&appended.entries)
        .fold(run, |run, (event, entry)| run.apply(event, entry.header.seq, entry.header.time)))
}

/// The body of an entry.
pub(crate) fn with_actor(
    mut members: Map<String, Value>,
    actor: &Value,
    subject: &str,
) -> Map<String, Value> {
    members.insert("actor".to_owned(), actor.clone());
    members.insert("subject".to_owned(), Value::from(subject));
    members
}

/// Adds one entry that belongs to no run.
pub(crate) fn note(
    journal: &Journal,
    (tenant, kind, subject): (&TenantPath, Kind, &str),
    by: &Submitter,
    body: &impl serde::Serialize,
    blobs: Vec<(TenantPath, Vec<u8>)>,
) -> Result<(), StoreError> {
    let Value::Object(members) = serde_json::to_value(body)? else {
        return Err(StoreError::Json("not an object".to_owned()));
    };
    let body = with_actor(members, &named(by), subject);
    let drafts = vec![Draft { tenant: tenant.clone(), kind, body }];
    journal.append(Command { drafts, key: None, guard: None, blobs })?;
    Ok(())
}

/// A name for a run: sortable by time, with 80 random bits.
pub fn run_id(time: Timestamp, random: [u8; 10]) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let millis = u128::try_from(time.unix_micros() / 1_000).unwrap_or(0) & ((1 << 48) - 1);
    let random = random.iter().fold(0u128, |all, byte| (all << 8) | u128::from(*byte));
    let bits = (millis << 80) | random;
    let digit = |at: u32| DIGITS.get((bits >> (5 * at)) as usize & 31).map_or('0', |d| char::from(*d));
    format!("run-{}", (0..26).rev().map(digit).collect::<String>())
}

/// An actor, as entries name it.
fn named(by: &Submitter) -> Value {
    // A principal always has a JSON form.
    serde_json::to_value(by).unwrap_or(Value::Null)
}

/// An entry to be that belongs to no run.
pub(crate) fn draft(
    (tenant, kind, subject): (&TenantPath, Kind, &str),
    by: &Submitter,
    body: &impl Serialize,
) -> Result<Draft, StoreError> {
    let Value::Object(members) = serde_json::to_value(body)? else {
        return Err(StoreError::Json("not an object".to_owned()));
    };
    Ok(Draft { tenant: tenant.clone(), kind, body: with_actor(members, &named(by), subject) })
}

/// The place of the last entry about a subject; 0 where there is none.
pub(crate) fn last(journal: &Journal, tenant: &TenantPath, subject: &str) -> Result<u64, StoreError> {
    Ok(journal.stream(tenant, subject)?.last().map_or(0, |entry| entry.header.seq))
}

/// Adds one entry to a stream, unless somebody else added to it after `after`.
pub(crate) fn note_after(
    journal: &Journal,
    (tenant, kind, subject): (&TenantPath, Kind, &str),
    by: &Submitter,
    body: &impl Serialize,
    after: u64,
) -> Result<(), StoreError> {
    let drafts = vec![draft((tenant, kind, subject), by, body)?];
    let guard = Some(Guard { tenant: tenant.clone(), subject: subject.to_owned(), after });
    journal.append(Command { drafts, guard, ..Command::default() })?;
    Ok(())
}
