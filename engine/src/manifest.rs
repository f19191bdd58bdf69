//! `bundle.yaml`: what a bundle says about itself.

use std::{collections::BTreeMap, time::Duration};

use cku_base::diagnostic::{Diagnostic, LineIndex, Place};
use cku_base::document::{self, Limits as DocumentLimits};
use semver::{Version, VersionReq};
use serde::Deserialize;

/// The file every bundle has.
pub(crate) const MANIFEST_FILE: &str = "bundle.yaml";

/// What a bundle says about itself.
///
/// Unknown members are errors: a typo in a manifest must not become a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The bundle's name.
    pub name: String,
    /// The versions of cku that may load it, like `>=0.1`.
    #[serde(default)]
    pub cku: Option<String>,
    /// The modes a run may ask for.
    pub modes: Vec<String>,
    /// Role name to the attribute of the Cedar type `Tenant` that holds its `Role` entity.
    #[serde(default)]
    pub roles: BTreeMap<String, String>,
    /// Kind in a target text (`service:acme/payments/api`) to Cedar entity type.
    #[serde(default)]
    pub targets: BTreeMap<String, String>,
    /// How questions of other systems are understood.
    #[serde(default)]
    pub authzen: AuthzenMapping,
    /// Data paths that the bundle owns, as in OPA; empty means all.
    #[serde(default)]
    pub roots: Vec<String>,
    /// Paths of a decision's input that are stored masked.
    #[serde(default)]
    pub mask: Vec<String>,
    /// Whether changes take the stricter way.
    #[serde(default)]
    pub protected: bool,
    /// Who answers for it.
    #[serde(default)]
    pub owners: Vec<String>,
    /// What one evaluation may use.
    #[serde(default)]
    pub limits: Limits,
}

/// How questions of other systems, in the form of AuthZEN, are understood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthzenMapping {
    /// Type of a subject or resource to Cedar entity type; without it, the entity type of that name.
    pub types: BTreeMap<String, String>,
    /// Action to the Rego rule that decides it, like `data.todo.may_read`: true permits.
    pub rego: BTreeMap<String, String>,
    /// Type to the properties of stored entities that a request may say otherwise.
    pub request_wins: BTreeMap<String, Vec<String>>,
}

/// What one evaluation may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a decision's input.
    pub input_bytes: usize,
    /// Nesting of the input and of policy texts.
    pub nesting: usize,
    /// Wall-clock milliseconds for one entry point; past them a decision is not decidable.
    pub time_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { input_bytes: 4 << 20, nesting: 64, time_ms: 2_000 }
    }
}

impl Limits {
    /// The time limit of one entry point.
    pub fn time(&self) -> Duration {
        Duration::from_millis(self.time_ms)
    }

    /// The limits for reading a document of the input.
    pub fn document(&self) -> DocumentLimits {
        DocumentLimits { bytes: self.input_bytes, depth: self.nesting }
    }
}

impl Manifest {
    /// Reads and checks the manifest's text.
    pub fn read(text: &str) -> Result<Self, Diagnostic> {
        document::read_yaml(MANIFEST_FILE, text.as_bytes(), DocumentLimits::default())?;
        let manifest: Self = serde_yaml::from_str(text).map_err(|error| {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            let place = error.location().map_or_else(
                || Place::whole_file(MANIFEST_FILE),
                |at| {
                    let (line, column) = (at.line() as u32, at.column() as u32);
                    LineIndex::new(text).place_at(MANIFEST_FILE, line, column)
                },
            );
            Diagnostic::error("B002", format!("the manifest is not usable: {message}")).at(place)
        })?;
        manifest.check().map_err(|d| d.at(Place::whole_file(MANIFEST_FILE)))?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), Diagnostic> {
        let refuse = |message: String| Err(Diagnostic::error("B002", message));
        if self.modes.is_empty() {
            return refuse("`modes` is empty; a bundle needs at least one mode".to_owned());
        }
        if let Some(mode) = self.modes.iter().find(|m| !is_name(m)) {
            return refuse(format!("`{mode}` is not a mode; write lower-case letters, digits and `_`"));
        }
        let mut modes: Vec<&String> = self.modes.iter().collect();
        modes.sort();
        modes.dedup();
        if modes.len() != self.modes.len() {
            return refuse("`modes` names a mode twice".to_owned());
        }
        if self.limits.nesting > 64 || self.limits.nesting == 0 {
            return refuse(format!("`limits.nesting` is {}; it can be 1 to 64", self.limits.nesting));
        }
        if !(1..=60_000).contains(&self.limits.time_ms) {
            return refuse(format!("`limits.time_ms` is {}; it can be 1 to 60000", self.limits.time_ms));
        }
        self.check_version()
    }

    fn check_version(&self) -> Result<(), Diagnostic> {
        let Some(wanted) = &self.cku else { return Ok(()) };
        let this = env!("CARGO_PKG_VERSION");
        let requirement = VersionReq::parse(wanted).map_err(|error| {
            Diagnostic::error("B002", format!("`cku: {wanted}` is not a version requirement: {error}"))
                .help("write it like `>=0.1`")
        })?;
        match Version::parse(this) {
            Ok(version) if requirement.matches(&version) => Ok(()),
            _ => Err(Diagnostic::error("B003", format!("the bundle needs cku {wanted}, this is cku {this}"))),
        }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
