//! Questions to the access policies, and their answers.

use std::collections::{BTreeMap, BTreeSet};

use cku_base::{Principal, TenantPath};
use serde::{Deserialize, Serialize};

/// Who holds which role where; it holds in the tenant and below.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoleGrant {
    /// Who holds it.
    pub principal: Principal,
    /// One of the roles that the bundle's manifest names.
    pub role: String,
    /// Where it was granted.
    pub tenant: TenantPath,
}

/// May this principal do this to that?
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// Who asks.
    pub principal: &'q Principal,
    /// All grants that are known; those of others are passed over.
    pub grants: &'q [RoleGrant],
    /// The action, like `run:create`.
    pub action: &'q str,
    /// What it is done to.
    pub resource: &'q Resource,
    /// The mode of the run.
    pub mode: &'q str,
    /// `token` or `local`.
    pub authentication: &'q str,
}

impl<'q> Question<'q> {
    /// The grants of the principal who asks.
    pub(crate) fn grants_held(&self) -> impl Iterator<Item = &'q RoleGrant> + use<'q> {
        let (grants, principal) = (self.grants, self.principal);
        grants.iter().filter(move |g| g.principal == *principal)
    }
}

/// What an action is done to: an entity that belongs to a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resource {
    /// The Cedar entity type, like `Run`.
    pub type_name: String,
    /// The entity's name.
    pub id: String,
    /// The tenant it belongs to; attribute `tenant`.
    pub tenant: TenantPath,
    /// Its other attributes.
    pub attributes: BTreeMap<String, AttributeValue>,
}

/// The value of an attribute of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AttributeValue {
    /// `Bool`.
    Bool(bool),
    /// `Long`.
    Long(i64),
    /// `String`.
    Text(String),
    /// `Set<String>`.
    Texts(BTreeSet<String>),
}

impl AttributeValue {
    /// Reads a JSON value; none for what no attribute can hold.
    pub fn from_json(value: &serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::Bool(b) => Some(Self::Bool(*b)),
            serde_json::Value::Number(n) => n.as_i64().map(Self::Long),
            serde_json::Value::String(text) => Some(Self::Text(text.clone())),
            serde_json::Value::Array(items) => {
                let texts = items.iter().map(|i| i.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().map(Self::Texts)
            }
            _ => None,
        }
    }
}

impl Resource {
    /// A run of a tenant, with the text forms of those who wrote it.
    ///
    /// The entity has a fixed name, since no policy can depend on the id of a run that is not there yet.
    pub fn run(tenant: &TenantPath, authors: &BTreeSet<String>) -> Self {
        Self::authored("Run", "run".to_owned(), tenant, authors)
    }

    /// A gate of such a run.
    pub fn gate(name: &str, tenant: &TenantPath, authors: &BTreeSet<String>) -> Self {
        let mut gate = Self::authored("Gate", name.to_owned(), tenant, authors);
        gate.attributes.insert("name".to_owned(), AttributeValue::Text(name.to_owned()));
        gate
    }

    /// A policy diff of a tenant, with the text forms of those who wrote it.
    pub fn policy_diff(tenant: &TenantPath, authors: &BTreeSet<String>) -> Self {
        Self::authored("PolicyDiff", "diff".to_owned(), tenant, authors)
    }

    /// The journal of a tenant.
    pub fn journal(tenant: &TenantPath) -> Self {
        let attributes = BTreeMap::new();
        Self { type_name: "Journal".to_owned(), id: tenant.to_string(), tenant: tenant.clone(), attributes }
    }

    /// A tenant itself.
    pub fn tenant(tenant: &TenantPath) -> Self {
        Self {
            type_name: "Tenant".to_owned(),
            id: tenant.to_string(),
            tenant: tenant.clone(),
            attributes: BTreeMap::new(),
        }
    }

    fn authored(type_name: &str, id: String, tenant: &TenantPath, authors: &BTreeSet<String>) -> Self {
        let authors = AttributeValue::Texts(authors.clone());
        Self {
            type_name: type_name.to_owned(),
            id,
            tenant: tenant.clone(),
            attributes: BTreeMap::from([("authors".to_owned(), authors)]),
        }
    }
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Yes, by these policies.
    Allowed {
        /// Their ids, sorted.
        by: Vec<String>,
    },
    /// No.
    Denied(Denial),
}

impl Answer {
    /// Whether it is yes.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

/// Why the answer is no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// No policy permits it.
    #[error("no policy permits it")]
    NotPermitted,
    /// These policies forbid it.
    #[error("forbidden by {}", .0.join(", "))]
    Forbidden(Vec<String>),
    /// The target is not one of `data.entities`.
    #[error("the target is unknown")]
    UnknownTarget,
    /// The kind of target is not mapped to an entity type in `bundle.yaml`.
    #[error("the kind of target is not mapped in bundle.yaml")]
    UnmappedKind,
    /// The text is not `kind:tenant/name`.
    #[error("not a target; targets are written `kind:tenant/name`")]
    MalformedTarget,
    /// The question could not be answered.
    #[error("{0}")]
    Error(String),
}

/// The roles that a principal holds in a tenant, inherited ones included.
pub fn roles_of<'g>(
    principal: &Principal,
    tenant: &TenantPath,
    grants: &'g [RoleGrant],
) -> BTreeSet<&'g str> {
    grants
        .iter()
        .filter(|g| g.principal == *principal && g.tenant.contains(tenant))
        .map(|g| g.role.as_str())
        .collect()
}
