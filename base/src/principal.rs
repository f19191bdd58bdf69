//! Who asks.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::TenantPath;

/// What sort of actor a principal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A machine with its own credentials, such as a CI job.
    ServiceAccount,
    /// A coding agent.
    Agent,
}

impl PrincipalKind {
    /// The kind as documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ServiceAccount => "service_account",
            Self::Agent => "agent",
        }
    }
}

/// Who asks: a user, a service account or an agent, at home in a tenant.
///
/// The text form is `kind:id`, like `user:dana@acme.example`; the tenant is where the principal
/// belongs, which bounds where it may act.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Principal {
    /// Person, machine or agent.
    pub kind: PrincipalKind,
    /// The name its issuer gave it, unique within its kind.
    pub id: String,
    /// The home tenant.
    pub tenant: TenantPath,
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.id)
    }
}
