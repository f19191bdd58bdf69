//! The Rego that collects each gate's facts, and the sequences as Rego.

use super::{line, quoted};
use crate::model::{Gate, GateBody, RegoModule, Rules, Sequence, SequenceEntry};

/// One facts module per gate that has rules, and one sequence module if there are sequences.
pub(super) fn modules(gates: &[Gate], sequences: &[Sequence]) -> Vec<RegoModule> {
    let facts = gates.iter().filter_map(|gate| match &gate.body {
        GateBody::Rules(rules) => Some(facts_module(gate, rules)),
        GateBody::Rego { .. } => None,
    });
    let sequence = (!sequences.is_empty()).then(|| sequence_module(sequences));
    facts.chain(sequence).collect()
}

/// One set per fact: empty where the fact is undefined, so that one missing fact does not make the
/// whole object undefined.
fn facts_module(gate: &Gate, rules: &Rules) -> RegoModule {
    let members: Vec<String> = rules
        .facts
        .iter()
        .map(|fact| {
            format!("\t# {}\n\t{}: {{x | x := {}}}", line(&fact.place), quoted(&fact.name), fact.path)
        })
        .collect();
    let name = &gate.name;
    let object = match members.is_empty() {
        true => "{}".to_owned(),
        false => format!("{{\n{}\n}}", members.join(",\n")),
    };
    let text =
        format!("# {}: gate {name}\npackage cku.facts.{name}\n\ncollected := {object}\n", line(&gate.place));
    RegoModule { path: format!("compiled/facts/{name}.rego"), text }
}

fn sequence_module(sequences: &[Sequence]) -> RegoModule {
    let modes: Vec<String> = sequences
        .iter()
        .map(|sequence| {
            let entries: Vec<String> = sequence.entries.iter().map(entry).collect();
            let list = match entries.is_empty() {
                true => "[]".to_owned(),
                false => format!("[\n{}\n\t]", entries.join(",\n")),
            };
            format!("\t# {}\n\t{}: {list}", line(&sequence.place), quoted(&sequence.mode))
        })
        .collect();
    let text = format!("package cku\n\nsequence := {{\n{}\n}}\n", modes.join(",\n"));
    RegoModule { path: "compiled/sequence.rego".to_owned(), text }
}

fn entry(entry: &SequenceEntry) -> String {
    let role = entry.override_by.as_ref().map_or_else(|| "null".to_owned(), |role| quoted(role));
    format!(
        "\t\t{{\"gate\": {}, \"enforcement\": {}, \"barrier\": {}, \"override\": {role}}}",
        quoted(&entry.gate),
        quoted(entry.enforcement.name()),
        entry.barrier
    )
}
