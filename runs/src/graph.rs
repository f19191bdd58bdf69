//! The steps of a plan as a graph: what comes before what.

use std::collections::BTreeMap;

use cku_base::{diagnostic::Diagnostic, suggest};
use cku_gates::Step;

use crate::problem::{ids, problem, shown};

/// What is known of a step while cycles are looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    Open,
    Done,
}

/// Checks that ids are unique, that needs are ids, and that no step needs itself, however indirectly;
/// all problems are given.
pub(crate) fn check(steps: &[Step]) -> Result<(), Vec<Diagnostic>> {
    let known = ids(steps);
    let mut problems = Vec::new();
    let mut seen = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        if let Some(first) = seen.insert(step.id.as_str(), at) {
            let twice =
                format!("`steps[{at}].id`: `{}` names a step already, `steps[{first}]`", shown(&step.id));
            problems.push(problem("P005", twice).help("give each step a name of its own"));
        }
        for need in step.needs.iter().filter(|need| !known.contains(need.as_str())) {
            let unknown = format!("`steps[{at}].needs`: there is no step `{}`", shown(need));
            let hint = match suggest(need, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "name a step of this plan".to_owned(),
            };
            problems.push(problem("P006", unknown).help(hint));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    match cycle(steps) {
        None => Ok(()),
        Some(cycle) => {
            let cycle = format!("the steps need each other in a circle: {}", cycle.join(" -> "));
            Err(vec![problem("P007", cycle).help("take one of these needs away")])
        }
    }
}

/// A cycle of needs, its first step repeated at the end.
fn cycle(steps: &[Step]) -> Option<Vec<String>> {
    let by_id: BTreeMap<&str, &Step> = steps.iter().map(|s| (s.id.as_str(), s)).collect();
    let mut visits: BTreeMap<&str, Visit> = BTreeMap::new();
    for step in steps {
        // A path of (step, how many of its needs were followed), not recursion: a plan may be one long chain.
        let mut path: Vec<(&Step, usize)> = Vec::new();
        if !visits.contains_key(step.id.as_str()) {
            visits.insert(&step.id, Visit::Open);
            path.push((step, 0));
        }
        while let Some((here, followed)) = path.pop() {
            let Some(need) = here.needs.get(followed) else {
                visits.insert(&here.id, Visit::Done);
                continue;
            };
            path.push((here, followed + 1));
            match visits.get(need.as_str()) {
                Some(Visit::Done) => {}
                Some(Visit::Open) => {
                    let from = path.iter().position(|(s, _)| s.id == *need).unwrap_or(0);
                    let cycle = path.iter().skip(from).map(|(s, _)| s.id.clone());
                    return Some(cycle.chain([need.clone()]).collect());
                }
                None => {
                    visits.insert(need, Visit::Open);
                    path.extend(by_id.get(need.as_str()).map(|s| (*s, 0)));
                }
            }
        }
    }
    None
}
