//! Thresholds that a change gives other values, and whether it touches what the learner is bound by.

use std::collections::BTreeMap;

use cku_engine::Bundle;
use cku_gates::ThresholdChange;
use cku_lang::{EditError, GateBody, Threshold, ThresholdValue, add_threshold_value, set_threshold};

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
                    returns: false,
                });
            }
        }
    }
    changes
}

/// Whether nothing but values of thresholds that may be learned differs between two bundles, to the last byte,
/// tests included.
pub(super) fn only_learnable(old: &Bundle, new: &Bundle) -> bool {
    let changes = changed(old, new);
    if changes.iter().any(|change| !change.learn || !change.in_range || !change.on_grid) {
        return false;
    }
    let texts = |bundle: &Bundle| -> BTreeMap<String, String> {
        let files = bundle.sources().files().iter();
        files.map(|file| (file.path.clone(), file.text.to_string())).collect()
    };
    let mut edited = texts(old);
    for change in &changes {
        let gate = old.gate(&change.gate);
        let Some(text) = gate.and_then(|gate| edited.get_mut(&gate.place.file)) else { return false };
        let mode = change.mode.as_str();
        let which = ThresholdValue { gate: &change.gate, threshold: &change.name, mode: Some(mode) };
        let set = match set_threshold(text, which, change.to) {
            Err(EditError::NoOwnValue { .. }) => {
                add_threshold_value(text, &change.gate, &change.name, mode, change.to)
            }
            set => set,
        };
        match set {
            Ok(set) => *text = set,
            Err(_) => return false,
        }
    }
    edited == texts(new)
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
