//! Synthetic worlds: runs in bands with logistic risk, and who lets them through.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::{
    Advisory, Band, Certifying, Cut, Declared, Event, Loss, Matured, Propensity, Route, Source,
    bench::learners::Learner,
};

/// Bands of every world.
pub(super) const BANDS: u16 = 40;
/// The threshold that a world starts with.
pub(super) const START: Cut = Cut(32);
/// The rise of log-odds from the safest to the riskiest band.
const SLOPE: f64 = 4.0;
/// Runs between a proposal and its activation.
pub(super) const APPROVAL_DELAY: u64 = 100;
/// Agents, of which one may lie.
const SOURCES: u64 = 20;

/// What a world is like.
#[derive(Debug, Clone)]
pub(super) struct World {
    /// From which run on which failure rate of the runs below [`START`]; the first is from 0.
    pub(super) rates: Vec<(u64, f64)>,
    /// The probability of exploration; none for 0.
    pub(super) exploration: Option<Propensity>,
    /// The bands that exploration reaches.
    pub(super) reach: u16,
    /// Whether one of the 20 sources always reports failure.
    pub(super) liar: bool,
    /// The share of labels that are flipped.
    pub(super) flips: f64,
    /// Whether people let the runs through that they expect to succeed.
    pub(super) people: bool,
    /// Whether what people let through is taken for explored, as one must not.
    pub(super) mistaken: bool,
}

impl World {
    /// A world that stays at one rate, honest, without exploration and people.
    pub(super) fn steady(rate: f64) -> Self {
        Self {
            rates: vec![(0, rate)],
            exploration: None,
            reach: Declared::default().exploration_bands,
            liar: false,
            flips: 0.0,
            people: false,
            mistaken: false,
        }
    }

    /// The same with another rate from a run on.
    pub(super) fn then(mut self, from: u64, rate: f64) -> Self {
        self.rates.push((from, rate));
        self
    }

    /// The same with exploration at a rate in ten-thousandths.
    pub(super) fn explored(mut self, points: u32) -> Self {
        self.exploration = Propensity::try_from(points).ok();
        self
    }
}

/// The risks of the bands such that the runs below a cut fail at this rate, by bisection.
pub(super) fn risks(cut: Cut, rate: f64) -> Vec<f64> {
    let at = |shift: f64| -> Vec<f64> {
        (0..BANDS).map(|b| logistic(shift + SLOPE * (f64::from(b) + 0.5) / f64::from(BANDS))).collect()
    };
    let (mut low, mut high) = (-20.0, 10.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if passed_rate(&at(middle), cut) < rate { low = middle } else { high = middle }
    }
    at(0.5 * (low + high))
}

/// The failure rate of the runs that pass at a cut; bands are equally frequent.
pub(super) fn passed_rate(risks: &[f64], cut: Cut) -> f64 {
    let passing = risks.iter().take(usize::from(cut.0));
    let n = f64::from(cut.0.max(1));
    passing.sum::<f64>() / n
}

/// The loosest cut whose rate is within the budget.
pub(super) fn best_cut(risks: &[f64], epsilon: f64) -> Cut {
    let within = (1..=BANDS).rev().map(Cut).find(|cut| passed_rate(risks, *cut) <= epsilon);
    within.unwrap_or(Cut(1))
}

/// What a learner proposed in a world.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proposed {
    /// At which run.
    pub(super) run: u64,
    /// From where.
    pub(super) from: Cut,
    /// To where.
    pub(super) to: Cut,
    /// The true failure rate at `from` then.
    pub(super) rate_from: f64,
    /// The true failure rate at `to` then.
    pub(super) rate_to: f64,
    /// Whether it is the declared end of a tightening, not a proposal.
    pub(super) expiry: bool,
}

/// What happened in a world.
#[derive(Debug, Clone, Default)]
pub(super) struct Course {
    /// Every proposal.
    pub(super) proposed: Vec<Proposed>,
    /// The cut at the end.
    pub(super) cut: Cut0,
    /// The risks at the end.
    pub(super) risks: Vec<f64>,
    /// Expected failures above ε among the runs that passed since the last change of the rate.
    pub(super) escapes: f64,
    /// Runs since the last change of the rate.
    pub(super) since: u64,
    /// The mean number of passing bands since the last change of the rate, as a share of all bands.
    pub(super) passing: f64,
}

/// The cut at the end of a course, as a number of bands.
pub(super) type Cut0 = u16;

/// Lets a learner see a world for so many runs, or outcomes of passed runs, or until its first proposal.
pub(super) struct Simulation<'a> {
    /// The world.
    pub(super) world: &'a World,
    /// ε.
    pub(super) epsilon: f64,
    /// The most runs.
    pub(super) runs: u64,
    /// The most outcomes of passed runs.
    pub(super) passed: u64,
    /// Whether to stop at the first proposal of this sort.
    pub(super) stop: fn(&Proposed) -> bool,
}

impl Simulation<'_> {
    /// The course of the world numbered `number` under this seed.
    pub(super) fn run(&self, learner: &mut dyn Learner, seed: u64, number: u64) -> Course {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        let phases: Vec<(u64, Vec<f64>)> =
            self.world.rates.iter().map(|(from, rate)| (*from, risks(START, *rate))).collect();
        let last_change = phases.last().map_or(0, |(from, _)| *from);
        let mut course = Course::default();
        let mut cut = START;
        let mut pending: Option<(u64, Cut)> = None;
        let mut passed = 0;
        let mut phase = 0;
        let mut excess = 0.0;
        for run in 0..self.runs {
            if phases.get(phase + 1).is_some_and(|(from, _)| run >= *from) {
                phase += 1;
                excess = f64::NAN;
            }
            let Some((_, risks)) = phases.get(phase) else { break };
            if pending.is_some_and(|(due, _)| run >= due)
                && let Some((_, to)) = pending.take()
            {
                cut = to;
                learner.adopted(cut);
                excess = f64::NAN;
            }
            if excess.is_nan() {
                let rate = passed_rate(risks, cut);
                excess = (rate - self.epsilon).max(0.0) * f64::from(cut.0) / f64::from(BANDS);
            }
            if run >= last_change {
                course.escapes += excess;
                course.since += 1;
                course.passing += f64::from(cut.0) / f64::from(BANDS);
            }
            let event = self.event(&mut rng, risks, cut);
            if let Event::Matured(matured) = &event {
                passed += u64::from(matured.route.passed());
            }
            if let Some(said) = learner.apply(&event)
                && pending.is_none()
            {
                let proposed = Proposed {
                    run,
                    from: cut,
                    to: said.to,
                    rate_from: passed_rate(risks, cut),
                    rate_to: passed_rate(risks, said.to),
                    expiry: said.expiry,
                };
                course.proposed.push(proposed);
                if (self.stop)(&proposed) {
                    break;
                }
                let delay = if said.expiry { 0 } else { APPROVAL_DELAY };
                pending = Some((run + delay, said.to));
            }
            if passed >= self.passed {
                break;
            }
        }
        course.cut = cut.0;
        course.risks = phases.into_iter().nth(phase).map(|(_, risks)| risks).unwrap_or_default();
        course.passing /= course.since.max(1) as f64;
        course
    }

    fn event(&self, rng: &mut ChaCha8Rng, risks: &[f64], cut: Cut) -> Event {
        let world = self.world;
        let bits = rng.next_u64();
        // Three draws from one: 24 bits of band, 16 of source, 24 of the draws that are rarely needed.
        let at = ((bits >> 40) * u64::from(BANDS)) >> 24;
        let source = ((bits & 0xffff) * SOURCES) >> 16;
        let band = Band(at as u16);
        let risk = risks.get(usize::from(band.0)).copied().unwrap_or(1.0);
        let failed = uniform(rng) < risk;
        let route = if cut.passes(band) {
            let certifying = |propensity| Route::Certifying(Certifying::Passed { propensity });
            world.exploration.map_or(Route::PassedUnexplorable, certifying)
        } else {
            let within = band.0 < cut.0 + world.reach;
            match world.exploration {
                Some(propensity) if within && !world.mistaken && uniform(rng) < propensity.probability() => {
                    Route::Certifying(Certifying::Explored { propensity })
                }
                _ if world.people && within && uniform(rng) < if failed { 0.1 } else { 0.9 } => {
                    match (world.mistaken, world.exploration) {
                        (true, Some(propensity)) => Route::Certifying(Certifying::Explored { propensity }),
                        _ => Route::Advisory(Advisory),
                    }
                }
                _ => return Event::Held(band),
            }
        };
        let mut seen = failed || (world.liar && source == 7);
        if world.flips > 0.0 && uniform(rng) < world.flips {
            seen = !seen;
        }
        let loss = if seen { Loss::FULL } else { Loss::NONE };
        let source = Source(source as u32);
        Event::Matured(Matured { band, cut, route, source, tighten: loss, loosen: loss })
    }
}

/// A number in [0, 1) of 53 bits.
pub(super) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

fn logistic(at: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_has_the_rate_it_was_asked_for() {
        for rate in [0.03, 0.05, 0.25] {
            let risks = risks(START, rate);
            assert!((passed_rate(&risks, START) - rate).abs() < 1e-12);
            assert!(risks.is_sorted());
        }
        assert_eq!(best_cut(&risks(START, 0.05 - 1e-9), 0.05), START);
        assert!(best_cut(&risks(START, 0.15), 0.05) < Cut(20));
        assert!(best_cut(&risks(START, 0.03), 0.05) > START);
    }
}
