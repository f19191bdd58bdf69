//! Table tests of a bundle in memory: rows that say nothing fail, and a failure has the place of its row.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{fmt::Write, sync::Arc};

use cku_engine::{Bundle, Sources};
use cku_gates::tables;

const GATES: &str = r#"
gate size "Is it small enough?" {
  facts from data.size { lines: count }
  threshold max_lines: count = 10 fixed { dev = 20 }
  pause large: when lines > max_lines because "{lines} lines"
}
gate tests "Did they pass?" {
  facts from data.size { failed: count }
  reject failures: when failed > 0 because "{failed} failed"
}
mode dev { size tests }
mode prod { size tests }
"#;

const FACTS: &str =
    "package size\n\nlines := input.submission.labels.lines\n\nfailed := input.submission.labels.failed\n";

const FIXTURE: &str = "\
fixtures:
  small:
    run_id: run-1
    tenant: acme
    time: 2026-11-20T12:00:00Z
    submitted_at: 2026-11-20T11:59:00Z
    principal: { kind: user, id: dana, tenant: acme, authentication: local }
    submission: { intent: try it, labels: { lines: 3, failed: 0 } }
    state: { kill_switch: false, role_grants: [] }
";

/// How each test of a table ended: where, its name, what differed.
fn run(table: &str) -> String {
    let sources = Sources::from_files([
        ("bundle.yaml", "name: two\nmodes: [dev, prod]\n"),
        ("gates.gate", GATES),
        ("size.rego", FACTS),
        ("fixtures_test.yaml", FIXTURE),
        ("t_test.yaml", table),
    ]);
    let bundle = Bundle::from_sources(sources).unwrap_or_else(|e| panic!("{:#?}", e.diagnostics));
    let tests = tables::run(&Arc::new(bundle), None).unwrap_or_else(|e| panic!("{e:#?}"));
    tests.iter().fold(String::new(), |mut shown, test| {
        let outcome =
            if test.differences.is_empty() { "ok".to_owned() } else { test.differences.join(" | ") };
        writeln!(shown, "{} {}: {outcome}", test.place, test.name).unwrap();
        shown
    })
}

/// One case in dev with this expectation.
fn expecting(expect: &str) -> String {
    run(&format!("cases:\n  - {{ name: c, fixture: small, modes: [dev], expect: {expect} }}\n"))
}

#[test]
fn rows_that_say_what_is_so_pass() {
    let shown = run("\
cases:
  - name: a small change passes
    fixture: small
    modes: [dev, prod]
    expect: { verdict: PASS, gates: { size: PASS }, effective: { tests: PASS }, rules: [], overridden_by: { size: [] } }
boundaries:
  - name: max_lines
    gate: size
    fixture: small
    vary: /submission/labels/lines
    dev: { 20: PASS, 21: PAUSE }
    prod: { 10: PASS, 11: PAUSE }
");
    assert_eq!(
        shown,
        "t_test.yaml:2:5 a small change passes [dev]: ok\nt_test.yaml:2:5 a small change passes [prod]: ok\n\
         t_test.yaml:7:5 max_lines [dev]: ok\nt_test.yaml:7:5 max_lines [prod]: ok\n"
    );
}

#[test]
fn an_expectation_that_says_nothing_fails() {
    for expect in ["{}", "{ gates: {}, effective: {}, overridden_by: {} }"] {
        assert_eq!(
            expecting(expect),
            "t_test.yaml:2:7 c [dev]: `expect` says nothing, so nothing is tested\n",
            "{expect}"
        );
    }
}

#[test]
fn an_expectation_of_a_gate_that_the_sequence_does_not_have_fails() {
    for expect in
        ["{ gates: { sise: unreached } }", "{ effective: { sise: PASS } }", "{ overridden_by: { sise: [] } }"]
    {
        let shown = expecting(expect);
        assert!(shown.contains("the sequence has no gate `sise`; did you mean `size`?"), "{expect}: {shown}");
    }
}

#[test]
fn a_boundary_without_a_mode_of_the_bundle_fails_in_that_mode() {
    let shown = run("\
boundaries:
  - { name: no columns, gate: size, fixture: small, vary: /submission/labels/lines }
  - { name: one column, gate: size, fixture: small, vary: /submission/labels/lines, dev: { 20: PASS } }
  - { name: no values, gate: size, fixture: small, vary: /submission/labels/lines, dev: {}, prod: { 10: PASS } }
");
    assert_eq!(
        shown,
        "t_test.yaml:2:7 no columns [dev]: no column for mode `dev`\n\
         t_test.yaml:2:7 no columns [prod]: no column for mode `prod`\n\
         t_test.yaml:3:7 one column [prod]: no column for mode `prod`\n\
         t_test.yaml:3:7 one column [dev]: ok\n\
         t_test.yaml:4:7 no values [dev]: no values\n\
         t_test.yaml:4:7 no values [prod]: ok\n"
    );
}

#[test]
fn a_boundary_of_a_gate_that_is_not_there_fails_even_where_it_expects_reject() {
    let shown = run("\
boundaries:
  - { name: b, gate: sise, fixture: small, vary: /submission/labels/lines, dev: { 20: REJECT }, prod: { 10: REJECT } }
");
    assert_eq!(shown.matches("the sequence has no gate `sise`; did you mean `size`?").count(), 2, "{shown}");
}

#[test]
fn an_access_table_without_rows_or_principals_fails() {
    for access in [
        "{ principals: { dana: { kind: user, id: dana, tenant: acme } }, resources: {}, table: [] }",
        "{ principals: {}, resources: {}, table: [{ action: run:create, on: run }] }",
    ] {
        let shown = run(&format!("access: {access}\n"));
        assert_eq!(shown, "t_test.yaml access: no rows or no principals, so nothing is tested\n", "{access}");
    }
}

#[test]
fn an_access_row_of_a_mode_that_the_bundle_does_not_have_fails_even_where_it_expects_deny() {
    let principals = "principals: { dana: { kind: user, id: dana, tenant: acme } }";
    let row = "{ action: run:create, on: run, mode: prd, deny: [dana] }";
    let shown = run(&format!("access: {{ {principals}, resources: {{}}, table: [{row}] }}\n"));
    assert_eq!(shown, "t_test.yaml run:create on run [prd]: not one of the bundle's modes: dev, prod\n");
}

#[test]
fn a_failure_has_the_place_of_its_own_row_where_another_name_begins_with_it() {
    let shown = run("\
cases:
  - { name: a change that fails, fixture: small, modes: [dev], expect: { verdict: PASS } }
  - { name: a change, fixture: small, modes: [dev], expect: { verdict: REJECT } }
  - name: \"a\"  # the shortest
    fixture: small
    modes: [dev]
    expect: { verdict: REJECT }
");
    assert_eq!(
        shown,
        "t_test.yaml:2:7 a change that fails [dev]: ok\n\
         t_test.yaml:3:7 a change [dev]: verdict: expected REJECT, got PASS\n\
         t_test.yaml:4:5 a [dev]: verdict: expected REJECT, got PASS\n"
    );
}
