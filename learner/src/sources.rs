//! Leave one source out: the tighten detector without each of the sources that matter most, so that no
//! single one moves a gate.

use serde::{Deserialize, Serialize};

use crate::{
    bits,
    loss::Loss,
    tighten::{Factor, Factors, Mixture, RATIOS, Statistic},
};

/// Where an outcome came from: an agent, a skill or a person, numbered by the caller within its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Source(pub u32);

/// Accounts of sources. Past so many, several sources share one and are left out together, which errs toward no
/// alarm.
pub(crate) const ACCOUNTS: usize = 64;

/// Past this a running product is taken into the accounts, long before it leaves the range of floats.
const LARGE: f64 = 1e60;

/// What the sources of an account have contributed: the statistic without them minus the one with them, per
/// alternative, over the running product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Account(#[serde(with = "bits::array")] Mixture);

/// The detector of all outcomes, and those that leave one source out.
///
/// The alarm is on the minimum, which is at most the detector of all outcomes. So whichever sources are
/// left out, and however they are chosen, the bound of [`Statistic`] holds for it.
///
/// All sources are followed at the price of one. Let D be the statistic without a source minus the one of all:
/// an outcome of another source maps both by R ← (R + 1)·f, so D ← D·f. It is kept as D over the running
/// product of factors, and touched only when that source itself reports: D ← D + R − (R + 1)·f, as the
/// statistic without it stays. Where the difference loses digits, with R far above what is left without the
/// source, the source has a statistic of its own: the m sources without which least is left do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TightenDetector {
    all: Statistic,
    #[serde(with = "bits::array")]
    product: Mixture,
    /// One over the product: a division costs as much as all else.
    #[serde(with = "bits::array")]
    inverse: Mixture,
    accounts: Vec<Account>,
    without: Vec<Without>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Without {
    account: usize,
    source: Source,
    statistic: Statistic,
}

impl Default for TightenDetector {
    fn default() -> Self {
        Self {
            all: Statistic::default(),
            product: [1.0; RATIOS.len()],
            inverse: [1.0; RATIOS.len()],
            accounts: Vec::new(),
            without: Vec::new(),
        }
    }
}

impl TightenDetector {
    /// Takes in one matured outcome of a run that passed; `left_out` is m.
    pub fn observe(&mut self, factors: &Factors, source: Source, loss: Loss, left_out: usize) {
        let computed;
        let factor = match factors.known(loss) {
            Some(known) => known,
            None => {
                computed = factors.of(loss);
                &computed
            }
        };
        let before = self.all.0;
        self.all.step(&factor.times);
        if loss != Loss::NONE {
            self.all.hold();
            self.without.iter_mut().for_each(|without| without.statistic.hold());
        }
        if left_out == 0 {
            return;
        }
        let products = self.product.iter_mut().zip(&mut self.inverse);
        for ((product, inverse), (times, over)) in products.zip(factor.times.iter().zip(&factor.over)) {
            // An alternative that is not used has factor 0 and statistic 0.
            *product *= times;
            *inverse *= over;
        }
        let account = source.0 as usize % ACCOUNTS;
        let mut own = false;
        for without in &mut self.without {
            if without.account == account {
                own = true;
            } else {
                without.statistic.step(&factor.times);
            }
        }
        if !own {
            self.enter(account, &before, factor);
            if loss != Loss::NONE {
                self.promote(factors, account, source, left_out);
            }
        }
        // The greatest alternative moves the fastest, either way.
        if self.product.get(factors.greatest()).is_some_and(|p| !(1.0 / LARGE..=LARGE).contains(p)) {
            self.take_in_product();
        }
    }

    /// The e-detector of all outcomes, mean_j R_j.
    pub fn value(&self, factors: &Factors) -> f64 {
        factors.mean(&self.all.0)
    }

    /// The least of the e-detectors with and without one source, and which was left out for it.
    pub fn least(&self, factors: &Factors) -> (f64, Option<Source>) {
        let own =
            self.without.iter().map(|without| (factors.mean(&without.statistic.0), Some(without.source)));
        let all = (factors.mean(&self.all.0), None);
        own.fold(all, |least, other| if other.0 < least.0 { other } else { least })
    }

    /// Whether the least of them is at the level.
    pub fn alarm(&self, factors: &Factors, level: f64) -> bool {
        self.value(factors) >= level && self.least(factors).0 >= level
    }

    pub(crate) fn bytes(&self) -> usize {
        self.without.capacity() * size_of::<Without>() + self.accounts.capacity() * size_of::<Account>()
    }

    /// Forgets everything: the threshold changed.
    pub fn restart(&mut self) {
        self.all = Statistic::default();
        self.product = [1.0; RATIOS.len()];
        self.inverse = [1.0; RATIOS.len()];
        self.without.clear();
        self.accounts.clear();
    }

    /// Enters an outcome into the account of its source.
    fn enter(&mut self, account: usize, before: &Mixture, factor: &Factor) {
        if self.accounts.len() <= account {
            self.accounts.resize(account + 1, Account::default());
        }
        let Some(Account(lacking)) = self.accounts.get_mut(account) else { return };
        let factors = factor.times.iter().zip(&factor.over).zip(&self.inverse);
        for ((lacking, r), ((times, over), inverse)) in lacking.iter_mut().zip(before).zip(factors) {
            // The product holds this outcome's factor already; without the source it has no such factor.
            *lacking = *lacking * over + (r - (r + 1.0) * times) * inverse;
        }
    }

    /// Gives an account a statistic of its own if it is among the m without which least is left.
    fn promote(&mut self, factors: &Factors, account: usize, source: Source, left_out: usize) {
        let Some(lacking) = self.accounts.get(account) else { return };
        let new = Without { account, source, statistic: self.left_without(lacking) };
        if self.without.len() < left_out {
            self.without.push(new);
            return;
        }
        let value = |without: &Without| factors.mean(&without.statistic.0);
        let most = self.without.iter_mut().max_by(|a, b| value(a).total_cmp(&value(b)));
        if let Some(most) = most
            && value(&new) < value(most)
        {
            let old = std::mem::replace(most, new);
            if let Some(Account(lacking)) = self.accounts.get_mut(old.account) {
                let terms = lacking.iter_mut().zip(old.statistic.0).zip(self.all.0).zip(&self.inverse);
                for (((lacking, own), all), inverse) in terms {
                    *lacking = (own - all) * inverse;
                }
            }
        }
    }

    /// The statistic without the sources of an account.
    fn left_without(&self, account: &Account) -> Statistic {
        let mut left = self.all.0;
        for ((r, lacking), product) in left.iter_mut().zip(account.0).zip(&self.product) {
            *r = (*r + lacking * product).max(0.0);
        }
        Statistic(left)
    }

    fn take_in_product(&mut self) {
        for Account(lacking) in &mut self.accounts {
            for (lacking, product) in lacking.iter_mut().zip(&self.product) {
                *lacking *= product;
            }
        }
        self.product = [1.0; RATIOS.len()];
        self.inverse = [1.0; RATIOS.len()];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Exact detectors without one source, from all outcomes.
    fn exact_without(outcomes: &[(u32, bool)], source: u32, factors: &Factors) -> f64 {
        let mut statistic = Statistic::default();
        for (_, failed) in outcomes.iter().filter(|(from, _)| *from != source) {
            statistic.step(&factors.of(if *failed { Loss::FULL } else { Loss::NONE }).times);
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
        assert!(!detector.alarm(&factors, 1e6));
        let many: Vec<_> = (0..2_000).map(|n| (n % 7, n % 5 == 2)).collect();
        assert!(run(&many, 3, &factors).alarm(&factors, 1e6));
    }

    #[test]
    fn a_source_that_begins_to_lie_late_takes_the_place_of_another() {
        let factors = Factors::new(0.05);
        let mut outcomes: Vec<_> = (0..2_000u32).map(|n| (n % 20, n % 25 == 3)).collect();
        outcomes.extend((0..4_000u32).map(|n| (n % 10, n % 10 == 9 || n % 25 == 3)));
        let detector = run(&outcomes, 2, &factors);
        assert!(detector.without.iter().any(|without| without.source == Source(9)));
        assert!(!detector.alarm(&factors, 1e6));
        assert!(detector.value(&factors) > 1e6, "it would have without leaving it out");
    }

    #[test]
    fn beside_a_liar_a_real_rise_is_still_found() {
        let factors = Factors::new(0.05);
        let steady = |n: u32| (n % 20, n % 20 == 9 || n % 23 == 3);
        let mut outcomes: Vec<_> = (0..5_000u32).map(steady).collect();
        let detector = run(&outcomes, 3, &factors);
        assert!(detector.value(&factors) > 1e12, "the liar alone");
        assert!(detector.least(&factors).0 < 1e5);
        outcomes.extend((0..600u32).map(|n| (n % 20, n % 20 == 9 || n % 7 == 3)));
        assert!(run(&outcomes, 3, &factors).alarm(&factors, 1e6));
    }

    proptest! {
        #[test]
        fn what_is_kept_without_a_source_is_what_its_absence_would_have_left(
            outcomes in prop::collection::vec((0u32..6, prop::bool::weighted(0.15)), 1..300), m in 1usize..4
        ) {
            let factors = Factors::new(0.05);
            let detector = run(&outcomes, m, &factors);
            let own = detector.without.iter().map(|w| (w.source, w.statistic));
            let kept = (0..).map(Source).zip(&detector.accounts).map(|(s, a)| (s, detector.left_without(a)));
            let promoted = |s: Source| detector.without.iter().any(|w| w.source == s);
            let kept = kept.filter(|(s, _)| !promoted(*s));
            for (source, statistic) in own.chain(kept) {
                let exact = exact_without(&outcomes, source.0, &factors);
                let value = factors.mean(&statistic.0);
                let all = detector.value(&factors);
                prop_assert!((value - exact).abs() <= 1e-9 * exact.max(all), "{value} for {exact} of {all}");
            }
            let failed = outcomes.iter().any(|(_, failed)| *failed);
            prop_assert_eq!(detector.without.is_empty(), !failed);
        }
    }
}
