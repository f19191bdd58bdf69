//! From single decisions to what a replay found; the same in whatever order they come.

use std::collections::{BTreeMap, BTreeSet};

use cku_base::Digest;
use cku_gates::{Decision, GateOutcome, Verdict};

use super::{
    Options,
    bound::upper_bound,
    decide::Judged,
    record::{Heads, Known, Record, Recorded, Recording},
    result::{
        Agreement, Beside, Bound, Flip, Latency, NotReplayable, Percentiles, Place, Replay, Said, Side,
        Table, WhyNot,
    },
};

/// Reasons that are shown of a decision.
const REASONS: usize = 3;
/// Places that are named where the old bundle says something else than it did.
const EXAMPLES: usize = 10;
/// A share of one, in the unit of bounds.
const MILLION: f64 = 1e6;

/// The decisions that are looked at: all, or a uniform sample of as many as the limit says, and after it
/// those that are asked for besides; and how many of them are in the sample.
///
/// Each decision has a number that nobody can foresee without the seed; the sample has the smallest.
pub(super) fn choose<'r>(decisions: &'r [Recorded], options: &Options) -> (Vec<&'r Recorded>, usize) {
    let mut chosen: Vec<&Recorded> = decisions.iter().collect();
    let Some(limit) = options.limit.filter(|limit| *limit < chosen.len()) else {
        let sampled = chosen.len();
        return (chosen, sampled);
    };
    chosen.sort_by_cached_key(|recorded| lot(recorded, options.seed));
    let others = chosen.split_off(limit);
    chosen.extend(others.into_iter().filter(|recorded| options.also.contains(&place(recorded))));
    (chosen, limit)
}

/// The number that a decision has drawn.
fn lot(recorded: &Recorded, seed: u32) -> [u8; 32] {
    let input = recorded.said.as_ref().map(|said| said.input_digest);
    let place = format!("cku/replay/v1 {seed} {} {} {input:?}", recorded.tenant, recorded.seq);
    *Digest::of(place.as_bytes()).as_bytes()
}

/// What was found so far.
#[derive(Debug)]
pub(super) struct Fold<'f> {
    record: &'f Record,
    chosen: &'f [&'f Recorded],
    /// How many of the chosen are in the sample; the others stand behind it.
    sampled: usize,
    options: &'f Options,
    found: Replay,
    not: BTreeMap<(WhyNot, Option<Side>), u64>,
    samples: BTreeMap<(Verdict, Verdict), BTreeMap<[u8; 32], Flip>>,
    differing: BTreeSet<Place>,
    old_micros: Vec<u64>,
    new_micros: Vec<u64>,
}

impl<'f> Fold<'f> {
    pub(super) fn new(
        record: &'f Record,
        (chosen, sampled): (&'f [&'f Recorded], usize),
        options: &'f Options,
        (old, new): (Digest, Digest),
    ) -> Self {
        let recorded = count(record.decisions.len());
        let bound = Bound {
            of: recorded,
            replayed: 0,
            flips: 0,
            confidence: options.confidence,
            at_most_millionths: 0,
        };
        let found = Replay {
            old,
            new,
            heads: Heads::new(),
            filter: options.filter.clone(),
            recorded,
            looked_at: count(sampled),
            replayed: 0,
            masked: 0,
            not_replayable: Vec::new(),
            agreement: Agreement::default(),
            flips: 0,
            bound,
            verdicts: Table::default(),
            by_mode: BTreeMap::new(),
            by_tenant: BTreeMap::new(),
            by_gate: BTreeMap::new(),
            beside: Beside { looked_at: count(chosen.len() - sampled), ..Beside::default() },
            samples: Vec::new(),
            latency: None,
        };
        Self {
            record,
            chosen,
            sampled,
            options,
            found,
            not: BTreeMap::new(),
            samples: BTreeMap::new(),
            differing: BTreeSet::new(),
            old_micros: Vec::new(),
            new_micros: Vec::new(),
        }
    }

    /// Counts one; it stands at this place among the chosen.
    pub(super) fn add(&mut self, at: usize, judged: Judged) {
        if at >= self.sampled {
            return self.add_beside(at, &judged);
        }
        let (old, new, old_micros, new_micros) = match judged {
            Judged::Not(why, side) => {
                *self.not.entry((why, side)).or_default() += 1;
                return;
            }
            Judged::Both { old, new, old_micros, new_micros } => (old, new, old_micros, new_micros),
        };
        let Some(recorded) = self.chosen.get(at).copied() else { return };
        let Some(said) = &recorded.said else { return };
        self.old_micros.push(old_micros);
        self.new_micros.push(new_micros);
        self.agree(recorded, said, old.verdict);
        let known = self.record.run(recorded);
        let outcome = known.observed();
        let found = &mut self.found;
        found.replayed += 1;
        found.masked += u64::from(said.input != said.input_digest);
        let (before, after) = (old.verdict, new.verdict);
        found.verdicts.add(before, after, outcome);
        found.by_mode.entry(said.mode.clone()).or_default().add(before, after, outcome);
        found.by_tenant.entry(recorded.tenant.clone()).or_default().add(before, after, outcome);
        let (of_old, of_new) = (gates(&old), gates(&new));
        for gate in of_old.keys().chain(of_new.keys().filter(|gate| !of_old.contains_key(*gate))) {
            let said = |gates: &BTreeMap<&str, Said>| gates.get(gate).copied().unwrap_or(Said::Absent);
            let table = match found.by_gate.get_mut(*gate) {
                Some(table) => table,
                None => found.by_gate.entry((*gate).to_owned()).or_default(),
            };
            table.add(said(&of_old), said(&of_new), outcome);
        }
        if before != after {
            self.found.flips += 1;
            self.flip(recorded, said, known, (&old, &new));
        }
    }

    /// Counts one that stands beside the sample.
    fn add_beside(&mut self, at: usize, judged: &Judged) {
        let Judged::Both { old, new, .. } = judged else { return };
        let Some(recorded) = self.chosen.get(at).copied() else { return };
        let Some(said) = &recorded.said else { return };
        self.found.beside.replayed += 1;
        if old.verdict != new.verdict {
            self.found.beside.flips += 1;
            self.flip(recorded, said, self.record.run(recorded), (old, new));
        }
    }

    fn agree(&mut self, recorded: &Recorded, said: &Recording, old: Verdict) {
        if said.revision != self.found.old {
            return;
        }
        let agreement = &mut self.found.agreement;
        agreement.same_revision += 1;
        if said.verdict == old {
            agreement.agrees += 1;
            return;
        }
        agreement.differs += 1;
        self.differing.insert(place(recorded));
        if self.differing.len() > EXAMPLES {
            self.differing.pop_last();
        }
    }

    fn flip(
        &mut self,
        recorded: &Recorded,
        said: &Recording,
        known: Known,
        (old, new): (&Decision, &Decision),
    ) {
        let kept = self.samples.entry((old.verdict, new.verdict)).or_default();
        let lot = lot(recorded, self.options.seed);
        let full = kept.len() >= self.options.samples;
        if full && kept.last_key_value().is_none_or(|(last, _)| *last < lot) {
            return;
        }
        let flip = Flip {
            place: place(recorded),
            time: recorded.time,
            run: recorded.run.clone(),
            outcome: known.observed(),
            intent: known.intent,
            mode: said.mode.clone(),
            input_digest: said.input_digest,
            old: old.verdict,
            old_reasons: reasons(old),
            new: new.verdict,
            new_reasons: reasons(new),
        };
        kept.insert(lot, flip);
        if full {
            kept.pop_last();
        }
    }

    /// All that was found.
    pub(super) fn finish(self, heads: Heads) -> Replay {
        let Self { mut found, not, samples, differing, old_micros, new_micros, .. } = self;
        found.heads = heads;
        let not = not.into_iter();
        found.not_replayable =
            not.map(|((reason, under), count)| NotReplayable { reason, under, count }).collect();
        found.samples = samples.into_values().flat_map(BTreeMap::into_values).collect();
        found.agreement.examples = differing.into_iter().collect();
        let whole = found.looked_at == found.recorded;
        let share = match whole {
            true if found.replayed == 0 => 0.0,
            true => found.flips as f64 / found.replayed as f64,
            false => {
                let confidence = f64::from(found.bound.confidence.get()) / 10_000.0;
                upper_bound(found.flips, found.replayed, confidence)
            }
        };
        // Coarse and rounded up, so that the last bits of a logarithm do not show on another machine.
        found.bound.at_most_millionths = (share * MILLION - 1e-6).ceil().clamp(0.0, MILLION) as u32;
        (found.bound.replayed, found.bound.flips) = (found.replayed, found.flips);
        found.latency = Some(Latency { old: percentiles(old_micros), new: percentiles(new_micros) });
        found
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn place(recorded: &Recorded) -> Place {
    Place { tenant: recorded.tenant.clone(), seq: recorded.seq }
}

fn gates(decision: &Decision) -> BTreeMap<&str, Said> {
    decision.gates.iter().map(|gate| (gate.gate.as_str(), of_gate(gate))).collect()
}

fn of_gate(gate: &GateOutcome) -> Said {
    match gate.effective {
        Some(Verdict::Pass) => Said::Pass,
        Some(Verdict::Pause) => Said::Pause,
        Some(Verdict::Reject) => Said::Reject,
        None => Said::NotReached,
    }
}

/// What kept a decision from passing.
fn reasons(decision: &Decision) -> Vec<String> {
    let outside = decision.reasons.iter().map(|reason| reason.message.clone());
    let holding = decision.gates.iter().filter(|gate| gate.effective > Some(Verdict::Pass));
    let of_gates = holding
        .flat_map(|gate| gate.reasons.iter().map(move |reason| format!("{}: {}", gate.gate, reason.message)));
    outside.chain(of_gates).take(REASONS).collect()
}

fn percentiles(mut micros: Vec<u64>) -> Percentiles {
    micros.sort_unstable();
    let at = |hundredths: usize| {
        let place = (micros.len() * hundredths).div_ceil(100).saturating_sub(1);
        micros.get(place).copied().unwrap_or(0)
    };
    Percentiles { median_micros: at(50), p99_micros: at(99) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let of = |micros: Vec<u64>| {
            let Percentiles { median_micros, p99_micros } = percentiles(micros);
            (median_micros, p99_micros)
        };
        assert_eq!(of((1..=200).rev().collect()), (100, 198));
        assert_eq!(of(vec![7]), (7, 7));
        assert_eq!(of(Vec::new()), (0, 0));
    }
}
