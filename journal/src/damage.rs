//! What can be wrong with a journal, each kind with its place.

use cku_base::TenantPath;

use crate::{entry::Head, store::ReadError};

/// A chain that was recomputed and is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose chain.
    pub tenant: TenantPath,
    /// Its last entry; 0 for one without entries.
    pub to: u64,
    /// The hash of that.
    pub hash: cku_base::Digest,
}

impl Verified {
    pub(crate) fn at(tenant: &TenantPath, head: &Head) -> Self {
        Self { tenant: tenant.clone(), to: head.seq, hash: head.hash }
    }
}

/// Which kind of damage it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamageKind {
    /// An entry, or what hangs on it, says something else than it said.
    Changed,
    /// Entries are missing.
    Dropped,
    /// Entries are there in another order.
    Reordered,
    /// The end is missing.
    Truncated,
    /// An entry stands between two that follow each other.
    Inserted,
    /// An entry is there a second time.
    Replayed,
    /// Whole entries follow another entry than the one before.
    Forked,
    /// What is derived from the entries is not what follows from them.
    Derived,
    /// The file itself is broken.
    File,
}

impl DamageKind {
    /// In one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Dropped => "dropped",
            Self::Reordered => "reordered",
            Self::Truncated => "truncated",
            Self::Inserted => "inserted",
            Self::Replayed => "replayed",
            Self::Forked => "forked",
            Self::Derived => "derived",
            Self::File => "file",
        }
    }
}

/// The first damage that was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {detail}; {}", .kind.as_str(), place(.tenant.as_ref(), *.seq), advice(*.kind))]
pub struct Damage {
    /// Which kind.
    pub kind: DamageKind,
    /// Whose chain; none where it is about the file.
    pub tenant: Option<TenantPath>,
    /// Which entry; none where it is about none.
    pub seq: Option<u64>,
    /// What is wrong.
    pub detail: String,
}

fn place(tenant: Option<&TenantPath>, seq: Option<u64>) -> String {
    match (tenant, seq) {
        (Some(tenant), Some(seq)) => format!(" at entry {seq} of {tenant}"),
        (Some(tenant), None) => format!(" in {tenant}"),
        (None, _) => String::new(),
    }
}

fn advice(kind: DamageKind) -> &'static str {
    match kind {
        DamageKind::Derived => {
            "find out who can write to it; `cku journal rebuild` computes it anew if all entries are whole"
        }
        DamageKind::File => "restore the file from a copy, and keep this one to look at",
        _ => "restore the journal from a copy, and find out who can write to it",
    }
}

impl Damage {
    pub(crate) fn new(
        kind: DamageKind,
        tenant: &TenantPath,
        seq: Option<u64>,
        detail: impl Into<String>,
    ) -> Self {
        Self { kind, tenant: Some(tenant.clone()), seq, detail: detail.into() }
    }

    pub(crate) fn of_file(detail: impl Into<String>) -> Self {
        Self { kind: DamageKind::File, tenant: None, seq: None, detail: detail.into() }
    }
}

/// Why a journal is not verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It is damaged.
    #[error(transparent)]
    Damaged(Damage),
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<Damage> for VerifyError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}
