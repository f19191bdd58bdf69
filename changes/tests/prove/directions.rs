//! One edit, one direction.

use cku_changes::prove::{Comparison, Direction, compare};
use cku_engine::{Bundle, Sources};
use proptest::prelude::*;

use crate::edited::{change, change_without_solver, lines, sentences, solver, whole};

const QUALITY: &str = "gates/quality.gate";
const OPERATIONS: &str = "gates/operations.gate";

#[test]
fn a_tightened_threshold_is_proved_to_tighten() {
    let Some(mut solver) = solver() else { return };
    let change = change(&[(QUALITY, "prod = 85%", "prod = 90%")], &mut solver);
    assert_eq!(lines(&change), ["gate quality in prod: tighten"]);
    assert_eq!(change.modes["prod"], Direction::Tighten);
    assert_eq!(change.modes["dev"], Direction::Neutral);
    assert_eq!(change.whole, Direction::Tighten);
}

#[test]
fn a_loosened_threshold_is_refuted_with_a_run_that_passes_now() {
    let Some(mut solver) = solver() else { return };
    let change = change(&[(OPERATIONS, "max_risk: ratio = 0.70", "max_risk: ratio = 0.75")], &mut solver);
    assert_eq!(change.whole, Direction::Loosen);
    let sentences = sentences(&change);
    let [sentence] = sentences.as_slice() else { panic!("{sentences:?}") };
    let risk = sentence.strip_prefix("a run in staging with risk 0.").unwrap();
    let risk = risk.strip_suffix(" now passes `operations`").unwrap();
    assert!((7_001..=7_500).contains(&risk.parse::<u32>().unwrap()), "{sentence}");
}

#[test]
fn an_access_policy_written_otherwise_is_proved_neutral() {
    let old = "resource.tenant in principal.tenant && resource has automation && resource.automation };";
    let new =
        "!(!(resource has automation && resource.automation) || !(resource.tenant in principal.tenant)) };";
    let Some(mut solver) = solver() else { return };
    let change = change(&[("access/automation.cedar", old, new)], &mut solver);
    assert_eq!(lines(&change), ["access run:touch: neutral"]);
}

#[test]
fn a_rule_written_otherwise_is_proved_neutral() {
    let old = "when tests_failed > 0 ";
    let new = "when not (tests_failed == 0) ";
    let Some(mut solver) = solver() else { return };
    let change = change(&[(QUALITY, old, new)], &mut solver);
    assert_eq!(change.whole, Direction::Neutral, "{change:#?}");
    assert_eq!(change.parts.len(), 3);
}

#[test]
fn an_access_policy_that_permits_more_is_refuted_with_who_may_do_it() {
    let Some(mut solver) = solver() else { return };
    let edit = ("access/separation.cedar", "unless { principal is User }", "when { principal is Agent }");
    let change = change(&[edit], &mut solver);
    assert_eq!(lines(&change), ["access gate:approve: loosen", "access policy:approve: loosen"]);
    assert!(sentences(&change).iter().all(|s| s.starts_with("a ServiceAccount who ")), "{change:#?}");
}

#[test]
fn a_gate_that_only_advises_loosens() {
    let change = change_without_solver(&[(
        "pipeline.gate",
        "tenant_scope\n  quality ",
        "tenant_scope advise\n  quality ",
    )]);
    assert_eq!(lines(&change), ["sequence of dev: loosen"]);
    assert_eq!(change.modes["prod"], Direction::Neutral);
}

#[test]
fn what_only_advises_needs_no_override() {
    let change = change_without_solver(&[(
        "pipeline.gate",
        "  quality       override by reviewer",
        "  quality       advise",
    )]);
    assert!(lines(&change).iter().all(|line| line.ends_with(": loosen")), "{:?}", lines(&change));
}

#[test]
fn rego_that_a_fact_comes_from_is_unproved_however_small_the_change() {
    let change =
        change_without_solver(&[("gates/quality.rego", "report.lines.total > 0", "report.lines.total > 1")]);
    assert_eq!(lines(&change), ["Rego gates/quality.rego: unproved"]);
    assert!(change.whole.counts_as_loosening());
}

#[test]
fn comments_are_neutral() {
    let edits = [
        ("gates/quality.rego", "", "\n# One more remark: \"quoted.\n"),
        (QUALITY, "", "\n// One more remark.\n"),
        ("access/roles.cedar", "", "\n// One more remark.\n"),
        ("access/schema.cedarschema", "", "\n// One more remark.\n"),
    ];
    let change = change_without_solver(&edits);
    assert_eq!(lines(&change), Vec::<String>::new());
    assert_eq!(change.whole, Direction::Neutral);
}

#[test]
fn data_that_a_decision_reads_is_unproved() {
    let change = change_without_solver(&[(
        "data/cku/settings/operations.yaml",
        "unreliable_weight: 5000",
        "unreliable_weight: 4999",
    )]);
    assert_eq!(lines(&change), ["data.cku.settings.operations.unreliable_weight: unproved"]);
}

#[test]
fn data_that_no_decision_reads_is_neutral() {
    let change = change_without_solver(&[("data/remarks/data.yaml", "", "nobody_reads_this: 1\n")]);
    assert_eq!(change.whole, Direction::Neutral, "{:?}", lines(&change));
}

#[test]
fn the_policy_of_healing_is_asked_so_its_change_is_unproved() {
    let edit = ("healing/healing.rego", "input.budget.retries_left > 0", "input.budget.retries_left > 1");
    assert_eq!(lines(&change_without_solver(&[edit])), ["Rego healing/healing.rego: unproved"]);
}

#[test]
fn data_that_only_healing_reads_is_unproved() {
    let of = |tries: &str| {
        let rego = "package cku.healing\n\nstrategy := {\"strategy\": \"retry\", \"max_attempts\": data.tries.most}\n";
        tiny(&[MODE, ("healing.rego", rego), ("data/tries.yaml", tries)])
    };
    let change = compare(&of("most: 1\n"), &of("most: 2\n"), None);
    assert_eq!(lines(&change), ["data.tries.most: unproved"]);
}

#[test]
fn the_settings_of_the_error_budget_are_read_without_rego_so_their_change_is_unproved() {
    let of = |settings: &str| tiny(&[MODE, ("data/cku/settings/error_budget.yaml", settings)]);
    let change = compare(&of("minimum_runs: 10\n"), &of("minimum_runs: 1000\n"), None);
    assert_eq!(lines(&change), ["data.cku.settings.error_budget.minimum_runs: unproved"]);
}

const MODE: (&str, &str) = ("mode.gate", "mode dev { g }\n");

/// A bundle of one gate, with more files.
fn tiny(more: &[(&str, &str)]) -> Bundle {
    let files = [
        ("bundle.yaml", "name: tiny\nmodes: [dev]\n"),
        ("f.rego", "package f\n\nlines := 3\n"),
        (
            "g.gate",
            "gate g \"Small?\" {\n  facts from data.f { lines: count }\n  \
             pause big: when lines > 3 because \"{lines} lines\"\n}\n",
        ),
    ];
    let files: Vec<_> =
        files.iter().chain(more).map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    Bundle::from_sources(Sources::from_files(files)).unwrap_or_else(|e| panic!("{:#?}", e.diagnostics))
}

#[test]
fn a_sequence_from_rego_is_compared_by_its_value() {
    let step = "[{\"gate\": \"g\", \"enforcement\": \"ENFORCEMENT\", \"barrier\": false}]";
    let of = |rego: &str, enforcement| {
        let rego = rego.replace("STEPS", &step.replace("ENFORCEMENT", enforcement));
        tiny(&[("sequence.rego", &rego)])
    };
    let old = of("package cku\n\nsequence := {\"dev\": STEPS}\n", "enforce");
    let otherwise = "package cku\n\nsequence[mode] := STEPS if some mode in [\"dev\"]\n";
    assert_eq!(compare(&old, &of(otherwise, "enforce"), None).whole, Direction::Neutral);
    assert_eq!(lines(&compare(&old, &of(otherwise, "advise"), None)), ["sequence of dev: loosen"]);
}

#[test]
fn without_a_solver_changed_rules_are_unproved() {
    let change = change_without_solver(&[(QUALITY, "prod = 85%", "prod = 90%")]);
    assert_eq!(lines(&change), ["gate quality in prod: unproved"]);
}

#[test]
fn other_facts_are_incomparable() {
    let edit = ("gates/quality.gate", "lint_warnings:      count", "lint_warnings:      ratio");
    assert!(change_without_solver(&[edit]).whole.counts_as_loosening());
}

#[test]
fn another_access_schema_is_incomparable() {
    let edit = (
        "access/schema.cedarschema",
        "entity Bundle { tenant: Tenant };",
        "entity Bundle { tenant: Tenant, x?: Bool };",
    );
    assert_eq!(lines(&change_without_solver(&[edit])), ["access schema: incomparable"]);
}

#[test]
fn a_report_survives_being_stored() {
    let change = change_without_solver(&[(QUALITY, "prod = 85%", "prod = 90%")]);
    let text = serde_json::to_string(&change).unwrap();
    assert_eq!(serde_json::from_str::<Comparison>(&text).unwrap(), change);
}

#[test]
fn the_same_bundle_is_neutral() {
    assert!(whole(&[]).is_none_or(|direction| direction == Direction::Neutral));
}

fn any_direction() -> impl Strategy<Value = Direction> {
    proptest::sample::select(Direction::ALL.to_vec())
}

proptest! {
    #[test]
    fn directions_join_like_a_lattice(a in any_direction(), b in any_direction(), c in any_direction()) {
        prop_assert_eq!(a.join(b), b.join(a));
        prop_assert_eq!(a.join(b).join(c), a.join(b.join(c)));
        prop_assert_eq!(a.join(a), a);
        prop_assert_eq!(a.join(Direction::Neutral), a);
        prop_assert!(!a.counts_as_loosening() || a.join(b).counts_as_loosening());
    }
}
