//! Leave one source out: the tighten detector without each of the sources that matter most, so that no
//! single one moves a gate.

use serde::{Deserialize, Serialize};

use crate::{
    bits,
    loss::Loss,
    tighten::{Factors, Mixture, RATIOS, Statistic},
};

/// Where an outcome came from: an agent, a skill or a person, numbered by the caller within its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Source(pub u32);

/// Sources whose losses are counted at a time; past it the least one gives way (Space-Saving: Metwally,
/// Agrawal, El Abbadi, 2005), and its successor inherits the count, which errs toward no alarm.
const COUNTED: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Counted {
    source: Source,
    #[serde(with = "bits::one")]
    losses: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Without {
    source: Source,
    statistic: Statistic,
}

/// The detector of all outcomes, and those that leave one of the top m sources out.
///
/// The alarm is on the minimum, which is at most the detector of all outcomes. So whichever sources are
/// left out, and however they are chosen, the bound of [`Statistic`] holds for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TightenDetector {
    all: Statistic,
    without: Vec<Without>,
    counted: Vec<Counted>,
}

impl TightenDetector {
    /// Takes in one matured outcome of a run that passed; `left_out` is m.
    pub fn observe(&mut self, factors: &Factors, source: Source, loss: Loss, left_out: usize) {
        let factor = factors.of(loss);
        if loss != Loss::NONE && left_out > 0 {
            self.count(source, loss, left_out);
        }
        self.all.step(&factor);
        for without in self.without.iter_mut().filter(|without| without.source != source) {
            without.statistic.step(&factor);
        }
    }

    /// The e-detector of all outcomes, mean_j R_j.
    pub fn value(&self, factors: &Factors) -> f64 {
        factors.mean(&self.all.0)
    }

    /// The least of the e-detectors with and without one source, and which was left out for it.
    pub fn least(&self, factors: &Factors) -> (f64, Option<Source>) {
        let all = (factors.mean(&self.all.0), None);
        self.without
            .iter()
            .map(|without| (factors.mean(&without.statistic.0), Some(without.source)))
            .fold(all, |least, other| if other.0 < least.0 { other } else { least })
    }

    /// Whether the least of them is at the level.
    pub fn alarm(&self, factors: &Factors, level: f64, left_out: usize) -> bool {
        // With m > 0 and no source seen to fail there is nothing to alarm about anyway.
        self.value(factors) >= level
            && (left_out == 0 || !self.without.is_empty())
            && self.least(factors).0 >= level
    }

    pub(crate) fn bytes(&self) -> usize {
        self.without.capacity() * size_of::<Without>() + self.counted.capacity() * size_of::<Counted>()
    }

    /// Forgets everything: the threshold changed.
    pub fn restart(&mut self) {
        self.all = Statistic::default();
        self.without.clear();
        self.counted.clear();
    }

    /// Counts a loss of a source, and leaves it out in a detector of its own if it is among the top m.
    fn count(&mut self, source: Source, loss: Loss, left_out: usize) {
        let full = self.counted.len() >= COUNTED;
        let before = match self.counted.iter_mut().find(|counted| counted.source == source) {
            Some(counted) => {
                let before = counted.losses;
                counted.losses += loss.value();
                before
            }
            None if !full => {
                self.counted.push(Counted { source, losses: loss.value() });
                0.0
            }
            None => {
                let least = self.counted.iter_mut().min_by(|a, b| a.losses.total_cmp(&b.losses));
                least.map_or(0.0, |counted| {
                    let before = counted.losses;
                    *counted = Counted { source, losses: before + loss.value() };
                    before
                })
            }
        };
        if self.without.iter().any(|without| without.source == source) {
            return;
        }
        let new = Without { source, statistic: discharged(&self.all, before) };
        if self.without.len() < left_out {
            self.without.push(new);
            return;
        }
        let losses = |of: Source| self.counted.iter().find(|c| c.source == of).map_or(0.0, |c| c.losses);
        let mine = losses(source);
        let least =
            self.without.iter().map(|w| losses(w.source)).enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((at, theirs)) = least
            && theirs < mine
            && let Some(slot) = self.without.get_mut(at)
        {
            *slot = new;
        }
    }
}

/// The statistic as if a source with these losses had never reported, or less.
///
/// R_j is a sum of products of factors. Each loss l of the source multiplied a product by at most
/// (q_j/ε)^l, and its successes made it smaller; so dividing by (q_j/ε)^losses takes out at least its part.
fn discharged(all: &Statistic, losses: f64) -> Statistic {
    let mut mixture: Mixture = all.0;
    if losses > 0.0 {
        for (r, ratio) in mixture.iter_mut().zip(RATIOS) {
            *r /= libm::pow(ratio, losses);
        }
    }
    Statistic(mixture)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Exact detectors without one source, from all outcomes.
    fn exact_without(outcomes: &[(u32, bool)], source: u32, factors: &Factors) -> f64 {
        let mut statistic = Statistic::default();
        for (_, failed) in outcomes.iter().filter(|(from, _)| *from != source) {
            statistic.step(&factors.of(if *failed { Loss::FULL } else { Loss::NONE }));
        }
        factors.mean(&statistic.0)
    }

    fn run(outcomes: &[(u32, bool)], left_out: usize, factors: &Factors) -> TightenDetector {
        let mut detector = TightenDetector::default();
        for (source, failed) in outcomes {
            let loss = if *failed { Loss::FULL } else { Loss::NONE };
            detector.observe(factors, Source(*source), loss, left_out);
        }
        detector
    }

    #[test]
    fn one_source_that_only_fails_raises_no_alarm_and_many_do() {
        let factors = Factors::new(0.05);
        let one: Vec<_> = (0..2_000).map(|n| (n % 20, n % 20 == 7)).collect();
        assert!(run(&one, 3, &factors).value(&factors) < 1e6, "a rate of exactly ε");
        let one: Vec<_> = (0..2_000).map(|n| (n % 5, n % 5 == 2)).collect();
        let detector = run(&one, 3, &factors);
        assert!(detector.value(&factors) > 1e6);
        assert!(!detector.alarm(&factors, 1e6, 3));
        let many: Vec<_> = (0..2_000).map(|n| (n % 7, n % 5 == 2)).collect();
        assert!(run(&many, 3, &factors).alarm(&factors, 1e6, 3));
    }

    #[test]
    fn a_source_that_begins_to_lie_late_takes_the_place_of_another() {
        let factors = Factors::new(0.05);
        let mut outcomes: Vec<_> = (0..2_000u32).map(|n| (n % 20, n % 25 == 3)).collect();
        outcomes.extend((0..4_000u32).map(|n| (n % 10, n % 10 == 9 || n % 25 == 3)));
        let detector = run(&outcomes, 2, &factors);
        assert!(detector.without.iter().any(|without| without.source == Source(9)));
        assert!(!detector.alarm(&factors, 1e6, 2));
        assert!(detector.value(&factors) > 1e6, "it would have without leaving it out");
    }

    proptest! {
        #[test]
        fn what_is_kept_without_a_source_is_at_most_a_little_above_the_exact_value(
            outcomes in prop::collection::vec((0u32..6, prop::bool::weighted(0.2)), 1..200)
        ) {
            let factors = Factors::new(0.05);
            let detector = run(&outcomes, 2, &factors);
            for without in &detector.without {
                let exact = exact_without(&outcomes, without.source.0, &factors);
                // Its own outcomes before its first failure are starts more, each at most 1.
                let kept = factors.mean(&without.statistic.0);
                let starts = outcomes.len() as f64;
                prop_assert!(kept <= exact * (1.0 + starts) + starts, "{kept} against {exact}");
            }
        }
    }
}
