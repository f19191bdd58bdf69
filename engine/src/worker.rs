//! Evaluates a bundle for one input after another.

use std::{collections::BTreeMap, sync::Arc};

use regorus::Value;

use crate::{
    RuleVerdict,
    access::{Answer, Denial, Question},
    bundle::{Bundle, TOGETHER_PATH},
    cedar::access::Answers,
    error::EvalError,
    facts::Facts,
    input::Input,
    rego::RegoWorker,
};

/// Evaluates a bundle for one input after another; each thread has its own.
///
/// Evaluation is recursive, as policies are: what a bundle may nest is bounded when it is loaded, for
/// threads with a stack of 8 MiB.
#[derive(Debug)]
pub struct Worker {
    bundle: Arc<Bundle>,
    rego: RegoWorker,
    together: Together,
    answers: Answers,
}

/// What all gates ask of Rego, evaluated at once for the present input.
#[derive(Debug)]
enum Together {
    /// Not asked yet.
    Open,
    /// By gate.
    Known(Value),
    /// Something in it failed; each gate is asked on its own, so that only those fail that must.
    Failed,
}

impl Worker {
    /// A worker for this bundle; cheap, the bundle is prepared already.
    pub fn new(bundle: Arc<Bundle>) -> Self {
        let rego = bundle.rego().worker();
        Self { bundle, rego, together: Together::Open, answers: Answers::default() }
    }

    /// The bundle it evaluates.
    pub fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
    }

    /// The input of all evaluations that follow.
    pub fn set_input(&mut self, input: Input) {
        self.rego.set_input(input.0);
        self.together = Together::Open;
    }

    /// The facts of a gate, checked against their types.
    pub fn facts(&mut self, gate: &str) -> Result<Facts, EvalError> {
        let Some(declared) = self.bundle.facts_of(gate) else {
            return Err(EvalError::Failed(format!("the gate `{gate}` has no facts")));
        };
        let read = |collected: Option<&Value>| {
            Facts::read(&declared.facts, collected).map_err(|e| EvalError::Failed(e.to_string()))
        };
        match of_gate(&mut self.together, &mut self.rego, gate) {
            Some(collected) => read(Some(collected)),
            None => read(self.rego.rule(&declared.path)?.as_ref()),
        }
    }

    /// What a gate that decides by Rego gives, as JSON; none where it is undefined.
    pub fn decision(&mut self, gate: &str, path: &str) -> Result<Option<serde_json::Value>, EvalError> {
        match of_gate(&mut self.together, &mut self.rego, gate).map(Value::as_set) {
            Some(Ok(values)) => values.iter().next().map(json).transpose(),
            _ => self.value(path),
        }
    }

    /// What the rules of a gate say of these facts and access answers.
    pub fn rules(
        &self,
        gate: &str,
        mode: &str,
        facts: &Facts,
        access: &BTreeMap<String, bool>,
    ) -> Result<RuleVerdict, EvalError> {
        self.bundle.rules().evaluate(gate, mode, facts, access)
    }

    /// The value of a Rego rule, `data.a.b`, as JSON; none where it is undefined.
    pub fn value(&mut self, path: &str) -> Result<Option<serde_json::Value>, EvalError> {
        self.rego.rule(path)?.map(|v| json(&v)).transpose()
    }

    /// The value of any Rego query with one expression, as JSON; none where it is undefined.
    pub fn query(&mut self, query: &str) -> Result<Option<serde_json::Value>, EvalError> {
        self.rego.query(query)?.map(|v| json(&v)).transpose()
    }

    /// Asks the access policies; whatever goes wrong is a denial.
    pub fn ask(&mut self, question: &Question<'_>) -> Answer {
        match self.bundle.access() {
            Some(policies) => self.answers.find_or_ask(question, policies),
            None => Answer::Denied(Denial::Error("the bundle has no access policies".to_owned())),
        }
    }
}

/// What one gate asked of Rego, if all gates could be asked at once.
fn of_gate<'t>(together: &'t mut Together, rego: &mut RegoWorker, gate: &str) -> Option<&'t Value> {
    if matches!(together, Together::Open) {
        *together = match rego.rule(TOGETHER_PATH) {
            Ok(Some(value)) => Together::Known(value),
            Ok(None) | Err(_) => Together::Failed,
        };
    }
    match together {
        Together::Known(value) => value.as_object().ok()?.get(&Value::from(gate)),
        Together::Open | Together::Failed => None,
    }
}

/// Undefined would serialise as a text, so it is looked for before.
fn json(value: &Value) -> Result<serde_json::Value, EvalError> {
    let failed = |message: String| EvalError::Failed(message);
    if contains_undefined(value) {
        return Err(failed("the value has undefined members".to_owned()));
    }
    serde_json::to_value(value).map_err(|e| failed(format!("the value is not JSON: {e}")))
}

fn contains_undefined(value: &Value) -> bool {
    match value {
        Value::Undefined => true,
        Value::Array(items) => items.iter().any(contains_undefined),
        Value::Set(items) => items.iter().any(contains_undefined),
        Value::Object(members) => members.iter().any(|(k, v)| contains_undefined(k) || contains_undefined(v)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
