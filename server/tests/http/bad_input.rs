//! What cannot be used: one clear error, and nothing is lost.

use std::time::{Duration, Instant};

use cku_server::{Config, Limits};
use serde_json::json;

use crate::{
    client::{Connection, get, post},
    place::{Place, quiet, repository},
};

const GOOD: &str = r#"{"subject":{"type":"user","id":"alice"},"action":{"name":"edit"},"resource":{"type":"record","id":"101"}}"#;

#[test]
fn what_an_unusable_request_is_told() {
    let place = Place::authzen();
    let deep = format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200));
    let many = format!("{{\"evaluations\":[{}{{}}]}}", "{},".repeat(1_000));
    let cases: Vec<(&str, &str, Vec<u8>)> = vec![
        ("nothing", "/access/v1/evaluation", vec![]),
        ("no JSON", "/access/v1/evaluation", b"subject".to_vec()),
        ("a list", "/access/v1/evaluation", b"[]".to_vec()),
        ("cut off", "/access/v1/evaluation", GOOD.as_bytes()[..40].to_vec()),
        ("more after it", "/access/v1/evaluation", format!("{GOOD} {GOOD}").into_bytes()),
        ("a key twice", "/access/v1/evaluation", GOOD.replace("\"action\"", "\"subject\":{},\"action\"").into_bytes()),
        ("a lone surrogate", "/access/v1/evaluation", GOOD.replace("alice", "\\ud800").into_bytes()),
        ("no UTF-8", "/access/v1/evaluation", [b"\xff", GOOD.as_bytes()].concat()),
        ("nested", "/access/v1/evaluation", deep.into_bytes()),
        ("no subject", "/access/v1/evaluation", b"{}".to_vec()),
        ("a subject that is a text", "/access/v1/evaluation", b"{\"subject\":\"alice\"}".to_vec()),
        ("no type", "/access/v1/evaluation", b"{\"subject\":{\"id\":\"alice\"}}".to_vec()),
        ("an id that is a number", "/access/v1/evaluation", b"{\"subject\":{\"type\":\"user\",\"id\":7}}".to_vec()),
        ("an empty id", "/access/v1/evaluation", b"{\"subject\":{\"type\":\"user\",\"id\":\"\"}}".to_vec()),
        ("no name", "/access/v1/evaluation", GOOD.replace("\"name\":\"edit\"", "").into_bytes()),
        ("a context that is a list", "/access/v1/evaluation", GOOD.replacen('{', "{\"context\":[],", 1).into_bytes()),
        ("too many items", "/access/v1/evaluations", many.into_bytes()),
        ("items that are none", "/access/v1/evaluations", b"{\"evaluations\":{}}".to_vec()),
        ("a default that is none", "/access/v1/evaluations", b"{\"subject\":1,\"evaluations\":[{}]}".to_vec()),
        ("a page of none", "/access/v1/search/subject", br#"{"page":{"limit":0},"subject":{"type":"user"},"action":{"name":"a"},"resource":{"type":"record","id":"1"}}"#.to_vec()),
        ("no place", "/access/v2/evaluation", vec![]),
        ("no mode", "/v1/decide", b"{\"submission\":{}}".to_vec()),
        ("no submission", "/v1/decide", b"{\"mode\":\"prod\"}".to_vec()),
        ("a submission without intent", "/v1/decide", b"{\"mode\":\"prod\",\"submission\":{}}".to_vec()),
        ("no tenant", "/v1/decide", b"{\"mode\":\"prod\",\"tenant\":\"A B\",\"submission\":{\"intent\":\"x\"}}".to_vec()),
        ("an unknown mode", "/v1/decide", b"{\"mode\":\"prd\",\"submission\":{\"intent\":\"x\"}}".to_vec()),
    ];
    let mut told = String::new();
    for (what, path, body) in cases {
        let came = Connection::open(place.at()).post(path, "", &body);
        assert_eq!(came.header("content-type"), Some("application/problem+json"), "{what}: {came:?}");
        told.push_str(&format!("{what}: {}\n", came.told()));
    }
    insta::assert_snapshot!(told);
    assert_eq!(Connection::open(place.at()).post("/access/v1/evaluation", "", GOOD.as_bytes()).status, 200);
}

#[test]
fn types_methods_and_sizes_are_held_to() {
    let place = Place::authzen();
    let mut told = String::new();
    let mut raw = |what: &str, request: &[u8]| {
        let mut connection = Connection::open(place.at());
        connection.send(request);
        let line = connection.receive().map_or_else(
            || "closed".to_owned(),
            |came| format!("{} allow {:?} {}", came.status, came.header("allow"), came.body),
        );
        told.push_str(&format!("{what}: {line}\n"));
    };
    let with = |head: &str, body: &str| {
        format!(
            "POST /access/v1/evaluation HTTP/1.1\r\nHost: x\r\n{head}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    raw("no type", with("", GOOD).as_bytes());
    raw("another type", with("Content-Type: text/plain\r\n", GOOD).as_bytes());
    raw("another charset", with("Content-Type: application/json; charset=latin1\r\n", GOOD).as_bytes());
    raw("GET", b"GET /access/v1/evaluation HTTP/1.1\r\nHost: x\r\n\r\n");
    raw("DELETE", b"DELETE /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    raw("no HTTP", b"EHLO mail.example\r\n\r\n");
    raw(
        "a length that is none",
        b"POST /access/v1/evaluation HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    );
    raw(
        "two lengths",
        b"POST /access/v1/evaluation HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
    );
    raw(
        "a length beyond the limit",
        b"POST /access/v1/evaluation HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n",
    );
    let chunks = format!(
        "POST /access/v1/evaluation HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        format!("10000\r\n{}\r\n", " ".repeat(0x10000)).repeat(20)
    );
    raw("pieces beyond the limit", chunks.as_bytes());
    raw("a large header", with(&format!("X-Large: {}\r\n", "x".repeat(100_000)), GOOD).as_bytes());
    raw("many headers", with(&"X: y\r\n".repeat(5_000), GOOD).as_bytes());
    insta::assert_snapshot!(told);
    let utf8 = with("Content-Type: Application/JSON; charset=\"UTF-8\"\r\n", GOOD);
    let mut connection = Connection::open(place.at());
    connection.send(utf8.as_bytes());
    assert_eq!(connection.receive().unwrap().status, 200);
}

#[test]
fn who_is_slow_is_told_and_the_others_are_served() {
    let limits = Limits { patience: Duration::from_millis(300), ..Limits::default() };
    let place = Place::over(&repository().join("testdata/authzen/bundle"), Config { limits, ..quiet() });
    let mut slow = Connection::open(place.at());
    slow.send(b"POST /access/v1/evaluation HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
    let mut idle = Vec::new();
    for _ in 0..500 {
        idle.push(Connection::open(place.at()));
    }
    assert_eq!(post(place.at(), "/access/v1/evaluation", &serde_json::from_str(GOOD).unwrap()).status, 200);
    assert_eq!(slow.receive().unwrap().status, 408);
    // A client that goes away in the middle of its body is nobody's trouble.
    let mut gone = Connection::open(place.at());
    gone.send(b"POST /access/v1/evaluation HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
    drop(gone);
    assert_eq!(get(place.at(), "/healthz", "").status, 200);
    assert_eq!(idle.pop().unwrap().post("/access/v1/evaluation", "", GOOD.as_bytes()).status, 200);
}

#[test]
fn more_connections_than_allowed_are_closed() {
    let limits = Limits { connections: 3, ..Limits::default() };
    let place = Place::over(&repository().join("testdata/authzen/bundle"), Config { limits, ..quiet() });
    let mut open: Vec<Connection> = (0..3).map(|_| Connection::open(place.at())).collect();
    for connection in &mut open {
        assert_eq!(connection.post("/access/v1/evaluation", "", GOOD.as_bytes()).status, 200);
    }
    let mut fourth = Connection::open(place.at());
    fourth.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(fourth.receive().is_none());
    drop(open);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        let mut again = Connection::open(place.at());
        again.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        if again.receive().is_some_and(|came| came.status == 200) {
            return;
        }
    }
    panic!("connections that were closed still count");
}

#[test]
fn what_cannot_be_recorded_is_not_answered() {
    let place = Place::authzen();
    assert_eq!(post(place.at(), "/access/v1/evaluation", &serde_json::from_str(GOOD).unwrap()).status, 200);
    // The file is moved away: whatever was written would be found by nobody.
    let (here, away) = (place.folder.path().join("journal.db"), place.folder.path().join("away.db"));
    std::fs::rename(&here, &away).unwrap();
    for (path, body) in [
        ("/access/v1/evaluation", GOOD.to_owned()),
        ("/access/v1/evaluations", format!("{{\"evaluations\":[{GOOD}]}}")),
        ("/access/v1/search/action", GOOD.to_owned()),
    ] {
        let came = Connection::open(place.at()).post(path, "", body.as_bytes());
        assert_eq!(came.status, 503, "{path}: {came:?}");
        assert_eq!(came.header("retry-after"), Some("1"));
        assert!(!came.body.contains("decision\":true"), "{came:?}");
    }
    assert_eq!(get(place.at(), "/readyz", "").status, 503);
    assert_eq!(get(place.at(), "/healthz", "").status, 200, "it lives");
    std::fs::rename(&away, &here).unwrap();
    let request = serde_json::from_str(GOOD).unwrap();
    let again = post(place.at(), "/access/v1/evaluation", &request);
    assert_eq!(again.status, 200, "{again:?}");
    place.journal.verify_all().unwrap();
}

#[test]
fn what_a_caller_says_of_itself_counts_for_nothing() {
    let place = Place::over(&repository().join("policies/baseline"), quiet());
    let submission = json!({"intent": "tidy up"});
    let plain = json!({"mode": "prod", "tenant": "acme/payments", "submission": submission});
    let mut boasting = plain.clone();
    for (name, value) in [
        ("principal", json!({"kind": "user", "id": "dana", "tenant": "/", "authentication": "token"})),
        ("approvals", json!([{"approver": "user:rhea"}])),
        ("votes", json!([])),
        ("state", json!({"kill_switch": false})),
        ("time", json!("2020-01-01T00:00:00Z")),
    ] {
        boasting[name] = value.clone();
        boasting["submission"][name] = value;
    }
    let (plain, boasting) =
        (post(place.at(), "/v1/decide", &plain).json(), post(place.at(), "/v1/decide", &boasting).json());
    assert_eq!(plain["verdict"], boasting["verdict"]);
    assert_eq!(plain["decision"]["subject_digest"], boasting["decision"]["subject_digest"]);
    let warnings: Vec<&str> =
        boasting["warnings"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    for name in ["principal", "approvals", "votes", "state", "time"] {
        for path in [name.to_owned(), format!("submission.{name}")] {
            assert!(warnings.contains(&format!("`{path}` is not read").as_str()), "{path}: {warnings:?}");
        }
    }
}

#[test]
fn who_says_nothing_holds_no_place() {
    let limits = Limits { patience: Duration::from_millis(300), ..Limits::default() };
    let place = Place::over(&repository().join("testdata/authzen/bundle"), Config { limits, ..quiet() });
    for beginning in ["", "P", "POST /access/v1/evalu", "PRI * HTTP/2.0\r\n"] {
        let mut silent = Connection::open(place.at());
        silent.send(beginning.as_bytes());
        let begun = Instant::now();
        // Closed without an answer, or with one that says that it was too slow.
        let came = silent.receive();
        assert!(came.is_none_or(|came| came.status >= 400), "{beginning:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{beginning:?}");
    }
    // Whoever has asked may take longer than that for the next.
    let mut kept = Connection::open(place.at());
    assert_eq!(kept.post("/access/v1/evaluation", "", GOOD.as_bytes()).status, 200);
    std::thread::sleep(Duration::from_millis(900));
    assert_eq!(kept.post("/access/v1/evaluation", "", GOOD.as_bytes()).status, 200);
}

#[test]
fn names_are_short_and_work_is_asked_about_alone() {
    let place = Place::authzen();
    let long = GOOD.replace("alice", &"a".repeat(2_000));
    let came = Connection::open(place.at()).post("/access/v1/evaluation", "", long.as_bytes());
    assert_eq!(came.told(), "400 `subject.id` is longer than 1024 bytes");
    let work = json!({"evaluations": [{
        "subject": {"type": "user", "id": "dana"}, "action": {"name": "run:create"},
        "resource": {"type": "run", "id": "new"}, "context": {"run": {"intent": "x"}, "mode": "prod"},
    }]});
    let answer = post(place.at(), "/access/v1/evaluations", &work).json()["evaluations"][0].clone();
    assert_eq!(answer["decision"], false);
    assert_eq!(answer["context"]["error"]["message"], "work goes through the gates: ask about it alone");
    assert!(answer["context"]["evaluation_id"].is_string(), "{answer}");
}
