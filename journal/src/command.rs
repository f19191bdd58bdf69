//! What is handed to the journal, and what comes back.

use cku_base::{Digest, TenantPath};
use serde_json::{Map, Value};

use crate::{entry::Entry, kind::Kind};

/// The member of a body that names the documents stored with it.
pub(crate) const DOCUMENTS: &str = "documents";
/// The member of a body that holds the idempotency key of its command.
pub(crate) const KEY: &str = "idempotency_key";

/// An entry to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Whose chain it goes to.
    pub tenant: TenantPath,
    /// What it says.
    pub kind: Kind,
    /// Its members; `actor` and `subject` are among them, and `subject` is text.
    pub body: Map<String, Value>,
}

/// Only if nothing was added to a stream meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Whose stream.
    pub tenant: TenantPath,
    /// Which: the subject of its entries.
    pub subject: String,
    /// The place of its last entry; 0 for a stream without entries.
    pub after: u64,
}

/// Only if a derived row is still what it was when it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct RowGuard {
    /// Whose row.
    pub tenant: TenantPath,
    /// In which table.
    pub table: String,
    /// Its key.
    pub key: String,
    /// What it was; none where there was no such row.
    pub value: Option<Value>,
}

/// Entries that are written together or not at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Command {
    /// The entries, in order.
    pub drafts: Vec<Draft>,
    /// The same key again, of the tenant of the first entry, gives the first entries.
    pub key: Option<String>,
    /// What must still be so, all of it.
    pub guards: Vec<Guard>,
    /// The same of derived rows, as they are before the command.
    pub rows: Vec<RowGuard>,
    /// Documents that the entries point at, by their digests.
    pub blobs: Vec<(TenantPath, Vec<u8>)>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Appended {
    /// The entries, durable.
    pub entries: Vec<Entry>,
    /// Whether they were there before, under the same key.
    pub repeated: bool,
}

/// Why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Too many wait.
    #[error("the journal is busy: {waiting} commands wait; try again in a moment")]
    Busy {
        /// How many.
        waiting: usize,
    },
    /// The stream has another last entry.
    #[error("somebody else added to `{subject}` meanwhile: its last entry is {last}, not {expected}")]
    Conflict {
        /// The stream.
        subject: String,
        /// What was expected.
        expected: u64,
        /// What it is.
        last: u64,
    },
    /// A derived row is another one.
    #[error("the row `{key}` of `{table}` was changed meanwhile; read it again")]
    Outdated {
        /// The table.
        table: String,
        /// The key of the row.
        key: String,
    },
    /// The key was used for something else.
    #[error("the idempotency key `{key}` was used for other entries before; use another one")]
    KeyReused {
        /// The key.
        key: String,
    },
    /// It cannot be an entry.
    #[error("this cannot be an entry: {0}")]
    Unfit(String),
    /// What is derived from entries could not be.
    #[error("this entry cannot be taken: {0}")]
    Projection(String),
    /// The file could not be written; nothing of it was.
    #[error("the journal cannot be written: {0}")]
    Storage(String),
    /// The journal was opened to read.
    #[error("the journal was opened to read only")]
    ReadOnly,
    /// The writer is gone.
    #[error("the journal is closed: {0}")]
    Closed(String),
}

/// What identifies a command beside its key: the same drafts have the same.
pub(crate) fn content(drafts: &[Draft]) -> Result<Digest, AppendError> {
    let listed: Vec<_> = drafts.iter().map(|d| (d.tenant.as_str(), d.kind.as_str(), &d.body)).collect();
    Digest::of_canonical(&listed).map_err(|e| AppendError::Unfit(e.to_string()))
}

impl Draft {
    /// The stream it goes to, if it can be an entry at all.
    pub(crate) fn subject(&self) -> Result<&str, AppendError> {
        if let Kind::Unknown(kind) = &self.kind {
            return Err(AppendError::Unfit(format!("`{kind}` is not a kind of entry")));
        }
        if self.body.get("actor").is_none_or(Value::is_null) {
            return Err(AppendError::Unfit("its body has no `actor`".to_owned()));
        }
        let subject = self.body.get("subject").and_then(Value::as_str).filter(|s| !s.is_empty());
        subject.ok_or_else(|| AppendError::Unfit("its body has no `subject` that is text".to_owned()))
    }
}
