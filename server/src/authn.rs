//! Who asks.

use std::sync::Arc;

use cku_auth::{TokenError, verify};
use cku_authority::submitter;
use cku_base::TenantPath;
use cku_engine::{
    Worker,
    access::{Answer, Question, Resource},
};
use hyper::{HeaderMap, header::AUTHORIZATION};

use crate::{
    active::Active,
    answer::Problem,
    caller::{Caller, KEPT, Tokens},
    context::Local,
};

/// Who asks, by their token, and what holds for their request; a journal for a single local user takes none.
///
/// A token of a key that nobody knows waits until the keys of its issuer were looked at: what holds then is
/// what holds for the request.
pub(crate) async fn caller(
    local: &Local,
    active: Arc<Active>,
    headers: &HeaderMap,
) -> Result<(Arc<Active>, Arc<Caller>), Problem> {
    let looks = &local.shared.looks;
    match known(local, &active, headers) {
        Ok(caller) => Ok((active, caller)),
        Err(Unknown::Other(problem)) => Err(problem),
        Err(Unknown::Key(kid, problem)) => {
            if !looks.wait_for(&kid).await {
                return Err(problem);
            }
            let active = local.active();
            match known(local, &active, headers) {
                Ok(caller) => Ok((active, caller)),
                Err(Unknown::Other(problem)) => Err(problem),
                Err(Unknown::Key(kid, problem)) => {
                    looks.is_unknown(&kid);
                    Err(problem)
                }
            }
        }
    }
}

/// Why it is not known who asks.
enum Unknown {
    /// The key is not known, and an issuer may have published it since it was last looked at.
    Key(String, Problem),
    Other(Problem),
}

impl From<Problem> for Unknown {
    fn from(problem: Problem) -> Self {
        Self::Other(problem)
    }
}

fn known(local: &Local, active: &Active, headers: &HeaderMap) -> Result<Arc<Caller>, Unknown> {
    let mut tokens = local.tokens.borrow_mut();
    if tokens.number != active.number {
        *tokens = Tokens { number: active.number, ..Tokens::default() };
    }
    let header = headers.get(AUTHORIZATION);
    let Some(trust) = &active.trust else {
        if header.is_some() {
            return Err(Unknown::Other(Problem::unauthenticated(
                "the journal is local, single-user: it trusts no keys; `cku init` makes one for several people",
            )));
        }
        let Some(single) = &active.local else { return Err(Problem::internal("nobody may ask").into()) };
        return Ok(tokens.local.get_or_insert_with(|| Caller::new(single.clone())).clone());
    };
    let token = header.and_then(|header| header.to_str().ok()).and_then(bearer);
    let token = token.ok_or_else(|| Problem::unauthenticated("send `Authorization: Bearer TOKEN`"))?;
    let now = local.now();
    if let Some((caller, until)) = tokens.known.get(token)
        && now < *until
    {
        return Ok(caller.clone());
    }
    let verified = verify(token, trust, now).map_err(|error| {
        let problem = Problem::unauthenticated(format!("the token is refused: {error}"));
        let published = trust.issuers().iter().any(|issuer| issuer.revoked_at.is_none());
        match error {
            TokenError::UnknownKey(kid) if published => Unknown::Key(kid, problem),
            _ => Unknown::Other(problem),
        }
    })?;
    let expires_at = verified.expires_at;
    let caller = Caller::new(submitter(verified));
    if tokens.known.len() >= KEPT {
        tokens.known.clear();
    }
    tokens.known.insert(token.to_owned(), (caller.clone(), expires_at));
    Ok(caller)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// Whether the access policies let somebody do something; the error says why not.
///
/// They are those of what decides in the mode, or where no mode is in question.
pub(crate) fn may(
    local: &Local,
    active: &Active,
    caller: &Caller,
    (action, resource): (&str, &Resource),
    mode: Option<&str>,
) -> Result<(), Problem> {
    let bundle = active.bundle(mode).ok_or_else(|| Problem::unavailable("no bundle is active"))?;
    let question = Question {
        principal: caller.principal(),
        grants: &active.grants,
        action,
        resource,
        mode: mode.unwrap_or("prod"),
        authentication: caller.by.authentication.as_str(),
    };
    match local.with(active, bundle, |worker| worker.ask(&question)) {
        Answer::Allowed { .. } => Ok(()),
        Answer::Denied(why) => Err(Problem::denied(format!(
            "`{}` may not do this: {action} in {} is denied, {why}",
            caller.name, resource.tenant
        ))),
    }
}

/// Whether the access policies let somebody do something, asked of a worker of one's own.
pub(crate) fn is_allowed(
    worker: &mut Worker,
    active: &Active,
    caller: &Caller,
    (action, resource): (&str, &Resource),
    mode: Option<&str>,
) -> bool {
    let question = Question {
        principal: caller.principal(),
        grants: &active.grants,
        action,
        resource,
        mode: mode.unwrap_or("prod"),
        authentication: caller.by.authentication.as_str(),
    };
    worker.ask(&question).is_allowed()
}

/// The tenant that a request is for: the one it names, or that of whoever asks.
pub(crate) fn tenant(caller: &Caller, named: Option<&TenantPath>) -> TenantPath {
    named.cloned().unwrap_or_else(|| caller.principal().tenant.clone())
}
