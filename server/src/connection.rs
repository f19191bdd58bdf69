//! One connection: requests come, answers go.

use std::{
    collections::hash_map::Entry,
    convert::Infallible,
    net::IpAddr,
    rc::Rc,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Instant,
};

use bytes::Bytes;
use hyper::{
    Request,
    body::Incoming,
    header::{HeaderName, HeaderValue},
    http::request::Parts,
    rt::Executor,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::Instrument;

use crate::{
    active::Active,
    answer::{Answer, Problem},
    authn, authzen, body,
    caller::Caller,
    context::{Local, Shared},
    control::{self, Desk, Query},
    events, forwarded, health,
    metrics::Stage,
    native, openapi,
    route::{Route, route},
    trace,
    used::{Heard, Use},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs what a connection wants to be run on its own thread.
#[derive(Debug, Clone, Copy)]
struct Here;

impl<F: Future<Output: 'static> + 'static> Executor<F> for Here {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// Counts a connection for as long as it is open.
pub(crate) struct Counted {
    shared: Arc<Shared>,
    /// The address under which it is counted, too.
    address: Option<IpAddr>,
}

impl Counted {
    /// None where there are too many, or too many of this address. Those of a trusted proxy are of many.
    pub(crate) fn new(shared: &Arc<Shared>, peer: Option<IpAddr>) -> Option<Self> {
        let limits = &shared.config.limits;
        let before = shared.connections.fetch_add(1, Ordering::Relaxed);
        let mut counted = Self { shared: shared.clone(), address: None };
        if before >= limits.connections {
            return None;
        }
        let peer = peer.filter(|_| !forwarded::is_trusted(peer, &shared.config.trusted_proxies));
        if let (Some(most), Some(peer)) = (limits.connections_by_address, peer) {
            let address = forwarded::counted(peer);
            let mut open = shared.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            let of_address = open.entry(address).or_default();
            if *of_address >= most.get() {
                return None;
            }
            *of_address += 1;
            counted.address = Some(address);
        }
        Some(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        let mut open = self.shared.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut of_address) = open.entry(address) {
            *of_address.get_mut() -= 1;
            if *of_address.get() == 0 {
                of_address.remove();
            }
        }
    }
}

/// Serves a connection to its end, or until the server ends: then what was accepted is answered.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    local: Rc<Local>,
    stream: S,
    peer: Option<IpAddr>,
    counted: Counted,
) {
    let mut stop = local.shared.stop.clone();
    let limits = local.shared.config.limits;
    let of = local.clone();
    let use_of = Rc::new(Use::default());
    let used = use_of.clone();
    let service = service_fn(move |request| {
        let (local, used) = (of.clone(), used.clone());
        async move {
            let _open = used.begin();
            Ok::<_, Infallible>(answer(&local, request, peer, &used).await)
        }
    });
    let mut builder = auto::Builder::new(Here);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_buf_size(limits.head.max(8 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(16 << 10))
        .max_concurrent_streams(256)
        .keep_alive_interval(limits.idle);
    let heard = Heard::new(stream, use_of.clone());
    let connection = builder.serve_connection(TokioIo::new(heard), service);
    let mut connection = std::pin::pin!(connection);
    // What goes wrong with a connection is between it and its client.
    loop {
        tokio::select! {
            _ = connection.as_mut() => break,
            _ = stop.wait_for(|stops| *stops) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
                break;
            }
            // Whoever says nothing, or a byte now and then, holds no place.
            () = tokio::time::sleep(limits.patience.min(limits.idle) / 4) => {
                if use_of.is_over(&limits) {
                    break;
                }
            }
        }
    }
    drop(counted);
}

async fn answer(local: &Local, request: Request<Incoming>, peer: Option<IpAddr>, used: &Rc<Use>) -> Answer {
    let begun = Instant::now();
    let id = request.headers().get(&REQUEST_ID).filter(|id| id.len() <= 200).cloned();
    let span = trace::request(request.method(), request.headers());
    let (name, answered) = dispatch(local, request, peer, used).instrument(span.clone()).await;
    let mut answer = answered.unwrap_or_else(|problem| problem.answer());
    trace::answered(&span, name, answer.status().as_u16());
    if let Some(id) = id {
        answer.headers_mut().insert(REQUEST_ID, HeaderValue::clone(&id));
    }
    let (status, took) = (answer.status().as_u16(), begun.elapsed());
    local.shared.metrics.asked(name, status, took);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::debug!(route = name, status, micros, "answered"));
    answer
}

/// Answers a request; beside the answer, what it is counted under.
async fn dispatch(
    local: &Local,
    request: Request<Incoming>,
    peer: Option<IpAddr>,
    used: &Rc<Use>,
) -> (&'static str, Result<Answer, Problem>) {
    let (head, incoming) = request.into_parts();
    let (route, tenant) = match route(&head.method, head.uri.path()) {
        Ok(found) => found,
        Err(problem) => return ("none", Err(problem)),
    };
    let (name, tenant) = (route.name(), tenant.as_ref());
    let shared = &local.shared;
    let client = forwarded::client(peer, &head.headers, &shared.config.trusted_proxies);
    if let Err(problem) = shared.limiter.address(client) {
        return (name, Err(problem));
    }
    match route {
        Route::OpenApi => return (name, Ok(openapi::document(shared))),
        Route::Alive => return (name, Ok(health::alive(shared))),
        Route::Ready => return (name, Ok(health::ready(shared))),
        Route::Metrics => return (name, Ok(health::metrics(shared))),
        Route::Discovery => return (name, Ok(authzen::discovery(shared, tenant))),
        _ => {}
    }
    // What holds now holds to the end of this request.
    let active = local.active();
    let answered = async {
        let begun = Instant::now();
        let who = authn::caller(local, active, &head.headers).await;
        shared.metrics.took(Stage::Authenticate, begun.elapsed());
        let who = who?;
        shared.limiter.principal(who.1.principal(), &who.1.name)?;
        if let Route::Decision(id) = &route {
            return native::decision(local, who, id);
        }
        if let Route::AccessTask(id) = route {
            return authzen::requested(local, who, id).await;
        }
        if let Route::Events = route {
            return events::events(local, who, &head.headers, &Query::read(head.uri.query())?, used);
        }
        if let Route::Control(path) = route {
            return control(local, who, &head, path, incoming).await;
        }
        body::is_json(&head.headers)?;
        let reading = body::read(incoming, &shared.config.limits);
        let bytes = local.timed(Stage::Read, tracing::debug_span!("read"), reading).await?;
        match route {
            Route::Evaluation => authzen::evaluation(local, who, tenant, &bytes).await,
            Route::Evaluations => authzen::evaluations(local, who, tenant, &bytes).await,
            Route::Search(what) => authzen::search(local, who, tenant, what, &bytes).await,
            Route::AccessRequest => authzen::request(local, who, tenant, &bytes).await,
            Route::Decide => native::decide(local, who, &bytes).await,
            Route::DecideBatch => native::decide_batch(local, who, &bytes).await,
            _ => Err(Problem::internal("a route without an answer")),
        }
    };
    (name, answered.await)
}

/// What the control plane answers; it may read and write, and so is done off this thread.
async fn control(
    local: &Local,
    (active, caller): (Arc<Active>, Arc<Caller>),
    head: &Parts,
    path: Vec<String>,
    incoming: Incoming,
) -> Result<Answer, Problem> {
    let query = Query::read(head.uri.query())?;
    let bytes = match head.method == hyper::Method::POST {
        true => {
            body::is_json(&head.headers)?;
            body::read(incoming, &local.shared.config.limits).await?
        }
        false => Bytes::new(),
    };
    let key = body::idempotency_key(&head.headers)?;
    let request = control::Request { method: head.method.clone(), path, query, body: bytes, key };
    let desk = Desk { shared: local.shared.clone(), active, caller };
    let answered = tokio::task::spawn_blocking(move || control::answer(&desk, &request));
    answered.await.unwrap_or_else(|_| Err(Problem::internal("a defect of cku; what was asked was not done")))
}
