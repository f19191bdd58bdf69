//! A diff as people look at it: all that is known, and what is missing.

use std::collections::{BTreeMap, BTreeSet};

use cku_authority::{BundleError, Chains, Modes, StoreError, load_bundle, revoked_keys, role_grants};
use cku_base::{Digest, Principal, TenantPath, Timestamp};
use cku_engine::{
    Worker,
    access::{Question, Resource},
};
use cku_gates::{Approval, Decision};
use cku_journal::Journal;
use serde::Serialize;

use super::{
    Diff, Evidence, GateError, Staged,
    evidence::told,
    gate::{judge, mode_of},
    store,
};
use crate::{archive, prove::Direction};

/// All that is to be seen of a diff.
#[derive(Debug, Serialize)]
pub struct Review {
    /// Its digest.
    pub id: Digest,
    /// One sentence that says why.
    pub title: String,
    /// Where it stands.
    pub status: &'static str,
    /// Why it ended, where somebody said so.
    pub ending: Option<String>,
    /// The bundle's name, and what it decides over.
    pub bundle: String,
    /// What it decides over.
    pub purpose: &'static str,
    /// Who proposed it.
    pub author: Principal,
    /// When.
    pub proposed_at: Timestamp,
    /// Until when it can be approved.
    pub expires_at: Timestamp,
    /// Where it is to decide.
    pub modes: Modes,
    /// How it was tried, in the order of time.
    pub staged: Vec<Staged>,
    /// Where the files come from.
    pub origin: String,
    /// The revision it applies to.
    pub base: Digest,
    /// The revision it comes to.
    pub revision: Digest,
    /// The direction of each mode; none before it was checked.
    pub directions: Option<BTreeMap<String, Direction>>,
    /// Thresholds, rules and files that differ.
    pub changes: archive::Comparison,
    /// What was found out.
    pub evidence: Option<Evidence>,
    /// The digest of it, which approvals bind to.
    pub evidence_digest: Option<Digest>,
    /// Warnings about the new revision.
    pub warnings: Vec<String>,
    /// What people said; whether it counts as things stand.
    pub approvals: Vec<Said>,
    /// Who of those who hold a role may approve it and has not.
    pub may_approve: BTreeSet<Principal>,
    /// What change control says of it as things stand; none before it was checked, and after its end.
    pub decision: Option<Decision>,
}

/// What somebody said.
#[derive(Debug, Serialize)]
pub struct Said {
    /// The approval or refusal.
    #[serde(flatten)]
    pub approval: Approval,
    /// Whether it counts: bound to what was found out last and to the active change control, in time, under
    /// a key that is trusted, by somebody who may.
    pub current: bool,
}

/// Why a diff cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// Its base cannot be loaded.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Change control cannot be asked.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// The journal did not give something.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Gathers what is to be seen of a diff at this time; nothing is written.
pub fn review(
    journal: &Journal,
    chains: &Chains,
    worker: &mut Worker,
    diff: &Diff,
    now: Timestamp,
) -> Result<Review, ReviewError> {
    let (old, new) = (load_bundle(journal, diff.proposed.base)?, store::new_bundle(journal, diff)?);
    let evidence = store::evidence_of(journal, diff)?;
    let open = diff.status().is_open();
    let decision = match (open, &evidence) {
        (true, Some(_)) => Some(judge(journal, chains, worker, diff, now)?.decision),
        _ => None,
    };
    let all = if open { approvers(journal, worker, diff)? } else { BTreeSet::new() };
    let revoked = revoked_keys(journal)?;
    let current = |a: &Approval| {
        decision
            .as_ref()
            .is_some_and(|decision| diff.counts(a, decision, now, &revoked) && all.contains(&a.approver))
    };
    let approvals: Vec<Said> =
        diff.approvals.iter().map(|a| Said { approval: a.clone(), current: current(a) }).collect();
    let mut may_approve = all.clone();
    for said in approvals.iter().filter(|said| said.current) {
        may_approve.remove(&said.approval.approver);
    }
    let changes = archive::compare(&old, &new);
    Ok(Review {
        id: diff.id,
        title: diff.proposed.title.clone(),
        status: diff.status().as_str(),
        ending: diff.ended.as_ref().map(|e| e.reason.clone()).filter(|reason| !reason.is_empty()),
        bundle: diff.proposed.bundle.clone(),
        purpose: diff.proposed.purpose.as_str(),
        author: diff.proposed.author.principal.clone(),
        proposed_at: diff.proposed.proposed_at,
        expires_at: diff.proposed.expires_at,
        modes: diff.proposed.modes.clone(),
        staged: diff.staged.clone(),
        origin: diff.proposed.origin.clone(),
        base: diff.proposed.base,
        revision: diff.proposed.revision,
        directions: evidence.as_ref().map(|evidence| evidence.comparison.modes.clone()),
        changes,
        evidence,
        evidence_digest: diff.checked.as_ref().map(|checked| checked.evidence),
        warnings: new.warnings().iter().map(told).collect(),
        approvals,
        may_approve,
        decision,
    })
}

/// Those who hold a role and may approve the diff.
fn approvers(journal: &Journal, worker: &mut Worker, diff: &Diff) -> Result<BTreeSet<Principal>, StoreError> {
    let root = TenantPath::root();
    let grants = role_grants(journal, &root)?;
    let authors = BTreeSet::from([diff.proposed.author.principal.to_string()]);
    let resource = Resource::policy_diff(&root, &authors);
    let people: BTreeSet<&Principal> = grants.iter().map(|grant| &grant.principal).collect();
    let mode = mode_of(worker.bundle(), &diff.proposed.modes);
    let mut may = BTreeSet::new();
    for principal in people {
        let question = Question {
            principal,
            grants: &grants,
            action: "policy:approve",
            resource: &resource,
            mode: &mode,
            authentication: "token",
        };
        if worker.ask(&question).is_allowed() {
            may.insert(principal.clone());
        }
    }
    Ok(may)
}
