//! The control plane: runs, approvals, policy diffs, roles and switches, the journal.
//!
//! None of it is on the way of a decision: each request gets a worker of its own, off the threads that serve.
//! What may be done is for the access policies to say, and what is denied is an entry, as from the command
//! line.

mod diffs;
mod identity;
mod journal;
mod office;
mod reliability;
mod runs;
mod wants;

use std::sync::Arc;

use bytes::Bytes;
use cku_authority::{AccessError, BundleError, StoreError};
use cku_base::{TenantPath, Timestamp};
use cku_engine::{Worker, access::Resource};
use cku_gates::Submitter;
use hyper::Method;
use serde_json::{Map, Value, json};

use crate::{
    active::Active,
    answer::{self, Answer, Problem},
    authn, body,
    caller::Caller,
    context::Shared,
};
pub(crate) use runs::{ask_gates, find as find_run, may_create};
pub(crate) use wants::Query;

/// What is asked of the control plane.
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The names between the slashes after `/v1/`.
    pub(crate) path: Vec<String>,
    pub(crate) query: Query,
    pub(crate) body: Bytes,
    /// Under which whoever asks may ask again, and nothing is done twice.
    pub(crate) key: Option<String>,
}

/// Who asks, and all that an answer is made from.
pub(crate) struct Desk {
    pub(crate) shared: Arc<Shared>,
    pub(crate) active: Arc<Active>,
    pub(crate) caller: Arc<Caller>,
}

impl Desk {
    fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }

    fn by(&self) -> &Submitter {
        &self.caller.by
    }

    /// A worker over what decides in a mode.
    pub(crate) fn worker(&self, mode: Option<&str>) -> Result<Worker, Problem> {
        let bundle = self.active.bundle(mode).ok_or_else(|| Problem::unavailable("no bundle is active"))?;
        Ok(Worker::new(bundle.clone()))
    }

    /// Whether whoever asks may look at something; for others there is nothing.
    fn may_view(&self, action: &'static str, resource: &Resource) -> Result<bool, Problem> {
        let mode = self.shared.config.mode.as_deref();
        let mut worker = self.worker(mode)?;
        Ok(authn::is_allowed(&mut worker, &self.active, &self.caller, (action, resource), mode))
    }

    /// The tenant that a list is of: the one that is named, or that of whoever asks.
    fn tenant(&self, query: &Query) -> Result<TenantPath, Problem> {
        match query.get("tenant") {
            None => Ok(self.caller.principal().tenant.clone()),
            Some(text) => text.parse().map_err(|e| Problem::unusable(format!("`tenant`: {e}"))),
        }
    }

    fn members(&self, request: &Request) -> Result<Map<String, Value>, Problem> {
        if request.body.is_empty() {
            return Ok(Map::new());
        }
        body::object(&request.body, &self.shared.config.limits)
    }

    /// What was said about authority holds before whoever said it is told.
    fn holds(&self) {
        self.shared.current.refresh(false);
    }
}

/// Answers, or says what is wrong.
pub(crate) fn answer(desk: &Desk, request: &Request) -> Result<Answer, Problem> {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let asks = |allowed: &'static str| match request.method == *allowed
        || (allowed == "GET" && request.method == Method::HEAD)
    {
        true => Ok(()),
        false => Err(Problem::method(allowed)),
    };
    match path.as_slice() {
        ["runs"] if request.method == Method::POST => runs::submit(desk, request),
        ["runs"] => asks("GET").and_then(|()| runs::list(desk, request)),
        ["runs", id] => asks("GET").and_then(|()| runs::show(desk, id)),
        ["runs", id, "timeline"] => asks("GET").and_then(|()| runs::timeline(desk, id)),
        ["runs", id, act] => asks("POST").and_then(|()| runs::act(desk, id, act, request)),
        ["approvals"] => asks("GET").and_then(|()| runs::approvals(desk)),
        ["diffs"] if request.method == Method::POST => diffs::propose(desk, request),
        ["diffs"] => asks("GET").and_then(|()| diffs::list(desk)),
        ["diffs", id] => asks("GET").and_then(|()| diffs::show(desk, id)),
        ["diffs", id, act] => asks("POST").and_then(|()| diffs::act(desk, id, act, request)),
        ["bundles"] => asks("GET").and_then(|()| diffs::bundles(desk)),
        ["roles"] if request.method == Method::POST => office::change_role(desk, request),
        ["roles"] => asks("GET").and_then(|()| office::roles(desk, request)),
        ["killswitch"] => asks("POST").and_then(|()| office::kill_switch(desk, request)),
        ["freeze"] => asks("POST").and_then(|()| office::freeze(desk, request)),
        ["reliability"] => asks("GET").and_then(|()| reliability::report(desk, request)),
        ["journal"] => asks("GET").and_then(|()| journal::read(desk, request)),
        ["sessions", "revoke"] => asks("POST").and_then(|()| identity::revoke_token(desk, request)),
        ["service-accounts"] if request.method == Method::POST => identity::open(desk, request),
        ["service-accounts"] => asks("GET").and_then(|()| identity::list(desk, request)),
        ["service-accounts", name] => asks("GET").and_then(|()| identity::show(desk, name, request)),
        ["service-accounts", name, "close"] => {
            asks("POST").and_then(|()| identity::close(desk, name, request))
        }
        ["service-accounts", name, "tokens"] if request.method == Method::POST => {
            identity::issue(desk, name, request)
        }
        ["service-accounts", name, "tokens"] => {
            asks("GET").and_then(|()| identity::show(desk, name, request))
        }
        ["service-accounts", name, "tokens", id, "revoke"] => {
            asks("POST").and_then(|()| identity::revoke(desk, (name, id), request))
        }
        ["session"] => asks("GET").map(|()| session(desk)),
        _ => Err(Problem::nowhere(format!("there is nothing at `/v1/{}`", shown(&path.join("/"))))),
    }
}

/// Who asks, and the roles they hold.
fn session(desk: &Desk) -> Answer {
    let principal = desk.caller.principal();
    let held = desk.active.grants.iter().filter(|grant| grant.principal == *principal);
    let roles: Vec<Value> = held.map(|grant| json!({"role": grant.role, "tenant": grant.tenant})).collect();
    let until = desk.by().token.as_ref().map(|token| token.expires_at);
    answer::json(&json!({
        "principal": principal, "authentication": desk.by().authentication, "roles": roles, "expires_at": until,
    }))
}

/// The beginning of a text from outside.
fn shown(text: &str) -> String {
    text.chars().take(120).flat_map(char::escape_debug).collect()
}

fn of_access(error: &AccessError) -> Problem {
    match error {
        AccessError::Denied { .. } => Problem::denied(error.to_string()),
        AccessError::Store(error) => of_store(error),
    }
}

fn of_store(error: &StoreError) -> Problem {
    match error {
        StoreError::Unknown { what, .. } => Problem::nowhere(format!("there is no {what} in this journal")),
        error if error.is_conflict() => {
            Problem::conflict("others did something meanwhile; look again, and try again")
        }
        error => Problem::unavailable(error.to_string()),
    }
}

fn of_bundle(error: &BundleError) -> Problem {
    match error {
        BundleError::Store(error) => of_store(error),
        error => Problem::unavailable(error.to_string()),
    }
}
