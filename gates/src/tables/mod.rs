//! Table tests: `*_test.yaml` beside the policies.
//!
//! A table names fixtures, and then says case by case what is different and what is expected:
//! whole decisions (`cases`), one gate around one threshold (`boundaries`), and who may do what
//! (`access`). Every case in every mode is a test with its own name; none stops the others.

mod access;
mod document;
mod patch;
mod place;
mod run;

use std::sync::Arc;

use cku_base::diagnostic::{Diagnostic, Place};
use cku_engine::{Bundle, Coverage, FileKind, Worker};

/// One test and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableTest {
    /// Its name, like `a failing test rejects [prod]`.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// What differed from what was expected; empty if it passed.
    pub differences: Vec<String>,
}

/// Runs all table tests of a bundle in the order of files and rows; errors mean that they do not load.
///
/// What they touch of the bundle is added to `coverage`, if there is one.
pub fn run(bundle: &Arc<Bundle>, coverage: Option<&mut Coverage>) -> Result<Vec<TableTest>, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut tables = Vec::new();
    for file in bundle.sources().of_kind(FileKind::TableTest) {
        match document::read(file) {
            Ok(table) => tables.push((file, table)),
            Err(problem) => problems.push(problem),
        }
    }
    let fixtures = patch::Fixtures::gather(&tables, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut worker = match coverage {
        Some(_) => Worker::watching(bundle.clone()),
        None => Worker::new(bundle.clone()),
    };
    let mut tests = Vec::new();
    for (file, table) in &tables {
        let mut runner = run::Runner { worker: &mut worker, fixtures: &fixtures, file, tests: &mut tests };
        runner.cases(&table.cases);
        runner.boundaries(&table.boundaries);
        if let Some(access) = &table.access {
            access::run(&mut runner, access);
        }
    }
    if let Some(coverage) = coverage {
        coverage.merge(worker.coverage());
    }
    Ok(tests)
}
