//! Evaluates a bundle for one input after another.

use std::{collections::BTreeMap, sync::Arc};

use regorus::Value;

use crate::{
    RuleVerdict,
    access::{Answer, Denial, Question},
    authzen::{Asked, Evaluated, Thing},
    bundle::Bundle,
    cedar::access::Answers,
    coverage::Coverage,
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
    answers: Answers,
    /// Answers to questions of other systems.
    evaluated: Evaluated,
    /// What was touched, if somebody wants to know.
    coverage: Option<Coverage>,
}

impl Worker {
    /// A worker for this bundle; cheap, the bundle is prepared already.
    pub fn new(bundle: Arc<Bundle>) -> Self {
        let rego = bundle.rego().worker();
        Self { bundle, rego, answers: Answers::default(), evaluated: Evaluated::default(), coverage: None }
    }

    /// A worker that notes what its evaluations touch; slower.
    pub fn watching(bundle: Arc<Bundle>) -> Self {
        let mut worker = Self::new(bundle);
        worker.rego.watch();
        worker.coverage = Some(Coverage::default());
        worker
    }

    /// What was touched since the worker was made; nothing if it does not watch.
    pub fn coverage(&mut self) -> Coverage {
        let mut coverage = self.coverage.clone().unwrap_or_default();
        coverage.merge(Coverage { rego: self.rego.lines(), ..Coverage::default() });
        coverage
    }

    /// The bundle it evaluates.
    pub fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
    }

    /// The input of all evaluations that follow.
    pub fn set_input(&mut self, input: Input) {
        self.rego.set_input(input.0);
    }

    /// The facts of a gate, checked against their types.
    pub fn facts(&mut self, gate: &str) -> Result<Facts, EvalError> {
        let Some(declared) = self.bundle.facts_of(gate) else {
            return Err(EvalError::Failed(format!("the gate `{gate}` has no facts")));
        };
        let collected = self.rego.rule(&declared.path)?;
        Facts::read(&declared.facts, collected.as_ref()).map_err(|e| EvalError::Failed(e.to_string()))
    }

    /// What the rules of a gate say of these facts and access answers.
    pub fn rules(
        &mut self,
        gate: &str,
        mode: &str,
        facts: &Facts,
        access: &BTreeMap<String, bool>,
    ) -> Result<RuleVerdict, EvalError> {
        let verdict = self.bundle.rules().evaluate(gate, mode, facts, access)?;
        if let Some(coverage) = &mut self.coverage {
            match &verdict {
                RuleVerdict::Pass => coverage.of_rules([&format!("{gate}.gate:proceed")]),
                RuleVerdict::Pause(ids) => {
                    coverage.of_rules(ids.iter().chain([&format!("{gate}.gate:hold")]));
                }
                RuleVerdict::Reject(ids) => coverage.of_rules(ids),
            }
        }
        Ok(verdict)
    }

    /// The value of a Rego rule, `data.a.b`, as JSON; none where it is undefined.
    pub fn value(&mut self, path: &str) -> Result<Option<serde_json::Value>, EvalError> {
        self.rego.rule(path)?.map(|v| json(&v)).transpose()
    }

    /// The value of any Rego query with one expression, as JSON; none where it is undefined.
    pub fn query(&mut self, query: &str) -> Result<Option<serde_json::Value>, EvalError> {
        self.rego.query(query)?.map(|v| json(&v)).transpose()
    }

    /// Answers a question of another system, by Cedar or by the Rego rule that the bundle names for the
    /// action; whatever goes wrong is a denial.
    ///
    /// The rule sees the question as its input, with all that is known of subject and resource among their
    /// `properties`.
    pub fn evaluate(&mut self, asked: &Asked<'_>) -> Answer {
        let denied = |why: String| Answer::Denied(Denial::Error(why));
        let bundle = self.bundle.clone();
        let Some(authzen) = bundle.authzen() else {
            return denied(
                "the bundle answers no questions of other systems; it has no `authzen/`".to_owned(),
            );
        };
        let Some(rule) = authzen.rego_of(asked.action) else {
            return self.evaluated.find_or_ask(asked, authzen);
        };
        let of = |thing: &Thing| {
            let properties: serde_json::Map<_, _> =
                authzen.properties(thing).map(|(name, value)| (name.to_owned(), value.clone())).collect();
            serde_json::json!({"type": thing.kind, "id": thing.id, "properties": properties})
        };
        let document = serde_json::json!({
            "subject": of(asked.subject), "resource": of(asked.resource), "context": asked.context,
            "action": {"name": asked.action, "properties": asked.action_properties},
        });
        self.set_input(Input::from(document));
        match self.rego.rule(rule) {
            Ok(Some(Value::Bool(true))) => Answer::Allowed { by: vec![rule.to_owned()] },
            Ok(Some(Value::Bool(false)) | None) => Answer::Denied(Denial::NotPermitted),
            Ok(Some(_)) => denied(format!("`{rule}` is neither true nor false")),
            Err(error) => denied(error.to_string()),
        }
    }

    /// Asks the access policies; whatever goes wrong is a denial.
    pub fn ask(&mut self, question: &Question<'_>) -> Answer {
        let answer = match self.bundle.access() {
            Some(policies) => self.answers.find_or_ask(question, policies),
            None => Answer::Denied(Denial::Error("the bundle has no access policies".to_owned())),
        };
        if let Some(coverage) = &mut self.coverage {
            coverage.of_access(&answer);
        }
        answer
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
