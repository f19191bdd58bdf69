//! What outcomes say beside the e-value of a proposal: rates, shares of sources, and what is known of the runs
//! between the two thresholds.

use std::collections::BTreeMap;

use crate::{
    confidence,
    evidence::{Counterfactual, Rate, Share, Tally},
    grid::Cut,
    route::{Certifying, Route},
    scope::{Event, Matured, Proposal},
    sources::Source,
};

/// The level of the intervals of rates.
const ALPHA: f64 = 0.05;

/// What each source contributed, the most losses first, at most 20.
pub(super) fn sources<'a>(matured: impl Iterator<Item = &'a Matured>) -> Vec<Share> {
    let mut all: BTreeMap<Source, Tally> = BTreeMap::new();
    matured.for_each(|m| all.entry(m.source).or_default().add(m.tighten));
    let share =
        |(source, tally): (Source, Tally)| Share { source, outcomes: tally.outcomes, losses: tally.losses };
    let mut shares: Vec<Share> = all.into_iter().map(share).collect();
    shares.sort_by_key(|share| (std::cmp::Reverse(share.losses), share.source));
    shares.truncate(20);
    shares
}

/// The rate of the runs below a cut, by certifying evidence.
pub(super) fn rate<'a>(matured: impl Iterator<Item = &'a Matured>, cut: Cut) -> Rate {
    let (mut losses, mut weights, mut outcomes, mut weighted) = (0.0, 0.0, 0u32, false);
    for m in matured.filter(|m| cut.passes(m.band)) {
        let weight = match m.route {
            Route::Certifying(Certifying::Explored { propensity }) => {
                weighted = true;
                1.0 / propensity.probability()
            }
            Route::Certifying(Certifying::Passed { .. }) | Route::PassedUnexplorable => 1.0,
            Route::Advisory(_) => continue,
        };
        losses += weight * m.tighten.value();
        weights += weight;
        outcomes += 1;
    }
    let estimate = if weights > 0.0 { losses / weights } else { 0.0 };
    let interval = (!weighted).then(|| confidence::interval(losses, weights, ALPHA));
    Rate { estimate, outcomes, interval }
}

/// What is known of the runs between the two thresholds.
pub(super) fn counterfactual(segment: &[Event], proposal: &Proposal) -> Counterfactual {
    let (low, high) = (proposal.from.min(proposal.to), proposal.from.max(proposal.to));
    let mut counts = Counterfactual::default();
    for event in segment {
        match event {
            Event::Held(band) if high.passes(*band) && !low.passes(*band) => counts.unobserved += 1,
            Event::Matured(m) if high.passes(m.band) && !low.passes(m.band) => match m.route {
                Route::Certifying(Certifying::Passed { .. }) | Route::PassedUnexplorable => {
                    counts.observed.add(m.tighten)
                }
                Route::Certifying(Certifying::Explored { .. }) => counts.explored.add(m.tighten),
                Route::Advisory(_) => counts.advisory.add(m.tighten),
            },
            _ => {}
        }
    }
    counts
}
