//! The evidence of a proposal: every number recomputed from the scope's events, and the same to the last bit.

mod basis;
mod estimates;

use cku_base::{Digest, canonical::CanonicalError};
use serde::{Deserialize, Serialize};

use crate::{
    grid::Cut,
    loss::Loss,
    scope::{Direction, Event, Notice, Proposal, ScopeState, Tables},
    settings::{Declared, Settings},
    sources::Source,
};
pub use basis::ranking_value;
use basis::{Basis, Began, outcome};

/// The points that are kept of the course of an e-value.
const POINTS: usize = 64;

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
    /// N/δ, 2/δ, or (L + 1)/δ where a loosening is taken back, over the same unit as the e-value.
    pub level: f64,
    /// The e-value by outcomes since the detector started, at most 64 points; the last is the proposal.
    pub course: Vec<Point>,
    /// Outcomes since the rate may have changed, by a CUSUM.
    pub outcomes_since_change: u32,
    /// The rate of what passes now, since the detector started.
    pub before: Rate,
    /// The rate of what would pass.
    pub after: Rate,
    /// The least e-value when one source is left out, and which; for a tightening with m > 0; a watch does not say which.
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
    let basis = Basis::of(&proposal);
    let began = replayed.began(basis);
    let segment = events.get(began.at..).unwrap_or_default();
    let outcomes = || segment.iter().filter_map(|event| basis.takes(event));
    let settings = tables.settings();
    let state = &replayed.state;
    let leave_one_out = (proposal.direction == Direction::Tighten && settings.get().left_out > 0)
        .then(|| basis.without_one(tables, state));
    Ok(Evidence {
        claim: claim(settings.get(), basis),
        proposal,
        e_value: basis.value(tables, state, &proposal),
        level: basis.level(settings),
        course: course(tables, start, &proposal, events, began.at),
        outcomes_since_change: state.counts().since_change(),
        before: estimates::rate(outcomes(), proposal.from),
        after: estimates::rate(outcomes(), proposal.to),
        leave_one_out,
        sources: estimates::sources(outcomes()),
        sensitivity: sensitivity(settings.get(), basis, began, &proposal, segment),
        counterfactual: estimates::counterfactual(segment, &proposal),
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
    tighten: Began,
    loosen: Began,
    watch: Began,
    earlier: Vec<(u64, Cut)>,
}

impl Replayed {
    fn began(&self, basis: Basis) -> &Began {
        match basis {
            Basis::Tighten => &self.tighten,
            Basis::Loosen => &self.loosen,
            Basis::Watch { .. } => &self.watch,
        }
    }
}

fn replay(tables: &Tables, start: Cut, events: &[Event]) -> Replayed {
    let state = ScopeState::new(tables, start);
    let [tighten, loosen, watch] = [(); 3].map(|()| Began::new(0, &state));
    let mut replayed = Replayed { state, proposal: None, tighten, loosen, watch, earlier: Vec::new() };
    for (at, event) in events.iter().enumerate() {
        let state = &mut replayed.state;
        let generations =
            [Direction::Tighten, Direction::Loosen].map(|direction| state.generation(direction));
        let cut = state.cut();
        let notice = state.apply(tables, event);
        // An outcome that opens a window is the first of it; other events only clear the way.
        let next = if outcome(event).is_some() { at } else { at + 1 };
        let [tighten, loosen] = generations;
        if state.generation(Direction::Tighten) != tighten {
            replayed.tighten = Began::new(next, state);
        }
        if state.generation(Direction::Loosen) != loosen {
            replayed.loosen = Began::new(next, state);
        }
        if state.watch().is_some_and(|watch| watch.outcomes() == 0) {
            replayed.watch = Began::new(at + 1, state);
        }
        if state.cut() != cut {
            replayed.earlier.push((at as u64, cut));
        }
        replayed.proposal = match notice {
            Some(Notice::Propose(proposal)) => Some(proposal),
            _ => None,
        };
    }
    replayed
}

fn claim(settings: &Declared, basis: Basis) -> Claim {
    let claimed = match basis {
        Basis::Tighten => {
            "within N outcomes a gate that stays within ε is proposed to be tightened with probability at most δ"
        }
        Basis::Loosen => {
            "within N outcomes a loosening to a failure rate above ε is proposed with probability at most δ"
        }
        Basis::Watch { .. } => {
            "within N outcomes a loosening that stays within ε is proposed to be taken back with probability at most δ"
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

/// The readings of the detector since it began.
fn course(tables: &Tables, start: Cut, proposal: &Proposal, events: &[Event], began: usize) -> Vec<Point> {
    let basis = Basis::of(proposal);
    let total = events.iter().skip(began).filter(|event| basis.takes(event).is_some()).count();
    let every = total.div_ceil(POINTS).max(1);
    let mut state = ScopeState::new(tables, start);
    let mut points = Vec::new();
    let mut outcomes = 0usize;
    for (at, event) in events.iter().enumerate() {
        state.apply(tables, event);
        if at >= began && basis.takes(event).is_some() {
            outcomes += 1;
            if outcomes == total || outcomes.is_multiple_of(every) {
                let e_value = basis.value(tables, &state, proposal);
                points.push(Point { outcomes: outcomes as u32, e_value });
            }
        }
    }
    points
}

/// The e-value under other assumptions, by detectors that see the same outcomes.
fn sensitivity(
    declared: &Declared,
    basis: Basis,
    began: &Began,
    proposal: &Proposal,
    segment: &[Event],
) -> Vec<Variation> {
    let variations = [(0.8, 0.0), (1.0, 0.0), (1.2, 0.0), (1.0, 0.01), (1.0, 0.02)];
    let vary = |(times, more): (f64, f64)| {
        let epsilon = declared.epsilon * times;
        let label_noise = declared.label_noise + more;
        let settings = Settings::check(Declared { epsilon, label_noise, ..declared.clone() }).ok()?;
        let e_value = basis.under(&settings, began, proposal.to, segment);
        Some(Variation { epsilon, label_noise, e_value, reached: e_value >= basis.level(&settings) })
    };
    variations.into_iter().filter_map(vary).collect()
}
