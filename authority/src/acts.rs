//! What people do about authority: each act is asked of the access policies; what is done is an entry,
//! and so is a denial.

use std::collections::BTreeSet;

use cku_base::{Principal, PrincipalId, PrincipalKind, TenantPath, Timestamp};
use cku_engine::{
    Worker,
    access::{Answer, Question, Resource, RoleGrant},
};
use cku_gates::Submitter;
use cku_journal::{Journal, Kind};
use serde::Deserialize;

use crate::{
    founding::{keys_changed_at, trusted_keys},
    grants::role_grants,
    identity::issuers,
    office::{self, ADMIN, AccessDecided, FreezeSet, KeyRevoked, KeyTrusted, KillSwitch, RoleChange},
    store::{self, StoreError},
};

/// How often an act is tried when others act on the same thing.
pub(crate) const TRIES: usize = 20;

/// Why something was not allowed.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
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
    /// The journal did not give or take something.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a role, a key, an issuer, an account or a token was not changed.
#[derive(Debug, thiserror::Error)]
pub enum OfficeError {
    /// It may not be, or the journal did not take it.
    #[error(transparent)]
    Access(#[from] AccessError),
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
    /// There is no such issuer.
    #[error("this journal trusts nothing of an issuer `{0}`; `cku auth keys` lists those it does")]
    NoSuchIssuer(String),
    /// There is no such account.
    #[error("there is no service account `{name}` in {tenant}; `cku auth service-account list` shows them")]
    NoSuchAccount {
        /// Which.
        name: PrincipalId,
        /// Where.
        tenant: TenantPath,
    },
    /// There is one already.
    #[error("there is a service account `{name}` in {tenant} already; a name is given once")]
    AccountExists {
        /// Which.
        name: PrincipalId,
        /// Where.
        tenant: TenantPath,
    },
    /// An issuer speaks for one of its name.
    #[error(
        "`{issuer}` declares the service account `{name}` of {tenant}, or did: tokens of it are its own; open one of another name"
    )]
    AccountDeclared {
        /// Which.
        name: PrincipalId,
        /// Where.
        tenant: TenantPath,
        /// By whom.
        issuer: String,
    },
    /// An account that an issuer would speak for is kept here.
    #[error(
        "`{name}` of {tenant} is a service account that is kept here, and keeps its name; declare one of another name for `{issuer}`"
    )]
    AccountKept {
        /// Which.
        name: PrincipalId,
        /// Where.
        tenant: TenantPath,
        /// Who would speak for it.
        issuer: String,
    },
    /// Its name is no name of a service account.
    #[error(
        "`{0}` is no name of a service account: 1 to 64 letters, digits, `.`, `_`, `-` or `@`, a letter or digit first"
    )]
    AccountName(String),
    /// It was closed.
    #[error("the service account `{name}` was closed at {at}, for good; open one of another name")]
    AccountClosed {
        /// Which.
        name: PrincipalId,
        /// When.
        at: Timestamp,
    },
    /// The name has a role above the tenant.
    #[error(
        "`{name}` holds the role `{role}` in {tenant}, which the account would take; have it revoked there, or take another name"
    )]
    HoldsRole {
        /// The name.
        name: PrincipalId,
        /// The role.
        role: String,
        /// Where.
        tenant: TenantPath,
    },
    /// Nobody can look after that many.
    #[error("`{name}` has {most} tokens that hold, which is as many as there may be; revoke or rotate some")]
    TooManyTokens {
        /// Of which account.
        name: PrincipalId,
        /// How many there may be.
        most: usize,
    },
    /// There is no such token.
    #[error("this service account has no token `{0}`; `cku auth service-account list` shows them")]
    NoSuchToken(String),
    /// It was revoked.
    #[error("the token `{0}` was revoked already")]
    TokenRevoked(String),
    /// Somebody else changed it meanwhile.
    #[error("somebody else changed {0} meanwhile; look again, and try again")]
    Meanwhile(&'static str),
}

impl From<StoreError> for OfficeError {
    fn from(error: StoreError) -> Self {
        Self::Access(error.into())
    }
}

/// Asks the access policies; a denial is an entry of its own, in the tenant of what was asked about if whoever
/// asks is at home there or above, else in their own: nobody writes into the chain of others by being denied.
pub fn allowed(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    (action, resource): (&'static str, &Resource),
    (mode, run): (&str, Option<&str>),
) -> Result<(), AccessError> {
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
    let home = &by.principal.tenant;
    let place = if home.contains(&resource.tenant) { &resource.tenant } else { home };
    // Nor does anybody make tenants that way.
    let place = if journal.head(place).map_err(StoreError::from)?.is_some() { place } else { home };
    store::note(journal, (place, Kind::AccessDecided, &subject), by, &denied, Vec::new())?;
    Err(AccessError::Denied { who: by.principal.clone(), action, resource: shown, why: why.to_string() })
}

/// May this principal submit a run? The gates ask that themselves; this is for what stands outside runs.
pub(crate) fn allowed_on_tenant(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    action: &'static str,
    tenant: &TenantPath,
) -> Result<(), AccessError> {
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
        return Err(OfficeError::NoSuchRole {
            role: shown(&grant.role),
            known: known.join(", "),
            hint: hint.map_or_else(String::new, |n| format!("; did you mean `{n}`?")),
        });
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
) -> Result<(), AccessError> {
    allowed_on_tenant(journal, worker, by, "killswitch:set", tenant)?;
    Ok(store::note(journal, (tenant, Kind::KillSwitchSet, "killswitch"), by, set, Vec::new())?)
}

/// Freezes releases in a tenant and below for a time, or no longer: whoever may stop everything may.
pub fn set_freeze(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    tenant: &TenantPath,
    set: &FreezeSet,
) -> Result<(), AccessError> {
    allowed_on_tenant(journal, worker, by, "killswitch:set", tenant)?;
    Ok(store::note(journal, (tenant, Kind::FreezeSet, "freeze"), by, set, Vec::new())?)
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
    #[serde(default)]
    retired_at: Option<Timestamp>,
    #[serde(default)]
    under: Option<u64>,
}

/// The keys of the journal, and the places of the entries that trust issuers now.
fn keys(journal: &Journal) -> Result<(Vec<Key>, BTreeSet<u64>), StoreError> {
    let keys = trusted_keys(journal)?.into_iter().map(|key| Ok(serde_json::from_value(key)?));
    let keys = keys.collect::<Result<Vec<_>, StoreError>>()?;
    Ok((keys, issuers(journal)?.into_iter().map(|row| row.seq).collect()))
}

/// The keys that an administrator of the root can prove themselves with.
pub(crate) fn keys_of_administrators(journal: &Journal) -> Result<Vec<String>, StoreError> {
    let (keys, issuers) = keys(journal)?;
    let speak = keys.into_iter().filter(|key| key.speaks_for_administrators(&issuers));
    Ok(speak.map(|key| key.id).collect())
}

impl Key {
    fn speaks_for_administrators(&self, issuers: &BTreeSet<u64>) -> bool {
        self.revoked_at.is_none()
            && self.retired_at.is_none()
            && self.under.is_none_or(|under| issuers.contains(&under))
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
        let (keys, issuers) = keys(journal)?;
        let key = keys.iter().find(|key| key.id == revoked.id);
        let key = key.ok_or_else(|| OfficeError::NoSuchKey(shown(&revoked.id)))?;
        if let Some(at) = key.revoked_at {
            return Err(OfficeError::Revoked { id: key.id.clone(), at });
        }
        let others = keys.iter().any(|other| other.id != key.id && other.speaks_for_administrators(&issuers));
        if key.speaks_for_administrators(&issuers) && !others {
            return Err(OfficeError::LastKey(key.id.clone()));
        }
        match store::note_after(journal, (&root, Kind::KeyRevoked, office::KEYS), by, revoked, after) {
            Err(error) if error.is_conflict() => {}
            done => return Ok(done?),
        }
    }
    Err(OfficeError::Meanwhile("the keys"))
}

/// The beginning of a text from outside.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}
