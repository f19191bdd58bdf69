//! The track records of a journal's tenants, kept for whoever decides more than once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cku_authority::StoreError;
use cku_base::TenantPath;
use cku_engine::Bundle;
use cku_gates::Reliability;
use cku_journal::Journal;
use cku_learner::reliability::Counts;

use super::{Reckoning, SubjectKind, TrackRecord};
use crate::declared::DeclaredError;

/// Why it cannot be told how reliable anybody is. Nothing can be decided then: what policies take for granted
/// may be better than what is known.
#[derive(Debug, thiserror::Error)]
pub enum ReliabilityError {
    /// The entries could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bundle declares something that cannot be used.
    #[error("how reliability is reckoned cannot be told: {0}")]
    Declared(#[from] DeclaredError),
}

/// The track records of a journal's tenants. Each is read from the first entry once, and from there on when it is
/// [refreshed](Self::refresh): a decision takes what was read last, and waits for no reading.
///
/// Reading costs some 20 µs an entry.
#[derive(Debug, Default)]
pub struct TrackRecords {
    known: Mutex<BTreeMap<Key, Known>>,
}

/// Whose, and how it is reckoned: what bundles declare may differ from mode to mode.
type Key = (TenantPath, Reckoning);

#[derive(Debug)]
struct Known {
    /// Held while it is read on.
    read: Arc<Mutex<Read>>,
    /// None before the first reading, and where it failed.
    given: Option<Arc<Reliability>>,
}

impl TrackRecords {
    /// What gates are given of a tenant's skills and voters, as it was read last; reads all of it the first time.
    pub fn given(
        &self,
        journal: &Journal,
        bundle: &Bundle,
        tenant: &TenantPath,
    ) -> Result<Arc<Reliability>, ReliabilityError> {
        let key = (tenant.clone(), Reckoning::of(bundle)?);
        let known = self.lock().get(&key).and_then(|known| known.given.clone());
        match known {
            Some(given) => Ok(given),
            None => Ok(self.read_on(journal, &key, |read| read.given.clone())?),
        }
    }

    /// Whether [`TrackRecords::given`] takes no reading.
    pub fn are_known(&self, bundle: &Bundle, tenant: &TenantPath) -> bool {
        let Ok(reckoning) = Reckoning::of(bundle) else { return true };
        self.lock().get(&(tenant.clone(), reckoning)).is_some_and(|known| known.given.is_some())
    }

    /// The record of a tenant, read to the end of its chain.
    pub fn record(
        &self,
        journal: &Journal,
        reckoning: Reckoning,
        tenant: &TenantPath,
    ) -> Result<TrackRecord, StoreError> {
        self.read_on(journal, &(tenant.clone(), reckoning), |read| read.record.clone())
    }

    /// Reads on in all that is known: for whoever keeps a journal open. All of them are tried; the first error.
    pub fn refresh(&self, journal: &Journal) -> Result<(), StoreError> {
        let keys: Vec<Key> = self.lock().keys().cloned().collect();
        let errors = keys.iter().map(|key| self.read_on(journal, key, |_| ()));
        errors.fold(Ok(()), Result::and)
    }

    /// Reads on to the end of a chain. Where that fails, nothing is given of it any more until it is read.
    fn read_on<T>(
        &self,
        journal: &Journal,
        key: &Key,
        see: impl FnOnce(&Read) -> T,
    ) -> Result<T, StoreError> {
        let read = {
            let mut known = self.lock();
            let new = || Known { read: Arc::new(Mutex::new(Read::new(key))), given: None };
            known.entry(key.clone()).or_insert_with(new).read.clone()
        };
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        let followed = read.record.follow(journal, None);
        read.update();
        if let Some(known) = self.lock().get_mut(key) {
            known.given = followed.is_ok().then(|| read.given.clone());
        }
        followed.map(|()| see(&read))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record, and what gates are given of it.
#[derive(Debug)]
struct Read {
    record: TrackRecord,
    given: Arc<Reliability>,
    /// The counts from which it was computed, which takes some 50 µs for each.
    of: BTreeMap<(SubjectKind, String), Counts>,
}

impl Read {
    fn new((tenant, reckoning): &Key) -> Self {
        let record = TrackRecord::new(tenant.clone(), *reckoning);
        Self { record, given: Arc::default(), of: BTreeMap::new() }
    }

    /// Computes what is given of those of whom something else is known than before.
    fn update(&mut self) {
        let Self { record, given, of } = self;
        for kind in SubjectKind::ALL.into_iter().filter(|kind| kind.is_given_to_gates()) {
            for (name, counts) in record.subjects().of(kind) {
                let key = (kind, name.to_owned());
                if of.get(&key) == Some(counts) {
                    continue;
                }
                let given = Arc::make_mut(given);
                let by_name = if kind == SubjectKind::Skills { &mut given.skills } else { &mut given.voters };
                match record.reckoning().given(counts) {
                    Some(bound) => by_name.insert(name.to_owned(), bound),
                    None => by_name.remove(name),
                };
                of.insert(key, *counts);
            }
        }
    }
}
