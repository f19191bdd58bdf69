//! Service accounts that are kept here, and what proves them.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cku_base::{Digest, Principal, PrincipalId, PrincipalKind, TenantPath, Timestamp};
use serde::{Deserialize, Serialize};

/// How tokens of service accounts begin, so that people and scanners know one when they see it.
pub const PREFIX: &str = "cku_sa_";

/// A service account that is kept here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Where it is at home.
    pub tenant: TenantPath,
    /// Its name.
    pub name: PrincipalId,
    /// Since when it is closed: nothing proves it any more, and nobody else has its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
}

impl Account {
    /// As it acts.
    pub fn principal(&self) -> Principal {
        Principal { kind: PrincipalKind::ServiceAccount, id: self.name.clone(), tenant: self.tenant.clone() }
    }
}

/// What is known of a token of a service account: never the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// How people name it: the beginning of its digest.
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

/// A token of a service account, which is shown once.
pub struct Secret(String);

impl Secret {
    /// From 32 random bytes.
    pub fn new(random: &[u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
    }

    /// The token itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", credential_id(&self.digest()))
    }
}

/// How people name the token with this digest.
pub fn credential_id(digest: &Digest) -> String {
    let begin = digest.as_bytes().iter().take(8).map(|byte| format!("{byte:02x}"));
    format!("sat-{}", begin.collect::<String>())
}
