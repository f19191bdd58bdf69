//! The compiled rules of gates: one small policy set for each gate, mode and question.

use std::{
    collections::{BTreeMap, HashMap},
    str::FromStr,
};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, EvalResult, Expression, Policy, PolicyId, PolicySet,
    Request, RestrictedExpression, eval_expression,
};
use cku_base::diagnostic::Diagnostic;
use cku_lang::{Compiled, GateBody, PolicyEffect};

use super::{error_of, parse_schema, uid, validate};
use crate::{
    error::EvalError,
    facts::{FactValue, Facts},
};

/// What the rules of a gate say, with the ids of the policies that determined it, sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleVerdict {
    /// No rule stands in the way.
    Pass,
    /// These rules pause.
    Pause(Vec<String>),
    /// These rules reject.
    Reject(Vec<String>),
}

/// The rules of all gates, indexed by gate and mode.
#[derive(Debug, Clone)]
pub(crate) struct GateRules {
    questions: HashMap<(String, String), Questions>,
    subject: EntityUid,
    run: EntityUid,
    empty: Entities,
}

/// What is asked about one gate in one mode.
#[derive(Debug, Clone)]
struct Questions {
    mode: EntityUid,
    /// What stops the run: the conditions of all forbids on `proceed`, joined by `||`.
    stops: Expression,
    proceed: Question,
    hold: Question,
}

#[derive(Debug, Clone)]
struct Question {
    action: EntityUid,
    policies: PolicySet,
}

impl GateRules {
    /// Parses and validates what the gate language compiled to.
    pub(crate) fn load(compiled: &Compiled, modes: &[String]) -> Result<Self, Vec<Diagnostic>> {
        let file = "compiled/gates.cedar";
        let schema = parse_schema("compiled/gates.cedarschema", &compiled.schema, usize::MAX)?;
        let mut parsed = BTreeMap::new();
        let mut problems = Vec::new();
        for policy in &compiled.policies {
            match Policy::parse(Some(PolicyId::new(&policy.id)), &policy.text) {
                Err(error) => {
                    problems.push(internal(&policy.id, &error.to_string()).at(policy.place.clone()))
                }
                Ok(read) => {
                    if parsed.insert(policy.id.as_str(), read).is_some() {
                        problems.push(internal(&policy.id, "its id stands twice").at(policy.place.clone()));
                    }
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let all: Vec<Policy> = parsed.values().cloned().collect();
        validate(file, "", &schema, &all)?;
        let missing = || vec![internal("gates", "an entity type has no name")];
        let (subject, run) = uid("Subject", "subject").zip(uid("Run", "run")).ok_or_else(missing)?;
        let mut questions = HashMap::new();
        // A gate that decides by Rego has no conditions, and none of no conditions is one that holds.
        let by_rules = compiled.gates.iter().filter(|gate| matches!(gate.body, GateBody::Rules(_)));
        for gate in by_rules {
            for mode in modes {
                let of = |effects: &[PolicyEffect], action: &str| -> Option<Question> {
                    let fitting = compiled.policies.iter().filter(|p| {
                        p.gate == gate.name
                            && effects.contains(&p.effect)
                            && p.mode.as_ref().is_none_or(|m| m == mode)
                    });
                    let policies = fitting.map(|p| parsed.get(p.id.as_str()).cloned());
                    let policies = PolicySet::from_policies(policies.collect::<Option<Vec<_>>>()?).ok()?;
                    Some(Question { action: uid("Action", &format!("{}.{action}", gate.name))?, policies })
                };
                use PolicyEffect::{ForbidBoth, ForbidProceed, PermitHold, PermitProceed};
                let set = Questions {
                    stops: stops(compiled, &gate.name, mode).map_err(|d| vec![d])?,
                    mode: uid("Mode", mode).ok_or_else(missing)?,
                    proceed: of(&[PermitProceed, ForbidProceed, ForbidBoth], "proceed")
                        .ok_or_else(missing)?,
                    hold: of(&[PermitHold, ForbidBoth], "hold").ok_or_else(missing)?,
                };
                questions.insert((gate.name.clone(), mode.clone()), set);
            }
        }
        Ok(Self { questions, subject, run, empty: Entities::empty() })
    }

    /// Asks whether the run may proceed and, after a clean no, whether it may be held.
    pub(crate) fn evaluate(
        &self,
        gate: &str,
        mode: &str,
        facts: &Facts,
        access: &BTreeMap<String, bool>,
    ) -> Result<RuleVerdict, EvalError> {
        let key = (gate.to_owned(), mode.to_owned());
        let questions = self
            .questions
            .get(&key)
            .ok_or_else(|| failed(format!("no rules for gate `{gate}` in mode `{mode}`")))?;
        let context = context(&questions.mode, facts, access)?;
        if self.nothing_stops(questions, context.clone()) {
            return Ok(RuleVerdict::Pass);
        }
        match self.ask(&questions.proceed, context.clone())? {
            Answer::Allow => Ok(RuleVerdict::Pass),
            Answer::Deny(pausing) => match self.ask(&questions.hold, context)? {
                Answer::Allow => Ok(RuleVerdict::Pause(pausing)),
                Answer::Deny(rejecting) => Ok(RuleVerdict::Reject(rejecting)),
            },
        }
    }

    /// Whether every condition is false and none errs: then no forbid applies and the permit does, which
    /// is most runs in an eighth of the time. Whatever else comes out, the policies are asked one by one.
    fn nothing_stops(&self, questions: &Questions, context: Context) -> bool {
        let (subject, action, run) =
            (self.subject.clone(), questions.proceed.action.clone(), self.run.clone());
        Request::new(subject, action, run, context, None).is_ok_and(|request| {
            matches!(eval_expression(&request, &self.empty, &questions.stops), Ok(EvalResult::Bool(false)))
        })
    }

    fn ask(&self, question: &Question, context: Context) -> Result<Answer, EvalError> {
        // The facts were checked against their types, so the request needs no schema.
        let request =
            Request::new(self.subject.clone(), question.action.clone(), self.run.clone(), context, None)
                .map_err(|e| failed(e.to_string()))?;
        let response = Authorizer::new().is_authorized(&request, &question.policies, &self.empty);
        if let Some(error) = error_of(&response) {
            return Err(failed(error));
        }
        let mut reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        reasons.sort();
        match response.decision() {
            Decision::Allow => Ok(Answer::Allow),
            Decision::Deny if reasons.is_empty() => Err(failed("denied without any rule".to_owned())),
            Decision::Deny => Ok(Answer::Deny(reasons)),
        }
    }
}

fn stops(compiled: &Compiled, gate: &str, mode: &str) -> Result<Expression, Diagnostic> {
    let conditions = compiled.policies.iter().filter(|p| {
        p.gate == gate
            && matches!(p.effect, PolicyEffect::ForbidProceed | PolicyEffect::ForbidBoth)
            && p.mode.as_ref().is_none_or(|m| m == mode)
    });
    let conditions: Vec<String> = conditions.map(|p| format!("({})", p.condition)).collect();
    Expression::from_str(&any_of(&conditions)).map_err(|error| internal(gate, &error.to_string()))
}

/// The conditions joined by `||` as a balanced tree, so that the depth grows with the logarithm.
fn any_of(conditions: &[String]) -> String {
    match conditions {
        [] => "false".to_owned(),
        [one] => one.clone(),
        several => {
            let (left, right) = several.split_at(several.len() / 2);
            format!("({} || {})", any_of(left), any_of(right))
        }
    }
}

enum Answer {
    Allow,
    Deny(Vec<String>),
}

fn context(mode: &EntityUid, facts: &Facts, access: &BTreeMap<String, bool>) -> Result<Context, EvalError> {
    let mode = ("mode".to_owned(), RestrictedExpression::new_entity_uid(mode.clone()));
    let facts = facts.iter().map(|(name, value)| (name.to_owned(), expression(value)));
    let access = access.iter().map(|(name, yes)| (name.clone(), RestrictedExpression::new_bool(*yes)));
    Context::from_pairs(std::iter::once(mode).chain(facts).chain(access)).map_err(|e| failed(e.to_string()))
}

fn expression(value: &FactValue) -> RestrictedExpression {
    match value {
        FactValue::Bool(b) => RestrictedExpression::new_bool(*b),
        FactValue::Number(n) => RestrictedExpression::new_long(*n),
        FactValue::Text(text) => RestrictedExpression::new_string(text.clone()),
        FactValue::Texts(texts) => {
            RestrictedExpression::new_set(texts.iter().cloned().map(RestrictedExpression::new_string))
        }
    }
}

fn failed(message: String) -> EvalError {
    EvalError::Failed(message)
}

fn internal(id: &str, detail: &str) -> Diagnostic {
    Diagnostic::error("C008", format!("the compiled policy `{id}` is not usable: {detail}"))
        .help("this is a defect of cku; please report the gate file")
}
