//! What a table file may say.

use std::collections::BTreeMap;

use cku_base::{
    Principal, PrincipalId, PrincipalKind, TenantPath, Timestamp,
    diagnostic::{Diagnostic, Place},
    document::{self, Limits},
};
use cku_engine::BundleFile;
use serde::Deserialize;
use serde_json::Value;

use crate::decision::Verdict;

#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "an object with `fixtures`, `cases`, `boundaries` and `access`"
)]
#[derive(Default)]
pub(super) struct Table {
    pub(super) fixtures: BTreeMap<String, Value>,
    pub(super) cases: Vec<Case>,
    pub(super) boundaries: Vec<Boundary>,
    pub(super) access: Option<AccessTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a case, an object with `name`, `fixture`, `modes` and `expect`")]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) fixture: String,
    #[serde(default)]
    pub(super) set: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) remove: Vec<String>,
    pub(super) modes: Vec<String>,
    /// The time of the decision, in place of the fixture's.
    #[serde(default)]
    pub(super) now: Option<Timestamp>,
    pub(super) expect: Expectation,
}

#[derive(Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "an object with `verdict`, `gates`, `effective`, `rules` and `overridden_by`"
)]
pub(super) struct Expectation {
    /// Of the run.
    pub(super) verdict: Option<Verdict>,
    /// Of single gates.
    pub(super) gates: BTreeMap<String, GateExpectation>,
    /// What counts of single gates.
    pub(super) effective: BTreeMap<String, GateExpectation>,
    /// Exactly the `gate.rule` reasons of the gates named, or of all where none is named.
    pub(super) rules: Option<Vec<String>>,
    /// Who let the PAUSE of single gates pass.
    pub(super) overridden_by: BTreeMap<String, Vec<String>>,
}

impl Expectation {
    /// Whether any decision would do.
    pub(super) fn says_nothing(&self) -> bool {
        self.verdict.is_none()
            && self.rules.is_none()
            && self.gates.is_empty()
            && self.effective.is_empty()
            && self.overridden_by.is_empty()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum GateExpectation {
    #[serde(rename = "PASS")]
    Pass,
    #[serde(rename = "PAUSE")]
    Pause,
    #[serde(rename = "REJECT")]
    Reject,
    #[serde(rename = "unreached")]
    Unreached,
}

impl GateExpectation {
    pub(super) fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Pass => Some(Verdict::Pass),
            Self::Pause => Some(Verdict::Pause),
            Self::Reject => Some(Verdict::Reject),
            Self::Unreached => None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(
    expecting = "a boundary, an object with `name`, `gate`, `fixture`, `vary` or `values`, and a member for each mode"
)]
pub(super) struct Boundary {
    pub(super) name: String,
    pub(super) gate: String,
    pub(super) fixture: String,
    #[serde(default)]
    pub(super) set: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) remove: Vec<String>,
    /// Where the values are put.
    #[serde(default)]
    pub(super) vary: Option<String>,
    /// The threshold of the gate whose value in the mode is added to each: a test that holds wherever the
    /// threshold stands.
    #[serde(default)]
    pub(super) around: Option<String>,
    /// What single values change, where one place does not say it.
    #[serde(default)]
    pub(super) values: BTreeMap<String, BTreeMap<String, Value>>,
    /// Mode to value to the verdict of the gate.
    #[serde(flatten)]
    pub(super) modes: BTreeMap<String, BTreeMap<String, Verdict>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `principals`, `resources` and `table`")]
pub(super) struct AccessTable {
    pub(super) principals: BTreeMap<String, AccessPrincipal>,
    pub(super) resources: BTreeMap<String, AccessResource>,
    pub(super) table: Vec<AccessRow>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a principal, an object with `kind`, `id`, `tenant` and `roles`")]
pub(super) struct AccessPrincipal {
    kind: PrincipalKind,
    id: PrincipalId,
    tenant: TenantPath,
    /// Role to the tenant where it was granted.
    #[serde(default)]
    pub(super) roles: BTreeMap<String, TenantPath>,
}

impl AccessPrincipal {
    pub(super) fn principal(&self) -> Principal {
        Principal { kind: self.kind, id: self.id.clone(), tenant: self.tenant.clone() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "`target: …`, or `type`, `id`, `tenant` and the attributes of an entity")]
pub(super) enum AccessResource {
    Target(TargetResource),
    Entity(EntityResource),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetResource {
    pub(super) target: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct EntityResource {
    #[serde(rename = "type")]
    pub(super) type_name: String,
    pub(super) id: String,
    pub(super) tenant: TenantPath,
    #[serde(flatten)]
    pub(super) attributes: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a row, an object with `action`, `on`, `allow` and `deny`")]
pub(super) struct AccessRow {
    pub(super) action: String,
    pub(super) on: String,
    #[serde(default)]
    pub(super) mode: Option<String>,
    #[serde(default)]
    pub(super) allow: Vec<String>,
    #[serde(default)]
    pub(super) deny: Vec<String>,
}

/// Reads a table file.
pub(super) fn read(file: &BundleFile) -> Result<Table, Diagnostic> {
    let document = document::read_yaml(&file.path, file.text.as_bytes(), Limits::default())?;
    if document.is_null() {
        return Ok(Table::default());
    }
    serde_path_to_error::deserialize(&document).map_err(|error| {
        let message = format!("the table is not usable: `{}`: {}", error.path(), error.inner());
        Diagnostic::error("T001", message).at(Place::whole_file(&file.path))
    })
}
