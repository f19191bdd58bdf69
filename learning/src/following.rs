//! A tenant's entries, followed one after another: what each scope has seen, and what it raised.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cku_authority::{BundleError, StoreError, body};
use cku_base::{Digest, TenantPath, Timestamp};
use cku_journal::{Entry, Journal, Kind};
use cku_runs::{Decided, Event};
use serde::{Deserialize, Serialize};

use crate::{
    intake::{self, Counts, Happened, Intake, Seen},
    notes::{LearnerPaused, LearnerProposed, LearnerSettled, SUBJECT},
    scope::{Raised, ScopeFollowed, ScopeView, Told, with_source},
    thresholds::{Learnable, learnable},
};

/// Entries that are read at a time.
const PAGE: usize = 2_048;

/// Why a chain cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The journal did not give something.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry does not follow the one before: entries are missing, or were written anew.
    #[error(
        "entry {seq} of {tenant} does not follow the one that was read before it, so nothing is learned from there on; run `cku journal verify`"
    )]
    Broken {
        /// Whose chain.
        tenant: TenantPath,
        /// Where.
        seq: u64,
    },
    /// A bundle under which something was decided cannot be loaded.
    #[error("what was decided under it cannot be learned from: {0}")]
    Bundle(BundleError),
}

impl From<BundleError> for FollowError {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::Store(error) => Self::Store(error),
            error => Self::Bundle(error),
        }
    }
}

/// A tenant's entries as far as they were read. It is a function of them: written and read again at any
/// entry, it goes on the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Following {
    tenant: TenantPath,
    seq: u64,
    /// The hash of the entry that was read last.
    head: Option<Digest>,
    intake: Intake,
    scopes: BTreeMap<String, BTreeMap<String, ScopeFollowed>>,
    /// The revision that decided last in each mode.
    decides: BTreeMap<String, Digest>,
    /// What is paused, as it was said last.
    pauses: Vec<LearnerPaused>,
    #[serde(skip)]
    views: Views,
    /// The scope whose events are kept, by mode and threshold.
    #[serde(skip)]
    keeps: Option<(String, String)>,
}

/// What bundles say of thresholds, by revision and mode; a function of the journal.
#[derive(Debug, Clone, Default)]
struct Views(BTreeMap<(Digest, String), Arc<BTreeMap<String, Learnable>>>);

impl PartialEq for Views {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Views {
    /// A bundle that cannot be loaded ends the reading: what was learned without it would be something else.
    fn of(
        &mut self,
        journal: &Journal,
        revision: Digest,
        mode: &str,
    ) -> Result<Arc<BTreeMap<String, Learnable>>, FollowError> {
        let key = (revision, mode.to_owned());
        if let Some(known) = self.0.get(&key) {
            return Ok(known.clone());
        }
        let bundle = cku_authority::load_bundle(journal, revision)?;
        let known = Arc::new(learnable(&bundle, mode).0);
        self.0.insert(key, known.clone());
        Ok(known)
    }
}

impl Following {
    /// Nothing read yet.
    pub fn new(tenant: TenantPath) -> Self {
        Self {
            tenant,
            seq: 0,
            head: None,
            intake: Intake::default(),
            scopes: BTreeMap::new(),
            decides: BTreeMap::new(),
            pauses: Vec::new(),
            views: Views::default(),
            keeps: None,
        }
    }

    /// All that a scope was told up to an entry; none where there is no such scope.
    pub(crate) fn told(
        journal: &Journal,
        tenant: &TenantPath,
        (mode, threshold): (&str, &str),
        until: u64,
    ) -> Result<Option<Told>, FollowError> {
        let keeps = Some((mode.to_owned(), threshold.to_owned()));
        let mut following = Self { keeps, ..Self::new(tenant.clone()) };
        following.follow(journal, Some(until))?;
        let scope = following.scopes.remove(mode).and_then(|mut scopes| scopes.remove(threshold));
        Ok(scope.and_then(ScopeFollowed::into_told))
    }

    /// The tenant.
    pub fn tenant(&self) -> &TenantPath {
        &self.tenant
    }

    /// The last entry that was read.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// What was taken in, and what could not be.
    pub fn counts(&self) -> Counts {
        self.intake.counts
    }

    /// The scopes that the policies have which decide now, in order.
    pub fn scopes(&self) -> impl Iterator<Item = ScopeView<'_>> {
        self.scopes.iter().flat_map(|(mode, scopes)| {
            let there = scopes.iter().filter(|(_, scope)| !scope.gone);
            there.map(move |(threshold, scope)| scope.view(mode, threshold))
        })
    }

    /// What was raised and is no policy diff yet.
    pub fn to_propose(&self) -> impl Iterator<Item = &Raised> {
        let raised =
            self.scopes.values().flat_map(BTreeMap::values).filter_map(|scope| scope.raised.as_ref());
        raised.filter(|raised| raised.diff.is_none())
    }

    /// Reads on, up to an entry or to the end of the chain.
    pub fn follow(&mut self, journal: &Journal, until: Option<u64>) -> Result<(), FollowError> {
        loop {
            let entries = journal.read(&self.tenant, self.seq, PAGE).map_err(StoreError::from)?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in &entries {
                if until.is_some_and(|until| entry.header.seq > until) {
                    return Ok(());
                }
                self.take(journal, entry)?;
            }
        }
    }

    fn take(&mut self, journal: &Journal, entry: &Entry) -> Result<(), FollowError> {
        let (seq, time) = (entry.header.seq, entry.header.time);
        if seq != self.seq + 1 || self.head.is_some_and(|head| head != entry.header.prev) {
            return Err(FollowError::Broken { tenant: self.tenant.clone(), seq });
        }
        let event = entry.body.as_ref().map(|_| Event::of(entry));
        // Before anything is changed: an entry that cannot be taken in is read again.
        let known = match &event {
            Some(Ok(Some(Event::Decided(made)))) => {
                let id = entry.subject().and_then(|subject| subject.strip_prefix("run:"));
                match id.and_then(|id| self.intake.mode_of(id)) {
                    Some(mode) => {
                        Some((mode.to_owned(), self.views.of(journal, made.bundle_revision, mode)?))
                    }
                    None => None,
                }
            }
            _ => None,
        };
        (self.seq, self.head) = (seq, Some(entry.hash));
        for happened in self.intake.mature(time) {
            self.happened(&happened, time);
        }
        let Some(event) = event else {
            self.intake.counts.unreadable += 1;
            return Ok(());
        };
        if entry.subject() == Some(SUBJECT) {
            self.noted(entry);
            return Ok(());
        }
        let Some(id) = entry.subject().and_then(|subject| subject.strip_prefix("run:")) else {
            return Ok(());
        };
        let event = match event {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(()),
            Err(_) => {
                self.intake.counts.unreadable += 1;
                return Ok(());
            }
        };
        let taken = self.intake.take((id, seq, time), &event, |made| {
            known.as_ref().map(|(_, known)| seen(made, known)).unwrap_or_default()
        });
        if let (Event::Decided(made), Some((mode, known))) = (&event, &known) {
            match made.canary {
                None => self.decided_by(mode, made.bundle_revision, known),
                Some(diff) => self.tried_by(mode, diff, known),
            }
        }
        for happened in taken {
            self.happened(&happened, time);
        }
        Ok(())
    }

    /// The policies that decide in a mode are others now, or were seen for the first time.
    fn decided_by(&mut self, mode: &str, revision: Digest, known: &BTreeMap<String, Learnable>) {
        if self.decides.insert(mode.to_owned(), revision) == Some(revision) {
            return;
        }
        let scopes = self.scopes.entry(mode.to_owned()).or_default();
        for (threshold, scope) in scopes.iter_mut() {
            if !known.contains_key(threshold) {
                scope.leave();
            }
        }
        for (threshold, learnable) in known {
            match scopes.get_mut(threshold) {
                Some(scope) => scope.changed(learnable),
                None => {
                    let keeps = self.keeps.as_ref().is_some_and(|(of, name)| of == mode && name == threshold);
                    let mut scope = ScopeFollowed::new(learnable, keeps);
                    let pauses = self.pauses.iter().rev();
                    let pause = pauses.clone().find(|pause| applies(pause, mode, threshold));
                    scope.pause(pause.is_some_and(|pause| pause.paused));
                    scopes.insert(threshold.clone(), scope);
                }
            }
        }
    }

    /// The canary of a policy diff decides in a mode.
    fn tried_by(&mut self, mode: &str, diff: Digest, known: &BTreeMap<String, Learnable>) {
        let scopes = self.scopes.get_mut(mode).into_iter().flatten();
        for (threshold, scope) in scopes {
            if let Some(learnable) = known.get(threshold) {
                scope.tried(diff, learnable);
            }
        }
    }

    fn happened(&mut self, happened: &Happened, time: Timestamp) {
        let scope =
            self.scopes.get_mut(&happened.mode).and_then(|scopes| scopes.get_mut(&happened.threshold));
        let Some(scope) = scope.filter(|scope| scope.is_about(&happened.definition)) else {
            self.intake.counts.redefined += 1;
            return;
        };
        let source = scope.source(&happened.source);
        let event = with_source(happened.event, source);
        let place = (&self.tenant, happened.mode.as_str(), happened.threshold.as_str());
        scope.happened(&event, place, (self.seq, time));
    }

    /// What the learner did, or was told.
    fn noted(&mut self, entry: &Entry) {
        let read = match entry.kind() {
            Kind::LearnerProposed => body::<LearnerProposed>(entry).map(|noted| {
                let evidence = noted.evidence;
                if let Some(scope) = self.scope(&noted.mode, &noted.threshold)
                    && let Some(raised) = &mut scope.raised
                    && raised.evidence.digest().ok() == Some(evidence)
                {
                    raised.diff = Some(noted.diff);
                }
            }),
            Kind::LearnerSettled => body::<LearnerSettled>(entry).map(|noted| {
                if let Some(scope) = self.scope(&noted.mode, &noted.threshold)
                    && scope.raised.as_ref().is_some_and(|raised| raised.diff == Some(noted.diff))
                {
                    scope.settled();
                }
            }),
            Kind::LearnerPaused => body::<LearnerPaused>(entry).map(|pause| {
                for (mode, scopes) in &mut self.scopes {
                    for (threshold, scope) in scopes {
                        if applies(&pause, mode, threshold) {
                            scope.pause(pause.paused);
                        }
                    }
                }
                self.pauses.push(pause);
            }),
            _ => return,
        };
        if read.is_err() {
            self.intake.counts.unreadable += 1;
        }
    }

    fn scope(&mut self, mode: &str, threshold: &str) -> Option<&mut ScopeFollowed> {
        self.scopes.get_mut(mode)?.get_mut(threshold)
    }

    /// Those who submitted the runs of a scope, by their numbers.
    pub fn sources(&self, mode: &str, threshold: &str) -> BTreeMap<u32, &str> {
        let scope = self.scopes.get(mode).and_then(|scopes| scopes.get(threshold));
        let sources = scope.map(|scope| scope.sources.iter()).into_iter().flatten();
        sources.map(|(name, number)| (*number, name.as_str())).collect()
    }

    /// The modes in which something was decided.
    pub fn modes(&self) -> BTreeSet<&str> {
        self.decides.keys().map(String::as_str).collect()
    }
}

fn applies(pause: &LearnerPaused, mode: &str, threshold: &str) -> bool {
    pause.mode.as_deref().is_none_or(|of| of == mode)
        && pause.threshold.as_deref().is_none_or(|of| of == threshold)
}

/// What thresholds saw of the facts of a decision.
fn seen(decided: &Decided, known: &BTreeMap<String, Learnable>) -> BTreeMap<String, Seen> {
    let of = |(name, fact): (&String, &i64)| {
        let Learnable { grid, cut, definition, settings, .. } = known.get(name)?;
        let declared = settings.get();
        let band = grid.band(*fact);
        let seen = Seen {
            band,
            cut: *cut,
            route: intake::route(decided, name, cut.passes(band)),
            definition: *definition,
            trial: decided.canary.is_some(),
            maturity_seconds: declared.maturity_seconds,
            partial: declared.partial,
        };
        Some((name.clone(), seen))
    };
    decided.observed.iter().filter_map(of).collect()
}
