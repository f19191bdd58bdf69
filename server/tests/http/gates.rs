//! The nine gates over HTTP.

use serde_json::{Value, json};

use crate::{
    client::{get, post},
    place::{Place, quiet, repository},
};

fn submission() -> Value {
    json!({
        "intent": "Tidy up", "change": {"files": ["a.txt"], "boundary": ["**"]},
        "plan": {"steps": [{"id": "look", "skill": "command", "with": {"argv": ["true"]}, "effects": false}]},
    })
}

fn place() -> Place {
    Place::over(&repository().join("policies/baseline"), quiet())
}

#[test]
fn a_decision_says_why_and_is_found_again() {
    let place = place();
    let mut request = json!({"tenant": "acme/payments", "mode": "dev", "submission": submission()});
    let answer = post(place.at(), "/v1/decide", &request);
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    let verdict = answer["verdict"].as_str().unwrap();
    assert_eq!(answer["decision"]["gates"].as_array().unwrap().len(), 9);
    let id = answer["id"].as_str().unwrap();
    assert!(id.starts_with("decision-"), "{id}");
    let found = get(place.at(), &format!("/v1/decisions/{id}"), "").json();
    assert_eq!(found["verdict"], verdict);
    assert_eq!(found["decision"], answer["decision"]);
    assert_eq!(found["entry"], answer["entry"]);
    // In prod the single local user is rejected, since nobody proved who they are.
    request["mode"] = json!("prod");
    let prod = post(place.at(), "/v1/decide", &request).json();
    assert_eq!(prod["verdict"], "REJECT");
    assert_eq!(prod["decision"]["gates"][0]["gate"], "security");
    place.journal.verify_all().unwrap();
}

#[test]
fn the_same_is_decided_as_from_the_command_line() {
    let place = place();
    let request = json!({"tenant": "acme/payments", "mode": "dev", "submission": submission()});
    let answer = post(place.at(), "/v1/decide", &request).json();
    // The input that was decided is in the journal, and decides the same again.
    let tenant = "acme/payments".parse().unwrap();
    let entry = place.journal.read(&tenant, 0, 10).unwrap().pop().unwrap();
    let body = &entry.body.as_ref().unwrap().value;
    let digest = body["input"].as_str().unwrap().parse().unwrap();
    let input = place.journal.blob(&tenant, &digest).unwrap().unwrap();
    let (input, _) = cku_gates::DecisionInput::read(&serde_json::from_slice(&input).unwrap()).unwrap();
    let bundle = cku_engine::Bundle::load(&repository().join("policies/baseline")).unwrap();
    let mut worker = cku_engine::Worker::new(bundle.into());
    let again = cku_gates::decide(&mut worker, &input, false).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), answer["decision"]);
}

#[test]
fn a_batch_decides_each_and_says_what_it_cannot() {
    let place = place();
    let good = json!({"tenant": "acme/payments", "mode": "dev", "submission": submission()});
    let mut unknown = good.clone();
    unknown["mode"] = json!("prd");
    let batch = json!({"decisions": [good, unknown, 7, {"mode": "dev"}]});
    let answers = post(place.at(), "/v1/decide/batch", &batch).json();
    let answers = answers["decisions"].as_array().unwrap();
    assert!(answers[0]["verdict"].is_string());
    let errors: Vec<&str> = answers[1..].iter().map(|a| a["error"]["detail"].as_str().unwrap()).collect();
    insta::assert_snapshot!(errors.join("\n"));
    for bad in [json!({}), json!({"decisions": []}), json!({"decisions": 1})] {
        assert_eq!(post(place.at(), "/v1/decide/batch", &bad).status, 400);
    }
}

#[test]
fn a_caller_may_demand_an_activation() {
    let place = place();
    let latest = get(place.at(), "/readyz", "").json()["activation"].as_u64().unwrap();
    let ask = |at_least: u64| {
        let request =
            json!({"tenant": "acme", "mode": "dev", "submission": {"intent": "x"}, "at_least": at_least});
        post(place.at(), "/v1/decide", &request)
    };
    assert_eq!(ask(latest).status, 200);
    assert_eq!(ask(latest + 1).status, 503);
    let metrics = get(place.at(), "/metrics", "").body;
    assert!(metrics.contains("cku_decisions_total{verdict=\""), "{metrics}");
    assert!(metrics.contains("cku_gate_outcomes_total{gate=\"security\""), "{metrics}");
}
