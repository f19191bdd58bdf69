//! Service accounts and single tokens over HTTP.

use std::time::Duration;

use cku_auth::{Secret, credential_id, verify};
use cku_authority::{AccountClosed, AccountOpened, AccountRow, CredentialRow, TokenRevoked};
use cku_base::{PrincipalId, TenantPath, Timestamp};
use cku_engine::access::Resource;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::{
    Desk, Request, of_store,
    office::of_office,
    shown,
    wants::{nothing_else, optional, parsed, text},
};
use crate::answer::{self, Answer, Problem};

const DAY: Duration = Duration::from_secs(86_400);

/// A journal for a single user takes no tokens: there is nothing to issue or to refuse.
fn takes_tokens(desk: &Desk) -> Result<&cku_auth::Trust, Problem> {
    desk.active.trust.as_ref().ok_or_else(|| {
        Problem::conflict(
            "the journal is local, single-user: it takes no tokens; `cku init` makes one for several people",
        )
    })
}

/// The tenant of a body: the one it names, or that of whoever asks.
fn home(desk: &Desk, members: &mut Map<String, Value>) -> Result<TenantPath, Problem> {
    Ok(parsed(members, "tenant")?.unwrap_or_else(|| desk.caller.principal().tenant.clone()))
}

fn named(name: &str) -> Result<PrincipalId, Problem> {
    // The one character of such names that some clients write otherwise in a path.
    let plain = name.replace("%40", "@");
    plain.parse().map_err(|_| Problem::nowhere(format!("there is no service account `{}`", shown(name))))
}

/// A span of time after now, within bounds.
fn span(
    members: &mut Map<String, Value>,
    (name, default): (&str, Duration),
    within: std::ops::RangeInclusive<Duration>,
) -> Result<Duration, Problem> {
    let Some(text) = optional(members, name)? else { return Ok(default) };
    let span = cku_skills::parse_duration(&text).filter(|span| within.contains(span));
    span.ok_or_else(|| {
        let days = within.end().as_secs() / DAY.as_secs();
        Problem::unusable(format!(
            "`{name}` is `{}`; write a span of at most {days}d, like `12h`",
            shown(&text)
        ))
    })
}

/// `POST /v1/sessions/revoke` with `{token}`, or `{issuer, token_id, tenant}`, and `reason`
pub(super) fn revoke_token(desk: &Desk, request: &Request) -> Result<Answer, Problem> {
    let trust = takes_tokens(desk)?;
    let mut members = desk.members(request)?;
    let now = desk.now();
    let reason = optional(&mut members, "reason")?.unwrap_or_else(|| "no reason given".to_owned());
    let (tenant, issuer, token_id, until) = match optional(&mut members, "token")? {
        Some(token) => {
            // What is wrong with it is said; what it is, never.
            let of = verify(&token, trust, now).map_err(|error| {
                Problem::unusable(format!("`token` counts for nothing as it is: {error}"))
            })?;
            let id = of.token_id.ok_or_else(|| {
                Problem::unusable(
                    "`token` has no `jti` by which it could be revoked; revoke the key that signed it",
                )
            })?;
            (of.principal.tenant, of.issuer, id, of.expires_at)
        }
        None => {
            let until = now.after(DAY + Duration::from_secs(30)).unwrap_or(now);
            if !members.contains_key("issuer") && !members.contains_key("token_id") {
                let what = "say which one: send `token`, or `issuer` and `token_id` where it is not at hand";
                return Err(Problem::unusable(what));
            }
            let (issuer, id) = (text(&mut members, "issuer")?, text(&mut members, "token_id")?);
            (home(desk, &mut members)?, issuer, id, until)
        }
    };
    nothing_else(&members)?;
    let revoked = TokenRevoked { issuer, token_id, until, reason };
    let mut worker = desk.worker(None)?;
    let journal = &desk.shared.journal;
    let done = cku_authority::revoke_token(journal, &mut worker, desk.by(), &tenant, &revoked);
    done.map_err(|error| of_office(&error))?;
    desk.holds();
    Ok(answer::json(&json!({"tenant": tenant, "issuer": revoked.issuer, "token_id": revoked.token_id})))
}

/// `POST /v1/service-accounts` with `{name, tenant, purpose}`
pub(super) fn open(desk: &Desk, request: &Request) -> Result<Answer, Problem> {
    takes_tokens(desk)?;
    let mut members = desk.members(request)?;
    let name = parsed(&mut members, "name")?.ok_or_else(|| Problem::unusable("`name` is missing"))?;
    let tenant = home(desk, &mut members)?;
    let purpose = optional(&mut members, "purpose")?.unwrap_or_default();
    nothing_else(&members)?;
    let opened = AccountOpened { name, purpose };
    let mut worker = desk.worker(None)?;
    let done = cku_authority::open_account(&desk.shared.journal, &mut worker, desk.by(), &tenant, &opened);
    done.map_err(|error| of_office(&error))?;
    desk.holds();
    let mut answer = answer::json_with(
        StatusCode::CREATED,
        &json!({"name": opened.name, "tenant": tenant, "purpose": opened.purpose}),
    );
    if let Ok(location) = format!("/v1/service-accounts/{}?tenant={tenant}", opened.name).parse() {
        answer.headers_mut().insert(hyper::header::LOCATION, location);
    }
    Ok(answer)
}

/// Whoever manages the accounts of a tenant may look at them; for others there are none.
fn may_look(desk: &Desk, tenant: &TenantPath) -> Result<bool, Problem> {
    desk.may_view("service_account:manage", &Resource::tenant(tenant))
}

/// `GET /v1/service-accounts?tenant=`
pub(super) fn list(desk: &Desk, request: &Request) -> Result<Answer, Problem> {
    let tenant = desk.tenant(&request.query)?;
    if !may_look(desk, &tenant)? {
        return Err(Problem::denied(format!(
            "`{}` may not see the service accounts of {tenant}",
            desk.caller.name
        )));
    }
    let journal = &desk.shared.journal;
    let accounts = cku_authority::accounts(journal, &tenant).map_err(|e| of_store(&e))?;
    let accounts = accounts.iter().map(|account| described(desk, account));
    let accounts = accounts.collect::<Result<Vec<_>, _>>()?;
    Ok(answer::json(&json!({"service_accounts": accounts})))
}

/// `GET /v1/service-accounts/{name}?tenant=`, and `…/tokens`
pub(super) fn show(desk: &Desk, name: &str, request: &Request) -> Result<Answer, Problem> {
    let tenant = desk.tenant(&request.query)?;
    let name = named(name)?;
    let missing = || Problem::nowhere(format!("there is no service account `{name}` in {tenant}"));
    if !may_look(desk, &tenant)? {
        return Err(missing());
    }
    let account = cku_authority::account(&desk.shared.journal, &tenant, &name).map_err(|e| of_store(&e))?;
    Ok(answer::json(&described(desk, &account.ok_or_else(missing)?)?))
}

fn described(desk: &Desk, account: &AccountRow) -> Result<Value, Problem> {
    let journal = &desk.shared.journal;
    let known =
        cku_authority::credentials(journal, &account.tenant, &account.name).map_err(|e| of_store(&e))?;
    let now = desk.now();
    let tokens = known.iter().map(|(credential, revoked)| {
        let holds = !revoked && account.closed_at.is_none() && now < credential.expires_at;
        json!({
            "id": credential.id, "issued_at": credential.issued_at, "expires_at": credential.expires_at,
            "revoked": revoked, "holds": holds,
        })
    });
    let tokens: Vec<Value> = tokens.collect();
    Ok(json!({
        "name": account.name, "tenant": account.tenant, "purpose": account.purpose,
        "opened_at": account.opened_at, "closed_at": account.closed_at, "tokens": tokens,
    }))
}

/// `POST /v1/service-accounts/{name}/tokens` with `{tenant, expires, rotate, grace}`: the token is in this
/// answer and nowhere else.
pub(super) fn issue(desk: &Desk, name: &str, request: &Request) -> Result<Answer, Problem> {
    takes_tokens(desk)?;
    let name = named(name)?;
    let mut members = desk.members(request)?;
    let tenant = home(desk, &mut members)?;
    let second = Duration::from_secs(1);
    let holds = span(&mut members, ("expires", 90 * DAY), second..=366 * DAY)?;
    let rotate = match members.remove("rotate") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(rotate)) => rotate,
        Some(_) => return Err(Problem::unusable("`rotate` is not true or false")),
    };
    if !rotate && members.contains_key("grace") {
        return Err(Problem::unusable(
            "`grace` is for tokens that are replaced; send `rotate: true` with it",
        ));
    }
    let grace = span(&mut members, ("grace", DAY), Duration::ZERO..=30 * DAY)?;
    nothing_else(&members)?;
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|e| Problem::internal(format!("no random bytes: {e}")))?;
    let (secret, now) = (Secret::new(&random), desk.now());
    let after = |span| now.after(span).unwrap_or(now);
    let digest = secret.digest();
    let id = credential_id(&digest);
    let credential = CredentialRow { id, tenant, name, digest, issued_at: now, expires_at: after(holds) };
    let grace: Option<Timestamp> = rotate.then(|| after(grace));
    let mut worker = desk.worker(None)?;
    let journal = &desk.shared.journal;
    let issued = cku_authority::issue_credential(journal, &mut worker, desk.by(), &credential, grace);
    let issued = issued.map_err(|error| of_office(&error))?;
    desk.holds();
    Ok(answer::json_with(
        StatusCode::CREATED,
        &json!({
            "token": secret.reveal(), "id": credential.id, "name": credential.name, "tenant": credential.tenant,
            "expires_at": credential.expires_at, "replaces": issued.replaces,
            "replaced_until": issued.replaced_until,
        }),
    ))
}

/// `POST /v1/service-accounts/{name}/tokens/{id}/revoke` with `{tenant, reason}`
pub(super) fn revoke(desk: &Desk, (name, id): (&str, &str), request: &Request) -> Result<Answer, Problem> {
    let name = named(name)?;
    let (tenant, reason) = because(desk, request)?;
    let mut worker = desk.worker(None)?;
    let journal = &desk.shared.journal;
    let whose = (&tenant, &name);
    let done = cku_authority::revoke_credential(journal, &mut worker, desk.by(), whose, (id, &reason));
    done.map_err(|error| of_office(&error))?;
    desk.holds();
    Ok(answer::json(&json!({"name": name, "tenant": tenant, "id": id, "revoked": true})))
}

/// `POST /v1/service-accounts/{name}/close` with `{tenant, reason}`
pub(super) fn close(desk: &Desk, name: &str, request: &Request) -> Result<Answer, Problem> {
    let name = named(name)?;
    let (tenant, reason) = because(desk, request)?;
    let closed = AccountClosed { name, closed_at: desk.now(), reason };
    let mut worker = desk.worker(None)?;
    let done = cku_authority::close_account(&desk.shared.journal, &mut worker, desk.by(), &tenant, &closed);
    done.map_err(|error| of_office(&error))?;
    desk.holds();
    Ok(answer::json(&json!({"name": closed.name, "tenant": tenant, "closed_at": closed.closed_at})))
}

fn because(desk: &Desk, request: &Request) -> Result<(TenantPath, String), Problem> {
    let mut members = desk.members(request)?;
    let tenant = home(desk, &mut members)?;
    let reason = optional(&mut members, "reason")?.unwrap_or_else(|| "no reason given".to_owned());
    nothing_else(&members)?;
    Ok((tenant, reason))
}
