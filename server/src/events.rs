//! Live events: a tenant's entries as they are written, as server-sent events.
//!
//! The id of an event is the entry's place in its chain, so that `Last-Event-ID` goes on without a gap and
//! without a repeat, whatever happened to the connection. A stream ends when the token does, and when who may
//! do what is another than when it began: a client that comes again is asked again who it is.

use std::{
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use cku_base::{TenantPath, Timestamp};
use cku_engine::access::Resource;
use cku_journal::Entry;
use hyper::{HeaderMap, Response, header::CONTENT_TYPE};
use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    active::Active,
    answer::{Answer, Content, Problem},
    authn,
    caller::Caller,
    context::{Local, Shared},
    control::Query,
    used::Use,
};

/// How often the journal is looked at for more.
const LOOK: Duration = Duration::from_millis(50);

/// How long a stream may be silent before it says that it is there.
const BREATH: Duration = Duration::from_secs(15);

/// Entries that are read at once, and pieces that may wait for a reader; one that is slower is dropped and
/// goes on from where it was.
const AHEAD: usize = 64;

/// Streams at a time.
const STREAMS: usize = 512;

/// `GET /v1/events?tenant=&run=`, with `Last-Event-ID`; without it, from now on.
pub(crate) fn events(
    local: &Local,
    (active, caller): (Arc<Active>, Arc<Caller>),
    headers: &HeaderMap,
    query: &Query,
    used: &Rc<Use>,
) -> Result<Answer, Problem> {
    let tenant: TenantPath = match query.get("tenant") {
        None => caller.principal().tenant.clone(),
        Some(text) => text.parse().map_err(|e| Problem::unusable(format!("`tenant`: {e}")))?,
    };
    let mode = local.shared.config.mode.as_deref();
    authn::may(local, &active, &caller, ("journal:view", &Resource::journal(&tenant)), mode)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let last =
        last.map(|id| id.parse::<u64>().map_err(|_| Problem::unusable("`Last-Event-ID` is not a place")));
    let unreadable = |e: cku_journal::ReadError| Problem::unavailable(e.to_string());
    let after = match last.transpose()? {
        Some(after) => after,
        None => local.shared.journal.head(&tenant).map_err(unreadable)?.map_or(0, |head| head.seq),
    };
    let subject = query.get("run").map(|run| format!("run:{run}"));
    let open = Open::new(&local.shared)
        .ok_or_else(|| Problem::unavailable(format!("{STREAMS} streams are open; try again")))?;
    let (pieces, hears) = mpsc::channel(AHEAD);
    let until = caller.by.token.as_ref().map(|token| token.expires_at);
    // Its connection is in use for as long as there may be news, however long there are none.
    let using = used.begin();
    let (shared, number) = (local.shared.clone(), active.number);
    tokio::task::spawn_local(async move {
        follow(shared, (tenant, subject), (number, until), after, pieces).await;
        drop((open, using));
    });
    let mut answer = Response::new(Content::Stream(hears));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("text/event-stream"));
    headers.insert(hyper::header::CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// Counts a stream for as long as it is open.
struct Open(Arc<Shared>);

impl Open {
    /// None where there are too many.
    fn new(shared: &Arc<Shared>) -> Option<Self> {
        let before = shared.streams.fetch_add(1, Ordering::Relaxed);
        let open = Self(shared.clone());
        (before < STREAMS).then_some(open)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Entries after a place, read off the thread that serves; none where the journal cannot be read.
async fn news(shared: &Arc<Shared>, tenant: &TenantPath, after: u64) -> Option<Vec<Entry>> {
    let head = shared.journal.head(tenant).ok()?;
    if head.is_none_or(|head| head.seq <= after) {
        return Some(Vec::new());
    }
    let (shared, tenant) = (shared.clone(), tenant.clone());
    let read = tokio::task::spawn_blocking(move || shared.journal.read(&tenant, after, AHEAD));
    read.await.ok()?.ok()
}

async fn follow(
    shared: Arc<Shared>,
    (tenant, subject): (TenantPath, Option<String>),
    (number, until): (u64, Option<Timestamp>),
    mut after: u64,
    pieces: mpsc::Sender<Bytes>,
) {
    let mut silent = Duration::ZERO;
    // A reader that went away, one that is too slow, and the server's end are all the end of this.
    while !*shared.stop.borrow() {
        if shared.current.take().number != number || until.is_some_and(|until| until <= (shared.clock)()) {
            return;
        }
        let Some(entries) = news(&shared, &tenant, after).await else { return };
        for entry in &entries {
            after = entry.header.seq;
            if subject.as_deref().is_some_and(|subject| entry.subject() != Some(subject)) {
                continue;
            }
            let data = json!({
                "specversion": "1.0", "id": format!("{tenant}:{after}"), "source": format!("cku:{tenant}"),
                "type": entry.header.kind.to_string(), "subject": entry.subject(), "time": entry.header.time,
                "datacontenttype": "application/json", "data": entry.document(),
            });
            let piece = format!("id: {after}\nevent: {}\ndata: {data}\n\n", entry.header.kind);
            if pieces.try_send(Bytes::from(piece)).is_err() {
                return;
            }
            silent = Duration::ZERO;
        }
        if entries.len() == AHEAD {
            // There is more; readers get a turn in between.
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        tokio::time::sleep(LOOK).await;
        silent += LOOK;
        if silent >= BREATH {
            silent = Duration::ZERO;
            if pieces.try_send(Bytes::from_static(b": still here\n\n")).is_err() {
                return;
            }
        }
        if pieces.is_closed() {
            return;
        }
    }
}
