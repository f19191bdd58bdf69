//! Bounds that a bundle must keep, whoever wants to change it.

use cedar_policy::{Effect, Entities, Policy, PolicySet, Request};
use cku_engine::Bundle;
use cku_lang::Enforcement;
use serde::{Deserialize, Serialize};

use super::{
    Check, Counterexample, Proof, Solver,
    access::{Said, query, requests_of},
    policies::{AccessPolicies, named, on},
    solver::{Query, Question, Task, settle},
};

/// Named bounds on who may do what.
#[derive(Debug, Clone)]
pub struct Invariants {
    bounds: Vec<(Bound, Policy)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// What the bundle permits, the policy permits.
    Upper,
    /// What the policy permits, the bundle permits.
    Lower,
}

impl Invariants {
    /// Reads permits with `@id("…")`, `@bound("upper" | "lower")` and perhaps `@action("…")`, which narrows
    /// a bound to one action; the error says what is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut bounds = Vec::new();
        for policy in named(text)? {
            let bound = match policy.annotation("bound") {
                Some("upper") => Bound::Upper,
                Some("lower") => Bound::Lower,
                _ => {
                    return Err(format!(
                        "`{}` needs `@bound(\"upper\")` or `@bound(\"lower\")`",
                        policy.id()
                    ));
                }
            };
            if policy.effect() != Effect::Permit {
                return Err(format!("`{}` is a forbid; say what is permitted", policy.id()));
            }
            bounds.push((bound, policy));
        }
        Ok(Self { bounds })
    }
}

/// Whether a bundle keeps a bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvariantResult {
    /// The bound.
    pub id: String,
    /// Whether it is kept.
    pub outcome: InvariantOutcome,
}

/// Whether a bound is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvariantOutcome {
    /// For every request.
    Held,
    /// Not for this one.
    Violated {
        /// The request, or what else shows it.
        counterexample: Counterexample,
    },
    /// Nobody knows.
    Unproved {
        /// Why not.
        why: String,
    },
}

impl InvariantResult {
    /// Whether it is known to be kept.
    pub fn is_held(&self) -> bool {
        self.outcome == InvariantOutcome::Held
    }

    fn of(id: String, checks: &[Check]) -> Self {
        let violated = checks.iter().find_map(|check| match &check.proof {
            Proof::Refuted { counterexample } => Some(counterexample.clone()),
            _ => None,
        });
        let unproved = checks.iter().find_map(|check| match &check.proof {
            Proof::Unproved { why } => Some(why.clone()),
            _ => None,
        });
        let outcome = match (violated, unproved) {
            (Some(counterexample), _) => InvariantOutcome::Violated { counterexample },
            (None, Some(why)) => InvariantOutcome::Unproved { why },
            (None, None) if checks.is_empty() => {
                InvariantOutcome::Unproved { why: "it applies to no kind of request".to_owned() }
            }
            (None, None) => InvariantOutcome::Held,
        };
        Self { id, outcome }
    }

    fn unproved(id: String, why: String) -> Self {
        Self { id, outcome: InvariantOutcome::Unproved { why } }
    }

    pub(crate) fn structural(id: String, violation: Option<String>) -> Self {
        let outcome = match violation {
            None => InvariantOutcome::Held,
            Some(sentence) => InvariantOutcome::Violated {
                counterexample: Counterexample { sentence, input: Default::default(), policies: Vec::new() },
            },
        };
        Self { id, outcome }
    }
}

/// Whether the access policies of a bundle keep within bounds.
pub fn check(bundle: &Bundle, invariants: &Invariants, solver: Option<&mut Solver>) -> Vec<InvariantResult> {
    let ids = invariants.bounds.iter().map(|(_, policy)| policy.id().to_string());
    let access = match AccessPolicies::of(bundle) {
        Ok(Some(access)) => access,
        Ok(None) => {
            let why = "the bundle has no access policies".to_owned();
            return ids.map(|id| InvariantResult::unproved(id, why.clone())).collect();
        }
        Err(why) => return ids.map(|id| InvariantResult::unproved(id, why.clone())).collect(),
    };
    let queries = invariants.bounds.iter().map(|(bound, policy)| of_bound(&access, *bound, policy));
    grouped(ids.zip(queries), solver)
}

fn of_bound<'q>(access: &AccessPolicies, bound: Bound, invariant: &Policy) -> Vec<Query<'q>> {
    let mut actions: Vec<_> = access.schema.actions().cloned().collect();
    actions.sort_by_key(ToString::to_string);
    let mut queries = Vec::new();
    let meant = invariant.annotation("action");
    for action in actions.iter().filter(|a| meant.is_none_or(|m| m == AsRef::<str>::as_ref(a.id()))) {
        let invariant = on(std::slice::from_ref(invariant), action, &access.schema);
        let sets =
            PolicySet::from_policies(access.on(action)).ok().zip(PolicySet::from_policies(invariant).ok());
        let Some((bundle, invariant)) = sets.filter(|(_, invariant)| !invariant.is_empty()) else { continue };
        let (narrow, wide, said) = match bound {
            Bound::Upper => {
                (&bundle, &invariant, Said { allowed: "stays within the bound", happens: "wrongly" })
            }
            Bound::Lower => {
                (&invariant, &bundle, Said { allowed: "is allowed within the bound", happens: "no longer" })
            }
        };
        let requests = requests_of(access, action);
        queries.extend(requests.iter().map(|requests| query(access, requests, narrow, wide, said)));
    }
    queries
}

fn grouped<'q>(
    groups: impl Iterator<Item = (String, Vec<Query<'q>>)>,
    solver: Option<&mut Solver>,
) -> Vec<InvariantResult> {
    let (mut outlines, mut queries) = (Vec::new(), Vec::new());
    for (id, group) in groups {
        outlines.push((id, group.len()));
        queries.extend(group);
    }
    let mut checks = settle(solver, queries).into_iter();
    let result = |(id, count): (String, usize)| {
        let checks: Vec<Check> = checks.by_ref().take(count).collect();
        InvariantResult::of(id, &checks)
    };
    outlines.into_iter().map(result).collect()
}

/// Whether no access policy of a bundle ever errs: a policy that errs is skipped, a forbid included.
pub fn never_errs(bundle: &Bundle, solver: Option<&mut Solver>) -> Vec<InvariantResult> {
    let access = match AccessPolicies::of(bundle) {
        Ok(Some(access)) => access,
        Ok(None) => return Vec::new(),
        Err(why) => return vec![InvariantResult::unproved("never errs".to_owned(), why)],
    };
    let mut actions: Vec<_> = access.schema.actions().cloned().collect();
    actions.sort_by_key(ToString::to_string);
    let groups = access.policies.iter().map(|policy| {
        let applies = |action: &&_| !on(std::slice::from_ref(policy), action, &access.schema).is_empty();
        let requests = actions.iter().filter(applies).flat_map(|action| requests_of(&access, action));
        let queries = requests.map(|requests| {
            let task = Task {
                schema: access.schema.clone(),
                schema_text: access.schema_text.clone(),
                requests: requests.clone(),
                question: Question::NeverErrs(Box::new(policy.clone())),
            };
            let explain = |request: &Request, entities: &Entities| erring(policy, request, entities);
            Query { statement: format!("`{}` never errs", policy.id()), task, explain: Box::new(explain) }
        });
        (format!("never errs: {}", policy.id()), queries.collect())
    });
    grouped(groups, solver)
}

fn erring(policy: &Policy, request: &Request, entities: &Entities) -> Result<Counterexample, String> {
    let set = PolicySet::from_policies([policy.clone()]).map_err(|e| e.to_string())?;
    match super::policies::decide(&set, request, entities) {
        Ok(_) => Err("the policy does not err".to_owned()),
        Err(error) => Ok(Counterexample {
            sentence: format!("`{}` errs: {error}", policy.id()),
            input: Default::default(),
            policies: vec![policy.id().to_string()],
        }),
    }
}

/// Whether the bundle has these gates, and enforces those of the second list in every mode.
pub fn structure(bundle: &Bundle, present: &[&str], enforced: &[&str]) -> Vec<InvariantResult> {
    let has = |gate: &&str| {
        let violation = bundle.gate(gate).is_none().then(|| format!("there is no gate `{gate}`"));
        InvariantResult::structural(format!("present: {gate}"), violation)
    };
    let enforces = |gate: &&str| {
        let lacking = bundle.manifest().modes.iter().find(|mode| {
            // A mode without a usable sequence rejects every run.
            bundle.sequence(mode).and_then(|s| s.as_ref().ok()).is_some_and(|steps| {
                !steps.iter().any(|s| s.gate == **gate && s.enforcement == Enforcement::Enforce)
            })
        });
        let violation = lacking.map(|mode| format!("`{gate}` is not enforced in {mode}"));
        InvariantResult::structural(format!("enforced: {gate}"), violation)
    };
    present.iter().map(has).chain(enforced.iter().map(enforces)).collect()
}
