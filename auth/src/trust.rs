//! Whose tokens count.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use cku_base::{Digest, Principal, PrincipalId, PrincipalKind, TenantPath, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    account::{Account, Credential},
    issuer::{ACCOUNTS, TrustedIssuer},
    key::TrustedKey,
};

/// Keys that are trusted, and what their tokens must be meant for.
///
/// Whom a key speaks for: the principals of its kinds at home in its tenant or below, but for those for
/// whom a key of another issuer speaks further down, and for service accounts that are declared one by one:
/// those that are kept here, and those that an issuer speaks for by their names. A revoked key keeps its
/// names, as do an issuer and an account: nobody else speaks for them.
///
/// INVARIANT: no two issuers speak for the same kind in the same tenant, and none but one for a declared
/// account, revoked ones included.
#[derive(Debug, Clone)]
pub struct Trust {
    pub(crate) keys: Vec<TrustedKey>,
    issuers: Vec<Issuer>,
    accounts: BTreeMap<(TenantPath, PrincipalId), Account>,
    pub(crate) credentials: HashMap<Digest, Credential>,
    /// By the names of the tokens.
    revoked: HashMap<String, Vec<RevokedToken>>,
    pub(crate) audience: String,
    pub(crate) leeway: Duration,
    pub(crate) longest: Duration,
}

/// An issuer whose keys are found at an address, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Issuer {
    /// What is trusted.
    pub issuer: TrustedIssuer,
    /// The place of the entry that says so.
    pub seq: u64,
    /// When it was revoked; none of its tokens counts then.
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
    /// Accounts that it spoke for before, beside those that are declared now.
    #[serde(default)]
    pub before: Vec<Named>,
}

/// A service account, by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Named {
    /// Where it is at home.
    pub tenant: TenantPath,
    /// Its name.
    pub name: PrincipalId,
}

/// One token that does not count any more.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RevokedToken {
    /// Who issued it.
    pub issuer: String,
    /// Its name there: `jti`.
    pub token_id: String,
    /// It is refused for principals at home here or below.
    pub tenant: TenantPath,
}

/// All that a journal says of whose tokens count.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    keys: Vec<TrustedKey>,
    issuers: Vec<Issuer>,
    accounts: Vec<Account>,
    credentials: Vec<Credential>,
    revoked: Vec<RevokedToken>,
}

/// Keys that cannot be trusted together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// One name would be two people.
    #[error(
        "`{one}` and `{other}` would both speak for {kind}s in {tenant}: one name would be two people's; {advice}",
        advice = match revoked {
            true => "what a revoked key named keeps its roles, so trust the new issuer below that tenant, or for another kind",
            false => "give each issuer a tenant or a kind of its own",
        }
    )]
    Overlap {
        /// An issuer.
        one: String,
        /// Another issuer.
        other: String,
        /// The kind of principal.
        kind: &'static str,
        /// Where.
        tenant: String,
        /// Whether the key of one of them was revoked.
        revoked: bool,
    },
    /// One account would be two machines.
    #[error(
        "`{one}` and `{other}` would both speak for the service account `{name}` of {tenant}; give each an account of its own"
    )]
    SameAccount {
        /// An issuer.
        one: String,
        /// Another issuer.
        other: String,
        /// The account.
        name: String,
        /// Where.
        tenant: String,
    },
    /// Names would be free for others.
    #[error(
        "`{issuer}` speaks for {what} already, and would not any more: its names would be others'; keep that, or trust another issuer beside it"
    )]
    Shrinks {
        /// Which.
        issuer: String,
        /// For whom.
        what: String,
    },
    /// A key is there twice.
    #[error("the key {0} is trusted already")]
    Twice(String),
    /// The name of a key is not that of the key.
    #[error("the key {0} is not the one that its name says")]
    OtherKey(String),
    /// Nobody but cku issues tokens under that name.
    #[error("`{ACCOUNTS}` is cku itself; give the issuer a name of its own")]
    Reserved,
    /// Nothing says whom tokens are meant for.
    #[error("the audience is empty; write what tokens must be meant for, like `cku`")]
    NoAudience,
    /// What the journal says cannot be read.
    #[error("whose tokens count cannot be read: {0}")]
    Unreadable(String),
}

/// Somebody who speaks for all principals of some kinds, at home somewhere or below.
struct Speaker<'t> {
    issuer: &'t str,
    tenant: &'t TenantPath,
    kinds: &'t BTreeSet<PrincipalKind>,
    revoked: bool,
}

impl Trust {
    /// Trusts these keys for tokens that are meant for `audience`; clocks may differ by 30 seconds, and
    /// tokens hold 24 hours at most.
    ///
    /// Two issuers for the same kind in the same tenant are refused; of two whose tenants lie in one
    /// another, the inner one speaks for what is its own.
    pub fn new(keys: Vec<TrustedKey>, audience: &str) -> Result<Self, TrustError> {
        Self::of(Document { keys, ..Document::default() }, audience)
    }

    /// Reads all that a journal says of whose tokens count: `keys`, `issuers`, `accounts`, `credentials`,
    /// `revoked`.
    pub fn read(document: Value, audience: &str) -> Result<Self, TrustError> {
        let document = serde_json::from_value(document).map_err(|e| TrustError::Unreadable(e.to_string()))?;
        Self::of(document, audience)
    }

    fn of(document: Document, audience: &str) -> Result<Self, TrustError> {
        if audience.is_empty() {
            return Err(TrustError::NoAudience);
        }
        let Document { keys, issuers, accounts, credentials, revoked } = document;
        let (leeway, longest) = (Duration::from_secs(30), Duration::from_secs(24 * 3_600));
        let accounts = accounts.into_iter().map(|a| ((a.tenant.clone(), a.name.clone()), a)).collect();
        let credentials = credentials.into_iter().map(|c| (c.digest, c)).collect();
        let audience = audience.to_owned();
        let mut by_name: HashMap<String, Vec<RevokedToken>> = HashMap::new();
        for token in revoked {
            by_name.entry(token.token_id.clone()).or_default().push(token);
        }
        let revoked = by_name;
        let trust = Self { keys, issuers, accounts, credentials, revoked, audience, leeway, longest };
        trust.check().map(|()| trust)
    }

    /// The same, and one more key.
    pub fn with_key(&self, key: TrustedKey) -> Result<Self, TrustError> {
        let mut more = self.clone();
        more.keys.push(key);
        more.check().map(|()| more)
    }

    /// The same, and one more issuer, or what is said of one anew: it speaks for all that it spoke for.
    pub fn with_issuer(&self, issuer: TrustedIssuer) -> Result<Self, TrustError> {
        let mut more = self.clone();
        let known = more.issuers.iter().position(|known| known.issuer.issuer == issuer.issuer);
        let before = known.map(|at| more.issuers.remove(at));
        let mut named = Vec::new();
        if let Some(before) = before {
            let shrinks = |what: String| TrustError::Shrinks { issuer: issuer.issuer.clone(), what };
            match (&before.issuer.names, &issuer.names) {
                (Some(old), Some(new))
                    if new.tenant.contains(&old.tenant) && new.kinds.is_superset(&old.kinds) => {}
                (Some(old), _) => {
                    let kinds: Vec<&str> = old.kinds.iter().map(|kind| kind.as_str()).collect();
                    return Err(shrinks(format!("{}s of {} and below", kinds.join("s, "), old.tenant)));
                }
                (None, Some(_)) => return Err(shrinks("declared accounts".to_owned())),
                (None, None) => {}
            }
            named = before.accounts().collect();
        }
        more.issuers.push(Issuer { issuer, seq: u64::MAX, revoked_at: None, before: named });
        more.check().map(|()| more)
    }

    fn check(&self) -> Result<(), TrustError> {
        let mut ids = BTreeSet::new();
        for key in &self.keys {
            if !key.is_named_so() {
                return Err(TrustError::OtherKey(key.id.to_string()));
            }
            if !ids.insert(&key.id) {
                return Err(TrustError::Twice(key.id.to_string()));
            }
        }
        let speakers: Vec<Speaker> = self.speakers().collect();
        if speakers.iter().any(|speaker| speaker.issuer == ACCOUNTS) {
            return Err(TrustError::Reserved);
        }
        for (at, one) in speakers.iter().enumerate() {
            let beside = |other: &&Speaker| other.issuer != one.issuer && other.tenant == one.tenant;
            for other in speakers.iter().skip(at + 1).filter(beside) {
                if let Some(kind) = one.kinds.intersection(other.kinds).next() {
                    return Err(TrustError::Overlap {
                        one: one.issuer.to_owned(),
                        other: other.issuer.to_owned(),
                        kind: kind.as_str(),
                        tenant: one.tenant.to_string(),
                        revoked: one.revoked || other.revoked,
                    });
                }
            }
        }
        let mut named: BTreeMap<Named, &str> = BTreeMap::new();
        for issuer in &self.issuers {
            for account in issuer.accounts() {
                let name = issuer.issuer.issuer.as_str();
                let other = named.insert(account.clone(), name);
                if let Some(other) = other.filter(|other| *other != name) {
                    return Err(TrustError::SameAccount {
                        one: other.to_owned(),
                        other: name.to_owned(),
                        name: account.name.to_string(),
                        tenant: account.tenant.to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    /// The keys, revoked and retired ones included.
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// The issuers whose keys are found at an address, revoked ones included.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// Everybody who speaks for all principals of a kind, revoked ones included.
    fn speakers(&self) -> impl Iterator<Item = Speaker<'_>> {
        let fixed = self.keys.iter().filter(|key| key.under.is_none()).map(|key| Speaker {
            issuer: &key.issuer,
            tenant: &key.tenant,
            kinds: &key.kinds,
            revoked: key.revoked_at.is_some(),
        });
        let issuers = self.issuers.iter().filter_map(|known| {
            let names = known.issuer.names.as_ref()?;
            Some(Speaker {
                issuer: &known.issuer.issuer,
                tenant: &names.tenant,
                kinds: &names.kinds,
                revoked: known.revoked_at.is_some(),
            })
        });
        fixed.chain(issuers)
    }

    /// The issuer that published a key, as it is trusted now; none where the key is trusted by itself.
    pub(crate) fn publisher(&self, key: &TrustedKey) -> Option<&Issuer> {
        let under = key.under?;
        self.issuers.iter().find(|known| known.seq == under && known.issuer.issuer == key.issuer)
    }

    /// The keys that tokens may name so: those that are trusted by themselves, and those that an issuer
    /// publishes now under what is said of it now.
    pub(crate) fn called(&self, kid: &str) -> Vec<&TrustedKey> {
        let counts = |key: &&TrustedKey| {
            key.is_called(kid)
                && key.retired_at.is_none()
                && (key.under.is_none() || self.publisher(key).is_some())
        };
        self.keys.iter().filter(counts).collect()
    }

    /// Whether a key was revoked, under whatever name: the same one may be trusted by itself and published by
    /// its issuer.
    pub(crate) fn is_revoked_key(&self, key: &TrustedKey) -> bool {
        let same = |other: &TrustedKey| other.issuer == key.issuer && other.public_key == key.public_key;
        key.revoked_at.is_some() || self.keys.iter().any(|other| other.revoked_at.is_some() && same(other))
    }

    /// Whether a service account is kept here and closed: nothing proves it any more, whoever speaks for it.
    pub(crate) fn is_closed(&self, whom: &Principal) -> bool {
        let account = self.accounts.get(&(whom.tenant.clone(), whom.id.clone()));
        whom.kind == PrincipalKind::ServiceAccount
            && account.is_some_and(|account| account.closed_at.is_some())
    }

    /// Whether a key speaks for a principal, be it revoked or not; else the issuer that does, if any.
    pub(crate) fn speaks_for(&self, key: &TrustedKey, whom: &Principal) -> Result<(), Option<&str>> {
        let owner = self.declared(whom);
        if let Some(known) = self.publisher(key).filter(|known| known.issuer.names.is_none()) {
            let mut accounts = known.issuer.accounts.iter();
            let theirs = accounts.any(|a| (&a.tenant, &a.name) == (&whom.tenant, &whom.id));
            return if theirs { Ok(()) } else { Err(owner) };
        }
        if owner.is_some() {
            return Err(owner);
        }
        let covers = key.kinds.contains(&whom.kind) && key.tenant.contains(&whom.tenant);
        match self.innermost(whom.kind, &whom.tenant) {
            Some(issuer) if issuer == key.issuer && covers => Ok(()),
            other => Err(other.filter(|issuer| *issuer != key.issuer)),
        }
    }

    /// Who alone speaks for a service account, if it is declared.
    pub fn declared(&self, whom: &Principal) -> Option<&str> {
        if whom.kind != PrincipalKind::ServiceAccount {
            return None;
        }
        let is = |named: Named| (&named.tenant, &named.name) == (&whom.tenant, &whom.id);
        let issuer = self.issuers.iter().find(|known| known.accounts().any(is));
        let kept = || self.accounts.contains_key(&(whom.tenant.clone(), whom.id.clone())).then_some(ACCOUNTS);
        issuer.map(|known| known.issuer.issuer.as_str()).or_else(kept)
    }

    /// A service account that is kept here, and open.
    pub(crate) fn open_account(&self, tenant: &TenantPath, name: &PrincipalId) -> Option<&Account> {
        let account = self.accounts.get(&(tenant.clone(), name.clone()));
        account.filter(|account| account.closed_at.is_none())
    }

    /// Whether a token was revoked by its name.
    pub(crate) fn is_revoked(&self, issuer: &str, token_id: &str, whom: &Principal) -> bool {
        let mut revoked = self.revoked.get(token_id).into_iter().flatten();
        revoked.any(|revoked| revoked.issuer == issuer && revoked.tenant.contains(&whom.tenant))
    }

    /// The issuer that names the principals of a kind in a tenant: of those whose keys cover it, the one
    /// with the innermost tenant.
    pub fn innermost(&self, kind: PrincipalKind, tenant: &TenantPath) -> Option<&str> {
        let covering = self
            .speakers()
            .filter(|speaker| speaker.kinds.contains(&kind) && speaker.tenant.contains(tenant));
        // Tenants that all hold the same one lie in one another.
        let innermost = covering.reduce(|a, b| if a.tenant.contains(b.tenant) { b } else { a });
        innermost.map(|speaker| speaker.issuer)
    }
}

impl Issuer {
    /// The accounts that it speaks for or spoke for.
    fn accounts(&self) -> impl Iterator<Item = Named> {
        let declared = self.issuer.accounts.iter();
        let declared = declared.map(|a| Named { tenant: a.tenant.clone(), name: a.name.clone() });
        declared.chain(self.before.iter().cloned())
    }
}
