//! Entries that say who did what: reading their bodies, and adding them.

use cku_base::{TenantPath, canonical};
use cku_gates::Submitter;
use cku_journal::{AppendError, Command, Draft, Entry, Guard, Journal, Kind, ReadError};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// An entry that does not hold what its kind promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {seq} of {tenant} (`{kind}`) cannot be read: {why}; run `cku journal verify`")]
pub struct UnreadableEntry {
    /// Whose chain.
    pub tenant: TenantPath,
    /// Where in it.
    pub seq: u64,
    /// What it says it is.
    pub kind: String,
    /// What is wrong.
    pub why: String,
}

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
    /// There is no such thing.
    #[error("there is no {what} in this journal; `{list}` shows what there is")]
    Unknown {
        /// What was named, like "run `x`".
        what: String,
        /// The command that lists what there is.
        list: &'static str,
    },
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
    /// Whether somebody else added to the stream meanwhile: read it again and decide anew.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Append(AppendError::Conflict { .. }))
    }

    /// Whether a row that the entries rest on was changed meanwhile: read it again and decide anew.
    pub fn is_outdated(&self) -> bool {
        matches!(self, Self::Append(AppendError::Outdated { .. }))
    }
}

/// Reads the body of an entry; one that was erased cannot be read.
pub fn body<T: DeserializeOwned>(entry: &Entry) -> Result<T, UnreadableEntry> {
    let unreadable = |why: String| UnreadableEntry {
        tenant: entry.header.tenant.clone(),
        seq: entry.header.seq,
        kind: entry.header.kind.to_string(),
        why,
    };
    let body = entry.body.as_ref().ok_or_else(|| unreadable("its body was erased".to_owned()))?;
    serde_json::from_value(Value::Object((*body.value).clone())).map_err(|e| unreadable(e.to_string()))
}

/// The body of an entry.
pub fn with_actor(mut members: Map<String, Value>, actor: &Value, subject: &str) -> Map<String, Value> {
    members.insert("actor".to_owned(), actor.clone());
    members.insert("subject".to_owned(), Value::from(subject));
    members
}

/// Adds one entry that belongs to no run.
pub fn note(
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
    journal.append(Command { drafts, blobs, ..Command::default() })?;
    Ok(())
}

/// How entries name cku itself.
pub const CKU: &str = "cku";

/// An actor, as entries name it.
pub fn named(by: &Submitter) -> Value {
    // A principal always has a JSON form.
    serde_json::to_value(by).unwrap_or(Value::Null)
}

/// An entry to be that belongs to no run.
pub fn draft(
    (tenant, kind, subject): (&TenantPath, Kind, &str),
    by: &Submitter,
    body: &impl Serialize,
) -> Result<Draft, StoreError> {
    draft_of((tenant, kind, subject), &named(by), body)
}

/// An entry to be that belongs to no run, by whoever acts: see [`named`] and [`CKU`].
pub fn draft_of(
    (tenant, kind, subject): (&TenantPath, Kind, &str),
    actor: &Value,
    body: &impl Serialize,
) -> Result<Draft, StoreError> {
    let Value::Object(members) = serde_json::to_value(body)? else {
        return Err(StoreError::Json("not an object".to_owned()));
    };
    Ok(Draft { tenant: tenant.clone(), kind, body: with_actor(members, actor, subject) })
}

/// The place of the last entry about a subject; 0 where there is none.
pub fn last(journal: &Journal, tenant: &TenantPath, subject: &str) -> Result<u64, StoreError> {
    Ok(journal.stream(tenant, subject)?.last().map_or(0, |entry| entry.header.seq))
}

/// Adds one entry to a stream, unless somebody else added to it after `after`.
pub fn note_after(
    journal: &Journal,
    (tenant, kind, subject): (&TenantPath, Kind, &str),
    by: &Submitter,
    body: &impl Serialize,
    after: u64,
) -> Result<(), StoreError> {
    let guards = vec![Guard { tenant: tenant.clone(), subject: subject.to_owned(), after }];
    note_if(journal, (tenant, kind, subject), by, body, guards)
}

/// Adds one entry to a stream, if all of this is still so.
pub(crate) fn note_if(
    journal: &Journal,
    place: (&TenantPath, Kind, &str),
    by: &Submitter,
    body: &impl Serialize,
    guards: Vec<Guard>,
) -> Result<(), StoreError> {
    let drafts = vec![draft(place, by, body)?];
    journal.append(Command { drafts, guards, ..Command::default() })?;
    Ok(())
}
