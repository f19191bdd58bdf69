//! Since when the rate may be another: a CUSUM.

use serde::{Deserialize, Serialize};

use crate::{bits, loss::Loss, tighten::Factors};

/// A CUSUM (Page, 1954) for twice the odds of ε against ε: Z ← max(0, Z + log f(l)); its last zero is the estimate of
/// the change point. An estimate only: alarms come from elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cusum(#[serde(with = "bits::one")] f64);

/// The logarithms of the likelihood ratio that a CUSUM adds up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Increments {
    success: f64,
    failure: f64,
}

impl Increments {
    /// For a tested rate below 0.95.
    pub fn new(factors: &Factors) -> Self {
        let rate = factors.rate();
        // Not twice the rate: from a third on that is near certainty, against which anything less looks like ε.
        let odds = 2.0 * rate / (1.0 - rate);
        let other = odds / (1.0 + odds);
        Self { success: libm::log((1.0 - other) / (1.0 - rate)), failure: libm::log(other / rate) }
    }
}

impl Cusum {
    /// Takes in one outcome; true where it is at zero afterwards.
    pub fn step(&mut self, by: &Increments, loss: Loss) -> bool {
        let l = loss.value();
        self.0 = (self.0 + l * by.failure + (1.0 - l) * by.success).max(0.0);
        self.0 <= 0.0
    }

    /// Back to zero.
    pub fn restart(&mut self) {
        self.0 = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_a_great_budget_a_rise_by_a_third_is_not_taken_for_its_absence() {
        let by = Increments::new(&Factors::new(0.36));
        let mut cusum = Cusum::default();
        let mut last = 0;
        for n in 0..1_000 {
            let fails = if n < 400 { n % 3 == 0 } else { n % 2 == 0 };
            if cusum.step(&by, if fails { Loss::FULL } else { Loss::NONE }) {
                last = n;
            }
        }
        assert!((395..=405).contains(&last), "{last}");
    }

    #[test]
    fn the_last_zero_is_where_failures_began() {
        let by = Increments::new(&Factors::new(0.05));
        let mut cusum = Cusum::default();
        let mut last = 0;
        for n in 0..600 {
            let fails = if n < 400 { n % 25 == 0 } else { n % 6 == 0 };
            if cusum.step(&by, if fails { Loss::FULL } else { Loss::NONE }) {
                last = n;
            }
        }
        assert!((380..=410).contains(&last), "{last}");
    }
}
