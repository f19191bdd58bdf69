//! The loosen detector: bets against "this looser threshold fails more often than ε".

use serde::{Deserialize, Serialize};

use crate::{
    bits,
    grid::{Band, Cut},
    loss::Loss,
    route::{Certifying, Propensity},
    settings::Settings,
};

/// The stakes λ, as shares of the greatest one, and the share of the wealth that is bet with each.
pub const STAKES: [(f64, f64); 4] = [(1.0, 0.25), (0.5, 0.25), (0.25, 0.25), (0.1, 0.25)];

/// Part of the greatest stake that keeps the wealth positive.
const CAUTION: f64 = 0.95;

/// Far above any level; it keeps the numbers finite where a proposal is held back.
const CEILING: f64 = 1e200;

/// The wealth of the bets for each candidate g = 1..=G, the threshold that lets g more bands pass.
///
/// On the outcome of a run in the bands of the candidate, x = w(ε − l), w = 1 for a run that passed and 1/p for
/// one that exploration let through; W ← W·(1 + λx). Let the failure rate of the candidate be above ε, given
/// the past. A run of its bands, whether it passes or is drawn, has `E[x] = E[ε − l] ≤ 0` over draw and outcome,
/// because the draw has probability p and nothing else decides. λ is fixed in advance, so W is a
/// supermartingale; 1 + λx ≥ 1 − CAUTION > 0 because x ≥ −(1 − ε)/p. There are at most J + L starts in N
/// outcomes, each with an expected wealth of at most 1 at any stopping time: the sum reaches (J + L)/δ with
/// probability at most δ (Waudby-Smith and Ramdas, arXiv 2010.09686; Xu, Karampatziakis and Mineiro,
/// arXiv 2406.10490). Candidates are tested in a fixed sequence, so no further correction is due (Angelopoulos
/// et al., arXiv 2110.01052): a wrong proposal needs the first wrong candidate to be certified.
///
/// Advisory evidence has another type, and this detector cannot be given it:
///
/// ```compile_fail,E0308
/// use cku_learner::{Advisory, Band, Bets, Cut, LoosenDetector, Loss, Settings};
/// let settings: Settings = serde_json::from_str(r#"{"exploration_rate": 3000}"#).unwrap();
/// let bets = Bets::new(&settings).unwrap();
/// let mut detector = LoosenDetector::new(&settings);
/// detector.observe(&settings, &bets, Cut(20), Band(20), Advisory, Loss::NONE);
/// ```
///
/// The same call with certifying evidence:
///
/// ```
/// use cku_learner::{Band, Bets, Certifying, Cut, LoosenDetector, Loss, Settings};
/// let settings: Settings = serde_json::from_str(r#"{"exploration_rate": 3000}"#).unwrap();
/// let bets = Bets::new(&settings).unwrap();
/// let mut detector = LoosenDetector::new(&settings);
/// let passed = Certifying::Passed { propensity: 3_000.try_into().unwrap() };
/// detector.observe(&settings, &bets, Cut(20), Band(19), passed, Loss::NONE);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoosenDetector {
    /// What a passed run multiplies in all candidates alike, per stake.
    #[serde(with = "bits::array")]
    common: [f64; STAKES.len()],
    /// Per candidate the sum over starts over `common`, per stake.
    candidates: Vec<Wealth>,
    /// Candidates certified so far: the level was reached once, and that is what the bound is about.
    certified: u16,
    /// Outcomes since the last start, and since the threshold changed.
    since_start: u32,
    outcomes: u32,
    /// Starts that are left in the window.
    starts_left: u32,
    /// The outcomes after which the first candidate was certified.
    first_at: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Wealth(#[serde(with = "bits::array")] [f64; STAKES.len()]);

impl Wealth {
    fn stake(&mut self) {
        self.0.iter_mut().zip(STAKES).for_each(|(wealth, (_, share))| *wealth += share);
    }

    fn times(&self, common: &[f64; STAKES.len()]) -> f64 {
        self.0.iter().zip(common).map(|(wealth, common)| wealth * common).sum()
    }
}

/// What each outcome multiplies the wealth by, per stake.
#[derive(Debug, Clone, PartialEq)]
pub struct Bets {
    propensity: Propensity,
    rate: f64,
    weight: f64,
    stakes: [f64; STAKES.len()],
    success: [f64; STAKES.len()],
    failure: [f64; STAKES.len()],
    level: f64,
}

impl Bets {
    /// The wealth at which a candidate is certified: (J + L)/δ.
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
        Some(Self { propensity, rate, weight, stakes, success, failure, level: settings.loosen_level() })
    }

    /// 1 + λ·w·(ε − l) per stake.
    fn growth(&self, weight: f64, loss: Loss) -> [f64; STAKES.len()] {
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

impl LoosenDetector {
    /// A detector at the start of a window.
    pub fn new(settings: &Settings) -> Self {
        let bands = usize::from(settings.get().exploration_bands);
        let mut new = Self {
            common: [1.0; STAKES.len()],
            candidates: vec![Wealth::default(); bands],
            certified: 0,
            since_start: 0,
            outcomes: 0,
            starts_left: settings.starts(),
            first_at: 0,
        };
        new.start();
        new
    }

    /// Takes in one matured outcome of a run of this band, decided at the threshold `cut`; false where it is
    /// none that the bets are about.
    ///
    /// Evidence with another propensity than the declared one is not taken in: a bet on it could have lost more
    /// than was staked.
    pub fn observe(
        &mut self,
        settings: &Settings,
        bets: &Bets,
        cut: Cut,
        band: Band,
        evidence: Certifying,
        loss: Loss,
    ) -> bool {
        if evidence.propensity() != bets.propensity {
            return false;
        }
        match evidence {
            Certifying::Passed { .. } if cut.passes(band) => {
                let growth = bets.growth(1.0, loss);
                self.common.iter_mut().zip(growth).for_each(|(common, growth)| *common *= growth);
            }
            Certifying::Explored { .. } if !cut.passes(band) => {
                let growth = bets.growth(bets.weight, loss);
                for candidate in self.candidates.iter_mut().skip(usize::from(band.0 - cut.0)) {
                    candidate.0.iter_mut().zip(growth).for_each(|(wealth, growth)| *wealth *= growth);
                }
            }
            Certifying::Passed { .. } | Certifying::Explored { .. } => return false,
        }
        self.outcomes = self.outcomes.saturating_add(1);
        self.since_start += 1;
        // Only a loss below the tested rate makes the wealth grow.
        while loss.value() < bets.rate
            && let Some(next) = self.candidates.get(usize::from(self.certified))
            && next.times(&self.common) >= bets.level
        {
            if self.certified == 0 {
                self.first_at = self.outcomes;
            }
            self.certified += 1;
        }
        if self.since_start >= settings.get().fresh_start {
            self.start();
        }
        true
    }

    /// The wealth of each candidate, summed over starts.
    pub fn wealth(&self) -> impl Iterator<Item = f64> {
        self.candidates.iter().map(|candidate| candidate.times(&self.common))
    }

    /// The number of bands by which the threshold may be loosened: the largest certified prefix.
    pub fn certified(&self) -> u16 {
        self.certified
    }

    /// Whether to wait for the next candidate: few and large proposals are worth more to those who approve them.
    /// When a certified loosening is proposed is free: it stays certified.
    pub fn expects_more(&self, bets: &Bets) -> bool {
        /// Outcomes for which the first certified candidate waits for more.
        const PATIENCE: u32 = 1_000;
        /// The part of the level's logarithm that the next one has reached.
        const NEAR: f64 = 2.0 / 3.0;
        let Some(next) = self.candidates.get(usize::from(self.certified)) else { return false };
        self.outcomes.saturating_sub(self.first_at) < PATIENCE
            && libm::log(next.times(&self.common)) >= NEAR * libm::log(bets.level)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.candidates.capacity() * size_of::<Wealth>()
    }

    /// Forgets the evidence, as the threshold changed; it is one of the window's starts.
    pub fn restart(&mut self) {
        self.candidates.iter_mut().for_each(|candidate| *candidate = Wealth::default());
        self.common = [1.0; STAKES.len()];
        self.certified = 0;
        self.outcomes = 0;
        self.first_at = 0;
        self.start();
    }

    /// The threshold was loosened by so many bands. Those candidates are done with; what is known of the ones
    /// beyond them still holds, as each is a threshold of its own whose runs pass or are explored as before. New
    /// ones come within reach, each with one start.
    pub fn advance(&mut self, bands: u16) {
        self.take_in_common();
        let gone = usize::from(bands).min(self.candidates.len());
        self.candidates.rotate_left(gone);
        for candidate in self.candidates.iter_mut().rev().take(gone) {
            *candidate = Wealth::default();
            if self.starts_left > 0 {
                candidate.stake();
            }
        }
        self.certified = self.certified.saturating_sub(bands);
        self.first_at = self.outcomes;
    }

    /// A fresh unit of wealth, while the window has starts left.
    fn start(&mut self) {
        self.since_start = 0;
        self.take_in_common();
        if self.starts_left > 0 {
            self.starts_left -= 1;
            self.candidates.iter_mut().for_each(Wealth::stake);
        }
    }

    /// What is common is taken in now and then, so that it neither grows nor shrinks for ever.
    fn take_in_common(&mut self) {
        for candidate in &mut self.candidates {
            for (wealth, common) in candidate.0.iter_mut().zip(self.common) {
                *wealth = (*wealth * common).min(CEILING);
            }
        }
        self.common = [1.0; STAKES.len()];
    }
}

#[cfg(test)]
mod tests {
    use cku_base::BasisPoints;
    use proptest::prelude::*;

    use super::*;
    use crate::settings::Declared;

    fn settings(rate: u32) -> Settings {
        let exploration_rate = BasisPoints::try_from(rate).unwrap();
        Settings::check(Declared { exploration_rate, exploration_bands: 3, ..Declared::default() }).unwrap()
    }

    fn passed(points: u32) -> Certifying {
        Certifying::Passed { propensity: points.try_into().unwrap() }
    }

    fn explored(points: u32) -> Certifying {
        Certifying::Explored { propensity: points.try_into().unwrap() }
    }

    #[test]
    fn the_expected_wealth_at_the_tested_rate_is_what_was_staked() {
        // Enumerated: the run passes, or is drawn (p) or not; it fails or not; all at rate ε.
        let settings = settings(3_000);
        let bets = Bets::new(&settings).unwrap();
        let (cut, eps, p) = (Cut(10), 0.05, 0.3);
        let after = |band: u16, evidence, loss| {
            let mut detector = LoosenDetector::new(&settings);
            assert!(detector.observe(&settings, &bets, cut, Band(band), evidence, loss));
            detector.wealth().collect::<Vec<_>>()
        };
        let went = [after(3, passed(3_000), Loss::NONE), after(3, passed(3_000), Loss::FULL)];
        let drawn = [after(11, explored(3_000), Loss::NONE), after(11, explored(3_000), Loss::FULL)];
        for g in 0..3 {
            assert!(((1.0 - eps) * went[0][g] + eps * went[1][g] - 1.0).abs() < 1e-12);
            let mean = p * ((1.0 - eps) * drawn[0][g] + eps * drawn[1][g]) + (1.0 - p);
            assert!((mean - 1.0).abs() < 1e-12);
        }
        assert!((drawn[0][0] - 1.0).abs() < 1e-12, "a run of band 11 is no evidence for candidate 11");
        assert!(drawn[1][1] > 0.0 && drawn[1][1] < 0.7, "{}", drawn[1][1]);
    }

    #[test]
    fn evidence_at_another_rate_is_not_taken_in() {
        let settings = settings(3_000);
        let bets = Bets::new(&settings).unwrap();
        let mut detector = LoosenDetector::new(&settings);
        let before = detector.clone();
        assert!(!detector.observe(&settings, &bets, Cut(10), Band(11), explored(1_000), Loss::NONE));
        assert!(!detector.observe(&settings, &bets, Cut(10), Band(9), passed(1_000), Loss::NONE));
        assert!(!detector.observe(&settings, &bets, Cut(10), Band(9), explored(3_000), Loss::NONE));
        assert!(!detector.observe(&settings, &bets, Cut(10), Band(11), passed(3_000), Loss::NONE));
        assert_eq!(detector, before);
        assert_eq!(Bets::new(&Settings::default()), None, "no bets without exploration");
    }

    #[test]
    fn a_candidate_is_certified_only_if_all_before_it_are() {
        let settings = settings(10_000);
        let bets = Bets::new(&settings).unwrap();
        let mut detector = LoosenDetector::new(&settings);
        let feed = |detector: &mut LoosenDetector, band: u16, loss| {
            for _ in 0..400 {
                let evidence = if band < 10 { passed(10_000) } else { explored(10_000) };
                detector.observe(&settings, &bets, Cut(10), Band(band), evidence, loss);
            }
        };
        feed(&mut detector, 11, Loss::FULL);
        feed(&mut detector, 0, Loss::NONE);
        assert_eq!(detector.certified(), 1, "band 11 fails, band 10 was never seen to");
        assert!(!detector.expects_more(&bets));
        feed(&mut detector, 11, Loss::FULL);
        feed(&mut detector, 10, Loss::FULL);
        assert_eq!(detector.certified(), 1, "what was certified once stays so");
        detector.restart();
        feed(&mut detector, 0, Loss::NONE);
        assert_eq!(detector.certified(), 3);
    }

    #[test]
    fn after_a_loosening_what_is_known_of_the_thresholds_beyond_it_is_kept() {
        let settings = settings(3_000);
        let bets = Bets::new(&settings).unwrap();
        let mut detector = LoosenDetector::new(&settings);
        for n in 0..700u16 {
            detector.observe(&settings, &bets, Cut(10), Band(n % 10), passed(3_000), Loss::NONE);
            let loss = if n % 200 == 0 { Loss::FULL } else { Loss::NONE };
            detector.observe(&settings, &bets, Cut(10), Band(10 + n % 3), explored(3_000), loss);
        }
        let before: Vec<f64> = detector.wealth().collect();
        let certified = detector.certified();
        assert!(certified >= 1, "{before:?}");
        detector.advance(2);
        let after: Vec<f64> = detector.wealth().collect();
        assert!((after[0] / before[2] - 1.0).abs() < 1e-12);
        assert_eq!(after[1..], [1.0, 1.0], "what comes within reach starts with what was staked");
        assert_eq!(detector.certified(), certified.saturating_sub(2));
    }

    proptest! {
        #[test]
        fn the_wealth_stays_positive_and_starts_are_counted(
            rate in 1u32..=10_000, runs in prop::collection::vec((0u16..14, any::<bool>()), 0..300), restarts in 0..40,
        ) {
            let settings = settings(rate);
            let bets = Bets::new(&settings).unwrap();
            let mut detector = LoosenDetector::new(&settings);
            for (band, failed) in runs {
                let evidence = if band < 10 { passed(rate) } else { explored(rate) };
                let loss = if failed { Loss::FULL } else { Loss::NONE };
                detector.observe(&settings, &bets, Cut(10), Band(band), evidence, loss);
                prop_assert!(detector.wealth().all(|wealth| wealth > 0.0));
            }
            (0..restarts).for_each(|_| detector.restart());
            let none = detector.starts_left == 0;
            prop_assert_eq!(none, restarts >= 13, "J + L = 14 starts");
            prop_assert_eq!(detector.wealth().all(|wealth| wealth == 0.0), restarts >= 14);
        }
    }
}
