//! The baseline, edited in memory, and the solver.

use std::path::PathBuf;

use cku_changes::prove::{Cache, Comparison, Direction, Part, Proof, Solver, SolverOptions, compare};
use cku_engine::{Bundle, Sources};

pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

pub(crate) fn baseline() -> Bundle {
    edited(&[])
}

/// The baseline with texts replaced: file, old, new. An old text that is not there is a mistake of the test;
/// an empty one adds to the end of the file, which need not be there.
pub(crate) fn edited(edits: &[(&str, &str, &str)]) -> Bundle {
    let sources = Sources::read_dir(&repository().join("policies/baseline")).unwrap();
    let files = sources.files().iter().map(|file| {
        let mut text = file.text.to_string();
        for (_, old, new) in edits.iter().filter(|(path, ..)| *path == file.path) {
            assert!(text.contains(old), "`{old}` is not in {}", file.path);
            text = if old.is_empty() { text + new } else { text.replace(old, new) };
        }
        (file.path.clone(), text)
    });
    let added = edits.iter().filter(|(path, old, _)| old.is_empty() && sources.text(path).is_none());
    let added = added.map(|(path, _, new)| ((*path).to_owned(), (*new).to_owned()));
    Bundle::from_sources(Sources::from_files(files.chain(added).collect::<Vec<_>>()))
        .unwrap_or_else(|e| panic!("{:#?}", e.diagnostics))
}

/// The solver; none where it is not installed, with a line that says so. CI has it.
pub(crate) fn solver() -> Option<Solver> {
    match Solver::new(SolverOptions::default(), Cache::default()) {
        Ok(solver) => Some(solver),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "{why}");
            eprintln!("skipped: {why}");
            None
        }
    }
}

/// Compares the baseline with an edit of it.
pub(crate) fn change(edits: &[(&str, &str, &str)], solver: &mut Solver) -> Comparison {
    compare(&baseline(), &edited(edits), Some(solver))
}

/// What is known without a solver.
pub(crate) fn change_without_solver(edits: &[(&str, &str, &str)]) -> Comparison {
    compare(&baseline(), &edited(edits), None)
}

/// The parts as short lines.
pub(crate) fn lines(comparison: &Comparison) -> Vec<String> {
    let line = |part: &Part| format!("{}: {}", part.what, part.direction.name());
    comparison.parts.iter().map(line).collect()
}

/// The sentences of all counterexamples.
pub(crate) fn sentences(comparison: &Comparison) -> Vec<String> {
    let checks = comparison.parts.iter().flat_map(|part| &part.checks);
    let sentence = |proof: &Proof| match proof {
        Proof::Refuted { counterexample } => Some(counterexample.sentence.clone()),
        _ => None,
    };
    checks.filter_map(|check| sentence(&check.proof)).collect()
}

pub(crate) fn whole(edits: &[(&str, &str, &str)]) -> Option<Direction> {
    Some(change(edits, &mut solver()?).whole)
}
