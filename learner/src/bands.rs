//! What is known of each band, and of the time since the rate last changed.

use serde::{Deserialize, Serialize};

use crate::{bits, grid::Band, isotonic, loss::Loss};

/// Counts per band: discounted over all outcomes, and plain since the change point.
///
/// Discounting is by growing weights: an outcome now weighs 2^(1/h) of what the one before did, h the half-life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BandCounts {
    #[serde(with = "bits::list")]
    outcomes: Vec<f64>,
    #[serde(with = "bits::list")]
    losses: Vec<f64>,
    #[serde(with = "bits::list")]
    decisions: Vec<f64>,
    /// The weight of the next outcome.
    #[serde(with = "bits::one")]
    weight: f64,
    /// Outcomes since the change point.
    since: Vec<u32>,
    #[serde(with = "bits::one")]
    since_losses: f64,
    since_total: u32,
}

impl BandCounts {
    /// No counts yet for so many bands.
    pub fn new(bands: u16) -> Self {
        let bands = usize::from(bands);
        Self {
            outcomes: vec![0.0; bands],
            losses: vec![0.0; bands],
            decisions: vec![0.0; bands],
            weight: 1.0,
            since: vec![0; bands],
            since_losses: 0.0,
            since_total: 0,
        }
    }

    /// A run of this band was decided on, whether it went ahead or not; `growth` is 2^(1/h).
    pub fn decided(&mut self, band: Band, growth: f64) {
        /// Long before the weights overflow.
        const LARGE: f64 = 1e100;
        self.weight *= growth;
        if self.weight > LARGE {
            let shrink = 1.0 / self.weight;
            let all = self.outcomes.iter_mut().chain(&mut self.losses).chain(&mut self.decisions);
            all.for_each(|count| *count *= shrink);
            self.weight = 1.0;
        }
        if let Some(decisions) = self.decisions.get_mut(usize::from(band.0)) {
            *decisions += self.weight;
        }
    }

    /// A run of this band ended; whether it counts as being since the change point is for the caller.
    pub fn ended(&mut self, band: Band, loss: Loss, since_change: bool) {
        let at = usize::from(band.0);
        if let (Some(outcomes), Some(losses)) = (self.outcomes.get_mut(at), self.losses.get_mut(at)) {
            *outcomes += self.weight;
            *losses += self.weight * loss.value();
        }
        if since_change && let Some(since) = self.since.get_mut(at) {
            *since += 1;
            self.since_losses += loss.value();
            self.since_total += 1;
        }
    }

    /// The rate may have changed here: what was counted since the last time is forgotten.
    pub fn change_point(&mut self) {
        if self.since_total > 0 {
            self.since.fill(0);
            self.since_losses = 0.0;
            self.since_total = 0;
        }
    }

    /// Outcomes since the change point.
    pub fn since_change(&self) -> u32 {
        self.since_total
    }

    /// Outcomes since the change point per band, and the sum of their losses.
    pub fn since(&self) -> (impl Iterator<Item = (usize, u32)>, f64) {
        (self.since.iter().copied().enumerate().filter(|(_, n)| *n > 0), self.since_losses)
    }

    pub(crate) fn bytes(&self) -> usize {
        (self.outcomes.capacity() + self.losses.capacity() + self.decisions.capacity()) * size_of::<f64>()
            + self.since.capacity() * size_of::<u32>()
    }

    /// The estimated risk of each band, not falling from the safest to the riskiest: isotonic regression over
    /// counts that neighbouring bands share, with triangular weights over a twentieth of the bands to each side.
    ///
    /// Each band gets half an outcome at the rate of all of them, so that one without outcomes has a risk.
    pub fn profile(&self) -> Vec<f64> {
        const PRIOR: f64 = 0.5;
        let (outcomes, losses) = (self.outcomes.iter().sum::<f64>(), self.losses.iter().sum::<f64>());
        let rate = if outcomes > 0.0 { losses / outcomes } else { 0.0 };
        let prior = PRIOR * self.weight;
        let reach = self.outcomes.len() / 20;
        let near = |counts: &[f64], at: usize| {
            let (from, to) = (at.saturating_sub(reach), at + reach + 1);
            let part = counts.iter().enumerate().take(to).skip(from);
            part.map(|(other, n)| n * (1.0 - at.abs_diff(other) as f64 / (reach + 1) as f64)).sum::<f64>()
        };
        let counted = |at: usize| (near(&self.outcomes, at) + prior, near(&self.losses, at) + prior * rate);
        let rates = (0..self.outcomes.len()).map(counted).map(|(n, l)| (l / n, n));
        isotonic::rising(rates)
    }

    /// The share of decisions in each band, in the unit of nothing in particular: only ratios matter.
    pub fn shares(&self) -> Vec<f64> {
        // A band that no run fell into yet is rare, not impossible.
        let some = 0.01 * self.weight;
        self.decisions.iter().map(|n| n + some).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_weighs_half_after_a_half_life() {
        let mut counts = BandCounts::new(2);
        let growth = libm::exp2(1.0 / 100.0);
        counts.decided(Band(0), growth);
        counts.ended(Band(0), Loss::FULL, true);
        for _ in 0..100 {
            counts.decided(Band(1), growth);
            counts.ended(Band(1), Loss::NONE, true);
        }
        assert!((counts.outcomes[0] / counts.weight - 0.5).abs() < 1e-9);
        assert_eq!(counts.since_change(), 101);
    }

    #[test]
    fn weights_that_grow_for_ever_stay_finite_and_change_nothing() {
        let mut counts = BandCounts::new(2);
        for n in 0..2_000u32 {
            counts.decided(Band(u16::from(n % 4 == 0)), 2.0);
            counts.ended(Band(u16::from(n % 4 == 0)), Loss::NONE, false);
        }
        // The last run of band 1 was three runs before the last of all: 2^-3 and 2^-7, ... of the weight.
        let ratio = counts.decisions[1] / counts.weight;
        assert!((ratio - (1.0 / 8.0) / (1.0 - 1.0 / 16.0)).abs() < 1e-9, "{ratio}");
    }

    #[test]
    fn a_change_point_forgets_only_what_came_since() {
        let mut counts = BandCounts::new(3);
        counts.decided(Band(2), 1.0);
        counts.ended(Band(2), Loss::FULL, true);
        counts.change_point();
        assert_eq!((counts.since_change(), counts.since().1), (0, 0.0));
        assert!(counts.profile()[2] > 0.99);
        assert_eq!(counts.profile().len(), 3);
    }
}
