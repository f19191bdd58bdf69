//! Mode blocks: every gate of the bundle, once, in every mode.

use cku_base::{diagnostic::Diagnostic, suggest};

use super::{Declared, Report, names};
use crate::{
    ast::{Entry, Flag, ModeItem, Source},
    codes,
    model::{Enforcement, Sequence, SequenceEntry},
};

/// The gates of the bundle.
pub(super) struct DeclaredGates {
    /// Their names, sorted.
    pub(super) names: Vec<String>,
    /// False if a file could not be read, so that there may be more.
    pub(super) all_known: bool,
}

/// Checks all mode blocks.
pub(super) fn check<'a>(
    blocks: impl Iterator<Item = (&'a Source<'a>, &'a ModeItem)>,
    gates: &DeclaredGates,
    modes: &[String],
    report: &mut Report,
) -> Vec<Sequence> {
    let mut declared = Declared::default();
    let mut sequences: Vec<Sequence> = Vec::new();
    let mut first_block = None;
    for (source, block) in blocks {
        first_block.get_or_insert_with(|| source.place(&block.name.span));
        let known = names::is_mode(source, &block.name, modes, report);
        let sequence = sequence(source, block, gates, report);
        if known && declared.declare(source, &block.name, "the sequence of mode", report) {
            sequences.push(sequence);
        }
    }
    // Without any block these files do not order gates at all; with one, no mode may be without.
    if let (Some(place), true) = (first_block, gates.all_known) {
        for mode in modes.iter().filter(|mode| !declared.places.contains_key(*mode)) {
            let message = format!("mode `{mode}` has no sequence, but others have");
            let help = format!("add `mode {mode} {{ … }}` with every gate of the bundle");
            report.add(Diagnostic::error(codes::INCOMPLETE, message).at(place.clone()).help(help));
        }
    }
    sequences
}

fn sequence(source: &Source<'_>, block: &ModeItem, gates: &DeclaredGates, report: &mut Report) -> Sequence {
    let mut listed = Declared::listed();
    let mut entries = Vec::new();
    let flags = ["advise", "barrier", "override"];
    let mut slip_in = None;
    for item in &block.entries {
        let name = &item.gate.text;
        let known = gates.names.contains(name);
        let line = source.place(&item.gate.span).line;
        // What follows a flag with a slip in it on its line is a part of it: `overide by admin`.
        if !known && gates.all_known && slip_in != Some(line) {
            let message = format!("the bundle has no gate `{name}`");
            // It reads as the next gate.
            slip_in = suggest(name, flags).map(|_| line);
            let gates = gates.names.iter().map(String::as_str);
            let mut known: Vec<&str> = gates.collect();
            known.extend(slip_in.and_then(|_| suggest(name, flags)));
            report.add(names::unknown(codes::UNKNOWN_GATE, source, &item.gate.span, message, known));
        }
        listed.declare(source, &item.gate, "gate", report);
        entries.push(entry(source, item, report));
    }
    let unread = source.words(&block.broken);
    let missing: Vec<String> = gates
        .names
        .iter()
        .filter(|gate| !listed.places.contains_key(*gate) && !unread.contains(gate.as_str()))
        .map(|gate| format!("`{gate}`"))
        .collect();
    if !missing.is_empty() && gates.all_known {
        let message = format!("the sequence of mode `{}` misses {}", block.name.text, missing.join(", "));
        let diagnostic = Diagnostic::error(codes::INCOMPLETE, message).at(source.place(&block.name.span));
        report.add(
            diagnostic.help("list every gate of the bundle; mark with `advise` those that do not count"),
        );
    }
    Sequence { mode: block.name.text.clone(), entries, place: source.place(&block.name.span) }
}

fn entry(source: &Source<'_>, item: &Entry, report: &mut Report) -> SequenceEntry {
    let mut entry = SequenceEntry {
        gate: item.gate.text.clone(),
        enforcement: Enforcement::Enforce,
        barrier: false,
        override_by: None,
        place: source.place(&item.span),
    };
    let mut seen: Vec<&str> = Vec::new();
    for (flag, span) in &item.flags {
        let word = match flag {
            Flag::Advise => {
                entry.enforcement = Enforcement::Advise;
                "advise"
            }
            Flag::Barrier => {
                entry.barrier = true;
                "barrier"
            }
            Flag::OverrideBy(role) => {
                entry.override_by = Some(role.text.clone());
                "override"
            }
        };
        if seen.contains(&word) {
            let message = format!("gate `{}` has `{word}` twice", entry.gate);
            report.add(Diagnostic::error(codes::DUPLICATE, message).at(source.place(span)));
        }
        seen.push(word);
    }
    let advised = entry.enforcement == Enforcement::Advise;
    if let Some(word) = seen.iter().find(|word| advised && **word != "advise") {
        let message = format!("gate `{}` only advises, so that `{word}` has no effect", entry.gate);
        report.add(Diagnostic::error(codes::CONTRADICTION, message).at(entry.place.clone()));
    }
    entry
}
