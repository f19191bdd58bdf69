//! The one thread that writes: it takes what waits, writes it in one transaction, and answers when
//! that is durable.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
};

use cku_base::Timestamp;

use crate::{
    command::{AppendError, Appended},
    projection::Projector,
    sqlite::Sqlite,
    store::{Ready, StorageError, Store},
    verify,
};

/// Commands of one transaction.
const BATCH: usize = 1_024;

type Answer = Result<Appended, AppendError>;

/// A command on its way, and who waits for it.
struct Job {
    ready: Ready,
    answer: Told,
}

/// What is done with an answer, on the writer's thread.
type Told = Box<dyn FnOnce(Answer) + Send>;

/// How the writer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It writes.
    Well,
    /// The file failed; it is opened anew with the next command.
    Failed {
        /// What was wrong.
        why: String,
    },
}

/// The way to the writer's thread.
#[derive(Debug)]
pub(crate) struct Writer {
    jobs: Option<SyncSender<Job>>,
    waiting: Arc<AtomicUsize>,
    health: Arc<Mutex<Health>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

/// An answer to come.
#[derive(Debug)]
pub struct Pending {
    answer: Receiver<Answer>,
}

impl Pending {
    /// Waits until the command is durable, or refused.
    pub fn wait(self) -> Answer {
        let gone = AppendError::Closed("its writer ended; open it again".to_owned());
        self.answer.recv().unwrap_or(Err(gone))
    }
}

impl Writer {
    /// Starts the thread over an open file.
    pub(crate) fn start(
        store: Sqlite,
        path: PathBuf,
        projector: Arc<dyn Projector>,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
        queue: usize,
    ) -> std::io::Result<Self> {
        let (jobs, receiver) = sync_channel(queue.max(1));
        let waiting = Arc::new(AtomicUsize::new(0));
        let health = Arc::new(Mutex::new(Health::Well));
        let mut thread = Thread {
            identity: identity(&path),
            store: Some(store),
            path,
            projector,
            clock,
            waiting: waiting.clone(),
            health: health.clone(),
        };
        let handle =
            std::thread::Builder::new().name("journal".to_owned()).spawn(move || thread.run(&receiver))?;
        Ok(Self { jobs: Some(jobs), waiting, health, thread: Some(handle) })
    }

    /// Hands a command over; too many that wait are an error.
    pub(crate) fn submit(&self, ready: Ready) -> Result<Pending, AppendError> {
        let (answer, receiver) = sync_channel(1);
        // Whoever no longer waits for an answer does not get one.
        self.tell(ready, Box::new(move |told| drop(answer.send(told))))?;
        Ok(Pending { answer: receiver })
    }

    /// Hands a command over, with what is done with its answer.
    pub(crate) fn tell(&self, ready: Ready, answer: Told) -> Result<(), AppendError> {
        let closed = || AppendError::Closed("its writer ended; open it again".to_owned());
        let jobs = self.jobs.as_ref().ok_or_else(closed)?;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        jobs.try_send(Job { ready, answer }).map_err(|error| {
            let waiting = self.waiting.fetch_sub(1, Ordering::Relaxed) - 1;
            match error {
                TrySendError::Full(_) => AppendError::Busy { waiting },
                TrySendError::Disconnected(_) => closed(),
            }
        })
    }

    pub(crate) fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Writer {
    /// Waits until what was handed over is written.
    fn drop(&mut self) {
        self.jobs = None;
        // The last handle may be let go where an answer is told: on this thread, which ends by itself then.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// What tells a file from every other one on this machine.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

struct Thread {
    /// None after a failure, until it was opened anew.
    store: Option<Sqlite>,
    /// Which file it is.
    identity: Option<(u64, u64)>,
    path: PathBuf,
    projector: Arc<dyn Projector>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    waiting: Arc<AtomicUsize>,
    health: Arc<Mutex<Health>>,
}

impl Thread {
    fn run(&mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let mut answers = vec![first.answer];
            let mut batch = vec![first.ready];
            while batch.len() < BATCH {
                let Ok(next) = jobs.try_recv() else { break };
                batch.push(next.ready);
                answers.push(next.answer);
            }
            self.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
            let written = self.write(&batch);
            match written {
                Ok(results) => {
                    answers.into_iter().zip(results).for_each(|(answer, result)| answer(result));
                }
                Err(error) => {
                    for answer in answers {
                        answer(Err(AppendError::Storage(error.to_string())));
                    }
                }
            }
        }
    }

    fn write(&mut self, batch: &[Ready]) -> Result<Vec<Answer>, StorageError> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => self.reopen().inspect_err(|error| self.failed(error))?,
        };
        let written = store.append(batch, self.projector.as_ref(), (self.clock)());
        match written.and_then(|answers| self.still_there().map(|()| answers)) {
            Ok(answers) => {
                self.store = Some(store);
                self.set(Health::Well);
                Ok(answers)
            }
            // Whether it was written is for the file to say, not for this connection: after a failed
            // fsync a second one may lie (Rebello and others, "Can Applications Recover from fsync
            // Failures?", 2020).
            Err(error) => {
                drop(store);
                self.failed(&error);
                Err(error)
            }
        }
    }

    /// Whether the file that was written is the one that others find: one that was moved away, or put in
    /// its place, is not this journal.
    fn still_there(&self) -> Result<(), StorageError> {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            return Ok(());
        }
        let path = self.path.display();
        Err(StorageError(format!(
            "the file `{path}` was moved or replaced while it was open; put it back, with its `-wal`, and open it again"
        )))
    }

    fn reopen(&self) -> Result<Sqlite, StorageError> {
        self.still_there()?;
        let mut store = Sqlite::open(&self.path).map_err(|e| StorageError(e.to_string()))?;
        verify::tails(&mut store).map_err(|e| StorageError(e.to_string()))?;
        Ok(store)
    }

    fn failed(&self, error: &StorageError) {
        self.set(Health::Failed { why: error.to_string() });
    }

    fn set(&self, health: Health) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }
}
