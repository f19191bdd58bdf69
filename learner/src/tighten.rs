//! The tighten detector: a mixture of Shiryaev–Roberts e-detectors for "the failure rate is above ε".

use serde::{Deserialize, Serialize};

use crate::{bits, loss::Loss};

/// The alternatives q_j, as multiples of ε.
pub const RATIOS: [f64; 6] = [1.25, 1.5, 2.0, 3.0, 5.0, 8.0];

/// An alternative at or above this rate is left out.
const GREATEST_ALTERNATIVE: f64 = 0.95;

/// One number per alternative.
pub type Mixture = [f64; RATIOS.len()];

/// The likelihood ratios f_j(l) = (q_j/ε)^l · ((1−q_j)/(1−ε))^(1−l), for the losses that occur.
///
/// E f_j(l) ≤ 1 whenever E l ≤ ε: for l in {0, 1} f_j is linear in l with E f_j = 1 at ε and rising, and
/// for l between them it is convex, so below that line.
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    rate: f64,
    alternatives: usize,
    success: Factor,
    failure: Factor,
}

/// The factors of one loss, and one over each; both are 0 for an alternative that is not used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factor {
    /// f_j(l).
    pub times: Mixture,
    /// 1/f_j(l).
    pub over: Mixture,
}

impl Factor {
    fn new(times: Mixture) -> Self {
        Self { times, over: times.map(|f| if f > 0.0 { 1.0 / f } else { 0.0 }) }
    }
}

impl Factors {
    /// The factors against a tested rate.
    pub fn new(rate: f64) -> Self {
        let used = |ratio: f64| ratio * rate < GREATEST_ALTERNATIVE;
        let alternatives = RATIOS.iter().filter(|ratio| used(**ratio)).count().max(1);
        // One that is not used has factor 0, so its statistic stays 0.
        let success = RATIOS.map(|r| if used(r) { (1.0 - r * rate) / (1.0 - rate) } else { 0.0 });
        let failure = RATIOS.map(|r| if used(r) { r } else { 0.0 });
        Self { rate, alternatives, success: Factor::new(success), failure: Factor::new(failure) }
    }

    /// The tested rate.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// The factors of a success or a failure, which need no computation.
    pub fn known(&self, loss: Loss) -> Option<&Factor> {
        match loss {
            Loss::NONE => Some(&self.success),
            Loss::FULL => Some(&self.failure),
            _ => None,
        }
    }

    /// The place of the greatest alternative in use.
    pub(crate) fn greatest(&self) -> usize {
        self.alternatives - 1
    }

    /// The factors of one loss.
    pub fn of(&self, loss: Loss) -> Factor {
        match loss {
            Loss::NONE => self.success,
            Loss::FULL => self.failure,
            partial => {
                let l = partial.value();
                let mut all = self.success.times;
                for (factor, failure) in all.iter_mut().zip(self.failure.times) {
                    if *factor > 0.0 {
                        *factor = libm::pow(failure, l) * libm::pow(*factor, 1.0 - l);
                    }
                }
                Factor::new(all)
            }
        }
    }

    /// The mean over the alternatives in use.
    pub fn mean(&self, mixture: &Mixture) -> f64 {
        mixture.iter().sum::<f64>() / self.alternatives as f64
    }
}

/// The statistics R_j.
///
/// On each outcome R_j ← (R_j + 1)·f_j(l). Under "the expected loss given the past is at most ε"
/// `E[R_j | past] ≤ R_j + 1`, so mean_j R_j + (N − t) is a non-negative supermartingale that starts at N, and by
/// Ville's inequality it reaches N/δ within N outcomes with probability at most δ (Shin, Ramdas, Rinaldo:
/// E-detectors, arXiv 2203.03532). Outcomes need not be independent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Statistic(#[serde(with = "bits::array")] pub(crate) Mixture);

impl Statistic {
    /// Takes in one outcome.
    pub fn step(&mut self, factors: &Mixture) {
        for (r, factor) in self.0.iter_mut().zip(factors) {
            *r = (*r + 1.0) * factor;
        }
    }

    /// Keeps the numbers finite, where an alarm is held back: far above any level.
    pub(crate) fn hold(&mut self) {
        const CEILING: f64 = 1e200;
        self.0.iter_mut().for_each(|r| *r = r.min(CEILING));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistic_is_the_sum_over_all_starts() {
        let factors = Factors::new(0.05);
        let losses = [0, 10_000, 0, 5_000, 10_000, 0, 0, 10_000].map(|l| Loss::try_from(l).unwrap());
        let mut statistic = Statistic::default();
        losses.iter().for_each(|l| statistic.step(&factors.of(*l).times));
        for (j, ratio) in RATIOS.iter().enumerate() {
            let q: f64 = ratio * 0.05;
            let mut sum = 0.0;
            for start in 0..losses.len() {
                let logs = losses[start..].iter().map(|l| {
                    let l = l.value();
                    l * (q / 0.05).ln() + (1.0 - l) * ((1.0 - q) / 0.95).ln()
                });
                sum += logs.sum::<f64>().exp();
            }
            assert!((statistic.0[j] / sum - 1.0).abs() < 1e-12, "{ratio}");
        }
    }

    #[test]
    fn every_factor_is_an_e_value_at_the_tested_rate() {
        for rate in [0.0001, 0.05, 0.2, 0.5] {
            let factors = Factors::new(rate);
            let (no, yes) = (factors.of(Loss::NONE).times, factors.of(Loss::FULL).times);
            for j in 0..RATIOS.len() {
                let mean = (1.0 - rate) * no[j] + rate * yes[j];
                assert!(mean == 0.0 || (mean - 1.0).abs() < 1e-12, "{rate} {j}");
                for points in [1, 100, 5_000, 9_999] {
                    let loss = Loss::try_from(points).unwrap();
                    let line = no[j] + (yes[j] - no[j]) * loss.value();
                    assert!(factors.of(loss).times[j] <= line + 1e-12, "convex, so below the line");
                }
            }
        }
    }

    #[test]
    fn an_alternative_that_is_no_rate_is_left_out() {
        let factors = Factors::new(0.2);
        let mut statistic = Statistic::default();
        statistic.step(&factors.of(Loss::FULL).times);
        assert_eq!(statistic.0, [1.25, 1.5, 2.0, 3.0, 0.0, 0.0]);
        assert!((factors.mean(&statistic.0) - 7.75 / 4.0).abs() < 1e-12);
    }
}
