//! Whether an approval or a vote counts: permitted by the access policies, bound to this decision,
//! and in time.

use std::collections::BTreeSet;

use cku_base::{Digest, Principal};
use cku_engine::{
    Worker,
    access::{Question, Resource, roles_of},
};
use serde::Serialize;

use crate::{
    consent::{Approval, ApprovalDecision, Vote},
    input::DecisionInput,
};

/// What is known of an approval or a vote beyond what it says; policies see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Standing {
    /// Whether the access policies permit it.
    pub(crate) permitted: bool,
    /// The roles that the person holds in the run's tenant, inherited ones included.
    pub(crate) roles: BTreeSet<String>,
    /// Whether it is permitted, bound to this decision, and in time.
    pub(crate) valid: bool,
}

/// What a decision binds consent to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding {
    pub(crate) subject: Digest,
    pub(crate) revision: Digest,
}

/// Asks the access policies about an approval and checks what it is bound to.
pub(crate) fn of_approval(
    approval: &Approval,
    input: &DecisionInput,
    binding: Binding,
    worker: &mut Worker,
) -> Standing {
    let (action, gate) = match (&input.policy_diff, approval.decision) {
        (Some(_), _) => ("policy:approve", Resource::policy_diff(&input.tenant, &input.authors())),
        (None, decision) => {
            let gate = Resource::gate(&approval.gate, &input.tenant, &input.authors());
            let approve = decision == ApprovalDecision::Approve;
            (if approve { "gate:approve" } else { "gate:reject" }, gate)
        }
    };
    let standing = standing(&approval.approver, action, &gate, input, worker);
    let bound = approval.subject_digest == binding.subject
        && approval.bundle_revision == binding.revision
        && approval.time <= input.time
        && input.time < approval.expires_at;
    Standing { valid: standing.permitted && bound, ..standing }
}

/// Asks the access policies about a vote and checks what it is bound to.
pub(crate) fn of_vote(vote: &Vote, input: &DecisionInput, binding: Binding, worker: &mut Worker) -> Standing {
    let run = Resource::run(&input.tenant, &input.authors());
    let standing = standing(&vote.voter, "vote:cast", &run, input, worker);
    let bound = vote.subject_digest == binding.subject && vote.time <= input.time;
    Standing { valid: standing.permitted && bound, ..standing }
}

fn standing(
    who: &Principal,
    action: &str,
    resource: &Resource,
    input: &DecisionInput,
    worker: &mut Worker,
) -> Standing {
    let grants = &input.state.role_grants;
    // An act of a person needs that person's token: nothing else enters the journal.
    let question =
        Question { principal: who, grants, action, resource, mode: &input.mode, authentication: "token" };
    let permitted = worker.ask(&question).is_allowed();
    let roles = roles_of(who, &input.tenant, grants).into_iter().map(str::to_owned).collect();
    Standing { permitted, roles, valid: false }
}
