//! One threshold in one mode of one tenant: events in, maybe a notice out.

use cku_base::TenantPath;
use serde::{Deserialize, Serialize};

use crate::{
    bands::BandCounts,
    change_point::{Cusum, Increments},
    grid::{Band, Cut},
    loosen::LoosenDetector,
    loss::Loss,
    route::Route,
    settings::Settings,
    sources::{Source, TightenDetector},
    target::Prediction,
    tighten::Factors,
};

/// What is learned about: a threshold of a gate, in a mode, for a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The tenant.
    pub tenant: TenantPath,
    /// The mode.
    pub mode: String,
    /// The gate.
    pub gate: String,
    /// The threshold's name.
    pub threshold: String,
}

/// The matured outcome of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matured {
    /// The band of its fact.
    pub band: Band,
    /// The threshold that was active when it was decided.
    pub cut: Cut,
    /// How it came to go ahead.
    pub route: Route,
    /// Where the outcome comes from.
    pub source: Source,
    /// The loss for tightening: 0 where none is known.
    pub tighten: Loss,
    /// The loss for loosening: 1 where none is known.
    pub loosen: Loss,
}

/// What happens in a scope, in the order of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A run was held or rejected, and has no outcome.
    Held(Band),
    /// A run's outcome is final for the detectors.
    Matured(Matured),
    /// A threshold became active: a proposal of the learner, or another one.
    Adopted {
        /// The new threshold.
        cut: Cut,
        /// Whether it was the open proposal.
        proposed: bool,
    },
    /// The open proposal was declined or ran out.
    Declined,
    /// No proposals until further notice; evidence is still taken in.
    Frozen,
    /// Proposals again.
    Resumed,
    /// The fact's definition changed: evidence does not cross.
    Redefined {
        /// The threshold that is active now.
        cut: Cut,
    },
}

/// Toward which side a proposal goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Fewer runs pass.
    Tighten,
    /// More runs pass.
    Loosen,
}

/// A proposed change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Toward which side.
    pub direction: Direction,
    /// The threshold now.
    pub from: Cut,
    /// The proposed one.
    pub to: Cut,
    /// For a tightening: it ends by itself after so many outcomes, unless the outcomes confirm it.
    pub expires_after: Option<u32>,
}

/// What a scope has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// A change is proposed.
    Propose(Proposal),
    /// A tightening ran out, and the outcomes since speak against keeping it: back to this threshold, as
    /// the diff that made it declares. To be answered with [`Event::Adopted`].
    Expire(Cut),
    /// A tightening ran out, and stays.
    Confirm,
}

/// A tightening that is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Temporary {
    back_to: Cut,
    outcomes_left: u32,
}

/// What is computed from the settings once.
#[derive(Debug, Clone, PartialEq)]
pub struct Tables {
    settings: Settings,
    factors: Factors,
    increments: Increments,
    growth: f64,
    tighten_level: f64,
    bands: u16,
}

impl Tables {
    /// For these settings and so many bands.
    pub fn new(settings: Settings, bands: u16) -> Self {
        let factors = Factors::new(settings.tested_rate());
        let increments = Increments::new(&factors);
        let growth = libm::exp2(1.0 / f64::from(settings.get().profile_half_life));
        let tighten_level = settings.tighten_level();
        Self { settings, factors, increments, growth, tighten_level, bands }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The likelihood ratios of the tighten detector.
    pub fn factors(&self) -> &Factors {
        &self.factors
    }

    /// The number of bands.
    pub fn bands(&self) -> u16 {
        self.bands
    }
}

/// The state of a scope. It is a function of its events; stored and read back, it goes on the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScopeState {
    cut: Cut,
    tighten: TightenDetector,
    loosen: LoosenDetector,
    cusum: Cusum,
    counts: BandCounts,
    open: Option<Proposal>,
    frozen: bool,
    /// Outcomes in the window of N for which δ holds.
    in_window: u32,
    loosenings_left: u32,
    cooling: u32,
    temporary: Vec<Temporary>,
}

impl ScopeState {
    /// A scope without evidence, at its active threshold.
    pub fn new(tables: &Tables, cut: Cut) -> Self {
        let settings = &tables.settings;
        Self {
            cut,
            tighten: TightenDetector::default(),
            loosen: LoosenDetector::new(settings),
            cusum: Cusum::default(),
            counts: BandCounts::new(tables.bands),
            open: None,
            frozen: false,
            in_window: 0,
            loosenings_left: settings.get().loosenings,
            cooling: 0,
            temporary: Vec::new(),
        }
    }

    /// The active threshold.
    pub fn cut(&self) -> Cut {
        self.cut
    }

    /// The open proposal.
    pub fn open(&self) -> Option<&Proposal> {
        self.open.as_ref()
    }

    /// The tighten detector.
    pub fn tighten(&self) -> &TightenDetector {
        &self.tighten
    }

    /// The loosen detector.
    pub fn loosen(&self) -> &LoosenDetector {
        &self.loosen
    }

    /// The counts of the bands.
    pub fn counts(&self) -> &BandCounts {
        &self.counts
    }

    /// The bytes that the state takes, with what it points to.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.tighten.bytes()
            + self.loosen.bytes()
            + self.counts.bytes()
            + self.temporary.capacity() * size_of::<Temporary>()
    }

    /// Takes in one event.
    pub fn apply(&mut self, tables: &Tables, event: &Event) -> Option<Notice> {
        match event {
            Event::Held(band) => self.counts.decided(*band, tables.growth),
            Event::Matured(matured) => return self.matured(tables, matured),
            Event::Adopted { cut, proposed } => self.adopted(tables, *cut, *proposed),
            Event::Declined => {
                if self.open.take().is_some() {
                    // What was declined is not proposed again on the same evidence.
                    self.restart_detectors();
                    self.cooling = tables.settings.get().cool_down;
                }
            }
            Event::Frozen => self.frozen = true,
            Event::Resumed => self.frozen = false,
            Event::Redefined { cut } => {
                let frozen = self.frozen;
                let (in_window, loosenings_left) = (self.in_window, self.loosenings_left);
                self.restart_detectors();
                let loosen = self.loosen.clone();
                // Budgets belong to the window, not to the definition.
                *self = Self { frozen, in_window, loosenings_left, loosen, ..Self::new(tables, *cut) };
            }
        }
        None
    }

    fn matured(&mut self, tables: &Tables, matured: &Matured) -> Option<Notice> {
        let settings = &tables.settings;
        let declared = settings.get();
        self.count_in_window(settings);
        self.counts.decided(matured.band, tables.growth);
        let chosen = matches!(matured.route, Route::Advisory(_));
        self.counts.ended(matured.band, matured.tighten, !chosen);
        // A run that passed a looser threshold says nothing of those that pass the present one.
        let passed = matured.route.passed() && self.cut.passes(matured.band);
        if passed {
            self.tighten.observe(&tables.factors, matured.source, matured.tighten, declared.left_out);
            if self.cusum.step(&tables.increments, matured.tighten) && self.temporary.is_empty() {
                self.counts.change_point();
            }
        }
        // A run that was decided at another threshold had another chance of being explored.
        if let Route::Certifying(evidence) = matured.route
            && matured.cut == self.cut
        {
            self.loosen.observe(settings, self.cut, matured.band, evidence, matured.loosen);
        }
        self.cooling = self.cooling.saturating_sub(1);
        let expired = self.expire(tables);
        if self.open.is_some() || self.frozen {
            return expired;
        }
        if self.cooling > 0 || expired.is_some() {
            return expired;
        }
        // Only a failure can raise the tighten detector to its level, and only a better outcome than ε
        // the wealth of the other.
        let proposal = if self.tighten.alarm(&tables.factors, tables.tighten_level, declared.left_out) {
            self.tightening(tables)
        } else {
            self.loosening(tables)
        }?;
        self.open = Some(proposal);
        Some(Notice::Propose(proposal))
    }

    /// δ holds for each window of N outcomes; the next one begins without evidence of this one.
    fn count_in_window(&mut self, settings: &Settings) {
        if self.in_window >= settings.get().window {
            self.in_window = 0;
            self.loosenings_left = settings.get().loosenings;
            self.tighten.restart();
            self.loosen = LoosenDetector::new(settings);
        }
        self.in_window += 1;
    }

    fn tightening(&self, tables: &Tables) -> Option<Proposal> {
        let declared = tables.settings.get();
        let prediction = Prediction::fit(&self.counts);
        let to = prediction.target(self.cut, declared.max_step, tables.settings.tested_rate());
        let expires_after = (declared.burst_expiry > 0).then_some(declared.burst_expiry);
        (to < self.cut).then_some(Proposal {
            direction: Direction::Tighten,
            from: self.cut,
            to,
            expires_after,
        })
    }

    fn loosening(&self, tables: &Tables) -> Option<Proposal> {
        if self.loosenings_left == 0 {
            return None;
        }
        let bands = self.loosen.certified(&tables.settings)?;
        let to = Cut(self.cut.0.saturating_add(bands).min(tables.bands));
        let proposal = Proposal { direction: Direction::Loosen, from: self.cut, to, expires_after: None };
        (to > self.cut).then_some(proposal)
    }

    fn adopted(&mut self, tables: &Tables, cut: Cut, proposed: bool) {
        let proposal = self.open.take().filter(|open| proposed && open.to == cut);
        let expiry = match proposal {
            Some(Proposal { direction: Direction::Loosen, .. }) => {
                self.loosenings_left = self.loosenings_left.saturating_sub(1);
                self.temporary.clear();
                None
            }
            Some(proposal) => proposal.expires_after.map(|left| (proposal.from, left)),
            // Back to where a tightening came from, or a change that a person made.
            None => {
                let back = self.temporary.pop().is_some_and(|temporary| temporary.back_to == cut);
                if !back {
                    self.temporary.clear();
                }
                let left = tables.settings.get().burst_expiry;
                if let Some(next) = self.temporary.last_mut() {
                    next.outcomes_left = left;
                }
                None
            }
        };
        self.cut = cut;
        self.cooling = tables.settings.get().cool_down;
        self.restart_detectors();
        // The expiry is judged by what comes after the activation.
        self.counts.change_point();
        if let Some((back_to, outcomes_left)) = expiry {
            self.temporary.push(Temporary { back_to, outcomes_left });
        }
    }

    /// Whether a tightening is over: the rate that is predicted for where it came from, at one standard
    /// error above the estimate from the outcomes since, is within the budget.
    fn expire(&mut self, tables: &Tables) -> Option<Notice> {
        let temporary = self.temporary.last_mut()?;
        temporary.outcomes_left = temporary.outcomes_left.saturating_sub(1);
        if temporary.outcomes_left > 0 || self.open.is_some() || self.frozen {
            return None;
        }
        let back_to = temporary.back_to;
        let prediction = Prediction::fit(&self.counts);
        if prediction.rate_shifted(back_to, prediction.error) <= tables.settings.get().epsilon {
            // It stays on the list until the threshold is back.
            temporary.outcomes_left = u32::MAX;
            return Some(Notice::Expire(back_to));
        }
        self.temporary.clear();
        Some(Notice::Confirm)
    }

    fn restart_detectors(&mut self) {
        self.tighten.restart();
        self.loosen.restart();
        self.cusum.restart();
    }
}
