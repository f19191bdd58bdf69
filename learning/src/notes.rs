//! What the learner does, as entries of the tenant's own chain: so that whoever reads the chain again knows
//! when it was done.

use cku_authority::{AccessError, StoreError, allowed, draft};
use cku_base::{Digest, TenantPath};
use cku_engine::{Worker, access::Resource};
use cku_gates::Submitter;
use cku_journal::{Command, Journal, Kind};
use serde::{Deserialize, Serialize};

/// The subject of all of them.
pub(crate) const SUBJECT: &str = "learner";

/// A policy diff was proposed, of what a scope had raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnerProposed {
    /// The mode.
    pub mode: String,
    /// The threshold, as `gate.name`.
    pub threshold: String,
    /// The diff.
    pub diff: Digest,
    /// The evidence, a blob of the tenant.
    pub evidence: Digest,
    /// What it rests on in all detail, a blob of the tenant; none where a tightening ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Digest>,
}

/// How a diff of the learner came to an end other than by becoming active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settlement {
    /// People refused it.
    Refused,
    /// It was withdrawn, or its base changed.
    Withdrawn,
    /// Nobody approved it in time.
    Expired,
    /// It was active, and taken back.
    RolledBack,
}

/// A policy diff of the learner came to an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnerSettled {
    /// The mode.
    pub mode: String,
    /// The threshold, as `gate.name`.
    pub threshold: String,
    /// The diff.
    pub diff: Digest,
    /// How.
    pub how: Settlement,
}

/// The learner was told to propose nothing, or to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnerPaused {
    /// Where; in every mode without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Which threshold, as `gate.name`; all without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<String>,
    /// Whether it is to pause.
    pub paused: bool,
    /// Why.
    pub reason: String,
}

/// Tells the learner to propose nothing, or to go on; evidence is taken in either way. Whoever may set the
/// kill switch of a tenant may do it; `worker` asks the bundle that says so.
pub fn pause(
    journal: &Journal,
    worker: &mut Worker,
    tenant: &TenantPath,
    by: &Submitter,
    what: &LearnerPaused,
) -> Result<(), AccessError> {
    let mode = worker.bundle().manifest().modes.first().cloned().unwrap_or_default();
    allowed(journal, worker, by, ("killswitch:set", &Resource::tenant(tenant)), (&mode, None))?;
    Ok(write(journal, tenant, Kind::LearnerPaused, by, what, Vec::new())?)
}

/// Notes how a diff of the learner came to an end.
pub fn settle(
    journal: &Journal,
    tenant: &TenantPath,
    by: &Submitter,
    what: &LearnerSettled,
) -> Result<(), StoreError> {
    write(journal, tenant, Kind::LearnerSettled, by, what, Vec::new())
}

pub(crate) fn write(
    journal: &Journal,
    tenant: &TenantPath,
    kind: Kind,
    by: &Submitter,
    what: &impl Serialize,
    blobs: Vec<(TenantPath, Vec<u8>)>,
) -> Result<(), StoreError> {
    let drafts = vec![draft((tenant, kind, SUBJECT), by, what)?];
    journal.append(Command { drafts, blobs, ..Command::default() })?;
    Ok(())
}
