//! Whose tokens count.

use std::{collections::BTreeSet, time::Duration};

use cku_base::{Principal, PrincipalKind, TenantPath};

use crate::key::TrustedKey;

/// Keys that are trusted, and what their tokens must be meant for.
///
/// Whom a key speaks for: the principals of its kinds at home in its tenant or below, but for those for
/// whom a key of another issuer speaks further down. A revoked key keeps its names: nobody else speaks
/// for them.
///
/// INVARIANT: no two issuers have keys for the same kind in the same tenant, revoked ones included.
#[derive(Debug, Clone)]
pub struct Trust {
    pub(crate) keys: Vec<TrustedKey>,
    pub(crate) audience: String,
    pub(crate) leeway: Duration,
    pub(crate) longest: Duration,
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
    /// A key is there twice.
    #[error("the key {0} is trusted already")]
    Twice(String),
    /// The name of a key is not that of the key.
    #[error("the key {0} is not the one that its name says")]
    OtherKey(String),
    /// Nothing says whom tokens are meant for.
    #[error("the audience is empty; write what tokens must be meant for, like `cku`")]
    NoAudience,
}

impl Trust {
    /// Trusts these keys for tokens that are meant for `audience`; clocks may differ by 30 seconds, and
    /// tokens hold 24 hours at most.
    ///
    /// Two issuers for the same kind in the same tenant are refused; of two whose tenants lie in one
    /// another, the inner one speaks for what is its own.
    pub fn new(keys: Vec<TrustedKey>, audience: &str) -> Result<Self, TrustError> {
        if audience.is_empty() {
            return Err(TrustError::NoAudience);
        }
        let mut ids = BTreeSet::new();
        for (at, key) in keys.iter().enumerate() {
            if key.public_key.id() != key.id {
                return Err(TrustError::OtherKey(key.id.to_string()));
            }
            if !ids.insert(&key.id) {
                return Err(TrustError::Twice(key.id.to_string()));
            }
            let beside = |other: &&TrustedKey| other.issuer != key.issuer && other.tenant == key.tenant;
            for other in keys.iter().skip(at + 1).filter(beside) {
                if let Some(kind) = key.kinds.intersection(&other.kinds).next() {
                    return Err(TrustError::Overlap {
                        one: key.issuer.clone(),
                        other: other.issuer.clone(),
                        kind: kind.as_str(),
                        tenant: key.tenant.to_string(),
                        revoked: key.revoked_at.is_some() || other.revoked_at.is_some(),
                    });
                }
            }
        }
        let (leeway, longest) = (Duration::from_secs(30), Duration::from_secs(24 * 3_600));
        Ok(Self { keys, audience: audience.to_owned(), leeway, longest })
    }

    /// The keys, revoked ones included.
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// Whether a key speaks for a principal, be it revoked or not; else the issuer that does, if any.
    pub(crate) fn speaks_for(&self, key: &TrustedKey, whom: &Principal) -> Result<(), Option<&str>> {
        match self.innermost(whom.kind, &whom.tenant) {
            Some(issuer) if issuer == key.issuer && key.covers(whom.kind, &whom.tenant) => Ok(()),
            other => Err(other.filter(|issuer| *issuer != key.issuer)),
        }
    }

    /// The issuer that names the principals of a kind in a tenant: of those whose keys cover it, the one
    /// with the innermost tenant.
    pub fn innermost(&self, kind: PrincipalKind, tenant: &TenantPath) -> Option<&str> {
        let covering = self.keys.iter().filter(|key| key.covers(kind, tenant));
        // Tenants that all hold the same one lie in one another.
        let innermost = covering.reduce(|a, b| if a.tenant.contains(&b.tenant) { b } else { a });
        innermost.map(|key| key.issuer.as_str())
    }
}
