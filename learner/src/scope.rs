//! One threshold in one mode of one tenant: events in, maybe a notice out.

use cku_base::TenantPath;
use serde::{Deserialize, Serialize};

use crate::{
    bands::BandCounts,
    bets::Bets,
    change_point::{Cusum, Increments},
    grid::{Band, Cut},
    loosen::LoosenDetector,
    loss::Loss,
    route::Route,
    settings::Settings,
    sources::{Source, TightenDetector},
    target::Prediction,
    tighten::Factors,
    watch::Watch,
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
    /// A canary tries this threshold from now on, beside the active one.
    Trial {
        /// The threshold.
        cut: Cut,
    },
    /// The final outcome of a run that a canary decided: only the watch takes it in.
    Tried(Matured),
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
    /// Whether it takes a loosening back, since what passes since then fails too often.
    pub takes_back: bool,
}

/// What a scope has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// A change is proposed.
    Propose(Proposal),
    /// A tightening ran out, and the outcomes since speak against keeping all of it: back to this threshold, at
    /// most the one that it came from, as the diff that made it declares. To be answered with [`Event::Adopted`].
    Expire(Cut),
    /// A tightening ran out, and stays.
    Confirm,
    /// What a canary lets pass at this threshold fails too often.
    Failing(Cut),
}

/// Looks at a tightening that is to end; after the last it stays.
const LOOKS: u32 = 4;

/// A tightening that is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Temporary {
    /// At most there it goes back.
    from: Cut,
    outcomes_left: u32,
    /// How often the outcomes spoke neither for its end nor against it.
    looks: u32,
    /// What was said last, until it is active.
    said: Option<Cut>,
}

/// What is computed from the settings once.
#[derive(Debug, Clone, PartialEq)]
pub struct Tables {
    settings: Settings,
    factors: Factors,
    increments: Increments,
    growth: f64,
    tighten_level: f64,
    bets: Option<Bets>,
    bands: u16,
}

impl Tables {
    /// For these settings and so many bands.
    pub fn new(settings: Settings, bands: u16) -> Self {
        let factors = Factors::new(settings.tested_rate());
        let increments = Increments::new(&factors);
        let growth = libm::exp2(1.0 / f64::from(settings.get().profile_half_life));
        let tighten_level = settings.tighten_level();
        let bets = Bets::new(&settings);
        Self { settings, factors, increments, growth, tighten_level, bets, bands }
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
    temporary: Option<Temporary>,
    watch: Option<Watch>,
    watches_left: u32,
    /// How often the evidence for tightening began anew, and for loosening.
    generations: (u32, u32),
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
            temporary: None,
            watch: None,
            watches_left: settings.get().loosenings,
            generations: (0, 0),
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

    /// The watch over the last loosening, while it lasts.
    pub fn watch(&self) -> Option<&Watch> {
        self.watch.as_ref()
    }

    /// The counts of the bands.
    pub fn counts(&self) -> &BandCounts {
        &self.counts
    }

    /// Outcomes of the present window.
    pub(crate) fn in_window(&self) -> u32 {
        self.in_window
    }

    /// How often the evidence for a proposal in this direction began anew.
    pub fn generation(&self, direction: Direction) -> u32 {
        match direction {
            Direction::Tighten => self.generations.0,
            Direction::Loosen => self.generations.1,
        }
    }

    /// The bytes that the state takes, with what it points to.
    pub fn bytes(&self) -> usize {
        let watch = self.watch.as_ref().map_or(0, Watch::bytes);
        size_of::<Self>() + self.tighten.bytes() + self.loosen.bytes() + self.counts.bytes() + watch
    }

    /// Takes in one event.
    pub fn apply(&mut self, tables: &Tables, event: &Event) -> Option<Notice> {
        match event {
            Event::Held(band) => self.counts.decided(*band, tables.growth),
            Event::Matured(matured) => return self.matured(tables, matured),
            Event::Trial { cut } => {
                if *cut > self.cut {
                    self.begin_watch(tables, *cut);
                }
            }
            Event::Tried(matured) => {
                let alarm = self.watched(tables, matured) && matured.cut > self.cut;
                return alarm.then_some(Notice::Failing(matured.cut));
            }
            Event::Adopted { cut, proposed } => self.adopted(tables, *cut, *proposed),
            Event::Declined => {
                if let Some(declined) = self.open.take() {
                    // What was declined is not proposed again on the same evidence.
                    self.restart_detectors();
                    self.watch = self.watch.take().filter(|_| !declined.takes_back);
                    self.cooling = tables.settings.get().cool_down;
                } else if let Some(temporary) = &mut self.temporary
                    && temporary.said.take().is_some()
                {
                    // The way back was declined: it is looked at again, as often as before.
                    temporary.outcomes_left = tables.settings.get().burst_expiry;
                }
            }
            Event::Frozen => self.frozen = true,
            Event::Resumed => self.frozen = false,
            Event::Redefined { cut } => {
                let frozen = self.frozen;
                let (in_window, loosenings_left) = (self.in_window, self.loosenings_left);
                let watches_left = self.watches_left;
                self.restart_detectors();
                let loosen = self.loosen.clone();
                // Budgets belong to the window, not to the definition.
                let generations = self.generations;
                let new = Self::new(tables, *cut);
                *self = Self { frozen, in_window, loosenings_left, watches_left, loosen, generations, ..new };
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
            if self.cusum.step(&tables.increments, matured.tighten) && self.temporary.is_none() {
                self.counts.change_point();
            }
        }
        let fails = self.watched(tables, matured) && matured.cut == self.cut;
        // A run that was decided at another threshold had another chance of being explored.
        if let Route::Certifying(evidence) = matured.route
            && matured.cut == self.cut
            && let Some(bets) = &tables.bets
        {
            self.loosen.observe(settings, bets, self.cut, matured.band, evidence, matured.loosen);
        }
        self.cooling = self.cooling.saturating_sub(1);
        let expired = self.expire(tables);
        let goes_back = self.temporary.is_some_and(|temporary| temporary.said.is_some());
        if self.open.is_some() || self.frozen || goes_back {
            return expired;
        }
        let back = if fails { self.taking_back() } else { None };
        if (self.cooling > 0 && back.is_none()) || expired.is_some() {
            return expired;
        }
        let alarm = || self.tighten.alarm(&tables.factors, tables.tighten_level);
        // Only a failure raises the tighten detector to a level above 1; an alarm that was held back before waits
        // for the next one, and nothing is loosened meanwhile, whatever was certified.
        let proposal = match matured.tighten {
            Loss::NONE => self.loosening(tables).filter(|_| !alarm()),
            _ if back.is_some() => back,
            _ if alarm() => self.tightening(tables),
            _ => self.loosening(tables),
        }?;
        self.open = Some(proposal);
        Some(Notice::Propose(proposal))
    }

    /// Takes an outcome in under the watch; whether its level is reached.
    fn watched(&mut self, tables: &Tables, matured: &Matured) -> bool {
        let declared = tables.settings.get();
        let lasts = declared.watch.min(declared.window);
        self.watch = self.watch.take().filter(|watch| watch.outcomes() < lasts);
        let Some(watch) = &mut self.watch else { return false };
        if matured.cut != watch.to() || !matured.route.passed() {
            return false;
        }
        let (level, outcome) = (tables.settings.watch_level(), (matured.source, matured.tighten));
        watch.observe(&tables.factors, level, declared.left_out, outcome)
    }

    /// Back to where the watched loosening came from.
    fn taking_back(&self) -> Option<Proposal> {
        let to = self.watch.as_ref()?.from();
        let (direction, from) = (Direction::Tighten, self.cut);
        Some(Proposal { direction, from, to, expires_after: None, takes_back: true })
    }

    /// Watches a loosening to this threshold, while the window has watches left; what a canary tried before it
    /// became active is watched on.
    fn begin_watch(&mut self, tables: &Tables, to: Cut) {
        if self.watch.as_ref().is_some_and(|watch| watch.to() == to && watch.from() == self.cut) {
            return;
        }
        self.watch = None;
        if to > self.cut && tables.settings.get().watch > 0 && self.watches_left > 0 {
            self.watches_left -= 1;
            self.watch = Some(Watch::new(self.cut, to));
        }
    }

    /// δ holds for each window of N outcomes. Evidence for tightening does not go on into the next one, evidence for
    /// loosening does in part.
    fn count_in_window(&mut self, settings: &Settings) {
        if self.in_window >= settings.get().window {
            self.in_window = 0;
            self.loosenings_left = settings.get().loosenings;
            self.watches_left = settings.get().loosenings;
            self.tighten.restart();
            self.loosen.next_window(settings);
            self.generations.0 += 1;
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
            takes_back: false,
        })
    }

    fn loosening(&self, tables: &Tables) -> Option<Proposal> {
        let bets = tables.bets.as_ref()?;
        // A certificate holds whatever comes after it; one that would not be given now is not used.
        let still = self.loosen.wealth().take_while(|wealth| *wealth >= bets.level()).count();
        let bands = self.loosen.certified().min(u16::try_from(still).unwrap_or(u16::MAX));
        if bands == 0 || self.loosenings_left == 0 {
            return None;
        }
        let to = Cut(self.cut.0.saturating_add(bands).min(tables.bands));
        if to.0 < tables.bands && self.loosen.expects_more(bets) {
            return None;
        }
        let (direction, from) = (Direction::Loosen, self.cut);
        let proposal = Proposal { direction, from, to, expires_after: None, takes_back: false };
        (to > self.cut).then_some(proposal)
    }

    fn adopted(&mut self, tables: &Tables, cut: Cut, proposed: bool) {
        let expiry = tables.settings.get().burst_expiry;
        let proposal = self.open.take().filter(|open| proposed && open.to == cut);
        let ended = proposal.is_none() && self.temporary.is_some_and(|temporary| temporary.said == Some(cut));
        let mut loosened = None;
        self.temporary = match proposal {
            Some(Proposal { direction: Direction::Loosen, from, to, .. }) => {
                self.loosenings_left = self.loosenings_left.saturating_sub(1);
                loosened = Some(to.0 - from.0);
                None
            }
            // Of several tightenings in a row the first says how far it may go back.
            Some(Proposal { from, expires_after, .. }) => expires_after.map(|outcomes_left| {
                let from = self.temporary.map_or(from, |before| before.from.max(from));
                Temporary { from, outcomes_left, looks: 0, said: None }
            }),
            None => self
                .temporary
                .filter(|temporary| ended && cut < temporary.from)
                .map(|temporary| Temporary { outcomes_left: expiry, said: None, ..temporary }),
        };
        self.begin_watch(tables, cut);
        self.cut = cut;
        self.cooling = tables.settings.get().cool_down;
        self.tighten.restart();
        self.cusum.restart();
        match loosened {
            Some(bands) => self.loosen.advance(bands),
            None => {
                self.loosen.restart();
                self.generations.1 += 1;
            }
        }
        self.generations.0 += 1;
        if !ended {
            // An expiry is judged by all that came after the tightening.
            self.counts.change_point();
        }
    }

    /// Whether a tightening is over, in whole or in part: the loosest threshold, at most the one it came from, whose
    /// predicted rate is within the budget, were the shift one standard error above its estimate from the
    /// outcomes since. An estimate, which the diff declares and people approved; the promise is not about it.
    fn expire(&mut self, tables: &Tables) -> Option<Notice> {
        let temporary = self.temporary.as_mut()?;
        temporary.outcomes_left = temporary.outcomes_left.saturating_sub(1);
        if temporary.outcomes_left > 0 || temporary.said.is_some() || self.open.is_some() || self.frozen {
            return None;
        }
        let prediction = Prediction::fit(&self.counts);
        let epsilon = tables.settings.get().epsilon;
        let looser = (self.cut.0 + 1..=temporary.from.0).rev().map(Cut);
        let within = |cut: &Cut| prediction.rate_shifted(*cut, prediction.error) <= epsilon;
        temporary.said = looser.into_iter().find(within);
        match temporary.said {
            Some(cut) => Some(Notice::Expire(cut)),
            None => {
                let next = prediction.rate_shifted(Cut(self.cut.0 + 1), -prediction.error);
                temporary.looks += 1;
                if next > epsilon || self.cut >= temporary.from || temporary.looks >= LOOKS {
                    self.temporary = None;
                    return Some(Notice::Confirm);
                }
                temporary.outcomes_left = tables.settings.get().burst_expiry;
                None
            }
        }
    }

    fn restart_detectors(&mut self) {
        self.tighten.restart();
        self.loosen.restart();
        self.cusum.restart();
        self.generations = (self.generations.0 + 1, self.generations.1 + 1);
    }
}

#[cfg(test)]
mod tests {
    use cku_base::BasisPoints;
    use proptest::prelude::*;

    use super::*;
    use crate::{Advisory, Certifying, Declared};

    fn tables() -> Tables {
        let declared = Declared {
            window: 400,
            fresh_start: 100,
            cool_down: 20,
            delta: 0.2,
            burst_expiry: 60,
            exploration_rate: BasisPoints::try_from(5_000).unwrap(),
            exploration_bands: 4,
            max_step: 4,
            loosenings: 2,
            ..Declared::default()
        };
        Tables::new(Settings::check(declared).unwrap(), 12)
    }

    fn run(band: u16, cut: Cut, failed: bool, n: u32) -> Event {
        let loss = if failed { Loss::FULL } else { Loss::NONE };
        let propensity = 5_000.try_into().unwrap();
        let route = match cut.passes(Band(band)) {
            true => Route::Certifying(Certifying::Passed { propensity }),
            false if n.is_multiple_of(2) => Route::Certifying(Certifying::Explored { propensity }),
            false => Route::Advisory(Advisory),
        };
        Event::Matured(Matured {
            band: Band(band),
            cut,
            route,
            source: Source(n % 7),
            tighten: loss,
            loosen: loss,
        })
    }

    /// Feeds runs until a notice comes.
    fn until_notice(state: &mut ScopeState, every: u32, most: u32) -> Option<Notice> {
        let tables = tables();
        (0..most).find_map(|n| {
            let band = (n * 5 % u32::from(state.cut().0)) as u16;
            state.apply(&tables, &run(band, state.cut(), n % every == every - 1, n))
        })
    }

    fn proposed(notice: Option<Notice>) -> Proposal {
        match notice {
            Some(Notice::Propose(proposal)) => proposal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn there_is_at_most_one_open_proposal_and_a_pause_after_an_activation() {
        let tables = tables();
        let mut state = ScopeState::new(&tables, Cut(8));
        let proposal = proposed(until_notice(&mut state, 3, 300));
        assert_eq!((proposal.direction, proposal.from), (Direction::Tighten, Cut(8)));
        assert_eq!(until_notice(&mut state, 3, 100), None, "one is open");
        state.apply(&tables, &Event::Adopted { cut: proposal.to, proposed: true });
        assert_eq!(state.cut(), proposal.to);
        assert_eq!(until_notice(&mut state, 2, 19), None, "cool-down");
        assert!(until_notice(&mut state, 2, 100).is_some());
    }

    #[test]
    fn what_is_frozen_proposes_nothing_until_it_is_resumed() {
        let tables = tables();
        let mut state = ScopeState::new(&tables, Cut(8));
        state.apply(&tables, &Event::Frozen);
        assert_eq!(until_notice(&mut state, 3, 200), None);
        state.apply(&tables, &Event::Resumed);
        assert!(until_notice(&mut state, 3, 5).is_some(), "the evidence was taken in");
    }

    #[test]
    fn nothing_is_loosened_on_evidence_that_failures_spoke_against_meanwhile() {
        let tables = tables();
        let mut state = ScopeState::new(&tables, Cut(8));
        state.apply(&tables, &Event::Frozen);
        // Safe runs, explored ones among them, until a loosening would be certified.
        for n in 0..300 {
            state.apply(&tables, &run((n * 5 % 12) as u16, Cut(8), false, n));
        }
        assert!(state.loosen().certified() > 0);
        for n in 0..90 {
            state.apply(&tables, &run((n * 5 % 12) as u16, Cut(8), n % 2 == 0, n));
        }
        state.apply(&tables, &Event::Resumed);
        // The first success after that.
        let notice = state.apply(&tables, &run(3, Cut(8), false, 0));
        assert!(
            !matches!(notice, Some(Notice::Propose(p)) if p.direction == Direction::Loosen),
            "{notice:?}"
        );
        let next = proposed(until_notice(&mut state, 2, 10));
        assert_eq!(next.direction, Direction::Tighten);
    }

    #[test]
    fn a_way_back_that_was_declined_is_looked_at_again() {
        let tables = tables();
        let mut state = ScopeState::new(&tables, Cut(8));
        for n in 0..100 {
            state.apply(&tables, &run((n % 8) as u16, Cut(8), n % 40 == 0, n));
        }
        let proposal = proposed(until_notice(&mut state, 3, 300));
        state.apply(&tables, &Event::Adopted { cut: proposal.to, proposed: true });
        // Runs that pass, where exploration is not open.
        let clean = |state: &mut ScopeState| {
            (0..200).find_map(|n: u32| {
                let Event::Matured(matured) =
                    run((n % u32::from(state.cut().0)) as u16, state.cut(), false, n)
                else {
                    return None;
                };
                let matured = Matured { route: Route::PassedUnexplorable, ..matured };
                state.apply(&tables, &Event::Matured(matured))
            })
        };
        let back = clean(&mut state);
        assert!(matches!(back, Some(Notice::Expire(_))), "{back:?}");
        assert_eq!(clean(&mut state), None, "it was said once");
        state.apply(&tables, &Event::Declined);
        let again = clean(&mut state);
        assert!(matches!(again, Some(Notice::Expire(_))), "{again:?}");
    }

    #[test]
    fn a_declined_proposal_is_not_made_again_on_the_same_evidence() {
        let tables = tables();
        let mut state = ScopeState::new(&tables, Cut(8));
        proposed(until_notice(&mut state, 3, 300));
        state.apply(&tables, &Event::Declined);
        assert_eq!(until_notice(&mut state, 25, 100), None);
    }

    #[test]
    fn a_tightening_after_a_burst_ends_by_itself_and_a_lasting_one_is_confirmed() {
        let tables = tables();
        let start = || {
            let mut state = ScopeState::new(&tables, Cut(8));
            for n in 0..100 {
                state.apply(&tables, &run((n % 8) as u16, Cut(8), n % 40 == 0, n));
            }
            let proposal = proposed(until_notice(&mut state, 3, 300));
            state.apply(&tables, &Event::Adopted { cut: proposal.to, proposed: true });
            state
        };
        let mut burst = start();
        assert_eq!(until_notice(&mut burst, 1_000, 200), Some(Notice::Expire(Cut(8))));
        burst.apply(&tables, &Event::Adopted { cut: Cut(8), proposed: false });
        assert_eq!(burst.cut(), Cut(8));
        let mut lasting = start();
        assert_eq!(until_notice(&mut lasting, 14, 241), Some(Notice::Confirm));
    }

    #[test]
    fn evidence_that_a_person_chose_moves_no_detector() {
        let tables = tables();
        let mut state = ScopeState::new(&tables, Cut(8));
        let (tighten, loosen) = (state.tighten.clone(), state.loosen.clone());
        for n in 0..200 {
            state.apply(&tables, &run(9, Cut(8), n % 3 == 0, 2 * n + 1));
        }
        assert_eq!((tighten, loosen), (state.tighten, state.loosen));
    }

    fn events() -> impl Strategy<Value = Vec<(u8, u16, bool)>> {
        prop::collection::vec((0u8..40, 0u16..12, prop::bool::weighted(0.2)), 1..700)
    }

    /// What a seed of numbers means depends on the state, as in the world: adoption follows a proposal.
    fn event(
        state: &ScopeState,
        notice: Option<Notice>,
        n: u32,
        (kind, band, failed): (u8, u16, bool),
    ) -> Event {
        match (notice, kind) {
            (Some(Notice::Propose(p)), 0..30) => Event::Adopted { cut: p.to, proposed: true },
            (Some(Notice::Propose(_)), _) => Event::Declined,
            (Some(Notice::Expire(cut)), _) => Event::Adopted { cut, proposed: false },
            (_, 0) => Event::Frozen,
            (_, 1..3) => Event::Resumed,
            (_, 3) if failed => Event::Redefined { cut: state.cut() },
            (_, 4) if failed => Event::Adopted { cut: Cut(band.max(1)), proposed: false },
            (_, 5..8) => Event::Held(Band(band)),
            _ => run(band, state.cut(), failed, n),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_state_that_is_stored_and_read_back_goes_on_the_same(all in events(), every in 1u32..50) {
            let tables = tables();
            let mut state = ScopeState::new(&tables, Cut(8));
            let mut stored = state.clone();
            let mut notice = None;
            for (seed, n) in all.into_iter().zip(0u32..) {
                let event = event(&state, notice, n, seed);
                notice = state.apply(&tables, &event);
                prop_assert_eq!(stored.apply(&tables, &event), notice);
                if n % every == 0 {
                    let text = serde_json::to_string(&stored).unwrap();
                    stored = serde_json::from_str(&text).unwrap();
                }
                prop_assert_eq!(&stored, &state);
                prop_assert!(state.cut().0 >= 1 && state.cut().0 <= 12);
            }
        }

        #[test]
        fn loosenings_stay_within_their_budget_and_proposals_within_the_grid(all in events()) {
            let tables = tables();
            let mut state = ScopeState::new(&tables, Cut(4));
            let (mut notice, mut window, mut loosened) = (None, 0, 0);
            for (seed, n) in all.into_iter().zip(0u32..) {
                // Nothing fails: whatever is proposed loosens.
                let event = event(&state, notice, n, (seed.0, seed.1, false));
                if matches!(event, Event::Matured(_)) {
                    window += 1;
                    if window > 400 {
                        (window, loosened) = (1, 0);
                    }
                }
                notice = state.apply(&tables, &event);
                if let Some(Notice::Propose(proposal)) = notice {
                    prop_assert_eq!(proposal.direction, Direction::Loosen);
                    prop_assert!(proposal.to.0 <= 12 && proposal.to > proposal.from);
                    prop_assert!(proposal.to.0 - proposal.from.0 <= 4);
                    prop_assert!(loosened < 2);
                }
                if let Event::Adopted { proposed: true, .. } = event {
                    loosened += 1;
                }
            }
        }
    }
}
