//! Exploration: what is drawn for a run before the gates are asked, and what is kept of that.

mod cap;
mod draw;
mod key;

use std::collections::{BTreeMap, BTreeSet};

use cku_authority::StoreError;
use cku_base::{BasisPoints, Digest, TenantPath};
use cku_engine::Bundle;
use cku_gates::{Decision, DecisionInput, Draw, Frontier, RunSubmission};
use cku_journal::{Journal, ProjectError, RowGuard, Rows};

use crate::{
    event::{Decided, Opened},
    projection::RunRow,
    state::Run,
};
use draw::{Subject, base_commit};
pub use key::{ExplorationKey, KeyError};

/// What was drawn for, by its digest -> the first run that was open to exploration under it.
const DRAWN: &str = "drawn";

/// What is drawn for a run: one draw for each threshold beyond which it might be let; none at all where the
/// bundle declares no exploration, or there is no key.
///
/// A run without a base commit gets no draw, nor does a threshold beyond which its principal was let as
/// often as the bundle allows.
pub(crate) fn draws(
    journal: &Journal,
    key: Option<&ExplorationKey>,
    bundle: &Bundle,
    run: &Run,
) -> Result<Option<Vec<Draw>>, StoreError> {
    let Some(key) = key else { return Ok(None) };
    let frontiers: Vec<Frontier<'_>> = Frontier::of(bundle, &run.submitted.mode).collect();
    if frontiers.is_empty() {
        return Ok(None);
    }
    let key = match key.bytes() {
        Ok(key) => key,
        Err(error) => {
            tracing::warn!("nothing is explored: {error}");
            return Ok(None);
        }
    };
    let Some(base) = base(&run.submission) else { return Ok(Some(Vec::new())) };
    let principal = run.submitted.principal.principal.to_string();
    let mut draws = Vec::with_capacity(frontiers.len());
    for frontier in frontiers {
        let (gate, threshold, settings) = (frontier.gate, &frontier.threshold.name, frontier.settings);
        let place = cap::Place { mode: &run.submitted.mode, gate, threshold, principal: &principal };
        if cap::spent(journal, &run.tenant, place)? >= u64::from(settings.cap) {
            continue;
        }
        let tenant = run.tenant.to_string();
        let subject = Subject { tenant: &tenant, principal: &principal, base: &base, gate };
        let Some(drawn) = subject.is_drawn(key, settings.rate) else { continue };
        let (gate, threshold) = (gate.to_owned(), threshold.clone());
        draws.push(Draw { gate, threshold, propensity: settings.rate, drawn });
    }
    Ok(Some(draws))
}

/// What is kept of a run that was open to exploration.
pub(crate) fn opened(
    journal: &Journal,
    run: &Run,
    decision: &Decision,
) -> Result<Option<Opened>, StoreError> {
    let (Some(open), Some(base)) = (&decision.exploration.open, base(&run.submission)) else {
        return Ok(None);
    };
    let change = change(run, &base, &open.gate);
    let cku_gates::Opening { gate, threshold, propensity, explored } = open.clone();
    let first = !is_known(journal, &run.tenant, &change)?;
    Ok(Some(Opened { gate, threshold, propensity, explored, first, change }))
}

/// The thresholds for which a run that passed speaks as one of a sample; none where nothing explores.
pub(crate) fn explorable(
    journal: &Journal,
    run: &Run,
    (input, decision): (&DecisionInput, &Decision),
) -> Result<Option<BTreeMap<String, BasisPoints>>, StoreError> {
    if input.state.exploration.is_none() {
        return Ok(None);
    }
    let mut explorable = BTreeMap::new();
    let Some(base) = base(&run.submission) else { return Ok(Some(explorable)) };
    for (name, propensity) in &decision.exploration.passed {
        if !is_known(journal, &run.tenant, &change(run, &base, gate_of(name)))? {
            explorable.insert(name.clone(), *propensity);
        }
    }
    Ok(Some(explorable))
}

/// What a decision rests on that another one may take before it is written: draws that nobody has seen, and a
/// cap that is not spent; outdated where the cap is.
pub(crate) fn rests_on(
    journal: &Journal,
    bundle: &Bundle,
    run: &Run,
    decided: &Decided,
) -> Result<Vec<RowGuard>, StoreError> {
    let mut rows = Vec::new();
    let unseen = |change: Digest| {
        let (table, key) = (DRAWN.to_owned(), change.to_string());
        RowGuard { tenant: run.tenant.clone(), table, key, value: None }
    };
    if let Some(Opened { gate, threshold, explored, first, change, .. }) = &decided.exploration {
        rows.extend(first.then(|| unseen(*change)));
        if *explored {
            let (mode, principal) = (&run.submitted.mode, run.submitted.principal.principal.to_string());
            let cap = bundle.exploration().of(mode, gate, threshold).cap;
            let place = cap::Place { mode, gate, threshold, principal: &principal };
            rows.push(cap::unspent(journal, &run.tenant, place, cap)?);
        }
    }
    if let (Some(explorable), Some(base)) = (&decided.explorable, base(&run.submission)) {
        let gates: BTreeSet<&str> = explorable.keys().map(|name| gate_of(name)).collect();
        rows.extend(gates.into_iter().map(|gate| unseen(change(run, &base, gate))));
    }
    Ok(rows)
}

/// Counts a decision on a run, and keeps whose draw was seen.
pub(crate) fn project(
    rows: &mut dyn Rows,
    (id, run): (&str, &RunRow),
    decided: &Decided,
) -> Result<(), ProjectError> {
    if let Some(Opened { first: true, change, .. }) = &decided.exploration {
        rows.put(DRAWN, &change.to_string(), id.into())?;
    }
    cap::count(rows, run, decided)
}

/// Whether somebody was told what was drawn.
fn is_known(journal: &Journal, tenant: &TenantPath, change: &Digest) -> Result<bool, StoreError> {
    Ok(journal.row(tenant, DRAWN, &change.to_string())?.is_some())
}

/// The gate of a threshold that is named like `quality.min_line_coverage`.
fn gate_of(name: &str) -> &str {
    name.split_once('.').map_or(name, |(gate, _)| gate)
}

fn change(run: &Run, base: &str, gate: &str) -> Digest {
    let (tenant, principal) = (run.tenant.to_string(), run.submitted.principal.principal.to_string());
    Subject { tenant: &tenant, principal: &principal, base, gate }.digest()
}

fn base(submission: &RunSubmission) -> Option<String> {
    base_commit(submission.change.as_ref()?.base.as_deref()?)
}
