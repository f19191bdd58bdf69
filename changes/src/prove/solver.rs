//! Asking a solver, many questions at a time, and believing it only what it plainly says.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use cedar_policy::{Entities, Policy, PolicySet, Request, RequestEnv, Schema};
use cku_base::Digest;

use super::{Cache, Check, Counterexample, Proof, cache::Definite, policies::fingerprint};

/// How the solver is called.
#[derive(Debug, Clone)]
pub struct SolverOptions {
    /// The program, cvc5.
    pub program: PathBuf,
    /// How long one question may take.
    pub time_limit: Duration,
    /// How many solvers run at once.
    pub workers: usize,
}

impl Default for SolverOptions {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Self { program: PathBuf::from("cvc5"), time_limit: Duration::from_secs(10), workers }
    }
}

/// A solver, with what it has answered before.
#[derive(Debug, Clone)]
pub struct Solver {
    options: SolverOptions,
    version: String,
    cache: Cache,
}

impl Solver {
    /// Finds the solver; the error says why there is none.
    pub fn new(options: SolverOptions, cache: Cache) -> Result<Self, String> {
        let version = version(&options)?;
        Ok(Self { options, version, cache })
    }

    /// What it calls itself.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What it has answered.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }
}

#[cfg(not(feature = "prover"))]
fn version(_: &SolverOptions) -> Result<String, String> {
    Err("this cku was built without the prover".to_owned())
}

#[cfg(feature = "prover")]
fn version(options: &SolverOptions) -> Result<String, String> {
    super::process::version(&options.program, options.time_limit)
}

/// Something to prove about Cedar policies.
#[derive(Debug, Clone)]
pub(super) enum Question {
    /// Whatever the narrow set allows, the wide one allows.
    Implies { narrow: Box<PolicySet>, wide: Box<PolicySet> },
    /// No request makes the policy err.
    NeverErrs(Box<Policy>),
}

/// A question about the requests of one kind.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) schema: Arc<Schema>,
    /// The text of the schema.
    pub(super) schema_text: Arc<str>,
    pub(super) requests: RequestEnv,
    pub(super) question: Question,
}

impl Task {
    /// The statement is part of it, since the sentence of a counterexample speaks in its words.
    fn digest(&self, statement: &str, solver: &str) -> Option<Digest> {
        let (kind, left, right) = match &self.question {
            Question::Implies { narrow, wide } => {
                ("implies", fingerprint(narrow.policies()), fingerprint(wide.policies()))
            }
            Question::NeverErrs(policy) => ("never errs", fingerprint([&**policy]), Vec::new()),
        };
        let requests =
            format!("{} {} {}", self.requests.principal(), self.requests.action(), self.requests.resource());
        Digest::of_canonical(&("prove 2", solver, statement, kind, left, right, &*self.schema_text, requests))
            .ok()
    }
}

/// Looks at what the solver found on the concrete engine, and tells it; an error says why it is none.
pub(super) type Explain<'q> = Box<dyn Fn(&Request, &Entities) -> Result<Counterexample, String> + 'q>;

/// A statement, the question that decides it, and how to tell that it does not hold.
pub(super) struct Query<'q> {
    pub(super) statement: String,
    pub(super) task: Task,
    pub(super) explain: Explain<'q>,
}

/// What the solver says.
#[derive(Debug)]
pub(super) enum Outcome {
    Holds,
    Fails(Box<(Request, Entities)>),
    Unknown(String),
}

/// Answers each query: from what is known, by the solver, or not at all.
pub(super) fn settle(solver: Option<&mut Solver>, queries: Vec<Query<'_>>) -> Vec<Check> {
    let Some(solver) = solver else {
        let unproved = |query: Query<'_>| Check {
            statement: query.statement,
            proof: Proof::Unproved { why: "there is no solver".to_owned() },
        };
        return queries.into_iter().map(unproved).collect();
    };
    let digests: Vec<Option<Digest>> =
        queries.iter().map(|q| q.task.digest(&q.statement, &solver.version)).collect();
    let known: Vec<Option<Definite>> =
        digests.iter().map(|d| d.as_ref().and_then(|d| solver.cache.find(d)).cloned()).collect();
    let open: Vec<&Task> =
        queries.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|(q, _)| &q.task).collect();
    let mut answers = ask(&solver.options, &open).into_iter();
    let mut checks = Vec::new();
    for ((query, digest), known) in queries.iter().zip(digests).zip(known) {
        let proof = match known {
            Some(Definite::Proved) => Proof::Proved { solver: solver.version.clone(), ms: 0 },
            Some(Definite::Refuted(counterexample)) => Proof::Refuted { counterexample },
            None => {
                let (outcome, took) = answers.next().unwrap_or_else(|| unasked("it was not asked"));
                let proof = proof(query, outcome, took, &solver.version);
                let definite = match &proof {
                    Proof::Proved { .. } => Some(Definite::Proved),
                    Proof::Refuted { counterexample } => Some(Definite::Refuted(counterexample.clone())),
                    _ => None,
                };
                if let Some((digest, definite)) = digest.zip(definite) {
                    solver.cache.keep(digest, definite);
                }
                proof
            }
        };
        checks.push(Check { statement: query.statement.clone(), proof });
    }
    checks
}

fn proof(query: &Query<'_>, outcome: Outcome, took: Duration, solver: &str) -> Proof {
    match outcome {
        Outcome::Holds => Proof::Proved {
            solver: solver.to_owned(),
            ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        },
        Outcome::Unknown(why) => Proof::Unproved { why },
        Outcome::Fails(found) => match (query.explain)(&found.0, &found.1) {
            Ok(counterexample) => Proof::Refuted { counterexample },
            Err(why) => Proof::Unproved { why: format!("the counterexample does not hold: {why}") },
        },
    }
}

fn unasked(why: &str) -> (Outcome, Duration) {
    (Outcome::Unknown(why.to_owned()), Duration::ZERO)
}

#[cfg(not(feature = "prover"))]
fn ask(_: &SolverOptions, tasks: &[&Task]) -> Vec<(Outcome, Duration)> {
    tasks.iter().map(|_| unasked("this cku was built without the prover")).collect()
}

/// Workers take one question after another, each with a solver of its own.
#[cfg(feature = "prover")]
fn ask(options: &SolverOptions, tasks: &[&Task]) -> Vec<(Outcome, Duration)> {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };
    /// Compiling a policy symbolically recurses over it.
    const STACK: usize = 64 << 20;
    let next = AtomicUsize::new(0);
    let answers: Mutex<Vec<Option<(Outcome, Duration)>>> = Mutex::new(tasks.iter().map(|_| None).collect());
    let work = || {
        let mut prover = super::process::Prover::new(&options.program, options.time_limit);
        while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let at = tasks.iter().position(|other| std::ptr::eq(*other, *task));
            let start = Instant::now();
            let outcome = prover.ask(task);
            if let Ok(mut answers) = answers.lock()
                && let Some(slot) = at.and_then(|at| answers.get_mut(at))
            {
                *slot = Some((outcome, start.elapsed()));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.workers.clamp(1, tasks.len().max(1)) {
            // Without a thread, its questions are answered by another or by none.
            let _ = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        }
    });
    let answers = answers.into_inner().unwrap_or_default();
    answers.into_iter().map(|answer| answer.unwrap_or_else(|| unasked("the prover failed"))).collect()
}
