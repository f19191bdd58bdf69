//! What gates compile to, and that Cedar and Rego accept it and mean the same by it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use std::{collections::HashSet, str::FromStr};

use cedar_policy::{
    Authorizer, Context, Entities, EntityUid, Policy, PolicyId, PolicySet, Request, Schema, ValidationMode,
    Validator,
};
use cku_lang::{
    Bound, CompareOp, Compiled, GateBody, Origin, PolicyEffect, RuleKind, Segment, Type, compile, parse,
};
use common::{FILES, compiled, modes};
use serde_json::{Value, json};

#[test]
fn policies_are_readable() {
    insta::assert_snapshot!(compiled().cedar());
}

#[test]
fn the_schema_is_readable() {
    insta::assert_snapshot!(compiled().schema);
}

#[test]
fn modules_are_readable() {
    let modules = compiled().modules;
    let text: Vec<String> =
        modules.iter().map(|module| format!("==> {} <==\n{}", module.path, module.text)).collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn the_model_says_what_is_written() {
    insta::assert_debug_snapshot!(compiled().gates.iter().find(|gate| gate.name == "quality"));
}

#[test]
fn the_order_of_files_does_not_matter() {
    let mut asts: Vec<_> = FILES.iter().map(|(file, text)| parse(file, text).0).collect();
    asts.reverse();
    let reversed = compile(&asts, &modes()).unwrap();
    let straight = compiled();
    assert_eq!(reversed.gates, straight.gates);
    assert_eq!(reversed.sequences, straight.sequences);
    assert_eq!(reversed.policies, straight.policies);
    assert_eq!(reversed.modules, straight.modules);
    assert_eq!(reversed.schema, straight.schema);
}

#[test]
fn line_ends_and_blanks_do_not_matter() {
    let policies = |text: &str| compile(&[parse("q.gate", text).0], &modes()).unwrap().cedar();
    let text = FILES[0].1;
    assert_eq!(policies(&text.replace('\n', "\r\n")), policies(text));
    assert_eq!(policies(&text.replace("  ", "\t")), policies(text));
    assert_eq!(policies(text.trim_end()), policies(text));
}

#[test]
fn policy_ids_are_unique() {
    let policies = compiled().policies;
    let ids: HashSet<&str> = policies.iter().map(|policy| policy.id.as_str()).collect();
    assert_eq!(ids.len(), policies.len());
    assert!(ids.contains("tenant_scope.access:run:touch"));
    assert!(ids.contains("quality.missing:accepted.prod"));
}

#[test]
fn comparisons_have_the_fact_on_the_left() {
    let compiled = compiled();
    let gate = compiled.gates.iter().find(|gate| gate.name == "tenant_scope").unwrap();
    let GateBody::Rules(rules) = &gate.body else { panic!("it has rules") };
    let comparison =
        rules.rules.iter().find(|rule| rule.name == "flipped").unwrap().comparison.clone().unwrap();
    assert_eq!((comparison.fact.as_str(), comparison.op), ("cost", CompareOp::AtLeast));
    assert_eq!((comparison.bound, comparison.ty), (Bound::Literal(250), Type::Money));
    let forbidden = rules.rules.iter().find(|rule| rule.name == "forbidden").unwrap();
    assert_eq!(forbidden.comparison, None);
    assert_eq!(
        forbidden.message,
        [
            Segment::Text("the plan touches ".into()),
            Segment::Fact("unknown_targets".into()),
            Segment::Text(", {as it is}, and says \"".into()),
            Segment::Fact("kind".into()),
            Segment::Text("\"".into()),
        ]
    );
}

#[test]
fn cedar_accepts_the_policies_under_the_schema() {
    accepted_by_cedar(&compiled());
}

/// Parses and validates all policies strictly, without a warning.
fn accepted_by_cedar(compiled: &Compiled) -> (PolicySet, Schema) {
    let (schema, warnings) = Schema::from_cedarschema_str(&compiled.schema).unwrap();
    assert_eq!(warnings.count(), 0);
    let mut set = PolicySet::new();
    for policy in &compiled.policies {
        let parsed = Policy::parse(Some(PolicyId::new(&policy.id)), &policy.text).unwrap();
        assert_eq!(parsed.annotation("id"), Some(policy.id.as_str()));
        set.add(parsed).unwrap();
    }
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    let complaints: Vec<String> = result
        .validation_errors()
        .map(ToString::to_string)
        .chain(result.validation_warnings().map(ToString::to_string))
        .collect();
    assert_eq!(complaints, Vec::<String>::new());
    assert_eq!(PolicySet::from_str(&compiled.cedar()).unwrap().policies().count(), compiled.policies.len());
    (set, schema)
}

/// Asks both actions of a gate as the engine does: a verdict, and the ids that determined it.
fn decide(compiled: &Compiled, gate: &str, mode: &str, facts: Value) -> (&'static str, Vec<String>) {
    let (set, schema) = accepted_by_cedar(compiled);
    let mut context = facts;
    context["mode"] = json!({"__entity": {"type": "Mode", "id": mode}});
    let ask = |verb: &str| {
        let action = EntityUid::from_str(&format!("Action::\"{gate}.{verb}\"")).unwrap();
        let context = Context::from_json_value(context.clone(), Some((&schema, &action))).unwrap();
        let uid = |text| EntityUid::from_str(text).unwrap();
        let request =
            Request::new(uid("Subject::\"s\""), action, uid("Run::\"r\""), context, Some(&schema)).unwrap();
        let response = Authorizer::new().is_authorized(&request, &set, &Entities::empty());
        assert_eq!(response.diagnostics().errors().count(), 0);
        let mut reasons: Vec<String> = response.diagnostics().reason().map(|id| id.to_string()).collect();
        reasons.sort();
        (response.decision() == cedar_policy::Decision::Allow, reasons)
    };
    match (ask("proceed"), ask("hold")) {
        ((true, _), (true, _)) => ("PASS", Vec::new()),
        ((false, reasons), (true, _)) => ("PAUSE", reasons),
        ((false, _), (false, reasons)) => ("REJECT", reasons),
        ((true, _), (false, _)) => panic!("proceed is allowed where hold is not"),
    }
}

fn good() -> Value {
    json!({"line_coverage": 9000, "lint_errors": 0, "tests_failed": 0, "accepted": true})
}

#[test]
fn good_facts_pass_in_every_mode() {
    for mode in modes() {
        assert_eq!(decide(&compiled(), "quality", &mode, good()).0, "PASS");
    }
}

#[test]
fn each_mode_has_its_own_threshold() {
    let rows = [("dev", 6000), ("staging", 8000), ("prod", 8500)];
    for (mode, limit) in rows {
        let at = |value: i64| {
            let mut facts = good();
            facts["line_coverage"] = json!(value);
            decide(&compiled(), "quality", mode, facts)
        };
        assert_eq!(at(limit - 1), ("PAUSE", vec![format!("quality.coverage.{mode}")]));
        assert_eq!(at(limit).0, "PASS");
        assert_eq!(at(limit + 1).0, "PASS");
    }
}

#[test]
fn a_reject_rule_rejects_in_every_mode() {
    for mode in modes() {
        let mut facts = good();
        facts["tests_failed"] = json!(1);
        assert_eq!(
            decide(&compiled(), "quality", &mode, facts),
            ("REJECT", vec!["quality.tests".to_owned()])
        );
    }
}

#[test]
fn a_rule_in_some_modes_is_silent_in_the_others() {
    let mut facts = good();
    facts["accepted"] = json!(false);
    assert_eq!(decide(&compiled(), "quality", "dev", facts.clone()).0, "PASS");
    let expected = ("PAUSE", vec!["quality.submitter.prod".to_owned()]);
    assert_eq!(decide(&compiled(), "quality", "prod", facts), expected);
}

#[test]
fn a_missing_fact_never_passes() {
    let rows = [
        ("line_coverage", "prod", "PAUSE", "quality.missing:line_coverage"),
        ("lint_errors", "dev", "REJECT", "quality.missing:lint_errors"),
        ("accepted", "dev", "PAUSE", "quality.missing:accepted.dev"),
        ("accepted", "prod", "REJECT", "quality.missing:accepted.prod"),
    ];
    for (fact, mode, verdict, id) in rows {
        let mut facts = good();
        facts.as_object_mut().unwrap().remove(fact);
        assert_eq!(
            decide(&compiled(), "quality", mode, facts),
            (verdict, vec![id.to_owned()]),
            "{fact} in {mode}"
        );
    }
}

#[test]
fn access_must_be_allowed() {
    let scope = |change: &dyn Fn(&mut Value)| {
        let mut facts = json!({
            "targets": ["service:acme/payments/api"], "unknown_targets": [], "cost": 0, "age": 0, "support": 10_000,
            "kind": "release", "then": true, "access:run:create": true, "access:run:touch": true
        });
        change(&mut facts);
        decide(&compiled(), "tenant_scope", "prod", facts)
    };
    assert_eq!(scope(&|_| {}).0, "PASS");
    let denied = ("REJECT", vec!["tenant_scope.access:run:touch".to_owned()]);
    assert_eq!(scope(&|facts| facts["access:run:touch"] = json!(false)), denied);
    assert_eq!(scope(&|facts| drop(facts.as_object_mut().unwrap().remove("access:run:touch"))), denied);
    let forbidden = ("REJECT", vec!["tenant_scope.forbidden.prod".to_owned()]);
    assert_eq!(scope(&|facts| facts["unknown_targets"] = json!(["service:acme/\"core\"/api"])), forbidden);
    assert_eq!(scope(&|facts| facts["targets"] = json!(["release"])), forbidden);
}

#[test]
fn the_facts_module_gives_one_set_per_fact() {
    let evidence = "package cku.quality\nline_coverage := 7840\nlint_errors := 0\naccepted := false";
    let value = rego(&[evidence], "data.cku.facts.quality.collected");
    let expected =
        json!({"line_coverage": [7840], "lint_errors": [0], "tests_failed": [], "accepted": [false]});
    assert_eq!(value, expected);
}

#[test]
fn the_sequence_module_lists_the_gates_in_order() {
    let value = rego(&[], "data.cku.sequence")["dev"].take();
    let expected = json!([
        {"gate": "quality", "enforcement": "enforce", "barrier": true, "override": "reviewer"},
        {"gate": "tenant_scope", "enforcement": "enforce", "barrier": false, "override": null},
        {"gate": "policy", "enforcement": "advise", "barrier": false, "override": null},
    ]);
    assert_eq!(value, expected);
}

/// Evaluates a rule over the compiled modules and these.
fn rego(others: &[&str], rule: &str) -> Value {
    let mut engine = regorus::Engine::new();
    for module in compiled().modules {
        engine.add_policy(module.path, module.text).unwrap();
    }
    for (number, text) in others.iter().enumerate() {
        engine.add_policy(format!("other{number}.rego"), (*text).to_owned()).unwrap();
    }
    serde_json::from_str(&engine.eval_rule(rule.to_owned()).unwrap().to_json_str().unwrap()).unwrap()
}

#[test]
fn sequences_come_in_the_order_of_the_modes() {
    let order: Vec<String> = compiled().sequences.into_iter().map(|sequence| sequence.mode).collect();
    assert_eq!(order, modes());
}

#[test]
fn without_mode_blocks_there_is_no_sequence_module() {
    let asts = [parse(FILES[0].0, FILES[0].1).0];
    let compiled = compile(&asts, &modes()).unwrap();
    assert!(compiled.sequences.is_empty());
    assert_eq!(compiled.modules.len(), 1);
}

#[test]
fn a_name_of_a_file_cannot_become_policy() {
    let file = "a.gate\npermit (principal, action, resource); //";
    let compiled = compile(&[parse(file, FILES[0].1).0], &modes()).unwrap();
    let (set, _) = accepted_by_cedar(&compiled);
    let permits = compiled.policies.iter().filter(|policy| policy.origin == Origin::Permit).count();
    let in_cedar = set.policies().filter(|policy| policy.effect() == cedar_policy::Effect::Permit).count();
    assert_eq!((permits, in_cedar), (2, 2));
    for module in &compiled.modules {
        assert!(module.text.lines().all(|line| !line.starts_with("permit")));
    }
}

#[test]
fn names_that_cedar_reserves_are_quoted() {
    for word in ["then", "like", "has", "is", "principal", "action", "resource", "context", "permit", "when2"]
    {
        let text = format!(
            "gate {word} \"W\" {{ facts from data.a {{ {word}: bool }} \
             reject r: when {word} because \"{{{word}}}\" }}"
        );
        let (ast, errors) = parse("w.gate", &text);
        assert_eq!(errors, []);
        let compiled = compile(&[ast], &modes()).unwrap_or_else(|errors| panic!("{word}: {errors:?}"));
        accepted_by_cedar(&compiled);
        for module in compiled.modules {
            regorus::Engine::new().add_policy(module.path, module.text).unwrap();
        }
    }
}

#[test]
fn effects_follow_the_kinds_of_rules() {
    let compiled = compiled();
    let effect =
        |id: &str| compiled.policies.iter().find(|policy| policy.id == id).map(|policy| policy.effect);
    assert_eq!(effect("quality.tests"), Some(PolicyEffect::ForbidBoth));
    assert_eq!(effect("quality.coverage.dev"), Some(PolicyEffect::ForbidProceed));
    assert_eq!(effect("quality.missing:accepted.dev"), Some(PolicyEffect::ForbidProceed));
    let GateBody::Rules(rules) = &compiled.gates[1].body else { panic!("it has rules") };
    let implicit: Vec<_> = rules.missing.iter().filter(|missing| missing.implicit).collect();
    assert!(implicit.iter().all(|missing| missing.kind == RuleKind::Reject && missing.message.is_none()));
    assert_eq!(implicit.len(), 3);
}
