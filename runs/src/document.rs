//! A run for programs.

use cku_gates::Decision;
use serde_json::{Value, json};

use crate::{
    missing::Missing,
    state::{Run, StepStatus},
};

/// A run as programs read it.
pub fn document(run: &Run, decision: Option<&Decision>, missing: Option<&Missing>) -> Value {
    let steps: Vec<Value> = run
        .plan_steps()
        .filter_map(|step| {
            let state = run.steps.get(&step.id)?;
            Some(json!({
                "id": step.id, "skill": step.skill, "status": state.status.as_str(), "attempts": state.attempts,
                "failure": failure(&state.status),
            }))
        })
        .collect();
    json!({
        "run": run.id,
        "tenant": run.tenant,
        "mode": run.submitted.mode,
        "intent": run.submission.intent,
        "principal": run.submitted.principal,
        "submitted_at": run.submitted.submitted_at,
        "subject_digest": run.subject_digest(),
        "status": run.status.as_str(),
        "waiting": run.waiting,
        "missing": missing.map(|m| json!({
            "gates": m.gates, "approvers": m.approvers, "voters": m.voters,
            "overrides": m.overrides.iter().map(|(gate, role, by)| json!({"gate": gate, "role": role, "by": by})).collect::<Vec<_>>(),
        })),
        "decision": decision.map(|d| json!(d)).or_else(|| run.decided.as_ref().map(|d| d.decision.clone())),
        "approvals": run.approvals,
        "votes": run.votes,
        "steps": steps,
        "ended": run.ended,
        "labels": run.labels,
    })
}

/// How a step failed; null where it did not.
pub fn failure(status: &StepStatus) -> Value {
    match status {
        StepStatus::Failed(f)
        | StepStatus::Alerted(f)
        | StepStatus::GivenUp(f)
        | StepStatus::UndoFailed(f)
        | StepStatus::NotUndone(f) => {
            json!(f)
        }
        _ => Value::Null,
    }
}
