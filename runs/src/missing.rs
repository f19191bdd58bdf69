//! Who may give what a waiting run waits for.

use std::collections::BTreeSet;

use cku_base::Principal;
use cku_engine::{
    Worker,
    access::{Question, Resource, RoleGrant, roles_of},
};
use cku_gates::{Decision, Verdict};
use cku_journal::Journal;

use cku_authority::{StoreError, role_grants};

use crate::{command::holding, state::Run};

/// What a waiting run waits for, and who of those who hold a role may give it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing {
    /// Gates that wait.
    pub gates: Vec<String>,
    /// Who may approve them.
    pub approvers: BTreeSet<Principal>,
    /// Who may vote.
    pub voters: BTreeSet<Principal>,
    /// Gates that somebody may override, with the role it takes and who holds it.
    pub overrides: Vec<(String, String, BTreeSet<Principal>)>,
}

/// What a run with this decision waits for; asks the access policies for everybody who holds a role.
pub fn missing(
    journal: &Journal,
    worker: &mut Worker,
    run: &Run,
    decision: &Decision,
) -> Result<Missing, StoreError> {
    let grants = role_grants(journal, &run.tenant)?;
    let people: BTreeSet<&Principal> = grants.iter().map(|grant| &grant.principal).collect();
    let authors = run.authors();
    let waiting = holding(decision).filter(|g| g.effective == Some(Verdict::Pause));
    let gates: Vec<String> = waiting.map(|g| g.gate.clone()).collect();
    let mut missing = Missing { gates: gates.clone(), ..Missing::default() };
    let bundle = worker.bundle().clone();
    let sequence = bundle.sequence(&decision.mode).and_then(|s| s.as_ref().ok());
    for gate in &gates {
        let resource = Resource::gate(gate, &run.tenant, &authors);
        let may = who(worker, run, &grants, &people, "gate:approve", &resource);
        let role = sequence.into_iter().flatten().find(|step| step.gate == *gate);
        if let Some(role) = role.and_then(|step| step.override_by.clone()) {
            let holders = may.iter().filter(|p| roles_of(p, &run.tenant, &grants).contains(role.as_str()));
            missing.overrides.push((gate.clone(), role.clone(), holders.cloned().collect()));
        }
        missing.approvers.extend(may);
    }
    let resource = Resource::run(&run.tenant, &authors);
    missing.voters = who(worker, run, &grants, &people, "vote:cast", &resource);
    Ok(missing)
}

fn who(
    worker: &mut Worker,
    run: &Run,
    grants: &[RoleGrant],
    people: &BTreeSet<&Principal>,
    action: &str,
    resource: &Resource,
) -> BTreeSet<Principal> {
    let mut may = |principal: &Principal| {
        let mode = &run.submitted.mode;
        let question = Question { principal, grants, action, resource, mode, authentication: "token" };
        worker.ask(&question).is_allowed()
    };
    people.iter().filter(|principal| may(principal)).map(|principal| (*principal).clone()).collect()
}
