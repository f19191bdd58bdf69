//! What a bundle declares for the learner.

use cku_base::BasisPoints;
use serde::{Deserialize, Serialize};

use crate::{loosen::STAKED, loss::Loss, route::Propensity};

/// What a bundle declares for the thresholds that it lets be learned.
///
/// INVARIANT: every number lies in the range that its comment gives; [`Settings::check`] made sure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Declared", into = "Declared")]
pub struct Settings(Declared);

/// The numbers of [`Settings`] as they are written; the defaults are the shipped ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Declared {
    /// ε, the error budget: the greatest share of passed runs that may fail; 0.0001 to 0.5.
    pub epsilon: f64,
    /// δ, the probability of a wrong proposal; 1e-9 to 0.5.
    pub delta: f64,
    /// N, the outcomes within which δ holds; 100 to 10,000,000.
    pub window: u32,
    /// Seconds after which a run without an outcome counts as it is; 1 to 10 years.
    pub maturity_seconds: u64,
    /// The loss of a partial outcome.
    pub partial: Loss,
    /// η, the share of labels that may be wrong; 0 to 0.25.
    pub label_noise: f64,
    /// m, the sources of which any may lie; 0 to 16. With one source only it must be 0.
    pub left_out: usize,
    /// The bands by which a proposal may tighten; 1 to 256.
    pub max_step: u16,
    /// The outcomes after an activation within which nothing is proposed; below N.
    pub cool_down: u32,
    /// L, the loosenings allowed per N outcomes; 1 to 100.
    pub loosenings: u32,
    /// B, the outcomes between fresh starts of the loosen detector; 10 to N.
    pub fresh_start: u32,
    /// The share of runs in the next bands that exploration lets through.
    pub exploration_rate: BasisPoints,
    /// G, the bands above the threshold that exploration reaches; 1 to 32.
    pub exploration_bands: u16,
    /// The explored runs allowed per principal and window.
    pub exploration_cap: u32,
    /// The outcomes after which an outcome counts half in reliability; 1 to 10,000,000.
    pub half_life: u32,
    /// The outcomes of a skill or voter from which on what is known of it takes the place of what policies
    /// take for granted; 1 to 10,000,000.
    pub reliability_from: u32,
    /// With fewer outcomes it does so, too, once they refute that so large a share succeeds; no less than what
    /// policies take for granted, in ten-thousandths.
    pub reliability_doubt: BasisPoints,
    /// The outcomes after which one counts half in the profile of the bands; 1 to 10,000,000.
    pub profile_half_life: u32,
    /// The outcomes after which a tightening ends by itself unless confirmed; 0 for never, else 50 to N.
    pub burst_expiry: u32,
    /// The outcomes for which a loosening is watched, at most N; 0 for never, else 50 to 10,000,000.
    pub watch: u32,
}

impl Default for Declared {
    fn default() -> Self {
        Self {
            epsilon: 0.05,
            delta: 0.01,
            window: 10_000,
            maturity_seconds: 7 * 24 * 3600,
            partial: Loss::try_from(5_000).unwrap_or(Loss::FULL),
            label_noise: 0.0,
            left_out: 3,
            max_step: 20,
            cool_down: 200,
            loosenings: 3,
            fresh_start: 1_000,
            exploration_rate: BasisPoints::default(),
            exploration_bands: 20,
            exploration_cap: 100,
            half_life: 1_000,
            reliability_from: 100,
            reliability_doubt: BasisPoints::try_from(9_000).unwrap_or_default(),
            profile_half_life: 5_000,
            burst_expiry: 500,
            watch: 1_000,
        }
    }
}

/// A number outside its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{name}` is {given}; give {wanted}")]
pub struct SettingsError {
    /// The setting's name.
    pub name: &'static str,
    /// What was given.
    pub given: String,
    /// What is in range.
    pub wanted: &'static str,
}

impl Settings {
    /// Checks each number against its range; NaN is in none.
    pub fn check(declared: Declared) -> Result<Self, SettingsError> {
        let d = &declared;
        let checks: [(&'static str, String, bool, &'static str); 17] = [
            ("epsilon", d.epsilon.to_string(), (0.0001..=0.5).contains(&d.epsilon), "0.0001 to 0.5"),
            ("delta", d.delta.to_string(), (1e-9..=0.5).contains(&d.delta), "1e-9 to 0.5"),
            ("window", d.window.to_string(), (100..=10_000_000).contains(&d.window), "100 to 10000000"),
            (
                "maturity_seconds",
                d.maturity_seconds.to_string(),
                (1..=10 * 366 * 86_400).contains(&d.maturity_seconds),
                "1 second to 10 years",
            ),
            ("label_noise", d.label_noise.to_string(), (0.0..=0.25).contains(&d.label_noise), "0 to 0.25"),
            ("left_out", d.left_out.to_string(), d.left_out <= 16, "0 to 16"),
            ("max_step", d.max_step.to_string(), (1..=256).contains(&d.max_step), "1 to 256"),
            ("cool_down", d.cool_down.to_string(), d.cool_down < d.window, "less than the window"),
            ("loosenings", d.loosenings.to_string(), (1..=100).contains(&d.loosenings), "1 to 100"),
            (
                "fresh_start",
                d.fresh_start.to_string(),
                (10..=d.window).contains(&d.fresh_start),
                "10 up to the window",
            ),
            (
                "exploration_bands",
                d.exploration_bands.to_string(),
                (1..=32).contains(&d.exploration_bands),
                "1 to 32",
            ),
            ("exploration_cap", d.exploration_cap.to_string(), d.exploration_cap >= 1, "at least 1"),
            ("half_life", d.half_life.to_string(), (1..=10_000_000).contains(&d.half_life), "1 to 10000000"),
            (
                "reliability_from",
                d.reliability_from.to_string(),
                (1..=10_000_000).contains(&d.reliability_from),
                "1 to 10000000",
            ),
            (
                "profile_half_life",
                d.profile_half_life.to_string(),
                (1..=10_000_000).contains(&d.profile_half_life),
                "1 to 10000000",
            ),
            (
                "burst_expiry",
                d.burst_expiry.to_string(),
                d.burst_expiry == 0 || (50..=d.window).contains(&d.burst_expiry),
                "0, or 50 up to the window",
            ),
            (
                "watch",
                d.watch.to_string(),
                d.watch == 0 || (50..=10_000_000).contains(&d.watch),
                "0, or 50 to 10000000",
            ),
        ];
        match checks.into_iter().find(|(.., holds, _)| !holds) {
            Some((name, given, _, wanted)) => Err(SettingsError { name, given, wanted }),
            None => Ok(Self(declared)),
        }
    }

    /// The numbers.
    pub fn get(&self) -> &Declared {
        &self.0
    }

    /// The failure rate that tightening is tested against: labels that are flipped with probability at
    /// most η raise a true rate of ε to at most ε + η(1 − ε).
    pub fn tested_rate(&self) -> f64 {
        self.0.epsilon + self.0.label_noise * (1.0 - self.0.epsilon)
    }

    /// The failure rate that loosening is tested against: of a true rate above ε, at least the share
    /// 1 − η is seen.
    pub fn certified_rate(&self) -> f64 {
        self.0.epsilon * (1.0 - self.0.label_noise)
    }

    /// N/δ, the level of the tighten detector.
    pub fn tighten_level(&self) -> f64 {
        f64::from(self.0.window) / self.0.delta
    }

    /// J = N/B, the starts that the loosen detector makes every B outcomes, within N of them.
    pub fn periodic_starts(&self) -> u32 {
        self.0.window.div_ceil(self.0.fresh_start)
    }

    /// The units that the loosen detector stakes in N outcomes, where its first start gets one.
    pub fn staked(&self) -> f64 {
        STAKED
    }

    /// 2/δ, the level of the loosen detector.
    pub fn loosen_level(&self) -> f64 {
        self.staked() / self.0.delta
    }

    /// (L + 1)/δ, the level of the watch over a loosening.
    pub fn watch_level(&self) -> f64 {
        f64::from(self.0.loosenings + 1) / self.0.delta
    }

    /// The probability of exploration, where there is any.
    pub fn propensity(&self) -> Option<Propensity> {
        Propensity::try_from(self.0.exploration_rate.get()).ok()
    }
}

impl TryFrom<Declared> for Settings {
    type Error = SettingsError;

    fn try_from(declared: Declared) -> Result<Self, SettingsError> {
        Self::check(declared)
    }
}

impl From<Settings> for Declared {
    fn from(settings: Settings) -> Self {
        settings.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_range_is_named_with_its_range() {
        let bad = |change: fn(&mut Declared)| {
            let mut declared = Declared::default();
            change(&mut declared);
            Settings::check(declared).unwrap_err().to_string()
        };
        assert_eq!(bad(|d| d.epsilon = f64::NAN), "`epsilon` is NaN; give 0.0001 to 0.5");
        assert_eq!(bad(|d| d.delta = 0.0), "`delta` is 0; give 1e-9 to 0.5");
        assert_eq!(bad(|d| d.fresh_start = 20_000), "`fresh_start` is 20000; give 10 up to the window");
        assert_eq!(bad(|d| d.burst_expiry = 3), "`burst_expiry` is 3; give 0, or 50 up to the window");
        assert_eq!(bad(|d| d.reliability_from = 0), "`reliability_from` is 0; give 1 to 10000000");
        assert!(serde_json::from_str::<Settings>(r#"{"label_noise": 0.3}"#).is_err());
        assert!(serde_json::from_str::<Settings>(r#"{"reliability_doubt": 10001}"#).is_err());
        assert!(serde_json::from_str::<Settings>(r#"{"epsilom": 0.3}"#).is_err());
    }

    #[test]
    fn the_defaults_are_in_range_and_give_the_declared_levels() {
        let settings = Settings::check(Declared::default()).unwrap();
        assert!((settings.tighten_level() - 1e6).abs() < 1e-3);
        assert!((settings.loosen_level() - 200.0).abs() < 1e-9);
        assert_eq!(settings.propensity(), None, "no exploration unless declared");
    }
}
