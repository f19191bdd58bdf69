//! The pipeline: the gates of a mode, in order, to one decision.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use cku_engine::{SequenceStep, Worker};
use cku_lang::Enforcement;

use crate::{
    decision::{Decision, GateOutcome, Verdict},
    evaluation::{Evaluation, GateVerdict},
    exploration::{self, Explorable},
    input::DecisionInput,
    reason::Reason,
    undecidable::Undecidable,
};

/// Decides whether a run may go ahead: the same bytes for the same bundle and input.
///
/// `simulated` marks decisions over inputs that did not come from the journal.
pub fn decide(worker: &mut Worker, input: &DecisionInput, simulated: bool) -> Result<Decision, Undecidable> {
    let bundle = worker.bundle().clone();
    let sequence = bundle.sequence(&input.mode).ok_or_else(|| Undecidable::UnknownMode {
        mode: input.mode.clone(),
        known: bundle.manifest().modes.clone(),
    })?;
    let canonical = input.canonical().map_err(|e| Undecidable::Unreadable(e.to_string()))?;
    let decision = |verdict, reasons, gates| Decision {
        verdict,
        mode: input.mode.clone(),
        simulated,
        bundle_revision: bundle.revision(),
        subject_digest: canonical.subject_digest,
        input_digest: canonical.input_digest,
        reasons,
        gates,
        exploration: Explorable::default(),
    };
    let rejected = |rule: &str, why: &str| {
        let gates = sequence.iter().flatten().map(unreached).collect();
        decision(Verdict::Reject, vec![Reason::of_engine(rule, why, None)], gates)
    };
    if input.state.kill_switch {
        return Ok(rejected("kill_switch", "the kill switch is on: nothing goes ahead"));
    }
    let steps = match sequence {
        Ok(steps) if steps.is_empty() => {
            return Ok(rejected("evaluation_error", "the sequence has no gates"));
        }
        Ok(steps) => steps,
        Err(why) => return Ok(rejected("evaluation_error", why)),
    };
    let whole = &canonical;
    let begun = catch_unwind(AssertUnwindSafe(move || {
        let worker = worker;
        Evaluation::begin(worker, input, whole)
    }));
    let mut evaluation = match begun {
        Ok(evaluation) => evaluation?,
        Err(_) => return Ok(rejected("evaluation_error", "the evaluation panicked before any gate")),
    };
    let mut gates = Vec::with_capacity(steps.len());
    let mut ended = false;
    for step in steps {
        if ended {
            gates.push(unreached(step));
            continue;
        }
        let said = evaluation.gate(&step.gate)?;
        let outcome = outcome(step, said, &evaluation);
        ended = ends(step, &outcome);
        gates.push(outcome);
    }
    let plain = worst(&gates);
    let exploration = exploration::explore(&bundle, input, plain, &mut gates);
    let verdict = if exploration.explored() { worst(&gates) } else { plain };
    Ok(Decision { exploration, ..decision(verdict, Vec::new(), gates) })
}

/// Hands an input to a worker as the gates see it, for queries.
pub fn show(worker: &mut Worker, input: &DecisionInput) -> Result<(), Undecidable> {
    let canonical = input.canonical().map_err(|e| Undecidable::Unreadable(e.to_string()))?;
    Evaluation::begin(worker, input, &canonical).map(|_| ())
}

fn worst(gates: &[GateOutcome]) -> Verdict {
    gates.iter().filter_map(|gate| gate.effective).max().unwrap_or(Verdict::Reject)
}

/// What counts of a gate's verdict in this mode.
fn outcome(step: &SequenceStep, said: GateVerdict, evaluation: &Evaluation<'_>) -> GateOutcome {
    let overridden_by = match (&step.override_by, said.verdict) {
        (Some(role), Verdict::Pause) => evaluation.overriders(&step.gate, role),
        _ => Vec::new(),
    };
    let effective = match said.verdict {
        _ if step.enforcement == Enforcement::Advise => Verdict::Pass,
        Verdict::Pause if !overridden_by.is_empty() => Verdict::Pass,
        verdict => verdict,
    };
    GateOutcome {
        gate: step.gate.clone(),
        verdict: Some(said.verdict),
        effective: Some(effective),
        enforcement: step.enforcement,
        reached: true,
        overridden_by,
        explored: None,
        reasons: said.reasons,
        observed: said.observed,
    }
}

fn ends(step: &SequenceStep, outcome: &GateOutcome) -> bool {
    match outcome.effective {
        Some(Verdict::Pass) => false,
        Some(Verdict::Pause) => step.barrier,
        Some(Verdict::Reject) | None => true,
    }
}

fn unreached(step: &SequenceStep) -> GateOutcome {
    GateOutcome {
        gate: step.gate.clone(),
        verdict: None,
        effective: None,
        enforcement: step.enforcement,
        reached: false,
        overridden_by: Vec::new(),
        explored: None,
        reasons: Vec::new(),
        observed: BTreeMap::new(),
    }
}
