//! Counters for a threshold that moves: how many recorded values lie between.

use std::sync::Arc;

use cku_engine::{Bundle, FactValue, Worker};
use cku_gates::{DecisionInput, show_input};
use cku_journal::Journal;
use serde::{Deserialize, Serialize};

use super::{Options, ReplayError, record};

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
    /// Decisions whose input is not there whole any more.
    pub not_replayable: u64,
}

/// Sorts the recorded decisions by the value that a fact of a gate has under a bundle.
///
/// Only the gate's facts are collected, so it answers sooner than a replay of whole decisions; of the
/// options the filter and the heads count.
pub fn recorded_bands(
    journal: &Journal,
    bundle: Arc<Bundle>,
    options: &Options,
    (gate, fact): (&str, &str),
    (from, to): (i64, i64),
) -> Result<Bands, ReplayError> {
    let heads = match &options.heads {
        Some(heads) => heads.clone(),
        None => record::heads(journal, &options.filter.tenant)?,
    };
    let record = record::read(journal, &heads, &options.filter)?;
    let mut worker = Worker::new(bundle);
    let (mut values, mut not_replayable) = (Vec::new(), 0);
    for recorded in &record.decisions {
        let said = recorded.said.as_ref().filter(|said| said.replayable);
        let bytes = said.map(|said| journal.blob(&recorded.tenant, &said.input)).transpose()?.flatten();
        let input = bytes.and_then(|bytes| serde_json::from_slice::<DecisionInput>(&bytes).ok());
        match input.filter(|input| show_input(&mut worker, input).is_ok()) {
            Some(_) => values.push(match worker.facts(gate).ok().as_ref().and_then(|f| f.get(fact)) {
                Some(FactValue::Number(value)) => Some(*value),
                _ => None,
            }),
            None => not_replayable += 1,
        }
    }
    Ok(Bands { not_replayable, ..bands(values, from, to) })
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
        let expected = Bands { below: 1, between: 2, above: 1, missing: 1, not_replayable: 0 };
        assert_eq!(bands(facts, 6_000, 8_000), expected);
        assert_eq!(bands(facts, 8_000, 6_000), expected);
        assert_eq!(bands(facts, 7_000, 7_000).between, 0);
    }
}
