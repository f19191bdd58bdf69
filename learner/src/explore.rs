//! Randomised exploration: which runs a keyed draw lets through the threshold rule.

use std::collections::{BTreeMap, BTreeSet};

use cku_base::{BasisPoints, Principal, TenantPath};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::route::Propensity;

/// What the message of every draw begins with, so that the key serves nothing else by accident.
const PURPOSE: &[u8] = b"cku exploration draw 1";

/// The key of the draws. Whoever knows it knows them in advance.
#[derive(Clone)]
pub struct DrawKey([u8; 32]);

impl std::fmt::Debug for DrawKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DrawKey(..)")
    }
}

impl DrawKey {
    /// A key of 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// A number that is uniform among 2^64, the same for every resubmission of the same change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Draw(u64);

impl Draw {
    /// HMAC-SHA256(key, tenant ‖ principal ‖ base commit ‖ gate), its first 64 bits. Each part goes in with its
    /// length before it, so that no two lists of parts give the same message.
    pub fn of(
        key: &DrawKey,
        tenant: &TenantPath,
        principal: &Principal,
        base_commit: &str,
        gate: &str,
    ) -> Self {
        let principal = principal.to_string();
        let parts = [tenant.as_str(), principal.as_str(), base_commit, gate].map(str::as_bytes);
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key.0) else { return Self(u64::MAX) };
        for part in std::iter::once(PURPOSE).chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let code = mac.finalize().into_bytes();
        Self(code.iter().take(8).fold(0, |all, byte| (all << 8) | u64::from(*byte)))
    }

    /// Whether a rate lets it through: draw/2^64 < rate, in integers.
    pub fn lets_through(self, rate: BasisPoints) -> bool {
        u128::from(self.0) * 10_000 < u128::from(rate.get()) << 64
    }
}

/// Why exploration is not open to a run. Its outcome, if it passes, is evidence for tightening only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// The bundle declares no rate for the mode.
    NoRate,
    /// The principal had as many explored runs as it may.
    Capped,
    /// A run with this draw was decided before: its chance is no chance any more.
    Drawn,
}

/// What exploration has to say about a run, whatever its band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chance {
    /// It had this chance, recorded with the decision.
    Open {
        /// The probability.
        propensity: Propensity,
        /// Whether the draw lets it through.
        explored: bool,
    },
    /// It had none.
    Closed(Closed),
}

/// Which draws were used, and how often principals explored, in one window of a scope.
///
/// Both close exploration by what happened before the run, never by its band or its draw. So among the runs
/// to which it was open, those of the bands above went ahead with probability p and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    explored: BTreeMap<String, u32>,
    drawn: BTreeSet<u64>,
}

impl Ledger {
    /// The chance of a run. To be followed by [`Ledger::decided`].
    pub fn chance(&self, principal: &Principal, draw: Draw, rate: BasisPoints, cap: u32) -> Chance {
        let Ok(propensity) = Propensity::try_from(rate.get()) else { return Chance::Closed(Closed::NoRate) };
        if self.drawn.contains(&draw.0) {
            return Chance::Closed(Closed::Drawn);
        }
        if self.explored.get(&principal.to_string()).is_some_and(|explored| *explored >= cap) {
            return Chance::Closed(Closed::Capped);
        }
        Chance::Open { propensity, explored: draw.lets_through(rate) }
    }

    /// A run was decided with this draw; `went_ahead` where exploration is what let it through.
    pub fn decided(&mut self, principal: &Principal, draw: Draw, went_ahead: bool) {
        self.drawn.insert(draw.0);
        if went_ahead {
            *self.explored.entry(principal.to_string()).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dana() -> Principal {
        serde_json::from_value(serde_json::json!({"kind": "user", "id": "dana", "tenant": "acme"})).unwrap()
    }

    fn draw(commit: &str, gate: &str) -> Draw {
        Draw::of(&DrawKey::new([7; 32]), &"acme".parse().unwrap(), &dana(), commit, gate)
    }

    fn rate(points: u32) -> BasisPoints {
        points.try_into().unwrap()
    }

    #[test]
    fn a_resubmission_draws_the_same_and_parts_do_not_run_into_each_other() {
        assert_eq!(draw("abc", "size"), draw("abc", "size"));
        assert_ne!(draw("abc", "size"), draw("abd", "size"));
        assert_ne!(draw("ab", "csize"), draw("abc", "size"));
        assert_ne!(
            Draw::of(&DrawKey::new([8; 32]), &"acme".parse().unwrap(), &dana(), "abc", "size"),
            draw("abc", "size")
        );
    }

    #[test]
    fn the_rate_is_the_share_that_is_let_through() {
        let draws: Vec<Draw> = (0..20_000).map(|n| draw(&n.to_string(), "size")).collect();
        let share = draws.iter().filter(|draw| draw.lets_through(rate(3_000))).count() as f64 / 20_000.0;
        // Four standard errors.
        assert!((share - 0.3).abs() < 0.013, "{share}");
        assert!(draws.iter().all(|draw| draw.lets_through(rate(10_000)) && !draw.lets_through(rate(0))));
        assert!(Draw(u64::MAX).lets_through(rate(10_000)));
        assert!(Draw(0).lets_through(rate(1)));
    }

    #[test]
    fn a_draw_counts_once_and_a_principal_up_to_its_cap() {
        let mut ledger = Ledger::default();
        let (first, second, third) = (draw("a", "size"), draw("b", "size"), draw("c", "size"));
        let chance = |ledger: &Ledger, draw| ledger.chance(&dana(), draw, rate(10_000), 2);
        assert!(matches!(chance(&ledger, first), Chance::Open { explored: true, .. }));
        ledger.decided(&dana(), first, true);
        assert_eq!(chance(&ledger, first), Chance::Closed(Closed::Drawn));
        ledger.decided(&dana(), second, true);
        assert_eq!(chance(&ledger, third), Chance::Closed(Closed::Capped));
        assert_eq!(Ledger::default().chance(&dana(), third, rate(0), 2), Chance::Closed(Closed::NoRate));
    }
}
