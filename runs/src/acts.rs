//! What people do: each act is asked of the access policies, and is an entry, allowed or not.

use std::collections::BTreeSet;

use cku_base::{Principal, TenantPath, Timestamp};
use cku_engine::{
    Worker,
    access::{Answer, Question, Resource, RoleGrant},
};
use cku_gates::{ApprovalDecision, Authentication, Submitter};
use cku_journal::{Journal, Kind};

use crate::{
    command::{Command, Refusal},
    event::Strategy,
    input::role_grants,
    office::{AccessDecided, KeyRevoked, KeyTrusted, KillSwitch, RoleChange},
    state::Run,
    store::{self, Actor, StoreError},
};

/// How often an act is tried when others act on the same run.
const TRIES: usize = 20;

/// Why an act did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The access policies do not allow it.
    #[error("`{who}` may not do this: {action} on {resource} is denied, {why}")]
    Denied {
        /// Who asked.
        who: Principal,
        /// What was asked for.
        action: &'static str,
        /// Of what.
        resource: String,
        /// Why not.
        why: String,
    },
    /// The state of the run does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It takes a token.
    #[error(
        "this takes a person's token, and the journal is local, single-user; `cku init` makes one for several people"
    )]
    TakesToken,
    /// The role is not one of the bundle's.
    #[error("`{role}` is not a role of the bundle: {known}{hint}")]
    NoSuchRole {
        /// What was named.
        role: String,
        /// What there is.
        known: String,
        /// What was meant, perhaps.
        hint: String,
    },
    /// The journal did not give or take something.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Does something to a run, if the access policies and its state allow it.
pub fn act(
    journal: &Journal,
    worker: &mut Worker,
    (tenant, id): (&TenantPath, &str),
    by: &Submitter,
    command: &Command,
    now: Timestamp,
) -> Result<Run, ActError> {
    let needs_token = matches!(command, Command::Consent { .. } | Command::Vote { .. });
    if needs_token && by.authentication == Authentication::Local {
        return Err(ActError::TakesToken);
    }
    for _ in 1..TRIES {
        match try_to_act(journal, worker, (tenant, id), by, command, now) {
            Err(ActError::Store(error)) if error.is_conflict() => {}
            done => return done,
        }
    }
    try_to_act(journal, worker, (tenant, id), by, command, now)
}

fn try_to_act(
    journal: &Journal,
    worker: &mut Worker,
    (tenant, id): (&TenantPath, &str),
    by: &Submitter,
    command: &Command,
    now: Timestamp,
) -> Result<Run, ActError> {
    let run = store::load(journal, tenant, id)?;
    let (action, resource) = asked_for(command, &run);
    allowed(journal, worker, by, (action, &resource), &run.submitted.mode)?;
    let events = run.decide(by, command, now)?;
    Ok(store::add(journal, run, &Actor::Person(by), events, Vec::new())?)
}

/// What a command asks of the access policies.
fn asked_for(command: &Command, run: &Run) -> (&'static str, Resource) {
    let authors = run.authors();
    let of_run = |action| (action, Resource::run(&run.tenant, &authors));
    match command {
        Command::Consent { gate, decision, .. } => {
            let gate = Resource::gate(gate, &run.tenant, &authors);
            match decision {
                ApprovalDecision::Approve => ("gate:approve", gate),
                ApprovalDecision::Refuse => ("gate:reject", gate),
            }
        }
        Command::Vote { .. } => of_run("vote:cast"),
        Command::Heal { strategy: Strategy::Rollback | Strategy::Abort, .. } => of_run("execution:rollback"),
        Command::Heal { .. } | Command::Label(_) => of_run("healing:invoke"),
        Command::Resume => of_run("run:create"),
        Command::Cancel { .. } => of_run("run:cancel"),
    }
}

/// Asks the access policies; a denial is an entry of its own.
fn allowed(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    (action, resource): (&'static str, &Resource),
    mode: &str,
) -> Result<(), ActError> {
    let grants = role_grants(journal, &resource.tenant)?;
    let question = Question {
        principal: &by.principal,
        grants: &grants,
        action,
        resource,
        mode,
        authentication: by.authentication.as_str(),
    };
    let Answer::Denied(why) = worker.ask(&question) else { return Ok(()) };
    let shown = format!("{}::{} of {}", resource.type_name, resource.id, resource.tenant);
    let denied = AccessDecided {
        action: action.to_owned(),
        resource: shown.clone(),
        allowed: false,
        why: why.to_string(),
        bundle_revision: worker.bundle().revision(),
    };
    let subject = format!("access:{}", by.principal);
    store::note(journal, (&resource.tenant, Kind::AccessDecided, &subject), by, &denied, Vec::new())?;
    Err(ActError::Denied { who: by.principal.clone(), action, resource: shown, why: why.to_string() })
}

/// May this principal submit a run? The gates ask that themselves; this is for what stands outside runs.
fn allowed_on_tenant(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    action: &'static str,
    tenant: &TenantPath,
) -> Result<(), ActError> {
    let mode = worker.bundle().manifest().modes.first().cloned().unwrap_or_default();
    allowed(journal, worker, by, (action, &Resource::tenant(tenant)), &mode)
}

/// Grants a role in a tenant, or takes it away.
pub fn change_role(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    grant: &RoleGrant,
    granted: bool,
) -> Result<(), ActError> {
    let roles = &worker.bundle().manifest().roles;
    if granted && !roles.contains_key(&grant.role) {
        let known: Vec<&str> = roles.keys().map(String::as_str).collect();
        let hint = cku_base::suggest(&grant.role, known.iter().copied());
        return Err(ActError::NoSuchRole {
            role: crate::plan::shown(&grant.role),
            known: known.join(", "),
            hint: hint.map_or_else(String::new, |n| format!("; did you mean `{n}`?")),
        });
    }
    allowed_on_tenant(journal, worker, by, "role:grant", &grant.tenant)?;
    let kind = if granted { Kind::RoleGranted } else { Kind::RoleRevoked };
    let subject = format!("role:{}", grant.principal);
    let change = RoleChange { grant: grant.clone() };
    Ok(store::note(journal, (&grant.tenant, kind, &subject), by, &change, Vec::new())?)
}

/// Stops everything in a tenant and below, or lets it go on.
pub fn set_kill_switch(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    tenant: &TenantPath,
    set: &KillSwitch,
) -> Result<(), ActError> {
    allowed_on_tenant(journal, worker, by, "killswitch:set", tenant)?;
    Ok(store::note(journal, (tenant, Kind::KillSwitchSet, "killswitch"), by, set, Vec::new())?)
}

/// Trusts a key from now on. Whoever holds it can be anybody, so it takes an administrator of the root.
pub fn trust_key(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    trusted: &KeyTrusted,
) -> Result<(), ActError> {
    let root = TenantPath::root();
    allowed_on_tenant(journal, worker, by, "role:grant", &root)?;
    let subject = format!("key:{}", trusted.id);
    Ok(store::note(journal, (&root, Kind::KeyTrusted, &subject), by, trusted, Vec::new())?)
}

/// Trusts a key no longer: all its tokens are refused at once.
pub fn revoke_key(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    revoked: &KeyRevoked,
) -> Result<(), ActError> {
    let root = TenantPath::root();
    allowed_on_tenant(journal, worker, by, "session:revoke", &root)?;
    let subject = format!("key:{}", revoked.id);
    Ok(store::note(journal, (&root, Kind::KeyRevoked, &subject), by, revoked, Vec::new())?)
}

impl Run {
    /// The text forms of those who submitted the run or wrote its plan.
    pub fn authors(&self) -> BTreeSet<String> {
        let plan = self.submission.plan.as_ref().and_then(|p| p.author.as_ref());
        std::iter::once(&self.submitted.principal.principal).chain(plan).map(ToString::to_string).collect()
    }
}
