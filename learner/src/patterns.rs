//! Groups that fail more often than what they belong to.

use std::collections::BTreeMap;

use cku_base::TenantPath;
use serde::{Deserialize, Serialize};

use crate::{ebh, loss::Loss};

/// A group of runs: a skill that fails in one way, in a mode of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Group {
    /// The tenant.
    pub tenant: TenantPath,
    /// The mode.
    pub mode: String,
    /// The skill.
    pub skill: String,
    /// The class of failure.
    pub class: String,
}

/// What a group is compared with: the same class of failure in the mode of the tenant, over all skills.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Parent {
    tenant: TenantPath,
    mode: String,
    class: String,
}

/// The rates, as multiples of the parent's, that a group is tested for.
const RATIOS: [f64; 3] = [1.5, 2.0, 4.0];

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Tally {
    outcomes: f64,
    losses: f64,
}

/// The e-values of all groups, one outcome at a time.
///
/// A group's outcome is bet on at the rate that the other members of its parent showed before it: a likelihood
/// ratio for a higher rate against that one. Were the group no worse than that rate, the wealth would not
/// grow on the average, whatever the order. The parent's rate is itself an estimate, so the
/// comparison is with the rate seen, one prior loss among two added.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    groups: BTreeMap<Group, (Tally, [f64; RATIOS.len()])>,
    parents: BTreeMap<Parent, Tally>,
}

/// A group that fails more often than its parent.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// The group.
    pub group: Group,
    /// Its e-value.
    pub e_value: f64,
    /// Its rate.
    pub rate: f64,
    /// Its outcomes.
    pub outcomes: u64,
}

impl Patterns {
    /// Takes in one outcome: whether the run of this group ended with this class of failure.
    pub fn observe(&mut self, group: &Group, loss: Loss) {
        let Group { tenant, mode, class, .. } = group;
        let parent = Parent { tenant: tenant.clone(), mode: mode.clone(), class: class.clone() };
        let parent = self.parents.entry(parent).or_default();
        let (tally, wealth) =
            self.groups.entry(group.clone()).or_insert((Tally::default(), [1.0; RATIOS.len()]));
        let others =
            Tally { outcomes: parent.outcomes - tally.outcomes, losses: parent.losses - tally.losses };
        let rate = (others.losses + 1.0) / (others.outcomes + 2.0);
        for (wealth, ratio) in wealth.iter_mut().zip(RATIOS) {
            let other = (ratio * rate).min(0.5 * (1.0 + rate));
            let l = loss.value();
            // Linear in the loss, so at the tested rate the mean is 1 for partial losses too.
            *wealth = (*wealth * (l * other / rate + (1.0 - l) * (1.0 - other) / (1.0 - rate))).min(1e200);
        }
        for tally in [tally, parent] {
            tally.outcomes += 1.0;
            tally.losses += loss.value();
        }
    }

    /// The groups that stand out, such that on the average at most this share of them does so by chance.
    pub fn found(&self, share: f64) -> Vec<Pattern> {
        let all: Vec<(&Group, &Tally, f64)> = self
            .groups
            .iter()
            .map(|(group, (tally, wealth))| (group, tally, wealth.iter().sum::<f64>() / RATIOS.len() as f64))
            .collect();
        let e_values: Vec<f64> = all.iter().map(|(.., e)| *e).collect();
        let believed = ebh::believed(&e_values, share);
        let pattern = |at: usize| {
            let (group, tally, e_value) = all.get(at)?;
            let rate = tally.losses / tally.outcomes.max(1.0);
            Some(Pattern {
                group: (*group).clone(),
                e_value: *e_value,
                rate,
                outcomes: tally.outcomes as u64,
            })
        };
        believed.into_iter().filter_map(pattern).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(skill: &str) -> Group {
        let tenant = "acme".parse().unwrap();
        Group { tenant, mode: "dev".to_owned(), skill: skill.to_owned(), class: "timeout".to_owned() }
    }

    #[test]
    fn a_skill_that_fails_more_often_than_the_others_is_found_and_three_failures_are_not() {
        let mut patterns = Patterns::default();
        let (good, bad) = ([group("a"), group("b"), group("c")], group("d"));
        for n in 0..600u32 {
            let loss = |every: u32| if n % every == 0 { Loss::FULL } else { Loss::NONE };
            good.iter().for_each(|group| patterns.observe(group, loss(20)));
            patterns.observe(&bad, loss(7));
        }
        let unlucky = group("e");
        (0..60).for_each(|n| patterns.observe(&unlucky, if n < 3 { Loss::FULL } else { Loss::NONE }));
        let found = patterns.found(0.05);
        assert_eq!(found.iter().map(|p| p.group.skill.as_str()).collect::<Vec<_>>(), ["d"]);
        assert!((found[0].rate - 86.0 / 600.0).abs() < 1e-9);
    }
}
