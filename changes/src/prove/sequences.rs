//! The order of the gates, and what their outcomes count.

use cku_engine::{Bundle, SequenceStep};
use cku_lang::Enforcement;

use super::{Check, Direction, Part, Proof, What};

/// What changed in the sequence of each mode.
pub(super) fn compare(old: &Bundle, new: &Bundle) -> Vec<Part> {
    let mut modes: Vec<&String> = old.manifest().modes.iter().chain(&new.manifest().modes).collect();
    modes.sort();
    modes.dedup();
    let part = |mode: &String| {
        let usable = |bundle: &Bundle| bundle.sequence(mode).and_then(|s| s.as_ref().ok()).cloned();
        let changes = match (usable(old), usable(new)) {
            (None, None) => Vec::new(),
            (None, Some(_)) => vec![(Direction::Loosen, "runs in this mode were all rejected".to_owned())],
            (Some(_), None) => vec![(Direction::Tighten, "runs in this mode are all rejected".to_owned())],
            (Some(old), Some(new)) => changes(&old, &new),
        };
        let direction = Direction::of_all(changes.iter().map(|(direction, _)| *direction));
        let checks: Vec<Check> =
            changes.into_iter().map(|(_, statement)| Check { statement, proof: Proof::Structural }).collect();
        let what = What::Sequence { mode: mode.clone() };
        (!checks.is_empty()).then_some(Part { what, direction, checks })
    };
    modes.into_iter().filter_map(part).collect()
}

fn changes(old: &[SequenceStep], new: &[SequenceStep]) -> Vec<(Direction, String)> {
    use Direction::{Incomparable, Loosen, Neutral, Tighten};
    let mut changes = Vec::new();
    let find = |steps: &'_ [SequenceStep], gate: &str| steps.iter().find(|s| s.gate == gate).cloned();
    for before in old {
        let gate = &before.gate;
        let Some(after) = find(new, gate) else {
            changes.push((Loosen, format!("`{gate}` is asked no longer")));
            continue;
        };
        match (before.enforcement, after.enforcement) {
            (Enforcement::Enforce, Enforcement::Advise) => {
                changes.push((Loosen, format!("`{gate}` only advises")));
            }
            (Enforcement::Advise, Enforcement::Enforce) => {
                changes.push((Tighten, format!("`{gate}` is enforced")));
            }
            _ => {}
        }
        match (before.barrier, after.barrier) {
            (true, false) => changes.push((Loosen, format!("`{gate}` is no barrier any more"))),
            // What a barrier stops, no later gate can reject.
            (false, true) => changes.push((Incomparable, format!("`{gate}` becomes a barrier"))),
            _ => {}
        }
        match (&before.override_by, &after.override_by) {
            // What only advises holds nothing up that somebody could let pass.
            _ if after.enforcement == Enforcement::Advise => {}
            (None, Some(role)) => changes.push((Loosen, format!("{role} may override `{gate}`"))),
            (Some(role), None) => changes.push((Tighten, format!("{role} may not override `{gate}`"))),
            (Some(before), Some(after)) if before != after => {
                let statement = format!("{after} may override `{gate}` instead of {before}");
                changes.push((Incomparable, statement));
            }
            _ => {}
        }
    }
    for after in new.iter().filter(|after| find(old, &after.gate).is_none()) {
        let direction = if after.enforcement == Enforcement::Enforce { Tighten } else { Neutral };
        changes.push((direction, format!("`{}` is asked as well", after.gate)));
    }
    let order = |steps: &[SequenceStep], others: &[SequenceStep]| -> Vec<String> {
        steps.iter().filter(|s| find(others, &s.gate).is_some()).map(|s| s.gate.clone()).collect()
    };
    if order(old, new) != order(new, old) {
        changes.push((Incomparable, "the gates are asked in another order".to_owned()));
    }
    changes
}
