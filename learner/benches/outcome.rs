//! What an outcome costs when nine thresholds learn from it (L10).

#![allow(missing_docs, reason = "it is a benchmark")]

use cku_learner::bench::Workload;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn outcome(criterion: &mut Criterion) {
    let mut workload = Workload::new();
    let mut group = criterion.benchmark_group("nine thresholds");
    group.throughput(Throughput::Elements(workload.outcomes() as u64));
    group.bench_function("outcomes", |b| b.iter(|| workload.round()));
    group.finish();
}

criterion_group!(benches, outcome);
criterion_main!(benches);
