//! What was decided, written before it is answered.
//!
//! Questions that are answered while an entry is being made durable wait for the next one, and share it:
//! one entry holds all that was decided in one tenant under one revision in that time. That is what makes
//! a durable, chained answer cheap: the cost of an entry is paid once a round, not once a question.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use cku_authority::CKU;
use cku_base::{Digest, TenantPath};
use cku_journal::{AppendError, Appended, Command, Draft, Journal, Kind};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

/// The subject of entries about questions of other systems.
pub(crate) const SUBJECT: &str = "evaluations";

/// Questions in one entry.
const ENTRY: usize = 512;

/// Questions that may wait.
const QUEUE: usize = 16_384;

/// Where an answer is recorded: the entry of the tenant, and which of its evaluations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) seq: u64,
    pub(crate) index: usize,
}

/// Why nothing was recorded, so that nothing may be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("too many questions wait to be recorded; try again")]
    Busy,
    #[error("nothing is decided, since it could not be recorded: {0}")]
    Failed(String),
}

struct Waiting {
    tenant: TenantPath,
    revision: Digest,
    evaluation: Value,
    told: oneshot::Sender<Result<Recorded, RecordError>>,
}

/// A command of its own, and who waits for it.
struct Commanded {
    command: Command,
    told: oneshot::Sender<Result<Appended, AppendError>>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    commanded: Vec<Commanded>,
    closed: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    something: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one that writes what was decided.
pub(crate) struct Recorder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl Recorder {
    /// Starts its thread.
    pub(crate) fn start(journal: Journal) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::new(Queue::default()), something: Condvar::new() });
        let with = shared.clone();
        let thread =
            std::thread::Builder::new().name("recorder".to_owned()).spawn(move || run(&with, &journal))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Hands over what was decided; durable when the receiver says so.
    pub(crate) fn record(
        &self,
        tenant: TenantPath,
        revision: Digest,
        evaluation: Value,
    ) -> Result<oneshot::Receiver<Result<Recorded, RecordError>>, RecordError> {
        let (told, hears) = oneshot::channel();
        let mut queue = self.shared.lock();
        if queue.closed || queue.waiting.len() >= QUEUE {
            return Err(RecordError::Busy);
        }
        let first = queue.waiting.is_empty();
        queue.waiting.push(Waiting { tenant, revision, evaluation, told });
        drop(queue);
        if first {
            self.shared.something.notify_one();
        }
        Ok(hears)
    }

    /// Hands over a command that is written as it is; durable when the receiver says so.
    pub(crate) fn command(
        &self,
        command: Command,
    ) -> Result<oneshot::Receiver<Result<Appended, AppendError>>, RecordError> {
        let (told, hears) = oneshot::channel();
        let mut queue = self.shared.lock();
        if queue.closed || queue.commanded.len() >= QUEUE {
            return Err(RecordError::Busy);
        }
        queue.commanded.push(Commanded { command, told });
        drop(queue);
        self.shared.something.notify_one();
        Ok(hears)
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        let queue = self.shared.lock();
        queue.waiting.len() + queue.commanded.len()
    }
}

impl Drop for Recorder {
    /// Waits until what was handed over is written.
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.something.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, journal: &Journal) {
    loop {
        let mut queue = shared.lock();
        while queue.waiting.is_empty() && queue.commanded.is_empty() {
            if queue.closed {
                return;
            }
            queue = shared.something.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let waiting = std::mem::take(&mut queue.waiting);
        let commanded = std::mem::take(&mut queue.commanded);
        drop(queue);
        write(journal, waiting, commanded);
    }
}

/// Writes all of them in as few entries as there are tenants and revisions; who waits is told on the
/// journal's thread. Returns when all are written, since what comes meanwhile shares the next entry.
fn write(journal: &Journal, waiting: Vec<Waiting>, commanded: Vec<Commanded>) {
    // Each holds a sender until it was told; that none is left says that all were.
    let (all, written) = std::sync::mpsc::channel::<()>();
    for one in commanded {
        let (done, told) = (all.clone(), one.told);
        let told = Arc::new(Mutex::new(Some(told)));
        let of = told.clone();
        let taken = journal.submit_then(one.command, move |answer| {
            tell(&of, answer);
            drop(done);
        });
        if let Err(error) = taken {
            tell(&told, Err(error));
        }
    }
    let mut groups: BTreeMap<(TenantPath, Digest), Vec<Waiting>> = BTreeMap::new();
    for one in waiting {
        groups.entry((one.tenant.clone(), one.revision)).or_default().push(one);
    }
    for ((tenant, revision), group) in groups {
        let mut group = group.into_iter().peekable();
        while group.peek().is_some() {
            let (mut evaluations, mut told) = (Vec::new(), Vec::new());
            for one in group.by_ref().take(ENTRY) {
                evaluations.push(one.evaluation);
                told.push(one.told);
            }
            let done = all.clone();
            let told = Arc::new(Mutex::new(Some(told)));
            let of = told.clone();
            let taken = journal.submit_then(command(&tenant, &revision, evaluations), move |answer| {
                tell_all(&of, &answer);
                drop(done);
            });
            if let Err(error) = taken {
                tell_all(&told, &Err(error));
            }
        }
    }
    drop(all);
    // Nothing is ever sent: this ends when all senders are gone.
    let _ = written.recv();
}

/// Who waits for one answer, until somebody tells it.
type One = Arc<Mutex<Option<oneshot::Sender<Result<Appended, AppendError>>>>>;
/// Who wait for the same entry.
type All = Arc<Mutex<Option<Vec<oneshot::Sender<Result<Recorded, RecordError>>>>>>;

fn tell(told: &One, answer: Result<Appended, AppendError>) {
    // Who went away meanwhile is told nothing.
    if let Some(told) = told.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = told.send(answer);
    }
}

fn tell_all(told: &All, answer: &Result<Appended, AppendError>) {
    let seq = match answer {
        Ok(appended) => Ok(appended.entries.first().map_or(0, |entry| entry.header.seq)),
        Err(AppendError::Busy { .. }) => Err(RecordError::Busy),
        Err(error) => Err(RecordError::Failed(error.to_string())),
    };
    let told = told.lock().unwrap_or_else(PoisonError::into_inner).take();
    for (index, told) in told.into_iter().flatten().enumerate() {
        let _ = told.send(seq.clone().map(|seq| Recorded { seq, index }));
    }
}

fn command(tenant: &TenantPath, revision: &Digest, evaluations: Vec<Value>) -> Command {
    let mut body = Map::new();
    body.insert("actor".to_owned(), Value::from(CKU));
    body.insert("subject".to_owned(), Value::from(SUBJECT));
    body.insert("bundle_revision".to_owned(), Value::from(revision.to_string()));
    body.insert("evaluations".to_owned(), Value::Array(evaluations));
    let draft = Draft { tenant: tenant.clone(), kind: Kind::EvaluationsMade, body };
    Command { drafts: vec![draft], ..Command::default() }
}
