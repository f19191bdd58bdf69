//! One threshold in one mode of a tenant, followed: what it has seen, what it raised, and what it was told.

use std::{collections::BTreeMap, sync::Arc};

use cku_base::{Digest, TenantPath, Timestamp};
use cku_learner::{Cut, Direction, Event, Matured, Notice, Proposal, ScopeState, Settings, Source, Tables};
use serde::{Deserialize, Serialize};

use crate::{evidence::Evidence, thresholds::Learnable};

/// Of the share that fails, a tightening leaves less than this of it, or it is not proposed.
const HELPS: f64 = 0.8;

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
    /// since the threshold does not tell good runs from bad ones. It is told, and not raised. A loosening is
    /// taken back whatever is predicted.
    fn helps(&self) -> bool {
        let evidence = &self.evidence;
        let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
        let (before, after) = (number(&evidence.predicted.before), number(&evidence.predicted.after));
        let way_back = evidence.expiry || evidence.takes_back;
        way_back || evidence.direction == Direction::Loosen || after < HELPS * before
    }
}

/// A canary that lets pass what fails too often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// The policy diff whose canary it is.
    pub diff: Digest,
    /// The value of the threshold that it tries, in the unit of its type.
    pub value: i64,
    /// The entry after which it was found out.
    pub seq: u64,
    /// The outcomes until then.
    pub outcomes: u32,
    /// The e-value of the watch, as the shortest decimal that reads back as the same number.
    pub e_value: String,
    /// The level that it reached.
    pub level: String,
}

/// What one threshold in one mode has seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScopeFollowed {
    pub(crate) state: ScopeState,
    definition: Digest,
    pub(crate) settings: Settings,
    pub(crate) grid: cku_learner::Grid,
    /// The numbers of those who submitted runs.
    pub(crate) sources: BTreeMap<String, u32>,
    pub(crate) paused: bool,
    /// The policies that decide have no such threshold; if it comes back, its budgets are what they were.
    pub(crate) gone: bool,
    pub(crate) raised: Option<Raised>,
    /// The entry after which it had an alarm and nothing to propose that would help.
    pub(crate) unhelpful: Option<u64>,
    /// The policy diff whose canary decided last, and whether what it tries fails too often.
    trial: Option<Digest>,
    pub(crate) failing: Option<Failing>,
    #[serde(skip)]
    tables: Option<Arc<Tables>>,
    /// Where it began and what it was told since, if somebody wants to know.
    #[serde(skip)]
    told: Option<(Cut, Vec<Event>)>,
}

/// All that a scope was told.
pub(crate) struct Told {
    /// Under what.
    pub(crate) tables: Arc<Tables>,
    /// The threshold that it began with.
    pub(crate) start: Cut,
    pub(crate) events: Vec<Event>,
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
    /// The canary that tried it last, if what that let pass failed too often.
    pub failing: Option<&'f Failing>,
    /// Whether it was told to propose nothing.
    pub paused: bool,
    /// The tighten detector's value now, and its level.
    pub tighten: (f64, f64),
    /// The watch over the last loosening, while it lasts.
    pub watch: Option<WatchView>,
}

/// The watch over a loosening, to look at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WatchView {
    /// The value of the threshold before, in the unit of its type.
    pub from: i64,
    /// The value that is watched: the active one, or what a canary tries.
    pub to: i64,
    /// The outcomes so far.
    pub outcomes: u32,
    /// The least e-value, whichever source is left out.
    pub least: f64,
    /// The level at which it is taken back.
    pub level: f64,
}

impl ScopeFollowed {
    /// A scope that has seen nothing; `keeps` whether it is to keep what it is told.
    pub(crate) fn new(learnable: &Learnable, keeps: bool) -> Self {
        let tables = Tables::new(learnable.settings.clone(), learnable.grid.bands());
        Self {
            state: ScopeState::new(&tables, learnable.cut),
            definition: learnable.definition,
            settings: learnable.settings.clone(),
            grid: learnable.grid,
            sources: BTreeMap::new(),
            paused: false,
            gone: false,
            raised: None,
            unhelpful: None,
            trial: None,
            failing: None,
            tables: Some(Arc::new(tables)),
            told: keeps.then(|| (learnable.cut, Vec::new())),
        }
    }

    pub(crate) fn view<'f>(&'f self, mode: &'f str, threshold: &'f str) -> ScopeView<'f> {
        let tables = self.tables();
        ScopeView {
            mode,
            threshold,
            grid: &self.grid,
            settings: &self.settings,
            state: &self.state,
            raised: self.raised.as_ref(),
            unhelpful: self.unhelpful,
            failing: self.failing.as_ref(),
            paused: self.paused,
            tighten: (self.state.tighten().least(tables.factors()).0, self.settings.tighten_level()),
            watch: self.state.watch().map(|watch| WatchView {
                from: self.grid.value(watch.from()),
                to: self.grid.value(watch.to()),
                outcomes: watch.outcomes(),
                least: watch.least(tables.factors()),
                level: self.settings.watch_level(),
            }),
        }
    }

    /// All that it was told, if it was to keep that.
    pub(crate) fn into_told(self) -> Option<Told> {
        let tables = self.tables();
        self.told.map(|(start, events)| Told { tables, start, events })
    }

    /// Whether an outcome whose fact meant this is one of what the threshold is about now.
    pub(crate) fn is_about(&self, definition: &Digest) -> bool {
        !self.gone && self.definition == *definition
    }

    /// The number of whoever submitted a run.
    pub(crate) fn source(&mut self, name: &str) -> Source {
        let next = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        Source(*self.sources.entry(name.to_owned()).or_insert(next))
    }

    /// Other policies decide, and have no such threshold.
    pub(crate) fn leave(&mut self) {
        if !self.gone {
            self.gone = true;
            self.settled();
        }
    }

    /// Other policies decide: the fact may mean something else, or the threshold have another value.
    pub(crate) fn changed(&mut self, learnable: &Learnable) {
        let cut = learnable.cut;
        if !self.is_about(&learnable.definition) || learnable.settings != self.settings {
            // A claim is made under the settings that its evidence was gathered under; the budgets of the window
            // stay what they are.
            let new = Self::new(learnable, self.told.is_some());
            let state = std::mem::replace(&mut self.state, new.state);
            *self = Self { paused: self.paused, state, ..Self::new(learnable, new.told.is_some()) };
            self.tell(&Event::Redefined { cut });
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
        self.tell(&Event::Adopted { cut, proposed });
        self.raised = None;
    }

    /// The canary of a policy diff decided.
    pub(crate) fn tried(&mut self, diff: Digest, learnable: &Learnable) {
        if self.is_about(&learnable.definition) && self.trial != Some(diff) {
            self.trial = Some(diff);
            self.failing = None;
            self.tell(&Event::Trial { cut: learnable.cut });
        }
    }

    /// What was raised came to an end other than by becoming active.
    pub(crate) fn settled(&mut self) {
        self.raised = None;
        self.tell(&Event::Declined);
    }

    pub(crate) fn pause(&mut self, paused: bool) {
        self.paused = paused;
        self.tell(if paused { &Event::Frozen } else { &Event::Resumed });
    }

    /// Something happened, which may raise a proposal.
    pub(crate) fn happened(
        &mut self,
        event: &Event,
        (tenant, mode, threshold): (&TenantPath, &str, &str),
        (seq, time): (u64, Timestamp),
    ) {
        let (proposal, expires) = match self.tell(event) {
            Some(Notice::Propose(proposal)) => (proposal, false),
            Some(Notice::Expire(to)) => (expiry(self.state.cut(), to), true),
            Some(Notice::Failing(cut)) => return self.fails(cut, seq),
            Some(Notice::Confirm) | None => return,
        };
        let (gate, name) = threshold.split_once('.').unwrap_or((threshold, ""));
        let scope = cku_learner::Scope {
            tenant: tenant.clone(),
            mode: mode.to_owned(),
            gate: gate.to_owned(),
            threshold: name.to_owned(),
        };
        let tables = self.tables();
        let seen = (&self.state, &*tables, &self.grid);
        let evidence = Evidence::of(scope, seen, (&proposal, expires), (seq, time), &self.sources);
        let (mode, threshold) = (mode.to_owned(), threshold.to_owned());
        let raised = Raised { mode, threshold, seq, evidence, diff: None };
        if raised.helps() {
            self.unhelpful = None;
            self.raised = Some(raised);
        } else {
            self.unhelpful = Some(seq);
            self.tell(&Event::Declined);
        }
    }

    /// What a canary lets pass fails too often; the first time is what counts.
    fn fails(&mut self, cut: Cut, seq: u64) {
        let (Some(diff), Some(watch)) = (self.trial, self.state.watch()) else { return };
        let tables = self.tables();
        let failing = Failing {
            diff,
            value: self.grid.value(cut),
            seq,
            outcomes: watch.outcomes(),
            e_value: format!("{:?}", watch.value(tables.factors())),
            level: format!("{:?}", self.settings.watch_level()),
        };
        self.failing.get_or_insert(failing);
    }

    fn tell(&mut self, event: &Event) -> Option<Notice> {
        let tables = self.tables();
        if let Some((_, events)) = &mut self.told {
            events.push(*event);
        }
        let notice = self.state.apply(&tables, event);
        self.tables = Some(tables);
        notice
    }

    fn tables(&self) -> Arc<Tables> {
        let make = || Arc::new(Tables::new(self.settings.clone(), self.grid.bands()));
        self.tables.clone().unwrap_or_else(make)
    }
}

/// An event with the number of its source, where it is an outcome.
pub(crate) fn with_source(event: Event, source: Source) -> Event {
    match event {
        Event::Matured(matured) => Event::Matured(Matured { source, ..matured }),
        Event::Tried(matured) => Event::Tried(Matured { source, ..matured }),
        event => event,
    }
}

/// The way back from a tightening that ran out.
fn expiry(from: Cut, to: Cut) -> Proposal {
    Proposal { direction: Direction::Loosen, from, to, expires_after: None, takes_back: false }
}
