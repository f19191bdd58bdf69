//! How long the direction of a change takes: the baseline, and with 1,000 policies more.
//!
//! `cargo bench -p cku-changes --bench prove`; it needs the solver `cvc5`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark fails by panicking"
)]

use std::{collections::BTreeMap, fmt::Write, path::Path, sync::Arc, time::Instant};

use cku_changes::prove::{
    Cache, Solver, SolverOptions, compare,
    invariants::{self, Invariants},
};
use cku_engine::{Bundle, Sources};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Files = BTreeMap<String, String>;
type Edit = fn(&mut Files);

fn main() {
    let cases: [(&str, Edit); 7] = [
        ("nothing changes", |_| {}),
        ("a threshold is tightened", |f| edit(f, "gates/quality.gate", "percent = 80%", "percent = 85%")),
        ("a threshold is loosened", |f| edit(f, "gates/quality.gate", "percent = 80%", "percent = 75%")),
        ("Cedar is refactored", |f| {
            edit(
                f,
                "access/tenants.cedar",
                "resource.tenant in principal.tenant };",
                "!(!(resource.tenant in principal.tenant)) };",
            );
        }),
        ("the tenant check is removed", |f| drop(f.remove("access/tenants.cedar").unwrap())),
        ("the Rego of a fact changes", |f| {
            edit(f, "gates/operations.rego", "import rego.v1\n", "import rego.v1\n\nunused_and_new := 1\n");
        }),
        ("a gate only advises", |f| {
            edit(f, "pipeline.gate", "  quality       override by reviewer", "  quality       advise");
        }),
    ];
    let bounds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/invariants.cedar");
    let bounds = Invariants::read(&std::fs::read_to_string(bounds).unwrap()).unwrap();
    for gates in [0, GATES] {
        let files = with_gates(baseline(), gates);
        let old = bundle(&files);
        println!("{} compiled policies", old.compiled().policies.len());
        for (name, change) in cases {
            let mut changed = files.clone();
            change(&mut changed);
            let new = bundle(&changed);
            let mut solver = Solver::new(SolverOptions::default(), Cache::default()).unwrap();
            let begun = Instant::now();
            let found = compare(&old, &new, Some(&mut solver));
            let compared = begun.elapsed();
            let begun = Instant::now();
            let kept = invariants::check(&new, &bounds, Some(&mut solver));
            let held = kept.iter().filter(|result| result.is_held()).count();
            println!(
                "  {name:30} {:12} {:>7.0} ms; bounds {held} of {} {:>7.0} ms",
                found.whole.name(),
                compared.as_secs_f64() * 1_000.0,
                kept.len(),
                begun.elapsed().as_secs_f64() * 1_000.0
            );
        }
    }
}

/// Gates that are added; each compiles to sixteen policies or more.
const GATES: usize = 64;

fn baseline() -> Files {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/baseline");
    let bundle = Bundle::load(&folder).unwrap();
    let files = bundle.sources().files().iter().filter(|file| !file.kind.is_test());
    files.map(|file| (file.path.clone(), file.text.to_string())).collect()
}

fn with_gates(mut files: Files, gates: usize) -> Files {
    for n in 0..gates {
        let (mut gate, mut rego) = (
            format!("gate more{n} \"More\" {{\n  facts from data.more{n} {{\n"),
            format!("package more{n}\n\nimport rego.v1\n"),
        );
        for f in 0..5 {
            writeln!(gate, "    f{f}: count").unwrap();
            writeln!(rego, "\nf{f} := count(input.submission.plan.steps) + {f}").unwrap();
        }
        gate.push_str("  }\n\n");
        for f in 0..5 {
            writeln!(
                gate,
                "  threshold t{f}: count = {} fixed {{\n    dev  = {}\n    prod = {}\n  }}",
                10 + f,
                20 + f,
                5 + f
            )
            .unwrap();
            writeln!(gate, "  reject r{f}: when f{f} > t{f} because \"{{f{f}}} is above {{t{f}}}\"").unwrap();
        }
        gate.push_str("}\n");
        files.insert(format!("gates/more{n}.gate"), gate);
        files.insert(format!("gates/more{n}.rego"), rego);
    }
    let names: String = (0..gates).map(|n| format!("  more{n}\n")).collect();
    let pipeline = files.get_mut("pipeline.gate").unwrap();
    *pipeline = pipeline.replace("\n}", &format!("\n{names}}}"));
    files
}

fn edit(files: &mut Files, path: &str, from: &str, to: &str) {
    let text = files.get_mut(path).unwrap();
    assert!(text.contains(from), "{path} holds no `{from}`");
    *text = text.replacen(from, to, 1);
}

fn bundle(files: &Files) -> Arc<Bundle> {
    Arc::new(Bundle::from_sources(Sources::from_files(files.clone())).unwrap())
}
