//! Canonical JSON: as it is written here, and by the sorting serialiser that numbers still go through.

#![allow(missing_docs, clippy::unwrap_used, reason = "it is a benchmark")]

use std::{hint::black_box, path::Path};

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};

fn canonical(criterion: &mut Criterion) {
    let reports = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/inputs/evidence/humanize.json");
    let reports: Value = serde_json::from_slice(&std::fs::read(reports).unwrap()).unwrap();
    let question = json!({
        "subject": {"type": "user", "id": "alice"}, "action": {"name": "view"}, "decision": true,
        "resource": {"type": "record", "id": "101"}, "caller": "user:dana", "policies": ["record.view.manager"],
    });
    let round = json!({
        "actor": "cku", "subject": "evaluations", "evaluations": vec![question; 64],
    });
    for (name, document) in [("reports", &reports), ("round of 64 questions", &round)] {
        let bytes = cku_base::canonical::to_vec(document).unwrap();
        assert_eq!(bytes, serde_json_canonicalizer::to_vec(document).unwrap());
        let mut group = criterion.benchmark_group(format!("{name}, {} bytes", bytes.len()));
        group.bench_function("to_vec", |b| b.iter(|| cku_base::canonical::to_vec(black_box(document))));
        if let Value::Object(members) = document {
            group.bench_function("object", |b| b.iter(|| cku_base::canonical::object(black_box(members))));
        }
        group.bench_function("sorting serialiser", |b| {
            b.iter(|| serde_json_canonicalizer::to_vec(black_box(document)))
        });
        group.finish();
    }
}

criterion_group!(benches, canonical);
criterion_main!(benches);
