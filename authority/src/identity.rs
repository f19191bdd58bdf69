//! What entries say of identity beside keys: issuers and the keys they publish, service accounts and what
//! proves them, tokens that were revoked. What issuers and keys are is for `auth` to read.

use cku_base::{Digest, PrincipalId, TenantPath, Timestamp};
use cku_journal::Journal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    rows::{ACCOUNTS, CREDENTIALS, ISSUERS, KEYS, SESSIONS},
    store::StoreError,
};

/// How tokens of service accounts name their issuer, as `auth` does.
pub const ACCOUNT_ISSUER: &str = "urn:cku:service-accounts";

/// An issuer is trusted from now on, as it is written here; what was said of it before holds no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerTrusted {
    /// The issuer, as `auth` reads it.
    pub issuer: Value,
    /// Its name.
    pub id: String,
}

/// An issuer is trusted no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerRevoked {
    /// Its name.
    pub id: String,
    /// From when on.
    pub revoked_at: Timestamp,
    /// Why.
    pub reason: String,
}

/// A key was found at the address of an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLearned {
    /// The key, as `auth` reads it.
    pub key: Value,
    /// Its id.
    pub id: String,
    /// The issuer.
    pub issuer: String,
    /// The place of the entry that trusts the issuer.
    pub under: u64,
    /// The set in which it was found, as it was read.
    pub set: Digest,
}

/// A key is no longer found at the address of its issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRetired {
    /// Its id.
    pub id: String,
    /// Since when.
    pub retired_at: Timestamp,
    /// The set in which it was missing.
    pub set: Digest,
}

/// An issuer, as it is kept at hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerRow {
    /// What is trusted, as `auth` reads it.
    pub issuer: Value,
    /// The place of the entry that says so.
    pub seq: u64,
    /// When it was.
    pub trusted_at: Timestamp,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// Accounts that it spoke for under what was said before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Value>,
    /// The ids of all keys that were found at its addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

/// A token is refused from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRevoked {
    /// Who issued it.
    pub issuer: String,
    /// Its name there: `jti`.
    pub token_id: String,
    /// Until when it would have held at most.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
}

/// A service account was opened, in the tenant of the entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountOpened {
    /// Its name.
    pub name: PrincipalId,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub purpose: String,
}

/// A service account was closed: nothing proves it any more, and nobody else has its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountClosed {
    /// Its name.
    pub name: PrincipalId,
    /// Since when.
    pub closed_at: Timestamp,
    /// Why.
    pub reason: String,
}

/// A service account, as it is kept at hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRow {
    /// Where it is at home.
    pub tenant: TenantPath,
    /// Its name.
    pub name: PrincipalId,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub purpose: String,
    /// Since when it is there.
    pub opened_at: Timestamp,
    /// Since when it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
}

/// A token of a service account was issued; the token itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialIssued {
    /// What is known of it.
    pub credential: CredentialRow,
    /// The tokens that it takes the place of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<String>,
    /// Until when those hold at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_until: Option<Timestamp>,
}

/// A token of a service account, as it is kept at hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRow {
    /// How people name it.
    pub id: String,
    /// Where the account is at home.
    pub tenant: TenantPath,
    /// The account.
    pub name: PrincipalId,
    /// SHA-256 of the token.
    pub digest: Digest,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Until when it holds.
    pub expires_at: Timestamp,
}

/// The key of the row of a token that was revoked.
pub(crate) fn session_key(issuer: &str, token_id: &str) -> String {
    format!("{issuer} {token_id}")
}

/// All that a journal says of whose tokens count, as `auth` reads it.
pub fn trusted(journal: &Journal) -> Result<Value, StoreError> {
    let root = TenantPath::root();
    let of = |tenant: &TenantPath, table| -> Result<Vec<Value>, StoreError> {
        Ok(journal.rows(tenant, table)?.into_iter().map(|(_, row)| row).collect())
    };
    let (mut accounts, mut credentials, mut revoked) = (Vec::new(), Vec::new(), Vec::new());
    for tenant in journal.tenants()? {
        accounts.extend(of(&tenant, ACCOUNTS)?);
        credentials.extend(of(&tenant, CREDENTIALS)?);
        revoked.extend(of(&tenant, SESSIONS)?);
    }
    Ok(json!({
        "keys": of(&root, KEYS)?, "issuers": of(&root, ISSUERS)?, "accounts": accounts,
        "credentials": credentials, "revoked": revoked,
    }))
}

/// The issuers whose keys are found at an address, revoked ones included.
pub fn issuers(journal: &Journal) -> Result<Vec<IssuerRow>, StoreError> {
    let rows = journal.rows(&TenantPath::root(), ISSUERS)?.into_iter();
    rows.map(|(_, row)| Ok(serde_json::from_value(row)?)).collect()
}

/// The service accounts that are at home in a tenant or below.
pub fn accounts(journal: &Journal, tenant: &TenantPath) -> Result<Vec<AccountRow>, StoreError> {
    let mut accounts = Vec::new();
    for at in journal.tenants()?.iter().filter(|at| tenant.contains(at)) {
        for (_, row) in journal.rows(at, ACCOUNTS)? {
            accounts.push(serde_json::from_value(row)?);
        }
    }
    Ok(accounts)
}

/// A service account.
pub fn account(
    journal: &Journal,
    tenant: &TenantPath,
    name: &PrincipalId,
) -> Result<Option<AccountRow>, StoreError> {
    let row = journal.row(tenant, ACCOUNTS, name.as_str())?;
    Ok(row.map(serde_json::from_value).transpose()?)
}

/// The tokens of a service account, each with when it was revoked, if it was.
pub fn credentials(
    journal: &Journal,
    tenant: &TenantPath,
    name: &PrincipalId,
) -> Result<Vec<(CredentialRow, bool)>, StoreError> {
    let mut found = Vec::new();
    for (id, row) in journal.rows(tenant, CREDENTIALS)? {
        let credential: CredentialRow = serde_json::from_value(row)?;
        if credential.name == *name {
            let revoked = journal.row(tenant, SESSIONS, &session_key(ACCOUNT_ISSUER, &id))?.is_some();
            found.push((credential, revoked));
        }
    }
    found.sort_by(|(a, _), (b, _)| (a.issued_at, &a.id).cmp(&(b.issued_at, &b.id)));
    Ok(found)
}
