//! What it takes to read, format, edit and compile gate files.
//!
//! `cargo bench -p cku-lang` prints times and bytes per second. `deep` is a file of 1 MB whose conditions
//! are nested as deep as the language allows, `long` one of 100,000 clauses.

#![allow(missing_docs, reason = "criterion's macros")]

use std::{fmt::Write as _, hint::black_box};

use cku_lang::{ThresholdValue, compile, format, parse, set_threshold};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const QUALITY: &str = include_str!("../../policies/baseline/gates/quality.gate");

/// 1 MB of rules whose conditions are nested 64 deep.
fn deep() -> String {
    let condition = format!("{}a{}", "(a or not ".repeat(31), ")".repeat(31));
    let mut text = String::from("gate g \"G\" {\n  facts from data.g { a: bool }\n");
    for n in 0.. {
        if text.len() > 1_000_000 {
            break;
        }
        let _ = writeln!(text, "  reject r{n}: when {condition} because \"{{a}}\"");
    }
    text + "}\n"
}

/// 100,000 clauses in 1,000 gates.
fn long() -> String {
    let mut text = String::new();
    for gate in 0..1_000 {
        let _ = writeln!(text, "gate g{gate} \"G\" {{\n  facts from data.g {{\n    n: count\n  }}");
        for clause in 0..33 {
            let _ =
                writeln!(text, "  threshold t{clause}: count = {clause} in 0..99 step 1 stricter down learn");
            let _ = writeln!(
                text,
                "  reject r{clause}: when n > t{clause} because \"{{n}} is above {{t{clause}}}\""
            );
            let _ = writeln!(text, "  missing n{clause} pause \"nothing is known\"");
        }
        text.push_str("}\n\n");
    }
    text
}

fn language(c: &mut Criterion) {
    for (name, text) in [("quality", QUALITY.to_owned()), ("deep", deep()), ("long", long())] {
        assert!(parse("f.gate", &text).1.is_empty(), "{name}");
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(text.len() as u64));
        if text.len() > 100_000 {
            group.sample_size(10);
        }
        group.bench_function("parse", |b| b.iter(|| black_box(parse("f.gate", &text))));
        group.bench_function("format", |b| b.iter(|| black_box(format("f.gate", &text))));
        group.finish();
    }
    let mut group = c.benchmark_group("quality");
    let modes = ["dev", "staging", "prod"].map(str::to_owned);
    let asts = [parse("quality.gate", QUALITY).0];
    group.bench_function("compile", |b| b.iter(|| black_box(compile(&asts, &modes))));
    let which = ThresholdValue { gate: "quality", threshold: "min_line_coverage", mode: Some("prod") };
    group.bench_function("set a threshold", |b| b.iter(|| black_box(set_threshold(QUALITY, which, 9_000))));
    group.finish();
}

criterion_group!(benches, language);
criterion_main!(benches);
