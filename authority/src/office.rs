//! What is so beside runs: who was made what, which keys are trusted, what is switched off.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use cku_base::{BasisPoints, Digest, TenantPath, Timestamp};
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

/// Releases are frozen for a time, or no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreezeSet {
    /// Whether there is a freeze, in the entry's tenant and below.
    pub on: bool,
    /// Since when; at once without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Until when; until it is set otherwise without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

impl FreezeSet {
    /// Whether it holds at a time.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.on && self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }
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
    /// Whether a change, or with another stage than `active` a trial, was taken back by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
    /// Where it decides.
    #[serde(default, skip_serializing_if = "Modes::is_all")]
    pub modes: Modes,
    /// Whether it decides, or is only tried.
    #[serde(default, skip_serializing_if = "Stage::is_active")]
    pub stage: Stage,
}

/// Modes in which a bundle decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Modes(BTreeSet<String>);

impl Modes {
    /// All of them, also those that a later bundle adds.
    pub fn all() -> Self {
        Self::default()
    }

    /// These; all of them where none is named.
    pub fn of<'m>(names: impl IntoIterator<Item = &'m str>) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }

    /// Whether no mode is left out.
    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this mode is one of them.
    pub fn covers(&self, mode: &str) -> bool {
        self.is_all() || self.0.contains(mode)
    }

    /// Whether some mode is among both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.is_all() || other.is_all() || !self.0.is_disjoint(&other.0)
    }

    /// The names; none where it is all of them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl fmt::Display for Modes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_all() {
            true => f.write_str("all modes"),
            false => f.write_str(&self.names().collect::<Vec<_>>().join(", ")),
        }
    }
}

/// How far a bundle has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It decides.
    #[default]
    Active,
    /// It decides beside what is active, without effect.
    Shadow,
    /// It decides over a share of the runs.
    Canary {
        /// How many of 10,000.
        share: BasisPoints,
        /// It is taken back by itself when so many of its runs have failed; never where there is no number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stop_after: Option<u64>,
    },
}

impl Stage {
    /// As people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Shadow => "shadow",
            Self::Canary { .. } => "canary",
        }
    }

    fn is_active(&self) -> bool {
        *self == Self::Active
    }
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
