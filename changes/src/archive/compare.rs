//! What differs between two bundles, for people: files, rules, thresholds with their units.

use std::collections::{BTreeMap, BTreeSet};

use cku_engine::{Bundle, BundleFile};
use cku_lang::{GateBody, Threshold};
use serde::Serialize;
use similar::TextDiff;

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Only the new one has it.
    Added,
    /// Only the old one has it.
    Removed,
    /// Both have it, not alike.
    Changed,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Its path.
    pub path: String,
    /// How.
    pub change: Change,
    /// A unified diff.
    pub diff: String,
}

/// A compiled rule that differs, in Cedar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleChange {
    /// Its id, like `quality.coverage.prod`.
    pub id: String,
    /// How.
    pub change: Change,
}

/// A threshold that differs in a mode; values are written with their units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ThresholdChange {
    /// The gate.
    pub gate: String,
    /// Its name in the gate.
    pub threshold: String,
    /// The mode.
    pub mode: String,
    /// What it was; none where there was none.
    pub old: Option<String>,
    /// What it is; none where there is none.
    pub new: Option<String>,
}

/// What differs between two bundles; empty lists where nothing does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Thresholds.
    pub thresholds: Vec<ThresholdChange>,
    /// Rules.
    pub rules: Vec<RuleChange>,
    /// Files, tests too.
    pub files: Vec<FileChange>,
}

/// Compares two bundles.
pub fn compare(old: &Bundle, new: &Bundle) -> Comparison {
    Comparison { thresholds: thresholds(old, new), rules: rules(old, new), files: files(old, new) }
}

/// What each side has at each key, where the sides differ.
fn differences<K: Ord + Clone, V: PartialEq>(
    old: BTreeMap<K, V>,
    mut new: BTreeMap<K, V>,
) -> Vec<(K, Option<V>, Option<V>)> {
    let mut all: Vec<_> = old
        .into_iter()
        .map(|(key, was)| {
            let is = new.remove(&key);
            (key, Some(was), is)
        })
        .collect();
    all.extend(new.into_iter().map(|(key, is)| (key, None, Some(is))));
    all.retain(|(_, was, is)| was != is);
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn change<V>(old: Option<&V>, new: Option<&V>) -> Change {
    match (old, new) {
        (None, _) => Change::Added,
        (_, None) => Change::Removed,
        _ => Change::Changed,
    }
}

fn files(old: &Bundle, new: &Bundle) -> Vec<FileChange> {
    let of = |bundle: &Bundle| -> BTreeMap<String, BundleFile> {
        bundle.sources().files().iter().map(|file| (file.path.clone(), file.clone())).collect()
    };
    let differ = differences(of(old), of(new)).into_iter();
    differ
        .map(|(path, was, is)| {
            let text =
                |file: &Option<BundleFile>| file.as_ref().map_or_else(String::new, |f| f.text.to_string());
            let (before, after) = (text(&was), text(&is));
            let diff = TextDiff::from_lines(&before, &after);
            let diff = diff.unified_diff().context_radius(3).header(&path, &path).to_string();
            FileChange { path, change: change(was.as_ref(), is.as_ref()), diff }
        })
        .collect()
}

fn rules(old: &Bundle, new: &Bundle) -> Vec<RuleChange> {
    let of = |bundle: &Bundle| -> BTreeMap<String, String> {
        bundle.compiled().policies.iter().map(|policy| (policy.id.clone(), policy.text.clone())).collect()
    };
    let differ = differences(of(old), of(new)).into_iter();
    differ.map(|(id, was, is)| RuleChange { id, change: change(was.as_ref(), is.as_ref()) }).collect()
}

fn thresholds(old: &Bundle, new: &Bundle) -> Vec<ThresholdChange> {
    let modes: BTreeSet<&String> = old.manifest().modes.iter().chain(&new.manifest().modes).collect();
    let of = |bundle: &Bundle| {
        let mut all = BTreeMap::new();
        for gate in &bundle.compiled().gates {
            let GateBody::Rules(rules) = &gate.body else { continue };
            for threshold in &rules.thresholds {
                for mode in modes.iter().filter(|mode| bundle.manifest().modes.contains(mode)) {
                    let key = (gate.name.clone(), threshold.name.clone(), (*mode).clone());
                    all.insert(key, value(threshold, mode));
                }
            }
        }
        all
    };
    let differ = differences(of(old), of(new)).into_iter();
    differ
        .map(|((gate, threshold, mode), old, new)| ThresholdChange { gate, threshold, mode, old, new })
        .collect()
}

fn value(threshold: &Threshold, mode: &str) -> String {
    threshold.ty.format(threshold.value(mode))
}
