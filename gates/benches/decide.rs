//! The nine gates of the baseline on one realistic input: the whole decision, then its parts.
//!
//! `cargo bench -p cku-gates` prints the time of one decision on one thread: all gates PASS, one
//! PAUSE, one REJECT; and, for the first, what it is made of. What the parts do not add up to is the
//! rest: the sequence, reasons, the answer itself.
//!
//! A worker remembers access answers, so the same input again is cheaper than the first time;
//! "nothing asked before" is the first time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{collections::BTreeMap, hint::black_box, path::Path, sync::Arc};

use cku_base::{Digest, canonical};
use cku_engine::{
    Bundle, Input, Worker,
    access::{Question, Resource},
};
use cku_gates::{DecisionInput, Verdict, decide, simulate};
use cku_lang::GateBody;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn bundle() -> Arc<Bundle> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/baseline");
    Arc::new(Bundle::load(&dir).unwrap())
}

/// The input, with one member set to another value.
fn input(bundle: &Bundle, change: Option<(&str, serde_json::Value)>) -> DecisionInput {
    let mut document: serde_json::Value = serde_json::from_str(include_str!("input.json")).unwrap();
    if let Some((pointer, value)) = change {
        *document.pointer_mut(pointer).unwrap() = value;
    }
    simulate::read(document, bundle.revision()).unwrap().0
}

fn decisions(c: &mut Criterion) {
    let bundle = bundle();
    let cases = [
        ("all pass", None, Verdict::Pass),
        ("one pause", Some(("/submission/evidence/0/data/lines/hit", 7_840.into())), Verdict::Pause),
        ("one reject", Some(("/submission/change/files/0", "deploy/api.yaml".into())), Verdict::Reject),
    ];
    let mut group = c.benchmark_group("decide");
    for (name, change, expected) in cases {
        let input = input(&bundle, change);
        let mut worker = Worker::new(bundle.clone());
        let decision = decide(&mut worker, &input, true).unwrap();
        assert_eq!(decision.verdict, expected, "{decision:#?}");
        group.bench_function(name, |b| b.iter(|| decide(&mut worker, black_box(&input), true).unwrap()));
    }
    let input = input(&bundle, None);
    group.bench_function("all pass, nothing asked before", |b| {
        // By reference, so that the time to drop a worker is not counted.
        b.iter_batched_ref(
            || Worker::new(bundle.clone()),
            |worker| decide(worker, black_box(&input), true).unwrap(),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn parts(c: &mut Criterion) {
    let bundle = bundle();
    let input = input(&bundle, None);
    let mut worker = Worker::new(bundle.clone());
    // The decision leaves the worker with this input.
    decide(&mut worker, &input, true).unwrap();
    println!("input: {} bytes of canonical JSON", canonical::to_vec(&input).unwrap().len());

    let mut group = c.benchmark_group("part");
    group.bench_function("input: canonical, digests of it, its subject and its evidence, Rego value", |b| {
        b.iter(|| {
            let bytes = canonical::to_vec(black_box(&input)).unwrap();
            let value = Input::from_json(std::str::from_utf8(&bytes).unwrap()).unwrap();
            let evidence: Vec<Digest> = documents(&input).collect();
            (value, evidence, Digest::of(&bytes), input.subject_digest().unwrap())
        });
    });

    let gates = &bundle.compiled().gates;
    let value = Input::from(seen(&input));
    group.bench_function("rego: facts of eight gates, verdict of the ninth", |b| {
        b.iter(|| {
            worker.set_input(value.clone());
            for gate in gates {
                match &gate.body {
                    GateBody::Rules(_) => drop(black_box(worker.facts(&gate.name).unwrap())),
                    GateBody::Rego { path, .. } => drop(black_box(worker.value(path).unwrap())),
                }
            }
        });
    });

    let authors = input.authors();
    let run = Resource::run(&input.tenant, &authors);
    let gate = Resource::gate("plan_approval", &input.tenant, &authors);
    let target = bundle.target("service:acme/payments/api").unwrap().clone();
    let mut questions = vec![
        (input.principal.principal.clone(), "run:create", run.clone()),
        (input.principal.principal.clone(), "run:touch", target),
    ];
    questions.extend(input.approvals.iter().map(|a| (a.approver.clone(), "gate:approve", gate.clone())));
    questions.extend(input.votes.iter().map(|v| (v.voter.clone(), "vote:cast", run.clone())));
    let ask_all = |worker: &mut Worker| {
        for (principal, action, resource) in &questions {
            let grants = &input.state.role_grants;
            let question =
                Question { principal, grants, action, resource, mode: &input.mode, authentication: "token" };
            assert!(worker.ask(&question).is_allowed());
        }
    };
    let name = format!("access: {} questions", questions.len());
    group.bench_function(format!("{name}, asked before"), |b| b.iter(|| ask_all(&mut worker)));
    group.bench_function(format!("{name}, never asked before"), |b| {
        b.iter_batched(|| Worker::new(bundle.clone()), |mut w| ask_all(&mut w), BatchSize::SmallInput);
    });

    worker.set_input(value);
    let facts: Vec<_> = gates
        .iter()
        .filter_map(|gate| {
            let GateBody::Rules(rules) = &gate.body else { return None };
            let answers: BTreeMap<String, bool> =
                rules.access.iter().map(|a| (a.attribute.clone(), true)).collect();
            Some((gate.name.as_str(), worker.facts(&gate.name).unwrap(), answers))
        })
        .collect();
    group.bench_function("rules: eight gates", |b| {
        b.iter(|| {
            for (gate, facts, answers) in &facts {
                black_box(worker.rules(gate, &input.mode, facts, answers).unwrap());
            }
        });
    });
    group.finish();
}

/// The digests of the pieces of evidence.
fn documents(input: &DecisionInput) -> impl Iterator<Item = Digest> {
    input.submission.evidence.iter().map(|e| e.document_digest().unwrap())
}

/// The input as Rego sees it: who submitted what, and every approval and vote with what only cku
/// knows of it.
fn seen(input: &DecisionInput) -> serde_json::Value {
    let mut document = serde_json::to_value(input).unwrap();
    let submitters: Vec<_> = documents(input).map(|digest| input.evidence_by.get(&digest)).collect();
    document["submitted_by"] = serde_json::to_value(submitters).unwrap();
    for list in ["approvals", "votes"] {
        for item in document[list].as_array_mut().unwrap() {
            item["permitted"] = true.into();
            item["valid"] = true.into();
            item["roles"] = vec!["reviewer"].into();
        }
    }
    document
}

/// The facts of each gate, asked alone: what a policy author pays for.
fn gates(c: &mut Criterion) {
    let bundle = bundle();
    let input = input(&bundle, None);
    let mut worker = Worker::new(bundle.clone());
    decide(&mut worker, &input, true).unwrap();
    let mut group = c.benchmark_group("facts");
    for gate in &bundle.compiled().gates {
        let path = match &gate.body {
            GateBody::Rules(_) => format!("data.cku.facts.{}.collected", gate.name),
            GateBody::Rego { path, .. } => path.clone(),
        };
        group.bench_function(&gate.name, |b| b.iter(|| black_box(worker.value(&path).unwrap())));
    }
    group.finish();
}

criterion_group!(benches, decisions, parts, gates);
criterion_main!(benches);
