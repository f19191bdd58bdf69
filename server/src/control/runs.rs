//! Runs over HTTP: submitted and decided here, carried out by `cku run --resume` where their work is.

use cku_authority::{AccessDecided, note};
use cku_base::{BasisPoints, Digest, TenantPath};
use cku_engine::access::Resource;
use cku_gates::{ApprovalDecision, Ballot, Verdict, VoterKind, read_submission};
use cku_journal::Kind;
use cku_runs::{
    ActError, Beside, Command, Decided, GatingError, Label, Run, RunRow, Status, Strategy, Trial, WaitingFor,
    document, gate_trying, run_id,
};
use hyper::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{
    Desk, Request, of_access, of_store, shown,
    wants::{nothing_else, optional, parsed, text, until},
};
use crate::{
    answer::{self, Answer, Problem},
    authn,
};

/// Runs of one page.
const PAGE: usize = 100;

/// `POST /v1/runs`: 201 with what the gates say. Under an `Idempotency-Key` that was used before for the same,
/// 200 with that run as it stands.
pub(super) fn submit(desk: &Desk, request: &Request) -> Result<Answer, Problem> {
    let mut members = desk.members(request)?;
    let home = desk.caller.principal().tenant.clone();
    let tenant = parsed(&mut members, "tenant")?.unwrap_or(home);
    let mode = text(&mut members, "mode")?;
    let submission = members.remove("submission");
    let submission = submission.ok_or_else(|| Problem::unusable("`submission` is missing"))?;
    let (submission, unknown) =
        read_submission(&submission).map_err(|e| Problem::unusable(format!("submission: {e}")))?;
    nothing_else(&members)?;
    if desk.active.bundle(Some(&mode)).is_none_or(|bundle| bundle.sequence(&mode).is_none()) {
        return Err(Problem::unusable(format!("the mode `{}` is not one of the bundle's", shown(&mode))));
    }
    may_create(desk, &tenant, &mode)?;
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|e| Problem::internal(format!("no random bytes: {e}")))?;
    let time = desk.now();
    let id = match &request.key {
        None => run_id(time, random),
        Some(key) => {
            cku_runs::run_id_of_key(desk.caller.principal(), &tenant, key).map_err(|e| of_store(&e))?
        }
    };
    let (by, workspace) = (desk.by().clone(), String::new());
    let wanted = cku_runs::Request { id, tenant, mode, by, submission, workspace, confined: true, time };
    let run = match cku_runs::submit(&desk.shared.journal, wanted.clone()) {
        Ok(run) => run,
        Err(error) if error.is_conflict() && request.key.is_some() => return submitted_before(desk, wanted),
        Err(error) => return Err(of_store(&error)),
    };
    let location = format!("/v1/runs/{}", run.id);
    let mut answered = match request.key {
        None => ask_gates(desk, run)?,
        Some(_) => decided_once(desk, run)?,
    };
    if let (false, Some(members)) = (unknown.is_empty(), answered.as_object_mut()) {
        let warnings = unknown.iter().map(|path| json!(format!("`submission.{path}` is not read")));
        members.insert("warnings".to_owned(), Value::Array(warnings.collect()));
    }
    let mut answer = answer::json_with(StatusCode::CREATED, &answered);
    if let Ok(location) = location.parse() {
        answer.headers_mut().insert(hyper::header::LOCATION, location);
    }
    Ok(answer)
}

/// The run that was submitted before under the same key, if it is the same work.
fn submitted_before(desk: &Desk, wanted: cku_runs::Request) -> Result<Answer, Problem> {
    let journal = &desk.shared.journal;
    let before = cku_runs::load(journal, &wanted.tenant, &wanted.id).map_err(|e| of_store(&e))?;
    let wanted = cku_runs::unsubmitted(wanted).map_err(|e| of_store(&e))?;
    if before.subject_digest() != wanted.subject_digest() {
        return Err(Problem::conflict(format!(
            "the `Idempotency-Key` was used for other work, the run `{}`; use another one",
            before.id
        )));
    }
    Ok(answer::json(&decided_once(desk, before)?))
}

/// The run with what the gates say of it. Whoever was cut off before they were asked left a run without their
/// word; of several that ask at once, one asks them.
fn decided_once(desk: &Desk, run: Run) -> Result<Value, Problem> {
    if run.decided.is_some() {
        return Ok(document(&run, None, None));
    }
    let (tenant, id) = (run.tenant.clone(), run.id.clone());
    ask_gates(desk, run).or_else(|problem| {
        let run = cku_runs::load(&desk.shared.journal, &tenant, &id).map_err(|e| of_store(&e))?;
        if run.decided.is_some() { Ok(document(&run, None, None)) } else { Err(problem) }
    })
}

/// Whether whoever asks may start work there at all: what is submitted is an entry of that tenant. A denial is
/// one of their own.
pub(crate) fn may_create(desk: &Desk, tenant: &TenantPath, mode: &str) -> Result<(), Problem> {
    let resource = Resource::run(tenant, &[desk.caller.name.clone()].into());
    let mut worker = desk.worker(Some(mode))?;
    let question = ("run:create", &resource);
    if authn::is_allowed(&mut worker, &desk.active, &desk.caller, question, Some(mode)) {
        return Ok(());
    }
    let denied = AccessDecided {
        action: "run:create".to_owned(),
        resource: format!("Run of {tenant}"),
        run: None,
        allowed: false,
        why: "no policy permits it, or one forbids it".to_owned(),
        bundle_revision: worker.bundle().revision(),
    };
    let home = &desk.caller.principal().tenant;
    let subject = format!("access:{}", desk.caller.name);
    let place = (home, Kind::AccessDecided, subject.as_str());
    note(&desk.shared.journal, place, desk.by(), &denied, Vec::new()).map_err(|e| of_store(&e))?;
    Err(Problem::denied(format!("`{}` may not start work in {tenant} in {}", desk.caller.name, shown(mode))))
}

/// Asks the gates about a run; what they say is durable when this returns. A run that ended is asked about no
/// more: what it was let do is over.
pub(crate) fn ask_gates(desk: &Desk, run: Run) -> Result<Value, Problem> {
    if let Status::Ended(ending) = run.status {
        let ending = ending.as_str();
        return Err(Problem::conflict(format!("the run `{}` has ended: {ending}; submit another", run.id)));
    }
    let (mode, shared) = (run.submitted.mode.clone(), &desk.shared);
    let rollout = &desk.active.rollout;
    let canary = desk.active.tried(rollout.canary_of(&mode, &run.id));
    let mut shadow = desk.active.tried(rollout.shadow_in(&mode));
    let mut worker = match canary {
        Some((_, bundle)) => cku_engine::Worker::new(bundle.clone()),
        None => desk.worker(Some(&mode))?,
    };
    let mut beside = shadow.take().map(|(diff, bundle)| (diff, cku_engine::Worker::new(bundle.clone())));
    let trial = match (canary, &mut beside) {
        (Some((diff, _)), _) => Trial::Canary(diff),
        (None, Some((diff, worker))) => Trial::Shadow(*diff, worker),
        (None, None) => Trial::None,
    };
    let reliability = shared.reliability(worker.bundle(), &run.tenant)?;
    let exploration = Some(&shared.exploration);
    let beside = Beside { chains: &shared.chains, exploration, reliability: Some(&reliability) };
    let gated = gate_trying(&shared.journal, beside, (&mut worker, trial), run, desk.now());
    let gated = gated.map_err(|error| match error {
        GatingError::Undecidable(why) => Problem::unusable(why.to_string()),
        GatingError::Store(error) => of_store(&error),
    })?;
    shared.metrics.decided(&gated.decision);
    let missing = match gated.decision.verdict {
        Verdict::Pause => {
            let missing = cku_runs::missing(&shared.journal, &mut worker, &gated.run, &gated.decision);
            Some(missing.map_err(|e| of_store(&e))?)
        }
        _ => None,
    };
    Ok(document(&gated.run, Some(&gated.decision), missing.as_ref()))
}

/// `GET /v1/runs?tenant=&status=&after=&limit=`
pub(super) fn list(desk: &Desk, request: &Request) -> Result<Answer, Problem> {
    let tenant = desk.tenant(&request.query)?;
    let limit = request.query.number("limit")?.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE);
    let (after, status) = (request.query.get("after"), request.query.get("status"));
    let mut page = Vec::new();
    let mut next = None;
    for (at, id, row) in cku_runs::list(&desk.shared.journal, &tenant).map_err(|e| of_store(&e))? {
        let wanted = after.is_none_or(|after| id.as_str() > after) && status.is_none_or(|s| row.status == s);
        if !wanted || !visible(desk, &at, &row)? {
            continue;
        }
        if page.len() == limit.clamp(1, PAGE) {
            next = page.last().map(|(id, _): &(String, Value)| id.clone());
            break;
        }
        page.push((id.clone(), json!({"run": id, "tenant": at, "row": row})));
    }
    let runs: Vec<Value> = page.into_iter().map(|(_, run)| run).collect();
    Ok(answer::json(&json!({"runs": runs, "next": next})))
}

fn visible(desk: &Desk, tenant: &TenantPath, row: &RunRow) -> Result<bool, Problem> {
    desk.may_view("run:view", &Resource::run(tenant, &[row.by.clone()].into()))
}

/// A run that whoever asks may look at; for others there is none.
pub(crate) fn find(desk: &Desk, id: &str) -> Result<Run, Problem> {
    let (tenant, _) = cku_runs::find(&desk.shared.journal, id).map_err(|e| of_store(&e))?;
    let run = cku_runs::load(&desk.shared.journal, &tenant, id).map_err(|e| of_store(&e))?;
    match desk.may_view("run:view", &Resource::run(&tenant, &run.authors()))? {
        true => Ok(run),
        false => Err(Problem::nowhere(format!("there is no run `{}` in this journal", shown(id)))),
    }
}

/// `GET /v1/runs/{id}`
pub(super) fn show(desk: &Desk, id: &str) -> Result<Answer, Problem> {
    Ok(answer::json(&document(&find(desk, id)?, None, None)))
}

/// `GET /v1/runs/{id}/timeline`: its entries.
pub(super) fn timeline(desk: &Desk, id: &str) -> Result<Answer, Problem> {
    let run = find(desk, id)?;
    let entries = desk.shared.journal.stream(&run.tenant, &format!("run:{}", run.id));
    let entries = entries.map_err(|e| Problem::unavailable(e.to_string()))?;
    let entries: Vec<Value> = entries.iter().map(cku_journal::Entry::document).collect();
    Ok(answer::json(&json!({"run": run.id, "tenant": run.tenant, "entries": entries})))
}

/// `GET /v1/approvals`: runs that wait for people, and that whoever asks may approve.
pub(super) fn approvals(desk: &Desk) -> Result<Answer, Problem> {
    let journal = &desk.shared.journal;
    let mut waiting = Vec::new();
    let home = desk.caller.principal().tenant.clone();
    for (tenant, id, row) in cku_runs::list(journal, &home).map_err(|e| of_store(&e))? {
        if row.waiting.as_ref().is_none_or(|waiting| waiting.waiting_for != WaitingFor::Gates) {
            continue;
        }
        let run = cku_runs::load(journal, &tenant, &id).map_err(|e| of_store(&e))?;
        let Some(Decided { decision, .. }) = &run.decided else { continue };
        let gates = decision.get("gates").and_then(Value::as_array).into_iter().flatten();
        let paused = gates.filter(|gate| gate.get("effective") == Some(&json!("PAUSE")));
        let mut mine = Vec::new();
        for gate in paused.filter_map(|gate| gate.get("gate").and_then(Value::as_str)) {
            if desk.may_view("gate:approve", &Resource::gate(gate, &tenant, &run.authors()))? {
                mine.push(gate.to_owned());
            }
        }
        if !mine.is_empty() {
            let subject = run.subject_digest();
            waiting.push(json!({
                "run": id, "tenant": tenant, "intent": row.intent, "by": row.by, "mode": row.mode,
                "submitted_at": row.submitted_at, "gates": mine, "subject": subject,
            }));
        }
    }
    Ok(answer::json(&json!({"waiting": waiting})))
}

/// `POST /v1/runs/{id}/{approvals,votes,heal,cancel,outcome,gates}`
pub(super) fn act(desk: &Desk, id: &str, act: &str, request: &Request) -> Result<Answer, Problem> {
    let run = find(desk, id)?;
    let mut members = desk.members(request)?;
    let now = desk.now();
    let command = match act {
        "approvals" => Command::Consent {
            gate: text(&mut members, "gate")?,
            decision: word::<ApprovalDecision>(&mut members, "decision")?,
            reason: optional(&mut members, "reason")?.unwrap_or_default(),
            expires_at: until(&mut members, now)?,
            subject: parsed::<Digest>(&mut members, "subject")?,
        },
        "votes" => Command::Vote {
            voter_kind: word::<VoterKind>(&mut members, "part")?,
            vote: word::<Ballot>(&mut members, "vote")?,
            confidence: confidence(&mut members)?,
        },
        "heal" => Command::Heal {
            step: text(&mut members, "step")?,
            strategy: word::<Strategy>(&mut members, "strategy")?,
            reason: optional(&mut members, "reason")?.unwrap_or_default(),
        },
        "cancel" => Command::Cancel {
            reason: optional(&mut members, "reason")?.unwrap_or_else(|| "cancelled".to_owned()),
        },
        "outcome" => Command::Label(Label {
            label: text(&mut members, "label")?,
            at: parsed(&mut members, "at")?.unwrap_or(now),
            note: optional(&mut members, "note")?.unwrap_or_default(),
        }),
        "gates" => {
            nothing_else(&members)?;
            // What they say is an entry, and may end the run: looking at it is not enough.
            may_create(desk, &run.tenant, &run.submitted.mode)?;
            return Ok(answer::json(&ask_gates(desk, run)?));
        }
        other => return Err(Problem::nowhere(format!("nothing is done to a run by `{}`", shown(other)))),
    };
    nothing_else(&members)?;
    let mut worker = desk.worker(Some(&run.submitted.mode))?;
    let done = cku_runs::act(&desk.shared.journal, &mut worker, (&run.tenant, id), desk.by(), &command, now);
    let run = done.map_err(|error| match error {
        ActError::Access(error) => of_access(&error),
        ActError::Refused(refusal) => Problem::conflict(refusal.to_string()),
        ActError::TakesToken => Problem::denied(ActError::TakesToken.to_string()),
        ActError::Store(error) => of_store(&error),
    })?;
    super::diffs::stop_failing(desk);
    Ok(answer::json(&document(&run, None, None)))
}

/// One of a few words, as entries write them.
fn word<T: DeserializeOwned>(members: &mut Map<String, Value>, name: &str) -> Result<T, Problem> {
    let text = text(members, name)?;
    serde_json::from_value(Value::String(text))
        .map_err(|error| Problem::unusable(format!("`{name}`: {error}")))
}

/// From 0 to 1, with at most four digits; 1 without a word.
fn confidence(members: &mut Map<String, Value>) -> Result<BasisPoints, Problem> {
    let wrong = || Problem::unusable("`confidence` is not a share from 0 to 1 with at most four digits");
    let Some(value) = members.remove("confidence") else {
        return BasisPoints::try_from(10_000).map_err(|_| wrong());
    };
    let share = value.as_f64().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(wrong)?;
    let points = (share * 10_000.0).round();
    if (points / 10_000.0 - share).abs() > 1e-9 {
        return Err(wrong());
    }
    // Between 0 and 10,000, and whole.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10,000")]
    let points = points as u32;
    BasisPoints::try_from(points).map_err(|_| wrong())
}
