//! What authors read when something is wrong. Each snapshot is a table: input, then diagnostics.

#![allow(clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use cku_lang::{codes, compile, parse};
use common::diagnose;

/// One line or page of a gate file per case, inside a gate that is otherwise good.
fn clauses(cases: &[&str]) -> String {
    let page = |clause: &&str| {
        let text = format!(
            "gate quality \"Quality\" {{\n  facts from data.cku.quality {{\n    line_coverage: percent\n    \
             lint_errors: count\n    cost: money\n    age: duration\n    support: ratio\n    accepted: bool\n    \
             kind: text\n    targets: set of text\n  }}\n  threshold max_lint: count = 0\n  \
             reject lint: when lint_errors > max_lint because \"lint {{line_coverage}} {{cost}} {{age}} {{support}} \
             {{accepted}} {{kind}} {{targets}}\"\n  {clause}\n}}\n"
        );
        format!("{clause}\n{}", diagnose(&[("quality.gate", &text)]))
    };
    cases.iter().map(page).collect::<Vec<_>>().join("\n")
}

fn conditions(cases: &[&str]) -> String {
    let clauses_of: Vec<String> =
        cases.iter().map(|when| format!("reject r: when {when} because \"b\"")).collect();
    clauses(&clauses_of.iter().map(String::as_str).collect::<Vec<_>>())
}

fn files(cases: &[&[(&str, &str)]]) -> String {
    let page = |files: &&[(&str, &str)]| {
        let texts: String = files.iter().map(|(file, text)| format!("{file}: {text}\n")).collect();
        format!("{texts}{}", diagnose(files))
    };
    cases.iter().map(page).collect::<Vec<_>>().join("\n")
}

fn file(cases: &[&str]) -> String {
    let page = |text: &&str| format!("{text}\n{}", diagnose(&[("a.gate", text)]));
    cases.iter().map(page).collect::<Vec<_>>().join("\n")
}

fn syntax_of_files() -> String {
    file(&[
        "gat a \"A\" {}",
        "gate a {}",
        "gate \"A\" {}",
        "gate a \"A {}\n",
        "gate a \"A\\n\" {}",
        "gate a \"A\"",
        "gate a \"A\" {",
        "gate a \"A\" { } }",
        "# a comment\ngate a \"A\" { }",
        "gate a \"A\" { facts from data.a { x percent } }",
        "gate a \"A\" { facts data.a { x: percent } }",
        "gate a \"A\" { fact from data.a { x: percent } }",
        "mode prod { a barier }",
        "mode prod { a override reviewer }",
        "mode { a }",
        "rule x",
        "\u{feff}gate a \"A\" { }",
    ])
}

fn syntax_of_clauses() -> String {
    clauses(&[
        "treshold x: count = 1",
        "threshold x = 1",
        "threshold x: count = -1",
        "threshold x: count 1",
        "threshold x: percent = 1% in 0%-9%",
        "threshold x: count = 1 strikter up",
        "threshold x: count = 1 stricter sideways",
        "threshold x: count = 1 { dev 2 }",
        "reject r when accepted because \"x\"",
        "reject r: accepted because \"x\"",
        "reject r: when accepted",
        "reject r: when accepted becuse \"x\"",
        "reject r: when because \"x\"",
        "reject r: when accepted because x",
        "reject r: when (accepted because \"x\"",
        "reject r: when accepted) because \"x\"",
        "reject r: when lint_errors = 1 because \"x\"",
        "reject r: when accepted && accepted because \"x\"",
        "reject r: when accepted || accepted because \"x\"",
        "reject r: when !accepted because \"x\"",
        "reject r: when lint_errors + 1 > 2 because \"x\"",
        "reject r: when lint_errors > -1 because \"x\"",
        "in prod require access run:create",
        "in reject r: when accepted because \"x\"",
        "missing line_coverage \"no report\"",
        "require run:create",
        "require access run",
        "decide by python data.x",
    ])
}

fn names() -> String {
    clauses(&[
        "pause r: when line_covrage < 80% because \"x\"",
        "pause r: when wholly_strange < 80% because \"x\"",
        "pause r: when lint_errors > max_lnt because \"x\"",
        "facts from data.b { x: percnt y: set of numbers z: set }",
        "facts from data.b { line_coverage: percent }",
        "threshold lint_errors: count = 1",
        "threshold max_lint: count = 1",
        "pause lint: when accepted because \"x\"",
        "in produ pause r: when accepted because \"x\"",
        "in prod, dev, prod pause r: when accepted because \"x\"",
        "threshold t: count = 1 { prd = 2 dev = 3 dev = 4 }",
        "missing line_covrage pause",
        "missing accepted pause missing accepted reject",
        "in dev missing accepted pause in prod, dev missing accepted reject",
        "require access run:touch on target",
        "require access run:touch on line_coverage",
        "require access run:touch require access run:touch on targets",
        "facts from data.b { default: bool mode: text because: bool }",
        "threshold not: count = 1",
        "threshold t: count = 1\n  pause r: when lint_erors > t because \"x\"",
        "facts from input.b { x: bool }",
        "facts from data { x: bool }",
        "facts from data.b.default { x: bool }",
        "facts from data.cku.facts.quality { x: bool }",
        "decide by rego data.a.b",
    ])
}

fn types() -> String {
    conditions(&[
        "line_coverage < lint_errors",
        "line_coverage < 80",
        "80 > line_coverage",
        "support < 1",
        "cost > 50",
        "age > 15",
        "accepted == \"yes\"",
        "kind == 1",
        "line_coverage < max_lint",
        "accepted < true",
        "kind > \"a\"",
        "lint_errors",
        "accepted and lint_errors",
        "not kind",
        "1 < lint_errors < 3",
        "accepted == accepted == accepted",
        "kind in kind",
        "lint_errors in targets",
        "targets contains accepted",
        "kind contains \"x\"",
        "targets in kind",
        "line_coverage < 78.505%",
        "line_coverage > 101%",
        "support > 0.12345",
        "support > 1.5",
        "cost > 50 USD",
        "cost > 50.001 EUR",
        "age > 1.5h",
        "age > 3 weeks",
        "age > 3weeks",
        "lint_errors > 9007199254740992",
        "lint_errors > 99999999999999999999999",
        "true",
        "max_lint > 5",
        "lint_errors < 0",
        "line_coverage <= 100%",
        "0 <= lint_errors",
        "lint_erors > max_lnt and kind == 1 or acepted",
    ])
}

fn thresholds() -> String {
    let rule = "\n  pause t: when line_coverage < t because \"{line_coverage}\"";
    let with_rule = |threshold: &str| format!("threshold t: {threshold}{rule}");
    let mut cases: Vec<String> = [
        "percent = 80",
        "percent = 80% { prod = 0.85 }",
        "percent = 59% in 60%..98%",
        "percent = 80% in 60%..98% { dev = 59% prod = 99% }",
        "percent = 80.5% in 60%..98% step 1%",
        "percent = 80% in 60%..98% step 1% { dev = 60.25% }",
        "percent = 80% learn",
        "percent = 80% in 60%..98% learn",
        "percent = 80% in 60%..98% step 1% learn",
        "percent = 80% in 98%..60%",
        "percent = 80% in 60%..98% step 0%",
        "percent = 80% in 60%..98% step 4%",
        "percent = 80% step 1%",
        "percent = 80% in 60..98",
        "percent = 80% fixed learn in 60%..98% step 1% stricter up",
        "percent = 80% in 60%..98% in 60%..98%",
        "percent = 80% stricter down",
        "number = 80",
    ]
    .into_iter()
    .map(with_rule)
    .collect();
    cases.extend(
        [
            "threshold t: bool = true",
            "threshold t: text = \"x\"",
            "threshold t: count = 1",
            "threshold t: count = 1 stricter up\n  pause t: when lint_errors == t because \"x\"",
            "threshold t: count = 1 stricter up\n  pause t: when not (lint_errors < t or accepted) because \"x\"",
            "threshold t: count = 1 stricter up\n  pause t: when (lint_errors < t) == accepted because \"x\"",
        ]
        .map(str::to_owned),
    );
    clauses(&cases.iter().map(String::as_str).collect::<Vec<_>>())
}

fn messages() -> String {
    let case = |message: &&str| format!("pause r: when accepted because \"{message}\"");
    let cases =
        ["{line_covrage}", "{ accepted }", "{}", "{accepted", "{a{accepted}", "done}", "é {kind} {knd}"];
    let mut cases: Vec<String> = cases.iter().map(case).collect();
    cases.push("missing accepted pause \"{acepted}\"".to_owned());
    cases.push("missing lint_errors pause".to_owned());
    clauses(&cases.iter().map(String::as_str).collect::<Vec<_>>())
}

fn bundles() -> String {
    const A: (&str, &str) =
        ("a.gate", "gate alpha \"A\" { facts from data.a { x: bool } reject r: when x because \"x\" }");
    const B: (&str, &str) = ("b.gate", "gate beta \"B\" { decide by rego data.b.decision }");
    files(&[
        &[A, ("c.gate", "gate alpha \"C\" { decide by rego data.c }")],
        &[A, B, ("m.gate", "mode dev { alpha beta } mode staging { alpha } mode prod { alpha beta beta }")],
        &[A, B, ("m.gate", "mode dev { alpha beta }")],
        &[A, B, ("m.gate", "mode dev { alpha beta } mode dev { beta alpha } mode tests { alpha beta }")],
        &[A, ("m.gate", "mode dev { alfa alpha } mode staging { alpha } mode prod { alpha }")],
        &[
            A,
            ("m.gate", "mode dev { alpha advise barrier } mode staging { alpha advise override by admin }"),
            ("n.gate", "mode prod { alpha barrier barrier }"),
        ],
        &[("a.gate", "gate alpha \"A\" { }")],
        &[("a.gate", "gate alpha \"A\" { facts from data.a { x: bool } missing x pause }")],
        &[("a.gate", "gate alpha \"A\" { decide by cedar run:create }")],
        &[("a.gate", "gate alpha \"A\" { decide by rego input.x }")],
        &[("a.gate", "gate import \"A\" { decide by rego data.x }")],
        // A file that cannot be read hides no error of another, and blames nobody for its gates.
        &[
            ("a.gate", "gate alpha \"A\" { oops }"),
            ("b.gate", "gate beta \"B\" { decide by rego data.in.x }"),
            ("m.gate", "mode dev { alpha beta } mode stagin { beta }"),
        ],
    ])
}

fn reach() -> String {
    clauses(&[
        // Never, in every mode, in one, and by more than one comparison.
        "pause r: when line_coverage < 60% and line_coverage > 70% because \"x\"",
        "threshold t: count = 5 { prod = 0 }\n  pause r: when lint_errors < t because \"x\"",
        "pause r: when kind == \"a\" and kind == \"b\" because \"x\"",
        "pause r: when accepted and not accepted because \"x\"",
        "pause r: when (lint_errors > 3 or kind == \"a\") and lint_errors < 2 and kind != \"a\" because \"x\"",
        // Always.
        "pause r: when lint_errors > 3 or lint_errors < 5 because \"x\"",
        "threshold t: percent = 50% { dev = 100% }\n  pause r: when line_coverage <= t because \"x\"",
        // Shadowed: by a stricter rule, in one mode, by one of its own kind, by the same once more.
        "reject r: when age > 5m because \"x\"\n  pause s: when age > 10m because \"x\"",
        "threshold low: ratio = 0.5 { dev = 0.9 }\n  threshold high: ratio = 0.8\n  reject r: when support > high because \"x\"\n  pause s: when support > low because \"x\"",
        "pause r: when lint_errors > 3 because \"x\"\n  pause s: when lint_errors > 5 and accepted because \"x\"",
        "pause r: when accepted and kind == \"a\" because \"x\"\n  pause s: when kind == \"a\" and accepted because \"x\"",
        // Not shadowed: another fact may be missing, and another mode.
        "reject r: when age > 5m or accepted because \"x\"\n  pause s: when age > 10m because \"x\"",
        "in prod reject r: when age > 5m because \"x\"\n  in dev pause s: when age > 10m because \"x\"",
        // Nothing to learn, and a fact that nothing reads.
        "threshold t: count = 5 in 0..10 step 1 stricter down learn\n  pause r: when accepted and 3 > t because \"x\"",
        "facts from data.b { unread: bool said: count asked: text }\n  require access run:touch on asked\n  pause r: when accepted because \"{said}\"",
        // What cannot be told is not said.
        "pause r: when lint_errors < lint_errors because \"x\"\n  pause s: when kind in targets and not (kind in targets) because \"x\"",
    ])
}

#[test]
fn warnings_about_reach() {
    insta::assert_snapshot!(reach());
}

#[test]
fn syntax_errors_of_files() {
    insta::assert_snapshot!(syntax_of_files());
}

#[test]
fn syntax_errors_of_clauses() {
    insta::assert_snapshot!(syntax_of_clauses());
}

#[test]
fn errors_about_names() {
    insta::assert_snapshot!(names());
}

#[test]
fn errors_about_types() {
    insta::assert_snapshot!(types());
}

#[test]
fn errors_about_thresholds() {
    insta::assert_snapshot!(thresholds());
}

#[test]
fn errors_about_messages() {
    insta::assert_snapshot!(messages());
}

#[test]
fn errors_about_bundles() {
    insta::assert_snapshot!(bundles());
}

#[test]
fn every_code_is_shown_by_a_snapshot() {
    let pages = [
        syntax_of_files(),
        syntax_of_clauses(),
        names(),
        types(),
        thresholds(),
        messages(),
        bundles(),
        reach(),
        // Shown by the tests of robustness and of modes.
        format!("[{}] [{}]", codes::TOO_LARGE, codes::NO_MODES),
    ]
    .concat();
    let source = include_str!("../src/codes.rs");
    let all: Vec<&str> = source.lines().filter_map(|line| line.split('"').nth(1)).collect();
    assert!(all.len() > 25);
    for code in all {
        assert_eq!(source.matches(code).count(), 1, "{code} is used twice");
        assert!(pages.contains(&format!("[{code}]")), "{code} is not shown");
    }
}

#[test]
fn a_bundle_without_modes_is_an_error() {
    let (ast, _) = parse("b.gate", "gate beta \"B\" { decide by rego data.b.decision }");
    let errors = compile(&[ast], &[]).unwrap_err();
    assert_eq!(errors.iter().map(|error| error.code).collect::<Vec<_>>(), [codes::NO_MODES]);
}

#[test]
fn a_mode_declared_twice_is_an_error() {
    let (ast, _) = parse("b.gate", "gate beta \"B\" { decide by rego data.b.decision }");
    let errors = compile(&[ast], &["dev".to_owned(), "dev".to_owned()]).unwrap_err();
    assert_eq!(errors.iter().map(|error| error.code).collect::<Vec<_>>(), [codes::DUPLICATE]);
}

#[test]
fn syntax_errors_are_among_those_of_compile() {
    let (ast, errors) = parse("a.gate", "gate");
    let modes = ["dev".to_owned()];
    assert_eq!(compile(&[ast], &modes).unwrap_err(), errors);
}
