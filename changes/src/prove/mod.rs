//! In which direction a bundle differs from another: proved, refuted with a counterexample, or unproved.
//!
//! [`compare`] looks at everything that can change a decision. Cedar (the rules of gates, and access) is
//! proved with a solver, for equal facts; sequences are compared as what they are; Rego and data that
//! decisions can reach are `unproved` as soon as they differ. [`invariants`] asks whether a bundle keeps
//! within bounds. What the solver does not plainly say is never taken for safe.

mod access;
mod cache;
mod direction;
mod gates;
pub mod invariants;
mod policies;
#[cfg(feature = "prover")]
mod process;
mod reach;
mod report;
mod sequences;
mod solver;

use std::collections::BTreeMap;

use cku_engine::Bundle;

pub use cache::Cache;
pub use direction::Direction;
pub use report::{Check, Comparison, Counterexample, Part, Proof, What};
use solver::Query;
pub use solver::{Solver, SolverOptions};

/// Compares two bundles; without a solver, Cedar that changed is `unproved`.
///
/// The result is the same each time, apart from how long a proof took and which of its counterexamples a
/// solver finds.
pub fn compare(old: &Bundle, new: &Bundle, solver: Option<&mut Solver>) -> Comparison {
    let mut drafts = gates::compare(old, new);
    drafts.extend(access::compare(old, new));
    let mut parts = prove(drafts, solver);
    parts.extend(sequences::compare(old, new));
    parts.extend(reach::compare(old, new));
    let modes = old.manifest().modes.iter().chain(&new.manifest().modes);
    let of_mode = |mode: &String| {
        let bearing = parts.iter().filter(|part| part.what.mode().is_none_or(|of| of == mode));
        (mode.clone(), Direction::of_all(bearing.map(|part| part.direction)))
    };
    let modes: BTreeMap<String, Direction> = modes.map(of_mode).collect();
    let whole = Direction::of_all(parts.iter().map(|part| part.direction));
    Comparison { parts, modes, whole }
}

/// A part whose direction is still to be proved, or is known already.
enum Draft<'q> {
    Known(Part),
    Open {
        what: What,
        /// That the new side lets through no more than the old one.
        no_looser: Vec<Query<'q>>,
        /// That it lets through no less.
        no_stricter: Vec<Query<'q>>,
    },
}

impl Draft<'_> {
    fn known(what: What, direction: Direction, statement: impl Into<String>, proof: Proof) -> Self {
        Self::Known(Part { what, direction, checks: vec![Check { statement: statement.into(), proof }] })
    }
}

/// All questions go to the solver at once, so that they share its processes.
fn prove(drafts: Vec<Draft<'_>>, solver: Option<&mut Solver>) -> Vec<Part> {
    let (mut queries, mut outlines) = (Vec::new(), Vec::new());
    for draft in drafts {
        match draft {
            Draft::Known(part) => outlines.push(Err(part)),
            Draft::Open { what, no_looser, no_stricter } => {
                outlines.push(Ok((what, no_looser.len(), no_stricter.len())));
                queries.extend(no_looser);
                queries.extend(no_stricter);
            }
        }
    }
    let mut answers = solver::settle(solver, queries).into_iter();
    let finish = |outline: Result<(What, usize, usize), Part>| match outline {
        Err(part) => part,
        Ok((what, no_looser, no_stricter)) => {
            let no_looser: Vec<Check> = answers.by_ref().take(no_looser).collect();
            let no_stricter: Vec<Check> = answers.by_ref().take(no_stricter).collect();
            let direction = direction(&no_looser, &no_stricter);
            Part { what, direction, checks: no_looser.into_iter().chain(no_stricter).collect() }
        }
    };
    outlines.into_iter().map(finish).collect()
}

fn direction(no_looser: &[Check], no_stricter: &[Check]) -> Direction {
    let unproved = |check: &Check| !matches!(check.proof, Proof::Proved { .. } | Proof::Refuted { .. });
    let refuted = |check: &Check| matches!(check.proof, Proof::Refuted { .. });
    if no_looser.iter().chain(no_stricter).any(unproved) {
        return Direction::Unproved;
    }
    match (no_looser.iter().any(refuted), no_stricter.iter().any(refuted)) {
        (false, false) => Direction::Neutral,
        (false, true) => Direction::Tighten,
        (true, false) => Direction::Loosen,
        (true, true) => Direction::Incomparable,
    }
}
