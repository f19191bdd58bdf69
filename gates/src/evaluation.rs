//! One input under one bundle: what each gate says of it.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use cku_base::canonical::CanonicalError;
use cku_engine::{
    EvalError, FactValue, Facts, Input, RuleVerdict, Worker,
    access::{Answer, Denial, Question, Resource},
};
use cku_lang::{AccessRequirement, Gate, GateBody, Origin, Rules};
use serde::{Deserialize, Serialize};

use crate::{
    consent::ApprovalDecision,
    decision::Verdict,
    input::{CanonicalInput, DecisionInput},
    reason::{Reason, source},
    standing::{self, Binding, Standing},
    state::State,
    undecidable::Undecidable,
};

/// One input under one bundle, ready for its gates to be asked.
#[derive(Debug)]
pub(crate) struct Evaluation<'e> {
    worker: &'e mut Worker,
    input: &'e DecisionInput,
    approvals: Vec<Standing>,
}

/// What a gate says, before enforcement and overrides.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GateVerdict {
    pub(crate) verdict: Verdict,
    pub(crate) reasons: Vec<Reason>,
    /// What learnable thresholds were compared with.
    pub(crate) observed: BTreeMap<String, i64>,
}

impl<'e> Evaluation<'e> {
    /// Asks about every approval and vote, and hands the whole input to Rego.
    pub(crate) fn begin(
        worker: &'e mut Worker,
        input: &'e DecisionInput,
        canonical: &CanonicalInput,
    ) -> Result<Self, Undecidable> {
        let _span = tracing::debug_span!("input").entered();
        let limit = worker.bundle().manifest().limits.input_bytes;
        if canonical.length > limit {
            return Err(Undecidable::TooLarge { bytes: canonical.length, limit });
        }
        let binding = Binding { subject: canonical.subject_digest, revision: worker.bundle().revision() };
        let approvals: Vec<Standing> =
            input.approvals.iter().map(|a| standing::of_approval(a, input, binding, worker)).collect();
        let votes: Vec<Standing> =
            input.votes.iter().map(|v| standing::of_vote(v, input, binding, worker)).collect();
        let unreadable = |e: CanonicalError| Undecidable::Unreadable(e.to_string());
        let seen = seen(input, canonical, &approvals, &votes, binding).map_err(unreadable)?;
        let text = std::str::from_utf8(&seen).map_err(|e| Undecidable::Unreadable(e.to_string()))?;
        worker.set_input(Input::from_json(text).map_err(|e| Undecidable::Unreadable(e.to_string()))?);
        Ok(Self { worker, input, approvals })
    }

    /// Asks one gate. Whatever goes wrong is a REJECT, but for the clock, which is no verdict at all.
    pub(crate) fn gate(&mut self, name: &str) -> Result<GateVerdict, Undecidable> {
        let _span = tracing::debug_span!("gate", gate = name).entered();
        let bundle = self.worker.bundle().clone();
        let Some(gate) = bundle.gate(name) else {
            return Ok(rejected(format!("the bundle has no gate `{name}`"), None));
        };
        let asked = catch_unwind(AssertUnwindSafe(|| match &gate.body {
            GateBody::Rules(rules) => self.by_rules(gate, rules),
            GateBody::Rego { path, .. } => self.by_rego(gate, path),
        }));
        match asked {
            Ok(Ok(verdict)) => Ok(verdict),
            Ok(Err(EvalError::Failed(detail))) => Ok(rejected(detail, Some(source(&gate.place)))),
            Ok(Err(error @ EvalError::TimeLimit)) => Err(Undecidable::TimeLimit(error.to_string())),
            Err(_) => Ok(rejected("the evaluation panicked".to_owned(), Some(source(&gate.place)))),
        }
    }

    /// Those who may, as holders of this role, let a PAUSE of this gate pass, and said so.
    ///
    /// Nobody who refused counts, and a valid refusal of the gate by anybody leaves it paused.
    pub(crate) fn overriders(&self, gate: &str, role: &str) -> Vec<String> {
        let valid =
            || self.input.approvals.iter().zip(&self.approvals).filter(|(a, s)| a.gate == gate && s.valid);
        if valid().any(|(a, _)| a.decision == ApprovalDecision::Refuse) {
            return Vec::new();
        }
        let mut people: Vec<String> =
            valid().filter(|(_, s)| s.roles.contains(role)).map(|(a, _)| a.approver.to_string()).collect();
        people.sort();
        people.dedup();
        people
    }

    fn by_rules(&mut self, gate: &Gate, rules: &Rules) -> Result<GateVerdict, EvalError> {
        let facts = tracing::debug_span!("facts").in_scope(|| self.worker.facts(&gate.name))?;
        let (answers, denials) = tracing::debug_span!("access").in_scope(|| self.access(rules, &facts));
        let mode = self.input.mode.as_str();
        let verdict = tracing::debug_span!("rules")
            .in_scope(|| self.worker.rules(&gate.name, mode, &facts, &answers))?;
        let (verdict, policies) = match verdict {
            RuleVerdict::Pass => (Verdict::Pass, Vec::new()),
            RuleVerdict::Pause(policies) => (Verdict::Pause, policies),
            RuleVerdict::Reject(policies) => (Verdict::Reject, policies),
        };
        let reasons = policies.iter().map(|id| self.reason(id, rules, &facts, &denials));
        let reasons = reasons.collect::<Result<_, _>>()?;
        Ok(GateVerdict { verdict, reasons, observed: observed(rules, &facts) })
    }

    /// Asks what the gate's `require access` clauses ask; an answer whose fact is missing stays out.
    fn access(&mut self, rules: &Rules, facts: &Facts) -> (BTreeMap<String, bool>, BTreeMap<String, String>) {
        let mut answers = BTreeMap::new();
        let mut denials = BTreeMap::new();
        for requirement in &rules.access {
            let denied = match &requirement.on {
                None => {
                    let (tenant, authors) = (&self.input.tenant, self.input.authors());
                    let run = match self.input.policy_diff {
                        Some(_) => Resource::policy_diff(tenant, &authors),
                        None => Resource::run(tenant, &authors),
                    };
                    Some(self.denials(requirement, [("", Ok(run))]))
                }
                Some(fact) => targets(facts.get(fact)).map(|targets| {
                    let bundle = self.worker.bundle().clone();
                    let found = targets.iter().map(|t| (*t, bundle.target(t).cloned()));
                    self.denials(requirement, found)
                }),
            };
            if let Some(denied) = denied {
                answers.insert(requirement.attribute.clone(), denied.is_empty());
                denials.insert(requirement.action.clone(), denied.join("; "));
            }
        }
        (answers, denials)
    }

    /// What is denied of these, each with why.
    fn denials<'t>(
        &mut self,
        requirement: &AccessRequirement,
        resources: impl IntoIterator<Item = (&'t str, Result<Resource, Denial>)>,
    ) -> Vec<String> {
        let mut denied = Vec::new();
        for (target, resource) in resources {
            let answer = match &resource {
                Err(denial) => Answer::Denied(denial.clone()),
                Ok(resource) => self.worker.ask(&Question {
                    principal: &self.input.principal.principal,
                    grants: &self.input.state.role_grants,
                    action: &requirement.action,
                    resource,
                    mode: &self.input.mode,
                    authentication: self.input.principal.authentication.as_str(),
                }),
            };
            if let Answer::Denied(why) = answer {
                let on = if target.is_empty() { String::new() } else { format!(" on {target}") };
                denied.push(format!("{}{on}: {why}", requirement.action));
            }
        }
        denied
    }

    fn reason(
        &self,
        id: &str,
        rules: &Rules,
        facts: &Facts,
        denials: &BTreeMap<String, String>,
    ) -> Result<Reason, EvalError> {
        let unknown = || EvalError::Failed(format!("the policy `{id}` belongs to no rule"));
        let policy = self.worker.bundle().policy(id).ok_or_else(unknown)?;
        let mode = self.input.mode.as_str();
        match &policy.origin {
            Origin::Rule(name) => {
                let rule = rules.rules.iter().find(|r| r.name == *name).ok_or_else(unknown)?;
                Ok(Reason::of_rule(rule, rules, facts, mode))
            }
            Origin::Missing(fact) => {
                let holds =
                    |modes: &Option<Vec<String>>| modes.as_ref().is_none_or(|m| m.iter().any(|m| m == mode));
                let missing =
                    rules.missing.iter().find(|m| m.fact == *fact && holds(&m.modes)).ok_or_else(unknown)?;
                Ok(Reason::of_missing(missing, rules, facts, mode))
            }
            Origin::Access(action) => {
                let who = &self.input.principal.principal;
                let message = match denials.get(action).map(String::as_str) {
                    None | Some("") => format!("access denied to {who}: {action} could not be asked"),
                    Some(denied) => format!("access denied to {who}: {denied}"),
                };
                Ok(Reason::of_engine(&format!("access:{action}"), message, Some(source(&policy.place))))
            }
            Origin::Permit => Err(unknown()),
        }
    }

    fn by_rego(&mut self, gate: &Gate, path: &str) -> Result<GateVerdict, EvalError> {
        let value =
            self.worker.value(path)?.ok_or_else(|| EvalError::Failed(format!("`{path}` is undefined")))?;
        let said = RegoVerdict::deserialize(&value).map_err(|e| {
            EvalError::Failed(format!("`{path}` is no {{verdict, reasons: [{{rule, message}}]}}: {e}"))
        })?;
        let reasons = said.reasons.into_iter().map(|r| Reason {
            rule: r.rule,
            message: r.message,
            source: Some(source(&gate.place)),
            facts: BTreeMap::new(),
            would_change: None,
        });
        let mut reasons: Vec<Reason> = reasons.collect();
        reasons.sort_by(|a, b| (&a.rule, &a.message).cmp(&(&b.rule, &b.message)));
        Ok(GateVerdict { verdict: said.verdict, reasons, observed: BTreeMap::new() })
    }
}

/// What a gate written in Rego says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `verdict` and `reasons`")]
struct RegoVerdict {
    verdict: Verdict,
    reasons: Vec<RegoReason>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `rule` and `message`")]
struct RegoReason {
    rule: String,
    message: String,
}

fn rejected(detail: String, source: Option<String>) -> GateVerdict {
    let reason = Reason::of_engine("evaluation_error", detail, source);
    GateVerdict { verdict: Verdict::Reject, reasons: vec![reason], observed: BTreeMap::new() }
}

/// The facts that learnable thresholds are compared with; one that is missing is left out.
fn observed(rules: &Rules, facts: &Facts) -> BTreeMap<String, i64> {
    let compared =
        rules.learnable().filter_map(|(threshold, _, comparison)| match facts.get(&comparison.fact) {
            Some(FactValue::Number(fact)) => Some((threshold.name.clone(), *fact)),
            _ => None,
        });
    compared.collect()
}

fn targets(fact: Option<&FactValue>) -> Option<Vec<&str>> {
    match fact {
        Some(FactValue::Text(text)) => Some(vec![text]),
        Some(FactValue::Texts(texts)) => Some(texts.iter().map(String::as_str).collect()),
        _ => None,
    }
}

/// The input as Rego sees it: with the digests, who submitted each piece of evidence, and the standing
/// of each approval and vote; without the draws of exploration.
fn seen(
    input: &DecisionInput,
    canonical: &CanonicalInput,
    approvals: &[Standing],
    votes: &[Standing],
    binding: Binding,
) -> Result<Vec<u8>, CanonicalError> {
    let approvals: Vec<_> =
        input.approvals.iter().zip(approvals).map(|(said, standing)| Seen { said, standing }).collect();
    let votes: Vec<_> =
        input.votes.iter().zip(votes).map(|(said, standing)| Seen { said, standing }).collect();
    let document = canonical
        .members
        .clone()
        .member("subject_digest", &binding.subject)?
        .member("bundle_revision", &binding.revision)?
        .member("submitted_by", &canonical.submitted_by)?
        .member("approvals", &approvals)?
        .member("votes", &votes)?;
    let document = match &input.state.exploration {
        // A verdict that knew the draw would not be one that the draw is independent of.
        Some(_) => document.member("state", &State { exploration: None, ..input.state.clone() })?,
        None => document,
    };
    Ok(document.finish())
}

/// An approval or a vote with its standing, side by side.
#[derive(Serialize)]
struct Seen<'s, T> {
    #[serde(flatten)]
    said: &'s T,
    #[serde(flatten)]
    standing: &'s Standing,
}
