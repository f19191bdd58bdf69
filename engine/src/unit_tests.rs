//! The Rego unit tests of a bundle: `test_` rules in `*_test.rego`.

use cku_base::diagnostic::{Diagnostic, Place};

use crate::{
    Bundle, Coverage, EvalError, FileKind,
    rego::{ModuleText, RegoProgram, graph::dotted},
};

/// One `test_` rule and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitTest {
    /// Its path, like `data.cku.quality_test.test_coverage_is_floored`.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// How it ended.
    pub outcome: UnitTestOutcome,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitTestOutcome {
    /// The rule is true.
    Passed,
    /// The rule is false or undefined.
    Failed(String),
    /// The rule gave an error.
    Error(String),
    /// The rule's name begins with `todo_`.
    Skipped,
}

impl Bundle {
    /// Runs all Rego unit tests, in the order of their paths; errors mean that the tests do not load.
    ///
    /// What they touch of the bundle is added to `coverage`, if there is one.
    pub fn run_unit_tests(&self, coverage: Option<&mut Coverage>) -> Result<Vec<UnitTest>, Vec<Diagnostic>> {
        let tests = self.sources().of_kind(FileKind::RegoTest);
        let tests: Vec<ModuleText<'_>> = tests.map(|f| ModuleText { path: &f.path, text: &f.text }).collect();
        if tests.is_empty() {
            return Ok(Vec::new());
        }
        let modules: Vec<ModuleText<'_>> = self.modules().chain(tests.iter().copied()).collect();
        let of_tests = |file: &str| tests.iter().any(|t| t.path == file);
        let mut problems = Vec::new();
        let Some(program) =
            RegoProgram::load_with_tests(&modules, self.data(), self.manifest(), &mut problems)
        else {
            return Err(problems);
        };
        for node in program.graph().rules().values() {
            let (tested, testing) = node.files.iter().partition::<Vec<_>, _>(|f| !of_tests(f));
            if let (Some(_), Some(file)) = (tested.first(), testing.first()) {
                let message = format!("`{file}` adds to a rule of the bundle, so it would test itself");
                problems.push(
                    Diagnostic::error("T003", message).at(node.place.clone()).help("mock it with `with`"),
                );
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut worker = program.worker();
        if coverage.is_some() {
            worker.watch();
        }
        let mut outcomes = Vec::new();
        for (path, node) in program.graph().rules() {
            let Some(rule) = path.last().filter(|_| node.files.iter().any(|f| of_tests(f))) else { continue };
            let name = dotted(path);
            let outcome = if rule.starts_with("todo_test_") {
                UnitTestOutcome::Skipped
            } else if rule.starts_with("test_") {
                let said = worker.rule(&name);
                let printed: String = worker.prints().iter().map(|line| format!("; {line}")).collect();
                match said {
                    Ok(Some(regorus::Value::Bool(true))) => UnitTestOutcome::Passed,
                    Ok(Some(value)) => UnitTestOutcome::Failed(format!("is {value}, not true{printed}")),
                    Ok(None) => UnitTestOutcome::Failed(format!("is undefined, not true{printed}")),
                    Err(EvalError::Failed(error)) => UnitTestOutcome::Error(error),
                    Err(error) => UnitTestOutcome::Error(error.to_string()),
                }
            } else {
                continue;
            };
            outcomes.push(UnitTest { name, place: node.place.clone(), outcome });
        }
        if let Some(coverage) = coverage {
            let mut rego = worker.lines();
            rego.retain(|file, _| !of_tests(file));
            coverage.merge(Coverage { rego, ..Coverage::default() });
        }
        Ok(outcomes)
    }
}
