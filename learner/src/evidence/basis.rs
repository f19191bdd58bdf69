//! The detector that a proposal rests on: its value, its level, and the same detector under other settings.

use crate::{
    bets::Bets,
    evidence::LeftOut,
    grid::Cut,
    loosen::LoosenDetector,
    ranking,
    route::Route,
    scope::{Direction, Event, Matured, Proposal, ScopeState, Tables},
    settings::Settings,
    sources::{Source, TightenDetector},
    tighten::Factors,
    watch::Watch,
};

/// Which detector raised a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Basis {
    Tighten,
    Loosen,
    /// The watch over a loosening to this threshold.
    Watch {
        to: Cut,
    },
}

/// Where the evidence of a detector began.
pub(super) struct Began {
    /// The place of the first event that it knows.
    pub(super) at: usize,
    /// The threshold that was active there.
    cut: Cut,
    /// The loosen detector there: what it had to stake, and no evidence.
    loosen: LoosenDetector,
    /// Outcomes of the window until there.
    in_window: u32,
}

impl Began {
    pub(super) fn new(at: usize, state: &ScopeState) -> Self {
        Self { at, cut: state.cut(), loosen: state.loosen().clone(), in_window: state.in_window() }
    }
}

/// The matured outcome that an event is.
pub(super) fn outcome(event: &Event) -> Option<&Matured> {
    if let Event::Matured(matured) = event { Some(matured) } else { None }
}

impl Basis {
    pub(super) fn of(proposal: &Proposal) -> Self {
        match proposal.direction {
            Direction::Tighten if proposal.takes_back => Self::Watch { to: proposal.from },
            Direction::Tighten => Self::Tighten,
            Direction::Loosen => Self::Loosen,
        }
    }

    /// The outcome that an event is, if the detector looks at it.
    pub(super) fn takes<'e>(&self, event: &'e Event) -> Option<&'e Matured> {
        match (self, event) {
            (Self::Watch { to }, Event::Matured(matured) | Event::Tried(matured)) => {
                (matured.cut == *to && matured.route.passed()).then_some(matured)
            }
            _ => outcome(event),
        }
    }

    /// The e-value that speaks for a proposal.
    pub(super) fn value(&self, tables: &Tables, state: &ScopeState, proposal: &Proposal) -> f64 {
        match self {
            Self::Tighten => state.tighten().value(tables.factors()),
            Self::Loosen => weakest(state.loosen(), state.cut(), proposal.to),
            Self::Watch { .. } => state.watch().map_or(1.0, |watch| watch.value(tables.factors())),
        }
    }

    /// The level that it must reach.
    pub(super) fn level(&self, settings: &Settings) -> f64 {
        match self {
            Self::Tighten => settings.tighten_level(),
            Self::Loosen => settings.loosen_level(),
            Self::Watch { .. } => settings.watch_level(),
        }
    }

    /// The least e-value when one source is left out.
    pub(super) fn without_one(&self, tables: &Tables, state: &ScopeState) -> LeftOut {
        let (e_value, source) = match (self, state.watch()) {
            (Self::Watch { .. }, Some(watch)) => (watch.least(tables.factors()), None),
            _ => state.tighten().least(tables.factors()),
        };
        LeftOut { source, e_value }
    }

    /// The e-value under other settings, for the same outcomes.
    pub(super) fn under(&self, settings: &Settings, began: &Began, to: Cut, segment: &[Event]) -> f64 {
        match self {
            Self::Tighten => tighten_under(settings, began.cut, segment),
            Self::Loosen => loosen_under(settings, began, to, segment),
            Self::Watch { to: watched } => {
                let factors = Factors::new(settings.tested_rate());
                let mut watch = Watch::new(to, *watched);
                for m in segment.iter().filter_map(|event| self.takes(event)) {
                    watch.observe(&factors, f64::MAX, 0, (Source(0), m.tighten));
                }
                watch.value(&factors)
            }
        }
    }
}

/// The e-value of a proposal for the ranking over scopes: its expectation is at most 1 where it is wrong.
pub fn ranking_value(tables: &Tables, state: &ScopeState, proposal: &Proposal) -> f64 {
    let (settings, basis) = (tables.settings(), Basis::of(proposal));
    let starts = match basis {
        Basis::Tighten => f64::from(settings.get().window),
        Basis::Loosen => settings.staked(),
        Basis::Watch { .. } => f64::from(settings.get().loosenings + 1),
    };
    ranking::e_value(basis.value(tables, state, proposal), starts)
}

/// The least wealth of the candidates up to a threshold.
fn weakest(detector: &LoosenDetector, cut: Cut, to: Cut) -> f64 {
    let bands = usize::from(to.0.saturating_sub(cut.0));
    let least = detector.wealth().take(bands).fold(f64::INFINITY, f64::min);
    if least.is_finite() { least } else { 0.0 }
}

fn tighten_under(settings: &Settings, cut: Cut, segment: &[Event]) -> f64 {
    let factors = Factors::new(settings.tested_rate());
    let mut detector = TightenDetector::default();
    for m in segment.iter().filter_map(outcome).filter(|m| m.route.passed() && cut.passes(m.band)) {
        detector.observe(&factors, m.source, m.tighten, 0);
    }
    detector.value(&factors)
}

fn loosen_under(settings: &Settings, began: &Began, to: Cut, segment: &[Event]) -> f64 {
    let Some(bets) = Bets::new(settings) else { return 0.0 };
    let (mut detector, mut cut, mut in_window) = (began.loosen.clone(), began.cut, began.in_window);
    for event in segment {
        if outcome(event).is_some() {
            if in_window >= settings.get().window {
                in_window = 0;
                detector.next_window(settings);
            }
            in_window += 1;
        }
        match event {
            Event::Matured(Matured { band, cut: at, route: Route::Certifying(evidence), loosen, .. })
                if *at == cut =>
            {
                detector.observe(settings, &bets, cut, *band, *evidence, *loosen);
            }
            Event::Adopted { cut: next, .. } => {
                detector.advance(next.0.saturating_sub(cut.0));
                cut = *next;
            }
            _ => {}
        }
    }
    weakest(&detector, cut, to)
}
