//! Work that goes through the gates: `run:create` with `context.run`, and what is done about a PAUSE.
//!
//! A PAUSE is a denial that says how approval is requested: the same question is posted to `access/v1/requests`
//! with its binding token and becomes a run that waits for people. Once they have approved, the question is
//! asked again with `context.approval.id`. An approval holds for exactly what was asked: the token is the
//! digest that approvals bind to.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use cku_base::{Digest, TenantPath};
use cku_gates::{RunSubmission, Verdict, read_submission};
use cku_runs::{Beside, Request as Wanted, Run, Status, Trial, judge, run_id, unsubmitted};
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::request::{Evaluation, Members, object};
use crate::{
    active::Active,
    answer::{self, Answer, Problem},
    authn, body,
    caller::Caller,
    context::{Local, Shared},
    control::{Desk, ask_gates, find_run, may_create},
    native,
};

/// The action that starts work.
const CREATE: &str = "run:create";

/// How long approval can be requested for an answer.
const OFFER: Duration = Duration::from_secs(72 * 3_600);

/// Whether a question is about work that goes through the gates.
pub(super) fn is_gated(evaluation: &Evaluation) -> bool {
    evaluation.action == CREATE && evaluation.context.contains_key("run")
}

/// What is to be decided, as the question says it.
struct Work {
    tenant: TenantPath,
    mode: String,
    submission: RunSubmission,
    /// The run whose approvals count.
    approval: Option<String>,
}

impl Work {
    fn read(tenant: &TenantPath, mut context: Members) -> Result<Self, Problem> {
        let mode = match context.remove("mode") {
            Some(Value::String(mode)) => mode,
            None => return Err(Problem::unusable("`context.mode` is missing: the mode of the run")),
            Some(_) => return Err(Problem::unusable("`context.mode` is not a text")),
        };
        let run = context.remove("run").unwrap_or(Value::Null);
        let (submission, _) =
            read_submission(&run).map_err(|e| Problem::unusable(format!("context.run: {e}")))?;
        let mut approval = object("context.approval", context.remove("approval"))?;
        let approval = match approval.remove("id") {
            None => None,
            Some(Value::String(id)) => Some(id),
            Some(_) => return Err(Problem::unusable("`context.approval.id` is not a text")),
        };
        Ok(Self { tenant: tenant.clone(), mode, submission, approval })
    }

    /// Whoever asks, asks for themselves: what is decided on is who asks, whatever the question says.
    fn is_of(caller: &Caller, evaluation: &Evaluation) -> Result<(), Problem> {
        let principal = caller.principal();
        let subject = &evaluation.subject;
        match subject.kind == principal.kind.as_str() && subject.id == principal.id.as_str() {
            true => Ok(()),
            false => Err(Problem::unusable(format!(
                "`subject` is not whoever asks: work is asked for by `{}` itself",
                caller.name
            ))),
        }
    }

    /// The run that it would be; nothing of it is recorded.
    fn run(&self, caller: &Caller, shared: &Shared) -> Result<Run, Problem> {
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(|e| Problem::internal(format!("no random bytes: {e}")))?;
        let time = (shared.clock)();
        let (tenant, mode, submission) = (self.tenant.clone(), self.mode.clone(), self.submission.clone());
        let (by, workspace) = (caller.by.clone(), String::new());
        let id = run_id(time, random);
        let wanted = Wanted { id, tenant, mode, by, submission, workspace, confined: true, time };
        unsubmitted(wanted).map_err(|e| Problem::unusable(e.to_string()))
    }
}

/// Answers a question about work, by the gates.
pub(super) async fn evaluation(
    local: &Local,
    (active, caller, tenant): (&Arc<Active>, &Arc<Caller>, &TenantPath),
    evaluation: Evaluation,
) -> Result<Answer, Problem> {
    Work::is_of(caller, &evaluation)?;
    let work = Work::read(tenant, evaluation.context)?;
    let decided = match work.approval.clone() {
        None => native::decide_work(local, (active, caller), work.tenant, work.mode, work.submission).await?,
        Some(id) => with_approval(local, (active, caller), work, id).await?,
    };
    let decision = decided.get("decision").cloned().unwrap_or(Value::Null);
    let verdict = decision.get("verdict").and_then(Value::as_str).unwrap_or_default();
    let id = decided.get("id").or_else(|| decided.get("run")).cloned().unwrap_or(Value::Null);
    let mut context = Map::new();
    context.insert("evaluation_id".to_owned(), id);
    for name in ["bundle_revision", "gates", "reasons"] {
        context.insert(name.to_owned(), decision.get(name).cloned().unwrap_or(Value::Null));
    }
    if verdict == Verdict::Pause.as_str() {
        context.insert("reason".to_owned(), json!("approval_required"));
        context.insert("reason_user".to_owned(), json!({"en": "People have to approve this first."}));
        let shared = &local.shared;
        let expires_at = local.now().after(OFFER);
        let subject = decision.get("subject_digest");
        context.insert(
            "access_request".to_owned(),
            json!({
                "endpoint": format!("{}/{}access/v1/requests", shared.public_url, prefix(tenant)),
                "template": {"binding_token": subject, "request": "the question that was asked, as it is"},
                "binding_token": subject, "expires_at": expires_at,
            }),
        );
    } else if verdict != Verdict::Pass.as_str() {
        context.insert("reason".to_owned(), json!("policy_denied"));
        context.insert("reason_user".to_owned(), json!({"en": "This is not permitted."}));
    }
    Ok(answer::json(&json!({"decision": verdict == Verdict::Pass.as_str(), "context": context})))
}

fn prefix(tenant: &TenantPath) -> String {
    if tenant.parent().is_none() { String::new() } else { format!("{tenant}/") }
}

/// Asks the gates about the run that waits, if it is exactly what is asked for now.
async fn with_approval(
    local: &Local,
    (active, caller): (&Arc<Active>, &Arc<Caller>),
    work: Work,
    id: String,
) -> Result<Value, Problem> {
    let asked = work.run(caller, &local.shared)?.subject_digest();
    let desk = desk(local, active, caller);
    off_thread(move || {
        let run = find_run(&desk, &id)?;
        if run.subject_digest() != asked {
            return Err(Problem::conflict(
                "what was approved is not what is asked for: an approval holds for exactly one thing",
            ));
        }
        ask_gates(&desk, run)
    })
    .await
}

fn desk(local: &Local, active: &Arc<Active>, caller: &Arc<Caller>) -> Desk {
    Desk { shared: local.shared.clone(), active: active.clone(), caller: caller.clone() }
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Problem::internal("a defect of cku; what was asked was not done")))
}

/// `POST /access/v1/requests` with `{binding_token, request}`: a run that waits for people, 202.
pub(crate) async fn request(
    local: &Local,
    (active, caller): (Arc<Active>, Arc<Caller>),
    tenant: Option<&TenantPath>,
    bytes: &Bytes,
) -> Result<Answer, Problem> {
    let mut members = body::object(bytes, &local.shared.config.limits)?;
    let token = match members.remove("binding_token") {
        Some(Value::String(text)) => {
            text.parse::<Digest>().map_err(|e| Problem::unusable(format!("`binding_token`: {e}")))?
        }
        _ => return Err(Problem::unusable("`binding_token` is missing: that of the answer")),
    };
    let mut question = object("request", members.remove("request"))?;
    let evaluation = Evaluation::read(&mut question)?;
    if !is_gated(&evaluation) {
        return Err(Problem::unusable("only `run:create` with `context.run` waits for people"));
    }
    Work::is_of(&caller, &evaluation)?;
    let tenant = authn::tenant(&caller, tenant);
    let work = Work::read(&tenant, evaluation.context)?;
    let run = work.run(&caller, &local.shared)?;
    if run.subject_digest() != token {
        return Err(Problem::conflict(
            "the token is of another question: ask again, and request what was answered",
        ));
    }
    let desk = desk(local, &active, &caller);
    let (submitted, submission) = (run.submitted.clone(), run.submission.clone());
    let wanted = Wanted {
        id: run.id.clone(),
        tenant: run.tenant.clone(),
        mode: submitted.mode,
        by: submitted.principal,
        submission,
        workspace: String::new(),
        confined: true,
        time: submitted.submitted_at,
    };
    let document = off_thread(move || {
        may_create(&desk, &wanted.tenant, &wanted.mode)?;
        let run = cku_runs::submit(&desk.shared.journal, wanted)
            .map_err(|e| Problem::unavailable(e.to_string()))?;
        ask_gates(&desk, run)
    })
    .await?;
    let status = if document.get("status") == Some(&json!("waiting")) { "pending" } else { "denied" };
    let task = task(&local.shared, &tenant, &run.id, status);
    Ok(answer::json_with(StatusCode::ACCEPTED, &json!({"task": task, "missing": document.get("missing")})))
}

fn task(shared: &Shared, tenant: &TenantPath, id: &str, status: &str) -> Value {
    let href = format!("{}/{}access/v1/requests/{id}", shared.public_url, prefix(tenant));
    json!({"id": id, "status": status, "href": href})
}

/// `GET /access/v1/requests/{id}`: `pending`, `approved` or `denied`, as things stand.
pub(crate) async fn requested(
    local: &Local,
    (active, caller): (Arc<Active>, Arc<Caller>),
    id: String,
) -> Result<Answer, Problem> {
    let desk = desk(local, &active, &caller);
    let task = off_thread(move || {
        let run = find_run(&desk, &id)?;
        let shared = &desk.shared;
        let status = match run.status {
            Status::Ended(_) => "denied",
            Status::Running => "approved",
            Status::Planned | Status::Waiting(_) => {
                // Nothing is recorded: this looks, and whoever asks again decides.
                let mut worker = desk.worker(Some(&run.submitted.mode))?;
                let now = (shared.clock)();
                let reliability = shared.reliability(worker.bundle(), &run.tenant)?;
                let beside =
                    Beside { chains: &shared.chains, exploration: None, reliability: Some(&reliability) };
                let judged = judge(&shared.journal, beside, (&mut worker, Trial::None), &run, now);
                match judged.map_err(|e| Problem::unavailable(e.to_string()))?.decision.verdict {
                    Verdict::Pass => "approved",
                    Verdict::Pause => "pending",
                    Verdict::Reject => "denied",
                }
            }
        };
        Ok(task(shared, &run.tenant, &run.id, status))
    })
    .await?;
    Ok(answer::json(&json!({"task": task})))
}
