//! Submitting a run.

use std::collections::BTreeMap;

use cku_authority::StoreError;
use cku_base::{Digest, Principal, TenantPath, Timestamp, canonical};
use cku_gates::{DecisionInput, RunSubmission, Submitter};
use cku_journal::Journal;

use crate::{event::Submitted, state::Run, store};

/// A run that somebody wants.
#[derive(Debug, Clone)]
pub struct Request {
    /// The name it is given; see [`run_id`](crate::run_id).
    pub id: String,
    /// The tenant it is for.
    pub tenant: TenantPath,
    /// The mode it is for.
    pub mode: String,
    /// Who wants it.
    pub by: Submitter,
    /// What is wanted.
    pub submission: RunSubmission,
    /// Where its steps shall work.
    pub workspace: String,
    /// Whether commands shall be confined to it.
    pub confined: bool,
    /// When.
    pub time: Timestamp,
}

/// Puts a run into the journal; nothing is decided yet.
///
/// Whoever submits the run submitted the evidence in it.
pub fn submit(journal: &Journal, request: Request) -> Result<Run, StoreError> {
    let (tenant, id) = (request.tenant.clone(), request.id.clone());
    let (submitted, submission) = of_request(request)?;
    store::begin(journal, (&tenant, &id), submitted, submission)
}

/// The run that would be submitted; nothing of it is in the journal.
pub fn unsubmitted(request: Request) -> Result<Run, StoreError> {
    let (tenant, id) = (request.tenant.clone(), request.id.clone());
    let (submitted, submission) = of_request(request)?;
    Ok(Run::new(id, tenant, submitted, submission))
}

fn of_request(request: Request) -> Result<(Submitted, RunSubmission), StoreError> {
    let Request { id: _, tenant, mode, by, submission, workspace, confined, time } = request;
    let mut evidence_by: BTreeMap<Digest, Principal> = BTreeMap::new();
    for document in &submission.evidence {
        evidence_by.insert(document.document_digest()?, by.principal.clone());
    }
    let canonical = canonical::to_vec(&submission)?;
    let submitted = Submitted {
        subject_digest: DecisionInput::subject_of_canonical(&canonical, &by.principal, &tenant, &mode)?,
        submission: Digest::of(&canonical),
        intent: submission.intent.clone(),
        submitted_at: time,
        principal: by,
        evidence_by,
        mode,
        workspace,
        confined,
    };
    Ok((submitted, submission))
}
