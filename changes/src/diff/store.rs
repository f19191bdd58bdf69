//! Policy diffs in the journal: reading one from its stream, and adding to it.

use std::{collections::BTreeMap, sync::Arc};

use cku_authority::{StoreError, named, with_actor};
use cku_base::{Digest, TenantPath};
use cku_engine::{Bundle, Sources};
use cku_gates::Submitter;
use cku_journal::{Command, Draft, Guard, Journal};
use serde_json::Value;

use super::{
    event::Event,
    found::Evidence,
    rows::{DIFFS, DiffRow},
    state::Diff,
};

/// The stream of a diff.
pub fn subject(id: &Digest) -> String {
    format!("diff:{id}")
}

fn no_such(name: &str) -> StoreError {
    StoreError::Unknown { what: format!("policy diff `{name}`"), list: "cku diff list" }
}

/// The diff whose digest begins like this, with or without `sha256:`.
pub fn find(journal: &Journal, name: &str) -> Result<Digest, StoreError> {
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    let begins = |id: &String| !digits.is_empty() && id.trim_start_matches("sha256:").starts_with(digits);
    let shown = name.chars().take(80).flat_map(char::escape_debug).collect::<String>();
    let mut found = list(journal)?.into_iter().filter(|(id, _)| begins(&id.to_string()));
    match (found.next(), found.next()) {
        (Some((id, _)), None) => Ok(id),
        (None, _) => Err(no_such(&shown)),
        (Some(_), Some(_)) => Err(StoreError::Unknown {
            what: format!("one policy diff that begins with `{shown}`, but several"),
            list: "cku diff list",
        }),
    }
}

/// All diffs, the oldest first.
pub fn list(journal: &Journal) -> Result<Vec<(Digest, DiffRow)>, StoreError> {
    let mut all = Vec::new();
    for (id, row) in journal.rows(&TenantPath::root(), DIFFS)? {
        let id = id.parse().map_err(|_| StoreError::Json(format!("`{id}` is no digest")))?;
        all.push((id, serde_json::from_value::<DiffRow>(row)?));
    }
    all.sort_by_key(|(id, row)| (row.proposed_at, *id));
    Ok(all)
}

/// Reads a diff from its stream.
pub fn load(journal: &Journal, id: &Digest) -> Result<Diff, StoreError> {
    let entries = journal.stream(&TenantPath::root(), &subject(id))?;
    let mut diff: Option<Diff> = None;
    for entry in &entries {
        let (event, seq) = (Event::of(entry)?, entry.header.seq);
        diff = match (diff, event) {
            (None, Some(Event::Proposed(proposed))) => Some(Diff::new(*id, *proposed, seq)),
            (Some(diff), Some(event)) => Some(diff.apply(&event, seq)),
            (diff, None) => diff.map(|diff| Diff { seq, ..diff }),
            (None, Some(_)) => None,
        };
    }
    diff.ok_or_else(|| no_such(&id.to_string()))
}

/// The bundle that a diff comes to, with its tests, from the bytes that the journal keeps.
pub fn new_bundle(journal: &Journal, diff: &Diff) -> Result<Arc<Bundle>, StoreError> {
    let missing = || StoreError::Missing { what: format!("files of the policy diff {}", diff.id) };
    let bytes = journal.blob(&TenantPath::root(), &diff.proposed.files)?.ok_or_else(missing)?;
    let files: BTreeMap<String, String> = serde_json::from_slice(&bytes)?;
    let bundle = Bundle::from_sources(Sources::from_files(files)).map_err(|_| {
        StoreError::Json(format!("the files of {} do not load with this version of cku", diff.id))
    })?;
    // What is kept must be what was proposed, whoever changed the file of the journal.
    if bundle.revision() == diff.proposed.revision { Ok(Arc::new(bundle)) } else { Err(missing()) }
}

/// What was found out about a diff last.
pub fn evidence_of(journal: &Journal, diff: &Diff) -> Result<Option<Evidence>, StoreError> {
    let Some(checked) = &diff.checked else { return Ok(None) };
    let missing = || StoreError::Missing { what: format!("evidence of the policy diff {}", diff.id) };
    let bytes = journal.blob(&TenantPath::root(), &checked.evidence)?.ok_or_else(missing)?;
    if Digest::of(&bytes) != checked.evidence {
        return Err(missing());
    }
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// Drafts of the entries that say what happened to a diff, and the guard that nothing else did.
pub(super) fn drafts(
    diff: &Diff,
    actor: &Value,
    events: &[Event],
) -> Result<(Vec<Draft>, Guard), StoreError> {
    let (root, subject) = (TenantPath::root(), subject(&diff.id));
    let mut drafts = Vec::with_capacity(events.len());
    for event in events {
        let body = with_actor(event.members()?, actor, &subject);
        drafts.push(Draft { tenant: root.clone(), kind: event.kind(), body });
    }
    Ok((drafts, Guard { tenant: root, subject, after: diff.seq }))
}

/// Adds events to a diff, all or none, durable before this returns; somebody else who added to it
/// meanwhile is a conflict.
pub(super) fn add(
    journal: &Journal,
    diff: Diff,
    by: &Submitter,
    events: &[Event],
    blobs: Vec<Vec<u8>>,
) -> Result<Diff, StoreError> {
    let (drafts, guard) = drafts(&diff, &named(by), events)?;
    let blobs = blobs.into_iter().map(|bytes| (TenantPath::root(), bytes)).collect();
    let appended = journal.append(Command { drafts, guards: vec![guard], blobs, ..Command::default() })?;
    let applied = events.iter().zip(&appended.entries);
    Ok(applied.fold(diff, |diff, (event, entry)| diff.apply(event, entry.header.seq)))
}
