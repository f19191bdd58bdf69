//! What was decided, written before it is answered.
//!
//! Questions that are answered while an entry is being made durable wait for the next one, and share it:
//! one entry holds all that was decided in one tenant under one revision in that time. That is what makes
//! a durable, chained answer cheap: the cost of an entry is paid once a round, not once a question.
//!
//! There is no thread of its own: who finds nothing being written hands over its question at once, and the
//! journal's thread hands over what came meanwhile when it has written. A lone question waits for nobody.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use cku_authority::CKU;
use cku_base::{Digest, TenantPath};
use cku_journal::{AppendError, Appended, Command, Draft, Journal, Kind};
use prometheus_client::metrics::histogram::Histogram;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

/// The subject of entries about questions of other systems.
pub(crate) const SUBJECT: &str = "evaluations";

/// Questions in one entry.
const ENTRY: usize = 512;

/// Bytes of questions in one entry, after which the next begins.
const LARGEST: usize = 4 << 20;

/// Bytes that may wait.
const BYTES: usize = 64 << 20;

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
    /// About how many bytes it takes.
    size: usize,
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
    /// About how many bytes wait.
    bytes: usize,
    /// Whether something is being written; whoever has written it takes what came meanwhile.
    writing: bool,
}

impl Queue {
    /// Everything that waits, for whoever finds that nothing is being written.
    fn take(&mut self) -> Option<(Vec<Waiting>, Vec<Commanded>)> {
        if self.writing || (self.waiting.is_empty() && self.commanded.is_empty()) {
            return None;
        }
        self.writing = true;
        self.bytes = 0;
        Some((std::mem::take(&mut self.waiting), std::mem::take(&mut self.commanded)))
    }
}

struct Shared {
    journal: Journal,
    /// How long writing takes, in seconds.
    commits: Histogram,
    queue: Mutex<Queue>,
    idle: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one that writes what was decided.
pub(crate) struct Recorder {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl Recorder {
    /// One that writes to this journal, and counts how long that takes.
    pub(crate) fn new(journal: Journal, commits: Histogram) -> Self {
        let shared = Shared { journal, commits, queue: Mutex::default(), idle: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Hands over what was decided; durable when the receiver says so.
    pub(crate) fn record(
        &self,
        tenant: TenantPath,
        revision: Digest,
        evaluation: Value,
        size: usize,
    ) -> Result<oneshot::Receiver<Result<Recorded, RecordError>>, RecordError> {
        let (told, hears) = oneshot::channel();
        let mut queue = self.shared.lock();
        if queue.waiting.len() >= QUEUE || queue.bytes + size > BYTES {
            return Err(RecordError::Busy);
        }
        queue.bytes += size;
        queue.waiting.push(Waiting { tenant, revision, evaluation, size, told });
        self.go(queue);
        Ok(hears)
    }

    /// Hands over a command that is written as it is; durable when the receiver says so.
    pub(crate) fn command(
        &self,
        command: Command,
    ) -> Result<oneshot::Receiver<Result<Appended, AppendError>>, RecordError> {
        let (told, hears) = oneshot::channel();
        let size: usize = command.blobs.iter().map(|(_, bytes)| bytes.len()).sum();
        let mut queue = self.shared.lock();
        if queue.commanded.len() >= QUEUE || queue.bytes + size > BYTES {
            return Err(RecordError::Busy);
        }
        queue.bytes += size;
        queue.commanded.push(Commanded { command, told });
        self.go(queue);
        Ok(hears)
    }

    fn go(&self, mut queue: MutexGuard<'_, Queue>) {
        if let Some((waiting, commanded)) = queue.take() {
            drop(queue);
            write(&self.shared, waiting, commanded);
        }
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
        let mut queue = self.shared.lock();
        while queue.writing {
            queue = self.shared.idle.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Held by everything that is written together; when the last is let go, the next is written.
struct Round(Arc<Shared>, Instant);

impl Drop for Round {
    fn drop(&mut self) {
        self.0.commits.observe(self.1.elapsed().as_secs_f64());
        let mut queue = self.0.lock();
        queue.writing = false;
        match queue.take() {
            Some((waiting, commanded)) => {
                drop(queue);
                write(&self.0, waiting, commanded);
            }
            None => self.0.idle.notify_all(),
        }
    }
}

/// Writes all of them in as few entries as there are tenants and revisions; who waits is told on the
/// journal's thread.
fn write(shared: &Arc<Shared>, waiting: Vec<Waiting>, commanded: Vec<Commanded>) {
    let round = Arc::new(Round(shared.clone(), Instant::now()));
    let journal = &shared.journal;
    for Commanded { command, told } in commanded {
        let round = round.clone();
        let told = Telling::One(Some(told));
        submit(journal, command, told, round);
    }
    let mut groups: BTreeMap<(TenantPath, Digest), Vec<Waiting>> = BTreeMap::new();
    for one in waiting {
        groups.entry((one.tenant.clone(), one.revision)).or_default().push(one);
    }
    for ((tenant, revision), group) in groups {
        let mut group = group.into_iter().peekable();
        while group.peek().is_some() {
            let (mut evaluations, mut told) = (Vec::new(), Vec::new());
            let mut bytes = 0;
            while let Some(one) = group.next_if(|_| told.len() < ENTRY && bytes < LARGEST) {
                bytes += one.size;
                evaluations.push(one.evaluation);
                told.push(one.told);
            }
            let command = command(&tenant, &revision, evaluations);
            submit(journal, command, Telling::All(told), round.clone());
        }
    }
}

fn submit(journal: &Journal, command: Command, told: Telling, round: Arc<Round>) {
    let told = Arc::new(Mutex::new(told));
    let of = told.clone();
    let taken = journal.submit_then(command, move |answer| {
        lock(&of).tell(answer);
        drop(round);
    });
    if let Err(error) = taken {
        lock(&told).tell(Err(error));
    }
}

fn lock(told: &Mutex<Telling>) -> MutexGuard<'_, Telling> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who waits for an answer of the journal.
enum Telling {
    One(Option<oneshot::Sender<Result<Appended, AppendError>>>),
    All(Vec<oneshot::Sender<Result<Recorded, RecordError>>>),
}

impl Telling {
    /// Tells them; who went away meanwhile is told nothing.
    fn tell(&mut self, answer: Result<Appended, AppendError>) {
        match self {
            Self::One(told) => {
                if let Some(told) = told.take() {
                    let _ = told.send(answer);
                }
            }
            Self::All(all) => {
                let seq = match answer {
                    Ok(appended) => Ok(appended.entries.first().map_or(0, |entry| entry.header.seq)),
                    Err(AppendError::Busy { .. }) => Err(RecordError::Busy),
                    Err(error) => Err(RecordError::Failed(error.to_string())),
                };
                for (index, told) in all.drain(..).enumerate() {
                    let _ = told.send(seq.clone().map(|seq| Recorded { seq, index }));
                }
            }
        }
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
