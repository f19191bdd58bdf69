//! What is so beside runs: who was made what, which keys are trusted, what is switched off.

use std::collections::BTreeMap;

use cku_base::{Digest, TenantPath, Timestamp};
use cku_engine::access::RoleGrant;
use cku_gates::Authentication;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The subject of the first entry.
pub const GENESIS: &str = "genesis";
/// The subject of all entries about keys: one stream, so that what two do at once is done in an order.
pub(crate) const KEYS: &str = "keys";
/// The role of those who may do everything, in the bundles that have it.
pub(crate) const ADMIN: &str = "admin";

/// The subject of entries about a role. The administrators of the root are one stream, so that two who
/// take the role from each other at once do not both succeed.
pub(crate) fn role_subject(grant: &RoleGrant) -> String {
    match grant.role == ADMIN && grant.tenant == TenantPath::root() {
        true => "role:admin".to_owned(),
        false => format!("role:{}", grant.principal),
    }
}

/// How bundles become active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// What a directory holds is active, once it loads.
    Files,
    /// Only change control activates.
    Managed,
}

/// The first entry of the root tenant, made once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Genesis {
    /// Who may do everything at first.
    pub admin: Admin,
    /// How people prove who they are: by tokens, or not at all (`local`, a single user).
    pub authentication: Authentication,
    /// What tokens must be meant for.
    pub audience: String,
    /// Keys whose tokens are trusted, as `auth` reads them.
    pub keys: Vec<Value>,
    /// Revisions that are active from the start, by the name of their use.
    pub bundles: BTreeMap<String, Digest>,
    /// How bundles become active.
    pub control: Control,
    /// The directory of the bundle, where files are the truth; none for what is built into cku.
    #[serde(default)]
    pub directory: Option<String>,
    /// What no bundle can lower.
    pub floor: Floor,
}

/// The first administrator: a principal, and who says that it is the one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admin {
    /// Who signs its tokens; none for a single local user.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Who.
    pub principal: cku_base::Principal,
}

/// What no bundle can lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// Distinct human administrators that change the change-control bundle.
    pub change_control_admins: u32,
}

impl Default for Floor {
    fn default() -> Self {
        Self { change_control_admins: 2 }
    }
}

/// A role that was granted or revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleChange {
    /// Who holds which role where.
    pub grant: RoleGrant,
}

/// The kill switch was set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillSwitch {
    /// Whether everything is stopped now, in the entry's tenant and below.
    pub on: bool,
    /// Why.
    pub reason: String,
}

/// A key is trusted from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyTrusted {
    /// The key, as `auth` reads it.
    pub key: Value,
    /// Its id.
    pub id: String,
}

/// A key is trusted no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRevoked {
    /// Its id.
    pub id: String,
    /// From when on.
    pub revoked_at: Timestamp,
    /// Why.
    pub reason: String,
}

/// A bundle became the active one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleActivated {
    /// Its revision.
    pub revision: Digest,
    /// The blob that holds its files.
    pub files: Digest,
    /// Its name.
    pub name: String,
    /// What it decides over.
    #[serde(default, skip_serializing_if = "Purpose::is_gates")]
    pub purpose: Purpose,
    /// The policy diff that brought it; none for the first, and for files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<Digest>,
    /// Whether a change was taken back by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
}

/// What a bundle decides over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Runs, and acts of people.
    #[default]
    Gates,
    /// Changes of bundles.
    ChangeControl,
}

impl Purpose {
    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gates => "gates",
            Self::ChangeControl => "change-control",
        }
    }

    fn is_gates(&self) -> bool {
        *self == Self::Gates
    }
}

/// Somebody asked to do something and may not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessDecided {
    /// What was asked for, like `gate:approve`.
    pub action: String,
    /// Of what.
    pub resource: String,
    /// The run it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Whether it was allowed.
    pub allowed: bool,
    /// By which policies, or why not.
    pub why: String,
    /// Under which policies.
    pub bundle_revision: Digest,
}
