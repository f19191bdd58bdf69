//! Plan files: what a person writes, read into what the gates decide on.

use cku_base::{
    TenantPath,
    diagnostic::{Diagnostic, Place},
    document::{self, Limits},
    suggest,
};
use cku_gates::{RunSubmission, read_submission};
use serde_json::{Map, Value};

use crate::{
    graph,
    problem::{problem, shown},
};

/// Steps of one plan.
const MAX_STEPS: usize = 1_000;

/// The members of a plan file that are not the submission's own.
const OF_THE_REQUEST: [&str; 2] = ["tenant", "mode"];
const OF_THE_PLAN: [&str; 3] = ["author", "steps", "rollback"];
const OF_THE_SUBMISSION: [&str; 3] = ["intent", "labels", "change"];
const OF_A_STEP: [&str; 10] = [
    "id",
    "skill",
    "with",
    "targets",
    "effects",
    "reversible",
    "estimated_cost",
    "needs",
    "undo",
    "on_failure",
];

/// A plan that was read and checked: every step has a skill that takes its arguments, and the steps
/// are a graph without cycles.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanFile {
    /// The tenant it asks for, if it says one.
    pub tenant: Option<TenantPath>,
    /// The mode it asks for, if it says one.
    pub mode: Option<String>,
    /// What is submitted; evidence comes from elsewhere.
    pub submission: RunSubmission,
}

impl PlanFile {
    /// Reads a plan in YAML or JSON; `file` is for the diagnostics, of which all are given.
    pub fn read(file: &str, bytes: &[u8], limits: Limits) -> Result<Self, Vec<Diagnostic>> {
        let document = document::read(file, bytes, limits).map_err(|problem| vec![problem])?;
        let here = |problem: Diagnostic| problem.at(Place::whole_file(file));
        Self::from_document(document).map_err(|problems| problems.into_iter().map(here).collect())
    }

    /// Reads a plan from its JSON form.
    pub fn from_document(document: Value) -> Result<Self, Vec<Diagnostic>> {
        let Value::Object(mut members) = document else {
            return Err(vec![problem("P001", "a plan is an object with `intent` and `steps`")]);
        };
        unknown_members(&members).map_or(Ok(()), Err)?;
        let tenant = text_member(&members, "tenant").map_err(|p| vec![p])?;
        let tenant = tenant.map(|text| text.parse::<TenantPath>()).transpose();
        let tenant = tenant.map_err(|e| vec![problem("P001", format!("`tenant`: {e}"))])?;
        let mode = text_member(&members, "mode").map_err(|p| vec![p])?.map(str::to_owned);
        let declared = declared_reversible(&members);
        let (mut plan, mut submission) = (Map::new(), Map::new());
        for name in OF_THE_PLAN {
            plan.extend(members.remove(name).map(|value| (name.to_owned(), value)));
        }
        for name in OF_THE_SUBMISSION {
            submission.extend(members.remove(name).map(|value| (name.to_owned(), value)));
        }
        submission.insert("plan".to_owned(), Value::Object(plan));
        let read = read_submission(&Value::Object(submission));
        let (mut submission, unknown) = read.map_err(|error| {
            let path =
                error.path.strip_prefix("plan").map_or(error.path.as_str(), |p| p.trim_start_matches('.'));
            let at = if path.is_empty() { String::new() } else { format!("`{path}`: ") };
            vec![problem("P001", format!("{at}{}", error.message))]
        })?;
        if let Some(member) = unknown.first() {
            let member = member.strip_prefix("plan.").unwrap_or(member);
            return Err(vec![problem("P002", format!("the member `{member}` is not known"))]);
        }
        check_steps(&mut submission, &declared)?;
        Ok(Self { tenant, mode, submission })
    }
}

/// Checks the steps of a plan that came from elsewhere than a plan file, such as an HTTP request.
///
/// What its steps declare of themselves is held against what their skills can do.
pub fn check(submission: &mut RunSubmission) -> Result<(), Vec<Diagnostic>> {
    let steps = submission.plan.iter().flat_map(|p| &p.steps);
    let declared: Vec<_> = steps.map(|s| s.reversible.then_some(true)).collect();
    check_steps(submission, &declared)
}

fn check_steps(submission: &mut RunSubmission, declared: &[Option<bool>]) -> Result<(), Vec<Diagnostic>> {
    let Some(plan) = submission.plan.as_mut().filter(|p| !p.steps.is_empty()) else {
        let empty = problem("P003", "`steps` is empty or missing; a plan has one step at least");
        return Err(vec![empty]);
    };
    if plan.steps.len() > MAX_STEPS {
        let many = format!("{} steps are more than the {MAX_STEPS} that a plan may have", plan.steps.len());
        return Err(vec![problem("P003", many)]);
    }
    let mut problems = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        if !is_step_id(&step.id) {
            problems.push(
                problem("P004", format!("`steps[{at}].id`: `{}` names no step", shown(&step.id))).help(
                    "write 1 to 64 lower-case letters, digits, `_` and `-`, beginning with a letter or digit",
                ),
            );
        }
    }
    if let Err(mut of_graph) = graph::check(&plan.steps) {
        problems.append(&mut of_graph);
    }
    for (at, step) in plan.steps.iter_mut().enumerate() {
        let declared = declared.get(at).copied().flatten();
        match check_skill(at, step, declared) {
            Ok(reversible) => step.reversible = reversible,
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Whether the step can be undone, from its skill and what it says itself.
fn check_skill(at: usize, step: &cku_gates::Step, declared: Option<bool>) -> Result<bool, Diagnostic> {
    let Some(skill) = cku_skills::find(&step.skill) else {
        let unknown =
            problem("P008", format!("`steps[{at}].skill`: there is no skill `{}`", shown(&step.skill)));
        let names = cku_skills::names();
        let hint = suggest(&step.skill, names.iter().copied());
        let hint = hint.map_or_else(String::new, |name| format!("did you mean `{name}`? "));
        return Err(unknown.help(format!("{hint}known skills: {}", names.join(", "))));
    };
    let traits = skill.check(&step.with, step.undo.as_ref()).map_err(|error| {
        problem("P009", format!("`steps[{at}]` ({}), skill `{}`: {error}", shown(&step.id), step.skill))
    })?;
    if traits.changes && !step.effects {
        let text = format!(
            "`steps[{at}].effects`: the step `{}` says it changes nothing, and the skill `{}` always does",
            shown(&step.id),
            step.skill
        );
        return Err(problem("P011", text).help("take `effects: false` away, and name its targets"));
    }
    match declared {
        Some(true) if step.effects && !traits.reversible => Err(problem(
            "P010",
            format!(
                "`steps[{at}].reversible`: the step `{}` says it can be undone and not how",
                shown(&step.id)
            ),
        )
        .help("write `undo`, or take `reversible: true` away")),
        Some(said) => Ok(said),
        None => Ok(traits.reversible),
    }
}

/// What each step says of `reversible` itself; what it does not say follows from its skill.
fn declared_reversible(members: &Map<String, Value>) -> Vec<Option<bool>> {
    let steps = members.get("steps").and_then(Value::as_array).into_iter().flatten();
    steps.map(|step| step.get("reversible").and_then(Value::as_bool)).collect()
}

fn unknown_members(members: &Map<String, Value>) -> Option<Vec<Diagnostic>> {
    let known: Vec<&str> = OF_THE_SUBMISSION.into_iter().chain(OF_THE_REQUEST).chain(OF_THE_PLAN).collect();
    let mut problems: Vec<_> = unknown_of("", members, &known).collect();
    let steps = members.get("steps").and_then(Value::as_array).into_iter().flatten();
    for (at, step) in steps.enumerate() {
        let Some(step) = step.as_object() else { continue };
        problems.extend(unknown_of(&format!("steps[{at}]."), step, &OF_A_STEP));
    }
    (!problems.is_empty()).then_some(problems)
}

fn unknown_of<'m>(
    at: &str,
    members: &'m Map<String, Value>,
    known: &'m [&str],
) -> impl Iterator<Item = Diagnostic> + use<'m> {
    let at = at.to_owned();
    members.keys().filter(|name| !known.contains(&name.as_str())).map(move |name| {
        let unknown = problem("P002", format!("the member `{at}{}` is not known", shown(name)));
        match suggest(name, known.iter().copied()) {
            Some(meant) => unknown.help(format!("did you mean `{meant}`?")),
            None => unknown.help(format!("known here: {}", known.join(", "))),
        }
    })
}

fn text_member<'m>(members: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>, Diagnostic> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(problem("P001", format!("`{name}` is not text"))),
    }
}

fn is_step_id(text: &str) -> bool {
    let name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=64).contains(&text.len())
        && text.bytes().next().is_some_and(name)
        && text.bytes().all(|b| name(b) || b == b'_' || b == b'-')
}
