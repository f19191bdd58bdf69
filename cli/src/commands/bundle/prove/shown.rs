//! What a proof found, as it is shown in a terminal.

use std::{borrow::Cow, collections::BTreeMap, fmt::Write};

use cku_changes::prove::{
    Direction, Part, Proof, What,
    invariants::{InvariantOutcome, InvariantResult},
};

use super::Found;
use crate::render::{foreign, style};

/// So many proved or open statements of one thing are shown; more are counted.
const STATEMENTS: usize = 2;

/// The direction of the whole and of each mode, then what changed, what loosens first, then the bounds.
pub(super) fn pretty(found: &Found) -> String {
    let comparison = &found.comparison;
    let mut by_direction: Vec<(Direction, Vec<&str>)> = Vec::new();
    for (mode, direction) in &comparison.modes {
        add(&mut by_direction, *direction, mode.as_str());
    }
    let whole = coloured(comparison.whole);
    let mut text = match by_direction.as_slice() {
        [(direction, _)] if *direction == comparison.whole => format!("{whole} in every mode\n"),
        several => {
            let modes: Vec<String> = several
                .iter()
                .map(|(direction, modes)| format!("{} in {}", direction.name(), list(modes)))
                .collect();
            format!("{whole}: {}\n", modes.join(", "))
        }
    };
    let (mut groups, mut alike) = (Vec::new(), Vec::new());
    for part in &comparison.parts {
        if part.direction == Direction::Neutral {
            add(&mut alike, Kind::of(part), part);
        } else {
            add(&mut groups, (part.direction, Kind::of(part), key(part)), part);
        }
    }
    groups.sort_by_key(|((direction, ..), _)| !direction.counts_as_loosening());
    for ((direction, kind, _), parts) in &groups {
        let _ = writeln!(text, "\n{}: {}", kind.name(parts), coloured(*direction));
        details(&mut text, parts);
    }
    if !alike.is_empty() {
        let names: Vec<String> = alike.iter().map(|(kind, parts)| kind.name(parts)).collect();
        let _ = writeln!(text, "\nwritten otherwise and decided alike: {}", names.join("; "));
    }
    invariants(&mut text, &found.invariants);
    text
}

/// What parts have in common that can be told in one line.
#[derive(PartialEq)]
enum Kind<'f> {
    Gate(&'f str),
    Facts,
    Access,
    Sequence,
    Rego,
    Data,
    Other(String),
}

impl<'f> Kind<'f> {
    fn of(part: &'f Part) -> Self {
        match &part.what {
            What::Gate { gate, .. } => Self::Gate(gate),
            What::Facts { .. } => Self::Facts,
            What::Access { .. } => Self::Access,
            What::Sequence { .. } => Self::Sequence,
            What::Rego { .. } => Self::Rego,
            What::Data { .. } => Self::Data,
            what @ (What::AccessSchema | What::Authzen | What::Manifest) => Self::Other(what.to_string()),
        }
    }

    fn name(&self, parts: &[&Part]) -> String {
        let own = |part: &&Part| match &part.what {
            What::Gate { mode: own, .. }
            | What::Facts { gate: own }
            | What::Access { action: own }
            | What::Sequence { mode: own }
            | What::Rego { file: own }
            | What::Data { path: own } => foreign(own).into_owned(),
            What::AccessSchema | What::Authzen | What::Manifest => String::new(),
        };
        let own = list(&parts.iter().map(own).collect::<Vec<_>>());
        let s = if parts.len() > 1 { "s" } else { "" };
        match self {
            Self::Gate(gate) => format!("gate {} in {own}", foreign(gate)),
            Self::Facts => format!("facts of gate{s} {own}"),
            Self::Access => format!("access {own}"),
            Self::Sequence => format!("sequence of {own}"),
            Self::Rego => format!("Rego {own}"),
            Self::Data => own,
            Self::Other(name) => name.clone(),
        }
    }
}

/// What must be equal for two parts to be told as one: all but what names its mode or action itself.
fn key(part: &Part) -> Vec<String> {
    let keys = part.checks.iter().filter_map(|check| match &check.proof {
        Proof::Structural => Some(check.statement.clone()),
        Proof::Unproved { why } => Some(why.clone()),
        Proof::Proved { .. } | Proof::Refuted { .. } => None,
    });
    let mut keys: Vec<String> = keys.collect();
    keys.sort();
    keys.dedup();
    keys
}

/// Counterexamples, what is read off, what is not proved by its reason, and what is proved.
fn details(text: &mut String, parts: &[&Part]) {
    let dim = style::DIM;
    let (mut said, mut proved) = (Vec::new(), Vec::new());
    let mut unproved: Vec<(&str, Vec<&str>)> = Vec::new();
    for check in parts.iter().flat_map(|part| &part.checks) {
        match &check.proof {
            Proof::Refuted { counterexample } => once(&mut said, counterexample.sentence.as_str()),
            Proof::Structural => once(&mut said, check.statement.as_str()),
            Proof::Unproved { why } => match unproved.iter_mut().find(|(known, _)| known == why) {
                Some((_, statements)) => once(statements, &check.statement),
                None => unproved.push((why, vec![&check.statement])),
            },
            Proof::Proved { .. } => once(&mut proved, check.statement.as_str()),
        }
    }
    for sentence in said {
        let _ = writeln!(text, "  {}", foreign(sentence));
    }
    for (why, statements) in unproved {
        let _ = writeln!(text, "  not proved: {}: {}", foreign(&some(&statements)), foreign(why));
    }
    if !proved.is_empty() {
        let _ = writeln!(text, "  {dim}proved: {}{dim:#}", foreign(&some(&proved)));
    }
}

/// Whether each bound is kept, first those that are not; those that are, by their kind.
fn invariants(text: &mut String, results: &[InvariantResult]) {
    let (good, error) = (style::GOOD, style::ERROR);
    let mut held: BTreeMap<&str, Vec<Cow<'_, str>>> = BTreeMap::new();
    let mut results: Vec<&InvariantResult> = results.iter().collect();
    results.sort_by_key(|result| result.is_held());
    if !results.is_empty() {
        text.push('\n');
    }
    for result in results {
        let id = foreign(&result.id);
        let _ = match &result.outcome {
            InvariantOutcome::Held => match result.id.split_once(": ") {
                Some((kind @ ("present" | "enforced" | "never errs"), of)) => {
                    held.entry(kind).or_default().push(foreign(of));
                    Ok(())
                }
                _ => writeln!(text, "{good}held{good:#}: {id}"),
            },
            InvariantOutcome::Violated { counterexample } => {
                writeln!(text, "{error}violated{error:#}: {id}\n  {}", foreign(&counterexample.sentence))
            }
            InvariantOutcome::Unproved { why } => {
                writeln!(text, "{error}not proved{error:#}: {id}\n  {}", foreign(why))
            }
        };
    }
    for (kind, of) in held {
        let _ = writeln!(text, "{good}held{good:#}: {kind}: {}", list(&of));
    }
}

fn add<K: PartialEq, V>(groups: &mut Vec<(K, Vec<V>)>, key: K, value: V) {
    match groups.iter_mut().find(|(known, _)| *known == key) {
        Some((_, values)) => values.push(value),
        None => groups.push((key, vec![value])),
    }
}

fn once<'f>(list: &mut Vec<&'f str>, text: &'f str) {
    if !list.contains(&text) {
        list.push(text);
    }
}

/// A few statements, or how many there are.
fn some(statements: &[&str]) -> String {
    if statements.len() > STATEMENTS {
        format!("{} statements", statements.len())
    } else {
        statements.join("; ")
    }
}

/// `a, b and c`.
fn list(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => names.concat(),
    }
}

fn coloured(direction: Direction) -> String {
    let style = if direction.counts_as_loosening() { style::ERROR } else { style::GOOD };
    format!("{style}{}{style:#}", direction.name())
}
