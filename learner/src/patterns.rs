//! Skills that fail in one way more often than the others of their mode.
//!
//! A *group* is a skill that fails in one class, in a mode of a tenant; its parent is that mode. Whether it is
//! worse than the others there is bet on with pairs: one try of the skill, and one of another skill from about
//! the same time. Under "the skill fails in this class no more often than the others" such a bet does not grow
//! on the average, whatever the rates are and however they move together, so a great wealth speaks against it:
//! an e-value, at every look (Turner, Ly, Grünwald: Generic E-variables for exact sequential k-sample tests,
//! 2024). Nothing is estimated first and then taken for known, and three failures in a row are no pattern.

use std::collections::{BTreeMap, BTreeSet};

use cku_base::TenantPath;
use serde::{Deserialize, Serialize};

use crate::{bits, ebh};

/// How many times the rate of the others a group is bet to have; the wealth is split evenly.
const RATIOS: [f64; 4] = [1.5, 2.0, 4.0, 16.0];

/// What the rate of the others is guessed to be before the first pair: failures among pairs.
const GUESS: (f64, f64) = (1.0, 20.0);

/// What the tries of a tenant's skills say of groups.
///
/// It is a function of what was [observed](Self::observe): stored and read again, it goes on the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Patterns {
    modes: BTreeMap<String, BTreeMap<String, Skill>>,
}

/// A skill in a mode.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Skill {
    tries: u64,
    /// By class.
    failures: BTreeMap<String, u64>,
    /// By class, from the first pair in which the skill failed so; that pair is what begins the bet, and no
    /// part of it.
    bets: BTreeMap<String, Bet>,
    half: Option<Half>,
}

/// The first half of a pair: how it failed, if it did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Half {
    Own(Option<String>),
    Other(Option<String>),
}

/// A bet that a group is worse than the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Bet {
    pairs: u64,
    /// Pairs in which one of the others failed so.
    others: u64,
    #[serde(with = "bits::array")]
    wealth: [f64; RATIOS.len()],
}

impl Bet {
    fn new() -> Self {
        Self { pairs: 0, others: 0, wealth: [1.0; RATIOS.len()] }
    }

    fn e_value(&self) -> f64 {
        self.wealth.iter().sum::<f64>() / RATIOS.len() as f64
    }

    /// Takes in a pair. The rates that are bet on are those guessed before it.
    fn pair(&mut self, own_failed: bool, other_failed: bool) {
        let other = (self.others as f64 + GUESS.0) / (self.pairs as f64 + GUESS.1);
        for (wealth, ratio) in self.wealth.iter_mut().zip(RATIOS) {
            let own = (ratio * other).min(0.5 * (1.0 + other));
            // The likeliest equal rates, if these were right: that of both together.
            let equal = 0.5 * (own + other);
            let likelihood = |rate: f64, failed: bool| if failed { rate } else { 1.0 - rate };
            let own = likelihood(own, own_failed) / likelihood(equal, own_failed);
            let other = likelihood(other, other_failed) / likelihood(equal, other_failed);
            *wealth = (*wealth * own * other).min(1e200);
        }
        self.pairs += 1;
        self.others += u64::from(other_failed);
    }
}

impl Skill {
    /// Takes in a try of it, or of another skill of its mode. What has no partner yet waits for one; further
    /// tries of the same side are no part of a pair, whatever came of them.
    fn half(&mut self, half: Half) {
        let (own, other) = match (self.half.take(), half) {
            (None, first) => {
                self.half = Some(first);
                return;
            }
            (Some(Half::Own(own)), Half::Other(other)) | (Some(Half::Other(other)), Half::Own(own)) => {
                (own, other)
            }
            (waits, _) => {
                self.half = waits;
                return;
            }
        };
        for (class, bet) in &mut self.bets {
            bet.pair(own.as_ref() == Some(class), other.as_ref() == Some(class));
        }
        if let Some(class) = own {
            self.bets.entry(class).or_insert_with(Bet::new);
        }
    }
}

/// A group beside the others of its mode.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pattern {
    /// The tenant.
    pub tenant: TenantPath,
    /// The mode.
    pub mode: String,
    /// The skill.
    pub skill: String,
    /// The class of failure.
    pub class: String,
    /// The tries of the skill, and those that failed so.
    pub own: (u64, u64),
    /// The same of the other skills of the mode.
    pub others: (u64, u64),
    /// How strongly it speaks against "no worse than the others": the e-value.
    pub e_value: f64,
}

impl Patterns {
    /// Takes in how a try of a skill ended: the class of its failure, or none.
    pub fn observe(&mut self, mode: &str, skill: &str, failure: Option<&str>) {
        let skills = self.modes.entry(mode.to_owned()).or_default();
        let of = skills.entry(skill.to_owned()).or_default();
        of.tries += 1;
        if let Some(class) = failure {
            *of.failures.entry(class.to_owned()).or_default() += 1;
        }
        for (name, of) in skills {
            let failure = failure.map(str::to_owned);
            of.half(if name == skill { Half::Own(failure) } else { Half::Other(failure) });
        }
    }

    /// Each skill of a mode with each class that was seen there, be there a bet or not.
    fn groups<'p>(&'p self, tenant: &'p TenantPath) -> impl Iterator<Item = Pattern> + 'p {
        self.modes.iter().flat_map(move |(mode, skills)| {
            let classes: BTreeSet<&String> =
                skills.values().flat_map(|skill| skill.failures.keys()).collect();
            skills.iter().flat_map(move |(name, skill)| {
                let of = move |class: &str| {
                    let failed = |skill: &Skill| skill.failures.get(class).copied().unwrap_or_default();
                    let sum = |count: &dyn Fn(&Skill) -> u64| skills.values().map(count).sum::<u64>();
                    Pattern {
                        tenant: tenant.clone(),
                        mode: mode.clone(),
                        skill: name.clone(),
                        class: class.to_owned(),
                        own: (skill.tries, failed(skill)),
                        others: (sum(&|s| s.tries) - skill.tries, sum(&failed) - failed(skill)),
                        e_value: skill.bets.get(class).map_or(1.0, Bet::e_value),
                    }
                };
                classes.clone().into_iter().map(move |class| of(class))
            })
        })
    }
}

/// The groups of some tenants that stand out, such that on the average at most this share of them does so by
/// chance; the most certain first.
pub fn found<'p>(
    tenants: impl IntoIterator<Item = (&'p TenantPath, &'p Patterns)>,
    share: f64,
) -> Vec<Pattern> {
    let groups: Vec<Pattern> =
        tenants.into_iter().flat_map(|(tenant, patterns)| patterns.groups(tenant)).collect();
    let e_values: Vec<f64> = groups.iter().map(|group| group.e_value).collect();
    let believed = ebh::believed(&e_values, share);
    believed.into_iter().filter_map(|at| groups.get(at).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(patterns: &Patterns) -> Vec<(String, String)> {
        let acme = "acme".parse().unwrap();
        found([(&acme, patterns)], 0.05).into_iter().map(|p| (p.skill, p.class)).collect()
    }

    /// SplitMix64, as a number in [0, 1).
    fn draw(state: &mut u64) -> f64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    #[test]
    fn a_skill_that_fails_more_often_than_the_others_is_found_with_the_way_it_fails() {
        let mut patterns = Patterns::default();
        for n in 0..600u32 {
            for skill in ["a", "b", "c"] {
                patterns.observe("dev", skill, (n % 20 == 0).then_some("timeout"));
            }
            // As often as the others in one way, and more often in another.
            let failure = if n % 20 == 1 { Some("timeout") } else { (n % 7 == 0).then_some("conflict") };
            patterns.observe("dev", "d", failure);
        }
        assert_eq!(names(&patterns), [("d".to_owned(), "conflict".to_owned())]);
        let acme = "acme".parse().unwrap();
        let found = found([(&acme, &patterns)], 0.05);
        assert_eq!((found[0].own.0, found[0].others), (600, (1_800, 0)));
    }

    #[test]
    fn three_failures_are_no_pattern_and_a_skill_alone_is_none() {
        let mut patterns = Patterns::default();
        for n in 0..60 {
            patterns.observe("dev", "a", None);
            patterns.observe("dev", "unlucky", (n < 3).then_some("timeout"));
            patterns.observe("prod", "alone", Some("timeout"));
        }
        assert_eq!(names(&patterns), []);
    }

    #[test]
    fn skills_that_are_alike_are_rarely_told_apart_however_seldom_some_are_used() {
        let (mut seed, mut wrong) = (7, 0);
        for _ in 0..400 {
            let mut patterns = Patterns::default();
            let rate = 0.02 + 0.3 * draw(&mut seed);
            for n in 0..600 {
                let failed = |seed: &mut u64| (draw(seed) < rate).then_some("timeout");
                patterns.observe("dev", "often", failed(&mut seed));
                if n % 12 == 0 {
                    patterns.observe("dev", "seldom", failed(&mut seed));
                    patterns.observe("dev", "seldom too", failed(&mut seed));
                }
            }
            wrong += u32::from(!names(&patterns).is_empty());
        }
        assert!(wrong <= 20, "{wrong} of 400, and at most one in twenty is allowed");
    }

    #[test]
    fn what_is_stored_goes_on_the_same() {
        let mut seed = 3;
        let (mut whole, mut parts) = (Patterns::default(), Patterns::default());
        for n in 0..200 {
            let failure = (draw(&mut seed) < 0.2).then_some("timeout");
            let skill = ["a", "b", "c"][n % 3];
            whole.observe("dev", skill, failure);
            parts.observe("dev", skill, failure);
            parts = serde_json::from_str(&serde_json::to_string(&parts).unwrap()).unwrap();
        }
        assert_eq!(whole, parts);
    }
}
