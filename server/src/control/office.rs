//! Roles and switches over HTTP.

use cku_authority::{FreezeSet, KillSwitch, OfficeError};
use cku_base::{Principal, TenantPath};
use cku_engine::access::{Resource, RoleGrant};
use serde_json::{Value, json};

use super::{
    Desk, Request, of_access,
    wants::{nothing_else, optional, parsed, text, yes},
};
use crate::answer::{self, Answer, Problem};

/// Why something of authority was not changed.
pub(super) fn of_office(error: &OfficeError) -> Problem {
    use OfficeError::{
        Access, AccountClosed, AccountDeclared, AccountExists, HoldsRole, LastAdmin, LastKey, Meanwhile,
        NoSuchAccount, NoSuchIssuer, NoSuchToken, Revoked, TokenRevoked, TooManyTokens,
    };
    match error {
        Access(error) => of_access(error),
        Meanwhile(_)
        | LastAdmin(_)
        | LastKey(_)
        | AccountExists { .. }
        | AccountDeclared { .. }
        | AccountClosed { .. }
        | HoldsRole { .. }
        | Revoked { .. }
        | TokenRevoked(_)
        | TooManyTokens { .. } => Problem::conflict(error.to_string()),
        NoSuchAccount { .. } | NoSuchToken(_) | NoSuchIssuer(_) => Problem::nowhere(error.to_string()),
        refused => Problem::unusable(refused.to_string()),
    }
}

/// `GET /v1/roles?tenant=`
pub(super) fn roles(desk: &Desk, request: &Request) -> Result<Answer, Problem> {
    let tenant = desk.tenant(&request.query)?;
    if !desk.may_view("journal:view", &Resource::journal(&tenant))?
        && !desk.may_view("role:grant", &Resource::tenant(&tenant))?
    {
        return Err(Problem::denied(format!("`{}` may not see the roles of {tenant}", desk.caller.name)));
    }
    let grants = desk.active.grants.iter().filter(|grant| tenant.contains(&grant.tenant));
    let grants: Vec<Value> = grants.map(|grant| json!(grant)).collect();
    Ok(answer::json(&json!({"roles": grants})))
}

/// `POST /v1/roles` with `{principal, role, tenant, granted}`
pub(super) fn change_role(desk: &Desk, request: &Request) -> Result<Answer, Problem> {
    let mut members = desk.members(request)?;
    let principal = members.remove("principal").ok_or_else(|| Problem::unusable("`principal` is missing"))?;
    let principal: Principal =
        serde_json::from_value(principal).map_err(|e| Problem::unusable(format!("`principal`: {e}")))?;
    let role = text(&mut members, "role")?;
    let tenant = parsed(&mut members, "tenant")?.ok_or_else(|| Problem::unusable("`tenant` is missing"))?;
    let granted = yes(&mut members, "granted")?;
    nothing_else(&members)?;
    let grant = RoleGrant { principal, role, tenant };
    let mut worker = desk.worker(None)?;
    let done = cku_authority::change_role(&desk.shared.journal, &mut worker, desk.by(), &grant, granted);
    done.map_err(|error| of_office(&error))?;
    desk.holds();
    Ok(answer::json(&json!({"granted": granted, "grant": grant})))
}

/// `POST /v1/killswitch` with `{on, tenant, reason}`
pub(super) fn kill_switch(desk: &Desk, request: &Request) -> Result<Answer, Problem> {
    let mut members = desk.members(request)?;
    let on = yes(&mut members, "on")?;
    let tenant: TenantPath = parsed(&mut members, "tenant")?.unwrap_or_else(TenantPath::root);
    let reason = optional(&mut members, "reason")?.unwrap_or_else(|| "no reason given".to_owned());
    nothing_else(&members)?;
    let mut worker = desk.worker(None)?;
    let set = KillSwitch { on, reason };
    let done = cku_authority::set_kill_switch(&desk.shared.journal, &mut worker, desk.by(), &tenant, &set);
    done.map_err(|error| of_access(&error))?;
    desk.holds();
    Ok(answer::json(&json!({"tenant": tenant, "on": on})))
}

/// `POST /v1/freeze` with `{on, from, until, tenant, reason}`
pub(super) fn freeze(desk: &Desk, request: &Request) -> Result<Answer, Problem> {
    let mut members = desk.members(request)?;
    let tenant: TenantPath = parsed(&mut members, "tenant")?.unwrap_or_else(TenantPath::root);
    let set = FreezeSet {
        on: yes(&mut members, "on")?,
        from: parsed(&mut members, "from")?,
        until: parsed(&mut members, "until")?,
        reason: optional(&mut members, "reason")?.unwrap_or_else(|| "no reason given".to_owned()),
    };
    nothing_else(&members)?;
    let now = desk.now();
    if set.until.is_some_and(|until| until <= set.from.map_or(now, |from| from.max(now))) {
        return Err(Problem::unusable("`until` has passed, or is not after `from`"));
    }
    let mut worker = desk.worker(None)?;
    let done = cku_authority::set_freeze(&desk.shared.journal, &mut worker, desk.by(), &tenant, &set);
    done.map_err(|error| of_access(&error))?;
    desk.holds();
    Ok(answer::json(&json!({"tenant": tenant, "freeze": set})))
}
