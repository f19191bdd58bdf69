//! What the threads share, and what each has for itself.

use std::{
    cell::RefCell,
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, atomic::AtomicUsize},
    time::Instant,
};

use cku_authority::Chains;
use cku_base::{Digest, TenantPath, Timestamp};
use cku_engine::{Bundle, Worker};
use cku_journal::{AppendError, Appended, Command, Journal};
use cku_learning::TrackRecords;
use cku_runs::ExplorationKey;
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::{
    active::{Active, Current},
    answer::Problem,
    caller::Tokens,
    config::Config,
    issuers::Looks,
    limit::Limiter,
    metrics::{Metrics, Stage},
    record::{RecordError, Recorded, Recorder},
};

/// What the threads share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    /// The address for discovery.
    pub(crate) public_url: String,
    pub(crate) journal: Journal,
    pub(crate) current: Current,
    pub(crate) recorder: Recorder,
    pub(crate) chains: Chains,
    /// How reliable skills and voters are.
    pub(crate) records: TrackRecords,
    pub(crate) exploration: ExplorationKey,
    pub(crate) limiter: Limiter,
    pub(crate) looks: Looks,
    pub(crate) metrics: Metrics,
    pub(crate) clock: fn() -> Timestamp,
    pub(crate) started: Instant,
    pub(crate) connections: AtomicUsize,
    /// Open connections of each address, where there is a limit.
    pub(crate) by_address: Mutex<HashMap<IpAddr, u32>>,
    /// Open streams of events.
    pub(crate) streams: AtomicUsize,
    /// Turns true when the server is asked to end.
    pub(crate) stop: tokio::sync::watch::Receiver<bool>,
}

/// What one thread has: its own evaluators, and tokens that it verified.
pub(crate) struct Local {
    pub(crate) shared: Arc<Shared>,
    workers: RefCell<Workers>,
    pub(crate) tokens: RefCell<Tokens>,
}

#[derive(Default)]
struct Workers {
    /// The state for which they were made.
    number: u64,
    of: HashMap<Digest, Worker>,
}

impl Local {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, workers: RefCell::default(), tokens: RefCell::default() }
    }

    /// What holds for this request.
    pub(crate) fn active(&self) -> Arc<Active> {
        self.shared.current.take()
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }

    /// Evaluates with this thread's worker over a bundle.
    pub(crate) fn with<T>(
        &self,
        active: &Active,
        bundle: &Arc<Bundle>,
        evaluate: impl FnOnce(&mut Worker) -> T,
    ) -> T {
        let mut workers = self.workers.borrow_mut();
        if workers.number != active.number {
            // What is no longer active is let go; a request that began before may make its worker anew.
            workers.of.retain(|revision, _| active.bundles.contains_key(revision));
            workers.number = active.number;
        }
        let worker = workers.of.entry(bundle.revision()).or_insert_with(|| Worker::new(bundle.clone()));
        evaluate(worker)
    }

    /// Counts how long policies take to decide.
    pub(crate) fn evaluating<T>(&self, evaluate: impl FnOnce() -> T) -> T {
        let _span = tracing::debug_span!("evaluate").entered();
        let begun = Instant::now();
        let evaluated = evaluate();
        self.shared.metrics.took(Stage::Evaluate, begun.elapsed());
        evaluated
    }

    /// Counts how long something takes that others go on meanwhile.
    pub(crate) async fn timed<T>(
        &self,
        stage: Stage,
        span: tracing::Span,
        work: impl Future<Output = T>,
    ) -> T {
        let begun = Instant::now();
        let done = work.instrument(span).await;
        self.shared.metrics.took(stage, begun.elapsed());
        done
    }

    /// Returns when the chains of a tenant were looked at once: the first look is a pass over all of their
    /// entries, which nobody else on this thread waits for.
    pub(crate) async fn verified(&self, tenant: &TenantPath) -> Result<(), Problem> {
        if self.shared.chains.are_known(tenant) {
            return Ok(());
        }
        let (shared, tenant, now) = (self.shared.clone(), tenant.clone(), self.now());
        let looked =
            tokio::task::spawn_blocking(move || shared.chains.of(&shared.journal, &tenant, now)).await;
        match looked {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Problem::unavailable(error.to_string())),
            Err(_) => Err(Problem::internal("a defect of cku; nothing was decided")),
        }
    }

    /// Hands a command to the journal; [`Local::written`] waits for it.
    pub(crate) fn hand(&self, command: Command) -> Result<Written, Problem> {
        self.shared.recorder.command(command).map_err(|error| Problem::unavailable(error.to_string()))
    }

    /// Waits until a command is durable; the place of its first entry.
    pub(crate) async fn written(&self, hears: Written) -> Result<u64, Problem> {
        match self.timed(Stage::Record, tracing::debug_span!("record"), hears).await {
            Ok(Ok(appended)) => Ok(appended.entries.first().map_or(0, |entry| entry.header.seq)),
            Ok(Err(error)) => Err(Problem::unavailable(error.to_string())),
            Err(_) => Err(Problem::unavailable("the server ends; nothing was decided")),
        }
    }

    /// Records what was decided, over so many bytes; the answer may leave when this returns.
    pub(crate) async fn record(
        &self,
        tenant: &TenantPath,
        revision: Digest,
        evaluation: serde_json::Value,
        size: usize,
    ) -> Result<Recorded, Problem> {
        let unavailable = |error: RecordError| Problem::unavailable(error.to_string());
        let hears =
            self.shared.recorder.record(tenant.clone(), revision, evaluation, size).map_err(unavailable)?;
        match self.timed(Stage::Record, tracing::debug_span!("record"), hears).await {
            Ok(recorded) => recorded.map_err(unavailable),
            Err(_) => Err(Problem::unavailable("the server ends; nothing was decided")),
        }
    }
}

/// What is heard of a command once it is durable, or refused.
pub(crate) type Written = oneshot::Receiver<Result<Appended, AppendError>>;
