//! The watch over a loosening: whether what passes since keeps within ε, tested at a quicker level than that of
//! the tighten detector, since it is known when a change for the worse would have begun.

use serde::{Deserialize, Serialize};

use crate::{
    bits,
    grid::Cut,
    loss::Loss,
    sources::{ACCOUNTS, Source},
    tighten::{Factors, Mixture, RATIOS},
};

/// A test of one loosening, from its first outcome on.
///
/// With the likelihood ratios f_j of the tighten detector, W = mean_j Π f_j(l) starts at 1, and under "the expected
/// loss given the past is at most ε" it is a supermartingale. So by Ville's inequality it reaches (L + 1)/δ with
/// probability at most δ/(L + 1). Of L loosenings per N outcomes and the one before, any that keeps within ε is
/// proposed to be taken back with probability at most δ. Without the outcomes of one source the same holds, so it
/// does for the least of all of them.
///
/// Products are kept as logarithms: a thousand successes leave the range of floats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    from: Cut,
    to: Cut,
    outcomes: u32,
    /// log Π f_j(l), per alternative in use.
    #[serde(with = "bits::array")]
    logs: Mixture,
    /// The part of it that each account of sources contributed.
    sources: Vec<Part>,
    alarmed: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Part(#[serde(with = "bits::array")] Mixture);

impl Watch {
    /// A watch that begins with the next outcome, over a loosening of `from` to `to`.
    pub fn new(from: Cut, to: Cut) -> Self {
        let logs = [0.0; RATIOS.len()];
        Self { from, to, outcomes: 0, logs, sources: Vec::new(), alarmed: false }
    }

    /// The threshold before, to which the loosening would be taken back.
    pub fn from(&self) -> Cut {
        self.from
    }

    /// The threshold that is watched.
    pub fn to(&self) -> Cut {
        self.to
    }

    /// The outcomes so far.
    pub fn outcomes(&self) -> u32 {
        self.outcomes
    }

    /// Whether the level was reached.
    pub fn alarmed(&self) -> bool {
        self.alarmed
    }

    /// Takes in the outcome of a run that passed under the watched threshold; whether the level is reached now.
    /// Only a loss raises an alarm.
    pub fn observe(
        &mut self,
        factors: &Factors,
        level: f64,
        left_out: usize,
        (source, loss): (Source, Loss),
    ) -> bool {
        // An alternative that is not used has factor 0; it stays out of the mean.
        let log = factors.of(loss).times.map(|f| if f > 0.0 { libm::log(f) } else { 0.0 });
        add(&mut self.logs, &log);
        self.outcomes = self.outcomes.saturating_add(1);
        if left_out > 0 {
            let account = source.0 as usize % ACCOUNTS;
            if self.sources.len() <= account {
                self.sources.resize(account + 1, Part::default());
            }
            if let Some(part) = self.sources.get_mut(account) {
                add(&mut part.0, &log);
            }
        }
        let alarm = loss != Loss::NONE && self.least(factors) >= level;
        self.alarmed |= alarm;
        alarm
    }

    /// The e-value W of all outcomes.
    pub fn value(&self, factors: &Factors) -> f64 {
        mean_exp(factors, &self.logs)
    }

    /// The least of the e-values of all outcomes and of those without one account of sources.
    pub fn least(&self, factors: &Factors) -> f64 {
        let without = self.sources.iter().map(|part| {
            let mut logs = self.logs;
            logs.iter_mut().zip(part.0).for_each(|(log, part)| *log -= part);
            mean_exp(factors, &logs)
        });
        without.fold(self.value(factors), f64::min)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.sources.capacity() * size_of::<Part>()
    }
}

fn add(logs: &mut Mixture, more: &Mixture) {
    logs.iter_mut().zip(more).for_each(|(log, more)| *log += more);
}

/// The mean of e^log over the alternatives in use; at most the greatest float.
fn mean_exp(factors: &Factors, logs: &Mixture) -> f64 {
    let used = factors.greatest() + 1;
    let sum: f64 = logs.iter().take(used).map(|log| libm::exp(*log)).sum();
    (sum / used as f64).min(f64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn watch() -> Watch {
        Watch::new(Cut(5), Cut(9))
    }

    #[test]
    fn the_expected_value_at_the_tested_rate_is_what_it_was() {
        let factors = Factors::new(0.05);
        let after = |loss| {
            let mut watch = watch();
            watch.observe(&factors, 500.0, 0, (Source(0), loss));
            watch.value(&factors)
        };
        let mean = 0.95 * after(Loss::NONE) + 0.05 * after(Loss::FULL);
        assert!((mean - 1.0).abs() < 1e-12, "{mean}");
        assert!(0.94 * after(Loss::NONE) + 0.06 * after(Loss::FULL) > 1.0);
    }

    #[test]
    fn one_source_alone_takes_nothing_back() {
        let factors = Factors::new(0.05);
        let mut watch = watch();
        for n in 0..400u32 {
            let liar = n % 20 == 0;
            let loss = if liar { Loss::FULL } else { Loss::NONE };
            let source = Source(if liar { 7 } else { n % 5 });
            assert!(!watch.observe(&factors, 500.0, 3, (source, loss)), "at {n}");
        }
        assert!(!watch.alarmed());
        // Failures of several do.
        let alarm = (0..100u32).position(|n| watch.observe(&factors, 500.0, 3, (Source(n % 5), Loss::FULL)));
        assert!(alarm.is_some_and(|at| at > 3), "{alarm:?}");
    }

    #[test]
    fn a_long_good_time_leaves_a_number() {
        let factors = Factors::new(0.36);
        let mut watch = watch();
        for n in 0..100_000u32 {
            watch.observe(&factors, 500.0, 3, (Source(n % 70), Loss::NONE));
        }
        assert!(watch.value(&factors) >= 0.0 && watch.least(&factors) <= watch.value(&factors));
    }

    proptest! {
        #[test]
        fn it_is_the_product_of_the_likelihood_ratios_and_leaves_each_source_out(
            outcomes in prop::collection::vec((0u32..4, 0u32..=10_000), 1..200),
        ) {
            let factors = Factors::new(0.05);
            let mut watch = watch();
            let slow = |keep: &dyn Fn(u32) -> bool| {
                let mut product = [1.0; RATIOS.len()];
                for (source, loss) in outcomes.iter().filter(|(source, _)| keep(*source)) {
                    let times = factors.of(Loss::try_from(*loss).unwrap()).times;
                    product.iter_mut().zip(times).for_each(|(p, f)| *p *= f);
                    let _ = source;
                }
                product.iter().sum::<f64>() / RATIOS.len() as f64
            };
            for (source, loss) in &outcomes {
                watch.observe(&factors, f64::MAX, 1, (Source(*source), Loss::try_from(*loss).unwrap()));
            }
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs().max(1e-280);
            prop_assert!(near(watch.value(&factors), slow(&|_| true)));
            let least = (0..4).map(|s| slow(&|source| source != s)).fold(slow(&|_| true), f64::min);
            prop_assert!(near(watch.least(&factors), least));
            let text = serde_json::to_string(&watch).unwrap();
            prop_assert_eq!(serde_json::from_str::<Watch>(&text).unwrap(), watch);
        }
    }
}
