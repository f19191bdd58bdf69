//! A tenant's entries, followed one after another: what each scope has seen, and what it raised.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cku_authority::{BundleError, StoreError, body};
use cku_base::{Digest, TenantPath, Timestamp};
use cku_journal::{Entry, Journal, Kind};
use cku_learner::{
    Cut, Direction, Event as ScopeEvent, Matured, Notice, ScopeState, Settings, Source, Tables,
};
use cku_runs::{Decided, Event};
use serde::{Deserialize, Serialize};

use crate::{
    evidence::Evidence,
    intake::{self, Counts, Happened, Intake, Seen},
    notes::{LearnerPaused, LearnerProposed, LearnerSettled, SUBJECT},
    thresholds::{Learnable, learnable},
};

/// Of the share that fails, a tightening leaves less than this of it, or it is not proposed.
const HELPS: f64 = 0.8;

/// Entries that are read at a time.
const PAGE: usize = 2_048;

/// Why a chain cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The journal did not give something.
    #[error(transparent)]
    Store(#[from] StoreError),
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

/// What a scope raised, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Raised {
    /// The mode.
    pub mode: String,
    /// The threshold, as `gate.name`.
    pub threshold: String,
    /// The entry after which it was raised.
    pub seq: u64,
    /// What speaks for it.
    pub evidence: Evidence,
    /// The policy diff that was made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<Digest>,
}

impl Raised {
    /// Whether a diff of it would help: a tightening after which just as much of what passes fails is none,
    /// since the threshold does not tell good runs from bad ones. It is told, and not raised.
    fn helps(&self) -> bool {
        let evidence = &self.evidence;
        let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
        let (before, after) = (number(&evidence.predicted.before), number(&evidence.predicted.after));
        evidence.expiry || evidence.direction == Direction::Loosen || after < HELPS * before
    }
}

/// What one threshold in one mode has seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ScopeFollowed {
    state: ScopeState,
    definition: Digest,
    settings: Settings,
    grid: cku_learner::Grid,
    /// The numbers of those who submitted runs.
    sources: BTreeMap<String, u32>,
    paused: bool,
    raised: Option<Raised>,
    /// The entry after which it had an alarm and nothing to propose that would help.
    unhelpful: Option<u64>,
    #[serde(skip)]
    tables: Option<Arc<Tables>>,
    /// Where it began and what it was told since, if somebody wants to know.
    #[serde(skip)]
    told: Option<(Cut, Vec<ScopeEvent>)>,
}

/// All that a scope was told.
pub(crate) struct Told {
    /// Under what.
    pub(crate) tables: Arc<Tables>,
    /// The threshold that it began with.
    pub(crate) start: Cut,
    pub(crate) events: Vec<ScopeEvent>,
}

/// A scope, to look at.
#[derive(Debug, Clone)]
pub struct ScopeView<'f> {
    /// The mode.
    pub mode: &'f str,
    /// The threshold, as `gate.name`.
    pub threshold: &'f str,
    /// The values that the threshold may have.
    pub grid: &'f cku_learner::Grid,
    /// What the bundle declares.
    pub settings: &'f Settings,
    /// What was seen.
    pub state: &'f ScopeState,
    /// What was raised and is open.
    pub raised: Option<&'f Raised>,
    /// The entry after which what passed failed too often, and no value of this threshold would have helped:
    /// it does not tell good runs from bad ones.
    pub unhelpful: Option<u64>,
    /// Whether it was told to propose nothing.
    pub paused: bool,
    /// The tighten detector's value now, and its level.
    pub tighten: (f64, f64),
}

/// A tenant's entries as far as they were read. It is a function of them: written and read again at any
/// entry, it goes on the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Following {
    tenant: TenantPath,
    seq: u64,
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
        Ok(scope.and_then(|scope| {
            let tables = scope.tables();
            scope.told.map(|(start, events)| Told { tables, start, events })
        }))
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

    /// The scopes, in order.
    pub fn scopes(&self) -> impl Iterator<Item = ScopeView<'_>> {
        self.scopes.iter().flat_map(|(mode, scopes)| {
            scopes.iter().map(move |(threshold, scope)| {
                let tables = scope.tables();
                let tighten = scope.state.tighten().least(tables.factors()).0;
                ScopeView {
                    mode,
                    threshold,
                    grid: &scope.grid,
                    settings: &scope.settings,
                    state: &scope.state,
                    raised: scope.raised.as_ref(),
                    unhelpful: scope.unhelpful,
                    paused: scope.paused,
                    tighten: (tighten, scope.settings.tighten_level()),
                }
            })
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
        self.seq = seq;
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
        if let (Event::Decided(made), Some((mode, known))) = (&event, &known)
            && made.canary.is_none()
        {
            self.decided_by(mode, made.bundle_revision, known);
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
        scopes.retain(|threshold, _| known.contains_key(threshold));
        for (threshold, learnable) in known {
            match scopes.get_mut(threshold) {
                Some(scope) => scope.changed(learnable),
                None => {
                    let mut scope = ScopeFollowed::new(learnable);
                    let keeps = self.keeps.as_ref().is_some_and(|(of, name)| of == mode && name == threshold);
                    scope.told = keeps.then(|| (learnable.cut, Vec::new()));
                    let pauses = self.pauses.iter().rev();
                    let pause = pauses.clone().find(|pause| applies(pause, mode, threshold));
                    scope.pause(pause.is_some_and(|pause| pause.paused));
                    scopes.insert(threshold.clone(), scope);
                }
            }
        }
    }

    fn happened(&mut self, happened: &Happened, time: Timestamp) {
        let scope =
            self.scopes.get_mut(&happened.mode).and_then(|scopes| scopes.get_mut(&happened.threshold));
        let Some(scope) = scope.filter(|scope| scope.definition == happened.definition) else {
            self.intake.counts.redefined += 1;
            return;
        };
        let event = match happened.event {
            ScopeEvent::Matured(matured) => {
                ScopeEvent::Matured(Matured { source: scope.source(&happened.source), ..matured })
            }
            event => event,
        };
        let place = (&self.tenant, happened.mode.as_str(), happened.threshold.as_str());
        scope.apply(&event, place, (self.seq, time));
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
            maturity_seconds: declared.maturity_seconds,
            partial: declared.partial,
        };
        Some((name.clone(), seen))
    };
    decided.observed.iter().filter_map(of).collect()
}

impl ScopeFollowed {
    fn new(learnable: &Learnable) -> Self {
        let tables = Tables::new(learnable.settings.clone(), learnable.grid.bands());
        Self {
            state: ScopeState::new(&tables, learnable.cut),
            definition: learnable.definition,
            settings: learnable.settings.clone(),
            grid: learnable.grid,
            sources: BTreeMap::new(),
            paused: false,
            raised: None,
            unhelpful: None,
            tables: Some(Arc::new(tables)),
            told: None,
        }
    }

    fn tables(&self) -> Arc<Tables> {
        let make = || Arc::new(Tables::new(self.settings.clone(), self.grid.bands()));
        self.tables.clone().unwrap_or_else(make)
    }

    /// The number of whoever submitted a run.
    fn source(&mut self, name: &str) -> Source {
        let next = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        Source(*self.sources.entry(name.to_owned()).or_insert(next))
    }

    /// Other policies decide: the fact may mean something else, or the threshold have another value.
    fn changed(&mut self, learnable: &Learnable) {
        let cut = learnable.cut;
        if learnable.definition != self.definition || learnable.settings != self.settings {
            // A claim is made under the settings that its evidence was gathered under; the budgets of the window
            // stay what they are.
            let told = self.told.is_some().then(|| (learnable.cut, Vec::new()));
            let state = std::mem::replace(&mut self.state, Self::new(learnable).state);
            *self = Self { paused: self.paused, state, told, ..Self::new(learnable) };
            self.tell(&ScopeEvent::Redefined { cut });
            self.pause(self.paused);
            return;
        }
        if cut == self.state.cut() {
            // Other runs pass now; what was raised of those before, and proposed by nobody, is no more.
            if self.raised.as_ref().is_some_and(|raised| raised.diff.is_none()) {
                self.settled();
            }
            return;
        }
        let proposed = self.state.open().is_some_and(|open| open.to == cut);
        self.tell(&ScopeEvent::Adopted { cut, proposed });
        self.raised = None;
    }

    fn keep(&mut self, event: &ScopeEvent) {
        if let Some((_, events)) = &mut self.told {
            events.push(*event);
        }
    }

    fn settled(&mut self) {
        self.raised = None;
        self.tell(&ScopeEvent::Declined);
    }

    fn pause(&mut self, paused: bool) {
        self.paused = paused;
        self.tell(if paused { &ScopeEvent::Frozen } else { &ScopeEvent::Resumed });
    }

    /// Tells it something that raises nothing.
    fn tell(&mut self, event: &ScopeEvent) {
        let tables = self.tables();
        self.keep(event);
        self.state.apply(&tables, event);
        self.tables = Some(tables);
    }

    fn apply(
        &mut self,
        event: &ScopeEvent,
        (tenant, mode, threshold): (&TenantPath, &str, &str),
        (seq, time): (u64, Timestamp),
    ) {
        let tables = self.tables();
        self.keep(event);
        let notice = self.state.apply(&tables, event);
        let proposal = match notice {
            Some(Notice::Propose(proposal)) => Some((proposal, false)),
            Some(Notice::Expire(to)) => Some((expiry(self.state.cut(), to), true)),
            Some(Notice::Confirm) | None => None,
        };
        if let Some((proposal, expires)) = proposal {
            let scope = cku_learner::Scope {
                tenant: tenant.clone(),
                mode: mode.to_owned(),
                gate: threshold.split('.').next().unwrap_or_default().to_owned(),
                threshold: threshold.split_once('.').map_or("", |(_, name)| name).to_owned(),
            };
            let evidence = Evidence::of(
                scope,
                (&self.state, &tables, &self.grid),
                (&proposal, expires),
                (seq, time),
                &self.sources,
            );
            let (mode, threshold) = (mode.to_owned(), threshold.to_owned());
            let raised = Raised { mode, threshold, seq, evidence, diff: None };
            self.tables = Some(tables);
            match raised.helps() {
                true => {
                    self.unhelpful = None;
                    self.raised = Some(raised);
                }
                false => {
                    self.unhelpful = Some(seq);
                    self.tell(&ScopeEvent::Declined);
                }
            }
            return;
        }
        self.tables = Some(tables);
    }
}

/// The way back from a tightening that ran out.
fn expiry(from: Cut, to: Cut) -> cku_learner::Proposal {
    cku_learner::Proposal { direction: cku_learner::Direction::Loosen, from, to, expires_after: None }
}
