//! What is derived from entries and kept at hand, in the same transaction as the entries.

use serde_json::Value;

use crate::entry::Entry;

/// Computes rows from entries; the same entries give the same rows, so that all can be rebuilt.
pub trait Projector: Send + Sync {
    /// Puts what follows from one entry into the rows of its tenant.
    fn project(&self, entry: &Entry, rows: &mut dyn Rows) -> Result<(), ProjectError>;

    /// Tables that say who may do what: they are derived anew, and compared, whenever a journal is opened.
    ///
    /// Their rows follow from entries about authority alone ([`crate::Kind::is_authority`]).
    fn authority(&self) -> &[&str] {
        &[]
    }
}

/// The rows of a tenant: JSON values by table and key.
pub trait Rows {
    /// The value of a row.
    fn get(&mut self, table: &str, key: &str) -> Result<Option<Value>, ProjectError>;
    /// Writes a row.
    fn put(&mut self, table: &str, key: &str, value: Value) -> Result<(), ProjectError>;
    /// Takes a row away.
    fn remove(&mut self, table: &str, key: &str) -> Result<(), ProjectError>;
}

/// Why nothing could be derived from an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProjectError {
    message: String,
    /// Whether the file failed, not the entry.
    pub(crate) storage: bool,
}

impl ProjectError {
    /// Because the entry does not say what it should.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), storage: false }
    }

    pub(crate) fn storage(message: impl Into<String>) -> Self {
        Self { message: message.into(), storage: true }
    }
}

/// Several projectors side by side; each has tables of its own.
pub struct Together {
    parts: Vec<Box<dyn Projector>>,
    authority: Vec<&'static str>,
}

impl Together {
    /// Asks each of these about every entry, in order; `authority` is what
    /// [`Projector::authority`] says of them all.
    pub fn new(parts: Vec<Box<dyn Projector>>, authority: &[&'static str]) -> Self {
        Self { parts, authority: authority.to_vec() }
    }
}

impl Projector for Together {
    fn project(&self, entry: &Entry, rows: &mut dyn Rows) -> Result<(), ProjectError> {
        self.parts.iter().try_for_each(|part| part.project(entry, rows))
    }

    fn authority(&self) -> &[&str] {
        &self.authority
    }
}

/// Derives nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProjections;

impl Projector for NoProjections {
    fn project(&self, _: &Entry, _: &mut dyn Rows) -> Result<(), ProjectError> {
        Ok(())
    }
}
