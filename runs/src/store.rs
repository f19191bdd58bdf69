//! Runs in the journal: reading one from its stream, and adding to it.

use cku_authority::{StoreError, named, with_actor};
use cku_base::{Digest, Principal, TenantPath, Timestamp, canonical};
use cku_gates::{RunSubmission, Submitter, read_submission};
use cku_journal::{Command, Draft, Entry, Guard, Journal, RowGuard};
use serde_json::{Value, json};

use crate::{
    event::{Event, Submitted, subject},
    projection::{self, RunRow, TrialCounts},
    state::Run,
};

/// The tenant of a run and how it is listed.
pub fn find(journal: &Journal, run: &str) -> Result<(TenantPath, RunRow), StoreError> {
    for tenant in journal.tenants()? {
        if let Some(row) = journal.row(&tenant, projection::RUNS, run)? {
            return Ok((tenant, serde_json::from_value(row)?));
        }
    }
    Err(no_such(&crate::problem::shown(run)))
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

/// What came of trying a policy diff, in all tenants.
pub fn trial_counts(journal: &Journal, diff: &Digest) -> Result<TrialCounts, StoreError> {
    let mut all = TrialCounts::default();
    for tenant in journal.tenants()? {
        let Some(row) = journal.row(&tenant, projection::TRIALS, &diff.to_string())? else { continue };
        let counts: TrialCounts = serde_json::from_value(row)?;
        all.decisions += counts.decisions;
        all.flips += counts.flips;
        all.undecided += counts.undecided;
        all.ended += counts.ended;
        all.failed += counts.failed;
    }
    Ok(all)
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
    let submitted = first.ok_or_else(|| no_such(id))?;
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
    let added = add_if(journal, &run, actor, &events, (Vec::new(), blobs))?;
    Ok(after(run, &events, &added))
}

/// Adds events to a run if these rows are still so, too; the entries, of which [`after`] makes the run after it.
pub(crate) fn add_if(
    journal: &Journal,
    run: &Run,
    actor: &Actor<'_>,
    events: &[Event],
    (rows, blobs): (Vec<RowGuard>, Vec<(TenantPath, Vec<u8>)>),
) -> Result<Vec<Entry>, StoreError> {
    let subject = subject(&run.id);
    let actor = match actor {
        Actor::Cku => json!("cku"),
        Actor::Person(by) => named(by),
    };
    let mut drafts = Vec::with_capacity(events.len());
    for event in events {
        let body = with_actor(event.members()?, &actor, &subject);
        drafts.push(Draft { tenant: run.tenant.clone(), kind: event.kind(), body });
    }
    let guards = vec![Guard { tenant: run.tenant.clone(), subject, after: run.seq }];
    Ok(journal.append(Command { drafts, guards, rows, blobs, ..Command::default() })?.entries)
}

/// A run after events that were added to it.
pub(crate) fn after(run: Run, events: &[Event], added: &[Entry]) -> Run {
    let added = events.iter().zip(added);
    added.fold(run, |run, (event, entry)| run.apply(event, entry.header.seq, entry.header.time))
}

/// A name for a run: sortable by time, with 80 random bits.
pub fn run_id(time: Timestamp, random: [u8; 10]) -> String {
    let millis = u128::try_from(time.unix_micros() / 1_000).unwrap_or(0) & ((1 << 48) - 1);
    let random = random.iter().fold(0u128, |all, byte| (all << 8) | u128::from(*byte));
    named_by((millis << 80) | random)
}

/// A name for the run that somebody submits under a key of their own: the same key, the same run. Nobody else
/// comes to it, and it is not sortable by time.
///
/// `author` is who submits.
pub fn run_id_of_key(author: &Principal, tenant: &TenantPath, key: &str) -> Result<String, StoreError> {
    let digest = Digest::of_canonical(&(author, tenant, key))?;
    let bits = digest.as_bytes().iter().take(16).fold(0u128, |all, byte| (all << 8) | u128::from(*byte));
    Ok(named_by(bits))
}

fn named_by(bits: u128) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let digit = |at: u32| DIGITS.get((bits >> (5 * at)) as usize & 31).map_or('0', |d| char::from(*d));
    format!("run-{}", (0..26).rev().map(digit).collect::<String>())
}

fn no_such(run: &str) -> StoreError {
    StoreError::Unknown { what: format!("run `{run}`"), list: "cku runs list" }
}
