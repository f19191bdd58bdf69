//! Which threshold to propose when a gate is to be tightened. An estimate: the alarm is certified, the
//! size of the step is not.

use crate::{bands::BandCounts, grid::Cut};

/// Log-odds further away than this are as good as certain.
const FURTHEST: f64 = 8.0;

/// Standard errors by which the shift is taken to be smaller than its estimate. An alarm picks the moment at which
/// more failed than on the average, and a threshold that is too strict takes far longer to come back than one
/// that is too loose takes to be found. Measured in the benchmark (L4, L5); the promise does not depend on it.
const PRUDENCE: f64 = 0.5;

/// The risk of each band now: the profile of all outcomes, moved by one shift of log-odds.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    risks: Vec<f64>,
    shares: Vec<f64>,
    /// The shift.
    pub shift: f64,
    /// Its standard error, from the expected information.
    pub error: f64,
}

impl Prediction {
    /// Fits the shift to the outcomes since the change point, by bisection of the score equation
    /// Σ n_b σ(logit r_b + s) = Σ losses; half a success and half a failure keep it finite.
    pub fn fit(counts: &BandCounts) -> Self {
        let profile = counts.profile();
        let (since, losses) = counts.since();
        let since: Vec<(f64, f64)> =
            since.filter_map(|(at, n)| profile.get(at).map(|risk| (logit(*risk), f64::from(n)))).collect();
        let total: f64 = since.iter().map(|(_, n)| n).sum();
        let expected = |shift: f64| since.iter().map(|(at, n)| n * logistic(at + shift)).sum::<f64>();
        let (mut low, mut high) = (-FURTHEST, FURTHEST);
        if total > 0.0 {
            let wanted = (losses.max(0.5)).min(total - 0.5);
            for _ in 0..50 {
                let middle = 0.5 * (low + high);
                if expected(middle) < wanted { low = middle } else { high = middle }
            }
        }
        let shift = 0.5 * (low + high);
        let information: f64 = since
            .iter()
            .map(|(at, n)| {
                let p = logistic(at + shift);
                n * p * (1.0 - p)
            })
            .sum();
        let error = if information > 0.0 { 1.0 / libm::sqrt(information) } else { FURTHEST };
        let risks = profile.iter().map(|risk| logistic(logit(*risk) + shift)).collect();
        Self { risks, shares: counts.shares(), shift, error }
    }

    /// The predicted failure rate of the runs that pass at a cut.
    pub fn rate(&self, cut: Cut) -> f64 {
        self.rate_shifted(cut, 0.0)
    }

    /// The predicted failure rate at a cut, if the log-odds were this much higher than the estimate.
    pub fn rate_shifted(&self, cut: Cut, by: f64) -> f64 {
        let passing = self.risks.iter().zip(&self.shares).take(usize::from(cut.0));
        let (mut failing, mut all) = (0.0, 0.0);
        for (risk, share) in passing {
            failing += share * if by == 0.0 { *risk } else { logistic(logit(*risk) + by) };
            all += share;
        }
        if all > 0.0 { failing / all } else { 0.0 }
    }

    /// The loosest cut below `now` and within `max_step` whose predicted rate is at most `rate`; the furthest
    /// where there is none. At least one band passes.
    pub fn target(&self, now: Cut, max_step: u16, rate: f64) -> Cut {
        let furthest = now.0.saturating_sub(max_step).max(1);
        let within = (furthest..now.0).rev().map(Cut);
        within
            .into_iter()
            .find(|cut| self.rate_shifted(*cut, -PRUDENCE * self.error) <= rate)
            .unwrap_or(Cut(furthest))
    }
}

fn logit(p: f64) -> f64 {
    // Nothing that was counted is certain.
    let p = p.clamp(1e-4, 1.0 - 1e-4);
    libm::log(p / (1.0 - p))
}

fn logistic(at: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{grid::Band, loss::Loss};

    /// Ten bands with failure rates 1 %, 2 %, … 10 %, 1,000 outcomes each; then `times` as many failures.
    fn counts(times: u32) -> BandCounts {
        let mut counts = BandCounts::new(10);
        let mut feed = |band: u16, n: u32, failures: u32, since: bool| {
            for i in 0..n {
                counts.decided(Band(band), 1.0);
                counts.ended(Band(band), if i < failures { Loss::FULL } else { Loss::NONE }, since);
            }
        };
        (0..10).for_each(|band| feed(band, 100_000, 1_000 * (u32::from(band) + 1), false));
        (0..10).for_each(|band| feed(band, 100, times * (u32::from(band) + 1), true));
        counts
    }

    #[test]
    fn the_shift_makes_the_profile_fit_what_happened_since() {
        let prediction = Prediction::fit(&counts(3));
        assert!((prediction.rate(Cut(10)) - 0.165).abs() < 0.001, "{}", prediction.rate(Cut(10)));
        assert!(
            (prediction.shift - 1.2).abs() < 0.1,
            "about the log-odds of three times: {}",
            prediction.shift
        );
        assert!(Prediction::fit(&counts(1)).shift.abs() < 0.02);
    }

    #[test]
    fn the_target_is_the_loosest_cut_within_the_step_whose_rate_is_in_budget() {
        let prediction = Prediction::fit(&counts(3));
        let best = (1..=10).rev().find(|k| prediction.rate(Cut(*k)) <= 0.1).unwrap();
        assert!((4..9).contains(&best), "{best}");
        assert_eq!(prediction.target(Cut(10), 9, 0.1), Cut(best));
        assert_eq!(prediction.target(Cut(10), 2, 0.001), Cut(8), "no more than the step");
        assert_eq!(prediction.target(Cut(2), 9, 0.0001), Cut(1), "one band passes always");
        assert_eq!(prediction.target(Cut(3), 9, 0.9), Cut(2), "an alarm tightens at least by one");
    }
}
