//! Exploration: where a draw lets a PAUSE pass, and everything it may not touch.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;

use cku_base::Digest;
use cku_engine::{Bundle, Sources, Worker};
use cku_gates::{Decision, Verdict, decide, simulate};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Coverage and risk are learned; the mode `calm` explores nothing.
const GATES: &str = r#"
gate quality "Is it tested?" {
  facts from data.facts { coverage: percent  errors: count  asked: bool }
  threshold min_coverage: percent = 80% in 60%..98% step 1% stricter up learn
  reject broken: when errors > 5 because "{errors} errors"
  pause thin: when coverage < min_coverage because "{coverage} covered"
  pause some: when errors > 0 because "{errors} errors"
  pause odd: when asked because "asked for"
  missing coverage pause "coverage is unknown"
  missing errors reject
  missing asked reject
}
gate operations "Is it risky?" {
  facts from data.facts { risk: ratio }
  threshold max_risk: ratio = 0.70 in 0.20..0.95 step 0.025 stricter down learn
  threshold most: ratio = 0.94
  reject wild: when risk > most because "risk {risk}"
  pause risky: when risk > max_risk because "risk {risk}"
  missing risk reject
}
gate free "What else?" { decide by rego data.free.decision }
"#;

const MODES: &str = r#"
mode dev { quality override by reviewer operations free }
mode advised { quality advise operations free }
mode barred { quality barrier operations free }
mode last { operations free quality barrier }
mode calm { quality operations free }
"#;

const REGO: &str = r#"package facts
import rego.v1
coverage := input.submission.labels.coverage
errors := input.submission.labels.errors
risk := input.submission.labels.risk
default asked := false
asked if input.submission.labels.asked
"#;

const FREE: &str = r#"package free
import rego.v1
default decision := {"verdict": "PASS", "reasons": []}
decision := {"verdict": "PAUSE", "reasons": [{"rule": "thin", "message": "held"}]} if input.submission.labels.held
decision := {"verdict": "PAUSE", "reasons": [{"rule": "drawn", "message": "sees the draw"}]} if {
  not input.submission.labels.held
  input.state.exploration[_].drawn
}
"#;

const SCHEMA: &str = r#"
entity Role in [Role];
entity Tenant in [Tenant] { reviewers: Role };
entity User in [Role] { name: String, tenant: Tenant };
entity ServiceAccount in [Role] { name: String, tenant: Tenant };
entity Agent in [Role] { name: String, tenant: Tenant };
entity Gate { tenant: Tenant, name: String, authors: Set<String> };
action "gate:approve", "gate:reject" appliesTo { principal: [User, ServiceAccount, Agent], resource: [Gate] };
"#;

const LEARNER: &str = "defaults: {exploration_rate: 3000, exploration_bands: 8}\nmodes: {calm: {exploration_rate: 0}}\n\
                       thresholds: {operations.max_risk: {exploration_bands: 2}}\n";

fn bundle_with(learner: Option<&str>) -> Arc<Bundle> {
    let gates = GATES.to_owned() + MODES;
    let files = [
        (
            "bundle.yaml",
            "name: explored\nmodes: [dev, advised, barred, last, calm]\nroles: {reviewer: reviewers}\n",
        ),
        ("facts.rego", REGO),
        ("free.rego", FREE),
        ("all.gate", &gates),
        ("access.cedarschema", SCHEMA),
        ("access.cedar", "@id(\"anyone\")\npermit (principal, action, resource);\n"),
    ];
    let learner = learner.map(|text| ("data/cku/learner.yaml", text));
    Arc::new(Bundle::from_sources(Sources::from_files(files.into_iter().chain(learner))).unwrap())
}

fn bundle() -> Arc<Bundle> {
    bundle_with(Some(LEARNER))
}

/// Draws of both thresholds.
fn draws(drawn: bool) -> Value {
    json!([
        {"gate": "quality", "threshold": "min_coverage", "propensity": 3000, "drawn": drawn},
        {"gate": "operations", "threshold": "max_risk", "propensity": 3000, "drawn": drawn},
    ])
}

fn input(mode: &str, labels: Value, exploration: Value) -> Value {
    json!({
        "run_id": "run-1", "tenant": "acme", "mode": mode,
        "time": "2026-11-20T12:00:00Z", "submitted_at": "2026-11-20T11:59:00Z",
        "principal": {"kind": "user", "id": "dana", "tenant": "acme", "authentication": "local"},
        "submission": {"intent": "tidy up", "labels": labels},
        "state": {"kill_switch": false, "exploration": exploration, "role_grants": [
            {"principal": {"kind": "user", "id": "rhea", "tenant": "acme"}, "role": "reviewer", "tenant": "acme"},
        ]},
    })
}

fn decided(bundle: &Arc<Bundle>, document: Value) -> Decision {
    let (input, unknown) = simulate::read(document, bundle.revision()).unwrap();
    assert_eq!(unknown, [""; 0]);
    let decision = decide(&mut Worker::new(bundle.clone()), &input, true).unwrap();
    let again = decide(&mut Worker::new(bundle.clone()), &input, true).unwrap();
    assert_eq!(decision, again, "the same input, the same decision");
    decision
}

fn labels(coverage: u64, errors: u64, risk: u64) -> Value {
    json!({"coverage": coverage, "errors": errors, "risk": risk})
}

/// `open` and `explored`, or what a run that passed would have been asked.
fn said(decision: &Decision) -> String {
    let explorable = &decision.exploration;
    match &explorable.open {
        Some(open) => {
            let (gate, threshold, p) = (&open.gate, &open.threshold, open.propensity.get());
            let of_gate = decision.gates.iter().find(|g| g.gate == *gate).unwrap();
            assert_eq!(of_gate.verdict, Some(Verdict::Pause), "the gate's own verdict stays");
            assert_eq!(of_gate.explored.is_some(), open.explored);
            let word = if open.explored { "explored" } else { "open" };
            format!("{} {word} {gate}.{threshold} {p}", decision.verdict.as_str())
        }
        None => {
            assert!(decision.gates.iter().all(|gate| gate.explored.is_none()));
            let passed: Vec<&str> = explorable.passed.keys().map(String::as_str).collect();
            format!("{} {}", decision.verdict.as_str(), passed.join(" ")).trim_end().to_owned()
        }
    }
}

#[test]
fn a_run_is_let_through_where_one_learned_threshold_alone_stands_in_the_way() {
    let bundle = bundle();
    for (what, mode, labels, no, yes) in [
        (
            "nothing in the way",
            "dev",
            labels(8_000, 0, 7_000),
            "PASS operations.max_risk quality.min_coverage",
            "PASS operations.max_risk quality.min_coverage",
        ),
        (
            "coverage alone",
            "dev",
            labels(7_999, 0, 7_000),
            "PAUSE open quality.min_coverage 3000",
            "PASS explored quality.min_coverage 3000",
        ),
        (
            "risk alone",
            "dev",
            labels(8_000, 0, 7_001),
            "PAUSE open operations.max_risk 3000",
            "PASS explored operations.max_risk 3000",
        ),
        (
            "the last of eight bands",
            "dev",
            labels(7_200, 0, 0),
            "PAUSE open quality.min_coverage 3000",
            "PASS explored quality.min_coverage 3000",
        ),
        ("beyond eight bands", "dev", labels(7_199, 0, 0), "PAUSE", "PAUSE"),
        (
            "the last of two bands",
            "dev",
            labels(9_000, 0, 7_500),
            "PAUSE open operations.max_risk 3000",
            "PASS explored operations.max_risk 3000",
        ),
        ("beyond two bands", "dev", labels(9_000, 0, 7_501), "PAUSE", "PAUSE"),
        ("two gates pause", "dev", labels(7_900, 0, 7_100), "PAUSE", "PAUSE"),
        ("two rules of the gate", "dev", labels(7_900, 1, 0), "PAUSE", "PAUSE"),
        ("a rule that is not learned", "dev", labels(8_000, 1, 0), "PAUSE", "PAUSE"),
        ("a fact is missing", "dev", json!({"errors": 0, "risk": 0}), "PAUSE", "PAUSE"),
        (
            "a fact of no known value rejects",
            "dev",
            json!({"coverage": 7_900, "errors": 0}),
            "REJECT",
            "REJECT",
        ),
        ("a rejection of the gate", "dev", labels(7_900, 6, 0), "REJECT", "REJECT"),
        ("a rejection of another gate", "dev", labels(7_900, 0, 9_500), "REJECT", "REJECT"),
        (
            "Rego pauses by a rule of the same name",
            "dev",
            json!({"coverage": 8_000, "errors": 0, "risk": 0, "held": true}),
            "PAUSE",
            "PAUSE",
        ),
        (
            "advice does not count",
            "advised",
            labels(7_900, 0, 0),
            "PASS operations.max_risk",
            "PASS operations.max_risk",
        ),
        (
            "advice beside it",
            "advised",
            labels(100, 9, 7_100),
            "PAUSE open operations.max_risk 3000",
            "PASS explored operations.max_risk 3000",
        ),
        ("a barrier leaves gates unasked", "barred", labels(7_900, 0, 0), "PAUSE", "PAUSE"),
        ("a barrier after all others", "last", labels(7_900, 0, 0), "PAUSE", "PAUSE"),
        (
            "a barrier is not asked about",
            "last",
            labels(8_000, 0, 0),
            "PASS operations.max_risk",
            "PASS operations.max_risk",
        ),
        ("a mode without exploration", "calm", labels(7_900, 0, 0), "PAUSE", "PAUSE"),
        ("a mode without exploration, passed", "calm", labels(8_000, 0, 0), "PASS", "PASS"),
    ] {
        assert_eq!(said(&decided(&bundle, input(mode, labels.clone(), draws(false)))), no, "{what}: no");
        assert_eq!(said(&decided(&bundle, input(mode, labels.clone(), draws(true)))), yes, "{what}: yes");
        let without = decided(&bundle, input(mode, labels, Value::Null));
        assert!(without.exploration.open.is_none() && without.exploration.passed.is_empty(), "{what}: none");
    }
}

#[test]
fn exploration_goes_no_further_than_the_bands_and_the_range() {
    let learner = "defaults: {exploration_rate: 3000, exploration_bands: 32}";
    let bundle = bundle_with(Some(learner));
    let of = |coverage| said(&decided(&bundle, input("dev", labels(coverage, 0, 0), draws(true))));
    assert_eq!(of(6_000), "PASS explored quality.min_coverage 3000");
    assert_eq!(of(5_999), "PAUSE");
    let near = bundle_with(Some("defaults: {exploration_rate: 3000, exploration_bands: 1}"));
    let of = |coverage| said(&decided(&near, input("dev", labels(coverage, 0, 0), draws(true))));
    assert_eq!(
        (of(7_900).as_str(), of(7_899).as_str()),
        ("PASS explored quality.min_coverage 3000", "PAUSE")
    );
}

#[test]
fn a_draw_that_is_unclear_lets_nothing_through() {
    let bundle = bundle();
    let draw = |gate: &str, threshold: &str, propensity: u32| json!({"gate": gate, "threshold": threshold, "propensity": propensity, "drawn": true});
    let good = draw("quality", "min_coverage", 3_000);
    let of = |draws: Value| said(&decided(&bundle, input("dev", labels(7_999, 0, 0), draws)));
    assert_eq!(of(json!([good])), "PASS explored quality.min_coverage 3000");
    assert_eq!(of(json!([])), "PAUSE");
    assert_eq!(of(json!([good, good])), "PAUSE", "which of the two?");
    assert_eq!(of(json!([draw("operations", "max_risk", 3_000)])), "PAUSE", "of another gate");
    assert_eq!(of(json!([draw("quality", "max_risk", 3_000)])), "PAUSE", "of another threshold");
    assert_eq!(of(json!([draw("quality", "min_coverage", 0)])), "PAUSE", "never likely");
    assert_eq!(
        of(json!([draw("quality", "min_coverage", 3_001)])),
        "PAUSE open quality.min_coverage 3001",
        "drawn at a greater rate than the bundle declares"
    );
    assert_eq!(
        of(json!([draw("quality", "min_coverage", 2_000)])),
        "PASS explored quality.min_coverage 2000",
        "a yes at a smaller rate is one at a greater"
    );
    let undeclared = bundle_with(None);
    let explored = decided(&undeclared, input("dev", labels(7_999, 0, 0), draws(true)));
    assert_eq!(said(&explored), "PAUSE", "the bundle declares no exploration");
    for wrong in [json!(true), json!({"quality": true}), json!([{"gate": "quality"}])] {
        let document = input("dev", labels(7_999, 0, 0), wrong);
        let error = simulate::read(document, Digest::of(b"")).unwrap_err().to_string();
        assert!(error.contains("state.exploration"), "{error}");
    }
}

#[test]
fn what_people_said_of_a_run_leaves_nothing_to_chance() {
    let bundle = bundle();
    let approval = |gate: &str, decision: &str| {
        json!([{
            "approver": {"kind": "user", "id": "rhea", "tenant": "acme"}, "gate": gate, "decision": decision,
            "subject_digest": "$subject", "bundle_revision": "$revision", "time": "2026-11-20T11:59:30Z",
            "expires_at": "2026-11-23T12:00:00Z",
        }])
    };
    let of = |labels: Value, approvals: Value| {
        let mut document = input("dev", labels, draws(true));
        document["approvals"] = approvals;
        said(&decided(&bundle, document))
    };
    let (thin, risky) = (labels(7_999, 0, 0), labels(7_999, 0, 7_001));
    assert_eq!(of(thin.clone(), approval("quality", "approve")), "PASS", "a person let it through");
    assert_eq!(of(thin.clone(), approval("quality", "refuse")), "PAUSE", "a person refused it");
    assert_eq!(of(thin.clone(), approval("operations", "refuse")), "PAUSE", "a person refused another gate");
    assert_eq!(of(risky, approval("quality", "approve")), "PAUSE", "a person let another gate through");
    assert_eq!(of(labels(8_000, 0, 0), approval("free", "refuse")), "PASS", "nor is it evidence");
}

#[test]
fn the_kill_switch_and_change_control_know_no_chance() {
    let bundle = bundle();
    let mut document = input("dev", labels(7_999, 0, 0), draws(true));
    document["state"]["kill_switch"] = json!(true);
    assert_eq!(said(&decided(&bundle, document)), "REJECT");
    let digest = |text: &str| Digest::of(text.as_bytes()).to_string();
    let mut document = input("dev", labels(7_999, 0, 0), draws(true));
    document["policy_diff"] = json!({
        "id": digest("diff"), "bundle": {"name": "explored", "protected": false},
        "base": digest("base"), "revision": digest("new"), "evidence": digest("evidence"),
        "learned": false, "loads": true, "tests": {"passed": 3, "failed": 0}, "direction": "tighten",
        "invariants": {"held": 2, "violated": [], "unproved": []}, "expires_at": "2026-11-28T00:00:00Z",
    });
    assert_eq!(said(&decided(&bundle, document)), "PAUSE");
    let mut document = input("dev", labels(7_999, 0, 0), draws(true));
    document["state"]["changes"] = json!({"base_active": true});
    assert_eq!(said(&decided(&bundle, document)), "PAUSE");
}

#[test]
fn an_explored_gate_says_so_and_no_other_does() {
    let bundle = bundle();
    let explored = decided(&bundle, input("dev", labels(7_999, 0, 0), draws(true)));
    let gates = serde_json::to_value(&explored).unwrap()["gates"].clone();
    assert_eq!(gates[0]["explored"], json!({"threshold": "min_coverage", "propensity": 3000}));
    assert_eq!((&gates[0]["verdict"], &gates[0]["effective"]), (&json!("PAUSE"), &json!("PASS")));
    assert_eq!(gates[0]["reasons"][0]["rule"], "thin");
    assert!(gates[1].get("explored").is_none());
    let plain =
        serde_json::to_value(decided(&bundle, input("dev", labels(7_999, 0, 0), Value::Null))).unwrap();
    assert!(plain["gates"][0].get("explored").is_none() && plain.get("exploration").is_none());
}

#[derive(Debug, Clone)]
struct Case {
    mode: &'static str,
    labels: Value,
    draws: Value,
}

fn any_case() -> impl Strategy<Value = Case> {
    let mode = prop::sample::select(vec!["dev", "advised", "barred", "last", "calm"]);
    let fact = |around: u64, far: u64| prop::option::weighted(0.95, around - far..=around + far);
    let facts = (fact(8_000, 900), prop::option::weighted(0.95, 0u64..8), fact(7_000, 600), any::<bool>());
    let draw = ("quality|operations|free", "min_coverage|max_risk|most", 0u32..=4_000, any::<bool>());
    let extra = prop::collection::vec(draw, 0..2);
    (mode, facts, prop::option::of((any::<bool>(), any::<bool>(), extra))).prop_map(|(mode, facts, drawn)| {
        let (coverage, errors, risk, held) = facts;
        let mut labels = json!({"held": held && errors == Some(0)});
        let few = errors.map(|errors| errors.saturating_sub(2));
        for (name, value) in [("coverage", coverage), ("errors", few), ("risk", risk)] {
            if let Some(value) = value {
                labels[name] = value.into();
            }
        }
        let draws = drawn.map_or(Value::Null, |(quality, operations, extra)| {
            let mut all = draws(quality);
            all[1]["drawn"] = operations.into();
            let more = extra.into_iter().map(|(gate, threshold, propensity, drawn)| json!({"gate": gate, "threshold": threshold, "propensity": propensity, "drawn": drawn}));
            all.as_array_mut().unwrap().extend(more);
            all
        });
        Case { mode, labels, draws }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn exploration_changes_nothing_but_one_pause(case in any_case()) {
        thread_local! { static BUNDLE: Arc<Bundle> = bundle(); }
        let bundle = BUNDLE.with(Clone::clone);
        let drawn = decided(&bundle, input(case.mode, case.labels.clone(), case.draws.clone()));
        let without = decided(&bundle, input(case.mode, case.labels.clone(), Value::Null));
        // Turning every draw off gives the decision that there is without any.
        let mut off = case.draws.clone();
        for draw in off.as_array_mut().into_iter().flatten() {
            draw["drawn"] = json!(false);
        }
        let off = decided(&bundle, input(case.mode, case.labels, off));
        prop_assert_eq!((&off.verdict, &off.gates), (&without.verdict, &without.gates));
        if without.verdict != Verdict::Pause {
            prop_assert_eq!((&drawn.verdict, &drawn.gates), (&without.verdict, &without.gates));
        }
        let explored: Vec<_> = drawn.gates.iter().filter(|gate| gate.explored.is_some()).collect();
        prop_assert_eq!(drawn.verdict != without.verdict, explored.len() == 1);
        prop_assert!(explored.len() <= 1);
        for (gate, plain) in drawn.gates.iter().zip(&without.gates) {
            prop_assert_eq!((gate.verdict, &gate.reasons), (plain.verdict, &plain.reasons));
            if gate.explored.is_none() {
                prop_assert_eq!(gate, plain);
            }
        }
        if drawn.exploration.explored() {
            prop_assert_eq!((drawn.verdict, without.verdict), (Verdict::Pass, Verdict::Pause));
            // It was open before anybody looked at the draw.
            prop_assert!(off.exploration.open.is_some());
        }
    }
}
