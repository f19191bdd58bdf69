//! The handle that everybody else uses.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use cku_base::{Digest, TenantPath, Timestamp};
use serde_json::Value;

use crate::{
    claim::{self, Claim, ClaimError},
    command::{AppendError, Appended, Command, DOCUMENTS, Draft, KEY, content},
    contents,
    damage::{Verified, VerifyError},
    derived::{self, Confirmed},
    entry::{Entry, Head, Prepared, Salt},
    projection::{NoProjections, Projector},
    schema::{Making, OpenError},
    sqlite::{Sqlite, pack},
    store::{ReadError, Ready, StorageError, Store},
    verify,
    writer::{Health, Pending, Writer},
};

/// How a journal is used.
#[derive(Clone)]
pub struct Options {
    /// The time.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Random bytes for a body.
    pub salt: Arc<dyn Fn() -> Result<Salt, String> + Send + Sync>,
    /// What is derived from entries.
    pub projector: Arc<dyn Projector>,
    /// Commands that may wait.
    pub queue: usize,
}

impl Default for Options {
    /// A clock that stands at 1970 until one is given, random salts, no projections, 4096 that wait.
    fn default() -> Self {
        Self {
            clock: Arc::new(|| Timestamp::EPOCH),
            salt: Arc::new(random_salt),
            projector: Arc::new(NoProjections),
            queue: 4_096,
        }
    }
}

fn random_salt() -> Result<Salt, String> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map(|()| salt).map_err(|e| format!("no random bytes: {e}"))
}

/// A journal: one file, as many readers as want, one writer. Clones are the same journal.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    options: Options,
    /// Closed before the writer, which leaves everything in one file when it is the last.
    readers: Mutex<Vec<Sqlite>>,
    /// None where it was opened to read.
    writer: Option<Writer>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

impl Journal {
    /// Makes a journal where there is no file yet.
    pub fn create(path: &Path, options: Options) -> Result<Self, OpenError> {
        Self::create_with(path, options, |_| Ok(()))
    }

    /// Makes a journal with its first entries where there is no file yet.
    ///
    /// It is there with all of them or not at all, whenever this is broken off, and of several who make
    /// it at once one does; the others are told that it [`OpenError::Exists`]. The journal that `first`
    /// is given is not to be kept.
    pub fn create_with<E: From<OpenError>>(
        path: &Path,
        options: Options,
        first: impl FnOnce(&Self) -> Result<(), E>,
    ) -> Result<Self, E> {
        let making = Making::of(path)?;
        let made = Self::over(Sqlite::create(&making)?, making.path(), options.clone())?;
        first(&made)?;
        // Whoever closes it last leaves all of it in one file.
        drop(made);
        making.publish(path)?;
        Ok(Self::open(path, options)?)
    }

    /// Opens a journal; verifies the end of each chain, and the rows that say who may do what.
    ///
    /// What this costs grows with the tenants, and with the entries about roles, keys, switches and
    /// bundles, not with the others: whole chains are for [`Journal::confirm`] and
    /// [`Journal::verify_all`].
    pub fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        let mut store = Sqlite::open(path)?;
        let verified = verify::in_one_state(&mut store, |store| {
            verify::tails(store)?;
            derived::authority(store, options.projector.as_ref())
        });
        verified.map_err(|error| match error {
            VerifyError::Damaged(damage) => OpenError::Damaged(damage.to_string()),
            VerifyError::Read(error) => OpenError::Unusable(error.to_string()),
        })?;
        Self::over(store, path, options)
    }

    /// Opens a journal to read it; nothing of it is changed, and nothing is verified.
    pub fn read_only(path: &Path, options: Options) -> Result<Self, OpenError> {
        let store = Sqlite::open_to_read(path)?;
        let readers = Mutex::new(vec![store]);
        Ok(Self { shared: Arc::new(Shared { path: path.to_owned(), options, writer: None, readers }) })
    }

    fn over(store: Sqlite, path: &Path, options: Options) -> Result<Self, OpenError> {
        let (projector, clock, queue) = (options.projector.clone(), options.clock.clone(), options.queue);
        let writer = Writer::start(store, path.to_owned(), projector, clock, queue);
        let writer = writer.map_err(|e| OpenError::Unusable(format!("no thread to write: {e}")))?;
        let readers = Mutex::new(Vec::new());
        Ok(Self {
            shared: Arc::new(Shared { path: path.to_owned(), options, writer: Some(writer), readers }),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Writes a command, and returns when it is durable.
    pub fn append(&self, command: Command) -> Result<Appended, AppendError> {
        self.submit(command)?.wait()
    }

    /// Hands a command to the writer; nothing is written until the answer says so.
    pub fn submit(&self, command: Command) -> Result<Pending, AppendError> {
        let writer = self.shared.writer.as_ref().ok_or(AppendError::ReadOnly)?;
        writer.submit(self.ready(command)?)
    }

    /// Hands a command to the writer; `told` hears on the writer's thread, which waits for it, that it is
    /// durable, or refused. Where the command was not taken, `told` hears nothing.
    pub fn submit_then(
        &self,
        command: Command,
        told: impl FnOnce(Result<Appended, AppendError>) + Send + 'static,
    ) -> Result<(), AppendError> {
        let writer = self.shared.writer.as_ref().ok_or(AppendError::ReadOnly)?;
        writer.tell(self.ready(command)?, Box::new(told))
    }

    /// All that can be done before it is the command's turn.
    ///
    /// Its documents and its key are named in bodies, so that none can be taken away unnoticed.
    fn ready(&self, command: Command) -> Result<Ready, AppendError> {
        let Command { mut drafts, key, guards, rows, blobs } = command;
        let first = drafts.first_mut();
        let first = first.ok_or_else(|| AppendError::Unfit("a command without entries".to_owned()))?;
        if let Some(key) = &key {
            first.body.insert(KEY.to_owned(), Value::from(key.as_str()));
        }
        let mut packed = Vec::with_capacity(blobs.len());
        for (tenant, bytes) in blobs {
            let digest = Digest::of(&bytes);
            name_document(&mut drafts, &tenant, &digest)?;
            packed.push((tenant, digest, pack(&bytes)?));
        }
        let key = key.map(|key| content(&drafts).map(|content| (key, content))).transpose()?;
        let mut prepared = Vec::with_capacity(drafts.len());
        for draft in drafts {
            draft.subject()?;
            let salt = (self.shared.options.salt)().map_err(AppendError::Unfit)?;
            let ready = Prepared::new(draft.tenant, draft.kind, draft.body, salt);
            prepared.push(ready.map_err(|e| AppendError::Unfit(e.to_string()))?);
        }
        Ok(Ready { drafts: prepared, key, guards, rows, blobs: packed })
    }

    /// Up to `limit` entries of a tenant after `after`, in order.
    pub fn read(&self, tenant: &TenantPath, after: u64, limit: usize) -> Result<Vec<Entry>, ReadError> {
        self.reading(|store| store.read(tenant, after, limit))
    }

    /// All entries about a subject, in order.
    pub fn stream(&self, tenant: &TenantPath, subject: &str) -> Result<Vec<Entry>, ReadError> {
        self.reading(|store| store.stream(tenant, subject))
    }

    /// The end of a tenant's chain; none where there is none.
    pub fn head(&self, tenant: &TenantPath) -> Result<Option<Head>, ReadError> {
        self.reading(|store| store.head(tenant))
    }

    /// How many entries say who may do what ([`crate::Kind::is_authority`]): whoever keeps something of
    /// them looks whether there are more.
    pub fn authority_entries(&self) -> Result<u64, ReadError> {
        self.reading(Store::authority_entries)
    }

    /// All tenants that have entries.
    pub fn tenants(&self) -> Result<Vec<TenantPath>, ReadError> {
        self.reading(Store::tenants)
    }

    /// A document of a tenant, by its digest, which is checked.
    pub fn blob(&self, tenant: &TenantPath, digest: &Digest) -> Result<Option<Vec<u8>>, ReadError> {
        self.reading(|store| store.blob(tenant, digest))
    }

    /// A derived row of a tenant.
    pub fn row(&self, tenant: &TenantPath, table: &str, key: &str) -> Result<Option<Value>, ReadError> {
        self.reading(|store| store.row(tenant, table, key))
    }

    /// All derived rows of a tenant's table, by key.
    pub fn rows(&self, tenant: &TenantPath, table: &str) -> Result<Vec<(String, Value)>, ReadError> {
        self.reading(|store| store.rows(tenant, table))
    }

    /// Recomputes a chain from an entry on, and whether its end is the recorded one.
    ///
    /// What stands before `from` is taken as it is; from 1 on nothing is.
    pub fn verify(&self, tenant: &TenantPath, from: u64) -> Result<Verified, VerifyError> {
        self.verifying(|store| verify::chain(store, tenant, from))
    }

    /// Recomputes a chain and all that is derived from it; from where it was confirmed before, if it was.
    ///
    /// The first time it reads the whole chain. Later it reads the entries since then, and all derived
    /// rows; these are kept in memory meanwhile.
    pub fn confirm(&self, tenant: &TenantPath, since: Option<Confirmed>) -> Result<Confirmed, VerifyError> {
        let projector = self.shared.options.projector.clone();
        self.verifying(|store| derived::confirm(store, projector.as_ref(), tenant, since))
    }

    /// Recomputes everything: the file, all chains, documents, keys, derived rows.
    pub fn verify_all(&self) -> Result<Vec<Verified>, VerifyError> {
        let projector = self.shared.options.projector.clone();
        self.verifying(|store| contents::everything(store, projector.as_ref()))
    }

    fn verifying<T>(
        &self,
        verify: impl FnOnce(&mut Sqlite) -> Result<T, VerifyError>,
    ) -> Result<T, VerifyError> {
        let result = self.reading(|store| Ok(verify::in_one_state(store, verify)));
        result.map_err(VerifyError::Read)?
    }

    /// Claims a piece of work; `holder` says who, to others who want it.
    pub fn claim(&self, work: &str, holder: &str) -> Result<Claim, ClaimError> {
        claim::claim(&self.shared.path, work, holder)
    }

    /// Verifies all chains of the journal in a file, and computes anew what is derived from them.
    ///
    /// A journal whose entries are damaged is left as it is.
    pub fn rebuild(path: &Path, options: &Options) -> Result<Vec<Verified>, VerifyError> {
        let store = Sqlite::open(path);
        let mut store = store.map_err(|e| ReadError(StorageError(e.to_string())))?;
        derived::rebuild(&mut store, options.projector.as_ref())
    }

    /// How the writer is.
    pub fn health(&self) -> Health {
        self.shared.writer.as_ref().map_or(Health::Well, Writer::health)
    }

    /// Reads over a connection that nobody else uses meanwhile; one that failed is not used again.
    fn reading<T>(&self, read: impl FnOnce(&mut Sqlite) -> Result<T, StorageError>) -> Result<T, ReadError> {
        let readers = || self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = readers().pop();
        let mut store = match idle {
            Some(store) => store,
            None => {
                Sqlite::open_to_read(&self.shared.path).map_err(|e| ReadError(StorageError(e.to_string())))?
            }
        };
        let result = read(&mut store)?;
        readers().push(store);
        Ok(result)
    }
}

/// Names a document in the first entry that goes to its tenant.
fn name_document(drafts: &mut [Draft], tenant: &TenantPath, digest: &Digest) -> Result<(), AppendError> {
    let unfit = |why: &str| AppendError::Unfit(why.to_owned());
    let draft = drafts.iter_mut().find(|draft| draft.tenant == *tenant);
    let draft = draft.ok_or_else(|| unfit("a document of a tenant to which no entry goes"))?;
    let named = draft.body.entry(DOCUMENTS).or_insert_with(|| Value::Array(Vec::new()));
    let named = named.as_array_mut().ok_or_else(|| unfit("its `documents` are no list"))?;
    named.push(Value::from(digest.to_string()));
    Ok(())
}
