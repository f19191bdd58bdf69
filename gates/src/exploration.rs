//! Exploration: a draw lets a run through where one learned threshold is all that stands in the way.
//!
//! What lies beyond a threshold is known only from runs that went ahead, and those that a person let
//! through are chosen by that person. A draw chooses by chance alone, and so what comes of such runs may
//! be reckoned with, as with a sample. It is made outside, with a key that nobody knows who submits; it
//! comes in with the state; and it applies once every gate was asked. It turns no REJECT, no error and
//! no word of a person into a PASS.

use std::collections::BTreeMap;

use cku_base::BasisPoints;
use cku_engine::{Bundle, Exploration};
use cku_lang::{Comparison, Enforcement, GateBody, Rule, Rules, Threshold};
use serde::{Deserialize, Serialize};

use crate::{
    consent::ApprovalDecision,
    decision::{GateOutcome, Verdict},
    input::DecisionInput,
};

/// What was drawn for one threshold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "a draw, an object with `gate`, `threshold`, `propensity` and `drawn`")]
pub struct Draw {
    /// The gate.
    pub gate: String,
    /// Its threshold.
    pub threshold: String,
    /// How likely a yes was.
    pub propensity: BasisPoints,
    /// Whether it is yes.
    pub drawn: bool,
}

/// That a draw let a gate's PAUSE pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explored {
    /// The threshold beyond which the run goes.
    pub threshold: String,
    /// How likely that was.
    pub propensity: BasisPoints,
}

/// What exploration had to do with a decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Explorable {
    /// The one threshold that stood in the way, where the draw alone said whether the run goes ahead.
    pub open: Option<Opening>,
    /// By `gate.threshold`, of a run that passed by itself: the thresholds where a draw would have been
    /// asked, had the fact been worse and nothing else; each with how likely a yes was.
    pub passed: BTreeMap<String, BasisPoints>,
}

/// A threshold that alone stood in the way, and what was drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The gate.
    pub gate: String,
    /// Its threshold.
    pub threshold: String,
    /// How likely a yes was.
    pub propensity: BasisPoints,
    /// Whether it was yes, so that the run goes ahead.
    pub explored: bool,
}

impl Explorable {
    /// Whether a draw let the run go ahead.
    pub fn explored(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.explored)
    }
}

/// A threshold beyond which runs of a mode may be let.
#[derive(Debug, Clone, Copy)]
pub struct Frontier<'b> {
    /// Its gate.
    pub gate: &'b str,
    /// The threshold.
    pub threshold: &'b Threshold,
    /// How far, and how often.
    pub settings: Exploration,
    rule: &'b Rule,
    comparison: &'b Comparison,
}

impl<'b> Frontier<'b> {
    /// Those of a mode, in the order of its gates.
    ///
    /// A threshold is one where the bundle declares a rate, a PAUSE rule of the mode compares it and no
    /// other does, it could be looser, and its gate counts and does not end the evaluation.
    pub fn of(bundle: &'b Bundle, mode: &'b str) -> impl Iterator<Item = Self> {
        let steps = bundle.sequence(mode).and_then(|sequence| sequence.as_ref().ok()).into_iter().flatten();
        let counts = steps.filter(|step| step.enforcement == Enforcement::Enforce && !step.barrier);
        counts.flat_map(move |step| Self::of_gate(bundle, &step.gate, mode))
    }

    fn of_gate(bundle: &'b Bundle, gate: &'b str, mode: &'b str) -> impl Iterator<Item = Self> {
        let rules = bundle.gate(gate).and_then(|gate| match &gate.body {
            GateBody::Rules(rules) => Some(rules),
            GateBody::Rego { .. } => None,
        });
        let learnable = rules.into_iter().flat_map(Rules::learnable);
        let all = learnable.map(move |(threshold, rule, comparison)| {
            let settings = bundle.exploration().of(mode, gate, &threshold.name);
            Self { gate, threshold, settings, rule, comparison }
        });
        all.filter(move |frontier| frontier.may_be_crossed(mode))
    }

    fn may_be_crossed(&self, mode: &str) -> bool {
        let in_mode = |modes: &Vec<String>| modes.iter().any(|of| of == mode);
        let loosest = self.threshold.loosened(mode, self.settings.bands);
        self.settings.rate.get() > 0
            && self.rule.modes.as_ref().is_none_or(in_mode)
            && self.comparison.op.is_ordering()
            && loosest.is_some_and(|loosest| loosest != self.threshold.value(mode))
    }

    /// Whether a fact lies beyond the threshold, and no further than is explored.
    fn is_crossed(&self, mode: &str, fact: i64) -> bool {
        let beyond = |value| self.comparison.op.holds(fact, value);
        let loosest = self.threshold.loosened(mode, self.settings.bands);
        beyond(self.threshold.value(mode)) && loosest.is_some_and(|loosest| !beyond(loosest))
    }

    /// What was drawn for it; nothing where that was drawn several times, of which nobody knows what counts.
    fn draw<'d>(&self, draws: &'d [Draw]) -> Option<&'d Draw> {
        let is_of = |draw: &&Draw| draw.gate == self.gate && draw.threshold == self.threshold.name;
        let mut found = draws.iter().filter(is_of);
        let draw = found.next().filter(|_| found.next().is_none())?;
        (draw.propensity.get() > 0).then_some(draw)
    }
}

/// Lets a PAUSE pass where the draw says so and nothing else stood in the way.
///
/// `plain` is the verdict without it. The gate's own verdict stays.
pub(crate) fn explore(
    bundle: &Bundle,
    input: &DecisionInput,
    plain: Verdict,
    gates: &mut [GateOutcome],
) -> Explorable {
    let Some(draws) = &input.state.exploration else { return Explorable::default() };
    if excluded(input, gates) {
        return Explorable::default();
    }
    match plain {
        Verdict::Reject => Explorable::default(),
        Verdict::Pass => Explorable { open: None, passed: would_be_asked(bundle, input, draws) },
        Verdict::Pause => Explorable { open: alone(bundle, input, draws, gates), passed: BTreeMap::new() },
    }
}

/// Where chance has no place: change control, and wherever a person said something of the run that let
/// it through or refused it, or a gate was not asked.
fn excluded(input: &DecisionInput, gates: &[GateOutcome]) -> bool {
    input.policy_diff.is_some()
        || input.state.changes.is_some()
        || input.state.kill_switch
        || input.approvals.iter().any(|approval| approval.decision == ApprovalDecision::Refuse)
        || gates.iter().any(|gate| !gate.reached || !gate.overridden_by.is_empty())
}

fn would_be_asked(bundle: &Bundle, input: &DecisionInput, draws: &[Draw]) -> BTreeMap<String, BasisPoints> {
    let asked = Frontier::of(bundle, &input.mode).filter_map(|frontier| {
        let draw = frontier.draw(draws)?;
        Some((format!("{}.{}", frontier.gate, frontier.threshold.name), draw.propensity))
    });
    asked.collect()
}

/// The threshold that alone stands in the way; where the draw is yes, its gate passes.
fn alone(
    bundle: &Bundle,
    input: &DecisionInput,
    draws: &[Draw],
    gates: &mut [GateOutcome],
) -> Option<Opening> {
    let mut holding = gates.iter_mut().filter(|gate| gate.effective != Some(Verdict::Pass));
    let gate = holding.next()?;
    let pauses = (gate.verdict, gate.effective) == (Some(Verdict::Pause), Some(Verdict::Pause));
    if holding.next().is_some() || !pauses {
        return None;
    }
    let [reason] = gate.reasons.as_slice() else { return None };
    let mut frontiers = Frontier::of(bundle, &input.mode);
    let frontier = frontiers.find(|f| f.gate == gate.gate && f.rule.name == reason.rule)?;
    let threshold = frontier.threshold.name.clone();
    if !frontier.is_crossed(&input.mode, *gate.observed.get(&threshold)?) {
        return None;
    }
    let Draw { propensity, drawn, .. } = *frontier.draw(draws)?;
    // A bundle that is asked later may declare less than what was drawn for.
    let explored = drawn && propensity <= frontier.settings.rate;
    if explored {
        gate.effective = Some(Verdict::Pass);
        gate.explored = Some(Explored { threshold: threshold.clone(), propensity });
    }
    Some(Opening { gate: gate.gate.clone(), threshold, propensity, explored })
}
