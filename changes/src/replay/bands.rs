//! Counters for a threshold that moves: how many recorded values lie between.

use serde::{Deserialize, Serialize};

/// How many values lie where, when a threshold moves from one value to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bands {
    /// Below both.
    pub below: u64,
    /// Between: at least the lower and less than the higher. Those are the ones that a comparison by `<`
    /// or `>=` tells otherwise.
    pub between: u64,
    /// At least the higher.
    pub above: u64,
    /// Decisions without the fact.
    pub missing: u64,
}

/// Sorts the values of a fact, in the units of its type, by a threshold that moves.
pub fn bands(facts: impl IntoIterator<Item = Option<i64>>, from: i64, to: i64) -> Bands {
    let (low, high) = (from.min(to), from.max(to));
    let mut bands = Bands::default();
    for fact in facts {
        *match fact {
            None => &mut bands.missing,
            Some(value) if value < low => &mut bands.below,
            Some(value) if value < high => &mut bands.between,
            Some(_) => &mut bands.above,
        } += 1;
    }
    bands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_sorted_by_both_thresholds_whichever_way_it_moves() {
        let facts = [Some(5_999), Some(6_000), Some(7_999), Some(8_000), None];
        let expected = Bands { below: 1, between: 2, above: 1, missing: 1 };
        assert_eq!(bands(facts, 6_000, 8_000), expected);
        assert_eq!(bands(facts, 8_000, 6_000), expected);
        assert_eq!(bands(facts, 7_000, 7_000).between, 0);
    }
}
