//! Whether it lives, whether it is ready, what it counted.

use std::sync::atomic::Ordering;

use hyper::StatusCode;
use serde_json::json;

use crate::{
    answer::{self, Answer},
    context::Shared,
};

/// `GET /healthz`: it lives; what is wrong is said, and is no reason to be started anew.
pub(crate) fn alive(shared: &Shared) -> Answer {
    let journal = match shared.journal.health() {
        cku_journal::Health::Well => "writes".to_owned(),
        cku_journal::Health::Failed { why } => format!("failed: {why}"),
    };
    let policies = shared.current.trouble().unwrap_or_else(|| "as they should be".to_owned());
    answer::json(&json!({
        "status": "alive", "uptime_seconds": shared.started.elapsed().as_secs(),
        "version": env!("CARGO_PKG_VERSION"), "journal": journal, "policies": policies,
        "issuers": shared.looks.told(),
    }))
}

/// `GET /readyz`: whether it can decide right now; 503 if not.
pub(crate) fn ready(shared: &Shared) -> Answer {
    let active = shared.current.take();
    let revision = active.bundle(None).map(|bundle| bundle.revision());
    let writes = matches!(shared.journal.health(), cku_journal::Health::Well);
    let ends = *shared.stop.borrow();
    let ready = revision.is_some() && writes && !ends;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer::json_with(
        status,
        &json!({
            "ready": ready, "bundle_revision": revision, "activation": active.rollout.latest,
            "journal_writes": writes, "ends": ends, "last_good": shared.current.trouble().is_some(),
        }),
    )
}

/// `GET /metrics`, as Prometheus reads it.
pub(crate) fn metrics(shared: &Shared) -> Answer {
    let metrics = &shared.metrics;
    let as_gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    metrics.waiting.set(count(shared.recorder.waiting()));
    metrics.connections.set(count(shared.connections.load(Ordering::Relaxed)));
    metrics.reloads.set(as_gauge(shared.current.reloads.load(Ordering::Relaxed)));
    metrics.failed_reloads.set(as_gauge(shared.current.failures.load(Ordering::Relaxed)));
    answer::text(metrics.text())
}
