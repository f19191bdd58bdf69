//! What became active before where a diff is to decide, and whether the diff goes back on it.

use cku_authority::{Modes, Stage, StoreError, activations};
use cku_base::Timestamp;
use cku_gates::ThresholdChange;
use cku_journal::Journal;

use super::{
    event::{Proposed, is_learner},
    store,
};

/// A diff that became active.
#[derive(Debug)]
pub(super) struct Became {
    /// When.
    pub(super) time: Timestamp,
    /// Where it was to decide.
    pub(super) modes: Modes,
    /// Whether the learner proposed it.
    pub(super) learned: bool,
    /// The thresholds to which it gave other values.
    pub(super) thresholds: Vec<ThresholdChange>,
}

/// What became active in one of the modes of a diff, in the order of time, also what was taken back later.
pub(super) fn of(journal: &Journal, proposed: &Proposed) -> Result<Vec<Became>, StoreError> {
    let mut history = Vec::new();
    for (activation, _, time) in activations(journal)? {
        let counts = activation.purpose == proposed.purpose
            && activation.stage == Stage::Active
            && !activation.rollback
            && activation.modes.overlaps(&proposed.modes);
        let Some(id) = activation.diff.filter(|_| counts) else { continue };
        let diff = store::load(journal, &id)?;
        let thresholds = store::evidence_of(journal, &diff)?.map(|evidence| evidence.thresholds);
        history.push(Became {
            time,
            modes: activation.modes,
            learned: is_learner(&diff.proposed.author),
            thresholds: thresholds.unwrap_or_default(),
        });
    }
    Ok(history)
}

/// The thresholds that a diff changes, each with whether that goes back on the last learned change of it.
pub(super) fn compared(
    changed: &[ThresholdChange],
    proposed: &Proposed,
    history: &[Became],
) -> Vec<ThresholdChange> {
    let compared = |change: &ThresholdChange| {
        let returns = proposed.modes.covers(&change.mode) && returns(change, history);
        ThresholdChange { returns, ..change.clone() }
    };
    changed.iter().map(compared).collect()
}

/// Whether a change goes back on the last learned one of the same value. Going back on a going back is a new step.
fn returns(change: &ThresholdChange, history: &[Became]) -> bool {
    let place = |other: &&ThresholdChange| {
        (&other.gate, &other.name, &other.mode) == (&change.gate, &change.name, &change.mode)
    };
    let last = history.iter().enumerate().rev().find_map(|(at, became)| {
        let decides = became.learned && became.modes.covers(&change.mode);
        let there = became.thresholds.iter().find(place).filter(|_| decides)?;
        Some((there, history.get(..at)?))
    });
    last.is_some_and(|(last, before)| goes_back(change, last) && !returns(last, before))
}

/// Whether a change goes the other way than an earlier one, from a value on the way of that to another.
///
/// Where people set a value beyond that way meanwhile, going back would also undo what they did.
fn goes_back(change: &ThresholdChange, earlier: &ThresholdChange) -> bool {
    let way = earlier.from.min(earlier.to)..=earlier.from.max(earlier.to);
    let opposite = change.from.cmp(&change.to) == earlier.to.cmp(&earlier.from);
    opposite && way.contains(&change.from) && way.contains(&change.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(mode: &str, from: i64, to: i64) -> ThresholdChange {
        let (gate, name, mode) = ("quality".to_owned(), "min".to_owned(), mode.to_owned());
        ThresholdChange {
            gate,
            name,
            mode,
            from,
            to,
            learn: true,
            on_grid: true,
            in_range: true,
            returns: false,
        }
    }

    fn became(modes: &[&str], learned: bool, (from, to): (i64, i64)) -> Became {
        let thresholds = ["dev", "prod"].map(|mode| change(mode, from, to)).to_vec();
        let modes = Modes::of(modes.iter().copied());
        Became { time: Timestamp::from_unix_micros(0).unwrap(), modes, learned, thresholds }
    }

    fn returns(history: &[Became], from: i64, to: i64) -> bool {
        super::returns(&change("dev", from, to), history)
    }

    #[test]
    fn a_change_returns_that_goes_back_on_the_last_learned_one_and_not_beyond() {
        let raised = [became(&["dev"], true, (60, 70))];
        assert!([69, 65, 61, 60].iter().all(|to| returns(&raised, 70, *to)));
        assert!([59, 70, 71].iter().all(|to| !returns(&raised, 70, *to)));
        let lowered = [became(&["dev"], true, (60, 50))];
        assert!([51, 55, 60].iter().all(|to| returns(&lowered, 50, *to)));
        assert!([49, 50, 61].iter().all(|to| !returns(&lowered, 50, *to)));
    }

    #[test]
    fn only_the_last_change_counts() {
        let further = [became(&["dev"], true, (60, 70)), became(&["dev"], true, (70, 75))];
        assert!(returns(&further, 75, 70) && !returns(&further, 75, 69));
        let back = [became(&["dev"], true, (60, 70)), became(&["dev"], true, (70, 65))];
        assert!(!returns(&back, 65, 60), "that is further on the way back");
    }

    #[test]
    fn going_back_and_forth_is_no_return() {
        let steps = [(60, 70), (70, 60), (60, 70), (70, 60)];
        let history: Vec<Became> = steps.iter().map(|step| became(&["dev"], true, *step)).collect();
        let said = (0..4).map(|at| returns(&history[..at], steps[at].0, steps[at].1));
        assert_eq!(said.collect::<Vec<_>>(), [false, true, false, true]);
    }

    #[test]
    fn what_people_did_meanwhile_is_not_undone() {
        let then_people = |from, to| [became(&["dev"], true, (60, 70)), became(&["dev"], false, (from, to))];
        assert!(returns(&then_people(70, 65), 65, 60), "they went part of the way");
        assert!(!returns(&then_people(70, 75), 75, 65), "they went further");
        assert!(!returns(&then_people(70, 55), 55, 60), "they went back beyond it");
    }

    #[test]
    fn what_was_not_learned_there_is_not_gone_back_on() {
        assert!(!returns(&[], 70, 60));
        assert!(!returns(&[became(&["dev"], false, (60, 70))], 70, 60), "people changed it");
        assert!(!returns(&[became(&["prod"], true, (60, 70))], 70, 60), "it was another mode");
        let mut other = became(&["dev"], true, (60, 70));
        other.thresholds.iter_mut().for_each(|change| change.name = "max".to_owned());
        assert!(!returns(&[other], 70, 60), "it was another threshold");
    }
}
