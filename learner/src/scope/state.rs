//! What a scope has seen, and what it makes of the next event.

use serde::{Deserialize, Serialize};

use super::{Direction, Event, Matured, Notice, Proposal, Tables};
use crate::{
    bands::BandCounts, change_point::Cusum, grid::Cut, loosen::LoosenDetector, loss::Loss, route::Route,
    settings::Settings, sources::TightenDetector, target::Prediction, watch::Watch,
};

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
                    // A canary that failed was ended; what is tried anew begins with other evidence.
                    self.watch = self.watch.take().filter(|watch| !watch.alarmed());
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
        let Some(watch) = &mut self.watch else { return false };
        let declared = tables.settings.get();
        if watch.outcomes() >= declared.watch.min(declared.window) {
            self.watch = None;
            return false;
        }
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
mod tests;
