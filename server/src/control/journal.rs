//! The journal over HTTP: a tenant's entries, page by page.

use cku_engine::access::Resource;
use cku_journal::Entry;
use serde_json::{Value, json};

use super::{Desk, Request};
use crate::answer::{self, Answer, Problem};

/// Entries of one page.
const PAGE: usize = 200;

/// `GET /v1/journal?tenant=&after=&limit=`
pub(super) fn read(desk: &Desk, request: &Request) -> Result<Answer, Problem> {
    let tenant = desk.tenant(&request.query)?;
    if !desk.may_view("journal:view", &Resource::journal(&tenant))? {
        return Err(Problem::denied(format!("`{}` may not read the journal of {tenant}", desk.caller.name)));
    }
    let after = request.query.number("after")?.unwrap_or(0);
    let limit = request.query.number("limit")?.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE);
    let unreadable = |e: cku_journal::ReadError| Problem::unavailable(e.to_string());
    let entries = desk.shared.journal.read(&tenant, after, limit.clamp(1, PAGE)).map_err(unreadable)?;
    let head = desk.shared.journal.head(&tenant).map_err(unreadable)?;
    let next = entries.last().map(|entry| entry.header.seq);
    let next = next.filter(|next| head.as_ref().is_some_and(|head| *next < head.seq));
    let entries: Vec<Value> = entries.iter().map(Entry::document).collect();
    let head = head.map(|head| json!({"seq": head.seq, "hash": head.hash}));
    Ok(answer::json(&json!({"tenant": tenant, "entries": entries, "next": next, "head": head})))
}
