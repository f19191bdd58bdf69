//! The pipeline: the gates of a mode, in order, to one decision.

use cku_engine::{SequenceStep, Worker};
use cku_lang::Enforcement;

use crate::{
    decision::{Decision, GateOutcome, Verdict},
    evaluation::{Evaluation, GateVerdict},
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
    let mut evaluation = Evaluation::begin(worker, input)?;
    let decision = |verdict, reasons, gates, evaluation: &Evaluation<'_>| Decision {
        verdict,
        mode: input.mode.clone(),
        simulated,
        bundle_revision: bundle.revision(),
        subject_digest: evaluation.subject_digest,
        input_digest: evaluation.input_digest,
        reasons,
        gates,
    };
    let steps = match sequence {
        _ if input.state.kill_switch => {
            let gates = sequence.iter().flatten().map(unreached).collect();
            let reason = Reason::of_engine("kill_switch", "the kill switch is on: nothing goes ahead", None);
            return Ok(decision(Verdict::Reject, vec![reason], gates, &evaluation));
        }
        Err(why) => {
            let reason = Reason::of_engine("evaluation_error", why.clone(), None);
            return Ok(decision(Verdict::Reject, vec![reason], Vec::new(), &evaluation));
        }
        Ok(steps) => steps,
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
    // A mode without gates would let everything through; nothing was asked, so nothing passes.
    let verdict = gates.iter().filter_map(|g| g.effective).max().unwrap_or(Verdict::Reject);
    Ok(decision(verdict, Vec::new(), gates, &evaluation))
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
        reasons: said.reasons,
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
        reasons: Vec::new(),
    }
}
