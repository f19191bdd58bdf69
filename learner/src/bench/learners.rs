//! The learner, and the rules of thumb that it is compared with.

use crate::{Cut, Direction, Event, Loss, Notice, Proposal, ScopeState, Tables};

/// What a learner wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    /// This threshold.
    pub(super) to: Cut,
    /// Whether it is the declared end of a tightening.
    pub(super) expiry: bool,
}

/// Whatever proposes thresholds from events.
pub(super) trait Learner {
    /// Takes in one event.
    fn apply(&mut self, event: &Event) -> Option<Said>;
    /// A threshold became active.
    fn adopted(&mut self, cut: Cut);
}

/// The learner of this crate.
pub(super) struct Certified<'a> {
    tables: &'a Tables,
    /// Its state.
    pub(super) state: ScopeState,
}

impl<'a> Certified<'a> {
    /// At its start.
    pub(super) fn new(tables: &'a Tables, cut: Cut) -> Self {
        Self { tables, state: ScopeState::new(tables, cut) }
    }
}

impl Learner for Certified<'_> {
    fn apply(&mut self, event: &Event) -> Option<Said> {
        match self.state.apply(self.tables, event)? {
            Notice::Propose(Proposal { to, .. }) => Some(Said { to, expiry: false }),
            Notice::Expire(to) => Some(Said { to, expiry: true }),
            Notice::Confirm | Notice::Failing(_) => None,
        }
    }

    fn adopted(&mut self, cut: Cut) {
        self.state.apply(self.tables, &Event::Adopted { cut, proposed: true });
    }
}

/// Never proposes anything.
pub(super) struct Fixed;

impl Learner for Fixed {
    fn apply(&mut self, _: &Event) -> Option<Said> {
        None
    }

    fn adopted(&mut self, _: Cut) {}
}

/// Which rule of thumb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Three failures among the last ten tighten by a band, 50 successes in a row loosen by one.
    Streak,
    /// More than ε among the last 200 tightens by a band, less than ε/2 loosens by one.
    Window,
    /// A 99 % normal interval over all outcomes since the last change, looked at after each: above ε
    /// tightens by a band, below ε loosens by one.
    Peeking,
}

/// A rule of thumb at work. It sees the outcomes of passed runs.
pub(super) struct Thumb {
    rule: Rule,
    epsilon: f64,
    bands: u16,
    cut: Cut,
    cooling: u32,
    waiting: bool,
    last: Vec<bool>,
    outcomes: f64,
    failures: f64,
    successes_in_a_row: u32,
}

impl Thumb {
    /// At its start.
    pub(super) fn new(rule: Rule, epsilon: f64, bands: u16, cut: Cut) -> Self {
        Self {
            rule,
            epsilon,
            bands,
            cut,
            cooling: 0,
            waiting: false,
            last: Vec::new(),
            outcomes: 0.0,
            failures: 0.0,
            successes_in_a_row: 0,
        }
    }

    fn remember(&mut self, failed: bool) {
        let keep = if self.rule == Rule::Streak { 10 } else { 200 };
        if self.rule != Rule::Peeking {
            if self.last.len() == keep {
                self.last.remove(0);
            }
            self.last.push(failed);
        }
        self.outcomes += 1.0;
        self.failures += f64::from(u8::from(failed));
        self.successes_in_a_row = if failed { 0 } else { self.successes_in_a_row + 1 };
    }

    fn direction(&self) -> Option<Direction> {
        let failed = self.last.iter().filter(|failed| **failed).count();
        match self.rule {
            Rule::Streak if failed >= 3 => Some(Direction::Tighten),
            Rule::Streak => (self.successes_in_a_row >= 50).then_some(Direction::Loosen),
            Rule::Window if self.last.len() < 200 => None,
            Rule::Window => match failed as f64 / 200.0 {
                rate if rate > self.epsilon => Some(Direction::Tighten),
                rate if rate < 0.5 * self.epsilon => Some(Direction::Loosen),
                _ => None,
            },
            Rule::Peeking if self.outcomes < 30.0 => None,
            Rule::Peeking => {
                let rate = self.failures / self.outcomes;
                let half = 2.576 * libm::sqrt((rate * (1.0 - rate)).max(1e-9) / self.outcomes);
                match () {
                    () if rate - half > self.epsilon => Some(Direction::Tighten),
                    () if rate + half < self.epsilon => Some(Direction::Loosen),
                    () => None,
                }
            }
        }
    }
}

impl Learner for Thumb {
    fn apply(&mut self, event: &Event) -> Option<Said> {
        let Event::Matured(matured) = event else { return None };
        if !matured.route.passed() {
            return None;
        }
        self.remember(matured.tighten == Loss::FULL);
        self.cooling = self.cooling.saturating_sub(1);
        if self.waiting || self.cooling > 0 {
            return None;
        }
        let to = match self.direction()? {
            Direction::Tighten => Cut(self.cut.0.saturating_sub(1).max(1)),
            Direction::Loosen => Cut((self.cut.0 + 1).min(self.bands)),
        };
        self.waiting = to != self.cut;
        self.waiting.then_some(Said { to, expiry: false })
    }

    fn adopted(&mut self, cut: Cut) {
        let cooling = 200;
        *self = Self { cooling, ..Self::new(self.rule, self.epsilon, self.bands, cut) };
    }
}
