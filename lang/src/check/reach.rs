//! What the rules of a gate can reach: those that never fire, always fire, or change no verdict.
//!
//! A condition becomes a few *cases*, each a conjunction of what single facts are: an interval of
//! numbers, a truth value, a text. A case that leaves a fact nothing to be cannot happen. Comparisons
//! of two facts, and questions to sets, are taken as truths of their own, so that a case may be kept
//! that cannot happen, and a finding is always right.

use std::collections::{BTreeMap, BTreeSet};

use cku_base::diagnostic::Diagnostic;

use crate::{
    codes,
    condition::Condition,
    model::{CompareOp, Rule, RuleKind, Rules, Threshold},
    types::Type,
};

/// Cases of one condition beyond which it is not looked at.
const MAX_CASES: usize = 256;

/// Rules of a gate beyond which they are not held against each other.
const MAX_RULES: usize = 64;

/// Something that is true of a rule in some modes.
pub(super) struct Finding<'r> {
    pub(super) rule: &'r Rule,
    what: What<'r>,
    /// Empty for all modes in which the rule holds.
    modes: Vec<&'r str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What<'r> {
    Never,
    Always,
    ShadowedBy(&'r Rule),
}

/// Everything that is found of the rules of a gate.
pub(super) fn find<'r>(
    rules: &'r Rules,
    conditions: &[Condition],
    facts: &BTreeMap<String, Option<Type>>,
    modes: &'r [String],
) -> Vec<Finding<'r>> {
    let both: Vec<(&Rule, &Condition)> = rules.rules.iter().zip(conditions).collect();
    let mut found: Vec<(usize, What<'r>, &'r str)> = Vec::new();
    for mode in modes {
        let reach = Reach { thresholds: &rules.thresholds, facts, mode };
        let here: Vec<(usize, &Rule, &Condition)> = both
            .iter()
            .enumerate()
            .filter(|(_, (rule, _))| holds_in(rule, mode))
            .map(|(n, (rule, condition))| (n, *rule, *condition))
            .collect();
        // Those that fire for some runs and not for others.
        let mut fires: BTreeSet<usize> = BTreeSet::new();
        for (n, _, condition) in &here {
            if reach.is_impossible(&[(condition, true)]) {
                found.push((*n, What::Never, mode));
            } else if reach.is_impossible(&[(condition, false)]) {
                found.push((*n, What::Always, mode));
            } else {
                fires.insert(*n);
            }
        }
        if here.len() > MAX_RULES {
            continue;
        }
        for (n, rule, condition) in here.iter().filter(|(n, ..)| fires.contains(n)) {
            let covers = |(m, other, cover): &&(usize, &'r Rule, &Condition)| {
                // Of two that say the same, the first one stays.
                let implies = |a: &Condition, b: &Condition| reach.is_impossible(&[(a, true), (b, false)]);
                m != n
                    && other.kind >= rule.kind
                    && fires.contains(m)
                    && other.reads.iter().all(|fact| rule.reads.contains(fact))
                    && implies(condition, cover)
                    && !(other.kind == rule.kind && n < m && implies(cover, condition))
            };
            if let Some((_, other, _)) = here.iter().find(covers) {
                found.push((*n, What::ShadowedBy(other), mode));
            }
        }
    }
    collect(&both, found, modes)
}

/// One finding for all the modes in which it is true.
fn collect<'r>(
    rules: &[(&'r Rule, &Condition)],
    found: Vec<(usize, What<'r>, &'r str)>,
    modes: &'r [String],
) -> Vec<Finding<'r>> {
    let mut findings: Vec<Finding<'r>> = Vec::new();
    for (n, what, mode) in found {
        let Some((rule, _)) = rules.get(n) else { continue };
        let same = |f: &&mut Finding<'r>| std::ptr::eq(f.rule, *rule) && f.what == what;
        match findings.iter_mut().find(same) {
            Some(finding) => finding.modes.push(mode),
            None => findings.push(Finding { rule, what, modes: vec![mode] }),
        }
    }
    for finding in &mut findings {
        if modes.iter().filter(|mode| holds_in(finding.rule, mode)).count() == finding.modes.len() {
            finding.modes.clear();
        }
    }
    // In one mode of several, a threshold at the end of its scale is how a rule is switched off.
    findings.retain(|finding| finding.what != What::Never || finding.modes.is_empty());
    findings
}

fn holds_in(rule: &Rule, mode: &String) -> bool {
    rule.modes.as_ref().is_none_or(|modes| modes.contains(mode))
}

impl Finding<'_> {
    /// As a warning.
    pub(super) fn diagnostic(&self) -> Diagnostic {
        let name = &self.rule.name;
        let modes = match self.modes.as_slice() {
            [] => String::new(),
            modes => {
                format!(" in {}", modes.iter().map(|mode| format!("`{mode}`")).collect::<Vec<_>>().join(", "))
            }
        };
        let warning = |code, message| Diagnostic::warning(code, message).at(self.rule.place.clone());
        match self.what {
            What::Never => {
                let message =
                    format!("rule `{name}` never fires{modes}: no values of its facts make it true");
                warning(codes::NEVER_FIRES, message).help("compare its bounds, or take it away")
            }
            What::Always => {
                let message = format!("rule `{name}` fires for every run that has its facts{modes}");
                warning(codes::ALWAYS_FIRES, message).help("compare its bounds; what always stops is no rule")
            }
            What::ShadowedBy(other) => {
                let (kind, other_name) = (word(other.kind), &other.name);
                let message = format!(
                    "rule `{name}` changes no verdict{modes}: whenever it fires, `{kind} {other_name}` fires too"
                );
                warning(codes::SHADOWED, message).help("compare their bounds, or take one of them away")
            }
        }
    }
}

fn word(kind: RuleKind) -> &'static str {
    match kind {
        RuleKind::Pause => "pause",
        RuleKind::Reject => "reject",
    }
}

/// What one fact is in a case.
#[derive(Clone, PartialEq)]
enum Is {
    Number(i64, i64),
    Text(String),
    /// None of these texts.
    NoText(BTreeSet<String>),
    /// A fact that is true or not, or a comparison that is taken as such.
    True(bool),
}

type Case = BTreeMap<String, Is>;

/// The conditions of one mode.
struct Reach<'a> {
    thresholds: &'a [Threshold],
    facts: &'a BTreeMap<String, Option<Type>>,
    mode: &'a str,
}

impl Reach<'_> {
    /// Whether the conditions cannot have these truth values at once; false if there is too much to it.
    fn is_impossible(&self, conditions: &[(&Condition, bool)]) -> bool {
        let mut cases = vec![Case::new()];
        for (condition, truth) in conditions {
            match self.cases(condition, *truth).and_then(|more| product(&cases, &more)) {
                Some(both) => cases = both,
                None => return false,
            }
        }
        cases.is_empty()
    }

    /// The cases in which a condition has a truth value; `None` if they are too many.
    fn cases(&self, condition: &Condition, truth: bool) -> Option<Vec<Case>> {
        let one = |key: String, is: Is| Some(vec![Case::from([(key, is)])]);
        match (condition, truth) {
            (Condition::Bool(value), _) => Some(if *value == truth { vec![Case::new()] } else { Vec::new() }),
            (Condition::Fact(name), _) => one(name.clone(), Is::True(truth)),
            (Condition::Not(operand), _) => self.cases(operand, !truth),
            (Condition::And(operands), true) | (Condition::Or(operands), false) => {
                let mut cases = vec![Case::new()];
                for operand in operands {
                    cases = product(&cases, &self.cases(operand, truth)?)?;
                }
                Some(cases)
            }
            (Condition::And(operands), false) | (Condition::Or(operands), true) => {
                let mut cases = Vec::new();
                for operand in operands {
                    cases.extend(self.cases(operand, truth)?);
                }
                (cases.len() <= MAX_CASES).then_some(cases)
            }
            (Condition::Compare(op, left, right), _) => {
                let op = if truth { *op } else { negated(op) };
                self.comparison(op, left, right)
            }
            (other, _) => one(format!("{other:?}"), Is::True(truth)),
        }
    }

    fn comparison(&self, op: CompareOp, left: &Condition, right: &Condition) -> Option<Vec<Case>> {
        if let (Some(left), Some(right)) = (self.number(left), self.number(right)) {
            return Some(if op.holds(left, right) { vec![Case::new()] } else { Vec::new() });
        }
        if let (Condition::Fact(fact), Some(bound)) = (left, self.number(right)) {
            return Some(self.number_is(fact, op, bound));
        }
        if let (Some(bound), Condition::Fact(fact)) = (self.number(left), right) {
            return Some(self.number_is(fact, op.flipped(), bound));
        }
        let text = match (left, right) {
            (Condition::Fact(fact), Condition::Text(text))
            | (Condition::Text(text), Condition::Fact(fact)) => Some((fact, text)),
            _ => None,
        };
        let case = match (text, op) {
            (Some((fact, text)), CompareOp::Equal) => (fact.clone(), Is::Text(text.clone())),
            (Some((fact, text)), CompareOp::NotEqual) => {
                (fact.clone(), Is::NoText(BTreeSet::from([text.clone()])))
            }
            // `a < b` and `a >= b` are one truth and its opposite.
            _ => {
                let truth = matches!(op, CompareOp::Equal | CompareOp::Less | CompareOp::Greater);
                let op = if truth { op } else { negated(&op) };
                (format!("{left:?} {} {right:?}", op.symbol()), Is::True(truth))
            }
        };
        Some(vec![Case::from([case])])
    }

    fn number(&self, condition: &Condition) -> Option<i64> {
        match condition {
            Condition::Number(value) => Some(*value),
            Condition::Threshold(name) => {
                self.thresholds.iter().find(|t| t.name == *name).map(|t| t.value(self.mode))
            }
            _ => None,
        }
    }

    /// The intervals in which a fact has this order to a bound.
    fn number_is(&self, fact: &str, op: CompareOp, bound: i64) -> Vec<Case> {
        let domain = self.facts.get(fact).copied().flatten().and_then(Type::domain);
        let (low, high) = domain.map_or((i64::MIN, i64::MAX), |domain| (*domain.start(), *domain.end()));
        let (below, above) = (bound.saturating_sub(1), bound.saturating_add(1));
        let intervals = match op {
            CompareOp::Equal => vec![(bound, bound)],
            CompareOp::NotEqual => vec![(low, below), (above, high)],
            CompareOp::Less => vec![(low, below)],
            CompareOp::AtMost => vec![(low, bound)],
            CompareOp::Greater => vec![(above, high)],
            CompareOp::AtLeast => vec![(bound, high)],
        };
        let within = intervals.into_iter().map(|(from, to)| (from.max(low), to.min(high)));
        within
            .filter(|(from, to)| from <= to)
            .map(|(from, to)| Case::from([(fact.to_owned(), Is::Number(from, to))]))
            .collect()
    }
}

/// Every case of one with every case of the other, without those that cannot happen.
fn product(left: &[Case], right: &[Case]) -> Option<Vec<Case>> {
    let mut cases = Vec::new();
    for a in left {
        for b in right {
            cases.extend(both(a, b));
            if cases.len() > MAX_CASES {
                return None;
            }
        }
    }
    Some(cases)
}

/// Both at once, if that can be.
fn both(a: &Case, b: &Case) -> Option<Case> {
    let mut case = a.clone();
    for (key, is) in b {
        let met = match case.get(key) {
            None => is.clone(),
            Some(was) => meet(was, is)?,
        };
        case.insert(key.clone(), met);
    }
    Some(case)
}

fn meet(a: &Is, b: &Is) -> Option<Is> {
    match (a, b) {
        (Is::Number(a, b), Is::Number(c, d)) => {
            let (low, high) = (*a.max(c), *b.min(d));
            (low <= high).then_some(Is::Number(low, high))
        }
        (Is::NoText(a), Is::NoText(b)) => Some(Is::NoText(a.union(b).cloned().collect())),
        (Is::Text(text), Is::NoText(not)) | (Is::NoText(not), Is::Text(text)) => {
            (!not.contains(text)).then(|| Is::Text(text.clone()))
        }
        _ => (a == b).then(|| a.clone()),
    }
}

fn negated(op: &CompareOp) -> CompareOp {
    match op {
        CompareOp::Equal => CompareOp::NotEqual,
        CompareOp::NotEqual => CompareOp::Equal,
        CompareOp::Less => CompareOp::AtLeast,
        CompareOp::AtMost => CompareOp::Greater,
        CompareOp::Greater => CompareOp::AtMost,
        CompareOp::AtLeast => CompareOp::Less,
    }
}
