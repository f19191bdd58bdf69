//! Thresholds that a change gives other values, and whether it touches what the learner is bound by.

use std::collections::BTreeMap;

use cku_engine::Bundle;
use cku_gates::ThresholdChange;
use cku_lang::{GateBody, Threshold};

/// Where the learner's own settings stand.
const SETTINGS: [&str; 2] = ["/cku/learner", "/cku/settings/learner"];

fn of(bundle: &Bundle) -> BTreeMap<(String, String), &Threshold> {
    let mut all = BTreeMap::new();
    for gate in &bundle.compiled().gates {
        let GateBody::Rules(rules) = &gate.body else { continue };
        for threshold in &rules.thresholds {
            all.insert((gate.name.clone(), threshold.name.clone()), threshold);
        }
    }
    all
}

/// Thresholds that both have, with another value in a mode.
pub(super) fn changed(old: &Bundle, new: &Bundle) -> Vec<ThresholdChange> {
    let (before, after) = (of(old), of(new));
    let mut changes = Vec::new();
    for ((gate, name), was) in before {
        let Some(is) = after.get(&(gate.clone(), name.clone())) else { continue };
        for mode in old.manifest().modes.iter().filter(|mode| new.manifest().modes.contains(mode)) {
            let (from, to) = (was.value(mode), is.value(mode));
            if from != to {
                changes.push(ThresholdChange {
                    gate: gate.clone(),
                    name: name.clone(),
                    mode: mode.clone(),
                    from,
                    to,
                    learn: was.learn && is.learn,
                    in_range: was.range.is_some_and(|(low, high)| (low..=high).contains(&to)),
                    on_grid: on_grid(was, to),
                });
            }
        }
    }
    changes
}

/// Whether a value is a whole number of steps from the lower end of a threshold's range.
fn on_grid(threshold: &Threshold, value: i64) -> bool {
    let (Some((low, _)), Some(step)) = (threshold.range, threshold.step) else { return false };
    value.checked_sub(low).and_then(|above| above.checked_rem(step)) == Some(0)
}

/// Whether ranges, steps, what may be learned, or the learner's settings differ.
pub(super) fn touches_the_learner(old: &Bundle, new: &Bundle) -> bool {
    let (before, after) = (of(old), of(new));
    let bound =
        |threshold: &&Threshold| (threshold.range, threshold.step, threshold.stricter, threshold.learn);
    let keys = before.keys().chain(after.keys());
    let declared = keys.into_iter().any(|key| before.get(key).map(bound) != after.get(key).map(bound));
    declared || SETTINGS.iter().any(|path| old.data().pointer(path) != new.data().pointer(path))
}
