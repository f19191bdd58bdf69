//! One question, and many in one request.

use std::sync::Arc;

use bytes::Bytes;
use cku_base::{Digest, TenantPath};
use cku_engine::{
    Bundle,
    access::{Answer as Said, Denial, Resource},
};
use serde_json::{Map, Value, json};

use super::{
    gated,
    request::{Evaluation, Members, Semantic},
};
use crate::{
    active::Active,
    answer::{self, Answer, Problem},
    authn, body,
    caller::Caller,
    context::Local,
    record::Recorded,
};

/// Who asks what, under what.
pub(super) struct Asking {
    pub(super) active: Arc<Active>,
    pub(super) caller: Arc<Caller>,
    pub(super) tenant: TenantPath,
}

impl Asking {
    /// Whoever asks must be allowed to ask in the tenant.
    pub(super) fn new(
        local: &Local,
        (active, caller): (Arc<Active>, Arc<Caller>),
        tenant: Option<&TenantPath>,
    ) -> Result<Self, Problem> {
        let tenant = authn::tenant(&caller, tenant);
        let resource = Resource::run(&tenant, &Default::default());
        let mode = local.shared.config.mode.as_deref();
        authn::may(local, &active, &caller, ("decision:evaluate", &resource), mode)?;
        Ok(Self { active, caller, tenant })
    }

    pub(super) fn bundle(&self, local: &Local) -> Result<&Arc<Bundle>, Problem> {
        let mode = local.shared.config.mode.as_deref();
        self.active.bundle(mode).ok_or_else(|| Problem::unavailable("no bundle is active"))
    }
}

/// `POST /access/v1/evaluation`
pub(crate) async fn evaluation(
    local: &Local,
    who: (Arc<Active>, Arc<Caller>),
    tenant: Option<&TenantPath>,
    bytes: &Bytes,
) -> Result<Answer, Problem> {
    let asking = Asking::new(local, who, tenant)?;
    let mut members = body::object(bytes, &local.shared.config.limits)?;
    single(local, &asking, &mut members, bytes.len()).await
}

async fn single(
    local: &Local,
    asking: &Asking,
    members: &mut Members,
    size: usize,
) -> Result<Answer, Problem> {
    let evaluation = Evaluation::read(members)?;
    if gated::is_gated(&evaluation) {
        let who = (&asking.active, &asking.caller, &asking.tenant);
        return gated::evaluation(local, who, evaluation).await;
    }
    let bundle = asking.bundle(local)?;
    let revision = bundle.revision();
    let said = local
        .evaluating(|| local.with(&asking.active, bundle, |worker| worker.evaluate(&evaluation.asked())));
    // The test of reloads must notice a revision that is taken elsewhere than the policies.
    #[cfg(feature = "torn")]
    let revision = local.active().bundle(None).map_or(revision, |bundle| bundle.revision());
    local.shared.metrics.evaluated(said.is_allowed());
    let mut record = evaluation.into_record();
    decided(&mut record, &said);
    record.insert("caller".to_owned(), Value::String(asking.caller.name.clone()));
    let recorded = local.record(&asking.tenant, revision, Value::Object(record), size).await?;
    let mut text = Vec::with_capacity(320);
    write(&mut text, &said, &id(&asking.tenant, recorded), &revision);
    Ok(answer::json_text(text))
}

/// `POST /access/v1/evaluations`
pub(crate) async fn evaluations(
    local: &Local,
    who: (Arc<Active>, Arc<Caller>),
    tenant: Option<&TenantPath>,
    bytes: &Bytes,
) -> Result<Answer, Problem> {
    let asking = Asking::new(local, who, tenant)?;
    let limits = &local.shared.config.limits;
    let mut members = body::object(bytes, limits)?;
    let items = match members.remove("evaluations") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(Problem::unusable("`evaluations` is not a list")),
    };
    let semantic = Semantic::read(members.remove("options"))?;
    // Without items it is one question.
    if items.is_empty() {
        return single(local, &asking, &mut members, bytes.len()).await;
    }
    if items.len() > limits.items {
        return Err(Problem::unusable(format!(
            "`evaluations` holds {} items; it can hold {}",
            items.len(),
            limits.items
        )));
    }
    for name in ["subject", "action", "resource", "context"] {
        if members.get(name).is_some_and(|default| !default.is_object() && !default.is_null()) {
            return Err(Problem::unusable(format!("`{name}` is not an object")));
        }
    }
    let bundle = asking.bundle(local)?;
    let revision = bundle.revision();
    let (records, answers) =
        local.evaluating(|| each(local, &asking, bundle, Items { items, defaults: &members, semantic }));
    let record = json!({"caller": asking.caller.name, "evaluations": records});
    let recorded = local.record(&asking.tenant, revision, record, bytes.len()).await?;
    let id = id(&asking.tenant, recorded);
    let mut text = Vec::with_capacity(160 * answers.len());
    text.extend_from_slice(b"{\"evaluations\":[");
    for (at, said) in answers.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        match said {
            Ok(said) => write(&mut text, said, &format!("{id}.{at}"), &revision),
            Err(problem) => {
                let error = json!({"status": problem.status.as_u16(), "message": problem.detail});
                let id = format!("{id}.{at}");
                let context = json!({"evaluation_id": id, "bundle_revision": revision, "error": error});
                let denied = json!({"decision": false, "context": context});
                text.extend_from_slice(denied.to_string().as_bytes());
            }
        }
    }
    text.extend_from_slice(b"]}");
    Ok(answer::json_text(text))
}

/// The items of a batch, what they leave out, and when it ends early.
struct Items<'m> {
    items: Vec<Value>,
    defaults: &'m Members,
    semantic: Semantic,
}

/// What is recorded of each item, and what is answered.
fn each(
    local: &Local,
    asking: &Asking,
    bundle: &Arc<Bundle>,
    Items { items, defaults, semantic }: Items<'_>,
) -> (Vec<Value>, Vec<Result<Said, Problem>>) {
    let (mut records, mut answers) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    for item in items {
        let (mut record, said) = match with_defaults(item, defaults) {
            Err(problem) => (Map::new(), Err(problem)),
            Ok(evaluation) => {
                let said = local.with(&asking.active, bundle, |worker| worker.evaluate(&evaluation.asked()));
                (evaluation.into_record(), Ok(said))
            }
        };
        let permitted = said.as_ref().is_ok_and(Said::is_allowed);
        local.shared.metrics.evaluated(permitted);
        match &said {
            Ok(said) => decided(&mut record, said),
            Err(problem) => {
                record.insert("decision".to_owned(), Value::Bool(false));
                record.insert("why".to_owned(), Value::String(problem.detail.clone()));
            }
        }
        records.push(Value::Object(record));
        answers.push(said);
        if semantic.ends_at(permitted) {
            break;
        }
    }
    (records, answers)
}

/// An item of a batch; what it leaves out is what the batch says, each entity as a whole.
fn with_defaults(item: Value, defaults: &Members) -> Result<Evaluation, Problem> {
    let Value::Object(mut members) = item else {
        return Err(Problem::unusable("an item of `evaluations` is not an object"));
    };
    for name in ["subject", "action", "resource", "context"] {
        if !members.contains_key(name)
            && let Some(default) = defaults.get(name)
        {
            members.insert(name.to_owned(), default.clone());
        }
    }
    let evaluation = Evaluation::read(&mut members)?;
    if gated::is_gated(&evaluation) {
        return Err(Problem::unusable("work goes through the gates: ask about it alone"));
    }
    Ok(evaluation)
}

/// Where an answer is recorded, as callers name it; it stands in a path as it is.
pub(super) fn id(tenant: &TenantPath, recorded: Recorded) -> String {
    let Recorded { seq, index } = recorded;
    format!("{}:{seq}.{index}", tenant.as_str().replace('/', "~"))
}

/// Adds to a record what was decided, and why.
pub(super) fn decided(record: &mut Members, said: &Said) {
    record.insert("decision".to_owned(), Value::Bool(said.is_allowed()));
    match said {
        Said::Allowed { by } | Said::Denied(Denial::Forbidden(by)) => {
            let by = by.iter().map(|id| Value::String(id.clone())).collect();
            record.insert("policies".to_owned(), Value::Array(by));
        }
        Said::Denied(why) => {
            record.insert("why".to_owned(), Value::String(why.to_string()));
        }
    }
}

/// Writes one answer.
fn write(text: &mut Vec<u8>, said: &Said, id: &str, revision: &Digest) {
    text.extend_from_slice(if said.is_allowed() { b"{\"decision\":true" } else { b"{\"decision\":false" });
    text.extend_from_slice(b",\"context\":{\"evaluation_id\":");
    json_text(text, id);
    text.extend_from_slice(b",\"bundle_revision\":");
    json_text(text, &revision.to_string());
    let policies = |text: &mut Vec<u8>, by: &[String]| {
        text.extend_from_slice(b",\"policies\":[");
        for (at, id) in by.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            json_text(text, id);
        }
        text.push(b']');
    };
    match said {
        Said::Allowed { by } => policies(text, by),
        Said::Denied(why) => {
            let (reason, user) = match why {
                Denial::NotPermitted | Denial::Forbidden(_) => ("policy_denied", "This is not permitted."),
                _ => ("evaluation_error", "This could not be decided, so it is not permitted."),
            };
            text.extend_from_slice(b",\"reason\":");
            json_text(text, reason);
            text.extend_from_slice(b",\"reason_user\":{\"en\":");
            json_text(text, user);
            text.extend_from_slice(b"},\"reason_admin\":{\"en\":");
            json_text(text, &why.to_string());
            text.push(b'}');
            if let Denial::Forbidden(by) = why {
                policies(text, by);
            }
        }
    }
    text.extend_from_slice(b"}}");
}

/// Writes a text as JSON does.
fn json_text(text: &mut Vec<u8>, value: &str) {
    // Writing a text into memory does not fail.
    let _ = serde_json::to_writer(text, value);
}
