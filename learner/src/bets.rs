//! What the loosen detector bets, and what an outcome makes of it.

use crate::{loss::Loss, route::Propensity, settings::Settings};

/// The stakes λ, as shares of the greatest one, and the share of the wealth that is bet with each.
///
/// Near the best stake a bet at c times it grows by c(2 − c) of the best growth, and a neighbour is less than
/// 2.4 times the other: wherever the best lies from 0.1 on, one of them grows by at least 0.75 of it. A fourth
/// costs log 4/3 more, and with it justified loosenings took longer to be found (L6 of the benchmark).
pub const STAKES: [(f64, f64); 3] = [(0.75, 1.0 / 3.0), (0.35, 1.0 / 3.0), (0.15, 1.0 / 3.0)];

/// Part of the greatest stake that keeps the wealth positive.
const CAUTION: f64 = 0.95;

/// What each outcome multiplies the wealth by, per stake.
#[derive(Debug, Clone, PartialEq)]
pub struct Bets {
    pub(crate) propensity: Propensity,
    /// The failure rate that is tested.
    pub(crate) rate: f64,
    /// 1/p, the weight of an explored run.
    pub(crate) weight: f64,
    stakes: [f64; STAKES.len()],
    success: [f64; STAKES.len()],
    failure: [f64; STAKES.len()],
    level: f64,
    /// The missed bands, summed over outcomes, after which a certified loosening waits no longer.
    pub(crate) patience: u64,
}

impl Bets {
    /// The wealth at which a candidate is certified: 2/δ.
    pub fn level(&self) -> f64 {
        self.level
    }

    /// The bets under these settings; none without exploration.
    pub fn new(settings: &Settings) -> Option<Self> {
        let propensity = settings.propensity()?;
        let rate = settings.certified_rate();
        let cap = CAUTION * propensity.probability() / (1.0 - rate);
        let stakes = STAKES.map(|(share, _)| share * cap);
        let success = stakes.map(|stake| 1.0 + stake * rate);
        let failure = stakes.map(|stake| 1.0 + stake * (rate - 1.0));
        let weight = 1.0 / propensity.probability();
        let level = settings.loosen_level();
        let patience = u64::from(settings.get().window / (2 * settings.get().loosenings));
        Some(Self { propensity, rate, weight, stakes, success, failure, level, patience })
    }

    /// 1 + λ·w·(ε − l) per stake.
    pub(crate) fn growth(&self, weight: f64, loss: Loss) -> [f64; STAKES.len()] {
        match loss {
            Loss::NONE if weight == 1.0 => self.success,
            Loss::FULL if weight == 1.0 => self.failure,
            _ => {
                let x = weight * (self.rate - loss.value());
                self.stakes.map(|stake| 1.0 + stake * x)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Declared;

    #[test]
    fn one_of_the_stakes_grows_nearly_as_the_best_would() {
        // By the exact growth of the logarithm at rates that a window can tell from ε, explored or not.
        for (epsilon, points) in [(0.05, 3_000), (0.2, 3_000), (0.36, 3_000), (0.2, 10_000)] {
            let declared = Declared {
                epsilon,
                exploration_rate: cku_base::BasisPoints::try_from(points).unwrap(),
                ..Declared::default()
            };
            let bets = Bets::new(&Settings::check(declared).unwrap()).unwrap();
            for part in [0.3, 0.5, 0.7] {
                let (rate, cap) = (part * epsilon, bets.stakes[0] / STAKES[0].0);
                // Half of the runs passes, of the others the share p is explored.
                let growth = |stake: f64| {
                    [(1.0, 0.5), (bets.weight, 0.5 / bets.weight)]
                        .map(|(weight, share)| {
                            let x = |loss: f64| libm::log(1.0 + stake * weight * (epsilon - loss));
                            share * ((1.0 - rate) * x(0.0) + rate * x(1.0))
                        })
                        .iter()
                        .sum::<f64>()
                };
                let best = (1..=200).map(|n| growth(cap * f64::from(n) / 200.0)).fold(0.0, f64::max);
                let found = bets.stakes.map(growth).into_iter().fold(0.0, f64::max);
                assert!(found >= 0.75 * best, "{epsilon} {points} {part}: {found} of {best}");
            }
        }
    }
}
