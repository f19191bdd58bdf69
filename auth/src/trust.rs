//! Whose tokens count.

use std::{collections::BTreeSet, time::Duration};

use crate::key::TrustedKey;

/// Keys that are trusted, and what their tokens must be meant for.
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
        "`{one}` and `{other}` would both speak for {kind}s in {tenant}: one name would be two people's; give each issuer tenants or kinds of its own"
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
    /// Two issuers that could name the same principal are refused.
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
            let others = keys.iter().skip(at + 1).filter(|other| other.issuer != key.issuer);
            for other in others {
                let nested = key.tenant.contains(&other.tenant) || other.tenant.contains(&key.tenant);
                if let Some(kind) = key.kinds.intersection(&other.kinds).next().filter(|_| nested) {
                    let inner = if key.tenant.contains(&other.tenant) { &other.tenant } else { &key.tenant };
                    return Err(TrustError::Overlap {
                        one: key.issuer.clone(),
                        other: other.issuer.clone(),
                        kind: kind.as_str(),
                        tenant: inner.to_string(),
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
}
