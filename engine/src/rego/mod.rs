//! Embedded Rego: modules checked and prepared once, evaluated strictly by one worker at a time.
//!
//! The seam is "the value of this path for this input"; nothing that leaves this module tells which
//! evaluator answered. An error inside a rule is an error here, never an absent value.

mod check;
pub(crate) mod graph;
mod strict;
mod walk;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use cku_base::diagnostic::{Diagnostic, LineIndex, Place};
use regorus::{Engine, LimitError, Value, utils::limits::ExecutionTimerConfig};

use crate::{
    coverage::{Coverage, RegoLines},
    error::EvalError,
    manifest::Manifest,
    nesting::{self, Comments},
};
use graph::RuleGraph;

/// One module: where it stands and its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModuleText<'t> {
    pub(crate) path: &'t str,
    pub(crate) text: &'t str,
}

/// Modules and data, checked and prepared.
#[derive(Debug, Clone)]
pub(crate) struct RegoProgram {
    prepared: Engine,
    graph: RuleGraph,
}

impl RegoProgram {
    /// Parses, checks and prepares; reports all that is wrong.
    pub(crate) fn load(
        modules: &[ModuleText<'_>],
        data: &serde_json::Value,
        manifest: &Manifest,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let program = Self::load_with_tests(modules, data, manifest, problems)?;
        let before = problems.len();
        problems.extend(check::not_deterministic(program.graph.calls()));
        (problems.len() == before).then_some(program)
    }

    /// The same for modules with unit tests among them, which may mock the clock.
    pub(crate) fn load_with_tests(
        modules: &[ModuleText<'_>],
        data: &serde_json::Value,
        manifest: &Manifest,
        problems: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let before = problems.len();
        let mut engine = match new_engine(manifest) {
            Ok(engine) => engine,
            Err(error) => {
                problems.push(Diagnostic::error("R001", format!("the evaluator cannot be set up: {error}")));
                return None;
            }
        };
        for module in modules {
            if let Err(problem) = add_module(&mut engine, module, manifest) {
                problems.push(problem);
            }
        }
        let graph = RuleGraph::of(engine.get_modules());
        problems.extend(check::cycles(&graph));
        problems.extend(check::long_chains(&graph));
        problems.extend(check::nowhere(&graph, data));
        problems.extend(check::missing_builtins(&graph));
        problems.extend(check::data_over_rules(&graph, data));
        problems.extend(check::outside_roots(&graph, &manifest.roots));
        if problems.iter().skip(before).any(Diagnostic::is_error) {
            return None;
        }
        let prepared = engine
            .add_data(Value::from(data.clone()))
            .and_then(|()| engine.eval_query("true".to_owned(), false));
        if let Err(error) = prepared {
            problems.push(locate(modules, "R001", &error.to_string()));
            return None;
        }
        Some(Self { prepared: engine, graph })
    }

    /// The rules and what they refer to.
    pub(crate) fn graph(&self) -> &RuleGraph {
        &self.graph
    }

    /// A worker with an evaluator of its own; cheap.
    pub(crate) fn worker(&self) -> RegoWorker {
        RegoWorker {
            engine: self.prepared.clone(),
            prepared: self.prepared.clone(),
            input: Value::Undefined,
            prints: Vec::new(),
            lines: None,
        }
    }
}

/// Evaluates entry points for one input after another.
#[derive(Debug)]
pub(crate) struct RegoWorker {
    engine: Engine,
    prepared: Engine,
    input: Value,
    prints: Vec<String>,
    /// What evaluators that were replaced had touched, if somebody wants to know.
    lines: Option<Coverage>,
}

impl RegoWorker {
    /// From now on notes the lines that are evaluated.
    pub(crate) fn watch(&mut self) {
        self.engine.set_enable_coverage(true);
        self.prepared.set_enable_coverage(true);
        self.lines = Some(Coverage::default());
    }

    /// The lines that were evaluated, and those that were not.
    pub(crate) fn lines(&mut self) -> BTreeMap<String, RegoLines> {
        self.gather();
        self.lines.as_ref().map(|lines| lines.rego.clone()).unwrap_or_default()
    }

    fn gather(&mut self) {
        let Some(lines) = &mut self.lines else { return };
        // Files of which nothing was evaluated are not in the report: whoever shows it knows them.
        for file in self.engine.get_coverage_report().into_iter().flat_map(|report| report.files) {
            let of = RegoLines { covered: file.covered, not_covered: file.not_covered };
            lines.merge(Coverage { rego: BTreeMap::from([(file.path, of)]), ..Coverage::default() });
        }
    }

    /// The input of all evaluations that follow.
    pub(crate) fn set_input(&mut self, input: Value) {
        self.engine.set_input(input.clone());
        self.input = input;
    }

    /// What `print` said in the last evaluation.
    pub(crate) fn prints(&self) -> &[String] {
        &self.prints
    }

    /// The value of a rule, `data.a.b`; none where it is undefined without an error.
    pub(crate) fn rule(&mut self, path: &str) -> Result<Option<Value>, EvalError> {
        match self.guarded(|engine| engine.eval_rule(path.to_owned())) {
            // Nobody wrote it: that is undefined, too. Word for word, since what other errors say may
            // come from an input.
            Err(EvalError::Failed(error)) if error == NO_RULE => Ok(None),
            other => other.map(defined),
        }
    }

    /// The value of any query with one expression; none where it is undefined without an error.
    pub(crate) fn query(&mut self, query: &str) -> Result<Option<Value>, EvalError> {
        nesting::check("<query>", query, Comments::Hash, QUERY_NESTING)
            .and_then(|()| nesting::check_operators("<query>", query, Comments::Hash))
            .map_err(|problem| EvalError::Failed(problem.message))?;
        if let Some(problem) =
            graph::calls_of_query(query).and_then(|calls| check::not_deterministic(&calls).next())
        {
            return Err(EvalError::Failed(format!(
                "{}; {}",
                problem.message,
                problem.help.unwrap_or_default()
            )));
        }
        let results = self.guarded(|engine| engine.eval_query(query.to_owned(), false))?;
        let mut expressions = results.result.into_iter().flat_map(|r| r.expressions);
        Ok(expressions.next().map(|e| e.value).and_then(defined))
    }

    /// Evaluates; after an error or a panic the evaluator is replaced.
    ///
    /// An evaluation that ended early leaves behind what it had begun: the mocks of a `with`, or no
    /// input at all. The next one would be answered with them.
    fn guarded<T>(
        &mut self,
        evaluate: impl FnOnce(&mut Engine) -> Result<T, anyhow::Error>,
    ) -> Result<T, EvalError> {
        let engine = &mut self.engine;
        let outcome = catch_unwind(AssertUnwindSafe(move || evaluate(engine)));
        let failure = match outcome {
            Ok(Ok(value)) => {
                // They are taken each time, or they would pile up.
                self.prints = self.engine.take_prints().unwrap_or_default();
                return Ok(value);
            }
            Ok(Err(error)) => evaluation_error(&error),
            Err(_) => {
                EvalError::Failed("the evaluator panicked; please report the policy and the input".to_owned())
            }
        };
        self.prints = Vec::new();
        self.gather();
        self.engine = self.prepared.clone();
        self.engine.set_input(self.input.clone());
        Err(failure)
    }
}

fn defined(value: Value) -> Option<Value> {
    (value != Value::Undefined).then_some(value)
}

/// How deeply a query may nest.
const QUERY_NESTING: usize = 64;

/// How the evaluator words that there is no such rule.
const NO_RULE: &str = "not a valid rule path";

/// How the evaluator words its time limit.
const TIME_LIMIT: &str = "execution exceeded time limit";

fn evaluation_error(error: &anyhow::Error) -> EvalError {
    let text = error.to_string();
    // Where a function was running, only the text of the limit's error is left.
    let in_chain =
        error.chain().any(|cause| matches!(cause.downcast_ref(), Some(LimitError::TimeLimitExceeded { .. })));
    if in_chain || text.contains(TIME_LIMIT) {
        return EvalError::TimeLimit;
    }
    match check::split_located(&text) {
        (Some((file, line, column)), message) => {
            EvalError::Failed(format!("{file}:{line}:{column}: {message}"))
        }
        (None, message) => EvalError::Failed(message),
    }
}

fn new_engine(manifest: &Manifest) -> Result<Engine, anyhow::Error> {
    let mut engine = Engine::new();
    strict::add(&mut engine)?;
    engine.set_strict_builtin_errors(true);
    engine.set_gather_prints(true);
    if let Some(check_interval) = std::num::NonZeroU32::new(1_000) {
        engine.set_execution_timer_config(ExecutionTimerConfig {
            limit: manifest.limits.time(),
            check_interval,
        });
    }
    Ok(engine)
}

fn add_module(engine: &mut Engine, module: &ModuleText<'_>, manifest: &Manifest) -> Result<(), Diagnostic> {
    nesting::check(module.path, module.text, Comments::Hash, manifest.limits.nesting)?;
    nesting::check_operators(module.path, module.text, Comments::Hash)?;
    engine
        .add_policy(module.path.to_owned(), module.text.to_owned())
        .map(|_| ())
        .map_err(|error| locate(&[*module], "R001", &error.to_string()))
}

fn locate(modules: &[ModuleText<'_>], code: &'static str, error: &str) -> Diagnostic {
    check::located(code, error, |file, line, column| {
        let text = modules.iter().find(|m| m.path == file).map_or("", |m| m.text);
        match text {
            "" => Place::whole_file(file),
            text => LineIndex::new(text).place_at(file, line, column),
        }
    })
}
