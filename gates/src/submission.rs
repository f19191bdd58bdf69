//! What a caller may send: the work, and the evidence for it.

use std::collections::BTreeMap;

use cku_base::{Principal, PrincipalKind, TenantPath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::evidence::Evidence;

/// A piece of work that somebody wants carried out, with the evidence for it.
///
/// It holds no principal, no votes, no approvals, no state, no time and no ids: those a caller
/// cannot say about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "an object with `intent` and what is to be done")]
pub struct RunSubmission {
    /// What it is for, in a sentence.
    pub intent: String,
    /// Free members for organisation rules.
    #[serde(default)]
    pub labels: BTreeMap<String, Value>,
    /// The steps to carry out.
    #[serde(default)]
    pub plan: Option<Plan>,
    /// The change that the run is about.
    #[serde(default)]
    pub change: Option<Change>,
    /// Reports of tools, parsed.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
}

/// The steps of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "an object with `steps`")]
pub struct Plan {
    /// Who wrote it, if it was not the one who submits it.
    #[serde(default)]
    #[schemars(with = "Option<PrincipalSchema>")]
    pub author: Option<Principal>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// How the whole is undone, in words.
    #[serde(default)]
    pub rollback: Option<String>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "an object with `id` and `skill`")]
pub struct Step {
    /// Its name within the plan.
    pub id: String,
    /// What carries it out.
    pub skill: String,
    /// The arguments of the skill.
    #[serde(default)]
    pub with: Map<String, Value>,
    /// What it touches, like `service:acme/payments/api`.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Whether it changes anything; what is not said to have no effects has effects.
    #[serde(default = "yes")]
    pub effects: bool,
    /// Whether it can be undone; what is not said to be reversible is not.
    #[serde(default)]
    pub reversible: bool,
    /// What it is expected to cost, in cents.
    #[serde(default)]
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub estimated_cost: Cents,
    /// The steps that come before it.
    #[serde(default)]
    pub needs: Vec<String>,
    /// How it is undone: arguments of the same skill.
    #[serde(default)]
    pub undo: Option<Map<String, Value>>,
    /// What its author wishes when it fails; the healing policy decides.
    #[serde(default)]
    pub on_failure: Option<OnFailure>,
}

/// What the author of a step wishes when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Try it again.
    Retry,
    /// Go on without it.
    Skip,
    /// Undo what was done.
    Rollback,
    /// Wait for a person.
    Alert,
}

/// The change that a run is about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "an object with `files`, `commands`, `base`, `head` and `boundary`", default)]
pub struct Change {
    /// Paths that it changes.
    pub files: Vec<String>,
    /// Commands that made it or will make it.
    pub commands: Vec<String>,
    /// The commit it starts from.
    pub base: Option<String>,
    /// The commit it ends at.
    pub head: Option<String>,
    /// Globs that the changed paths stay within.
    #[schemars(with = "Vec<String>")]
    pub boundary: Vec<PathGlob>,
}

/// A glob over paths: at most 256 bytes and 16 braces, not nested.
///
/// The caller writes it, and a pattern whose expansion explodes would exhaust whoever compiles it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathGlob(String);

impl TryFrom<String> for PathGlob {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (mut open, mut braces, mut stars) = (false, 0, 0);
        for c in text.chars() {
            match c {
                '{' if open => return Err("a glob with nested braces; write two globs".to_owned()),
                '{' => (open, braces) = (true, braces + 1),
                '}' => open = false,
                '*' | '?' | '[' => stars += 1,
                _ => {}
            }
        }
        if text.len() > 256 || braces > 16 || stars > 32 {
            return Err(
                "a glob with more than 256 bytes, 16 braces or 32 wildcards; write several".to_owned()
            );
        }
        Ok(Self(text))
    }
}

impl From<PathGlob> for String {
    fn from(glob: PathGlob) -> Self {
        glob.0
    }
}

/// Cents, at most 2^53 − 1, so that every reader holds them exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
pub struct Cents(u64);

impl TryFrom<u64> for Cents {
    type Error = String;

    fn try_from(cents: u64) -> Result<Self, String> {
        (cents < 1 << 53)
            .then_some(Self(cents))
            .ok_or_else(|| format!("{cents} cents are more than 2^53 - 1"))
    }
}

/// The JSON Schema of [`RunSubmission`].
pub fn schema() -> Value {
    schemars::schema_for!(RunSubmission).to_value()
}

fn yes() -> bool {
    true
}

/// A principal, as its JSON Schema.
#[derive(JsonSchema)]
#[schemars(rename = "Principal")]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct PrincipalSchema {
    /// Person, machine or agent.
    #[schemars(with = "KindSchema")]
    kind: PrincipalKind,
    /// The name its issuer gave it.
    id: String,
    /// The home tenant, like `acme/payments`.
    #[schemars(with = "String")]
    tenant: TenantPath,
}

#[derive(JsonSchema)]
#[schemars(rename = "PrincipalKind", rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum KindSchema {
    User,
    ServiceAccount,
    Agent,
}
