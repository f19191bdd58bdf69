//! The cap: how often a principal was let beyond a threshold in the last 10,000 decisions of a mode.

use std::fmt;

use cku_authority::StoreError;
use cku_base::TenantPath;
use cku_journal::{AppendError, Journal, ProjectError, RowGuard, Rows};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    event::{Decided, Opened},
    projection::RunRow,
};

/// Mode -> how many of its decisions were made where something explores.
const DECISIONS: &str = "exploring";
/// [`Place`] -> [`Explored`].
const EXPLORED: &str = "explored";
/// So many decisions back, explored runs count.
const WINDOW: u64 = 10_000;

/// A threshold in a mode, and somebody who submits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'p> {
    pub(crate) mode: &'p str,
    pub(crate) gate: &'p str,
    pub(crate) threshold: &'p str,
    /// In the text form, which may hold a `/`: the others cannot.
    pub(crate) principal: &'p str,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.{}/{}", self.mode, self.gate, self.threshold, self.principal)
    }
}

/// Which decisions of the mode let a run through, counted from 0; those that count no more are dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Explored {
    at: Vec<u64>,
}

impl Explored {
    /// Those that count at the next decision, of which `decisions` were made before.
    fn counting(self, decisions: u64) -> Self {
        Self { at: self.at.into_iter().filter(|at| decisions.saturating_sub(*at) < WINDOW).collect() }
    }
}

/// How often somebody was let through there, as the cap counts.
pub(crate) fn spent(journal: &Journal, tenant: &TenantPath, place: Place<'_>) -> Result<u64, StoreError> {
    spent_by(journal, tenant, place.mode, journal.row(tenant, EXPLORED, &place.to_string())?)
}

/// That nobody was let through there since, and the cap was not spent; outdated where it is.
///
/// More decisions of the mode meanwhile do no harm: they only take explored runs out of the window.
pub(crate) fn unspent(
    journal: &Journal,
    tenant: &TenantPath,
    place: Place<'_>,
    cap: u32,
) -> Result<RowGuard, StoreError> {
    let (table, key) = (EXPLORED.to_owned(), place.to_string());
    let value = journal.row(tenant, &table, &key)?;
    if spent_by(journal, tenant, place.mode, value.clone())? >= u64::from(cap) {
        return Err(AppendError::Outdated { table, key }.into());
    }
    Ok(RowGuard { tenant: tenant.clone(), table, key, value })
}

fn spent_by(
    journal: &Journal,
    tenant: &TenantPath,
    mode: &str,
    explored: Option<Value>,
) -> Result<u64, StoreError> {
    let Some(explored) = explored else { return Ok(0) };
    let explored: Explored = serde_json::from_value(explored)?;
    let decisions = journal.row(tenant, DECISIONS, mode)?;
    let decisions: u64 = decisions.map(serde_json::from_value).transpose()?.unwrap_or_default();
    Ok(explored.counting(decisions).at.len().try_into().unwrap_or(u64::MAX))
}

/// Counts a decision on a run.
pub(crate) fn count(rows: &mut dyn Rows, run: &RunRow, decided: &Decided) -> Result<(), ProjectError> {
    if decided.explorable.is_none() {
        return Ok(());
    }
    let unreadable = |e: serde_json::Error| ProjectError::new(e.to_string());
    let decisions = rows.get(DECISIONS, &run.mode)?;
    let decisions: u64 =
        decisions.map(serde_json::from_value).transpose().map_err(unreadable)?.unwrap_or_default();
    rows.put(DECISIONS, &run.mode, (decisions + 1).into())?;
    let Some(Opened { gate, threshold, explored: true, .. }) = &decided.exploration else { return Ok(()) };
    let place = Place { mode: &run.mode, gate, threshold, principal: &run.by }.to_string();
    let explored = rows.get(EXPLORED, &place)?;
    let explored: Explored =
        explored.map(serde_json::from_value).transpose().map_err(unreadable)?.unwrap_or_default();
    let mut explored = explored.counting(decisions);
    explored.at.push(decisions);
    rows.put(EXPLORED, &place, serde_json::to_value(&explored).map_err(unreadable)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explored_run_counts_for_ten_thousand_decisions() {
        let explored = || Explored { at: vec![0, 5, 9_000] };
        let counting = |decisions| explored().counting(decisions).at.len();
        assert_eq!(
            [9_001, 9_999, 10_000, 10_004, 10_005, 18_999, 19_000].map(counting),
            [3, 3, 2, 2, 1, 1, 0]
        );
    }

    #[test]
    fn no_two_places_are_one_row() {
        let place = |mode, gate, threshold, principal| Place { mode, gate, threshold, principal }.to_string();
        assert_eq!(place("dev", "quality", "min", "user:a/b"), "dev/quality.min/user:a/b");
        assert_ne!(place("dev", "a", "b", "c/d"), place("dev", "a", "b", "c.d"));
    }
}
