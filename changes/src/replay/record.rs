//! Reading what is recorded: decisions up to fixed heads, and what became of their runs.
//!
//! Bodies are read here by the few members that matter, since runs stand above this crate.

use std::collections::BTreeMap;

use cku_base::{Digest, TenantPath, Timestamp};
use cku_gates::Verdict;
use cku_journal::{Entry, Journal, Kind};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Filter, ReplayError};

/// Entries that are read at once.
const PAGE: usize = 512;
/// Words about a run that count as failures.
const FAILURES: [&str; 2] = ["incident", "revert"];

/// An entry that a chain is read up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedHead {
    /// Its place.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

/// Up to where each tenant's chain is read.
pub type Heads = BTreeMap<TenantPath, FixedHead>;

/// What became of a run, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observed {
    /// All of it was done.
    Success,
    /// It was not done, or an incident or a revert followed.
    Failure,
    /// Part of it was done.
    Partial,
    /// It never went ahead, or has not ended.
    None,
}

/// A recorded decision.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) tenant: TenantPath,
    pub(super) seq: u64,
    pub(super) time: Timestamp,
    pub(super) run: String,
    /// What was recorded; none where the body was erased.
    pub(super) said: Option<Recording>,
}

/// What a decision's entry says.
#[derive(Debug, Clone)]
pub(super) struct Recording {
    pub(super) mode: String,
    pub(super) verdict: Verdict,
    pub(super) revision: Digest,
    pub(super) input_digest: Digest,
    pub(super) input: Digest,
    pub(super) replayable: bool,
}

/// What is known of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) intent: String,
    outcome: Option<Observed>,
    failed_later: bool,
}

impl Known {
    pub(super) fn observed(&self) -> Observed {
        if self.failed_later { Observed::Failure } else { self.outcome.unwrap_or(Observed::None) }
    }
}

/// All that is recorded up to the heads.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// In the order of tenants and their chains.
    pub(super) decisions: Vec<Recorded>,
    runs: BTreeMap<(TenantPath, String), Known>,
}

impl Record {
    /// What is known of a run.
    pub(super) fn run(&self, decision: &Recorded) -> Known {
        self.runs.get(&(decision.tenant.clone(), decision.run.clone())).cloned().unwrap_or_default()
    }
}

/// Where the chains of a tenant and of those below it end now.
pub fn heads(journal: &Journal, tenant: &TenantPath) -> Result<Heads, ReplayError> {
    let mut heads = Heads::new();
    for at in journal.tenants()?.into_iter().filter(|at| tenant.contains(at)) {
        if let Some(head) = journal.head(&at)? {
            heads.insert(at, FixedHead { seq: head.seq, hash: head.hash });
        }
    }
    Ok(heads)
}

/// Verifies chains and reads them up to their heads.
pub(super) fn read(journal: &Journal, heads: &Heads, filter: &Filter) -> Result<Record, ReplayError> {
    let mut record = Record::default();
    for (tenant, head) in heads.iter().filter(|(tenant, _)| filter.tenant.contains(tenant)) {
        journal.verify(tenant, 1)?;
        let other = || ReplayError::OtherHead { tenant: tenant.clone(), seq: head.seq };
        let mut after = 0;
        while after < head.seq {
            let page = journal.read(tenant, after, PAGE)?;
            let last = page.last().map(|entry| entry.header.seq).ok_or_else(other)?;
            for entry in page.iter().take_while(|entry| entry.header.seq <= head.seq) {
                if entry.header.seq == head.seq && entry.hash != head.hash {
                    return Err(other());
                }
                note(entry, filter, &mut record)?;
            }
            after = last;
        }
    }
    Ok(record)
}

#[derive(Deserialize)]
struct Decided {
    verdict: Verdict,
    bundle_revision: Digest,
    input_digest: Digest,
    input: Digest,
    replayable: bool,
    decision: Decision,
}

#[derive(Deserialize)]
struct Decision {
    mode: String,
    gates: Vec<Gate>,
}

#[derive(Deserialize)]
struct Gate {
    gate: String,
    reached: bool,
}

#[derive(Deserialize)]
struct Submitted {
    intent: String,
}

#[derive(Deserialize)]
struct Ended {
    outcome: Option<Outcome>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Success,
    Failure,
    Partial,
}

#[derive(Deserialize)]
struct Labelled {
    label: String,
}

fn note(entry: &Entry, filter: &Filter, record: &mut Record) -> Result<(), ReplayError> {
    let header = &entry.header;
    let kind = entry.kind();
    if matches!(kind, Kind::DecisionMade) {
        return decision(entry, filter, record);
    }
    if !matches!(kind, Kind::RunSubmitted | Kind::RunEnded | Kind::RunLabelled) || entry.body.is_none() {
        return Ok(());
    }
    let Some(run) = run(entry) else { return Ok(()) };
    let known = record.runs.entry((header.tenant.clone(), run)).or_default();
    match kind {
        Kind::RunSubmitted => known.intent = body::<Submitted>(entry)?.intent,
        Kind::RunEnded => {
            known.outcome = body::<Ended>(entry)?.outcome.map(|outcome| match outcome {
                Outcome::Success => Observed::Success,
                Outcome::Failure => Observed::Failure,
                Outcome::Partial => Observed::Partial,
            });
        }
        _ => known.failed_later |= FAILURES.contains(&body::<Labelled>(entry)?.label.as_str()),
    }
    Ok(())
}

fn decision(entry: &Entry, filter: &Filter, record: &mut Record) -> Result<(), ReplayError> {
    let header = &entry.header;
    if filter.since.is_some_and(|since| header.time < since) {
        return Ok(());
    }
    let mut recorded = Recorded {
        tenant: header.tenant.clone(),
        seq: header.seq,
        time: header.time,
        run: run(entry).unwrap_or_default(),
        said: None,
    };
    // Of what mode an erased decision was, nobody knows: it is counted, whatever is asked for.
    if entry.body.is_some() {
        let said: Decided = body(entry)?;
        let Decision { mode, gates } = said.decision;
        let reached = |name: &String| gates.iter().any(|g| g.gate == *name && g.reached);
        if filter.mode.as_ref().is_some_and(|wanted| *wanted != mode)
            || !filter.gate.as_ref().is_none_or(reached)
        {
            return Ok(());
        }
        recorded.said = Some(Recording {
            mode,
            verdict: said.verdict,
            revision: said.bundle_revision,
            input_digest: said.input_digest,
            input: said.input,
            replayable: said.replayable,
        });
    }
    record.decisions.push(recorded);
    Ok(())
}

/// The run that an entry is about.
fn run(entry: &Entry) -> Option<String> {
    Some(entry.subject()?.strip_prefix("run:")?.to_owned())
}

fn body<T: DeserializeOwned>(entry: &Entry) -> Result<T, ReplayError> {
    let unreadable =
        |why: String| ReplayError::Entry { tenant: entry.header.tenant.clone(), seq: entry.header.seq, why };
    let body = entry.body.as_ref().ok_or_else(|| unreadable("its body was erased".to_owned()))?;
    serde_json::from_value(Value::Object((*body.value).clone())).map_err(|e| unreadable(e.to_string()))
}
