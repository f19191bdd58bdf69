//! AuthZEN: the published cases, and what the standard says beside them.

use cku_server::Config;
use serde_json::{Value, json};

use crate::{
    client::{Connection, get, post},
    place::{Place, quiet, repository},
};

fn cases(name: &str, of: &str) -> Vec<Value> {
    let path = repository().join("testdata/authzen/cases").join(name);
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    document[of].as_array().unwrap().clone()
}

fn question(user: &str, action: &str, record: &str) -> Value {
    json!({
        "subject": {"type": "user", "id": user}, "action": {"name": action},
        "resource": {"type": "record", "id": record},
    })
}

#[test]
fn the_published_cases_pass() {
    let place = Place::authzen();
    let mut connection = Connection::open(place.at());
    let mut asked = 0;
    let mut ask = |path: &str, request: &Value| {
        asked += 1;
        let came = connection.post(path, "", request.to_string().as_bytes());
        assert_eq!(came.status, 200, "{request}: {came:?}");
        came.json()
    };
    for name in ["todo-decisions.json", "api-gateway-decisions.json"] {
        for case in cases(name, "evaluation") {
            let answer = ask("/access/v1/evaluation", &case["request"]);
            assert_eq!(answer["decision"], case["expected"], "{case}");
        }
    }
    for case in cases("todo-decisions.json", "evaluations") {
        let answer = ask("/access/v1/evaluations", &case["request"]);
        let said: Vec<&Value> =
            answer["evaluations"].as_array().unwrap().iter().map(|e| &e["decision"]).collect();
        let expected: Vec<&Value> =
            case["expected"].as_array().unwrap().iter().map(|e| &e["decision"]).collect();
        assert_eq!(said, expected, "{case}");
    }
    for (name, of, path) in [
        ("search-subject-results.json", "evaluation", "subject"),
        ("search-resource-results.json", "evaluation", "resource"),
        ("search-action-results.json", "evaluation", "action"),
        ("idp-results.json", "search", "resource"),
    ] {
        for case in cases(name, of) {
            let answer = ask(&format!("/access/v1/search/{path}"), &case["request"]);
            assert_eq!(answer["results"], case["expected"]["results"], "{case}");
        }
    }
    assert!(asked > 270, "{asked}");
    place.journal.verify_all().unwrap();
}

#[test]
fn an_answer_names_its_record_and_the_record_holds_the_question() {
    let place = Place::authzen();
    let mut request = question("bob", "edit", "101");
    request["context"] = json!({"unheard": 1});
    let answer = post(place.at(), "/access/v1/evaluation", &request).json();
    assert_eq!(answer["decision"], false);
    assert_eq!(answer["context"]["reason"], "policy_denied");
    let id = answer["context"]["evaluation_id"].as_str().unwrap();
    let found = get(place.at(), &format!("/v1/decisions/{id}"), "").json();
    assert_eq!(found["evaluation"]["subject"], request["subject"]);
    assert_eq!(found["evaluation"]["context"], request["context"]);
    assert_eq!(found["evaluation"]["decision"], false);
    assert_eq!(found["evaluation"]["caller"], "user:dana");
    assert_eq!(found["bundle_revision"], answer["context"]["bundle_revision"]);
    for other in ["~:1.0", "~:999.0", "acme:1.0", "nothing", "~:3", "x:y.z", "run-1", "/:4.0"] {
        assert_eq!(get(place.at(), &format!("/v1/decisions/{other}"), "").status, 404, "{other}");
    }
    let batch = json!({"evaluations": [question("alice", "view", "101"), question("bob", "edit", "101")]});
    let answers = post(place.at(), "/access/v1/evaluations", &batch).json();
    let id = answers["evaluations"][1]["context"]["evaluation_id"].as_str().unwrap();
    let found = get(place.at(), &format!("/v1/decisions/{id}"), "").json();
    assert_eq!(found["evaluation"]["subject"]["id"], "bob", "{found}");
}

#[test]
fn questions_that_wait_together_share_an_entry() {
    let place = Place::authzen();
    let before = place.journal.head(&cku_base::TenantPath::root()).unwrap().unwrap().seq;
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut connection = Connection::open(place.at());
                for _ in 0..20 {
                    let request = question("alice", "view", "101").to_string();
                    let came = connection.post("/access/v1/evaluation", "", request.as_bytes());
                    assert_eq!(came.json()["decision"], true);
                }
            });
        }
    });
    let after = place.journal.head(&cku_base::TenantPath::root()).unwrap().unwrap().seq;
    let entries = place.journal.read(&cku_base::TenantPath::root(), before, 1_000).unwrap();
    let held =
        entries.iter().map(|e| e.body.as_ref().unwrap().value["evaluations"].as_array().unwrap().len());
    assert_eq!(held.sum::<usize>(), 320, "each is recorded, once");
    assert!(after - before < 320, "{} entries", after - before);
    place.journal.verify_all().unwrap();
}

#[test]
fn batches_go_as_far_as_they_are_asked_to() {
    let place = Place::authzen();
    let items = json!([
        question("alice", "view", "101"),
        question("bob", "edit", "101"),
        question("alice", "edit", "101")
    ]);
    let ask = |semantic: &str| {
        let options = json!({"evaluations_semantic": semantic});
        let came =
            post(place.at(), "/access/v1/evaluations", &json!({"evaluations": items, "options": options}));
        assert_eq!(came.status, 200);
        let all = came.json()["evaluations"].as_array().unwrap().clone();
        all.iter().map(|answer| answer["decision"] == true).collect::<Vec<_>>()
    };
    assert_eq!(ask("execute_all"), [true, false, true]);
    assert_eq!(ask("deny_on_first_deny"), [true, false]);
    assert_eq!(ask("permit_on_first_permit"), [true]);
    let unknown = json!({"evaluations": items, "options": {"evaluations_semantic": "some"}});
    assert_eq!(post(place.at(), "/access/v1/evaluations", &unknown).status, 400);
}

#[test]
fn what_a_batch_says_holds_where_an_item_says_nothing() {
    let place = Place::authzen();
    let batch = json!({
        "subject": {"type": "user", "id": "alice", "properties": {"unheard": 1}}, "action": {"name": "edit"},
        "evaluations": [
            {"resource": {"type": "record", "id": "101"}},
            {"resource": {"type": "record", "id": "101"}, "subject": {"type": "user", "id": "bob"}},
            {"resource": {"type": "record"}},
            "nothing",
            {"action": {"name": "view"}, "resource": {"type": "record", "id": "102"}},
        ],
    });
    let answers = post(place.at(), "/access/v1/evaluations", &batch).json();
    let answers = answers["evaluations"].as_array().unwrap();
    let said: Vec<bool> = answers.iter().map(|answer| answer["decision"] == true).collect();
    assert_eq!(said, [true, false, false, false, true]);
    assert_eq!(answers[2]["context"]["error"]["status"], 400);
    assert_eq!(answers[2]["context"]["error"]["message"], "`resource.id` is missing");
    // Without items it is one question.
    for one in [json!([]), Value::Null] {
        let mut single = question("alice", "edit", "101");
        single["evaluations"] = one;
        assert_eq!(post(place.at(), "/access/v1/evaluations", &single).json()["decision"], true);
    }
}

#[test]
fn a_search_comes_in_pages() {
    let place = Place::authzen();
    let mut request = json!({
        "subject": {"type": "user", "id": "alice"}, "action": {"name": "view"}, "resource": {"type": "record"},
        "page": {"limit": 7},
    });
    let mut found = Vec::new();
    let mut pages = 0;
    loop {
        let answer = post(place.at(), "/access/v1/search/resource", &request).json();
        found.extend(answer["results"].as_array().unwrap().clone());
        pages += 1;
        let token = answer["page"]["next_token"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
        request["page"]["token"] = json!(token);
    }
    assert_eq!((found.len(), pages), (20, 3));
    for record in &found {
        let one = json!({"subject": request["subject"], "action": request["action"], "resource": record});
        assert_eq!(post(place.at(), "/access/v1/evaluation", &one).json()["decision"], true, "{record}");
    }
    // A token is of one search.
    request["subject"]["id"] = json!("bob");
    request["page"]["token"] = json!("MTQgc2hhMjU2OmFiYw");
    assert_eq!(
        post(place.at(), "/access/v1/search/resource", &request).told(),
        "400 `page.token` is not one that this search gave"
    );
    let unknown = json!({"subject": {"type": "nobody"}, "action": {"name": "view"}, "resource": {"type": "record", "id": "101"}});
    assert_eq!(post(place.at(), "/access/v1/search/subject", &unknown).json()["results"], json!([]));
}

#[test]
fn where_it_is_is_for_the_configuration_to_say() {
    let config = Config { public_url: Some("https://pdp.acme.example/".to_owned()), ..quiet() };
    let place = Place::over(&repository().join("testdata/authzen/bundle"), config);
    let all = get(place.at(), "/.well-known/authzen-configuration", "X-Request-ID: one-2\r\n");
    assert_eq!(all.header("x-request-id"), Some("one-2"));
    assert_eq!(all.json()["policy_decision_point"], "https://pdp.acme.example");
    let acme = get(place.at(), "/.well-known/authzen-configuration/acme/payments", "").json();
    assert_eq!(
        acme["search_action_endpoint"],
        "https://pdp.acme.example/acme/payments/access/v1/search/action"
    );
    // What the path says is the tenant in which it is asked and recorded.
    let answer =
        post(place.at(), "/acme/payments/access/v1/evaluation", &question("alice", "edit", "101")).json();
    assert!(answer["context"]["evaluation_id"].as_str().unwrap().starts_with("acme~payments:1."), "{answer}");
}
