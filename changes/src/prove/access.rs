//! The access policies, per action and kind of request.

use std::collections::BTreeMap;

use cedar_policy::{Entities, EntityUid, EvalResult, PolicySet, Request, RequestEnv};
use cku_engine::Bundle;

use super::{
    Counterexample, Direction, Draft, Proof, What,
    policies::{AccessPolicies, bare, decide, fingerprint},
    solver::{Query, Question, Task},
};

/// What changed in who may do what.
pub(super) fn compare<'q>(old: &Bundle, new: &Bundle) -> Vec<Draft<'q>> {
    let known = |direction, statement: &str, proof| {
        vec![Draft::known(What::AccessSchema, direction, statement, proof)]
    };
    let (old, new) = match (AccessPolicies::of(old), AccessPolicies::of(new)) {
        (Ok(Some(old)), Ok(Some(new))) => (old, new),
        (Ok(None), Ok(None)) => return Vec::new(),
        (Err(why), _) | (_, Err(why)) => {
            let proof = Proof::Unproved { why };
            return known(Direction::Unproved, "the access policies can be read", proof);
        }
        _ => return known(Direction::Incomparable, "only one side has access policies", Proof::Structural),
    };
    if bare(&old.schema_text, "//") != bare(&new.schema_text, "//") {
        return known(Direction::Incomparable, "the access schema is another", Proof::Structural);
    }
    let mut actions: Vec<EntityUid> = new.schema.actions().cloned().collect();
    actions.sort_by_key(ToString::to_string);
    actions.iter().filter_map(|action| of_action(&old, &new, action)).collect()
}

fn of_action<'q>(old: &AccessPolicies, new: &AccessPolicies, action: &EntityUid) -> Option<Draft<'q>> {
    let (before, after) = (old.on(action), new.on(action));
    if fingerprint(&before) == fingerprint(&after) {
        return None;
    }
    let what = What::Access { action: AsRef::<str>::as_ref(action.id()).to_owned() };
    let sets = PolicySet::from_policies(before).ok().zip(PolicySet::from_policies(after).ok());
    let Some((before, after)) = sets else {
        let proof = Proof::Unproved { why: "two policies share an id".to_owned() };
        return Some(Draft::known(what, Direction::Unproved, "the policies can be compared", proof));
    };
    let requests = requests_of(new, action);
    let asked = |narrow: &PolicySet, wide: &PolicySet, said: Said| {
        requests.iter().map(|requests| query(new, requests, narrow, wide, said)).collect()
    };
    let no_looser = asked(&after, &before, Said { allowed: "was allowed before", happens: "now" });
    let no_stricter = asked(&before, &after, Said { allowed: "is allowed as before", happens: "no longer" });
    Some(Draft::Open { what, no_looser, no_stricter })
}

/// The kinds of requests with an action, in a fixed order.
pub(super) fn requests_of(policies: &AccessPolicies, action: &EntityUid) -> Vec<RequestEnv> {
    let mut requests: Vec<RequestEnv> =
        policies.schema.request_envs().filter(|requests| requests.action() == action).collect();
    requests.sort_by_key(|r| (r.principal().to_string(), r.resource().to_string()));
    requests
}

/// The words of a statement and its counterexample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    pub(super) allowed: &'static str,
    pub(super) happens: &'static str,
}

/// That whatever the narrow set allows, the wide one allows.
pub(super) fn query<'q>(
    policies: &AccessPolicies,
    requests: &RequestEnv,
    narrow: &PolicySet,
    wide: &PolicySet,
    said: Said,
) -> Query<'q> {
    let (principal, resource) = (requests.principal().to_string(), requests.resource().to_string());
    let action = AsRef::<str>::as_ref(requests.action().id()).to_owned();
    let statement = format!("`{action}` by {} on {} {}", a(&principal), a(&resource), said.allowed);
    let task = Task {
        schema: policies.schema.clone(),
        schema_text: policies.schema_text.clone(),
        requests: requests.clone(),
        question: Question::Implies { narrow: Box::new(narrow.clone()), wide: Box::new(wide.clone()) },
    };
    let (narrow, wide) = (narrow.clone(), wide.clone());
    let explain = move |request: &Request, entities: &Entities| {
        let (allows, by) = decide(&narrow, request, entities)?;
        let (both, mut policies) = decide(&wide, request, entities)?;
        if !allows || both {
            return Err("both sides decide it alike".to_owned());
        }
        let input = described(request, entities);
        let facts: Vec<&str> = input.values().map(String::as_str).collect();
        let who = if facts.is_empty() { String::new() } else { format!(" who {}", facts.join(" and ")) };
        let happens = said.happens;
        let by = by.join(", ");
        let sentence = format!(
            "{}{who} {happens} may `{action}` on {} (permitted by {by})",
            a(&principal),
            a(&resource)
        );
        policies.sort();
        Ok(Counterexample { sentence, input, policies })
    };
    Query { statement, task, explain: Box::new(explain) }
}

/// What the principal is to the resource.
fn described(request: &Request, entities: &Entities) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    let Some((principal, resource)) = request.principal().zip(request.resource()) else { return said };
    let attribute = |of: &EntityUid, name: &str| {
        entities.get(of).and_then(|entity| entity.attr(name)).and_then(Result::ok)
    };
    let tenant = match attribute(resource, "tenant") {
        Some(EvalResult::EntityUid(tenant)) => tenant,
        _ => resource.clone(),
    };
    let within =
        |below: &EntityUid, above: &EntityUid| below == above || entities.is_ancestor_of(above, below);
    if let Some(EvalResult::EntityUid(home)) = attribute(principal, "tenant") {
        let place = if within(&tenant, &home) { "acts within" } else { "acts outside" };
        said.insert("tenant".to_owned(), format!("{place} their home tenant"));
    }
    let roles = ["admins", "operators", "reviewers", "security", "viewers"];
    let held = roles.into_iter().filter(|role| {
        matches!(attribute(&tenant, role), Some(EvalResult::EntityUid(role)) if within(principal, &role))
    });
    let held: Vec<&str> = held.collect();
    if !held.is_empty() {
        said.insert("roles".to_owned(), format!("is among the {} of its tenant", held.join(", ")));
    }
    let name = match attribute(principal, "name") {
        Some(EvalResult::String(name)) => Some(name),
        _ => None,
    };
    if let Some(EvalResult::Set(authors)) = attribute(resource, "authors")
        && authors.iter().any(|author| matches!(author, EvalResult::String(a) if Some(a) == name.as_ref()))
    {
        said.insert("authors".to_owned(), "is among its authors".to_owned());
    }
    said
}

/// A noun with its article.
fn a(noun: &impl ToString) -> String {
    let noun = noun.to_string();
    let vowel = noun.starts_with(|c: char| "AEIOaeio".contains(c));
    format!("{} {noun}", if vowel { "an" } else { "a" })
}
