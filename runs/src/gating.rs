//! Asking the gates about a run, and keeping what they said.

use std::collections::BTreeMap;

use cku_authority::{Chains, StoreError};
use cku_base::{Digest, Timestamp, canonical};
use cku_engine::Worker;
use cku_gates::{Decision, DecisionInput, Reliability, Undecidable, Verdict, decide};
use cku_journal::{Entry, Journal};
use serde_json::Value;

use crate::{
    command::holding,
    event::{Decided, Ending, Event, Shadowed, Waiting, WaitingFor},
    exploration::{self, ExplorationKey},
    input,
    mask::mask,
    state::Run,
    store::{self, Actor},
};

/// How often the gates are asked while others take the draws that a decision rests on.
const TRIES: usize = 20;

/// Why there is no decision about a run.
#[derive(Debug, thiserror::Error)]
pub enum GatingError {
    /// The gates could not decide.
    #[error(transparent)]
    Undecidable(#[from] Undecidable),
    /// The journal did not give or take something.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A decision about a run that is in the journal.
#[derive(Debug)]
pub struct Gated {
    /// The run after it.
    pub run: Run,
    /// What the gates said.
    pub decision: Decision,
    /// Over what.
    pub input: DecisionInput,
}

/// What is tried on a run.
#[derive(Debug)]
pub enum Trial<'w> {
    /// Nothing: what is active decides alone.
    None,
    /// The bundle that decides is the canary of this policy diff.
    Canary(Digest),
    /// The bundle of this policy diff is asked too, without effect.
    Shadow(Digest, &'w mut Worker),
}

impl Trial<'_> {
    /// The same once more.
    fn again(&mut self) -> Trial<'_> {
        match self {
            Self::None => Trial::None,
            Self::Canary(diff) => Trial::Canary(*diff),
            Self::Shadow(diff, worker) => Trial::Shadow(*diff, worker),
        }
    }
}

/// What a decision takes beside the journal and the policies.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'b> {
    /// What is known of the chains.
    pub chains: &'b Chains,
    /// What draws are made with; without it nothing explores.
    pub exploration: Option<&'b ExplorationKey>,
    /// How reliable skills and voters are, where enough is known of them; without it, what policies take for
    /// granted holds. Whoever could not tell it decides nothing: see `cku_learning::TrackRecords`.
    pub reliability: Option<&'b Reliability>,
}

impl<'b> From<&'b Chains> for Beside<'b> {
    fn from(chains: &'b Chains) -> Self {
        Self { chains, exploration: None, reliability: None }
    }
}

/// Asks the gates about a run; the answer is durable before this returns.
///
/// PASS leaves the run ready to start, PAUSE lets it wait, REJECT ends it.
pub fn gate<'b>(
    journal: &Journal,
    beside: impl Into<Beside<'b>>,
    worker: &mut Worker,
    run: Run,
    now: Timestamp,
) -> Result<Gated, GatingError> {
    gate_trying(journal, beside, (worker, Trial::None), run, now)
}

/// Asks the gates about a run on which something is tried; the answer is durable before this returns.
pub fn gate_trying<'b>(
    journal: &Journal,
    beside: impl Into<Beside<'b>>,
    (worker, trial): (&mut Worker, Trial<'_>),
    run: Run,
    now: Timestamp,
) -> Result<Gated, GatingError> {
    let (mut beside, mut trial) = (beside.into(), trial);
    for _ in 1..TRIES {
        match gate_once(journal, beside, (worker, trial.again()), &run, now) {
            Err(GatingError::Store(error)) if error.is_outdated() => {}
            said => return said.map(|said| said.over(run)),
        }
    }
    // Nothing explores any more, so that nothing rests on what others do.
    beside.exploration = None;
    gate_once(journal, beside, (worker, trial), &run, now).map(|said| said.over(run))
}

/// What the gates said, with its entries.
struct Written {
    events: Vec<Event>,
    entries: Vec<Entry>,
    decision: Decision,
    input: DecisionInput,
}

impl Written {
    fn over(self, run: Run) -> Gated {
        let Self { events, entries, decision, input } = self;
        Gated { run: store::after(run, &events, &entries), decision, input }
    }
}

/// Asks the gates and writes what they say; outdated where another decision took a draw or spent a cap that this
/// one rests on.
fn gate_once(
    journal: &Journal,
    beside: Beside<'_>,
    (worker, trial): (&mut Worker, Trial<'_>),
    run: &Run,
    now: Timestamp,
) -> Result<Written, GatingError> {
    let Judged { decided, decision, input, bytes } = judge(journal, beside, (worker, trial), run, now)?;
    let rows = exploration::rests_on(journal, worker.bundle(), run, &decided)?;
    let mut events = vec![Event::Decided(decided)];
    match decision.verdict {
        Verdict::Pass => {}
        Verdict::Pause => events.push(Event::Waiting(Waiting {
            waiting_for: WaitingFor::Gates,
            reason: format!("waits at {}", gates_of(&decision)),
        })),
        Verdict::Reject => {
            let cause = match decision.reasons.first() {
                Some(reason) => reason.message.clone(),
                None => format!("rejected at {}", gates_of(&decision)),
            };
            events.push(Event::Ended(run.end(Ending::Rejected, cause, now)));
        }
    }
    let blobs = vec![(run.tenant.clone(), bytes)];
    let entries = store::add_if(journal, run, &Actor::Cku, &events, (rows, blobs))?;
    Ok(Written { events, entries, decision, input })
}

/// What the gates say of a run, and what is to be kept of that; nothing is written.
#[derive(Debug)]
pub struct Judged {
    /// What is recorded.
    pub decided: Decided,
    /// What the gates said.
    pub decision: Decision,
    /// Over what.
    pub input: DecisionInput,
    /// The document that `decided` names: the input as it is kept.
    pub bytes: Vec<u8>,
}

/// Asks the gates about a run; nothing is written.
///
/// Whoever only looks has no key to give: a draw that costs nothing could be tried until it is yes.
pub fn judge<'b>(
    journal: &Journal,
    beside: impl Into<Beside<'b>>,
    (worker, trial): (&mut Worker, Trial<'_>),
    run: &Run,
    now: Timestamp,
) -> Result<Judged, GatingError> {
    let bundle = worker.bundle().clone();
    let mut beside = beside.into();
    if matches!(trial, Trial::Canary(_)) {
        // What a canary lets through is told from what it fails at: no draw has a part in that.
        beside.exploration = None;
    }
    let input = input::build(journal, beside, &bundle, run, now)?;
    let decision = decide(worker, &input, false)?;
    let kept = Kept::of(&input, &decision, &bundle.manifest().mask, worker)?;
    let decided = Decided {
        verdict: decision.verdict,
        bundle_revision: decision.bundle_revision,
        subject_digest: decision.subject_digest,
        input_digest: decision.input_digest,
        input: Digest::of(&kept.bytes),
        replayable: kept.replayable,
        decision: serde_json::to_value(&decision).map_err(StoreError::from)?,
        observed: observed(&decision),
        exploration: exploration::opened(journal, run, &decision)?,
        explorable: exploration::explorable(journal, run, (&input, &decision))?,
        canary: match trial {
            Trial::Canary(diff) => Some(diff),
            _ => None,
        },
        shadow: match trial {
            Trial::Shadow(diff, worker) => Some(shadowed((diff, worker), &input, &decision)),
            _ => None,
        },
    };
    Ok(Judged { decided, decision, input, bytes: kept.bytes })
}

/// What learnable thresholds were compared with, by `gate.threshold`.
fn observed(decision: &Decision) -> BTreeMap<String, i64> {
    let of_gates = decision.gates.iter().flat_map(|gate| {
        gate.observed.iter().map(|(threshold, fact)| (format!("{}.{threshold}", gate.gate), *fact))
    });
    of_gates.collect()
}

/// What a bundle in shadow says of an input that was decided; whatever goes wrong there stays there.
fn shadowed((diff, worker): (Digest, &mut Worker), input: &DecisionInput, decided: &Decision) -> Shadowed {
    let bundle_revision = worker.bundle().revision();
    let mut input = input.clone();
    input.rebind(decided.bundle_revision, bundle_revision);
    let (verdict, why) = match decide(worker, &input, false) {
        Ok(said) if said.verdict == decided.verdict => (Some(said.verdict), String::new()),
        Ok(said) => {
            let of_gates = holding(&said).flat_map(|gate| &gate.reasons);
            let why = said.reasons.iter().chain(of_gates).map(|reason| reason.message.clone()).next();
            (Some(said.verdict), why.unwrap_or_default())
        }
        Err(why) => (None, why.to_string()),
    };
    Shadowed { diff, bundle_revision, verdict, why }
}

fn gates_of(decision: &Decision) -> String {
    let gates = holding(decision).filter(|g| g.effective == Some(decision.verdict));
    gates.map(|g| format!("`{}`", g.gate)).collect::<Vec<_>>().join(", ")
}

/// An input as it is kept.
struct Kept {
    bytes: Vec<u8>,
    replayable: bool,
}

impl Kept {
    /// Masks what the bundle wants masked, and sees whether that would have been decided the same.
    fn of(
        input: &DecisionInput,
        decision: &Decision,
        paths: &[String],
        worker: &mut Worker,
    ) -> Result<Self, StoreError> {
        let whole = canonical::to_vec(input)?;
        if paths.is_empty() {
            return Ok(Self { bytes: whole, replayable: true });
        }
        let mut document: Value = serde_json::from_slice(&whole)?;
        if !mask(&mut document, paths) {
            return Ok(Self { bytes: whole, replayable: true });
        }
        let replayable = DecisionInput::read(&document).is_ok_and(|(masked, _)| {
            decide(worker, &masked, false).is_ok_and(|again| same(&again, decision))
        });
        Ok(Self { bytes: canonical::to_vec(&document)?, replayable })
    }
}

/// Whether two decisions say the same for the same reasons, over inputs that may differ.
fn same(a: &Decision, b: &Decision) -> bool {
    (a.verdict, &a.reasons, &a.gates) == (b.verdict, &b.reasons, &b.gates)
}
