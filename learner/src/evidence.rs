//! The evidence of a proposal: every number recomputed from the scope's events, and the same to the last bit.

use std::collections::BTreeMap;

use cku_base::{Digest, canonical::CanonicalError};
use serde::{Deserialize, Serialize};

use crate::{
    confidence,
    grid::Cut,
    loosen::{Bets, LoosenDetector},
    loss::Loss,
    ranking,
    route::{Certifying, Route},
    scope::{Direction, Event, Matured, Notice, Proposal, ScopeState, Tables},
    settings::{Declared, Settings},
    sources::{Source, TightenDetector},
    tighten::Factors,
};

/// The points that are kept of the course of an e-value.
const POINTS: usize = 64;
/// The level of the intervals of rates.
const ALPHA: f64 = 0.05;

/// What a proposal rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The promise.
    pub claim: Claim,
    /// What is proposed.
    pub proposal: Proposal,
    /// The detector's e-value. A loosening stays certified once every candidate up to it reached the level, so it
    /// may be below it again; the course shows it.
    pub e_value: f64,
    /// N/δ or (J + L)/δ, over the same unit as the e-value.
    pub level: f64,
    /// The e-value by outcomes since the detector started, at most 64 points; the last is the proposal.
    pub course: Vec<Point>,
    /// Outcomes since the rate may have changed, by a CUSUM.
    pub outcomes_since_change: u32,
    /// The rate of what passes now, since the detector started.
    pub before: Rate,
    /// The rate of what would pass.
    pub after: Rate,
    /// The least e-value when one source is left out, and which; for a tightening with m > 0.
    pub leave_one_out: Option<LeftOut>,
    /// What each source contributed since the detector started, the most losses first, at most 20.
    pub sources: Vec<Share>,
    /// The e-value under other assumptions.
    pub sensitivity: Vec<Variation>,
    /// What is known of the runs between the two thresholds.
    pub counterfactual: Counterfactual,
    /// Earlier thresholds of this scope and the number of the event that made each active.
    pub earlier: Vec<(u64, Cut)>,
    /// The digest of the events that all of this is computed from.
    pub events: Digest,
}

/// The promise of a proposal, in its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// ε.
    pub epsilon: f64,
    /// δ.
    pub delta: f64,
    /// N.
    pub window: u32,
    /// η.
    pub label_noise: f64,
    /// What is claimed.
    pub claimed: String,
}

/// An e-value after so many outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Outcomes since the detector started.
    pub outcomes: u32,
    /// The e-value.
    pub e_value: f64,
}

/// A failure rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// The estimate, explored runs weighted by 1/p.
    pub estimate: f64,
    /// Outcomes that it rests on.
    pub outcomes: u32,
    /// An interval of 95 % that holds at every look; none where runs are weighted.
    pub interval: Option<(f64, f64)>,
}

/// The detector without one source.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The source without which least is left; none where none makes it less.
    pub source: Option<Source>,
    /// The e-value without it.
    pub e_value: f64,
}

/// What a source contributed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The source.
    pub source: Source,
    /// Its outcomes.
    pub outcomes: u32,
    /// Their losses, in ten-thousandths.
    pub losses: u64,
}

/// The e-value under another assumption.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Variation {
    /// ε.
    pub epsilon: f64,
    /// η.
    pub label_noise: f64,
    /// The e-value.
    pub e_value: f64,
    /// Whether it reaches the level.
    pub reached: bool,
}

/// Runs between the two thresholds since the detector started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counterfactual {
    /// They passed, and their outcomes are known.
    pub observed: Tally,
    /// Exploration let them through.
    pub explored: Tally,
    /// A person let them through: an estimate at most, as that person chose them.
    pub advisory: Tally,
    /// They did not go ahead; how they would have ended nobody knows.
    pub unobserved: u32,
}

/// Outcomes and their losses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Outcomes.
    pub outcomes: u32,
    /// Losses, in ten-thousandths.
    pub losses: u64,
}

impl Tally {
    fn add(&mut self, loss: Loss) {
        self.outcomes += 1;
        self.losses += u64::from(loss.get());
    }
}

/// Why there is no evidence, or it is not what was claimed.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The last event makes no proposal.
    #[error("the last of the {0} events makes no proposal")]
    NoProposal(usize),
    /// The recomputed evidence is another.
    #[error("recomputed from the events the evidence has the digest {found}, not {claimed}")]
    Differs {
        /// What was claimed.
        claimed: Digest,
        /// What was computed.
        found: Digest,
    },
    /// A value has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

impl Evidence {
    /// The digest of its canonical JSON.
    pub fn digest(&self) -> Result<Digest, CanonicalError> {
        Digest::of_canonical(self)
    }
}

/// The evidence of the proposal that the last of these events made, in a scope that began at `start`.
pub fn gather(tables: &Tables, start: Cut, events: &[Event]) -> Result<Evidence, EvidenceError> {
    let replayed = replay(tables, start, events);
    let Some(proposal) = replayed.proposal else { return Err(EvidenceError::NoProposal(events.len())) };
    let (began, cut) = match proposal.direction {
        Direction::Tighten => replayed.tighten,
        Direction::Loosen => replayed.loosen,
    };
    let segment = events.get(began..).unwrap_or_default();
    let matured = || segment.iter().filter_map(matured);
    let settings = tables.settings().get();
    let (e_value, level) = reading(tables, &replayed.state, &proposal);
    let sources = sources(matured());
    let (least, source) = replayed.state.tighten().least(tables.factors());
    let leave_one_out = (proposal.direction == Direction::Tighten && settings.left_out > 0)
        .then_some(LeftOut { source, e_value: least });
    let since = replayed.state.counts().since_change();
    Ok(Evidence {
        claim: claim(settings, proposal.direction),
        proposal,
        e_value,
        level,
        course: course(tables, start, &proposal, events, began),
        outcomes_since_change: since,
        before: rate(matured(), proposal.from),
        after: rate(matured(), proposal.to),
        leave_one_out,
        sources,
        sensitivity: sensitivity(tables, cut, &proposal, segment),
        counterfactual: counterfactual(segment, &proposal),
        earlier: replayed.earlier,
        events: Digest::of_canonical(&events)?,
    })
}

/// Recomputes the evidence and compares it bit for bit.
pub fn verify(
    tables: &Tables,
    start: Cut,
    events: &[Event],
    claimed: Digest,
) -> Result<Evidence, EvidenceError> {
    let evidence = gather(tables, start, events)?;
    let found = evidence.digest()?;
    if found == claimed { Ok(evidence) } else { Err(EvidenceError::Differs { claimed, found }) }
}

struct Replayed {
    state: ScopeState,
    proposal: Option<Proposal>,
    /// The places of the first event that the detectors for tightening and for loosening know, and the thresholds
    /// that were active there.
    tighten: (usize, Cut),
    loosen: (usize, Cut),
    earlier: Vec<(u64, Cut)>,
}

fn replay(tables: &Tables, start: Cut, events: &[Event]) -> Replayed {
    let mut state = ScopeState::new(tables, start);
    let began = (0, start);
    let mut replayed =
        Replayed { state: state.clone(), proposal: None, tighten: began, loosen: began, earlier: Vec::new() };
    for (at, event) in events.iter().enumerate() {
        let generations =
            [Direction::Tighten, Direction::Loosen].map(|direction| state.generation(direction));
        let cut = state.cut();
        let notice = state.apply(tables, event);
        // An outcome that opens a window is the first of it; other events only clear the way.
        let next = (if matured(event).is_some() { at } else { at + 1 }, state.cut());
        let [tighten, loosen] = generations;
        if state.generation(Direction::Tighten) != tighten {
            replayed.tighten = next;
        }
        if state.generation(Direction::Loosen) != loosen {
            replayed.loosen = next;
        }
        if state.cut() != cut {
            replayed.earlier.push((at as u64, cut));
        }
        replayed.proposal = match notice {
            Some(Notice::Propose(proposal)) => Some(proposal),
            _ => None,
        };
    }
    replayed.state = state;
    replayed
}

fn claim(settings: &Declared, direction: Direction) -> Claim {
    let claimed = match direction {
        Direction::Tighten => {
            "within N outcomes a gate that stays within ε is proposed to be tightened with probability at most δ"
        }
        Direction::Loosen => {
            "within N outcomes a loosening to a failure rate above ε is proposed with probability at most δ"
        }
    };
    Claim {
        epsilon: settings.epsilon,
        delta: settings.delta,
        window: settings.window,
        label_noise: settings.label_noise,
        claimed: claimed.to_owned(),
    }
}

/// The value that speaks for a proposal, and its level.
fn reading(tables: &Tables, state: &ScopeState, proposal: &Proposal) -> (f64, f64) {
    match proposal.direction {
        Direction::Tighten => (state.tighten().value(tables.factors()), tables.settings().tighten_level()),
        Direction::Loosen => {
            (weakest(state.loosen(), state.cut(), proposal.to), tables.settings().loosen_level())
        }
    }
}

/// The least wealth of the candidates up to a threshold.
fn weakest(detector: &LoosenDetector, cut: Cut, to: Cut) -> f64 {
    let bands = usize::from(to.0.saturating_sub(cut.0));
    let least = detector.wealth().take(bands).fold(f64::INFINITY, f64::min);
    if least.is_finite() { least } else { 0.0 }
}

fn matured(event: &Event) -> Option<&Matured> {
    if let Event::Matured(matured) = event { Some(matured) } else { None }
}

/// The readings of the detector since it began.
fn course(tables: &Tables, start: Cut, proposal: &Proposal, events: &[Event], began: usize) -> Vec<Point> {
    let total = events.iter().skip(began).filter(|event| matured(event).is_some()).count();
    let every = total.div_ceil(POINTS).max(1);
    let mut state = ScopeState::new(tables, start);
    let mut points = Vec::new();
    let mut outcomes = 0usize;
    for (at, event) in events.iter().enumerate() {
        state.apply(tables, event);
        if at >= began && matured(event).is_some() {
            outcomes += 1;
            if outcomes == total || outcomes.is_multiple_of(every) {
                let e_value = reading(tables, &state, proposal).0;
                points.push(Point { outcomes: outcomes as u32, e_value });
            }
        }
    }
    points
}

/// The e-value under other assumptions, by detectors that see the same outcomes; `cut` was active at the first.
fn sensitivity(tables: &Tables, cut: Cut, proposal: &Proposal, segment: &[Event]) -> Vec<Variation> {
    let declared = tables.settings().get();
    let variations = [(0.8, 0.0), (1.0, 0.0), (1.2, 0.0), (1.0, 0.01), (1.0, 0.02)];
    let vary = |(times, more): (f64, f64)| {
        let epsilon = declared.epsilon * times;
        let label_noise = declared.label_noise + more;
        let settings = Settings::check(Declared { epsilon, label_noise, ..declared.clone() }).ok()?;
        let (e_value, level) = match proposal.direction {
            Direction::Tighten => (tighten_under(&settings, cut, segment), settings.tighten_level()),
            Direction::Loosen => {
                (loosen_under(&settings, cut, proposal.to, segment), settings.loosen_level())
            }
        };
        Some(Variation { epsilon, label_noise, e_value, reached: e_value >= level })
    };
    variations.into_iter().filter_map(vary).collect()
}

fn tighten_under(settings: &Settings, cut: Cut, segment: &[Event]) -> f64 {
    let factors = Factors::new(settings.tested_rate());
    let mut detector = TightenDetector::default();
    for m in segment.iter().filter_map(matured).filter(|m| m.route.passed() && cut.passes(m.band)) {
        detector.observe(&factors, m.source, m.tighten, 0);
    }
    detector.value(&factors)
}

fn loosen_under(settings: &Settings, mut cut: Cut, to: Cut, segment: &[Event]) -> f64 {
    let Some(bets) = Bets::new(settings) else { return 0.0 };
    let mut detector = LoosenDetector::new(settings);
    for event in segment {
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

fn sources<'a>(matured: impl Iterator<Item = &'a Matured>) -> Vec<Share> {
    let mut all: BTreeMap<Source, Tally> = BTreeMap::new();
    matured.for_each(|m| all.entry(m.source).or_default().add(m.tighten));
    let share =
        |(source, tally): (Source, Tally)| Share { source, outcomes: tally.outcomes, losses: tally.losses };
    let mut shares: Vec<Share> = all.into_iter().map(share).collect();
    shares.sort_by_key(|share| (std::cmp::Reverse(share.losses), share.source));
    shares.truncate(20);
    shares
}

/// The rate of the runs below a cut, by certifying evidence.
fn rate<'a>(matured: impl Iterator<Item = &'a Matured>, cut: Cut) -> Rate {
    let (mut losses, mut weights, mut outcomes, mut weighted) = (0.0, 0.0, 0u32, false);
    for m in matured.filter(|m| cut.passes(m.band)) {
        let weight = match m.route {
            Route::Certifying(Certifying::Explored { propensity }) => {
                weighted = true;
                1.0 / propensity.probability()
            }
            Route::Certifying(Certifying::Passed { .. }) | Route::PassedUnexplorable => 1.0,
            Route::Advisory(_) => continue,
        };
        losses += weight * m.tighten.value();
        weights += weight;
        outcomes += 1;
    }
    let estimate = if weights > 0.0 { losses / weights } else { 0.0 };
    let interval = (!weighted).then(|| confidence::interval(losses, weights, ALPHA));
    Rate { estimate, outcomes, interval }
}

fn counterfactual(segment: &[Event], proposal: &Proposal) -> Counterfactual {
    let (low, high) = (proposal.from.min(proposal.to), proposal.from.max(proposal.to));
    let mut counts = Counterfactual::default();
    for event in segment {
        match event {
            Event::Held(band) if high.passes(*band) && !low.passes(*band) => counts.unobserved += 1,
            Event::Matured(m) if high.passes(m.band) && !low.passes(m.band) => match m.route {
                Route::Certifying(Certifying::Passed { .. }) | Route::PassedUnexplorable => {
                    counts.observed.add(m.tighten)
                }
                Route::Certifying(Certifying::Explored { .. }) => counts.explored.add(m.tighten),
                Route::Advisory(_) => counts.advisory.add(m.tighten),
            },
            _ => {}
        }
    }
    counts
}

/// The e-value of a proposal for the ranking over scopes: its expectation is at most 1 where it is wrong.
pub fn ranking_value(tables: &Tables, state: &ScopeState, proposal: &Proposal) -> f64 {
    let settings = tables.settings();
    let starts = match proposal.direction {
        Direction::Tighten => f64::from(settings.get().window),
        Direction::Loosen => f64::from(settings.starts()),
    };
    ranking::e_value(reading(tables, state, proposal).0, starts)
}
