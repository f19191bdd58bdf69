//! Which subjects, resources or actions: each result would be permitted if it was asked for.

use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use cku_base::{Digest, TenantPath};
use cku_engine::{
    Worker,
    authzen::{Asked, Thing},
};
use serde_json::{Map, Value, json};

use super::{
    evaluate::{Asking, id},
    request::{Members, action, object, of_thing, thing},
};
use crate::{
    active::Active,
    answer::{self, Answer, Problem},
    body,
    caller::Caller,
    context::Local,
    route::Search,
};

/// What is searched, and around what.
struct Query {
    subject: Thing,
    action: Option<(String, Members)>,
    resource: Thing,
    context: Members,
    page: Page,
}

/// A part of all results.
struct Page {
    from: usize,
    limit: usize,
    asked: bool,
    /// What is searched, so that a token of another search is refused.
    about: Digest,
}

/// `POST /access/v1/search/{subject,resource,action}`
pub(crate) async fn search(
    local: &Local,
    who: (Arc<Active>, Arc<Caller>),
    tenant: Option<&TenantPath>,
    what: Search,
    bytes: &Bytes,
) -> Result<Answer, Problem> {
    let asking = Asking::new(local, who, tenant)?;
    let limits = &local.shared.config.limits;
    let query = read(what, body::object(bytes, limits)?, limits.items)?;
    let bundle = asking.bundle(local)?;
    let revision = bundle.revision();
    let names: Vec<String> = match bundle.authzen() {
        None => Vec::new(),
        Some(authzen) => match what {
            Search::Subject => authzen.ids(&query.subject.kind).map(str::to_owned).collect(),
            Search::Resource => authzen.ids(&query.resource.kind).map(str::to_owned).collect(),
            Search::Action => {
                let actions = authzen.actions(&query.subject.kind, &query.resource.kind);
                actions.into_iter().map(str::to_owned).collect()
            }
        },
    };
    let found = |worker: &mut Worker| {
        let mut results = Vec::new();
        for (at, name) in names.iter().enumerate().skip(query.page.from) {
            if results.len() == query.page.limit {
                return (results, Some(at));
            }
            if permitted(worker, &query, what, name) {
                results.push(name.clone());
            }
        }
        (results, None)
    };
    let (results, next) = local.evaluating(|| local.with(&asking.active, bundle, found));
    local.shared.metrics.searched();
    let record = record(&asking.caller.name, what, &query, &results);
    let recorded = local.record(&asking.tenant, revision, record, bytes.len()).await?;
    let found: Vec<Value> = results
        .iter()
        .map(|name| match what {
            Search::Subject => json!({"type": query.subject.kind, "id": name}),
            Search::Resource => json!({"type": query.resource.kind, "id": name}),
            Search::Action => json!({"name": name}),
        })
        .collect();
    let mut document = Map::new();
    document.insert("results".to_owned(), Value::Array(found));
    if next.is_some() || query.page.asked {
        let token = next.map_or_else(String::new, |at| token(at, &query.page.about));
        document.insert("page".to_owned(), json!({"next_token": token, "count": results.len()}));
    }
    let context = json!({"evaluation_id": id(&asking.tenant, recorded), "bundle_revision": revision});
    document.insert("context".to_owned(), context);
    Ok(answer::json(&document))
}

fn read(what: Search, mut members: Members, most: usize) -> Result<Query, Problem> {
    let page = object("page", members.remove("page"))?;
    let about = Digest::of_canonical(&members).map_err(|e| Problem::unusable(e.to_string()))?;
    let subject = thing("subject", members.remove("subject"), what != Search::Subject)?;
    let resource = thing("resource", members.remove("resource"), what != Search::Resource)?;
    let action = match what {
        Search::Action => None,
        _ => Some(action(members.remove("action"))?),
    };
    let context = object("context", members.remove("context"))?;
    Ok(Query { subject, action, resource, context, page: read_page(page, about, most)? })
}

fn read_page(mut page: Members, about: Digest, most: usize) -> Result<Page, Problem> {
    let limit = match page.remove("limit") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let limit = value.as_u64().filter(|limit| *limit > 0);
            Some(limit.ok_or_else(|| Problem::unusable("`page.limit` is not a number above 0"))?)
        }
    };
    let from = match page.remove("token") {
        None | Some(Value::Null) => 0,
        Some(Value::String(text)) if text.is_empty() => 0,
        Some(Value::String(text)) => read_token(&text, &about)
            .ok_or_else(|| Problem::unusable("`page.token` is not one that this search gave"))?,
        Some(_) => return Err(Problem::unusable("`page.token` is not a text")),
    };
    let asked = limit.is_some() || from > 0;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(most).min(most);
    Ok(Page { from, limit, asked, about })
}

fn token(at: usize, about: &Digest) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{at} {about}"))
}

fn read_token(text: &str, about: &Digest) -> Option<usize> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (at, of) = text.split_once(' ')?;
    if of == about.to_string() { at.parse().ok() } else { None }
}

fn permitted(worker: &mut Worker, query: &Query, what: Search, name: &str) -> bool {
    let named = |thing: &Thing| Thing { id: name.to_owned(), ..thing.clone() };
    let none = Map::new();
    let (action, action_properties) = match &query.action {
        Some((name, properties)) => (name.as_str(), properties),
        None => (name, &none),
    };
    let found = match what {
        Search::Subject => Some(named(&query.subject)),
        Search::Resource => Some(named(&query.resource)),
        Search::Action => None,
    };
    let (subject, resource) = match (what, &found) {
        (Search::Subject, Some(found)) => (found, &query.resource),
        (Search::Resource, Some(found)) => (&query.subject, found),
        _ => (&query.subject, &query.resource),
    };
    let context = &query.context;
    worker.evaluate(&Asked { subject, action, action_properties, resource, context }).is_allowed()
}

fn record(caller: &str, what: Search, query: &Query, results: &[String]) -> Value {
    let names: BTreeSet<&str> = results.iter().map(String::as_str).collect();
    let what = match what {
        Search::Subject => "subject",
        Search::Resource => "resource",
        Search::Action => "action",
    };
    let action =
        query.action.as_ref().map(|(name, properties)| json!({"name": name, "properties": properties}));
    json!({
        "caller": caller, "search": what, "subject": of_thing(query.subject.clone()), "action": action,
        "resource": of_thing(query.resource.clone()), "context": query.context, "results": names,
    })
}
