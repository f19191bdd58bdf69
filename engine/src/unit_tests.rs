//! The Rego unit tests of a bundle: `test_` rules in `*_test.rego`.

use cku_base::diagnostic::{Diagnostic, Place};

use crate::{
    Bundle, EvalError, FileKind,
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
    pub fn run_unit_tests(&self) -> Result<Vec<UnitTest>, Vec<Diagnostic>> {
        let tests = self.sources().of_kind(FileKind::RegoTest);
        let tests: Vec<ModuleText<'_>> = tests.map(|f| ModuleText { path: &f.path, text: &f.text }).collect();
        if tests.is_empty() {
            return Ok(Vec::new());
        }
        let modules: Vec<ModuleText<'_>> = self.modules().chain(tests.iter().copied()).collect();
        let mut problems = Vec::new();
        let Some(program) =
            RegoProgram::load_with_tests(&modules, self.data(), self.manifest(), &mut problems)
        else {
            return Err(problems);
        };
        let mut worker = program.worker();
        let of_tests = |file: &str| tests.iter().any(|t| t.path == file);
        let mut outcomes = Vec::new();
        for (path, node) in program.graph().rules() {
            let Some(rule) = path.last().filter(|_| node.files.iter().any(|f| of_tests(f))) else { continue };
            let name = dotted(path);
            let outcome = if rule.starts_with("todo_test_") {
                UnitTestOutcome::Skipped
            } else if rule.starts_with("test_") {
                match worker.rule(&name) {
                    Ok(Some(regorus::Value::Bool(true))) => UnitTestOutcome::Passed,
                    Ok(Some(value)) => UnitTestOutcome::Failed(format!("is {value}, not true")),
                    Ok(None) => UnitTestOutcome::Failed("is undefined, not true".to_owned()),
                    Err(EvalError::Failed(error)) => UnitTestOutcome::Error(error),
                    Err(error) => UnitTestOutcome::Error(error.to_string()),
                }
            } else {
                continue;
            };
            outcomes.push(UnitTest { name, place: node.place.clone(), outcome });
        }
        Ok(outcomes)
    }
}
