//! The rules of gates, per gate and mode, for equal facts.

use std::{collections::BTreeMap, sync::Arc};

use cedar_policy::{
    Entities, EntityTypeName, EntityUid, EvalResult, Policy, PolicyId, PolicySet, Request, RequestEnv, Schema,
};
use cku_engine::Bundle;
use cku_lang::{Compiled, Fact, Gate, GateBody, Origin, PolicyEffect, Rules, Type};

use super::{
    Counterexample, Direction, Draft, Proof, What,
    policies::{decide, fingerprint},
    solver::{Query, Question, Task},
};

/// What changed in the gates that both bundles have.
pub(super) fn compare<'q>(old: &'q Bundle, new: &'q Bundle) -> Vec<Draft<'q>> {
    let mut drafts = Vec::new();
    for after in &new.compiled().gates {
        let Some(before) = old.gate(&after.name) else { continue };
        match (&before.body, &after.body) {
            (GateBody::Rules(before), GateBody::Rules(rules)) if declared(before) == declared(rules) => {
                for mode in new.manifest().modes.iter().filter(|mode| old.manifest().modes.contains(mode)) {
                    drafts.extend(of_mode(old, new, after, mode));
                }
            }
            (GateBody::Rego { path: before, .. }, GateBody::Rego { path, .. }) if before == path => {}
            _ => drafts.push(Draft::known(
                What::Facts { gate: after.name.clone() },
                Direction::Incomparable,
                "the gate decides over other facts, or its thresholds may be changed otherwise",
                Proof::Structural,
            )),
        }
    }
    drafts
}

/// What must be equal for two gates to be compared: the facts with their types, and how its thresholds
/// may move without anybody.
fn declared(rules: &Rules) -> (Vec<(&str, Type)>, BTreeMap<&str, impl PartialEq + use<'_>>) {
    let mut facts: Vec<(&str, Type)> = rules.facts.iter().map(|f| (f.name.as_str(), f.ty)).collect();
    facts.sort();
    let learned = rules.thresholds.iter().filter(|t| t.learn);
    (facts, learned.map(|t| (t.name.as_str(), (t.range, t.step, t.stricter))).collect())
}

fn of_mode<'q>(old: &'q Bundle, new: &'q Bundle, gate: &'q Gate, mode: &'q str) -> Option<Draft<'q>> {
    let what = What::Gate { gate: gate.name.clone(), mode: mode.to_owned() };
    let failed = |why: String| {
        let proof = Proof::Unproved { why };
        Draft::known(what.clone(), Direction::Unproved, "the rules can be compared", proof)
    };
    let (mut no_looser, mut no_stricter) = (Vec::new(), Vec::new());
    for verb in [Verb::Proceed, Verb::Hold] {
        let slices = verb.slice(old.compiled(), gate, mode).zip(verb.slice(new.compiled(), gate, mode));
        let Some((before, after)) = slices else { return Some(failed("a policy does not parse".to_owned())) };
        if fingerprint(&before) == fingerprint(&after) {
            continue;
        }
        let subject = match Subject::new(old, new, gate, mode, verb) {
            Ok(subject) => Arc::new(subject),
            Err(why) => return Some(failed(why)),
        };
        let sets = subject.set(&before).zip(subject.set(&after));
        let Some((before, after)) = sets else { return Some(failed("two policies share an id".to_owned())) };
        no_looser.push(subject.query(Side::New, &after, &before));
        no_stricter.push(subject.query(Side::Old, &before, &after));
    }
    (!no_looser.is_empty()).then_some(Draft::Open { what, no_looser, no_stricter })
}

/// The two questions about a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Proceed,
    Hold,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Proceed => "proceed",
            Self::Hold => "hold",
        }
    }

    /// The policies of a gate that bear on the question.
    fn slice(self, compiled: &Compiled, gate: &Gate, mode: &str) -> Option<Vec<Policy>> {
        let bears = |effect| match self {
            Self::Proceed => !matches!(effect, PolicyEffect::PermitHold),
            Self::Hold => matches!(effect, PolicyEffect::PermitHold | PolicyEffect::ForbidBoth),
        };
        let policies = compiled.policies.iter().filter(|p| {
            p.gate == gate.name && bears(p.effect) && p.mode.as_deref().is_none_or(|of| of == mode)
        });
        policies.map(|p| Policy::parse(Some(PolicyId::new(&p.id)), &p.text).ok()).collect()
    }
}

/// The side that lets a run through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Old,
    New,
}

/// What is asked about: one question of a gate in a mode, over all facts that can be.
struct Subject<'q> {
    old: &'q Bundle,
    new: &'q Bundle,
    gate: &'q Gate,
    mode: &'q str,
    verb: Verb,
    schema: Arc<Schema>,
    schema_text: Arc<str>,
    requests: RequestEnv,
    /// Forbids what no run can be: facts outside of their domains, and other modes.
    domain: Vec<Policy>,
}

impl<'q> Subject<'q> {
    fn new(
        old: &'q Bundle,
        new: &'q Bundle,
        gate: &'q Gate,
        mode: &'q str,
        verb: Verb,
    ) -> Result<Self, String> {
        let GateBody::Rules(rules) = &gate.body else { return Err("the gate has no rules".to_owned()) };
        let before = match old.gate(&gate.name).map(|g| &g.body) {
            Some(GateBody::Rules(rules)) => rules.access.as_slice(),
            _ => &[],
        };
        let access = before.iter().chain(&rules.access).map(|a| (quoted(&a.attribute), "Bool"));
        let facts = rules.facts.iter().map(|f| (quoted(&f.name), cedar_type(f.ty)));
        let attributes: BTreeMap<String, &str> = facts.chain(access).collect();
        let attributes: String = attributes.iter().map(|(name, ty)| format!(", {name}?: {ty}")).collect();
        let mut modes: Vec<String> =
            old.manifest().modes.iter().chain(&new.manifest().modes).map(|m| quoted(m)).collect();
        modes.sort();
        modes.dedup();
        let (proceed, hold) =
            (quoted(&format!("{}.proceed", gate.name)), quoted(&format!("{}.hold", gate.name)));
        let text = format!(
            "entity Subject;\nentity Run;\nentity Mode enum [{}];\naction {proceed}, {hold} appliesTo {{ \
             principal: Subject, resource: Run, context: {{ \"mode\": Mode{attributes} }} }};\n",
            modes.join(", ")
        );
        let (schema, _) = Schema::from_cedarschema_str(&text).map_err(|e| e.to_string())?;
        let action: EntityUid = format!("Action::{}", quoted(&format!("{}.{}", gate.name, verb.name())))
            .parse()
            .map_err(|e: cedar_policy::ParseErrors| e.to_string())?;
        let named = |name: &str| name.parse::<EntityTypeName>().map_err(|e| e.to_string());
        let requests = RequestEnv::new(named("Subject")?, action, named("Run")?);
        let domain = domain(&rules.facts, mode)?;
        let (schema, schema_text) = (Arc::new(schema), Arc::from(text));
        Ok(Self { old, new, gate, mode, verb, schema, schema_text, requests, domain })
    }

    fn set(&self, slice: &[Policy]) -> Option<PolicySet> {
        PolicySet::from_policies(slice.iter().chain(&self.domain).cloned()).ok()
    }

    fn query(self: &Arc<Self>, letting: Side, narrow: &PolicySet, wide: &PolicySet) -> Query<'q> {
        let statement = match (letting, self.verb) {
            (Side::New, Verb::Proceed) => "what passes now passed before",
            (Side::Old, Verb::Proceed) => "what passed before passes now",
            (Side::New, Verb::Hold) => "what is rejected no longer was not rejected before",
            (Side::Old, Verb::Hold) => "what is rejected now was rejected before",
        };
        let question = Question::Implies { narrow: Box::new(narrow.clone()), wide: Box::new(wide.clone()) };
        let task = Task {
            schema: self.schema.clone(),
            schema_text: self.schema_text.clone(),
            requests: self.requests.clone(),
            question,
        };
        let (subject, narrow, wide) = (self.clone(), narrow.clone(), wide.clone());
        let explain = move |request: &Request, entities: &Entities| {
            subject.explain(letting, &narrow, &wide, request, entities)
        };
        Query { statement: statement.to_owned(), task, explain: Box::new(explain) }
    }

    /// Decides the run that was found under both sides, and tells about the facts that make the difference.
    fn explain(
        &self,
        letting: Side,
        narrow: &PolicySet,
        wide: &PolicySet,
        request: &Request,
        entities: &Entities,
    ) -> Result<Counterexample, String> {
        let (allows, _) = decide(narrow, request, entities)?;
        let (both, policies) = decide(wide, request, entities)?;
        if !allows || both {
            return Err("both sides decide it alike".to_owned());
        }
        let stopping = match letting {
            Side::New => self.old,
            Side::Old => self.new,
        };
        let mut input = BTreeMap::new();
        for id in &policies {
            let Some(policy) = stopping.policy(id) else { continue };
            match &policy.origin {
                Origin::Missing(fact) => drop(input.insert(fact.clone(), "missing".to_owned())),
                Origin::Access(action) => drop(input.insert(format!("access {action}"), "denied".to_owned())),
                Origin::Permit => {}
                Origin::Rule(name) => {
                    let GateBody::Rules(rules) = &stopping.gate(&self.gate.name).ok_or("no gate")?.body
                    else {
                        continue;
                    };
                    let reads = rules.rules.iter().find(|rule| rule.name == *name).map(|rule| &rule.reads);
                    for name in reads.into_iter().flatten() {
                        let value = request.context().and_then(|context| context.get(name));
                        let fact = rules.facts.iter().find(|fact| fact.name == *name);
                        if let Some((value, fact)) = value.zip(fact) {
                            input.insert(name.clone(), shown(&value, fact));
                        }
                    }
                }
            }
        }
        let with: Vec<String> = input.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let with = if with.is_empty() { String::new() } else { format!(" with {}", with.join(" and ")) };
        let (mode, gate) = (self.mode, &self.gate.name);
        let happens = match (letting, self.verb) {
            (Side::New, Verb::Proceed) => format!("now passes `{gate}`"),
            (Side::Old, Verb::Proceed) => format!("no longer passes `{gate}`"),
            (Side::New, Verb::Hold) => format!("is no longer rejected by `{gate}`"),
            (Side::Old, Verb::Hold) => format!("is now rejected by `{gate}`"),
        };
        Ok(Counterexample { sentence: format!("a run in {mode}{with} {happens}"), input, policies })
    }
}

fn domain(facts: &[Fact], mode: &str) -> Result<Vec<Policy>, String> {
    let in_mode =
        format!("forbid (principal, action, resource) unless {{ context.mode == Mode::{} }};", quoted(mode));
    let bounds = facts.iter().filter_map(|fact| {
        let (name, domain) = (quoted(&fact.name), fact.ty.domain()?);
        Some(format!(
            "forbid (principal, action, resource) when {{ context has {name} && (context[{name}] < {} || \
             context[{name}] > {}) }};",
            domain.start(),
            domain.end()
        ))
    });
    let parse = |(at, text): (usize, String)| {
        Policy::parse(Some(PolicyId::new(format!("domain:{at}"))), text).map_err(|e| e.to_string())
    };
    std::iter::once(in_mode).chain(bounds).enumerate().map(parse).collect()
}

fn shown(value: &EvalResult, fact: &Fact) -> String {
    match value {
        EvalResult::Long(number) => fact.ty.format(*number),
        other => other.to_string(),
    }
}

/// As a text in Cedar.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_debug())
}

fn cedar_type(ty: Type) -> &'static str {
    match ty {
        Type::Bool => "Bool",
        Type::Count | Type::Percent | Type::Ratio | Type::Money | Type::Duration => "Long",
        Type::Text => "String",
        Type::SetOfText => "Set<String>",
    }
}
