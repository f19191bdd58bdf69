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

/// What is decided over: a run with nothing in its way, in `dev`, with draws that are all yes, but for what a test
/// says.
#[derive(Clone)]
struct Asked(Value);

fn asked() -> Asked {
    Asked(json!({
        "run_id": "run-1", "tenant": "acme", "mode": "dev",
        "time": "2026-11-20T12:00:00Z", "submitted_at": "2026-11-20T11:59:00Z",
        "principal": {"kind": "user", "id": "dana", "tenant": "acme", "authentication": "local"},
        "submission": {"intent": "tidy up", "labels": {"coverage": 8_000, "errors": 0, "risk": 0}},
        "state": {"kill_switch": false, "exploration": draws(true), "role_grants": [
            {"principal": {"kind": "user", "id": "rhea", "tenant": "acme"}, "role": "reviewer", "tenant": "acme"},
        ]},
    }))
}

/// Coverage is a hair too low, and nothing else stands in the way.
fn thin() -> Asked {
    asked().fact("coverage", 7_999)
}

impl Asked {
    fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        self.0.pointer_mut(parent).unwrap()[member] = value.into();
        self
    }

    fn mode(self, mode: &str) -> Self {
        self.set("/mode", mode)
    }

    fn fact(self, name: &str, value: impl Into<Value>) -> Self {
        self.set(&format!("/submission/labels/{name}"), value)
    }

    fn without(mut self, fact: &str) -> Self {
        self.0["submission"]["labels"].as_object_mut().unwrap().remove(fact);
        self
    }

    fn drawn(self, draws: Value) -> Self {
        self.set("/state/exploration", draws)
    }

    fn decided(self, bundle: &Arc<Bundle>) -> Decision {
        let (input, unknown) = simulate::read(self.0, bundle.revision()).unwrap();
        assert_eq!(unknown, [""; 0]);
        let decision = decide(&mut Worker::new(bundle.clone()), &input, true).unwrap();
        let again = decide(&mut Worker::new(bundle.clone()), &input, true).unwrap();
        assert_eq!(decision, again, "the same input, the same decision");
        decision
    }

    fn said(self, bundle: &Arc<Bundle>) -> String {
        said(&self.decided(bundle))
    }
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

/// What is decided with each draw, and that without any nothing is open to exploration.
fn with_no_and_yes(bundle: &Arc<Bundle>, what: &str, asked: Asked) -> (String, String) {
    let without = asked.clone().drawn(Value::Null).decided(bundle);
    assert!(without.exploration.open.is_none() && without.exploration.passed.is_empty(), "{what}: none");
    let of = |drawn| asked.clone().drawn(draws(drawn)).said(bundle);
    (of(false), of(true))
}

#[test]
fn a_run_is_let_through_where_one_learned_threshold_alone_stands_in_the_way() {
    let bundle = bundle();
    let coverage = |fact: u64| asked().fact("coverage", fact);
    let risk = |fact: u64| asked().fact("risk", fact);
    for (what, asked, threshold) in [
        ("coverage alone", coverage(7_999).fact("risk", 7_000), "quality.min_coverage"),
        ("risk alone", risk(7_001), "operations.max_risk"),
        ("the last of eight bands", coverage(7_200), "quality.min_coverage"),
        ("the last of two bands", risk(7_500), "operations.max_risk"),
        (
            "advice beside it",
            risk(7_100).mode("advised").fact("coverage", 100).fact("errors", 9),
            "operations.max_risk",
        ),
    ] {
        let (no, yes) = with_no_and_yes(&bundle, what, asked);
        assert_eq!(no, format!("PAUSE open {threshold} 3000"), "{what}");
        assert_eq!(yes, format!("PASS explored {threshold} 3000"), "{what}");
    }
}

#[test]
fn where_anything_else_stands_in_the_way_no_draw_is_asked() {
    let bundle = bundle();
    let coverage = |fact: u64| asked().fact("coverage", fact);
    let low = || coverage(7_900);
    for (what, asked, said) in [
        ("beyond eight bands", coverage(7_199), "PAUSE"),
        ("beyond two bands", asked().fact("risk", 7_501), "PAUSE"),
        ("two gates pause", low().fact("risk", 7_100), "PAUSE"),
        ("two rules of the gate", low().fact("errors", 1), "PAUSE"),
        ("a rule that is not learned", asked().fact("errors", 1), "PAUSE"),
        ("a fact is missing", asked().without("coverage"), "PAUSE"),
        ("a fact of no known value rejects", low().without("risk"), "REJECT"),
        ("a rejection of the gate", low().fact("errors", 6), "REJECT"),
        ("a rejection of another gate", low().fact("risk", 9_500), "REJECT"),
        ("Rego pauses by a rule of the same name", asked().fact("held", true), "PAUSE"),
        ("a barrier leaves gates unasked", low().mode("barred"), "PAUSE"),
        ("a barrier after all others", low().mode("last"), "PAUSE"),
        ("a mode without exploration", low().mode("calm"), "PAUSE"),
    ] {
        assert_eq!(with_no_and_yes(&bundle, what, asked), (said.to_owned(), said.to_owned()), "{what}");
    }
}

#[test]
fn a_run_that_passes_speaks_for_the_thresholds_whose_draws_would_have_been_asked() {
    let bundle = bundle();
    for (what, asked, said) in [
        ("nothing in the way", asked().fact("risk", 7_000), "PASS operations.max_risk quality.min_coverage"),
        ("advice does not count", thin().mode("advised"), "PASS operations.max_risk"),
        ("a barrier is not asked about", asked().mode("last"), "PASS operations.max_risk"),
        ("a mode without exploration", asked().mode("calm"), "PASS"),
    ] {
        assert_eq!(with_no_and_yes(&bundle, what, asked), (said.to_owned(), said.to_owned()), "{what}");
    }
}

#[test]
fn exploration_goes_no_further_than_the_bands_and_the_range() {
    let explored = "PASS explored quality.min_coverage 3000";
    for (bands, last) in [(32, 6_000), (1, 7_900)] {
        let learner = format!("defaults: {{exploration_rate: 3000, exploration_bands: {bands}}}");
        let bundle = bundle_with(Some(&learner));
        let of = |coverage: u64| asked().fact("coverage", coverage).said(&bundle);
        assert_eq!((of(last).as_str(), of(last - 1).as_str()), (explored, "PAUSE"), "{bands}");
    }
}

#[test]
fn a_draw_that_is_unclear_lets_nothing_through() {
    let bundle = bundle();
    let draw = |gate: &str, threshold: &str, propensity: u32| json!({"gate": gate, "threshold": threshold, "propensity": propensity, "drawn": true});
    let good = draw("quality", "min_coverage", 3_000);
    for (what, draws, said) in [
        ("one", json!([good]), "PASS explored quality.min_coverage 3000"),
        ("none", json!([]), "PAUSE"),
        ("which of the two?", json!([good, good]), "PAUSE"),
        ("of another gate", json!([draw("operations", "max_risk", 3_000)]), "PAUSE"),
        ("of another threshold", json!([draw("quality", "max_risk", 3_000)]), "PAUSE"),
        ("never likely", json!([draw("quality", "min_coverage", 0)]), "PAUSE"),
        (
            "drawn at a greater rate than the bundle declares",
            json!([draw("quality", "min_coverage", 3_001)]),
            "PAUSE open quality.min_coverage 3001",
        ),
        (
            "a yes at a smaller rate is one at a greater",
            json!([draw("quality", "min_coverage", 2_000)]),
            "PASS explored quality.min_coverage 2000",
        ),
    ] {
        assert_eq!(thin().drawn(draws).said(&bundle), said, "{what}");
    }
    assert_eq!(thin().said(&bundle_with(None)), "PAUSE", "the bundle declares no exploration");
    for wrong in [json!(true), json!({"quality": true}), json!([{"gate": "quality"}])] {
        let error = simulate::read(thin().drawn(wrong).0, Digest::of(b"")).unwrap_err().to_string();
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
    for (what, asked, (gate, decision), said) in [
        ("a person let it through", thin(), ("quality", "approve"), "PASS"),
        ("a person refused it", thin(), ("quality", "refuse"), "PAUSE"),
        ("a person refused another gate", thin(), ("operations", "refuse"), "PAUSE"),
        ("a person let another gate through", thin().fact("risk", 7_001), ("quality", "approve"), "PAUSE"),
        ("nor is it evidence", asked(), ("free", "refuse"), "PASS"),
    ] {
        assert_eq!(asked.set("/approvals", approval(gate, decision)).said(&bundle), said, "{what}");
    }
}

#[test]
fn the_kill_switch_and_change_control_know_no_chance() {
    let bundle = bundle();
    assert_eq!(thin().set("/state/kill_switch", true).said(&bundle), "REJECT");
    let digest = |text: &str| Digest::of(text.as_bytes()).to_string();
    let diff = json!({
        "id": digest("diff"), "bundle": {"name": "explored", "protected": false},
        "base": digest("base"), "revision": digest("new"), "evidence": digest("evidence"),
        "learned": false, "loads": true, "tests": {"passed": 3, "failed": 0}, "direction": "tighten",
        "invariants": {"held": 2, "violated": [], "unproved": []}, "expires_at": "2026-11-28T00:00:00Z",
    });
    assert_eq!(thin().set("/policy_diff", diff).said(&bundle), "PAUSE");
    assert_eq!(thin().set("/state/changes", json!({"base_active": true})).said(&bundle), "PAUSE");
}

#[test]
fn an_explored_gate_says_so_and_no_other_does() {
    let bundle = bundle();
    let gates = serde_json::to_value(thin().decided(&bundle)).unwrap()["gates"].clone();
    assert_eq!(gates[0]["explored"], json!({"threshold": "min_coverage", "propensity": 3000}));
    assert_eq!((&gates[0]["verdict"], &gates[0]["effective"]), (&json!("PAUSE"), &json!("PASS")));
    assert_eq!(gates[0]["reasons"][0]["rule"], "thin");
    assert!(gates[1].get("explored").is_none());
    let plain = serde_json::to_value(thin().drawn(Value::Null).decided(&bundle)).unwrap();
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
        let of = |draws: Value| {
            let asked = asked().mode(case.mode).set("/submission/labels", case.labels.clone());
            asked.drawn(draws).decided(&bundle)
        };
        let (drawn, without) = (of(case.draws.clone()), of(Value::Null));
        // Turning every draw off gives the decision that there is without any.
        let mut off = case.draws.clone();
        for draw in off.as_array_mut().into_iter().flatten() {
            draw["drawn"] = json!(false);
        }
        let off = of(off);
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
