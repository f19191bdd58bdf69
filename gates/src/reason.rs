//! Reasons: which rule spoke, in the author's words, and what would change it.

use std::collections::BTreeMap;

use cku_engine::{FactValue, Facts};
use cku_lang::{Bound, CompareOp, Comparison, Missing, Rule, Rules, Segment, Type};
use serde::Serialize;

/// Why a gate did not pass, or what it wants noticed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reason {
    /// The rule; `evaluation_error`, `missing_fact` and `kill_switch` stand for what no rule says.
    pub rule: String,
    /// What is so, with the values.
    pub message: String,
    /// The rule's `file:line`, if it has one.
    pub source: Option<String>,
    /// The facts it read, in the units of their types.
    pub facts: BTreeMap<String, FactValue>,
    /// What would change the outcome, where one comparison says it.
    pub would_change: Option<String>,
}

impl Reason {
    /// A reason that no rule wrote.
    pub fn of_engine(rule: &str, message: impl Into<String>, source: Option<String>) -> Self {
        Self {
            rule: rule.to_owned(),
            message: message.into(),
            source,
            facts: BTreeMap::new(),
            would_change: None,
        }
    }

    /// The reason of a rule that fired.
    pub fn of_rule(rule: &Rule, rules: &Rules, facts: &Facts, mode: &str) -> Self {
        let read = rule.reads.iter().filter_map(|name| Some((name.clone(), facts.get(name)?.clone())));
        Self {
            rule: rule.name.clone(),
            message: fill(&rule.message, rules, facts, mode),
            source: Some(source(&rule.place)),
            facts: read.collect(),
            would_change: rule.comparison.as_ref().and_then(|c| would_change(c, rules, facts, mode)),
        }
    }

    /// The reason of a fact that is missing.
    pub fn of_missing(missing: &Missing, rules: &Rules, facts: &Facts, mode: &str) -> Self {
        let name = &missing.fact;
        let rule = if missing.implicit { "missing_fact".to_owned() } else { format!("missing:{name}") };
        let message = match &missing.message {
            Some(message) => fill(message, rules, facts, mode),
            None => format!("the fact `{name}` is missing"),
        };
        Self {
            rule,
            message,
            source: Some(source(&missing.place)),
            facts: BTreeMap::new(),
            would_change: Some(format!("a value for {}", words(name))),
        }
    }
}

/// A place as reasons write it: `file:line`.
pub(crate) fn source(place: &cku_base::diagnostic::Place) -> String {
    format!("{}:{}", place.file, place.line)
}

fn fill(message: &[Segment], rules: &Rules, facts: &Facts, mode: &str) -> String {
    message
        .iter()
        .map(|segment| match segment {
            Segment::Text(text) => text.clone(),
            Segment::Fact(name) => match (facts.get(name), rules.facts.iter().find(|f| f.name == *name)) {
                (Some(value), Some(fact)) => show(fact.ty, value),
                _ => format!("(no {})", words(name)),
            },
            Segment::Threshold(name) => {
                threshold(rules, name, mode).map_or_else(String::new, |(ty, v)| ty.format(v))
            }
        })
        .collect()
}

/// A value as people read it.
pub fn show(ty: Type, value: &FactValue) -> String {
    match value {
        FactValue::Number(n) => ty.format(*n),
        FactValue::Bool(b) => b.to_string(),
        FactValue::Text(text) => text.clone(),
        FactValue::Texts(texts) if texts.is_empty() => "none".to_owned(),
        FactValue::Texts(texts) => texts.iter().cloned().collect::<Vec<_>>().join(", "),
    }
}

fn threshold(rules: &Rules, name: &str, mode: &str) -> Option<(Type, i64)> {
    rules.thresholds.iter().find(|t| t.name == name).map(|t| (t.ty, t.value(mode)))
}

/// The least change of the fact after which the comparison no longer holds.
fn would_change(comparison: &Comparison, rules: &Rules, facts: &Facts, mode: &str) -> Option<String> {
    let Some(FactValue::Number(now)) = facts.get(&comparison.fact) else { return None };
    let bound = match &comparison.bound {
        Bound::Literal(value) => *value,
        Bound::Threshold(name) => threshold(rules, name, mode)?.1,
    };
    let ty = comparison.ty;
    let name = words(&comparison.fact);
    let domain = ty.domain()?;
    let (limit, wanted) = match comparison.op {
        CompareOp::Less => ("at least", bound),
        CompareOp::AtMost => ("at least", bound.checked_add(1)?),
        CompareOp::Greater => ("at most", bound),
        CompareOp::AtLeast => ("at most", bound.checked_sub(1)?),
        CompareOp::Equal => return Some(format!("{name} other than {}", ty.format(bound))),
        CompareOp::NotEqual => ("exactly", bound),
    };
    if !domain.contains(&wanted) {
        return None;
    }
    let difference = wanted.abs_diff(*now);
    let direction = match ty {
        _ if wanted > *now => "more",
        Type::Count => "fewer",
        _ => "less",
    };
    Some(format!("{name} {limit} {} ({} {direction})", ty.format(wanted), distance(ty, difference)))
}

/// A difference of two values of a type.
fn distance(ty: Type, difference: u64) -> String {
    let difference = i64::try_from(difference).unwrap_or(i64::MAX);
    match ty {
        Type::Percent => format!("{} points", ty.format(difference).trim_end_matches(" %")),
        _ => ty.format(difference),
    }
}

/// A name as people say it.
fn words(name: &str) -> String {
    name.replace('_', " ")
}
