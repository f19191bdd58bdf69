//! Which path is what.

use cku_base::TenantPath;
use hyper::Method;

use crate::answer::Problem;

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/access/v1/evaluation`
    Evaluation,
    /// `/access/v1/evaluations`
    Evaluations,
    /// `/access/v1/search/subject`, and so on
    Search(Search),
    /// `/access/v1/requests`
    AccessRequest,
    /// `/access/v1/requests/{id}`
    AccessTask(String),
    /// `/.well-known/authzen-configuration`
    Discovery,
    /// `/v1/decide`
    Decide,
    /// `/v1/decide/batch`
    DecideBatch,
    /// `/v1/decisions/{id}`
    Decision(String),
    /// `/v1/events`
    Events,
    /// Everything else below `/v1/`: the names between the slashes
    Control(Vec<String>),
    /// `/openapi.json`
    OpenApi,
    /// `/healthz`
    Alive,
    /// `/readyz`
    Ready,
    /// `/metrics`
    Metrics,
}

impl Route {
    /// What it is counted under.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Evaluation => "evaluation",
            Self::Evaluations => "evaluations",
            Self::Search(_) => "search",
            Self::AccessRequest | Self::AccessTask(_) => "access_request",
            Self::Discovery => "discovery",
            Self::Decide => "decide",
            Self::DecideBatch => "decide_batch",
            Self::Decision(_) => "decision",
            Self::Events => "events",
            Self::Control(_) => "control",
            Self::OpenApi => "openapi",
            Self::Alive => "healthz",
            Self::Ready => "readyz",
            Self::Metrics => "metrics",
        }
    }
}

/// What is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Search {
    Subject,
    Resource,
    Action,
}

const DISCOVERY: &str = "/.well-known/authzen-configuration";
const ACCESS: &str = "/access/v1/";

/// The route of a path, and the tenant that it names.
///
/// AuthZEN puts a tenant before its endpoints, and after the well-known path.
pub(crate) fn route(method: &Method, path: &str) -> Result<(Route, Option<TenantPath>), Problem> {
    let (route, tenant) = of_path(path)?;
    let allowed = if is_asked(&route) { "POST" } else { "GET" };
    if matches!(route, Route::Control(_)) && [Method::GET, Method::HEAD, Method::POST].contains(method) {
        return Ok((route, tenant));
    }
    match method.as_str() == allowed || (allowed == "GET" && method == Method::HEAD) {
        true => Ok((route, tenant)),
        false => Err(Problem::method(allowed)),
    }
}

/// Whether it is a question, which has a body.
fn is_asked(route: &Route) -> bool {
    use Route::{AccessRequest, Decide, DecideBatch, Evaluation, Evaluations, Search};
    matches!(route, Evaluation | Evaluations | Search(_) | AccessRequest | Decide | DecideBatch)
}

fn of_path(path: &str) -> Result<(Route, Option<TenantPath>), Problem> {
    if let Some(tenant) = path.strip_prefix(DISCOVERY) {
        return Ok((Route::Discovery, tenant_of(tenant)?));
    }
    if let Some(at) = path.find(ACCESS) {
        let (tenant, rest) =
            (path.get(..at).unwrap_or_default(), path.get(at + ACCESS.len()..).unwrap_or_default());
        let route = match rest {
            "evaluation" => Route::Evaluation,
            "evaluations" => Route::Evaluations,
            "search/subject" => Route::Search(Search::Subject),
            "search/resource" => Route::Search(Search::Resource),
            "search/action" => Route::Search(Search::Action),
            "requests" => Route::AccessRequest,
            _ => match rest.strip_prefix("requests/") {
                Some(id) if !id.is_empty() && !id.contains('/') => Route::AccessTask(id.to_owned()),
                _ => return Err(nowhere(path)),
            },
        };
        return Ok((route, tenant_of(tenant)?));
    }
    let route = match path {
        "/v1/decide" => Route::Decide,
        "/v1/decide/batch" => Route::DecideBatch,
        "/v1/events" => Route::Events,
        "/openapi.json" => Route::OpenApi,
        "/healthz" => Route::Alive,
        "/readyz" => Route::Ready,
        "/metrics" => Route::Metrics,
        _ => match path.strip_prefix("/v1/decisions/") {
            Some(id) if !id.is_empty() && !id.contains('/') => Route::Decision(id.to_owned()),
            _ => match path.strip_prefix("/v1/") {
                Some(rest) if !rest.is_empty() => {
                    Route::Control(rest.split('/').map(str::to_owned).collect())
                }
                _ => return Err(nowhere(path)),
            },
        },
    };
    Ok((route, None))
}

fn tenant_of(text: &str) -> Result<Option<TenantPath>, Problem> {
    let text = text.trim_start_matches('/');
    if text.is_empty() {
        return Ok(None);
    }
    let tenant = text.parse().map_err(|e| Problem::nowhere(format!("the path names no tenant: {e}")))?;
    Ok(Some(tenant))
}

fn nowhere(path: &str) -> Problem {
    let shown: String = path.chars().take(200).flat_map(char::escape_debug).collect();
    Problem::nowhere(format!("there is nothing at `{shown}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_described_is_there_and_asked_as_described() {
        for endpoint in crate::openapi::ENDPOINTS {
            let path = endpoint.path.replace("{id}", "x");
            let asked: Method = endpoint.method.to_uppercase().parse().unwrap();
            let (found, _) = route(&asked, &path).unwrap();
            let free = matches!(found, Route::Control(_));
            let other = if asked == Method::GET { Method::POST } else { Method::GET };
            assert!(free || route(&other, &path).is_err(), "{path}");
        }
    }

    #[test]
    fn paths_are_read_with_their_tenants() {
        let of = |method: Method, path: &str| route(&method, path);
        assert_eq!(of(Method::POST, "/access/v1/evaluation"), Ok((Route::Evaluation, None)));
        let acme = Some("acme/payments".parse().unwrap());
        let search = Route::Search(Search::Action);
        assert_eq!(of(Method::POST, "/acme/payments/access/v1/search/action"), Ok((search, acme.clone())));
        let discovery = "/.well-known/authzen-configuration/acme/payments";
        assert_eq!(of(Method::GET, discovery), Ok((Route::Discovery, acme)));
        assert_eq!(of(Method::HEAD, "/healthz"), Ok((Route::Alive, None)));
        for (method, path, status) in [
            (Method::GET, "/access/v1/evaluation", 405),
            (Method::POST, "/healthz", 405),
            (Method::POST, "/access/v1/evaluation/", 404),
            (Method::POST, "/access/v2/evaluation", 404),
            (Method::POST, "/Acme%20/access/v1/evaluation", 404),
            (Method::DELETE, "/v1/runs", 405),
            (Method::GET, "/v1/", 404),
            (Method::GET, "/", 404),
        ] {
            assert_eq!(of(method, path).unwrap_err().status.as_u16(), status, "{path}");
        }
    }
}
