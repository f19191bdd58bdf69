//! What the journal keeps at hand of who may do what; all of it can be computed again from the entries.

use std::collections::BTreeSet;

use cku_engine::access::RoleGrant;
use cku_journal::{Entry, Kind, ProjectError, Projector, Rows};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    identity::{
        AccountClosed, AccountOpened, AccountRow, CredentialIssued, CredentialRow, IssuerRevoked, IssuerRow,
        IssuerTrusted, KeyLearned, KeyRetired, TokenRevoked, session_key,
    },
    office::{BundleActivated, FreezeSet, Genesis, KeyRevoked, KeyTrusted, KillSwitch, Purpose, RoleChange},
    rollout::Rollout,
    store::{UnreadableEntry, body},
};

/// Roles: `ROLE PRINCIPAL HOME` -> [`RoleGrant`].
pub(crate) const GRANTS: &str = "grants";
/// One row, `set` -> [`KillSwitch`].
pub(crate) const KILL_SWITCH: &str = "killswitch";
/// One row, `set` -> [`FreezeSet`].
pub(crate) const FREEZE: &str = "freeze";
/// Key id -> the trusted key; `revoked_at` is set in it once it is.
pub(crate) const KEYS: &str = "keys";
/// Name of an issuer -> [`IssuerRow`].
pub(crate) const ISSUERS: &str = "issuers";
/// Name of a service account -> [`AccountRow`].
pub(crate) const ACCOUNTS: &str = "accounts";
/// Id of a token of a service account -> [`CredentialRow`].
pub(crate) const CREDENTIALS: &str = "credentials";
/// `ISSUER JTI` -> the token that was revoked.
pub(crate) const SESSIONS: &str = "sessions";
/// One row, `genesis` -> [`Genesis`].
pub(crate) const GENESIS: &str = "genesis";
/// Revision -> [`BundleActivated`]; by [`rollout_key`], the [`Rollout`].
pub(crate) const BUNDLES: &str = "bundles";
/// The tables that say who may do what.
pub const TABLES: [&str; 10] =
    [GRANTS, KILL_SWITCH, FREEZE, KEYS, GENESIS, BUNDLES, ISSUERS, ACCOUNTS, CREDENTIALS, SESSIONS];

/// The key of the row of what decides where.
pub(crate) fn rollout_key(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Gates => "rollout",
        Purpose::ChangeControl => "rollout change-control",
    }
}

/// Computes the rows of entries about authority; entries of other kinds have none here.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuthorityRows;

impl Projector for AuthorityRows {
    fn project(&self, entry: &Entry, rows: &mut dyn Rows) -> Result<(), ProjectError> {
        // What was erased, or made by a later version, leaves its rows as they are.
        if entry.body.is_none() {
            return Ok(());
        }
        let unreadable = |e: UnreadableEntry| ProjectError::new(e.to_string());
        match entry.kind() {
            Kind::Genesis => {
                let genesis: Genesis = body(entry).map_err(unreadable)?;
                for key in &genesis.keys {
                    put_key(rows, key)?;
                }
                rows.put(GENESIS, "genesis", to_value(&genesis)?)
            }
            Kind::RoleGranted => {
                let change: RoleChange = body(entry).map_err(unreadable)?;
                rows.put(GRANTS, &grant_key(&change.grant), to_value(&change.grant)?)
            }
            Kind::RoleRevoked => {
                let change: RoleChange = body(entry).map_err(unreadable)?;
                rows.remove(GRANTS, &grant_key(&change.grant))
            }
            Kind::KeyTrusted => {
                let trusted: KeyTrusted = body(entry).map_err(unreadable)?;
                // A key that was revoked must not be trusted again by being trusted anew.
                if rows.get(KEYS, &trusted.id)?.is_some() {
                    return Err(ProjectError::new(format!("the key {} is there already", trusted.id)));
                }
                put_key(rows, &trusted.key)
            }
            Kind::KeyRevoked => {
                let revoked: KeyRevoked = body(entry).map_err(unreadable)?;
                let Some(mut key) = rows.get(KEYS, &revoked.id)? else { return Ok(()) };
                if let Some(members) = key.as_object_mut() {
                    members.insert("revoked_at".to_owned(), json!(revoked.revoked_at));
                }
                rows.put(KEYS, &revoked.id, key)
            }
            Kind::IssuerTrusted
            | Kind::IssuerRevoked
            | Kind::KeyLearned
            | Kind::KeyRetired
            | Kind::AccountOpened
            | Kind::AccountClosed
            | Kind::CredentialIssued
            | Kind::SessionRevoked => identity(entry, rows),
            Kind::KillSwitchSet => {
                let set: KillSwitch = body(entry).map_err(unreadable)?;
                rows.put(KILL_SWITCH, "set", to_value(&set)?)
            }
            Kind::FreezeSet => {
                let set: FreezeSet = body(entry).map_err(unreadable)?;
                rows.put(FREEZE, "set", to_value(&set)?)
            }
            Kind::BundleActivated => {
                let activated: BundleActivated = body(entry).map_err(unreadable)?;
                rows.put(BUNDLES, &activated.revision.to_string(), to_value(&activated)?)?;
                let key = rollout_key(activated.purpose);
                let rollout = rows.get(BUNDLES, key)?.map(serde_json::from_value::<Rollout>).transpose();
                let rollout = rollout.map_err(|e| ProjectError::new(e.to_string()))?.unwrap_or_default();
                rows.put(BUNDLES, key, to_value(&rollout.after(activated, entry.header.seq))?)
            }
            _ => Ok(()),
        }
    }

    fn authority(&self) -> &[&str] {
        &TABLES
    }
}

/// Rows of issuers and their keys, of accounts and their tokens.
fn identity(entry: &Entry, rows: &mut dyn Rows) -> Result<(), ProjectError> {
    let unreadable = |e: UnreadableEntry| ProjectError::new(e.to_string());
    let (tenant, seq, time) = (&entry.header.tenant, entry.header.seq, entry.header.time);
    match entry.kind() {
        Kind::IssuerTrusted => {
            let trusted: IssuerTrusted = body(entry).map_err(unreadable)?;
            let known = issuer(rows, &trusted.id)?;
            let before = known.as_ref().map(spoken_for).unwrap_or_default();
            let keys = known.map(|known| known.keys).unwrap_or_default();
            let row =
                IssuerRow { issuer: trusted.issuer, seq, trusted_at: time, revoked_at: None, before, keys };
            rows.put(ISSUERS, &trusted.id, to_value(&row)?)
        }
        Kind::IssuerRevoked => {
            let revoked: IssuerRevoked = body(entry).map_err(unreadable)?;
            let Some(mut known) = issuer(rows, &revoked.id)? else { return Ok(()) };
            for id in &known.keys {
                let Some(mut key) = rows.get(KEYS, id)? else { continue };
                if key.get("revoked_at").is_none_or(Value::is_null) {
                    set(&mut key, "revoked_at", json!(revoked.revoked_at));
                    rows.put(KEYS, id, key)?;
                }
            }
            known.revoked_at = Some(revoked.revoked_at);
            rows.put(ISSUERS, &revoked.id, to_value(&known)?)
        }
        Kind::KeyLearned => {
            let learned: KeyLearned = body(entry).map_err(unreadable)?;
            let member = |name: &str| learned.key.get(name).cloned().unwrap_or_default();
            let says = (member("id"), member("issuer"), member("under"));
            if says != (json!(learned.id), json!(learned.issuer), json!(learned.under)) {
                return Err(ProjectError::new(format!("the key {} is another one inside", learned.id)));
            }
            let known = issuer(rows, &learned.issuer)?;
            let known = known.filter(|known| known.seq == learned.under && known.revoked_at.is_none());
            let mut known = known.ok_or_else(|| {
                ProjectError::new(format!("the key {} is of no issuer that is trusted so", learned.id))
            })?;
            // A key that was revoked must not be trusted again by being published again.
            let revoked = |key: &Value| key.get("revoked_at").is_some_and(|at| !at.is_null());
            if rows.get(KEYS, &learned.id)?.as_ref().is_some_and(revoked) {
                return Err(ProjectError::new(format!("the key {} was revoked", learned.id)));
            }
            put_key(rows, &learned.key)?;
            if !known.keys.contains(&learned.id) {
                known.keys.push(learned.id);
            }
            rows.put(ISSUERS, &learned.issuer, to_value(&known)?)
        }
        Kind::KeyRetired => {
            let retired: KeyRetired = body(entry).map_err(unreadable)?;
            let Some(mut key) = rows.get(KEYS, &retired.id)? else { return Ok(()) };
            set(&mut key, "retired_at", json!(retired.retired_at));
            rows.put(KEYS, &retired.id, key)
        }
        Kind::AccountOpened => {
            let opened: AccountOpened = body(entry).map_err(unreadable)?;
            if rows.get(ACCOUNTS, opened.name.as_str())?.is_some() {
                return Err(ProjectError::new(format!("the account {} is there already", opened.name)));
            }
            let AccountOpened { name, purpose } = opened;
            let row = AccountRow { tenant: tenant.clone(), name, purpose, opened_at: time, closed_at: None };
            rows.put(ACCOUNTS, row.name.as_str(), to_value(&row)?)
        }
        Kind::AccountClosed => {
            let closed: AccountClosed = body(entry).map_err(unreadable)?;
            let Some(mut row) = rows.get(ACCOUNTS, closed.name.as_str())? else { return Ok(()) };
            set(&mut row, "closed_at", json!(closed.closed_at));
            rows.put(ACCOUNTS, closed.name.as_str(), row)
        }
        Kind::CredentialIssued => {
            let issued: CredentialIssued = body(entry).map_err(unreadable)?;
            let CredentialIssued { credential, replaces, replaced_until } = issued;
            // What proves an account is issued in its tenant, by those who manage accounts there.
            if credential.tenant != *tenant || rows.get(CREDENTIALS, &credential.id)?.is_some() {
                return Err(ProjectError::new(format!("the token {} is not to be issued", credential.id)));
            }
            for (id, until) in replaces.iter().zip(std::iter::repeat(replaced_until)) {
                let (Some(row), Some(until)) = (rows.get(CREDENTIALS, id)?, until) else { continue };
                let mut old: CredentialRow =
                    serde_json::from_value(row).map_err(|e| ProjectError::new(e.to_string()))?;
                old.expires_at = old.expires_at.min(until);
                rows.put(CREDENTIALS, id, to_value(&old)?)?;
            }
            rows.put(CREDENTIALS, &credential.id, to_value(&credential)?)
        }
        Kind::SessionRevoked => {
            let revoked: TokenRevoked = body(entry).map_err(unreadable)?;
            let key = session_key(&revoked.issuer, &revoked.token_id);
            let mut row = to_value(&revoked)?;
            set(&mut row, "tenant", json!(tenant));
            rows.put(SESSIONS, &key, row)
        }
        _ => Ok(()),
    }
}

fn issuer(rows: &mut dyn Rows, id: &str) -> Result<Option<IssuerRow>, ProjectError> {
    let row = rows.get(ISSUERS, id)?.map(serde_json::from_value).transpose();
    row.map_err(|e| ProjectError::new(e.to_string()))
}

/// The accounts that an issuer speaks for or spoke for, by their names.
fn spoken_for(known: &IssuerRow) -> Vec<Value> {
    let declared = known.issuer.get("accounts").and_then(Value::as_array).into_iter().flatten();
    let declared = declared.map(|account| {
        let member = |name: &str| account.get(name).cloned().unwrap_or_default();
        json!({"tenant": member("tenant"), "name": member("name")})
    });
    // Not compared as texts: what is kept has its members in another order than what is new.
    let name = |account: &Value| {
        let text = |member: &str| account.get(member).and_then(Value::as_str).map(str::to_owned);
        (text("tenant"), text("name"))
    };
    let mut seen = BTreeSet::new();
    let all = known.before.iter().cloned().chain(declared);
    all.filter(|account| seen.insert(name(account))).collect()
}

fn set(row: &mut Value, name: &str, value: Value) {
    if let Some(members) = row.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

fn put_key(rows: &mut dyn Rows, key: &Value) -> Result<(), ProjectError> {
    let id = key.get("id").and_then(Value::as_str);
    let id = id.ok_or_else(|| ProjectError::new("a trusted key without an id".to_owned()))?;
    rows.put(KEYS, id, key.clone())
}

fn grant_key(grant: &RoleGrant) -> String {
    format!("{} {} {}", grant.role, grant.principal, grant.principal.tenant)
}

fn to_value(value: &impl Serialize) -> Result<Value, ProjectError> {
    serde_json::to_value(value).map_err(|e| ProjectError::new(e.to_string()))
}
