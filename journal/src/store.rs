//! What a backend of the journal does: a narrow set of operations in the words of the domain.
//!
//! A backend reads the heads, chains and writes in one transaction of its own, so that several
//! processes, and later several machines, can write to the same chains.

use cku_base::{Digest, TenantPath, Timestamp};
use serde_json::Value;

use crate::{
    command::{AppendError, Appended, Guard, RowGuard},
    entry::{Entry, Head, Prepared},
    projection::Projector,
};

/// A command that is written, salted, hashed and compressed; only its place is missing.
#[derive(Debug, Clone)]
pub struct Ready {
    pub(crate) drafts: Vec<Prepared>,
    pub(crate) key: Option<(String, Digest)>,
    pub(crate) guards: Vec<Guard>,
    pub(crate) rows: Vec<RowGuard>,
    pub(crate) blobs: Vec<(TenantPath, Digest, Vec<u8>)>,
}

/// A failure of the file or of the database: nothing was written, and the connection is not to be
/// used again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StorageError(pub String);

/// What could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal cannot be read: {0}")]
pub struct ReadError(#[from] pub(crate) StorageError);

/// A backend.
pub trait Store: Send {
    /// Writes what can be written of a batch in one durable transaction; a command that is refused
    /// leaves the others as they are.
    fn append(
        &mut self,
        batch: &[Ready],
        projector: &dyn Projector,
        now: Timestamp,
    ) -> Result<Vec<Result<Appended, AppendError>>, StorageError>;
    /// Up to `limit` entries of a tenant after `after`, in order.
    fn read(&mut self, tenant: &TenantPath, after: u64, limit: usize) -> Result<Vec<Entry>, StorageError>;
    /// All entries of a stream, in order.
    fn stream(&mut self, tenant: &TenantPath, subject: &str) -> Result<Vec<Entry>, StorageError>;
    /// The end of a tenant's chain.
    fn head(&mut self, tenant: &TenantPath) -> Result<Option<Head>, StorageError>;
    /// How many entries say who may do what, in all tenants.
    fn authority_entries(&mut self) -> Result<u64, StorageError>;
    /// All tenants with entries.
    fn tenants(&mut self) -> Result<Vec<TenantPath>, StorageError>;
    /// A document, as it was given.
    fn blob(&mut self, tenant: &TenantPath, digest: &Digest) -> Result<Option<Vec<u8>>, StorageError>;
    /// A derived row.
    fn row(&mut self, tenant: &TenantPath, table: &str, key: &str) -> Result<Option<Value>, StorageError>;
    /// All derived rows of a tenant's table, by key.
    fn rows(&mut self, tenant: &TenantPath, table: &str) -> Result<Vec<(String, Value)>, StorageError>;
}
