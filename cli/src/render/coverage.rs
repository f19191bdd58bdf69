//! What the tests of a bundle touch of it, and what they do not.

use std::{collections::BTreeMap, fmt::Write};

use cku_engine::{Bundle, Coverage, FileKind};
use cku_lang::Origin;
use serde::Serialize;

use super::style;

/// Coverage of a bundle, as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct Covered {
    /// Policies that gate rules, `missing` and `require access` compile to.
    rules: Part,
    /// Access policies.
    access: Part,
    /// Lines of Rego, by file.
    rego: BTreeMap<String, Lines>,
}

/// Policies of one sort: how often each determined something.
#[derive(Debug, Serialize)]
struct Part {
    determined: BTreeMap<String, u64>,
    never: Vec<Never>,
}

/// A policy that determined nothing.
#[derive(Debug, Serialize)]
struct Never {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
}

#[derive(Debug, Default, Serialize)]
struct Lines {
    covered: Vec<u32>,
    not_covered: Vec<u32>,
    /// Whether nothing of the file was evaluated, so that its lines are not known.
    untouched: bool,
}

impl Covered {
    /// What is covered of a bundle.
    pub(crate) fn of(bundle: &Bundle, coverage: &Coverage) -> Self {
        let rules = bundle.compiled().policies.iter().filter(|policy| policy.origin != Origin::Permit);
        let rules = rules.map(|p| (p.id.clone(), Some(format!("{}:{}", p.place.file, p.place.line))));
        let access = bundle.access_policies().into_iter().map(|id| (id, None));
        let mut rego: BTreeMap<String, Lines> = bundle
            .sources()
            .of_kind(FileKind::Rego)
            .map(|file| (file.path.clone(), Lines { untouched: true, ..Lines::default() }))
            .collect();
        // What gate files compile to is covered where its gates are.
        for (file, lines) in coverage.rego.iter().filter(|(file, _)| !file.starts_with("compiled/")) {
            let covered = lines.covered.iter().copied().collect();
            let not_covered = lines.not_covered.iter().copied().collect();
            rego.insert(file.clone(), Lines { covered, not_covered, untouched: false });
        }
        Self { rules: Part::of(rules, &coverage.rules), access: Part::of(access, &coverage.access), rego }
    }

    /// One line for each sort; with `details` also what is not covered.
    pub(crate) fn render(&self, details: bool) -> String {
        let mut out = String::new();
        let policies = [("gate policies", &self.rules), ("access policies", &self.access)];
        for (what, part) in policies {
            let (yes, no) = (part.determined.len(), part.never.len());
            if yes + no == 0 {
                continue;
            }
            head(&mut out, what, yes, yes + no, "determined an outcome");
            for never in part.never.iter().filter(|_| details) {
                let place = never.place.as_ref().map_or_else(String::new, |place| format!("  {place}"));
                let dim = style::DIM;
                let _ = writeln!(out, "    {}{dim}{place}{dim:#}", never.id);
            }
        }
        if self.rego.is_empty() {
            return out;
        }
        let covered: usize = self.rego.values().map(|lines| lines.covered.len()).sum();
        let not_covered: usize = self.rego.values().map(|lines| lines.not_covered.len()).sum();
        if covered + not_covered > 0 {
            head(&mut out, "lines of Rego", covered, covered + not_covered, "were evaluated");
        }
        for (file, lines) in &self.rego {
            if lines.untouched {
                let warning = style::WARNING;
                let _ = writeln!(out, "    {file}: {warning}nothing was evaluated{warning:#}");
            } else if details && !lines.not_covered.is_empty() {
                let _ = writeln!(out, "    {file}: {}", ranges(&lines.not_covered));
            }
        }
        out
    }
}

impl Part {
    fn of(all: impl Iterator<Item = (String, Option<String>)>, counts: &BTreeMap<String, u64>) -> Self {
        let mut part = Self { determined: BTreeMap::new(), never: Vec::new() };
        for (id, place) in all {
            match counts.get(&id) {
                Some(times) => drop(part.determined.insert(id, *times)),
                None => part.never.push(Never { id, place }),
            }
        }
        part
    }
}

fn head(out: &mut String, what: &str, yes: usize, all: usize, did: &str) {
    let colour = if yes == all { style::GOOD } else { style::WARNING };
    let _ = writeln!(out, "{colour}{yes} of {all}{colour:#} {what} {did}");
}

/// `3, 7-9`.
fn ranges(lines: &[u32]) -> String {
    let runs = lines.chunk_by(|a, b| a + 1 == *b);
    let written = runs.filter_map(|run| match (run.first(), run.last()) {
        (Some(first), Some(last)) if first == last => Some(first.to_string()),
        (Some(first), Some(last)) => Some(format!("{first}-{last}")),
        _ => None,
    });
    written.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn neighbouring_lines_are_one_range() {
        assert_eq!(ranges(&[3, 7, 8, 9, 12]), "3, 7-9, 12");
        assert_eq!(ranges(&[]), "");
    }
}
