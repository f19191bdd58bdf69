//! From syntax trees to gates that mean something: all errors of all files in one go.

mod expression;
mod gate;
mod message;
mod names;
mod reach;
mod scope;
mod sequence;
mod threshold;

use std::collections::BTreeMap;

use cku_base::diagnostic::{Diagnostic, Place};

use crate::{
    ast::{Ast, Item, Name, Source},
    codes,
    condition::Condition,
    model::{Gate, Sequence},
};

/// What the gate files of a bundle say, checked.
pub(crate) struct Checked {
    pub(crate) gates: Vec<CheckedGate>,
    pub(crate) sequences: Vec<Sequence>,
    pub(crate) warnings: Vec<Diagnostic>,
}

/// A gate with the conditions of its rules, in the rules' order.
pub(crate) struct CheckedGate {
    pub(crate) gate: Gate,
    pub(crate) conditions: Vec<Condition>,
}

/// Checks all files together, for a bundle with these modes.
pub(crate) fn check(files: &[Ast], modes: &[String]) -> Result<Checked, Vec<Diagnostic>> {
    let mut report = Report::default();
    if modes.is_empty() {
        let help = "declare them in `bundle.yaml`, for example `modes: [dev, staging, prod]`";
        report.add(Diagnostic::error(codes::NO_MODES, "the bundle declares no modes").help(help));
    }
    let repeated =
        modes.iter().enumerate().filter(|(n, mode)| modes.iter().take(*n).any(|other| other == *mode));
    for (_, mode) in repeated {
        report.add(Diagnostic::error(codes::DUPLICATE, format!("the bundle declares mode `{mode}` twice")));
    }
    files.iter().flat_map(|file| &file.errors).for_each(|error| report.add(error.clone()));

    let sources: Vec<Source<'_>> = files.iter().map(Ast::source).collect();
    let items =
        || files.iter().zip(&sources).flat_map(|(file, source)| file.items.iter().map(move |i| (source, i)));

    let mut names = Declared::default();
    let mut gates = Vec::new();
    for (source, item) in items() {
        if let Item::Gate(item) = item {
            names::not_reserved(source, &item.name, "gate", &mut report);
            // A second gate of the same name is checked too, so that its errors are not hidden.
            let checked = gate::check(source, item, modes, &mut report);
            if names.declare(source, &item.name, "gate", &mut report) {
                gates.extend(checked);
            }
        }
    }
    let blocks = items().filter_map(|(source, item)| match item {
        Item::Mode(item) => Some((source, item)),
        Item::Gate(_) => None,
    });
    let declared = sequence::DeclaredGates {
        names: names.places.into_keys().collect(),
        all_known: files.iter().all(|file| !file.lost_items),
    };
    let mut sequences = sequence::check(blocks, &declared, modes, &mut report);

    gates.sort_by(|a: &CheckedGate, b| a.gate.name.cmp(&b.gate.name));
    sequences.sort_by_key(|sequence| modes.iter().position(|mode| *mode == sequence.mode));
    report.diagnostics.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
    match report.diagnostics.iter().any(Diagnostic::is_error) {
        true => Err(report.diagnostics),
        false => Ok(Checked { gates, sequences, warnings: report.diagnostics }),
    }
}

/// Collects diagnostics.
#[derive(Default)]
pub(crate) struct Report {
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    fn add(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Whether there is an error among the diagnostics after the first so many.
    fn has_errors_since(&self, count: usize) -> bool {
        self.diagnostics.iter().skip(count).any(Diagnostic::is_error)
    }
}

/// The names of one kind of thing, to find those declared twice.
struct Declared {
    places: BTreeMap<String, Place>,
    verb: &'static str,
}

impl Default for Declared {
    fn default() -> Self {
        Self { places: BTreeMap::new(), verb: "declared" }
    }
}

impl Declared {
    /// For names that are used rather than declared.
    fn listed() -> Self {
        Self { verb: "listed", ..Self::default() }
    }

    /// Notes a name; false, with an error, if there is one already.
    fn declare(&mut self, source: &Source<'_>, name: &Name, what: &str, report: &mut Report) -> bool {
        let place = source.place(&name.span);
        if let Some(first) = self.places.get(&name.text) {
            let message = format!("{what} `{}` is {} twice, first at {first}", name.text, self.verb);
            report.add(Diagnostic::error(codes::DUPLICATE, message).at(place));
            return false;
        }
        self.places.insert(name.text.clone(), place);
        true
    }
}
