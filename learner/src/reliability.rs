//! How reliable skills, agents, gates, voters and tenants have been.

use cku_base::BasisPoints;
use serde::{Deserialize, Serialize};

use crate::{bits, confidence, loss::Loss};

/// The level of the interval.
const ALPHA: f64 = 0.05;

/// Outcomes of one subject: all of them as exact integers, and discounted ones.
///
/// Discounted counts lose half their weight every half-life. They follow a change and give the mean; but no
/// interval over counts that fade holds at every look. So the interval is that of all outcomes, and the lower
/// bound, which consumers use, is the worse of both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Outcomes.
    pub outcomes: u64,
    /// Their losses, in ten-thousandths.
    pub losses: u64,
    /// Outcomes, discounted.
    #[serde(with = "bits::one")]
    pub recent_outcomes: f64,
    /// Their losses, discounted.
    #[serde(with = "bits::one")]
    pub recent_losses: f64,
}

impl Counts {
    /// One more outcome; `half_life` is in outcomes of this subject.
    #[must_use]
    pub fn with(self, loss: Loss, half_life: u32) -> Self {
        let faded = self.discounted(1, half_life);
        Self {
            outcomes: self.outcomes + 1,
            losses: self.losses + u64::from(loss.get()),
            recent_outcomes: faded.recent_outcomes + 1.0,
            recent_losses: faded.recent_losses + loss.value(),
        }
    }

    /// The counts after so many outcomes elsewhere: what is recent fades.
    #[must_use]
    pub fn discounted(self, outcomes: u32, half_life: u32) -> Self {
        let factor = libm::exp2(-f64::from(outcomes) / f64::from(half_life.max(1)));
        Self {
            recent_outcomes: self.recent_outcomes * factor,
            recent_losses: self.recent_losses * factor,
            ..self
        }
    }

    /// The counts of both: of two shards, or of parts of a group.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            outcomes: self.outcomes + other.outcomes,
            losses: self.losses + other.losses,
            recent_outcomes: self.recent_outcomes + other.recent_outcomes,
            recent_losses: self.recent_losses + other.recent_losses,
        }
    }

    /// A label that came late or was corrected: the report changes, no detector does. What is recent takes it
    /// for news of now, however much of the outcome had faded.
    #[must_use]
    pub fn corrected(self, from: Loss, to: Loss) -> Self {
        let losses = self.losses.saturating_sub(u64::from(from.get())) + u64::from(to.get());
        let recent_losses = (self.recent_losses - from.value() + to.value()).max(0.0);
        Self { losses, recent_losses: recent_losses.min(self.recent_outcomes), ..self }
    }

    /// The posterior mean of the share that succeeds, by the discounted counts under a uniform prior.
    pub fn mean(&self) -> f64 {
        (self.recent_outcomes - self.recent_losses + 1.0) / (self.recent_outcomes + 2.0)
    }

    /// An interval of 95 % for the share that succeeds, over all outcomes, that holds at every look
    /// ([`confidence::interval`]).
    pub fn interval(&self) -> (f64, f64) {
        let (low, high) = confidence::interval(self.losses as f64 / 10_000.0, self.outcomes as f64, ALPHA);
        (1.0 - high, 1.0 - low)
    }

    /// The lower bound that consumers use: the lower end of the interval of all outcomes, or of the recent ones
    /// where they are worse.
    pub fn lower_bound(&self) -> BasisPoints {
        let recent = 1.0 - confidence::interval(self.recent_losses, self.recent_outcomes, ALPHA).1;
        let lower = self.interval().0.min(recent).clamp(0.0, 1.0);
        BasisPoints::try_from((lower * 10_000.0) as u32).unwrap_or_default()
    }

    /// The lower bound where enough is known for consumers to go by it; none where what they take for granted
    /// still holds.
    ///
    /// Enough are `from` outcomes; with fewer, the bound would be low of whoever is merely new. But whoever is
    /// refuted by them to succeed in a share of `doubt` is known well enough: where consumers take no more than
    /// that for granted, nobody is taken for better than the outcomes allow.
    pub fn known(&self, from: u32, doubt: BasisPoints) -> Option<BasisPoints> {
        let refuted = || self.interval().1 < f64::from(doubt.get()) / 10_000.0;
        (self.outcomes >= u64::from(from) || refuted()).then(|| self.lower_bound())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts() -> impl Strategy<Value = Counts> {
        (0u64..1_000, 0.0f64..1.0, 0.0f64..1.0).prop_map(|(outcomes, share, recent)| Counts {
            outcomes,
            losses: (outcomes as f64 * 10_000.0 * share) as u64,
            recent_outcomes: outcomes as f64 * recent,
            recent_losses: outcomes as f64 * recent * share,
        })
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * (1.0 + a.abs())
    }

    proptest! {
        #[test]
        fn shards_merge_in_any_order(a in counts(), b in counts(), c in counts()) {
            let (left, right) = (a.merge(b).merge(c), c.merge(a.merge(b)));
            let other = a.merge(b.merge(c));
            for merged in [right, other] {
                prop_assert_eq!((left.outcomes, left.losses), (merged.outcomes, merged.losses));
                prop_assert!(near(left.recent_outcomes, merged.recent_outcomes));
                prop_assert!(near(left.recent_losses, merged.recent_losses));
            }
        }

        #[test]
        fn discounting_and_merging_commute(a in counts(), b in counts(), n in 0u32..5_000, half in 1u32..2_000) {
            let (first, then) = (a.discounted(n, half).merge(b.discounted(n, half)), a.merge(b).discounted(n, half));
            prop_assert!(near(first.recent_outcomes, then.recent_outcomes));
            prop_assert!(near(first.recent_losses, then.recent_losses));
            prop_assert_eq!((first.outcomes, first.losses), (then.outcomes, then.losses));
        }
    }

    #[test]
    fn a_skill_that_turns_bad_loses_its_good_name() {
        let good = (0..2_000).fold(Counts::default(), |counts, _| counts.with(Loss::NONE, 200));
        assert!(good.lower_bound().get() > 9_700, "{:?}", good.lower_bound());
        let bad = (0..400).fold(good, |counts, _| counts.with(Loss::FULL, 200));
        assert!(bad.mean() < 0.3);
        assert!(bad.interval().0 > 0.7, "over all outcomes it is still good");
        assert!(bad.lower_bound().get() < 3_000, "consumers see the recent ones");
    }

    #[test]
    fn a_few_outcomes_are_not_enough_unless_they_are_bad() {
        let doubt = BasisPoints::try_from(9_000).unwrap();
        let known = |good: u32, bad: u32| {
            let losses = (0..good).map(|_| Loss::NONE).chain((0..bad).map(|_| Loss::FULL));
            losses.fold(Counts::default(), |counts, loss| counts.with(loss, 1_000)).known(100, doubt)
        };
        assert_eq!(known(0, 0), None);
        assert_eq!((known(99, 0), known(0, 8)), (None, None));
        assert_eq!(known(0, 11).map(BasisPoints::get), Some(0), "eleven of eleven failed");
        assert!(known(100, 0).is_some_and(|bound| (8_800..9_200).contains(&bound.get())));
        // Of whom nothing is handed over, the outcomes do not refute what may be taken for granted.
        for (good, bad) in (0..100).flat_map(|bad| (0..100 - bad).map(move |good| (good, bad))).step_by(7) {
            let losses = f64::from(bad);
            let most = 1.0 - confidence::interval(losses, f64::from(good + bad), ALPHA).0;
            assert_eq!(known(good, bad).is_none(), most >= 0.9, "{good} good, {bad} bad");
        }
    }

    #[test]
    fn a_corrected_label_changes_the_counts_as_if_it_had_been_right() {
        let counts = [Loss::NONE, Loss::FULL].iter().fold(Counts::default(), |c, l| c.with(*l, 1_000));
        let corrected = counts.corrected(Loss::FULL, Loss::NONE);
        assert_eq!((corrected.outcomes, corrected.losses), (2, 0));
        assert!(corrected.recent_losses.abs() < 1e-9);
        assert_eq!(Counts::default().lower_bound().get(), 0, "without outcomes nothing is known");
    }
}
