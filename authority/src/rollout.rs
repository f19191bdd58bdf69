//! What decides where: the bundle of each mode, and what is tried beside it. Pure.

use cku_base::Digest;
use serde::{Deserialize, Serialize};

use crate::office::{BundleActivated, Modes, Stage};

/// The mode that stands for acts without a mode, such as granting a role: the one that asks most.
const STRICTEST: &str = "prod";

/// An activation and its place among the entries of the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The place: "at least activation N".
    pub seq: u64,
    /// What became active, or is tried.
    #[serde(flatten)]
    pub activated: BundleActivated,
}

/// What decides where, computed from all activations of a purpose in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// What decides in some mode, the newest first: in a mode it is the first that covers it.
    pub active: Vec<Placed>,
    /// What is tried; never two in one mode.
    pub trials: Vec<Placed>,
    /// The place of the last activation.
    pub latest: u64,
}

impl Rollout {
    /// The rollout after one more activation.
    ///
    /// What becomes active ends whatever was tried in its modes: that was compared with another base. A
    /// trial that is taken back changes nothing else.
    #[must_use]
    pub fn after(mut self, activated: BundleActivated, seq: u64) -> Self {
        self.latest = seq;
        if activated.stage != Stage::Active && activated.rollback {
            self.trials.retain(|trial| trial.activated.diff != activated.diff);
            return self;
        }
        self.trials.retain(|trial| !trial.activated.modes.overlaps(&activated.modes));
        let to = if activated.stage == Stage::Active { &mut self.active } else { &mut self.trials };
        to.insert(0, Placed { seq, activated });
        self.drop_covered();
        self
    }

    /// Leaves out what decides nowhere any more.
    fn drop_covered(&mut self) {
        let mut covered: Vec<Modes> = Vec::new();
        self.active.retain(|placed| {
            let modes = &placed.activated.modes;
            let by = |mode: &str| covered.iter().any(|newer| newer.covers(mode));
            let nowhere = covered.iter().any(Modes::is_all) || (!modes.is_all() && modes.names().all(by));
            covered.push(modes.clone());
            !nowhere
        });
    }

    /// What decides in a mode.
    pub fn in_mode(&self, mode: &str) -> Option<&Placed> {
        self.active.iter().find(|placed| placed.activated.modes.covers(mode))
    }

    /// What decides where no mode is in question: over roles, keys and switches.
    pub fn strictest(&self) -> Option<&Placed> {
        self.in_mode(STRICTEST)
    }

    /// The revision that decides in all of these modes; none where there are several.
    pub fn only(&self, modes: &Modes) -> Option<Digest> {
        let mut revisions: Vec<Digest> = match modes.is_all() {
            true => self.active.iter().map(|placed| placed.activated.revision).collect(),
            false => modes.names().filter_map(|m| self.in_mode(m)).map(|p| p.activated.revision).collect(),
        };
        revisions.dedup();
        match revisions.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// What is tried in some of these modes.
    pub fn trial_in(&self, modes: &Modes) -> Option<&Placed> {
        self.trials.iter().find(|trial| trial.activated.modes.overlaps(modes))
    }

    /// What decides in a mode without effect.
    pub fn shadow_in(&self, mode: &str) -> Option<&Placed> {
        let trial = self.trials.iter().find(|trial| trial.activated.modes.covers(mode));
        trial.filter(|trial| trial.activated.stage == Stage::Shadow)
    }

    /// The canary that decides over this run: a hash of its name picks the declared share.
    pub fn canary_of(&self, mode: &str, run: &str) -> Option<&Placed> {
        let trial = self.trials.iter().find(|trial| trial.activated.modes.covers(mode))?;
        let Stage::Canary { share, .. } = trial.activated.stage else { return None };
        (place(trial.activated.diff?, run) < share.get()).then_some(trial)
    }
}

/// Where a run stands among 10,000, for a diff: the same each time, another for each diff.
fn place(diff: Digest, run: &str) -> u32 {
    let digest = Digest::of(format!("{diff} {run}").as_bytes());
    let eight = digest.as_bytes().iter().take(8).fold(0u64, |all, byte| (all << 8) | u64::from(*byte));
    u32::try_from(eight % 10_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::office::Purpose;

    const MODES: [&str; 4] = ["dev", "staging", "prod", "lab"];

    fn activation(n: u8, modes: &[&str], stage: Stage) -> BundleActivated {
        BundleActivated {
            revision: Digest::of(&[n]),
            files: Digest::of(&[n, n]),
            name: "minimal".to_owned(),
            purpose: Purpose::Gates,
            diff: Some(Digest::of(&[n, n, n])),
            rollback: false,
            modes: Modes::of(modes.iter().copied()),
            stage,
        }
    }

    fn canary(share: u32) -> Stage {
        Stage::Canary { share: share.try_into().unwrap(), stop_after: None }
    }

    #[test]
    fn in_each_mode_the_newest_that_covers_it_decides() {
        let rollout = Rollout::default()
            .after(activation(1, &[], Stage::Active), 1)
            .after(activation(2, &["dev"], Stage::Active), 2)
            .after(activation(3, &["dev", "staging"], Stage::Active), 3);
        assert_eq!(rollout.in_mode("dev").unwrap().seq, 3);
        assert_eq!(rollout.in_mode("prod").unwrap().seq, 1);
        assert_eq!(rollout.active.len(), 2, "what decides nowhere is left out");
        assert_eq!(rollout.only(&Modes::of(["dev", "staging"])), Some(Digest::of(&[3])));
        assert_eq!(rollout.only(&Modes::all()), None, "two revisions");
        assert_eq!(
            rollout.after(activation(4, &[], Stage::Active), 4).only(&Modes::all()),
            Some(Digest::of(&[4]))
        );
    }

    #[test]
    fn a_canary_decides_over_its_share_of_runs_and_over_the_same_each_time() {
        let rollout = Rollout::default()
            .after(activation(1, &[], Stage::Active), 1)
            .after(activation(2, &["prod"], canary(1_000)), 2);
        let runs = || 0..10_000;
        let first = &rollout;
        let picked =
            |mode: &'static str| runs().filter(move |n| first.canary_of(mode, &format!("run-{n}")).is_some());
        let share = picked("prod").count();
        assert!((900..1_100).contains(&share), "{share} of 10,000");
        assert_eq!(picked("dev").count(), 0);
        assert!(picked("prod").eq(picked("prod")));
        let widened = rollout.clone().after(activation(2, &["prod"], canary(5_000)), 3);
        assert!(
            picked("prod").all(|n| widened.canary_of("prod", &format!("run-{n}")).is_some()),
            "it only grows"
        );
        let done = rollout.clone().after(activation(5, &["prod", "dev"], Stage::Active), 4);
        assert!(done.trials.is_empty(), "what becomes active ends what was tried there");
    }

    fn stages() -> impl Strategy<Value = Stage> {
        prop_oneof![3 => Just(Stage::Active), 1 => Just(Stage::Shadow), 1 => (0..=10_000u32).prop_map(canary)]
    }

    proptest! {
        #[test]
        fn the_rollout_is_what_a_reading_of_all_activations_says(
            all in prop::collection::vec((0..5u8, prop::sample::subsequence(&MODES[..], 0..4), stages()), 1..20)
        ) {
            let all: Vec<BundleActivated> = all.iter().map(|(n, modes, stage)| activation(*n, modes, *stage)).collect();
            let rollout = all.iter().zip(1u64..).fold(Rollout::default(), |rollout, (a, seq)| rollout.after(a.clone(), seq));
            prop_assert_eq!(rollout.latest, all.len() as u64);
            for mode in MODES {
                let covering = all.iter().zip(1u64..).filter(|(a, _)| a.modes.covers(mode));
                let active = covering.clone().filter(|(a, _)| a.stage == Stage::Active).last();
                prop_assert_eq!(rollout.in_mode(mode).map(|p| p.seq), active.map(|(_, seq)| seq));
                prop_assert!(rollout.trials.iter().filter(|trial| trial.activated.modes.covers(mode)).count() <= 1);
                let last = covering.last();
                let shadow = last.filter(|(a, _)| a.stage == Stage::Shadow);
                // Another trial may have ended it in a mode that this one does not cover.
                if let Some(placed) = rollout.shadow_in(mode) {
                    prop_assert_eq!(Some(placed.seq), shadow.map(|(_, seq)| seq));
                }
            }
            let written = serde_json::to_value(&rollout).unwrap();
            prop_assert_eq!(serde_json::from_value::<Rollout>(written).unwrap(), rollout);
        }
    }
}
