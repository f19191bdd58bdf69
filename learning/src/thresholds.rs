//! The thresholds of a bundle that may be learned.

use std::collections::BTreeMap;

use cku_base::Digest;
use cku_engine::{Bundle, FileKind};
use cku_lang::{CompareOp, Comparison, Direction, GateBody, Rules, Threshold};
use cku_learner::{Cut, Grid, Settings, Stricter};

use crate::declared::{self, DeclaredError};

/// A threshold that may be learned, in a mode.
#[derive(Debug, Clone, PartialEq)]
pub struct Learnable {
    /// The gate.
    pub gate: String,
    /// Its name in the gate.
    pub threshold: String,
    /// The values that it may have.
    pub grid: Grid,
    /// The one that it has.
    pub cut: Cut,
    /// What its fact is and means: evidence does not cross a change of that.
    pub definition: Digest,
    /// What the bundle declares for it.
    pub settings: Settings,
}

/// The thresholds that may be learned in a mode, by `gate.name`; those whose declaration cannot be used are
/// apart.
pub fn learnable(bundle: &Bundle, mode: &str) -> (BTreeMap<String, Learnable>, Vec<DeclaredError>) {
    let (mut all, mut unusable) = (BTreeMap::new(), Vec::new());
    let rego = rego_of(bundle);
    for gate in &bundle.compiled().gates {
        let GateBody::Rules(rules) = &gate.body else { continue };
        for (threshold, _, comparison) in rules.learnable() {
            let Some(grid) = grid(threshold, comparison) else { continue };
            let Ok(cut) = grid.cut(threshold.value(mode)) else { continue };
            let name = format!("{}.{}", gate.name, threshold.name);
            let settings = match declared::settings(bundle, mode, &name) {
                Ok(settings) => settings,
                Err(error) => {
                    unusable.push(error);
                    continue;
                }
            };
            let definition = definition(rules, comparison, grid, &rego);
            let (gate, threshold) = (gate.name.clone(), threshold.name.clone());
            all.insert(name, Learnable { gate, threshold, grid, cut, definition, settings });
        }
    }
    (all, unusable)
}

/// The grid of a threshold; none where its rule points the other way, or there are more bands than are
/// told apart.
fn grid(threshold: &Threshold, comparison: &Comparison) -> Option<Grid> {
    let (min, max) = threshold.range?;
    // The rule stops a run where this is true.
    let (stricter, limit_passes) = match (threshold.stricter?, comparison.op) {
        (Direction::Up, CompareOp::Less) => (Stricter::Up, true),
        (Direction::Up, CompareOp::AtMost) => (Stricter::Up, false),
        (Direction::Down, CompareOp::Greater) => (Stricter::Down, true),
        (Direction::Down, CompareOp::AtLeast) => (Stricter::Down, false),
        _ => return None,
    };
    Grid::new(min, max, threshold.step?, stricter, limit_passes).ok()
}

/// What says how facts come about: all Rego of the bundle, tests aside. Another word in it may mean another
/// fact, so any change of it counts as one.
fn rego_of(bundle: &Bundle) -> Digest {
    let mut text = String::new();
    for file in bundle.sources().of_kind(FileKind::Rego) {
        text.push_str(&format!("{} {}\n{}\n", file.path, file.text.len(), file.text));
    }
    Digest::of(text.as_bytes())
}

fn definition(rules: &Rules, comparison: &Comparison, grid: Grid, rego: &Digest) -> Digest {
    let fact = rules.facts.iter().find(|fact| fact.name == comparison.fact);
    let path = fact.map_or("", |fact| fact.path.as_str());
    let text = format!("{path} {:?} {grid:?} {rego}", comparison.ty);
    Digest::of(text.as_bytes())
}
