//! What a step may do is asked of the access policies once more when it is done: gates see the plan,
//! steps see the act.

use cku_engine::{
    Worker,
    access::{Answer, Question, Resource},
};
use cku_gates::Step;
use cku_journal::Journal;

use cku_authority::{StoreError, role_grants};

use crate::state::Run;

/// The steps of a plan that the run's principal may not do as things stand, each with why.
///
/// They would fail, whatever the gates say.
pub fn not_permitted(
    journal: &Journal,
    worker: &mut Worker,
    run: &Run,
) -> Result<Vec<(String, String)>, StoreError> {
    let mut not = Vec::new();
    for step in run.plan_steps() {
        if let Some(why) = denied(journal, worker, run, step)? {
            not.push((step.id.clone(), why));
        }
    }
    Ok(not)
}

/// Why the run's principal may not do what this step does, if so.
///
/// `run:touch` is asked for each target, `execution:high_risk` for effects that cannot be undone.
pub(crate) fn denied(
    journal: &Journal,
    worker: &mut Worker,
    run: &Run,
    step: &Step,
) -> Result<Option<String>, StoreError> {
    let grants = role_grants(journal, &run.tenant)?;
    let bundle = worker.bundle().clone();
    let by = &run.submitted.principal;
    let mut ask = |action: &str, resource: &Resource| {
        let question = Question {
            principal: &by.principal,
            grants: &grants,
            action,
            resource,
            mode: &run.submitted.mode,
            authentication: by.authentication.as_str(),
        };
        match worker.ask(&question) {
            Answer::Allowed { .. } => None,
            Answer::Denied(why) => Some(why.to_string()),
        }
    };
    if step.effects && !step.reversible {
        let resource = Resource::run(&run.tenant, &run.authors());
        if let Some(why) = ask("execution:high_risk", &resource) {
            return Ok(Some(format!(
                "`{}` may not do what cannot be undone (execution:high_risk): {why}",
                by.principal
            )));
        }
    }
    for target in &step.targets {
        let why = match bundle.target(target) {
            Ok(resource) => ask("run:touch", resource),
            Err(denial) => Some(denial.to_string()),
        };
        if let Some(why) = why {
            return Ok(Some(format!("`{}` may not touch `{target}` (run:touch): {why}", by.principal)));
        }
    }
    Ok(None)
}
