//! Reliability over HTTP: how skills, agents, gates, voters and tenants have turned out.

use cku_base::TenantPath;
use cku_engine::access::Resource;
use cku_learning::{Reckoning, Report, SubjectKind, TrackRecord};

use super::{Desk, Request, of_store, shown};
use crate::answer::{self, Answer, Problem};

/// `GET /v1/reliability?tenant=&kind=`: of a tenant and those below it, read to the end of their chains.
pub(super) fn report(desk: &Desk, request: &Request) -> Result<Answer, Problem> {
    let tenant = desk.tenant(&request.query)?;
    let kinds = match request.query.get("kind") {
        None => SubjectKind::ALL.to_vec(),
        Some(name) => vec![kind(name)?],
    };
    if !desk.may_view("journal:view", &Resource::journal(&tenant))? {
        return Err(Problem::denied(format!("`{}` may not read the journal of {tenant}", desk.caller.name)));
    }
    let bundle = desk.active.bundle(desk.shared.config.mode.as_deref());
    let bundle = bundle.ok_or_else(|| Problem::unavailable("no bundle is active"))?;
    let reckoning = Reckoning::of(bundle).map_err(|error| Problem::unavailable(error.to_string()))?;
    Ok(answer::json(&Report::of(&records(desk, &tenant, reckoning)?, reckoning, &kinds)))
}

/// The records of a tenant and those below it that whoever asks may look at, and that have any outcome.
fn records(desk: &Desk, above: &TenantPath, reckoning: Reckoning) -> Result<Vec<TrackRecord>, Problem> {
    let shared = &desk.shared;
    let mut records = Vec::new();
    for tenant in shared.journal.tenants().map_err(|error| Problem::unavailable(error.to_string()))? {
        if !above.contains(&tenant) || !desk.may_view("journal:view", &Resource::journal(&tenant))? {
            continue;
        }
        let record = shared.records.record(&shared.journal, reckoning, &tenant).map_err(|e| of_store(&e))?;
        if !record.subjects().is_empty() {
            records.push(record);
        }
    }
    Ok(records)
}

fn kind(name: &str) -> Result<SubjectKind, Problem> {
    SubjectKind::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| {
        let known = SubjectKind::ALL.map(SubjectKind::as_str);
        let near = cku_base::suggest(name, known).map(|near| format!("; did you mean `{near}`?"));
        let near = near.unwrap_or_default();
        Problem::unusable(format!("`kind` is `{}`; it is one of {}{near}", shown(name), known.join(", ")))
    })
}
