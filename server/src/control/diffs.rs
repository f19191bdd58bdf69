//! Policy diffs and bundles over HTTP.

use std::collections::BTreeMap;

use cku_authority::{Modes, Purpose, Stage, active_for, load_bundle, rollout};
use cku_base::Digest;
use cku_changes::{
    diff::{self, ActError, CheckError, CheckOptions, Diff, GateError, Proposal, ProposeError, ReviewError},
    prove::{Cache, Solver, SolverOptions},
};
use cku_engine::{Bundle, Sources, Worker, access::Resource};
use cku_gates::ApprovalDecision;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    Desk, Request, of_access, of_bundle, of_store, shown,
    wants::{nothing_else, optional, parsed, text, until, yes},
};
use crate::answer::{self, Answer, Problem};

/// A worker over what decides over changes.
fn change_control(desk: &Desk) -> Result<Worker, Problem> {
    let journal = &desk.shared.journal;
    let active = active_for(journal, Purpose::ChangeControl).map_err(|e| of_store(&e))?;
    let active = active.ok_or_else(|| Problem::conflict("nothing decides over changes in this journal"))?;
    load_bundle(journal, active.revision).map(Worker::new).map_err(|e| of_bundle(&e))
}

/// Whoever may look at no policies is told that there is nothing.
fn may_view(desk: &Desk, diff: &Diff) -> Result<(), Problem> {
    let authors = [diff.proposed.author.principal.to_string()].into();
    let resource = Resource::policy_diff(&cku_base::TenantPath::root(), &authors);
    match desk.may_view("policy:view", &resource)? {
        true => Ok(()),
        false => Err(Problem::nowhere("there is no such policy diff in this journal")),
    }
}

fn find(desk: &Desk, name: &str) -> Result<Diff, Problem> {
    let id = diff::find(&desk.shared.journal, name).map_err(|e| of_store(&e))?;
    let diff = diff::load(&desk.shared.journal, &id).map_err(|e| of_store(&e))?;
    may_view(desk, &diff).map(|()| diff)
}

/// `GET /v1/diffs`
pub(super) fn list(desk: &Desk) -> Result<Answer, Problem> {
    let mut diffs = Vec::new();
    for (id, row) in diff::list(&desk.shared.journal).map_err(|e| of_store(&e))? {
        let resource = Resource::policy_diff(&cku_base::TenantPath::root(), &[row.author.clone()].into());
        if desk.may_view("policy:view", &resource)? {
            diffs.push(json!({"id": id, "diff": row}));
        }
    }
    Ok(answer::json(&json!({"diffs": diffs})))
}

/// `GET /v1/diffs/{id}`: all that a person decides on.
pub(super) fn show(desk: &Desk, name: &str) -> Result<Answer, Problem> {
    let diff = find(desk, name)?;
    reviewed(desk, &mut change_control(desk)?, &diff, StatusCode::OK)
}

fn reviewed(desk: &Desk, worker: &mut Worker, diff: &Diff, status: StatusCode) -> Result<Answer, Problem> {
    let shared = &desk.shared;
    let review = diff::review(&shared.journal, &shared.chains, worker, diff, desk.now());
    let review = review.map_err(|error| match &error {
        ReviewError::Bundle(error) => of_bundle(error),
        ReviewError::Store(error) => of_store(error),
        ReviewError::Gate(error) => of_gate(error),
    })?;
    let document = serde_json::to_value(&review).map_err(|e| Problem::internal(e.to_string()))?;
    let Value::Object(mut document) = document else {
        return Err(Problem::internal("a review is an object"));
    };
    if !diff.staged.is_empty() {
        let counts = cku_runs::trial_counts(&shared.journal, &diff.id).map_err(|e| of_store(&e))?;
        document.insert("trial".to_owned(), json!(counts));
    }
    Ok(answer::json_with(status, &document))
}

/// `POST /v1/diffs` with `{title, files, modes, change_control, expires}`: proposed and checked, 201.
pub(super) fn propose(desk: &Desk, request: &Request) -> Result<Answer, Problem> {
    let mut members = desk.members(request)?;
    let title = text(&mut members, "title")?;
    let purpose = match members.contains_key("change_control") && yes(&mut members, "change_control")? {
        true => Purpose::ChangeControl,
        false => Purpose::Gates,
    };
    let modes = modes(members.remove("modes"))?;
    let base = parsed::<Digest>(&mut members, "base")?;
    let expires_at = until(&mut members, desk.now())?;
    let bundle = files(members.remove("files"))?;
    nothing_else(&members)?;
    let mut worker = change_control(desk)?;
    let proposal = Proposal {
        title,
        purpose,
        modes,
        bundle: &bundle,
        base,
        by: desk.by().clone(),
        time: desk.now(),
        expires_at,
        origin: "a request".to_owned(),
    };
    let diff = diff::propose(&desk.shared.journal, &mut worker, &proposal).map_err(|error| match &error {
        ProposeError::Access(error) => of_access(error),
        ProposeError::OtherBase { .. } | ProposeError::Files | ProposeError::SeveralBases(_) => {
            Problem::conflict(error.to_string())
        }
        refused => Problem::unusable(refused.to_string()),
    })?;
    let diff = check(desk, &mut worker, &diff.id)?;
    reviewed(desk, &mut worker, &diff, StatusCode::CREATED)
}

fn modes(value: Option<Value>) -> Result<Modes, Problem> {
    match value {
        None | Some(Value::Null) => Ok(Modes::all()),
        Some(Value::Array(names)) => {
            let names: Option<Vec<&str>> = names.iter().map(Value::as_str).collect();
            let names = names.ok_or_else(|| Problem::unusable("`modes` is not a list of texts"))?;
            Ok(Modes::of(names))
        }
        Some(_) => Err(Problem::unusable("`modes` is not a list of texts")),
    }
}

/// The bundle that a request brings, as path to text.
fn files(value: Option<Value>) -> Result<Bundle, Problem> {
    let Some(Value::Object(files)) = value else {
        return Err(Problem::unusable("`files` is not an object of paths and texts"));
    };
    let mut read = BTreeMap::new();
    for (path, text) in files {
        let Value::String(text) = text else {
            return Err(Problem::unusable(format!("the file `{}` is not a text", shown(&path))));
        };
        let mut parts = std::path::Path::new(&path).components();
        let plain = parts.all(|part| matches!(part, std::path::Component::Normal(_)));
        if !plain || cku_engine::FileKind::of(&path).is_none() {
            return Err(Problem::unusable(format!("`{}` is no file of a bundle", shown(&path))));
        }
        read.insert(path, text);
    }
    Bundle::from_sources(Sources::from_files(read)).map_err(|error| {
        let errors = error.diagnostics.iter().filter(|problem| problem.is_error()).take(10);
        let told: Vec<String> = errors
            .map(|problem| {
                let place = problem.place.as_ref().map_or_else(String::new, |place| format!("{place}: "));
                format!("{place}{} ({})", problem.message, problem.code)
            })
            .collect();
        Problem::unusable(format!("the bundle does not load: {}", told.join("; ")))
    })
}

fn check(desk: &Desk, worker: &mut Worker, id: &Digest) -> Result<Diff, Problem> {
    let shared = &desk.shared;
    // Without a solver everything works, and what Cedar changed is unproved.
    let mut solver = Solver::new(SolverOptions::default(), Cache::default()).ok();
    let (options, now) = (CheckOptions::default(), desk.now());
    let by = desk.by();
    let checked = diff::check(&shared.journal, worker, id, by, solver.as_mut(), (&options, now), &|_, _| {});
    let (diff, _) = checked.map_err(|error| match &error {
        CheckError::Store(error) => of_store(error),
        CheckError::Access(error) => of_access(error),
        CheckError::Bundle(error) => of_bundle(error),
        CheckError::Refused(refusal) => Problem::conflict(refusal.to_string()),
        CheckError::Tests(_) => Problem::unusable(error.to_string()),
        CheckError::Replay(_) | CheckError::Bounds(_) => Problem::unavailable(error.to_string()),
    })?;
    let judged = diff::gate(&shared.journal, &shared.chains, worker, diff, by, desk.now());
    judged.map(|(diff, _)| diff).map_err(|error| of_gate(&error))
}

/// `POST /v1/diffs/{id}/{check,approve,refuse,withdraw,activate,rollback}`
pub(super) fn act(desk: &Desk, name: &str, act: &str, request: &Request) -> Result<Answer, Problem> {
    let found = find(desk, name)?;
    let (shared, id, now) = (&desk.shared, found.id, desk.now());
    let mut members = desk.members(request)?;
    let mut worker = change_control(desk)?;
    let by = desk.by();
    let diff = match act {
        "check" => {
            nothing_else(&members)?;
            check(desk, &mut worker, &id)?
        }
        "approve" | "refuse" => {
            let decision =
                if act == "approve" { ApprovalDecision::Approve } else { ApprovalDecision::Refuse };
            let reason = text(&mut members, "reason")?;
            let expires_at = until(&mut members, now)?;
            // What is approved is what was looked at: another evidence is another question.
            let looked_at = parsed::<Digest>(&mut members, "evidence")?;
            let looked_at = looked_at.ok_or_else(|| {
                Problem::unusable(
                    "`evidence` is missing: the `evidence_digest` of the review that was looked at",
                )
            })?;
            nothing_else(&members)?;
            if found.checked.as_ref().is_none_or(|checked| checked.evidence != looked_at) {
                return Err(Problem::conflict("the diff was checked anew since; look at it again"));
            }
            let said = (decision, reason.as_str(), expires_at);
            let done = diff::consent(&shared.journal, &shared.chains, &mut worker, &id, by, said, now);
            done.map_err(|error| of_act(&error))?.0
        }
        "withdraw" => {
            let reason = text(&mut members, "reason")?;
            nothing_else(&members)?;
            diff::withdraw(&shared.journal, &mut worker, &id, by, &reason, now)
                .map_err(|error| of_act(&error))?
        }
        "activate" => {
            let stage = stage(&mut members)?;
            nothing_else(&members)?;
            let done = diff::activate(&shared.journal, &shared.chains, &mut worker, (&id, stage), by, now);
            done.map_err(|error| of_act(&error))?.diff
        }
        "rollback" => {
            let reason = text(&mut members, "reason")?;
            nothing_else(&members)?;
            let done = diff::roll_back(&shared.journal, &mut worker, &id, by, &reason, now);
            done.map_err(|error| of_act(&error))?.diff
        }
        other => return Err(Problem::nowhere(format!("nothing is done to a diff by `{}`", shown(other)))),
    };
    desk.holds();
    // What decides over changes may be another now.
    reviewed(desk, &mut change_control(desk)?, &diff, StatusCode::OK)
}

/// `{stage: active | shadow | canary, share, stop_after}`
fn stage(members: &mut Map<String, Value>) -> Result<Stage, Problem> {
    let stage = optional(members, "stage")?.unwrap_or_else(|| "active".to_owned());
    match stage.as_str() {
        "active" => Ok(Stage::Active),
        "shadow" => Ok(Stage::Shadow),
        "canary" => {
            let share = members.remove("share").and_then(|share| share.as_u64());
            let share = share.and_then(|share| u32::try_from(share).ok()).filter(|share| *share > 0);
            let share = share.and_then(|share| share.try_into().ok());
            let share = share.ok_or_else(|| {
                Problem::unusable("`share` is not how many of 10,000 runs it decides over, 1 to 10000")
            })?;
            let stop_after = match members.remove("stop_after") {
                None | Some(Value::Null) => None,
                Some(value) => Some(
                    value
                        .as_u64()
                        .filter(|runs| *runs > 0)
                        .ok_or_else(|| Problem::unusable("`stop_after` is not a number of runs"))?,
                ),
            };
            Ok(Stage::Canary { share, stop_after })
        }
        other => Err(Problem::unusable(format!(
            "`stage` is `{}`; it is `active`, `shadow` or `canary`",
            shown(other)
        ))),
    }
}

/// `GET /v1/bundles`: what decides where, and what is tried.
pub(super) fn bundles(desk: &Desk) -> Result<Answer, Problem> {
    let resource = Resource::policy_diff(&cku_base::TenantPath::root(), &Default::default());
    if !desk.may_view("policy:view", &resource)? {
        return Err(Problem::denied(format!("`{}` may not see what is active", desk.caller.name)));
    }
    let of = |purpose| rollout(&desk.shared.journal, purpose).map_err(|e| of_store(&e));
    let (gates, control) = (of(Purpose::Gates)?, of(Purpose::ChangeControl)?);
    Ok(answer::json(&json!({"gates": gates, "change_control": control})))
}

/// Takes back canaries that failed too often; what keeps that from happening is for the next act to meet.
pub(super) fn stop_failing(desk: &Desk) {
    let journal = &desk.shared.journal;
    let failed = |id: &Digest| cku_runs::trial_counts(journal, id).map(|counts| counts.failed);
    match diff::stop_failing(journal, failed) {
        Ok(stopped) if stopped.is_empty() => {}
        Ok(_) => desk.holds(),
        Err(error) => tracing::warn!("a canary may have failed and could not be taken back: {error}"),
    }
}

fn of_act(error: &ActError) -> Problem {
    match error {
        ActError::Access(error) => of_access(error),
        ActError::Gate(error) => of_gate(error),
        ActError::Bundle(error) => of_bundle(error),
        ActError::TakesToken => Problem::denied(error.to_string()),
        refused => Problem::conflict(refused.to_string()),
    }
}

fn of_gate(error: &GateError) -> Problem {
    match error {
        GateError::Store(error) => of_store(error),
        GateError::Refused(refusal) => Problem::conflict(refusal.to_string()),
        GateError::Undecidable(why) => Problem::unavailable(why.to_string()),
    }
}
