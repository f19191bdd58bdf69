//! cku's own questions: the nine gates over a submission, and what was decided before.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use cku_authority::{named, with_actor};
use cku_base::TenantPath;
use cku_engine::access::Resource;
use cku_gates::{RunSubmission, Undecidable, read_submission};
use cku_journal::{Command, Draft, Kind};
use cku_runs::{Beside, Event, GatingError, Judged, Request, Trial, judge, run_id, unsubmitted};
use serde_json::{Map, Value, json};

use crate::{
    active::Active,
    answer::{self, Answer, Problem},
    authn, body,
    caller::Caller,
    context::{Local, Written},
    record::SUBJECT,
};

/// What is to be decided.
struct Wanted {
    tenant: TenantPath,
    mode: String,
    submission: RunSubmission,
    /// Decide under no older activation.
    at_least: Option<u64>,
    warnings: Vec<String>,
}

/// `POST /v1/decide`: the gates over one submission, which nobody carries out.
pub(crate) async fn decide(
    local: &Local,
    (active, caller): (Arc<Active>, Arc<Caller>),
    bytes: &Bytes,
) -> Result<Answer, Problem> {
    let wanted = read(body::object(bytes, &local.shared.config.limits)?, &caller)?;
    Ok(answer::json(&one(local, &active, &caller, wanted).await?))
}

/// `POST /v1/decide/batch`: many, each as if it was asked alone; what cannot be decided says so in its
/// place.
pub(crate) async fn decide_batch(
    local: &Local,
    (active, caller): (Arc<Active>, Arc<Caller>),
    bytes: &Bytes,
) -> Result<Answer, Problem> {
    let limits = &local.shared.config.limits;
    let mut members = body::object(bytes, limits)?;
    let Some(Value::Array(items)) = members.remove("decisions") else {
        return Err(Problem::unusable("`decisions` is not a list of what is to be decided"));
    };
    if items.is_empty() || items.len() > limits.items {
        return Err(Problem::unusable(format!(
            "`decisions` holds {} items; 1 to {}",
            items.len(),
            limits.items
        )));
    }
    // All are handed to the journal before the first is waited for, so that they share its commits.
    let mut begun = Vec::with_capacity(items.len());
    for item in items {
        let decided = match item {
            Value::Object(members) => begin(local, &active, &caller, members).await,
            _ => Err(Problem::unusable("an item of `decisions` is not an object")),
        };
        begun.push(decided);
        // The gates take their time, and others wait for this thread.
        tokio::task::yield_now().await;
    }
    let mut answers = Vec::with_capacity(begun.len());
    for decided in begun {
        let answered = match decided {
            Ok((hears, answer)) => local.written(hears).await.map(|seq| answer.at(seq)),
            Err(problem) => Err(problem),
        };
        answers.push(answered.unwrap_or_else(|problem| {
            json!({"error": {"status": problem.status.as_u16(), "code": problem.code, "detail": problem.detail}})
        }));
    }
    Ok(answer::json(&json!({"decisions": answers})))
}

/// Decides over an item of a batch, and hands it to the journal.
async fn begin(
    local: &Local,
    active: &Active,
    caller: &Caller,
    members: Map<String, Value>,
) -> Result<(Written, Prepared), Problem> {
    let wanted = read(members, caller)?;
    permitted(local, active, caller, &wanted).await?;
    let (command, answer) = prepare(local, active, caller, wanted)?;
    Ok((local.hand(command)?, answer))
}

fn read(mut members: Map<String, Value>, caller: &Caller) -> Result<Wanted, Problem> {
    let tenant = match members.remove("tenant") {
        None | Some(Value::Null) => caller.principal().tenant.clone(),
        Some(Value::String(text)) => text.parse().map_err(|e| Problem::unusable(format!("`tenant`: {e}")))?,
        Some(_) => return Err(Problem::unusable("`tenant` is not a text")),
    };
    let mode = match members.remove("mode") {
        Some(Value::String(mode)) => mode,
        None => return Err(Problem::unusable("`mode` is missing")),
        Some(_) => return Err(Problem::unusable("`mode` is not a text")),
    };
    let at_least = match members.remove("at_least") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let number = value.as_u64();
            Some(number.ok_or_else(|| Problem::unusable("`at_least` is not the number of an activation"))?)
        }
    };
    let submission = members.remove("submission");
    let submission = submission.ok_or_else(|| Problem::unusable("`submission` is missing"))?;
    let (submission, unknown) =
        read_submission(&submission).map_err(|e| Problem::unusable(format!("submission.{e}")))?;
    // What a caller says about itself, or that is not known, is passed over and told.
    let unknown = unknown.into_iter().map(|path| format!("submission.{path}"));
    let warnings = unknown.chain(members.keys().cloned()).map(|path| format!("`{path}` is not read"));
    Ok(Wanted { tenant, mode, submission, at_least, warnings: warnings.collect() })
}

/// An answer that lacks nothing but the place of its entry.
struct Prepared(BTreeMap<&'static str, Value>);

impl Prepared {
    fn at(mut self, seq: u64) -> Value {
        self.0.insert("entry", json!(seq));
        json!(self.0)
    }
}

async fn one(local: &Local, active: &Active, caller: &Caller, wanted: Wanted) -> Result<Value, Problem> {
    permitted(local, active, caller, &wanted).await?;
    let (command, answer) = prepare(local, active, caller, wanted)?;
    let seq = local.written(local.hand(command)?).await?;
    Ok(answer.at(seq))
}

/// Whether it may be decided here, for whoever asks; then all that it takes is at hand.
async fn permitted(local: &Local, active: &Active, caller: &Caller, wanted: &Wanted) -> Result<(), Problem> {
    let latest = active.rollout.latest;
    if wanted.at_least.is_some_and(|wanted| latest < wanted) {
        return Err(Problem::unavailable(format!("the last activation here is {latest}")));
    }
    let resource = Resource::run(&wanted.tenant, &Default::default());
    authn::may(local, active, caller, ("decision:evaluate", &resource), Some(&wanted.mode))?;
    local.verified(&wanted.tenant).await?;
    local.outcomes_read(active, &wanted.mode, &wanted.tenant).await
}

/// Decides what is [`permitted`]; what is to be written, and what is answered once it is.
fn prepare(
    local: &Local,
    active: &Active,
    caller: &Caller,
    wanted: Wanted,
) -> Result<(Command, Prepared), Problem> {
    let Wanted { tenant, mode, submission, warnings, .. } = wanted;
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|e| Problem::internal(format!("no random bytes: {e}")))?;
    let now = local.now();
    let id = run_id(now, random).replacen("run-", "decision-", 1);
    let intent = submission.intent.clone();
    let (by, workspace) = (caller.by.clone(), String::new());
    let request =
        Request { id: id.clone(), tenant, mode, by, submission, workspace, confined: true, time: now };
    let run = unsubmitted(request).map_err(|e| Problem::unusable(e.to_string()))?;
    let rollout = &active.rollout;
    let canary = active.tried(rollout.canary_of(&run.submitted.mode, &id));
    let bundle = match canary {
        Some((_, bundle)) => bundle,
        None => active
            .bundle(Some(&run.submitted.mode))
            .ok_or_else(|| Problem::unavailable("no bundle is active"))?,
    };
    let shared = &local.shared;
    let reliability = shared.reliability(bundle, &run.tenant)?;
    let beside = Beside { chains: &shared.chains, exploration: None, reliability: Some(&reliability) };
    let judged = local.evaluating(|| {
        local.with(active, bundle, |worker| {
            // A shadow is asked by a worker of its own; it has no effect on the answer.
            let shadow = active.tried(rollout.shadow_in(&run.submitted.mode));
            let mut shadow = shadow.map(|(diff, bundle)| (diff, cku_engine::Worker::new(bundle.clone())));
            let trial = match (canary, &mut shadow) {
                (Some((diff, _)), _) => Trial::Canary(diff),
                (None, Some((diff, worker))) => Trial::Shadow(*diff, worker),
                (None, None) => Trial::None,
            };
            judge(&shared.journal, beside, (worker, trial), &run, now)
        })
    });
    let Judged { decided, decision, bytes, .. } = judged.map_err(|error| undecided(&error))?;
    shared.metrics.decided(&decision);
    let body = Event::Decided(decided).members().map_err(|e| Problem::internal(e.to_string()))?;
    let mut body = with_actor(body, &named(&caller.by), &format!("decision:{id}"));
    body.insert("intent".to_owned(), Value::String(intent));
    let draft = Draft { tenant: run.tenant.clone(), kind: Kind::DecisionMade, body };
    let blobs = vec![(run.tenant.clone(), bytes)];
    let command = Command { drafts: vec![draft], blobs, ..Command::default() };
    let mut answer = BTreeMap::new();
    answer.insert("id", Value::String(id));
    answer.insert("tenant", json!(run.tenant));
    answer.insert("verdict", json!(decision.verdict));
    answer.insert("decision", json!(decision));
    if !warnings.is_empty() {
        answer.insert("warnings", json!(warnings));
    }
    Ok((command, Prepared(answer)))
}

/// Decides over work that a question of another system is about.
pub(crate) async fn decide_work(
    local: &Local,
    (active, caller): (&Active, &Caller),
    tenant: TenantPath,
    mode: String,
    submission: RunSubmission,
) -> Result<Value, Problem> {
    let wanted = Wanted { tenant, mode, submission, at_least: None, warnings: Vec::new() };
    one(local, active, caller, wanted).await
}

fn undecided(error: &GatingError) -> Problem {
    match error {
        GatingError::Undecidable(why @ Undecidable::TimeLimit(_)) => Problem::unavailable(why.to_string()),
        GatingError::Undecidable(why) => Problem::unusable(why.to_string()),
        GatingError::Store(error) => Problem::unavailable(error.to_string()),
    }
}

/// `GET /v1/decisions/{id}`: what was decided, and why.
///
/// The name is that of a decision, of a run, or `TENANT:ENTRY.INDEX` as AuthZEN answers give it,
/// with `~` for each `/` of the tenant.
pub(crate) fn decision(
    local: &Local,
    (active, caller): (Arc<Active>, Arc<Caller>),
    id: &str,
) -> Result<Answer, Problem> {
    let shown: String = id.chars().take(100).flat_map(char::escape_debug).collect();
    let nothing = || Problem::nowhere(format!("there is no decision `{shown}`"));
    let unreadable = |error: &dyn std::fmt::Display| Problem::unavailable(error.to_string());
    let may = |tenant: &TenantPath| {
        let resource = Resource::run(tenant, &Default::default());
        let mode = local.shared.config.mode.as_deref();
        // Whoever may not look is told that there is nothing.
        authn::may(local, &active, &caller, ("decision:evaluate", &resource), mode).map_err(|_| nothing())
    };
    let journal = &local.shared.journal;
    if let Some((tenant, place)) = id.rsplit_once(':') {
        let tenant: TenantPath = tenant.replace('~', "/").parse().map_err(|_| nothing())?;
        may(&tenant)?;
        let mut place = place.split('.').map(|number| number.parse::<u64>().ok());
        let (Some(Some(seq)), Some(Some(index))) = (place.next(), place.next()) else {
            return Err(nothing());
        };
        let read = journal.read(&tenant, seq.saturating_sub(1), 1).map_err(|e| unreadable(&e))?;
        let entry = read.first().filter(|entry| entry.header.seq == seq);
        let body =
            entry.filter(|entry| entry.subject() == Some(SUBJECT)).and_then(|entry| entry.body.as_ref());
        let body = body.ok_or_else(nothing)?;
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let mut found = body.value.get("evaluations").and_then(|all| all.get(index)).ok_or_else(nothing)?;
        if let Some(Some(within)) = place.next() {
            let within = usize::try_from(within).unwrap_or(usize::MAX);
            found = found.get("evaluations").and_then(|all| all.get(within)).ok_or_else(nothing)?;
        }
        let revision = body.value.get("bundle_revision");
        let time = entry.map(|entry| entry.header.time);
        return Ok(answer::json(&json!({
            "id": id, "tenant": tenant, "entry": seq, "time": time, "bundle_revision": revision, "evaluation": found,
        })));
    }
    let subject = if id.starts_with("decision-") { format!("decision:{id}") } else { format!("run:{id}") };
    for tenant in journal.tenants().map_err(|e| unreadable(&e))? {
        let entries = journal.stream(&tenant, &subject).map_err(|e| unreadable(&e))?;
        let made = entries.iter().rfind(|entry| entry.kind() == Kind::DecisionMade);
        let Some((entry, body)) = made.and_then(|entry| entry.body.as_ref().map(|body| (entry, body))) else {
            continue;
        };
        may(&tenant)?;
        return Ok(answer::json(&json!({
            "id": id, "tenant": tenant, "entry": entry.header.seq, "time": entry.header.time,
            "verdict": body.value.get("verdict"), "decision": body.value.get("decision"),
            "shadow": body.value.get("shadow"), "canary": body.value.get("canary"),
        })));
    }
    Err(nothing())
}
