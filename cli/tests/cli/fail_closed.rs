//! No path from an error to PASS: each bundle would let the run through if an error were passed over.

use serde_json::{Value, json};

use crate::environment::{Ran, TestEnvironment};

/// A bundle whose one gate passes, with an access policy that permits everything.
const BUNDLE: [(&str, &str); 6] = [
    ("bundle.yaml", "name: open\nmodes: [dev]\nroles: {admin: admins}\ntargets: {service: Service}\n"),
    ("access.cedarschema", SCHEMA),
    ("access.cedar", "@id(\"anyone\")\npermit (principal, action, resource);\n"),
    ("data/entities.yaml", "service:\n  acme/api: {tier: 9}\n"),
    ("facts.rego", "package facts\n\nimport rego.v1\n\nfailed := 0\n\ntargets := {\"service:acme/api\"}\n"),
    ("g.gate", GATE),
];

const SCHEMA: &str = r#"
entity Role in [Role];
entity Tenant in [Tenant] { admins: Role };
entity User in [Role] { name: String, tenant: Tenant };
entity Run { tenant: Tenant, authors: Set<String> };
entity Service { tenant: Tenant, tier?: Long };
action "run:create" appliesTo { principal: [User], resource: [Run] };
action "run:touch" appliesTo { principal: [User], resource: [Service] };
"#;

const GATE: &str = r#"
gate g "Did anything fail?" {
  facts from data.facts {
    failed:  count
    targets: set of text
  }
  require access run:touch on targets
  reject failures: when failed > 0 because "{failed} failed"
}
mode dev { g }
"#;

fn input() -> Value {
    json!({
        "run_id": "run-1", "tenant": "acme", "mode": "dev",
        "time": "2026-11-20T12:00:00Z", "submitted_at": "2026-11-20T11:59:00Z",
        "principal": {"kind": "user", "id": "dana", "tenant": "acme", "authentication": "local"},
        "submission": {"intent": "try it", "labels": {"limits": ["1", "many"]}},
        "state": {"kill_switch": false, "role_grants": []},
    })
}

fn eval(changes: &[(&str, &str)], input: &Value) -> Ran {
    let environment = TestEnvironment::new();
    let kept = BUNDLE.iter().filter(|(path, _)| !changes.iter().any(|(changed, _)| changed == path));
    for (path, text) in kept.chain(changes) {
        environment.write(&format!("bundle/{path}"), text);
    }
    environment.write("input.json", input.to_string());
    environment.run(&["eval", "bundle", "--input", "input.json", "--format", "json"])
}

/// The one reason of a decision that must be REJECT.
fn rejected(ran: &Ran) -> (String, String) {
    assert_eq!(ran.code, 1, "{}", ran.shown());
    let decision = ran.json();
    assert_eq!(decision["verdict"], "REJECT");
    let outside = decision["reasons"].as_array().unwrap();
    let inside = decision["gates"].as_array().unwrap().iter().flat_map(|g| g["reasons"].as_array().unwrap());
    let reasons: Vec<&Value> = outside.iter().chain(inside).collect();
    assert_eq!(reasons.len(), 1, "{reasons:#?}");
    let text = |member: &str| reasons[0][member].as_str().unwrap().to_owned();
    (text("rule"), text("message"))
}

fn rejected_with(changes: &[(&str, &str)], rule: &str, part: &str) {
    let (got, message) = rejected(&eval(changes, &input()));
    assert_eq!(got, rule, "{message}");
    assert!(message.contains(part), "{message}");
}

fn facts(failed: &str) -> String {
    format!("package facts\n\nimport rego.v1\n\n{failed}\n\ntargets := {{\"service:acme/api\"}}\n")
}

#[test]
fn the_bundle_that_the_cases_start_from_passes() {
    let ran = eval(&[], &input());
    assert_eq!(ran.code, 0, "{}", ran.shown());
}

#[test]
fn a_cedar_forbid_that_errs_denies() {
    let forbid = "@id(\"anyone\")\npermit (principal, action, resource);\n\
        @id(\"tier\")\nforbid (principal, action == Action::\"run:touch\", resource)\n\
        when { resource has tier && resource.tier * 9223372036854775807 > 0 };\n";
    rejected_with(&[("access.cedar", forbid)], "access:run:touch", "overflow");
}

#[test]
fn an_absent_entity_denies() {
    let other = facts("failed := 0").replace("acme/api", "acme/web");
    rejected_with(&[("facts.rego", &other)], "access:run:touch", "service:acme/web: the target is unknown");
}

#[test]
fn an_unmapped_target_denies() {
    let other = facts("failed := 0").replace("service:", "bucket:");
    rejected_with(&[("facts.rego", &other)], "access:run:touch", "the kind of target is not mapped");
}

#[test]
fn a_target_that_is_none_denies() {
    let other = facts("failed := 0").replace("service:acme/api", "everything");
    rejected_with(&[("facts.rego", &other)], "access:run:touch", "not a target");
}

#[test]
fn a_fact_that_errs_rejects() {
    let text = facts("failed := to_number(input.submission.labels.limits[1])");
    rejected_with(&[("facts.rego", &text)], "evaluation_error", "facts.rego:5:");
}

#[test]
fn an_error_inside_a_set_that_is_only_counted_rejects() {
    let text = facts(
        "failed := count(over)\n\nover contains l if { some l in input.submission.labels.limits; to_number(l) > 5 }",
    );
    rejected_with(&[("facts.rego", &text)], "evaluation_error", "facts.rego:7:");
}

#[test]
fn an_error_beneath_a_not_rejects() {
    let text = facts("failed := 0 if not over\n\nover if to_number(input.submission.labels.limits[1]) > 5");
    rejected_with(&[("facts.rego", &text)], "evaluation_error", "facts.rego:7:");
}

#[test]
fn two_values_for_one_rule_reject() {
    let text = facts("failed := 0\n\nfailed := 1 if input.mode == \"dev\"");
    rejected_with(&[("facts.rego", &text)], "evaluation_error", "facts.rego");
}

#[test]
fn a_panic_of_a_built_in_rejects() {
    let text = facts("failed := strings.count(\"aaa\", input.empty) - 4\n")
        .replace("input.empty", "substring(\"\", 0, 0)");
    let ran = eval(&[("facts.rego", &text)], &input());
    assert_eq!(rejected(&ran).0, "evaluation_error");
    assert_eq!(ran.stderr, "", "a panic that became a reason is not told twice");
}

#[test]
fn a_fact_of_the_wrong_type_rejects() {
    for (failed, part) in [
        ("failed := \"0\"", "the text `0`"),
        ("failed := 0.5", "`0.5`"),
        ("failed := -1", "`-1`"),
        ("failed := null", "`null`"),
        ("failed := [0]", "an array"),
    ] {
        rejected_with(&[("facts.rego", &facts(failed))], "evaluation_error", part);
    }
}

#[test]
fn a_missing_fact_rejects() {
    let text = facts("failed := input.nothing");
    rejected_with(&[("facts.rego", &text)], "missing_fact", "`failed` is missing");
}

#[test]
fn an_undefined_sequence_rejects() {
    let gate = GATE.replace("mode dev { g }", "");
    rejected_with(&[("g.gate", &gate)], "evaluation_error", "no sequence for mode `dev`");
}

#[test]
fn a_sequence_that_leaves_a_gate_out_rejects() {
    let gate = GATE.replace("mode dev { g }", "");
    let order = "package cku\n\nsequence := {\"dev\": []}\n";
    rejected_with(&[("g.gate", &gate), ("order.rego", order)], "evaluation_error", "leaves out the gate `g`");
}

#[test]
fn a_gate_in_rego_that_says_anything_else_rejects() {
    let gate = "gate g \"x\" { decide by rego data.facts.decision }\nmode dev { g }\n";
    for (decision, part) in [
        ("decision := true", "data.facts.decision"),
        ("decision := {\"verdict\": \"pass\", \"reasons\": []}", "PASS"),
        ("decision := {\"verdict\": \"PASS\"}", "reasons"),
        ("decision := {\"verdict\": \"PASS\", \"reasons\": [], \"more\": 1}", "more"),
        ("decision := {\"verdict\": \"PASS\", \"reasons\": []} if input.nothing", "undefined"),
    ] {
        let changes = [("g.gate", gate), ("facts.rego", &facts(decision))];
        rejected_with(&changes, "evaluation_error", part);
    }
}

#[test]
fn the_kill_switch_rejects_before_any_gate() {
    let mut stopped = input();
    stopped["state"]["kill_switch"] = json!(true);
    let ran = eval(&[], &stopped);
    assert_eq!(rejected(&ran).0, "kill_switch");
    assert_eq!(ran.json()["gates"][0]["reached"], false);
    assert_eq!(ran.json()["gates"][0]["verdict"], Value::Null);
}

#[test]
fn an_endless_rule_is_not_decidable() {
    let slow = facts(
        "failed := count([1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); a + b == 0])",
    );
    let manifest = format!("{}limits: {{time_ms: 50}}\n", BUNDLE[0].1);
    let ran = eval(&[("facts.rego", &slow), ("bundle.yaml", &manifest)], &input());
    assert_eq!((ran.code, ran.stdout.as_str()), (5, ""), "{}", ran.shown());
    assert!(ran.stderr.contains("not decidable"), "{}", ran.stderr);
}
