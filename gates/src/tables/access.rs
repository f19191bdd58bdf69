//! Access tables: principal × action × resource.

use std::collections::BTreeMap;

use cku_engine::access::{Answer, AttributeValue, Denial, Question, Resource, RoleGrant};

use super::{
    document::{AccessPrincipal, AccessResource, AccessRow, AccessTable, EntityResource},
    run::Runner,
};

/// Asks every question of the table; each row must say something of each principal.
pub(super) fn run(runner: &mut Runner<'_>, table: &AccessTable) {
    if table.table.is_empty() || table.principals.is_empty() {
        let differences = vec!["no rows or no principals, so nothing is tested".to_owned()];
        runner.record("access", None, differences);
    }
    let grants: Vec<RoleGrant> = table.principals.values().flat_map(grants).collect();
    let modes = runner.worker.bundle().manifest().modes.clone();
    for row in &table.table {
        let name = format!("{} on {}", row.action, row.on);
        if let Some(mode) = row.mode.as_ref().filter(|mode| !modes.contains(mode)) {
            let differences = vec![format!("not one of the bundle's modes: {}", modes.join(", "))];
            runner.record(&name, Some(mode), differences);
            continue;
        }
        for (who, principal) in &table.principals {
            let differences = match (row.allow.contains(who), row.deny.contains(who)) {
                (true, true) => vec![format!("`{who}` is both allowed and denied")],
                (false, false) => vec![format!("the row says nothing of `{who}`")],
                (allow, _) => ask(runner, table, row, principal, &grants, allow),
            };
            runner.record(&format!("{who} {name}"), row.mode.as_deref(), differences);
        }
        let strangers = row.allow.iter().chain(&row.deny).filter(|w| !table.principals.contains_key(*w));
        for stranger in strangers {
            runner.record(&name, None, vec![format!("there is no principal `{stranger}`")]);
        }
    }
}

fn ask(
    runner: &mut Runner<'_>,
    table: &AccessTable,
    row: &AccessRow,
    principal: &AccessPrincipal,
    grants: &[RoleGrant],
    allow: bool,
) -> Vec<String> {
    let resource = match resource(runner, &table.resources, &row.on) {
        Ok(resource) => resource,
        Err(problem) => return vec![problem],
    };
    let mode = row.mode.as_deref().unwrap_or("prod");
    let answer = runner.worker.ask(&Question {
        principal: &principal.principal(),
        grants,
        action: &row.action,
        resource: &resource,
        mode,
        authentication: "token",
    });
    match answer {
        Answer::Allowed { by } if !allow => vec![format!("expected deny, allowed by {}", by.join(", "))],
        // A deny by accident is no deny that was asked for.
        Answer::Denied(Denial::Error(error)) => vec![format!("the question cannot be asked: {error}")],
        Answer::Denied(why) if allow => vec![format!("expected allow, denied: {why}")],
        _ => Vec::new(),
    }
}

fn grants(principal: &AccessPrincipal) -> impl Iterator<Item = RoleGrant> + '_ {
    principal.roles.iter().map(|(role, tenant)| RoleGrant {
        principal: principal.principal(),
        role: role.clone(),
        tenant: tenant.clone(),
    })
}

fn resource(
    runner: &Runner<'_>,
    resources: &BTreeMap<String, AccessResource>,
    name: &str,
) -> Result<Resource, String> {
    match resources.get(name).ok_or_else(|| format!("there is no resource `{name}`"))? {
        AccessResource::Target(target) => runner
            .worker
            .bundle()
            .target(&target.target)
            .cloned()
            .map_err(|e| format!("{}: {e}", target.target)),
        AccessResource::Entity(entity) => of_entity(entity),
    }
}

fn of_entity(entity: &EntityResource) -> Result<Resource, String> {
    let attributes = entity.attributes.iter().map(|(name, value)| {
        let value =
            AttributeValue::from_json(value).ok_or_else(|| format!("`{name}` is no attribute value"))?;
        Ok((name.clone(), value))
    });
    Ok(Resource {
        type_name: entity.type_name.clone(),
        id: entity.id.clone(),
        tenant: entity.tenant.clone(),
        attributes: attributes.collect::<Result<_, String>>()?,
    })
}
