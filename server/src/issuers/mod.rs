//! Keys that issuers publish: they are looked at from time to time, and when somebody comes with a token of a
//! key that nobody knows.
//!
//! One thread looks, off those that serve, at all issuers at once. However many ask, it looks no more often
//! than [`Issuers::at_least`] apart; whoever comes with an unknown key waits for a look that begins after they
//! came. What was found is in the journal before they hear of it; what fails leaves the keys that were known.

mod fetch;
mod learn;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cku_auth::{Issuer, Trust};
use cku_base::Timestamp;
use cku_journal::Journal;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::context::Shared;
pub use learn::Found;

/// How the keys of issuers are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Issuers {
    /// How often without a reason.
    pub every: Duration,
    /// How far two looks are apart, whoever asks.
    pub at_least: Duration,
    /// How long others are waited for who ask at the same time.
    pub gather: Duration,
    /// How long an issuer may take to answer.
    pub patience: Duration,
    /// How long somebody waits with a token of an unknown key.
    pub wait: Duration,
}

impl Default for Issuers {
    /// Every 5 minutes, at least 5 seconds apart; 30 milliseconds, 5 and 15 seconds.
    fn default() -> Self {
        Self {
            every: Duration::from_secs(300),
            at_least: Duration::from_secs(5),
            gather: Duration::from_millis(30),
            patience: Duration::from_secs(5),
            wait: Duration::from_secs(15),
        }
    }
}

/// How often the thread looks whether there is something to do.
const TICK: Duration = Duration::from_millis(50);

/// After a look that failed, it is tried again this soon.
const AGAIN: Duration = Duration::from_secs(30);

/// Names of keys that are remembered as unknown; who comes with one again is refused at once.
const UNKNOWN: usize = 4_096;

/// Requests that wait for a look at a time.
const WAITING: usize = 1_024;

/// What those who ask and the thread that looks share.
pub(crate) struct Looks {
    settings: Issuers,
    state: Mutex<State>,
    bell: Condvar,
    /// The number of the last look that ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// Looks that began.
    begun: u64,
    /// Since when somebody waits for the next one.
    wanted: Option<Instant>,
    waiting: usize,
    /// Names of keys that were unknown after a look, until when that is believed.
    unknown: HashMap<String, Instant>,
    /// What the last look at each issuer came to.
    told: BTreeMap<String, Told>,
}

struct Told {
    at: Timestamp,
    trouble: Option<String>,
    skipped: Vec<String>,
}

/// Lets go of a place among those who wait.
struct Waits<'l>(&'l Looks);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.waiting = state.waiting.saturating_sub(1);
    }
}

impl Looks {
    pub(crate) fn new(settings: Issuers) -> Self {
        Self { settings, state: Mutex::default(), bell: Condvar::new(), ended: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a look that begins now or later, since nobody knows the key of this name; whether there was
    /// one.
    pub(crate) async fn wait_for(&self, kid: &str) -> bool {
        let (number, _place) = {
            let mut state = self.lock();
            let now = Instant::now();
            let is_unknown = state.unknown.get(kid).is_some_and(|until| now < *until);
            if is_unknown || state.waiting >= WAITING {
                return false;
            }
            state.waiting += 1;
            state.wanted.get_or_insert(now);
            (state.begun + 1, Waits(self))
        };
        self.bell.notify_all();
        let mut ended = self.ended.subscribe();
        let looked = tokio::time::timeout(self.settings.wait, ended.wait_for(|ended| *ended >= number));
        matches!(looked.await, Ok(Ok(_)))
    }

    /// Remembers that a look did not find this key.
    pub(crate) fn is_unknown(&self, kid: &str) {
        let mut state = self.lock();
        let now = Instant::now();
        if state.unknown.len() >= UNKNOWN {
            state.unknown.retain(|_, until| now < *until);
        }
        if state.unknown.len() < UNKNOWN {
            state.unknown.insert(kid.to_owned(), now + 6 * self.settings.at_least);
        }
    }

    /// What the last look at each issuer came to, for health.
    pub(crate) fn told(&self) -> Value {
        let state = self.lock();
        let told = state.told.iter().map(|(issuer, told)| {
            json!({"issuer": issuer, "looked_at": told.at, "trouble": told.trouble, "passed_over": told.skipped})
        });
        told.collect()
    }

    /// Waits for something to do: whether to look now.
    fn is_due(&self, last: Option<Instant>, next: Instant) -> bool {
        let state = self.lock();
        let now = Instant::now();
        let may = last.is_none_or(|last| now >= last + self.settings.at_least);
        let asked = state.wanted.is_some_and(|since| now >= since + self.settings.gather);
        if (asked && may) || now >= next {
            return true;
        }
        let soon = if state.wanted.is_some() { self.settings.gather.min(TICK) } else { TICK };
        let soon = soon.max(Duration::from_millis(1));
        drop(self.bell.wait_timeout(state, soon).unwrap_or_else(PoisonError::into_inner));
        false
    }
}

/// The issuers whose keys are to be looked at.
fn live(trust: Option<&Trust>) -> Vec<Issuer> {
    let issuers = trust.map(Trust::issuers).unwrap_or_default();
    issuers.iter().filter(|issuer| issuer.revoked_at.is_none()).cloned().collect()
}

/// Looks at the keys of issuers until the server ends.
pub(crate) fn follow(shared: &Shared) {
    let looks = &shared.looks;
    let (mut last, mut next, mut seen) = (None, Instant::now(), Vec::new());
    while !*shared.stop.borrow() {
        let issuers = live(shared.current.take().trust.as_ref());
        // One that is trusted since a moment is looked at in this one.
        let places: Vec<u64> = issuers.iter().map(|issuer| issuer.seq).collect();
        if places != seen {
            (next, seen) = (Instant::now(), places);
        }
        if !looks.is_due(last, next) {
            continue;
        }
        let number = {
            let mut state = looks.lock();
            state.begun += 1;
            state.wanted = None;
            state.begun
        };
        let found = look_at(&shared.journal, &issuers, looks.settings.patience, shared.clock);
        shared.current.refresh(false);
        let failed = found.iter().any(|(_, found)| found.is_err());
        tell(looks, found, (shared.clock)());
        let ended = Instant::now();
        last = Some(ended);
        next = ended + if failed { looks.settings.every.min(AGAIN) } else { looks.settings.every };
        looks.ended.send_replace(number);
    }
}

/// Keeps what was found for health, and says what is new of it.
fn tell(looks: &Looks, found: Vec<(String, Result<Found, String>)>, now: Timestamp) {
    let mut told = BTreeMap::new();
    for (issuer, found) in found {
        let (trouble, skipped) = match found {
            Ok(found) => (None, found.skipped),
            Err(why) => (Some(why), Vec::new()),
        };
        told.insert(issuer, Told { at: now, trouble, skipped });
    }
    let before = std::mem::replace(&mut looks.lock().told, told);
    let state = looks.lock();
    for (issuer, Told { trouble, skipped, .. }) in &state.told {
        let old = before.get(issuer);
        if let Some(why) = trouble
            && old.is_none_or(|old| old.trouble.as_ref() != Some(why))
        {
            tracing::warn!("the keys of `{issuer}` stay as they were: {why}");
        }
        for line in skipped.iter().filter(|line| old.is_none_or(|old| !old.skipped.contains(line))) {
            tracing::warn!("a key of `{issuer}` is passed over: {line}");
        }
    }
}

/// Looks at the keys of these issuers, all at once, and writes down what changed.
fn look_at(
    journal: &Journal,
    issuers: &[Issuer],
    patience: Duration,
    clock: fn() -> Timestamp,
) -> Vec<(String, Result<Found, String>)> {
    std::thread::scope(|scope| {
        let looking: Vec<_> = issuers
            .iter()
            .map(|issuer| {
                let name = issuer.issuer.issuer.clone();
                let look = scope.spawn(move || {
                    let set = fetch::fetch(&issuer.issuer, patience)?;
                    learn::learn(journal, issuer, &set, clock())
                });
                (name, look)
            })
            .collect();
        let looking = looking.into_iter();
        looking
            .map(|(name, look)| {
                (name, look.join().unwrap_or_else(|_| Err("a defect of cku; nothing was learned".to_owned())))
            })
            .collect()
    })
}

/// Looks at the keys of all issuers that a journal trusts, once: for whoever keeps no server.
pub fn look_at_keys(
    journal: &Journal,
    trust: &Trust,
    clock: fn() -> Timestamp,
) -> Vec<(String, Result<Found, String>)> {
    look_at(journal, &live(Some(trust)), Issuers::default().patience, clock)
}
