//! What is counted; labels are few and closed, so that nobody can make them grow.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// What was asked, by route and class of status.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Asked {
    pub(crate) route: &'static str,
    pub(crate) status: &'static str,
}

/// What was answered to a question of another system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Outcome {
    Permit,
    Deny,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Evaluated {
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decided {
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfGate {
    gate: String,
    verdict: &'static str,
}

/// Gates that are told apart; a bundle with more is counted under `other`.
const GATES: usize = 64;

/// A part of answering a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Who asks.
    Authenticate,
    /// The body comes.
    Read,
    /// Policies decide.
    Evaluate,
    /// What was decided becomes durable.
    Record,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStage {
    stage: &'static str,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Authenticate, Self::Read, Self::Evaluate, Self::Record];

    fn name(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Read => "read",
            Self::Evaluate => "evaluate",
            Self::Record => "record",
        }
    }
}

/// From 1 µs to 8 s.
fn stage_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_001, 2.0, 24))
}

/// The counters of a server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Asked, Counter>,
    seconds: Histogram,
    stages: [(Stage, Histogram); 4],
    /// From handing over what waits to its being durable.
    pub(crate) commits: Histogram,
    evaluations: Family<Evaluated, Counter>,
    searches: Counter,
    decisions: Family<Decided, Counter>,
    gates: Family<OfGate, Counter>,
    known_gates: std::sync::Mutex<std::collections::BTreeSet<String>>,
    pub(crate) waiting: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) reloads: Gauge,
    pub(crate) failed_reloads: Gauge,
    /// 1 where the learner could do its work the last time.
    pub(crate) learner_well: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("cku");
        // From 50 µs to 26 s.
        let seconds = Histogram::new(exponential_buckets(0.000_05, 2.0, 20));
        let by_stage = Family::<OfStage, Histogram>::new_with_constructor(stage_seconds);
        let of = |stage: Stage| by_stage.get_or_create(&OfStage { stage: stage.name() }).clone();
        let stages = Stage::ALL.map(|stage| (stage, of(stage)));
        let metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            seconds,
            stages,
            commits: stage_seconds(),
            evaluations: Family::default(),
            searches: Counter::default(),
            decisions: Family::default(),
            gates: Family::default(),
            known_gates: std::sync::Mutex::default(),
            waiting: Gauge::default(),
            connections: Gauge::default(),
            reloads: Gauge::default(),
            failed_reloads: Gauge::default(),
            learner_well: Gauge::default(),
        };
        registry.register("requests", "Requests by route and class of status", metrics.requests.clone());
        registry.register_with_unit(
            "request",
            "From the head of a request to its answer, which is durable before it leaves",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register_with_unit("stage", "Parts of answering requests", Unit::Seconds, by_stage);
        registry.register_with_unit(
            "journal_commit",
            "From handing over what waits to its being durable; the count is that of commits asked for",
            Unit::Seconds,
            metrics.commits.clone(),
        );
        registry.register("evaluations", "Questions of other systems", metrics.evaluations.clone());
        registry.register("searches", "Searches of other systems", metrics.searches.clone());
        registry.register("decisions", "Decisions of the gates by verdict", metrics.decisions.clone());
        registry.register("gate_outcomes", "Outcomes of gates that were reached", metrics.gates.clone());
        registry.register("journal_waiting", "What waits to be recorded", metrics.waiting.clone());
        registry.register("connections", "Open connections", metrics.connections.clone());
        registry.register("reloads", "How often other policies became active", metrics.reloads.clone());
        registry.register(
            "failed_reloads",
            "How often policies did not load and the last good ones stayed",
            metrics.failed_reloads.clone(),
        );
        registry.register(
            "learner_well",
            "1 where the learner beside the server could do its work the last time",
            metrics.learner_well.clone(),
        );
        Self { registry, ..metrics }
    }

    /// Counts a request.
    pub(crate) fn asked(&self, route: &'static str, status: u16, took: Duration) {
        let status = match status {
            0..400 => "2xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&Asked { route, status }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// Counts a part of answering a request.
    pub(crate) fn took(&self, stage: Stage, took: Duration) {
        if let Some((_, seconds)) = self.stages.iter().find(|(of, _)| *of == stage) {
            seconds.observe(took.as_secs_f64());
        }
    }

    /// Counts an answer to a question of another system.
    pub(crate) fn evaluated(&self, permitted: bool) {
        let outcome = if permitted { Outcome::Permit } else { Outcome::Deny };
        self.evaluations.get_or_create(&Evaluated { outcome }).inc();
    }

    /// Counts a search.
    pub(crate) fn searched(&self) {
        self.searches.inc();
    }

    /// Counts a decision of the gates.
    pub(crate) fn decided(&self, decision: &cku_gates::Decision) {
        self.decisions.get_or_create(&Decided { verdict: decision.verdict.as_str() }).inc();
        for gate in &decision.gates {
            let Some(verdict) = gate.verdict else { continue };
            let gate = self.gate(&gate.gate);
            self.gates.get_or_create(&OfGate { gate, verdict: verdict.as_str() }).inc();
        }
    }

    fn gate(&self, name: &str) -> String {
        let mut known = self.known_gates.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.contains(name) || known.len() < GATES {
            known.insert(name.to_owned());
            return name.to_owned();
        }
        "other".to_owned()
    }

    /// All of it as Prometheus reads it.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
