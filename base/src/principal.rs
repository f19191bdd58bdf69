//! Who asks.

use std::{fmt, str::FromStr};

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

/// The name that an issuer gave a principal.
///
/// INVARIANT: 1 to 256 visible ASCII characters. Two spellings that look the same would be two
/// people: blanks, invisible characters and letters of other scripts are refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PrincipalId(String);

/// A text that names no principal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no principal; write 1 to 256 visible ASCII characters, like `dana@acme.example`")]
pub struct PrincipalIdError(String);

impl PrincipalId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PrincipalId {
    type Error = PrincipalIdError;

    fn try_from(text: String) -> Result<Self, PrincipalIdError> {
        if (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text))
        } else {
            Err(PrincipalIdError(text.chars().take(100).flat_map(char::escape_debug).collect()))
        }
    }
}

impl FromStr for PrincipalId {
    type Err = PrincipalIdError;

    fn from_str(text: &str) -> Result<Self, PrincipalIdError> {
        Self::try_from(text.to_owned())
    }
}

impl From<PrincipalId> for String {
    fn from(id: PrincipalId) -> Self {
        id.0
    }
}

impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
    pub id: PrincipalId,
    /// The home tenant.
    pub tenant: TenantPath,
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_str(), self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_another_name_is_none() {
        for good in
            ["dana@acme.example", "CiRmZDA2MTRkMy1jMzlhLTQ3ODEtYjdiZA", "repo:acme/api:ref:refs/heads/main"]
        {
            assert!(good.parse::<PrincipalId>().is_ok(), "{good}");
        }
        for bad in ["", " ", "dana ", "dana\n", "dana\u{200b}", "d\u{430}na", "ren\u{e9}", &"x".repeat(257)] {
            assert!(bad.parse::<PrincipalId>().is_err(), "{bad}");
        }
    }
}
