//! Gates as Cedar policies.
//!
//! Each gate has two actions. What no policy forbids is permitted; a `pause` forbids to proceed, a
//! `reject` forbids to hold as well. Cedar skips a policy that errs, so each rule is guarded by
//! `context has` for every fact it reads, and the absence of a fact is a policy of its own.

use cku_base::diagnostic::Place;

use super::{line, quoted};
use crate::{
    check::CheckedGate,
    condition::Condition,
    model::{
        AccessRequirement, Gate, GateBody, Missing, Origin, Policy, PolicyEffect, Rule, RuleKind, Rules,
        Threshold,
    },
};

/// The policies of a gate, none if it has no rules.
pub(super) fn policies(checked: &CheckedGate, modes: &[String]) -> Vec<Policy> {
    let gate = &checked.gate;
    let GateBody::Rules(rules) = &gate.body else { return Vec::new() };
    let permits = [PolicyEffect::PermitProceed, PolicyEffect::PermitHold];
    let missing = rules.missing.iter().flat_map(|missing| missing_policies(gate, missing));
    let access = rules.access.iter().map(|requirement| access_policy(gate, requirement));
    let conditions = rules.rules.iter().zip(&checked.conditions);
    let stops = conditions.flat_map(|(rule, condition)| rule_policies(gate, rules, rule, condition, modes));
    permits.map(|effect| permit(gate, effect)).into_iter().chain(missing).chain(access).chain(stops).collect()
}

fn permit(gate: &Gate, effect: PolicyEffect) -> Policy {
    let draft = Draft {
        id: match effect {
            PolicyEffect::PermitHold => "gate:hold".to_owned(),
            _ => "gate:proceed".to_owned(),
        },
        comment: format!("gate {}", gate.name),
        ..Draft::new(effect, Origin::Permit, &gate.place)
    };
    draft.finish(gate)
}

fn missing_policies(gate: &Gate, missing: &Missing) -> Vec<Policy> {
    let comment = match missing.implicit {
        true => format!("fact {}, whose absence means reject", missing.fact),
        false => format!("missing {} {}", missing.fact, word(missing.kind)),
    };
    let policy = |mode: Option<&String>| {
        let draft = Draft {
            id: format!("missing:{}", missing.fact),
            comment: comment.clone(),
            mode: mode.cloned(),
            unless: Some(has(&missing.fact)),
            ..Draft::new(effect(missing.kind), Origin::Missing(missing.fact.clone()), &missing.place)
        };
        draft.finish(gate)
    };
    match &missing.modes {
        None => vec![policy(None)],
        Some(modes) => modes.iter().map(|mode| policy(Some(mode))).collect(),
    }
}

fn access_policy(gate: &Gate, requirement: &AccessRequirement) -> Policy {
    let on = requirement.on.as_ref().map_or_else(String::new, |fact| format!(" on {fact}"));
    let origin = Origin::Access(requirement.action.clone());
    let attribute = &requirement.attribute;
    let draft = Draft {
        id: attribute.clone(),
        comment: format!("require access {}{on}", requirement.action),
        unless: Some(format!("{} && {}", has(attribute), get(attribute))),
        ..Draft::new(PolicyEffect::ForbidBoth, origin, &requirement.place)
    };
    draft.finish(gate)
}

/// One policy, or one for each mode where the rule is not the same in all.
fn rule_policies(
    gate: &Gate,
    rules: &Rules,
    rule: &Rule,
    condition: &Condition,
    modes: &[String],
) -> Vec<Policy> {
    let names = condition.thresholds();
    let thresholds: Vec<&Threshold> =
        rules.thresholds.iter().filter(|threshold| names.contains(threshold.name.as_str())).collect();
    let by_mode = thresholds.iter().any(|threshold| !threshold.by_mode.is_empty());
    let policy = |mode: Option<&String>| {
        let values = Values { thresholds: &thresholds, mode: mode.map_or("", String::as_str) };
        let conjuncts = match condition {
            Condition::And(operands) => operands.iter().map(|operand| values.tight(operand)).collect(),
            Condition::Or(_) => vec![values.tight(condition)],
            other => vec![values.write(other)],
        };
        let draft = Draft {
            id: rule.name.clone(),
            comment: format!("{} {}{}", word(rule.kind), rule.name, values.listed()),
            mode: mode.cloned(),
            when: rule.reads.iter().map(|fact| has(fact)).chain(conjuncts).collect(),
            ..Draft::new(effect(rule.kind), Origin::Rule(rule.name.clone()), &rule.place)
        };
        draft.finish(gate)
    };
    match &rule.modes {
        Some(modes) => modes.iter().map(|mode| policy(Some(mode))).collect(),
        None if by_mode => modes.iter().map(|mode| policy(Some(mode))).collect(),
        None => vec![policy(None)],
    }
}

fn effect(kind: RuleKind) -> PolicyEffect {
    match kind {
        RuleKind::Pause => PolicyEffect::ForbidProceed,
        RuleKind::Reject => PolicyEffect::ForbidBoth,
    }
}

fn word(kind: RuleKind) -> &'static str {
    match kind {
        RuleKind::Pause => "pause",
        RuleKind::Reject => "reject",
    }
}

/// A policy in parts.
struct Draft<'a> {
    id: String,
    comment: String,
    effect: PolicyEffect,
    origin: Origin,
    mode: Option<String>,
    /// Joined by `&&`; each binds at least as tightly.
    when: Vec<String>,
    unless: Option<String>,
    place: &'a Place,
}

impl<'a> Draft<'a> {
    fn new(effect: PolicyEffect, origin: Origin, place: &'a Place) -> Self {
        let (id, comment) = (String::new(), String::new());
        Self { id, comment, effect, origin, mode: None, when: Vec::new(), unless: None, place }
    }

    fn finish(self, gate: &Gate) -> Policy {
        let suffix = self.mode.as_ref().map_or_else(String::new, |mode| format!(".{mode}"));
        let id = format!("{}.{}{suffix}", gate.name, self.id);
        let (proceed, hold) = (action(gate, "proceed"), action(gate, "hold"));
        let (word, scope) = match self.effect {
            PolicyEffect::PermitProceed => ("permit", format!("action == {proceed}")),
            PolicyEffect::PermitHold => ("permit", format!("action == {hold}")),
            PolicyEffect::ForbidProceed => ("forbid", format!("action == {proceed}")),
            PolicyEffect::ForbidBoth => ("forbid", format!("action in [{proceed}, {hold}]")),
        };
        let unless = self.unless.as_ref().map(|unless| format!("!({unless})"));
        let stops: Vec<&str> = self.when.iter().chain(&unless).map(String::as_str).collect();
        let condition = stops.join(" && ");
        let in_mode = self.mode.as_ref().map(|mode| format!("context.mode == Mode::{}", quoted(mode)));
        let when: Vec<String> = in_mode.into_iter().chain(self.when).collect();
        let mut text = format!("// {}: {}\n", line(self.place), self.comment);
        text.push_str(&format!("@id({})\n{word} (principal, {scope}, resource)", quoted(&id)));
        if !when.is_empty() {
            text.push_str(&format!("\nwhen {{\n  {}\n}}", when.join(" &&\n  ")));
        }
        if let Some(unless) = self.unless {
            text.push_str(&format!("\nunless {{ {unless} }}"));
        }
        text.push_str(";\n");
        Policy {
            id,
            gate: gate.name.clone(),
            origin: self.origin,
            effect: self.effect,
            mode: self.mode,
            condition,
            text,
            place: self.place.clone(),
        }
    }
}

fn action(gate: &Gate, verb: &str) -> String {
    format!("Action::{}", quoted(&format!("{}.{verb}", gate.name)))
}

/// Words that Cedar does not read as the name of an attribute.
const CEDAR: [&str; 10] = ["true", "false", "if", "then", "else", "in", "is", "like", "has", "__cedar"];

fn is_plain(attribute: &str) -> bool {
    !CEDAR.contains(&attribute) && attribute.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn has(attribute: &str) -> String {
    match is_plain(attribute) {
        true => format!("context has {attribute}"),
        false => format!("context has {}", quoted(attribute)),
    }
}

fn get(attribute: &str) -> String {
    match is_plain(attribute) {
        true => format!("context.{attribute}"),
        false => format!("context[{}]", quoted(attribute)),
    }
}

/// Writes conditions with the values that thresholds have in one mode.
struct Values<'a> {
    thresholds: &'a [&'a Threshold],
    mode: &'a str,
}

impl Values<'_> {
    fn write(&self, condition: &Condition) -> String {
        match condition {
            Condition::Fact(name) => get(name),
            Condition::Threshold(name) => self.value(name).to_string(),
            Condition::Number(value) => value.to_string(),
            Condition::Text(text) => quoted(text),
            Condition::Bool(value) => value.to_string(),
            Condition::Not(operand) => match &**operand {
                Condition::Fact(name) => format!("!{}", get(name)),
                other => format!("!({})", self.write(other)),
            },
            Condition::And(operands) => self.joined(operands, " && "),
            Condition::Or(operands) => self.joined(operands, " || "),
            Condition::Compare(op, left, right) => {
                format!("{} {} {}", self.tighter(left), op.symbol(), self.tighter(right))
            }
            Condition::Contains(set, element) => {
                format!("{}.contains({})", self.write(set), self.write(element))
            }
        }
    }

    fn joined(&self, operands: &[Condition], with: &str) -> String {
        operands.iter().map(|operand| self.tight(operand)).collect::<Vec<_>>().join(with)
    }

    /// In parentheses where Cedar, or a reader, could group it otherwise.
    fn tight(&self, condition: &Condition) -> String {
        match condition {
            Condition::And(_) | Condition::Or(_) => format!("({})", self.write(condition)),
            _ => self.write(condition),
        }
    }

    /// Cedar has no comparison of comparisons without parentheses.
    fn tighter(&self, condition: &Condition) -> String {
        match condition {
            Condition::Compare(..) => format!("({})", self.write(condition)),
            _ => self.tight(condition),
        }
    }

    fn value(&self, name: &str) -> i64 {
        // INVARIANT: the condition was checked, so that the threshold is there.
        self.thresholds
            .iter()
            .find(|threshold| threshold.name == name)
            .map_or(0, |found| found.value(self.mode))
    }

    /// The values for a comment, as people read them.
    fn listed(&self) -> String {
        let listed: Vec<String> = self
            .thresholds
            .iter()
            .map(|threshold| {
                format!("{} = {}", threshold.name, threshold.ty.format(threshold.value(self.mode)))
            })
            .collect();
        match listed.is_empty() {
            true => String::new(),
            false => format!(", {}", listed.join(", ")),
        }
    }
}
