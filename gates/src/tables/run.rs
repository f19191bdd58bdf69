//! Runs cases and boundaries and says what differed.

use std::collections::{BTreeMap, BTreeSet};

use cku_base::{
    diagnostic::{LineIndex, Place},
    suggest,
};
use cku_engine::{BundleFile, Worker};
use cku_lang::GateBody;
use serde_json::Value;

use super::{
    TableTest,
    document::{Boundary, Case, Expectation, GateExpectation},
    patch::{self, Fixtures},
    place,
};
use crate::{
    decide::decide,
    decision::{Decision, GateOutcome, Verdict},
    evaluation::Evaluation,
    input::DecisionInput,
    simulate,
};

/// Runs the tests of one file.
pub(super) struct Runner<'r> {
    pub(super) worker: &'r mut Worker,
    pub(super) fixtures: &'r Fixtures,
    pub(super) file: &'r BundleFile,
    pub(super) tests: &'r mut Vec<TableTest>,
}

impl Runner<'_> {
    /// Runs each case in each of its modes.
    pub(super) fn cases(&mut self, cases: &[Case]) {
        let mut names = BTreeSet::new();
        for case in cases {
            if !names.insert(case.name.as_str()) {
                self.record(&case.name, None, vec!["another case has the same name".to_owned()]);
            }
            for mode in &case.modes {
                let differences = match self.decide(case, mode) {
                    Ok(decision) => differences(&case.expect, &decision),
                    Err(problem) => vec![problem],
                };
                self.record(&case.name, Some(mode), differences);
            }
            if case.modes.is_empty() {
                self.record(&case.name, None, vec!["`modes` is empty, so nothing is tested".to_owned()]);
            }
        }
    }

    /// Asks one gate around one threshold, in each mode at each value; a row has a column for each mode.
    pub(super) fn boundaries(&mut self, boundaries: &[Boundary]) {
        let modes = self.worker.bundle().manifest().modes.clone();
        for boundary in boundaries {
            for mode in modes.iter().filter(|m| !boundary.modes.contains_key(*m)) {
                self.record(&boundary.name, Some(mode), vec![format!("no column for mode `{mode}`")]);
            }
            for (mode, values) in &boundary.modes {
                let differences = self.column(boundary, mode, values);
                self.record(&boundary.name, Some(mode), differences);
            }
        }
    }

    /// Notes how a test ended.
    pub(super) fn record(&mut self, name: &str, mode: Option<&str>, differences: Vec<String>) {
        let text = &self.file.text;
        // A table is YAML without positions; the line that says the name is where an author looks.
        let place = match place::of_name(text, name) {
            Some(span) => LineIndex::new(text).place(&self.file.path, span),
            None => Place::whole_file(&self.file.path),
        };
        let name = mode.map_or_else(|| name.to_owned(), |mode| format!("{name} [{mode}]"));
        self.tests.push(TableTest { name, place, differences });
    }

    fn column(&mut self, boundary: &Boundary, mode: &str, values: &BTreeMap<String, Verdict>) -> Vec<String> {
        if values.is_empty() {
            return vec!["no values".to_owned()];
        }
        let mut differences = Vec::new();
        for (value, expected) in values {
            match self.verdict(boundary, mode, value) {
                Ok((verdict, _)) if verdict == *expected => {}
                Ok((verdict, reasons)) => differences.push(format!(
                    "at {value}: expected {}, got {}{reasons}",
                    expected.as_str(),
                    verdict.as_str()
                )),
                Err(problem) => differences.push(format!("at {value}: {problem}")),
            }
        }
        differences
    }

    fn decide(&mut self, case: &Case, mode: &str) -> Result<Decision, String> {
        let mut document = self.fixtures.patched(&case.fixture, &case.set, &case.remove)?;
        if let Some(now) = &case.now {
            patch::set(&mut document, "/time", Value::from(now.to_string()))?;
        }
        let input = self.input(document, mode)?;
        decide(self.worker, &input, true).map_err(|e| e.to_string())
    }

    fn verdict(&mut self, boundary: &Boundary, mode: &str, value: &str) -> Result<(Verdict, String), String> {
        let mut document = self.fixtures.patched(&boundary.fixture, &boundary.set, &boundary.remove)?;
        match (boundary.values.get(value), &boundary.vary) {
            (Some(changes), _) => {
                changes.iter().try_for_each(|(at, v)| patch::set(&mut document, at, v.clone()))?;
            }
            (None, Some(pointer)) => {
                let value = match &boundary.around {
                    None => scalar(value),
                    Some(threshold) => self.around(&boundary.gate, threshold, mode, value)?,
                };
                patch::set(&mut document, pointer, value)?;
            }
            (None, None) => return Err(format!("neither `vary` nor `values` says what {value} changes")),
        }
        let input = self.input(document, mode)?;
        self.in_sequence(&boundary.gate, mode)?;
        let canonical = input.canonical().map_err(|e| e.to_string())?;
        let mut evaluation = Evaluation::begin(self.worker, &input, &canonical).map_err(|e| e.to_string())?;
        let said = evaluation.gate(&boundary.gate).map_err(|e| e.to_string())?;
        let reasons: String = said.reasons.iter().map(|r| format!("; {}: {}", r.rule, r.message)).collect();
        Ok((said.verdict, reasons))
    }

    /// A threshold's value in a mode and so much more.
    fn around(&self, gate: &str, threshold: &str, mode: &str, more: &str) -> Result<Value, String> {
        let more: i64 =
            more.parse().map_err(|_| format!("`{more}` is no whole number to add to `{threshold}`"))?;
        let bundle = self.worker.bundle();
        let rules = bundle.gate(gate).and_then(|gate| match &gate.body {
            GateBody::Rules(rules) => Some(rules),
            GateBody::Rego { .. } => None,
        });
        let thresholds = rules.map(|rules| rules.thresholds.as_slice()).unwrap_or_default();
        let found = thresholds.iter().find(|known| known.name == threshold).ok_or_else(|| {
            let near = cku_base::suggest(threshold, thresholds.iter().map(|known| known.name.as_str()));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            format!("the gate `{gate}` has no threshold `{threshold}`{hint}")
        })?;
        let value = found.value(mode).checked_add(more);
        value.map(Value::from).ok_or_else(|| format!("`{threshold}` and {more} more is too much"))
    }

    /// A gate that nothing asks rejects every input; a boundary must not take that for an answer.
    fn in_sequence(&self, gate: &str, mode: &str) -> Result<(), String> {
        let bundle = self.worker.bundle();
        let Some(sequence) = bundle.sequence(mode) else { return Err(format!("no sequence for `{mode}`")) };
        let gates: Vec<&str> =
            sequence.as_ref().map_err(Clone::clone)?.iter().map(|step| step.gate.as_str()).collect();
        if gates.contains(&gate) { Ok(()) } else { Err(no_such_gate(gate, &gates)) }
    }

    fn input(&self, mut document: Value, mode: &str) -> Result<DecisionInput, String> {
        let modes = &self.worker.bundle().manifest().modes;
        if !modes.iter().any(|m| m == mode) {
            return Err(format!("`{mode}` is not one of the bundle's modes: {}", modes.join(", ")));
        }
        patch::set(&mut document, "/mode", Value::from(mode))?;
        let read = simulate::read(document, self.worker.bundle().revision());
        let (input, unknown) = read.map_err(|e| e.to_string())?;
        match unknown.as_slice() {
            [] => Ok(input),
            unknown => Err(format!("the fixture has members that no input has: {}", unknown.join(", "))),
        }
    }
}

/// What a key of a boundary stands for: a number, a Boolean or a text.
fn scalar(text: &str) -> Value {
    match (text.parse::<i64>(), text) {
        (Ok(number), _) => Value::from(number),
        (_, "true") => Value::Bool(true),
        (_, "false") => Value::Bool(false),
        _ => Value::from(text),
    }
}

fn differences(expected: &Expectation, decision: &Decision) -> Vec<String> {
    if expected.says_nothing() {
        return vec!["`expect` says nothing, so nothing is tested".to_owned()];
    }
    let mut found = Vec::new();
    if let Some(verdict) = expected.verdict
        && verdict != decision.verdict
    {
        found.push(format!("verdict: expected {}, got {}", verdict.as_str(), decision.verdict.as_str()));
    }
    compare("gate", &expected.gates, decision, |g| g.verdict, &mut found);
    compare("effective", &expected.effective, decision, |g| g.effective, &mut found);
    for (gate, people) in &expected.overridden_by {
        match outcome(decision, gate) {
            Err(problem) => found.push(format!("overridden by, {gate}: {problem}")),
            Ok(got) if got.overridden_by == *people => {}
            Ok(got) => {
                found.push(format!("{gate} overridden by: expected {people:?}, got {:?}", got.overridden_by))
            }
        }
    }
    if let Some(rules) = &expected.rules {
        compare_rules(rules, expected, decision, &mut found);
    }
    if !found.is_empty() {
        let reasons = decision.gates.iter().flat_map(|g| g.reasons.iter().map(move |r| (g, r)));
        found.extend(reasons.map(|(g, r)| format!("  {}.{}: {}", g.gate, r.rule, r.message)));
        found.extend(decision.reasons.iter().map(|r| format!("  {}: {}", r.rule, r.message)));
    }
    found
}

fn compare(
    what: &str,
    expected: &BTreeMap<String, GateExpectation>,
    decision: &Decision,
    verdict: impl Fn(&GateOutcome) -> Option<Verdict>,
    found: &mut Vec<String>,
) {
    let show = |verdict: Option<Verdict>| verdict.map_or("unreached", Verdict::as_str);
    for (gate, expected) in expected {
        match outcome(decision, gate).map(&verdict) {
            Err(problem) => found.push(format!("{what} {gate}: {problem}")),
            Ok(got) if got == expected.verdict() => {}
            Ok(got) => {
                found.push(format!("{what} {gate}: expected {}, got {}", show(expected.verdict()), show(got)))
            }
        }
    }
}

fn compare_rules(rules: &[String], expected: &Expectation, decision: &Decision, found: &mut Vec<String>) {
    let named = |gate: &str| expected.gates.is_empty() || expected.gates.contains_key(gate);
    let of_gates = decision.gates.iter().filter(|g| named(&g.gate));
    let got = of_gates.flat_map(|g| g.reasons.iter().map(|r| format!("{}.{}", g.gate, r.rule)));
    let outside = decision.reasons.iter().map(|r| r.rule.clone());
    let got: BTreeSet<String> = got.chain(outside).collect();
    let wanted: BTreeSet<String> = rules.iter().cloned().collect();
    found.extend(wanted.difference(&got).map(|r| format!("rule {r} did not speak")));
    found.extend(got.difference(&wanted).map(|r| format!("rule {r} spoke")));
}

fn outcome<'d>(decision: &'d Decision, gate: &str) -> Result<&'d GateOutcome, String> {
    let gates: Vec<&str> = decision.gates.iter().map(|g| g.gate.as_str()).collect();
    decision.gates.iter().find(|g| g.gate == gate).ok_or_else(|| no_such_gate(gate, &gates))
}

fn no_such_gate(gate: &str, gates: &[&str]) -> String {
    let near = suggest(gate, gates.iter().copied());
    let hint = near.map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
    format!("the sequence has no gate `{gate}`{hint}")
}
