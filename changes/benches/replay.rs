//! How many recorded decisions are decided anew in a second.
//!
//! `cargo bench -p cku-changes --bench replay -- 100000`; without a number, 100,000.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark fails by panicking"
)]

use std::{path::Path, sync::Arc, time::Instant};

use cku_base::{Digest, canonical};
use cku_changes::replay::{Options, replay};
use cku_engine::{Bundle, Worker};
use cku_gates::{DecisionInput, decide, simulate};
use cku_journal::{Command, Draft, Journal, Kind};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Decisions that are written in one command.
const BATCH: usize = 500;

fn main() {
    let wanted = std::env::args().filter_map(|argument| argument.parse().ok()).next();
    let wanted: usize = wanted.unwrap_or(100_000);
    let folder = tempfile::tempdir().unwrap();
    let options = cku_journal::Options::default();
    let journal = Journal::create(&folder.path().join("journal.db"), options).unwrap();
    let baseline = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/baseline");
    let bundle = Arc::new(Bundle::load(&baseline).unwrap());
    let begun = Instant::now();
    record(&journal, &bundle, wanted);
    println!("recorded {wanted} decisions in {:.1} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let found = replay(&journal, bundle.clone(), bundle, &Options::default(), &|_, _| ()).unwrap();
    let took = begun.elapsed().as_secs_f64();
    assert_eq!((found.replayed, found.flips), (wanted as u64, 0));
    println!(
        "replayed {wanted} decisions under two bundles in {took:.1} s: {:.0} a second; {:?}",
        wanted as f64 / took,
        found.latency.unwrap()
    );
}

/// Inputs that differ in coverage, cost and failed tests, each decided and recorded.
fn record(journal: &Journal, bundle: &Arc<Bundle>, wanted: usize) {
    let document: Value = serde_json::from_str(include_str!("../../gates/benches/input.json")).unwrap();
    let mut document = document;
    document["mode"] = json!("dev");
    let (template, _) = simulate::read(document, bundle.revision()).unwrap();
    let template = serde_json::to_value(&template).unwrap();
    let mut worker = Worker::new(bundle.clone());
    for from in (0..wanted).step_by(BATCH) {
        let mut command = Command::default();
        for at in from..wanted.min(from + BATCH) {
            let mut document = template.clone();
            document["run_id"] = json!(format!("run-{at}"));
            document["submission"]["evidence"][0]["data"]["lines"]["hit"] = json!(at * 7 % 10_001);
            document["submission"]["plan"]["steps"][1]["estimated_cost"] = json!(at % 5_000);
            let (input, _) = DecisionInput::read(&document).unwrap();
            let decision = decide(&mut worker, &input, false).unwrap();
            let bytes = canonical::to_vec(&input).unwrap();
            let body = json!({
                "actor": "cku", "subject": format!("run:run-{at}"),
                "verdict": decision.verdict, "bundle_revision": decision.bundle_revision,
                "subject_digest": decision.subject_digest, "input_digest": decision.input_digest,
                "input": Digest::of(&bytes), "replayable": true, "decision": decision,
            });
            let Value::Object(body) = body else { unreachable!() };
            command.drafts.push(Draft { tenant: input.tenant.clone(), kind: Kind::DecisionMade, body });
            command.blobs.push((input.tenant.clone(), bytes));
        }
        journal.append(command).unwrap();
    }
}
