//! Acts about service accounts, single tokens, and issuers whose keys are found at an address: each is asked
//! of the access policies; what is done is an entry, and so is a denial.

use cku_base::{Principal, PrincipalId, PrincipalKind, TenantPath, Timestamp};
use cku_engine::Worker;
use cku_gates::Submitter;
use cku_journal::{Command, Guard, Journal, Kind};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    acts::{self, OfficeError, TRIES, allowed_on_tenant, shown},
    founding::{keys_changed_at, trusted_keys},
    grants::role_grants,
    identity::{
        ACCOUNT_ISSUER, AccountClosed, AccountOpened, AccountRow, CredentialIssued, CredentialRow,
        IssuerRevoked, IssuerTrusted, KeyLearned, KeyRetired, TokenRevoked, account, credentials, issuers,
    },
    office,
    store::{self, CKU, StoreError},
};

/// Tokens of one service account that hold at a time.
const TOKENS: usize = 10;

/// The subject of tokens that were revoked by their name.
const SESSIONS: &str = "sessions";

fn account_subject(name: &PrincipalId) -> String {
    format!("account:{name}")
}

/// Adds to a stream what `decide` makes of it, as often as others add to it meanwhile.
fn trying<T>(
    what: &'static str,
    mut attempt: impl FnMut() -> Result<T, OfficeError>,
) -> Result<T, OfficeError> {
    for _ in 0..TRIES {
        match attempt() {
            Err(OfficeError::Access(acts::AccessError::Store(error))) if error.is_conflict() => {}
            done => return done,
        }
    }
    Err(OfficeError::Meanwhile(what))
}

/// Opens a service account in a tenant.
///
/// A name that holds a role above the tenant is refused: whoever manages accounts here would take it. So is one
/// that an issuer declares, or did: one name would be two machines'.
pub fn open_account(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    tenant: &TenantPath,
    opened: &AccountOpened,
) -> Result<(), OfficeError> {
    allowed_on_tenant(journal, worker, by, "service_account:manage", tenant)?;
    let root = TenantPath::root();
    if !is_account_name(opened.name.as_str()) {
        return Err(OfficeError::AccountName(shown(opened.name.as_str())));
    }
    let subject = account_subject(&opened.name);
    trying("the account", || {
        let unchanged = [unchanged(journal, tenant, &subject)?, unchanged(journal, &root, office::KEYS)?];
        if account(journal, tenant, &opened.name)?.is_some() {
            return Err(OfficeError::AccountExists { name: opened.name.clone(), tenant: tenant.clone() });
        }
        if let Some(issuer) = declared_by(journal, tenant, &opened.name)? {
            let (name, tenant) = (opened.name.clone(), tenant.clone());
            return Err(OfficeError::AccountDeclared { name, tenant, issuer: shown(&issuer) });
        }
        let (kind, id) = (PrincipalKind::ServiceAccount, opened.name.clone());
        let principal = Principal { kind, id, tenant: tenant.clone() };
        let above = role_grants(journal, tenant)?.into_iter().find(|grant| {
            grant.principal == principal && grant.tenant != *tenant && grant.tenant.contains(tenant)
        });
        if let Some(grant) = above {
            return Err(OfficeError::HoldsRole {
                name: opened.name.clone(),
                role: grant.role,
                tenant: grant.tenant,
            });
        }
        let place = (tenant, Kind::AccountOpened, subject.as_str());
        Ok(store::note_if(journal, place, by, opened, unchanged.into())?)
    })
}

/// That nothing is added to a stream from now on.
fn unchanged(journal: &Journal, tenant: &TenantPath, subject: &str) -> Result<Guard, StoreError> {
    let after = store::last(journal, tenant, subject)?;
    Ok(Guard { tenant: tenant.clone(), subject: subject.to_owned(), after })
}

/// A service account, by its name, as an issuer declares it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Declared {
    tenant: TenantPath,
    name: PrincipalId,
}

/// The service accounts that a document about an issuer declares.
fn declared(issuer: &Value) -> Result<Vec<Declared>, StoreError> {
    let accounts = issuer.get("accounts").and_then(Value::as_array).into_iter().flatten();
    accounts.map(|account| Ok(Declared::deserialize(account)?)).collect()
}

/// The issuer that declares a service account, or did.
fn declared_by(
    journal: &Journal,
    tenant: &TenantPath,
    name: &PrincipalId,
) -> Result<Option<String>, StoreError> {
    let wanted = Declared { tenant: tenant.clone(), name: name.clone() };
    for row in issuers(journal)? {
        let before = row.before.iter().map(|account| Ok(Declared::deserialize(account)?));
        let before = before.collect::<Result<Vec<_>, StoreError>>()?;
        if before.contains(&wanted) || declared(&row.issuer)?.contains(&wanted) {
            return Ok(Some(name_of(&row.issuer).to_owned()));
        }
    }
    Ok(None)
}

/// Whether it can stand in a path, and in a line.
fn is_account_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(fits)
}

/// An account that is open.
fn open(journal: &Journal, tenant: &TenantPath, name: &PrincipalId) -> Result<AccountRow, OfficeError> {
    let found = account(journal, tenant, name)?;
    let missing = || OfficeError::NoSuchAccount { name: name.clone(), tenant: tenant.clone() };
    let account = found.ok_or_else(missing)?;
    match account.closed_at {
        None => Ok(account),
        Some(at) => Err(OfficeError::AccountClosed { name: name.clone(), at }),
    }
}

/// Closes a service account for good: all its tokens are refused at once.
pub fn close_account(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    tenant: &TenantPath,
    closed: &AccountClosed,
) -> Result<(), OfficeError> {
    allowed_on_tenant(journal, worker, by, "service_account:manage", tenant)?;
    let subject = account_subject(&closed.name);
    trying("the account", || {
        let after = store::last(journal, tenant, &subject)?;
        open(journal, tenant, &closed.name)?;
        let place = (tenant, Kind::AccountClosed, subject.as_str());
        Ok(store::note_after(journal, place, by, closed, after)?)
    })
}

/// Issues a token of a service account; with `grace`, it takes the place of all that hold, which end then.
///
/// What was written, with the ids of those that it replaces.
pub fn issue_credential(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    credential: &CredentialRow,
    grace: Option<Timestamp>,
) -> Result<CredentialIssued, OfficeError> {
    let tenant = &credential.tenant;
    allowed_on_tenant(journal, worker, by, "service_account:manage", tenant)?;
    let subject = account_subject(&credential.name);
    trying("the account", || {
        let after = store::last(journal, tenant, &subject)?;
        open(journal, tenant, &credential.name)?;
        let known = credentials(journal, tenant, &credential.name)?;
        let hold: Vec<String> = known
            .into_iter()
            .filter(|(known, revoked)| !revoked && known.expires_at > credential.issued_at)
            .map(|(known, _)| known.id)
            .collect();
        if hold.len() >= TOKENS {
            return Err(OfficeError::TooManyTokens { name: credential.name.clone(), most: TOKENS });
        }
        let replaces = if grace.is_some() { hold } else { Vec::new() };
        let replaced_until = grace.filter(|_| !replaces.is_empty());
        let issued = CredentialIssued { credential: credential.clone(), replaces, replaced_until };
        let place = (tenant, Kind::CredentialIssued, subject.as_str());
        store::note_after(journal, place, by, &issued, after)?;
        Ok(issued)
    })
}

/// Revokes a token of a service account at once.
pub fn revoke_credential(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    (tenant, name): (&TenantPath, &PrincipalId),
    (id, reason): (&str, &str),
) -> Result<(), OfficeError> {
    allowed_on_tenant(journal, worker, by, "service_account:manage", tenant)?;
    let subject = account_subject(name);
    trying("the account", || {
        let after = store::last(journal, tenant, &subject)?;
        if account(journal, tenant, name)?.is_none() {
            return Err(OfficeError::NoSuchAccount { name: name.clone(), tenant: tenant.clone() });
        }
        let known = credentials(journal, tenant, name)?;
        let found = known.into_iter().find(|(known, _)| known.id == id);
        let (credential, revoked) = found.ok_or_else(|| OfficeError::NoSuchToken(shown(id)))?;
        if revoked {
            return Err(OfficeError::TokenRevoked(shown(id)));
        }
        let revoked = TokenRevoked {
            issuer: ACCOUNT_ISSUER.to_owned(),
            token_id: credential.id,
            until: credential.expires_at,
            reason: reason.to_owned(),
        };
        let place = (tenant, Kind::SessionRevoked, subject.as_str());
        Ok(store::note_after(journal, place, by, &revoked, after)?)
    })
}

/// Revokes one token of an issuer by its name, at once, for principals at home in a tenant or below.
pub fn revoke_token(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    tenant: &TenantPath,
    revoked: &TokenRevoked,
) -> Result<(), OfficeError> {
    allowed_on_tenant(journal, worker, by, "session:revoke", tenant)?;
    let of_key = |key: &Value| key.get("issuer").and_then(Value::as_str) == Some(revoked.issuer.as_str());
    let known = revoked.issuer == ACCOUNT_ISSUER
        || trusted_keys(journal)?.iter().any(of_key)
        || issuers(journal)?.iter().any(|row| of_key(&row.issuer));
    if !known {
        return Err(OfficeError::NoSuchIssuer(shown(&revoked.issuer)));
    }
    Ok(store::note(journal, (tenant, Kind::SessionRevoked, SESSIONS), by, revoked, Vec::new())?)
}

/// Trusts an issuer from now on, as it is written: it says who people are, so it takes an administrator of the
/// root. A service account that is kept here is none that it can declare.
///
/// `after` is what [`crate::keys_changed_at`] said before it was seen that the issuer can be trusted.
pub fn trust_issuer(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    trusted: &IssuerTrusted,
    after: u64,
) -> Result<(), OfficeError> {
    let root = TenantPath::root();
    allowed_on_tenant(journal, worker, by, "role:grant", &root)?;
    let mut guards = vec![Guard { tenant: root.clone(), subject: office::KEYS.to_owned(), after }];
    for Declared { tenant, name } in declared(&trusted.issuer)? {
        guards.push(unchanged(journal, &tenant, &account_subject(&name))?);
        if account(journal, &tenant, &name)?.is_some() {
            return Err(OfficeError::AccountKept { name, tenant, issuer: shown(&trusted.id) });
        }
    }
    match store::note_if(journal, (&root, Kind::IssuerTrusted, office::KEYS), by, trusted, guards) {
        Err(error) if error.is_conflict() => Err(OfficeError::Meanwhile("the keys")),
        done => Ok(done?),
    }
}

/// Trusts an issuer no longer, nor any key that was found at its address. The last keys that an administrator
/// of the root can prove themselves with stay.
pub fn revoke_issuer(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    revoked: &IssuerRevoked,
) -> Result<(), OfficeError> {
    let root = TenantPath::root();
    allowed_on_tenant(journal, worker, by, "session:revoke", &root)?;
    trying("the keys", || {
        let after = keys_changed_at(journal)?;
        let rows = issuers(journal)?;
        let row = rows.iter().find(|row| name_of(&row.issuer) == revoked.id);
        let row = row.ok_or_else(|| OfficeError::NoSuchIssuer(shown(&revoked.id)))?;
        if let Some(at) = row.revoked_at {
            return Err(OfficeError::Revoked { id: revoked.id.clone(), at });
        }
        let speak = acts::keys_of_administrators(journal)?;
        if !speak.is_empty() && speak.iter().all(|id| row.keys.contains(id)) {
            return Err(OfficeError::LastKey(revoked.id.clone()));
        }
        let place = (&root, Kind::IssuerRevoked, office::KEYS);
        Ok(store::note_after(journal, place, by, revoked, after)?)
    })
}

fn name_of(issuer: &Value) -> &str {
    issuer.get("issuer").and_then(Value::as_str).unwrap_or_default()
}

/// Writes down which keys an issuer publishes now, and which it does not any more; all or none, and only if
/// nothing about keys changed after `after`, which is what [`crate::keys_changed_at`] said.
///
/// Nobody is asked: that the issuer says which keys are its own is what trusting it means.
pub fn learn(
    journal: &Journal,
    learned: &[KeyLearned],
    retired: &[KeyRetired],
    after: u64,
) -> Result<(), StoreError> {
    let (root, cku) = (TenantPath::root(), Value::from(CKU));
    let mut drafts = Vec::new();
    for key in retired {
        drafts.push(store::draft_of((&root, Kind::KeyRetired, office::KEYS), &cku, key)?);
    }
    for key in learned {
        drafts.push(store::draft_of((&root, Kind::KeyLearned, office::KEYS), &cku, key)?);
    }
    if drafts.is_empty() {
        return Ok(());
    }
    let guards = vec![Guard { tenant: root, subject: office::KEYS.to_owned(), after }];
    journal.append(Command { drafts, guards, ..Command::default() })?;
    Ok(())
}
