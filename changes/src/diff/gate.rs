//! Asking the bundle of change control about a diff, and keeping what it said.

use std::collections::BTreeMap;

use cku_authority::{
    Chains, Modes, Stage, StoreError, freeze, genesis, kill_switch, revoked_keys, role_grants, rollout,
};
use cku_base::{Digest, TenantPath, Timestamp, canonical};
use cku_engine::{Bundle, Worker};
use cku_gates::{
    Activated, ChangedBundle, ChangedPart, Changes, Decision, DecisionInput, InvariantCounts, OpenDiff,
    PolicyDiff, Reliability, ReplayCounts, RunSubmission, State, ThresholdChange, Tried, Undecidable, decide,
};
use cku_journal::Journal;

use super::{
    event::{Decided, is_learner},
    found::Evidence,
    history::{self, Became},
    state::{Command, Diff, Refusal, Status},
    store,
};

/// The mode in which diffs are decided, unless change control has no such mode: the one that asks most.
const STRICTEST: &str = "prod";

/// The mode in which this bundle of change control decides over diffs of these modes.
///
/// A diff takes what the strictest of its modes takes, which is the last of those that change control
/// knows. Where it knows one of them not, or the diff is of all modes, it is `prod`. The order is for change
/// control to say: were it read from the bundle that is proposed, a diff could choose who must approve it.
pub(super) fn mode_of(change_control: &Bundle, of: &Modes) -> String {
    let modes = &change_control.manifest().modes;
    let strictest = || modes.iter().find(|mode| *mode == STRICTEST).or_else(|| modes.last());
    let known = !of.is_all() && of.names().all(|name| name != STRICTEST && modes.iter().any(|m| m == name));
    let last = modes.iter().rfind(|mode| of.covers(mode)).filter(|_| known);
    last.or_else(strictest).cloned().unwrap_or_default()
}

/// Why there is no decision about a diff.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// Change control could not decide.
    #[error(transparent)]
    Undecidable(#[from] Undecidable),
    /// The state of the diff does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The journal did not give or take something.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What change control says of a diff as things stand.
#[derive(Debug)]
pub struct Judged {
    /// What it says.
    pub decision: Decision,
    /// Over what.
    pub input: DecisionInput,
}

/// Asks change control about a diff; nothing is written.
///
/// `worker` holds the active bundle of change control.
pub fn judge(
    journal: &Journal,
    chains: &Chains,
    worker: &mut Worker,
    diff: &Diff,
    now: Timestamp,
) -> Result<Judged, GateError> {
    judge_for(journal, chains, worker, (diff, Stage::Active), now)
}

/// Asks change control whether a diff may be tried, or be active; nothing is written.
pub(super) fn judge_for(
    journal: &Journal,
    chains: &Chains,
    worker: &mut Worker,
    (diff, asked): (&Diff, Stage),
    now: Timestamp,
) -> Result<Judged, GateError> {
    let evidence = store::evidence_of(journal, diff)?.ok_or(Refusal::NotChecked)?;
    let mode = mode_of(worker.bundle(), &diff.proposed.modes);
    let input = build(journal, chains, (diff, asked), (&evidence, mode), now)?;
    let decision = decide(worker, &input, false)?;
    Ok(Judged { decision, input })
}

/// Asks change control about a diff; the answer is durable before this returns.
pub fn gate(
    journal: &Journal,
    chains: &Chains,
    worker: &mut Worker,
    diff: Diff,
    by: &cku_gates::Submitter,
    now: Timestamp,
) -> Result<(Diff, Judged), GateError> {
    let judged = judge(journal, chains, worker, &diff, now)?;
    let (decided, bytes) = decided(&diff, &judged)?;
    let events = diff.decide(by, &Command::Decide(decided), now)?;
    let diff = store::add(journal, diff, by, &events, vec![bytes])?;
    Ok((diff, judged))
}

/// What is recorded of a decision, and the input it was made over.
pub(super) fn decided(diff: &Diff, judged: &Judged) -> Result<(Decided, Vec<u8>), GateError> {
    let checked = diff.checked.as_ref().ok_or(Refusal::NotChecked)?;
    let bytes = canonical::to_vec(&judged.input).map_err(StoreError::from)?;
    let decided = Decided {
        verdict: judged.decision.verdict,
        bundle_revision: judged.decision.bundle_revision,
        evidence: checked.evidence,
        input: Digest::of(&bytes),
        decision: serde_json::to_value(&judged.decision).map_err(StoreError::from)?,
    };
    Ok((decided, bytes))
}

fn build(
    journal: &Journal,
    chains: &Chains,
    (diff, asked): (&Diff, Stage),
    (evidence, mode): (&Evidence, String),
    now: Timestamp,
) -> Result<DecisionInput, GateError> {
    let root = TenantPath::root();
    let revoked = revoked_keys(journal)?;
    let counts = |key: &Option<String>| key.as_ref().is_none_or(|key| !revoked.contains(key));
    let mut principal = diff.proposed.author.clone();
    if let Some(token) = &mut principal.token {
        token.valid &= counts(&token.key);
    }
    let evidence_digest = diff.checked.as_ref().map(|c| c.evidence).ok_or(Refusal::NotChecked)?;
    let history = history::of(journal, &diff.proposed)?;
    let state = State {
        kill_switch: kill_switch(journal, &root)?.is_some(),
        role_grants: role_grants(journal, &root)?,
        freeze: Some(freeze(journal, &root, now)?),
        chain: Some(chains.of(journal, &root, now)?),
        error_budget: None,
        reliability: Reliability::default(),
        first_time_skills: None,
        exploration: None,
        changes: Some(changes(journal, (diff, asked), &history, now)?),
    };
    Ok(DecisionInput {
        run_id: diff.id.to_string(),
        tenant: root,
        mode,
        time: now,
        submitted_at: diff.proposed.proposed_at,
        principal,
        submission: RunSubmission {
            intent: diff.proposed.title.clone(),
            labels: BTreeMap::new(),
            plan: None,
            change: None,
            evidence: Vec::new(),
        },
        policy_diff: Some(seen(diff, (evidence, evidence_digest), &history)),
        evidence_by: BTreeMap::new(),
        approvals: diff.approvals.iter().filter(|approval| counts(&approval.key)).cloned().collect(),
        votes: Vec::new(),
        state,
    })
}

/// The diff as policies see it; a change of all modes has the direction of the whole.
fn seen(diff: &Diff, (evidence, digest): (&Evidence, Digest), history: &[Became]) -> PolicyDiff {
    let held = evidence.invariants.iter().filter(|result| result.is_held()).count() as u64;
    let part = |part: &crate::prove::Part| ChangedPart {
        what: part.what.to_string(),
        direction: part.direction.name().to_owned(),
    };
    PolicyDiff {
        id: diff.id,
        bundle: ChangedBundle { name: diff.proposed.bundle.clone(), protected: evidence.protected },
        base: diff.proposed.base,
        revision: diff.proposed.revision,
        modes: diff.proposed.modes.names().map(str::to_owned).collect(),
        evidence: digest,
        learned: is_learner(&diff.proposed.author),
        loads: true,
        tests: evidence.tests,
        direction: evidence.comparison.whole.name().to_owned(),
        parts: evidence.comparison.parts.iter().map(part).collect(),
        invariants: InvariantCounts { held, violated: evidence.violated(), unproved: evidence.unproved() },
        replay: evidence.replay.as_ref().map(|replay| ReplayCounts {
            decisions: replay.replayed,
            flips: replay.flips,
            not_replayable: replay.not_replayable.iter().map(|not| not.count).sum(),
        }),
        thresholds: history::compared(&evidence.thresholds, &diff.proposed, history),
        learner_settings: evidence.learner_settings,
        expires_at: diff.proposed.expires_at,
    }
}

/// What is so in change control: whether the base is active, what else is open, what became active.
fn changes(
    journal: &Journal,
    (diff, asked): (&Diff, Stage),
    history: &[Became],
    now: Timestamp,
) -> Result<Changes, StoreError> {
    let purpose = diff.proposed.purpose;
    let mut open = Vec::new();
    for (id, row) in store::list(journal)?
        .into_iter()
        .filter(|(_, row)| row.purpose == purpose && row.modes.overlaps(&diff.proposed.modes))
    {
        let ended = row.ended_at.is_some() || id == diff.id;
        let other = if ended { None } else { Some(store::load(journal, &id)?) };
        let stands = |other: &Diff| match other.status() {
            Status::Tried(_) => true,
            status => status.is_open() && now < other.proposed.expires_at,
        };
        if let Some(other) = other.filter(stands) {
            let learned = is_learner(&other.proposed.author);
            let changed = store::evidence_of(journal, &other)?.map(|evidence| evidence.thresholds);
            open.push(OpenDiff { id, learned, thresholds: names_of(&changed.unwrap_or_default()) });
        }
    }
    let activated = history.iter().map(|became| Activated {
        time: became.time,
        learned: became.learned,
        thresholds: names_of(&became.thresholds),
    });
    let floor = genesis(journal)?.map(|genesis| serde_json::to_value(genesis.floor)).transpose()?;
    let tried = diff.staged.iter();
    let tried = tried.map(|s| Tried { stage: s.stage.as_str().to_owned(), since: s.since }).collect();
    let base_active = rollout(journal, purpose)?.only(&diff.proposed.modes) == Some(diff.proposed.base);
    let asked = asked.as_str().to_owned();
    Ok(Changes { asked, tried, base_active, open, activated: activated.collect(), floor })
}

/// Changed thresholds like `quality.min_line_coverage`, each once, whatever the mode.
fn names_of(changed: &[ThresholdChange]) -> Vec<String> {
    let mut names: Vec<String> = changed.iter().map(|t| format!("{}.{}", t.gate, t.name)).collect();
    names.dedup();
    names
}
