//! Embedded Rego: modules checked and prepared once, evaluated strictly by one worker at a time.
//!
//! The seam is "the value of this path for this input"; nothing that leaves this module tells which
//! evaluator answered. An error inside a rule is an error here, never an absent value.

mod check;
pub(crate) mod graph;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cku_base::diagnostic::{Diagnostic, LineIndex, Place};
use regorus::{Engine, LimitError, Value, utils::limits::ExecutionTimerConfig};

use crate::{
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
        problems.extend(check::not_deterministic(&program.graph));
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
        let mut engine = new_engine(manifest);
        for module in modules {
            if let Err(problem) = add_module(&mut engine, module, manifest) {
                problems.push(problem);
            }
        }
        let graph = RuleGraph::of(engine.get_modules());
        problems.extend(check::cycles(&graph));
        problems.extend(check::missing_builtins(&graph));
        problems.extend(check::data_over_rules(&graph, data));
        problems.extend(check::outside_roots(&graph, &manifest.roots));
        if problems.len() > before {
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
        RegoWorker { engine: self.prepared.clone(), prepared: self.prepared.clone() }
    }
}

/// Evaluates entry points for one input after another.
#[derive(Debug)]
pub(crate) struct RegoWorker {
    engine: Engine,
    prepared: Engine,
}

impl RegoWorker {
    /// The input of all evaluations that follow.
    pub(crate) fn set_input(&mut self, input: Value) {
        self.engine.set_input(input);
    }

    /// The value of a rule, `data.a.b`; none where it is undefined without an error.
    pub(crate) fn rule(&mut self, path: &str) -> Result<Option<Value>, EvalError> {
        self.guarded(|engine| engine.eval_rule(path.to_owned())).map(defined)
    }

    /// The value of any query with one expression; none where it is undefined without an error.
    pub(crate) fn query(&mut self, query: &str) -> Result<Option<Value>, EvalError> {
        let results = self.guarded(|engine| engine.eval_query(query.to_owned(), false))?;
        let mut expressions = results.result.into_iter().flat_map(|r| r.expressions);
        Ok(expressions.next().map(|e| e.value).and_then(defined))
    }

    /// A panic is caught, and the evaluator that had it is thrown away.
    fn guarded<T>(
        &mut self,
        evaluate: impl FnOnce(&mut Engine) -> Result<T, anyhow::Error>,
    ) -> Result<T, EvalError> {
        let engine = &mut self.engine;
        let outcome = catch_unwind(AssertUnwindSafe(move || evaluate(engine)));
        match outcome {
            Ok(result) => result.map_err(|error| evaluation_error(&error)),
            Err(_) => {
                self.engine = self.prepared.clone();
                Err(EvalError::Failed(
                    "the evaluator panicked; please report the policy and the input".to_owned(),
                ))
            }
        }
    }
}

fn defined(value: Value) -> Option<Value> {
    (value != Value::Undefined).then_some(value)
}

fn evaluation_error(error: &anyhow::Error) -> EvalError {
    if let Some(LimitError::TimeLimitExceeded { limit, .. }) = error.downcast_ref() {
        return EvalError::TimeLimit(*limit);
    }
    let text = error.to_string();
    match check::split_located(&text) {
        (Some((file, line, column)), message) => {
            EvalError::Failed(format!("{file}:{line}:{column}: {message}"))
        }
        (None, message) => EvalError::Failed(message),
    }
}

fn new_engine(manifest: &Manifest) -> Engine {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    engine.set_gather_prints(true);
    if let Some(check_interval) = std::num::NonZeroU32::new(1_000) {
        engine.set_execution_timer_config(ExecutionTimerConfig {
            limit: manifest.limits.time(),
            check_interval,
        });
    }
    engine
}

fn add_module(engine: &mut Engine, module: &ModuleText<'_>, manifest: &Manifest) -> Result<(), Diagnostic> {
    nesting::check(module.path, module.text, Comments::Hash, manifest.limits.nesting)?;
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
