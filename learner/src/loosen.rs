//! The loosen detector: bets against "this looser threshold fails more often than ε".

use serde::{Deserialize, Serialize};

use crate::{
    bets::{Bets, STAKES},
    bits,
    grid::{Band, Cut},
    loss::Loss,
    route::Certifying,
    settings::Settings,
};

/// What is staked in a window of N outcomes, in units of what the first start of all gets: a quarter of the wealth
/// goes on into the next window, which is half a unit; the starts every B outcomes get half a unit together; and
/// one unit is for the start of the window and those after a change.
pub(crate) const STAKED: f64 = 2.0;
const KEPT: f64 = 0.25;
const PERIODIC: f64 = 0.5;
const STARTS: f64 = STAKED * (1.0 - KEPT) - PERIODIC;

/// A start gets this part of what is left for starts, so they never run out.
const NEXT: f64 = 0.5;

/// Far above any level; it keeps the numbers finite where a proposal is held back.
const CEILING: f64 = 1e200;

/// The wealth of the bets for each candidate g = 1..=G, the threshold that lets g more bands pass.
///
/// On the outcome of a run in the bands of the candidate, x = w(ε − l), w = 1 for a run that passed and 1/p for
/// one that exploration let through; W ← W·(1 + λx). Let the failure rate of the candidate be above ε, given
/// the past. A run of its bands, whether it passes or is drawn, has `E[x] = E[ε − l] ≤ 0` over draw and outcome,
/// because the draw has probability p and nothing else decides. λ is fixed in advance, so W is a
/// supermartingale but for what is staked anew; 1 + λx ≥ 0.05 because x ≥ −(1 − ε)/p (Waudby-Smith and
/// Ramdas, arXiv 2010.09686; Xu, Karampatziakis and Mineiro, arXiv 2406.10490).
///
/// Candidates are tested in a fixed sequence, so no further correction is due (Angelopoulos et al., arXiv
/// 2110.01052): until the evidence begins anew, a wrong proposal needs the first wrong candidate to be certified.
/// In a window of N outcomes at most two units are staked on the first wrong candidates of all those
/// stretches together: half a unit at most is the expectation of the quarter that the window before left, and
/// the rest is shared by the start of the window, starts after changes, and those every B outcomes. So one of
/// them reaches 2/δ with probability at most δ.
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
    /// Outcomes since the last start.
    since_start: u32,
    /// Starts every B outcomes that are left in the window, and what each of them gets.
    periodic_left: u32,
    #[serde(with = "bits::one")]
    periodic: f64,
    /// What is left in the window for other starts, and what the last of them got.
    #[serde(with = "bits::one")]
    left: f64,
    #[serde(with = "bits::one")]
    last: f64,
    /// Certified bands, added up over the outcomes that they have been waiting.
    missed: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Wealth(#[serde(with = "bits::array")] [f64; STAKES.len()]);

impl Wealth {
    fn stake(&mut self, units: f64) {
        self.0.iter_mut().zip(STAKES).for_each(|(wealth, (_, share))| *wealth += units * share);
    }

    fn times(&self, common: &[f64; STAKES.len()]) -> f64 {
        self.0.iter().zip(common).map(|(wealth, common)| wealth * common).sum()
    }
}

impl LoosenDetector {
    /// A detector at the start of the first window.
    pub fn new(settings: &Settings) -> Self {
        let bands = usize::from(settings.get().exploration_bands);
        let mut new = Self {
            common: [1.0; STAKES.len()],
            candidates: vec![Wealth::default(); bands],
            certified: 0,
            since_start: 0,
            periodic_left: settings.periodic_starts(),
            periodic: PERIODIC / f64::from(settings.periodic_starts()),
            left: STARTS,
            last: 0.0,
            missed: 0,
        };
        // Nothing came before this window, so what could have is staked too.
        new.start(KEPT * STAKED);
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
        self.missed += u64::from(self.certified);
        // Only a loss below the tested rate makes the wealth grow.
        if loss.value() < bets.rate {
            self.certify(bets);
        }
        self.since_start += 1;
        if self.since_start >= settings.get().fresh_start {
            self.since_start = 0;
            if self.periodic_left > 0 {
                self.periodic_left -= 1;
                self.stake(self.periodic);
            }
        }
        true
    }

    fn certify(&mut self, bets: &Bets) {
        while let Some(next) = self.candidates.get(usize::from(self.certified))
            && next.times(&self.common) >= bets.level()
        {
            self.certified += 1;
        }
    }

    /// The wealth of each candidate, summed over starts.
    pub fn wealth(&self) -> impl Iterator<Item = f64> {
        self.candidates.iter().map(|candidate| candidate.times(&self.common))
    }

    /// The number of bands by which the threshold may be loosened: the largest certified prefix.
    pub fn certified(&self) -> u16 {
        self.certified
    }

    /// Whether to wait for more to be certified: few and large loosenings are worth more to those who approve them.
    /// When one is proposed is free, as it stays certified.
    ///
    /// L loosenings are enough for N outcomes where one band is certified every N/L of them, and each then
    /// waits until one band has been missed for as long. With more bands it is sooner: what counts is the sum
    /// over outcomes of the bands that were certified and did not pass, and it may become what that steady course
    /// misses between two loosenings, N/(2L).
    pub fn expects_more(&self, bets: &Bets) -> bool {
        self.missed < bets.patience
    }

    pub(crate) fn bytes(&self) -> usize {
        self.candidates.capacity() * size_of::<Wealth>()
    }

    /// Forgets the evidence, as the threshold changed, and starts anew.
    pub fn restart(&mut self) {
        self.candidates.iter_mut().for_each(|candidate| *candidate = Wealth::default());
        self.common = [1.0; STAKES.len()];
        self.certified = 0;
        self.missed = 0;
        self.start(0.0);
    }

    /// A window of N outcomes begins: a part of the wealth is kept, and there is something to stake again. What is
    /// certified has to be so by what is kept.
    pub fn next_window(&mut self, settings: &Settings) {
        self.take_in_common();
        self.candidates.iter_mut().flat_map(|candidate| &mut candidate.0).for_each(|wealth| *wealth *= KEPT);
        self.certified = 0;
        self.missed = 0;
        self.periodic_left = settings.periodic_starts();
        self.left = STARTS;
        self.start(0.0);
    }

    /// The threshold was loosened by so many bands. Those candidates are done with; what is known of the ones
    /// beyond them still holds, as each is a threshold of its own whose runs pass or are explored as before. New
    /// ones come within reach, each with what the others got at the last start.
    pub fn advance(&mut self, bands: u16) {
        self.take_in_common();
        let gone = usize::from(bands).min(self.candidates.len());
        self.candidates.rotate_left(gone);
        for candidate in self.candidates.iter_mut().rev().take(gone) {
            *candidate = Wealth::default();
            candidate.stake(self.last);
        }
        self.certified = self.certified.saturating_sub(bands);
        self.missed = 0;
    }

    /// Stakes the next part of what is left for starts, and so many units more.
    fn start(&mut self, more: f64) {
        let part = NEXT * self.left;
        self.left -= part;
        self.last = part + more;
        self.since_start = 0;
        self.stake(self.last);
    }

    fn stake(&mut self, units: f64) {
        self.take_in_common();
        self.candidates.iter_mut().for_each(|candidate| candidate.stake(units));
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

    /// What the first start gets: the half unit that nothing before it left, and half of the unit for starts.
    const FIRST: f64 = 1.0;

    /// The share of failures among the runs of each number of outcomes, as whoever knows the past may choose it.
    type Rates = Vec<(u16, f64)>;

    /// The expected wealth of a candidate, over draws and outcomes of all runs that are left.
    fn expected(
        settings: &Settings,
        detector: &LoosenDetector,
        g: usize,
        p: f64,
        rates: &[(u16, f64)],
    ) -> f64 {
        let bets = Bets::new(settings).unwrap();
        let Some(((band, rate), rest)) = rates.split_first() else {
            return detector.wealth().nth(g).unwrap();
        };
        // Which of two rates comes depends on how the runs before ended.
        let odd = detector.wealth().sum::<f64>().to_bits() % 2 == 1;
        let rate = if odd { *rate } else { 0.5 * (*rate + 0.05) };
        let points = settings.propensity().unwrap().get();
        let evidence = if *band < 10 { passed(points) } else { explored(points) };
        let after = |loss| {
            let mut next = detector.clone();
            next.observe(settings, &bets, Cut(10), Band(*band), evidence, loss);
            expected(settings, &next, g, p, rest)
        };
        let ended = (1.0 - rate) * after(Loss::NONE) + rate * after(Loss::FULL);
        if *band < 10 { ended } else { p * ended + (1.0 - p) * expected(settings, detector, g, p, rest) }
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
        let staked = FIRST;
        for g in 0..3 {
            assert!(((1.0 - eps) * went[0][g] + eps * went[1][g] - staked).abs() < 1e-12);
            let mean = p * ((1.0 - eps) * drawn[0][g] + eps * drawn[1][g]) + (1.0 - p) * staked;
            assert!((mean - staked).abs() < 1e-12);
        }
        assert!((drawn[0][0] - staked).abs() < 1e-12, "a run of band 11 is no evidence for candidate 11");
        assert!(drawn[1][1] > 0.0 && drawn[1][1] < 0.7 * staked, "{}", drawn[1][1]);
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
        for new in &after[1..] {
            assert!((new - FIRST).abs() < 1e-9, "what comes within reach starts with what was staked");
        }
        assert_eq!(detector.certified(), certified.saturating_sub(2));
    }

    #[test]
    fn a_quarter_of_the_wealth_is_kept_at_the_end_of_a_window() {
        let settings = settings(3_000);
        let bets = Bets::new(&settings).unwrap();
        let mut detector = LoosenDetector::new(&settings);
        while detector.certified() < 3 {
            detector.observe(&settings, &bets, Cut(10), Band(3), passed(3_000), Loss::NONE);
        }
        let before: Vec<f64> = detector.wealth().collect();
        detector.next_window(&settings);
        let anew = 0.5;
        for (after, before) in detector.wealth().zip(before) {
            assert!((after - (0.25 * before + anew)).abs() < 1e-9 * before);
        }
        assert_eq!(detector.certified(), 0, "a quarter is below the level");
    }

    #[test]
    fn a_loosening_waits_less_the_more_it_is_worth() {
        let settings = settings(10_000);
        let bets = Bets::new(&settings).unwrap();
        let waits = |bands: u16| {
            let mut detector = LoosenDetector::new(&settings);
            while detector.certified() < bands {
                detector.observe(&settings, &bets, Cut(10), Band(3), passed(10_000), Loss::NONE);
                if detector.certified() > 0 {
                    detector.certified = bands;
                }
            }
            let mut waited = 0;
            while detector.expects_more(&bets) {
                detector.certified = bands;
                detector.observe(&settings, &bets, Cut(10), Band(3), passed(10_000), Loss::FULL);
                waited += 1;
            }
            waited
        };
        assert_eq!([waits(1), waits(3)], [1_666, 556], "N/(2L) = 1,666 for one band");
    }

    proptest! {
        #[test]
        fn the_wealth_stays_positive(
            rate in 1u32..=10_000, runs in prop::collection::vec((0u16..14, any::<bool>()), 0..300),
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
        }

        /// Enumerated over all draws and outcomes, while the rates follow the past in any way.
        #[test]
        fn above_the_tested_rate_the_wealth_is_not_expected_to_grow(
            rates in prop::collection::vec((8u16..12, 0.05f64..1.0), 1..6), points in 500u32..=10_000,
        ) {
            let settings = settings(points);
            let detector = LoosenDetector::new(&settings);
            let p = f64::from(points) / 10_000.0;
            // The bands of the second candidate; those of a narrower one are the same question.
            let rates: Rates = rates;
            let mean = expected(&settings, &detector, 1, p, &rates);
            prop_assert!(mean <= FIRST * (1.0 + 1e-12), "{mean}");
            let at_the_rate: Rates = rates.iter().map(|(band, _)| (*band, 0.05)).collect();
            let mean = expected(&settings, &detector, 1, p, &at_the_rate);
            prop_assert!((mean - FIRST).abs() < 1e-9, "{mean}");
        }

        /// Runs that fail to just the degree of ε leave the wealth as it is, so it is what was staked.
        #[test]
        fn what_is_staked_in_a_window_on_all_stretches_together_stays_within_its_units(
            acts in prop::collection::vec((0u8..30, 1u16..3), 0..1_500),
        ) {
            let declared = Declared {
                window: 400,
                fresh_start: 90,
                burst_expiry: 0,
                exploration_rate: BasisPoints::try_from(3_000).unwrap(),
                exploration_bands: 3,
                ..Declared::default()
            };
            let settings = Settings::check(declared).unwrap();
            let bets = Bets::new(&settings).unwrap();
            let mut detector = LoosenDetector::new(&settings);
            let most = |detector: &LoosenDetector| detector.wealth().fold(0.0, f64::max);
            let (mut before, mut outcomes) = (0.0, 0);
            for (act, bands) in acts {
                match act {
                    0 => {
                        before += most(&detector);
                        detector.restart();
                    }
                    1 => detector.advance(bands),
                    _ => {
                        if outcomes == 400 {
                            (before, outcomes) = (0.0, 0);
                            detector.next_window(&settings);
                        }
                        outcomes += 1;
                        let loss = Loss::try_from(500).unwrap();
                        detector.observe(&settings, &bets, Cut(10), Band(3), passed(3_000), loss);
                    }
                }
                let staked = before + most(&detector);
                prop_assert!(staked <= STAKED * (1.0 + 1e-9), "{staked}");
            }
        }
    }
}
