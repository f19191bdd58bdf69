//! What people do: each act is asked of the access policies; what is done is an entry, and so is a denial.

use std::collections::BTreeSet;

use cku_base::{Principal, PrincipalKind, TenantPath, Timestamp};
use cku_engine::{
    Worker,
    access::{Answer, Question, Resource, RoleGrant},
};
use cku_gates::{ApprovalDecision, Authentication, Submitter};
use cku_journal::{Journal, Kind};
use serde::Deserialize;

use crate::{
    command::{Command, Refusal},
    event::Strategy,
    founding::{keys_changed_at, trusted_keys},
    input::role_grants,
    office::{self, ADMIN, AccessDecided, KeyRevoked, KeyTrusted, KillSwitch, RoleChange},
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

/// Why a role or a key was not changed.
#[derive(Debug, thiserror::Error)]
pub enum OfficeError {
    /// It may not be, or the journal did not take it.
    #[error(transparent)]
    Act(#[from] ActError),
    /// Nobody could administer anything.
    #[error(
        "`{0}` is the last person who is `admin` in /: nobody could grant a role after that; grant it to somebody else first"
    )]
    LastAdmin(Principal),
    /// Nobody could prove who they are.
    #[error(
        "`{0}` is the last key that speaks for users of /: no administrator could act after that; trust another one first"
    )]
    LastKey(String),
    /// There is no such key.
    #[error("there is no key `{0}` in this journal; `cku auth keys` lists them")]
    NoSuchKey(String),
    /// It was revoked.
    #[error("the key `{id}` was revoked at {at}; a key is revoked once, and for good")]
    Revoked {
        /// Which.
        id: String,
        /// When.
        at: Timestamp,
    },
    /// Somebody else changed it meanwhile.
    #[error("somebody else changed {0} meanwhile; look again, and try again")]
    Meanwhile(&'static str),
}

impl From<StoreError> for OfficeError {
    fn from(error: StoreError) -> Self {
        Self::Act(error.into())
    }
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
    allowed(journal, worker, by, (action, &resource), (&run.submitted.mode, Some(id)))?;
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
    (mode, run): (&str, Option<&str>),
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
        run: run.map(str::to_owned),
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
    allowed(journal, worker, by, (action, &Resource::tenant(tenant)), (&mode, None))
}

/// Grants a role in a tenant, or takes it away; the last administrator of the root keeps the role.
pub fn change_role(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    grant: &RoleGrant,
    granted: bool,
) -> Result<(), OfficeError> {
    let roles = &worker.bundle().manifest().roles;
    if granted && !roles.contains_key(&grant.role) {
        let known: Vec<&str> = roles.keys().map(String::as_str).collect();
        let hint = cku_base::suggest(&grant.role, known.iter().copied());
        return Err(OfficeError::Act(ActError::NoSuchRole {
            role: crate::problem::shown(&grant.role),
            known: known.join(", "),
            hint: hint.map_or_else(String::new, |n| format!("; did you mean `{n}`?")),
        }));
    }
    allowed_on_tenant(journal, worker, by, "role:grant", &grant.tenant)?;
    let kind = if granted { Kind::RoleGranted } else { Kind::RoleRevoked };
    let subject = office::role_subject(grant);
    let change = RoleChange { grant: grant.clone() };
    for _ in 0..TRIES {
        let after = store::last(journal, &grant.tenant, &subject)?;
        if !granted && is_last_admin(journal, grant)? {
            return Err(OfficeError::LastAdmin(grant.principal.clone()));
        }
        let place = (&grant.tenant, kind.clone(), subject.as_str());
        match store::note_after(journal, place, by, &change, after) {
            Err(error) if error.is_conflict() => {}
            done => return Ok(done?),
        }
    }
    Err(OfficeError::Meanwhile("the role"))
}

/// Whether nobody but this grant's principal, if even that, is a person who administers the root.
fn is_last_admin(journal: &Journal, grant: &RoleGrant) -> Result<bool, StoreError> {
    let root = TenantPath::root();
    let of_root =
        |g: &RoleGrant| g.role == ADMIN && g.tenant == root && g.principal.kind == PrincipalKind::User;
    Ok(of_root(grant) && !role_grants(journal, &root)?.iter().any(|g| of_root(g) && g != grant))
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
///
/// `after` is what [`crate::keys_changed_at`] said before it was seen that the key can be trusted.
pub fn trust_key(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    trusted: &KeyTrusted,
    after: u64,
) -> Result<(), OfficeError> {
    let root = TenantPath::root();
    allowed_on_tenant(journal, worker, by, "role:grant", &root)?;
    match store::note_after(journal, (&root, Kind::KeyTrusted, office::KEYS), by, trusted, after) {
        Err(error) if error.is_conflict() => Err(OfficeError::Meanwhile("the keys")),
        done => Ok(done?),
    }
}

/// What is to be known of a key here; the rest is for `auth`.
#[derive(Debug, Deserialize)]
struct Key {
    id: String,
    tenant: TenantPath,
    kinds: BTreeSet<PrincipalKind>,
    #[serde(default)]
    revoked_at: Option<Timestamp>,
}

impl Key {
    fn speaks_for_administrators(&self) -> bool {
        self.revoked_at.is_none()
            && self.tenant == TenantPath::root()
            && self.kinds.contains(&PrincipalKind::User)
    }
}

/// Trusts a key no longer: all its tokens are refused at once. The last one that an administrator of the
/// root can prove themselves with stays.
pub fn revoke_key(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    revoked: &KeyRevoked,
) -> Result<(), OfficeError> {
    let root = TenantPath::root();
    allowed_on_tenant(journal, worker, by, "session:revoke", &root)?;
    for _ in 0..TRIES {
        let after = keys_changed_at(journal)?;
        let keys = trusted_keys(journal)?.into_iter().map(serde_json::from_value::<Key>);
        let keys = keys.collect::<Result<Vec<_>, _>>().map_err(StoreError::from)?;
        let key = keys.iter().find(|key| key.id == revoked.id);
        let key = key.ok_or_else(|| OfficeError::NoSuchKey(crate::problem::shown(&revoked.id)))?;
        if let Some(at) = key.revoked_at {
            return Err(OfficeError::Revoked { id: key.id.clone(), at });
        }
        let others = keys.iter().any(|other| other.id != key.id && other.speaks_for_administrators());
        if key.speaks_for_administrators() && !others {
            return Err(OfficeError::LastKey(key.id.clone()));
        }
        match store::note_after(journal, (&root, Kind::KeyRevoked, office::KEYS), by, revoked, after) {
            Err(error) if error.is_conflict() => {}
            done => return Ok(done?),
        }
    }
    Err(OfficeError::Meanwhile("the keys"))
}

impl Run {
    /// The text forms of those who submitted the run or wrote its plan.
    pub fn authors(&self) -> BTreeSet<String> {
        let plan = self.submission.plan.as_ref().and_then(|p| p.author.as_ref());
        std::iter::once(&self.submitted.principal.principal).chain(plan).map(ToString::to_string).collect()
    }
}
