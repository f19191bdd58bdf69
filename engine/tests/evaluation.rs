//! What a worker answers, held against asking Cedar directly and against asking one thing at a time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{collections::BTreeSet, str::FromStr, sync::Arc};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, RestrictedExpression,
};
use cku_base::{Principal, PrincipalKind};
use cku_engine::{
    Bundle, EvalError, FactValue, RuleVerdict, Sources, Worker,
    access::{Answer, Denial, Question, Resource, RoleGrant, roles_of},
};
use proptest::prelude::*;
use serde_json::{Value, json};

const GATES: &str = r#"
gate work "Is it good enough?" {
  facts from data.work {
    coverage: percent
    errors:   count
    late:     bool
    owner:    text
    labels:   set of text
  }
  threshold min_coverage: percent = 80% fixed { dev = 60% }
  threshold max_errors: count = 3 fixed
  require access run:create
  reject errors:   when errors > max_errors and not (owner == "ops") because "{errors}"
  pause  coverage: when coverage < min_coverage because "{coverage}"
  pause  late:     when late or labels contains "slow" because "late"
  in prod pause owner: when owner == "nobody" because "{owner}"
  missing coverage pause
  in dev missing labels pause
}
gate other "Does it stand alone?" {
  facts from data.other { size: count }
  reject large: when size > 10 because "{size}"
}
mode dev { work other }
mode prod { work other }
"#;

const FACTS: &str = "package work\n\ncoverage := input.coverage\n\nerrors := input.errors\n\nlate := input.late\n\n\
    owner := input.owner\n\nlabels := {l | some l in input.labels} if input.labels\n";

const SCHEMA: &str = r#"
entity Role in [Role];
entity Tenant in [Tenant] { operators: Role };
entity User in [Role] { name: String, tenant: Tenant };
entity Run { tenant: Tenant, authors: Set<String> };
action "run:create" appliesTo { principal: [User], resource: [Run], context: { mode: String } };
"#;

const POLICIES: &str = r#"
@id("operators")
permit (principal, action == Action::"run:create", resource) when { principal in resource.tenant.operators };
@id("home")
forbid (principal, action, resource) unless { resource.tenant in principal.tenant };
@id("frozen")
forbid (principal, action == Action::"run:create", resource) when { context.mode == "frozen" };
"#;

fn bundle() -> Arc<Bundle> {
    let sources = Sources::from_files([
        ("bundle.yaml", "name: two\nmodes: [dev, prod]\nroles: {operator: operators}\n"),
        ("gates.gate", GATES),
        ("work.rego", FACTS),
        ("other.rego", "package other\n\nsize := to_number(input.size)\n"),
        ("access.cedarschema", SCHEMA),
        ("access.cedar", POLICIES),
    ]);
    Arc::new(Bundle::from_sources(sources).unwrap_or_else(|e| panic!("{:#?}", e.diagnostics)))
}

/// The verdict by Cedar alone: all policies at once, no index, no shortcut.
fn reference(all: &PolicySet, mode: &str, facts: &Value, access: Option<bool>) -> RuleVerdict {
    let number = |n: &Value| RestrictedExpression::new_long(n.as_i64().unwrap());
    let text = |t: &str| RestrictedExpression::new_string(t.to_owned());
    let mut pairs =
        vec![("mode".to_owned(), RestrictedExpression::new_entity_uid(uid(&format!("Mode::\"{mode}\""))))];
    for (name, value) in facts.as_object().unwrap() {
        let value = match value {
            Value::Bool(b) => RestrictedExpression::new_bool(*b),
            Value::String(t) => text(t),
            Value::Array(items) => {
                RestrictedExpression::new_set(items.iter().map(|i| text(i.as_str().unwrap())))
            }
            value => number(value),
        };
        pairs.push((name.clone(), value));
    }
    pairs.extend(access.map(|yes| ("access:run:create".to_owned(), RestrictedExpression::new_bool(yes))));
    let ask = |action: &str| {
        let context = Context::from_pairs(pairs.clone()).unwrap();
        let (subject, run) = (uid("Subject::\"s\""), uid("Run::\"r\""));
        let request =
            Request::new(subject, uid(&format!("Action::\"work.{action}\"")), run, context, None).unwrap();
        let response = Authorizer::new().is_authorized(&request, all, &Entities::empty());
        assert_eq!(response.diagnostics().errors().count(), 0);
        let mut reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        reasons.sort();
        (response.decision(), reasons)
    };
    match (ask("proceed"), ask("hold")) {
        ((Decision::Allow, _), (Decision::Allow, _)) => RuleVerdict::Pass,
        ((Decision::Deny, pausing), (Decision::Allow, _)) => RuleVerdict::Pause(pausing),
        ((Decision::Deny, _), (Decision::Deny, rejecting)) => RuleVerdict::Reject(rejecting),
        (proceed, hold) => panic!("whatever may proceed may be held: {proceed:?} {hold:?}"),
    }
}

fn uid(text: &str) -> EntityUid {
    EntityUid::from_str(text).unwrap()
}

fn facts() -> impl Strategy<Value = Value> {
    let maybe = |value: BoxedStrategy<Value>| prop::option::weighted(0.85, value);
    let coverage = prop_oneof![Just(5_999), Just(6_000), Just(7_999), Just(8_000), 0..=10_000i64];
    let owner = prop_oneof![Just("ops"), Just("nobody"), Just("dana")];
    let labels = prop::collection::btree_set(prop_oneof![Just("slow"), Just("big")], 0..3);
    (
        maybe(coverage.prop_map(Value::from).boxed()),
        maybe((0..6i64).prop_map(Value::from).boxed()),
        maybe(any::<bool>().prop_map(Value::from).boxed()),
        maybe(owner.prop_map(Value::from).boxed()),
        maybe(labels.prop_map(|l| Value::from(l.into_iter().collect::<Vec<_>>())).boxed()),
    )
        .prop_map(|(coverage, errors, late, owner, labels)| {
            let members = [
                ("coverage", coverage),
                ("errors", errors),
                ("late", late),
                ("owner", owner),
                ("labels", labels),
            ];
            let known = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
            Value::Object(known.collect())
        })
}

#[test]
fn the_indexed_and_shortened_verdict_is_that_of_cedar_over_all_policies() {
    let bundle = bundle();
    let all =
        PolicySet::from_policies(bundle.compiled().policies.iter().map(|p| {
            cedar_policy::Policy::parse(Some(cedar_policy::PolicyId::new(&p.id)), &p.text).unwrap()
        }))
        .unwrap();
    let worker = std::cell::RefCell::new(Worker::new(bundle));
    let seen = std::cell::RefCell::new(BTreeSet::new());
    let config = ProptestConfig { cases: 2_000, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config)
        .run(
            &(facts(), prop::option::of(any::<bool>()), prop_oneof![Just("dev"), Just("prod")]),
            |(facts, access, mode)| {
                let mut worker = worker.borrow_mut();
                worker.set_input(facts.clone().into());
                let read = worker.facts("work").unwrap();
                let answers = access.map(|yes| ("access:run:create".to_owned(), yes)).into_iter().collect();
                let verdict = worker.rules("work", mode, &read, &answers).unwrap();
                prop_assert_eq!(&verdict, &reference(&all, mode, &facts, access));
                seen.borrow_mut().insert(match verdict {
                    RuleVerdict::Pass => "pass",
                    RuleVerdict::Pause(_) => "pause",
                    RuleVerdict::Reject(_) => "reject",
                });
                Ok(())
            },
        )
        .unwrap();
    assert_eq!(seen.into_inner(), BTreeSet::from(["pass", "pause", "reject"]));
}

#[test]
fn a_gate_whose_facts_err_does_not_take_the_others_with_it() {
    let mut worker = Worker::new(bundle());
    worker.set_input(json!({"coverage": 9_000, "size": "many"}).into());
    assert!(
        matches!(worker.facts("other"), Err(EvalError::Failed(error)) if error.contains("other.rego:3:"))
    );
    let facts = worker.facts("work").unwrap();
    assert_eq!(facts.get("coverage"), Some(&FactValue::Number(9_000)));
    assert_eq!(facts.missing(), ["errors", "late", "owner", "labels"]);
}

#[test]
fn the_next_input_is_not_answered_with_the_facts_of_the_last() {
    let mut worker = Worker::new(bundle());
    for size in [1, 2] {
        worker.set_input(json!({"size": size.to_string()}).into());
        assert_eq!(worker.facts("other").unwrap().get("size"), Some(&FactValue::Number(size)));
    }
    worker.set_input(json!({"size": "none"}).into());
    assert!(worker.facts("other").is_err());
    worker.set_input(json!({}).into());
    assert_eq!(worker.facts("other").unwrap().missing(), ["size"]);
}

fn principal(id: &str, tenant: &str) -> Principal {
    Principal { kind: PrincipalKind::User, id: id.parse().unwrap(), tenant: tenant.parse().unwrap() }
}

fn grant(id: &str, home: &str, tenant: &str) -> RoleGrant {
    RoleGrant { principal: principal(id, home), role: "operator".to_owned(), tenant: tenant.parse().unwrap() }
}

#[test]
fn an_answer_remembered_is_only_given_to_the_same_question() {
    let mut worker = Worker::new(bundle());
    let run = Resource::run(&"acme/payments".parse().unwrap(), &BTreeSet::new());
    let elsewhere = Resource::run(&"globex".parse().unwrap(), &BTreeSet::new());
    let mut ask = |who: &Principal, grants: &[RoleGrant], action: &str, resource: &Resource, mode: &str| {
        worker.ask(&Question { principal: who, grants, action, resource, mode, authentication: "token" })
    };
    let dana = principal("dana", "acme");
    let granted = [grant("dana", "acme", "acme")];
    // Each round finds the answers of the one before remembered.
    for _ in 0..2 {
        assert_eq!(
            ask(&dana, &granted, "run:create", &run, "dev"),
            Answer::Allowed { by: vec!["operators".into()] }
        );
        assert_eq!(ask(&dana, &[], "run:create", &run, "dev"), Answer::Denied(Denial::NotPermitted));
        let frozen = ask(&dana, &granted, "run:create", &run, "frozen");
        assert_eq!(frozen, Answer::Denied(Denial::Forbidden(vec!["frozen".into()])));
        let outside = ask(&dana, &granted, "run:create", &elsewhere, "dev");
        assert_eq!(outside, Answer::Denied(Denial::Forbidden(vec!["home".into()])));
        let namesake = ask(&principal("dana", "globex"), &granted, "run:create", &run, "dev");
        assert_eq!(namesake, Answer::Denied(Denial::Forbidden(vec!["home".into()])));
        let unknown = ask(&dana, &granted, "run:crete", &run, "dev");
        assert!(matches!(unknown, Answer::Denied(Denial::Error(_))), "{unknown:?}");
        let robot = Principal { kind: PrincipalKind::Agent, ..dana.clone() };
        let unknown = ask(&robot, &[], "run:create", &run, "dev");
        assert!(matches!(unknown, Answer::Denied(Denial::Error(_))), "{unknown:?}");
    }
}

#[test]
fn roles_hold_in_their_tenant_and_below() {
    let grants = [grant("dana", "acme", "acme/payments"), grant("rhea", "acme", "acme")];
    let roles =
        |id: &str, tenant: &str| roles_of(&principal(id, "acme"), &tenant.parse().unwrap(), &grants).len();
    assert_eq!(
        [roles("dana", "acme/payments/eu"), roles("dana", "acme"), roles("dana", "acme/search")],
        [1, 0, 0]
    );
    assert_eq!([roles("rhea", "acme/payments"), roles("rhea", "/")], [1, 0]);
}

/// Two gates: `first` fails as the case says, `second` counts what the input holds.
fn failing(first: &str) -> Worker {
    let facts = format!("package first\n\n{first}\n");
    let sources = Sources::from_files([
        ("bundle.yaml", "name: failing\nmodes: [dev]\nlimits: {time_ms: 200}\n"),
        ("first.rego", facts.as_str()),
        ("second.rego", "package second\n\nevil := count([f | some f in input.files; f == \"evil\"])\n"),
        (
            "gates.gate",
            "gate first \"x\" { facts from data.first { n: count } reject r: when n > 0 because \"{n}\" }\n\
             gate second \"x\" { facts from data.second { evil: count } reject r: when evil > 0 because \"{evil}\" }\n\
             mode dev { first second }\n",
        ),
    ]);
    let bundle = Bundle::from_sources(sources).unwrap_or_else(|e| panic!("{:#?}", e.diagnostics));
    Worker::new(Arc::new(bundle))
}

#[test]
fn after_a_failure_the_next_gate_sees_the_whole_input_and_no_mocks() {
    let cases = [
        "n := strings.count(input.text, \"\")",
        "n := count([1 | [1, to_number(input.text)][_] == 3 with input as {\"text\": input.text, \"files\": []}])",
        "zero(_) := 0\n\nn := x if { x := to_number(input.text) with count as zero }",
    ];
    for case in cases {
        let mut worker = failing(case);
        for _ in 0..2 {
            worker.set_input(json!({"text": "many", "files": ["evil", "good"]}).into());
            assert!(matches!(worker.facts("first"), Err(EvalError::Failed(_))), "{case}");
            assert_eq!(worker.facts("second").unwrap().get("evil"), Some(&FactValue::Number(1)), "{case}");
        }
    }
}

#[test]
fn a_time_limit_is_one_wherever_it_is_reached() {
    let slow =
        "count([1 | some a in numbers.range(1, 9000); some b in numbers.range(1, 9000); a + b == input.x])";
    for case in [
        format!("n := {slow}"),
        format!("n := f(1)\n\nf(_) := {slow}"),
        format!("n := 1 if not g(1)\n\ng(_) if {slow} > 0"),
        format!("n := 1 if every x in [1] {{ h(x) }}\n\nh(_) if {slow} > 0"),
    ] {
        let mut worker = failing(&case);
        worker.set_input(json!({"x": -1, "files": []}).into());
        assert_eq!(worker.facts("first"), Err(EvalError::TimeLimit), "{case}");
    }
}

#[test]
fn a_query_is_held_to_the_rules_of_bundles() {
    let mut worker = failing("n := 0");
    assert_eq!(worker.query("1 + 1").unwrap(), Some(json!(2)));
    for query in [
        "rand.intn(\"x\", 9)",
        "time.now_ns()",
        "[x | x := time.now_ns()]",
        &"[".repeat(500),
        &"1+".repeat(500),
    ] {
        assert!(worker.query(query).is_err(), "{query}");
    }
}

#[test]
fn a_gate_that_decides_by_rego_has_no_rules_to_pass() {
    let sources = Sources::from_files([
        ("bundle.yaml", "name: rego\nmodes: [dev]\n"),
        ("g.rego", "package g\n\ndecision := {\"verdict\": \"REJECT\", \"reasons\": []}\n"),
        ("g.gate", "gate g \"x\" { decide by rego data.g.decision }\nmode dev { g }\n"),
    ]);
    let mut worker = Worker::new(Arc::new(Bundle::from_sources(sources).unwrap()));
    let verdict = worker.rules("g", "dev", &Default::default(), &Default::default());
    assert!(matches!(verdict, Err(EvalError::Failed(_))), "{verdict:?}");
}

#[test]
fn of_several_errors_the_same_one_is_named_each_time() {
    let erring = |id: &str| {
        format!("@id(\"{id}\")\nforbid (principal, action, resource) when {{ 9223372036854775807 + context.mode.size > 0 }};\n")
            .replace("context.mode.size", "(if context.mode == \"dev\" then 1 else 2)")
    };
    let (later, sooner) = (erring("z") + &erring("m"), erring("a") + &erring("k"));
    let sources = Sources::from_files([
        ("bundle.yaml", "name: erring\nmodes: [dev]\nroles: {operator: operators}\n"),
        ("access.cedarschema", SCHEMA),
        ("first.cedar", later.as_str()),
        ("second.cedar", sooner.as_str()),
    ]);
    let bundle = Arc::new(Bundle::from_sources(sources).unwrap_or_else(|e| panic!("{:#?}", e.diagnostics)));
    let run = Resource::run(&"acme".parse().unwrap(), &BTreeSet::new());
    let dana = principal("dana", "acme");
    for _ in 0..20 {
        let answer = Worker::new(bundle.clone()).ask(&Question {
            principal: &dana,
            grants: &[],
            action: "run:create",
            resource: &run,
            mode: "dev",
            authentication: "token",
        });
        assert!(
            matches!(&answer, Answer::Denied(Denial::Error(error)) if error.contains("`a`")),
            "{answer:?}"
        );
    }
}

#[test]
fn an_error_whose_words_come_from_an_input_is_no_missing_fact() {
    let sources = Sources::from_files([
        ("bundle.yaml", "name: rego\nmodes: [dev]\n"),
        ("g.rego", "package g\n\nx if net.cidr_contains(input.pattern, \"1.1.1.1\")\n"),
        (
            "g.gate",
            "gate g \"x\" {\n  facts from data.g { x: bool }\n  pause r: when x because \"x\"\n  missing x pause\n}\nmode dev { g }\n",
        ),
    ]);
    let mut worker = Worker::new(Arc::new(Bundle::from_sources(sources).unwrap()));
    worker.set_input(json!({"pattern": "(not a valid rule path"}).into());
    let facts = worker.facts("g");
    assert!(
        matches!(&facts, Err(EvalError::Failed(why)) if why.contains("not a valid rule path")),
        "{facts:?}"
    );
    // A rule that nobody wrote is undefined.
    assert_eq!(worker.value("data.nobody.wrote").unwrap(), None);
}
