//! The control plane: runs, approvals, policy diffs, roles, switches, the journal, live events.

use std::{
    collections::BTreeMap,
    io::Read,
    time::{Duration, Instant},
};

use cku_auth::{Claims, SigningKey, TrustedKey};
use cku_base::{Principal, PrincipalKind, TenantPath};
use cku_engine::Bundle;
use cku_gates::Authentication;
use cku_server::{Config, Limits, Policies};
use serde_json::{Value, json};

use crate::{
    client::{Came, Connection},
    place::{Place, genesis, now, quiet, release, repository},
};

/// The baseline, for several people; dana administers.
pub(crate) struct Office {
    pub(crate) place: Place,
    pub(crate) key: SigningKey,
}

impl Office {
    pub(crate) fn new() -> Self {
        Self::of(Policies::Managed, quiet())
    }

    pub(crate) fn of(policies: Policies, config: Config) -> Self {
        let kinds = [PrincipalKind::User, PrincipalKind::ServiceAccount, PrincipalKind::Agent];
        let key = SigningKey::from_seed(&[7; 32]);
        let issuer = "https://id.acme.example".to_owned();
        let trusted = TrustedKey::new(key.public_key(), issuer, TenantPath::root(), kinds);
        let mut genesis = genesis(Authentication::Token, vec![serde_json::to_value(trusted).unwrap()]);
        genesis.control = cku_authority::Control::Managed;
        let place = Place::with(policies, &genesis, &repository().join("policies/baseline"), config);
        let office = Self { place, key };
        for (role, who) in [("reviewer", "rhea"), ("security", "sam"), ("operator", "otto")] {
            let granted = office.grant("dana", role, who);
            assert_eq!(granted.status, 200, "{granted:?}");
        }
        office
    }

    pub(crate) fn token(&self, kind: PrincipalKind, id: &str, tenant: &str) -> String {
        let principal = Principal { kind, id: id.parse().unwrap(), tenant: tenant.parse().unwrap() };
        let token = self.key.token(&Claims {
            issuer: "https://id.acme.example".to_owned(),
            audience: "cku".to_owned(),
            principal,
            token_id: None,
            issued_at: now(),
            expires_at: now().after(Duration::from_secs(600)).unwrap(),
        });
        format!("Authorization: Bearer {token}\r\n")
    }

    pub(crate) fn person(&self, id: &str) -> String {
        self.token(PrincipalKind::User, id, "/")
    }

    pub(crate) fn ci(&self) -> String {
        self.token(PrincipalKind::ServiceAccount, "ci", "acme/payments")
    }

    pub(crate) fn get(&self, path: &str, header: &str) -> Came {
        crate::client::get(self.place.at(), path, header)
    }

    pub(crate) fn post(&self, path: &str, header: &str, document: &Value) -> Came {
        Connection::open(self.place.at()).post(path, header, document.to_string().as_bytes())
    }

    pub(crate) fn grant(&self, by: &str, role: &str, who: &str) -> Came {
        let principal = json!({"kind": "user", "id": who, "tenant": "/"});
        let change = json!({"principal": principal, "role": role, "tenant": "/", "granted": true});
        self.post("/v1/roles", &self.person(by), &change)
    }

    pub(crate) fn submit(&self, mode: &str) -> Came {
        let wanted = json!({"tenant": "acme/payments", "mode": mode, "submission": release()});
        let came = self.post("/v1/runs", &self.ci(), &wanted);
        assert_eq!(came.status, 201, "{came:?}");
        came
    }
}

#[test]
fn what_is_submitted_twice_under_one_key_is_one_run() {
    let office = Office::new();
    let wanted = json!({"tenant": "acme/payments", "mode": "staging", "submission": release()});
    let keyed = |token: &str, key: &str, wanted: &Value| {
        office.post("/v1/runs", &format!("{token}Idempotency-Key: {key}\r\n"), wanted)
    };
    // At once, as by a client that does not wait for its answer.
    let came: Vec<Came> = std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..4).map(|_| scope.spawn(|| keyed(&office.ci(), "build-17", &wanted))).collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let runs: std::collections::BTreeSet<String> =
        came.iter().map(|came| came.json()["run"].as_str().unwrap().to_owned()).collect();
    assert_eq!(runs.len(), 1, "{came:?}");
    let mut statuses: Vec<u16> = came.iter().map(|came| came.status).collect();
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[3]), (200, 201), "{statuses:?}");
    assert_eq!(
        office.get("/v1/runs?tenant=acme/payments", &office.ci()).json()["runs"].as_array().unwrap().len(),
        1
    );
    // Later it is the run as it stands.
    let again = keyed(&office.ci(), "build-17", &wanted);
    assert_eq!((again.status, again.json()["status"].clone()), (200, json!("waiting")));
    let mut other = wanted.clone();
    other["submission"]["intent"] = json!("something else");
    let refused = keyed(&office.ci(), "build-17", &other);
    assert_eq!(refused.status, 409, "{refused:?}");
    assert!(refused.told().contains("used for other work"), "{}", refused.told());
    // Another key, or somebody else's: another run.
    assert_eq!(keyed(&office.ci(), "build-18", &wanted).status, 201);
    let agent = office.token(PrincipalKind::ServiceAccount, "ci-2", "acme/payments");
    assert_eq!(keyed(&agent, "build-17", &wanted).status, 201);
    for unfit in ["", &"k".repeat(201), "a\r\nIdempotency-Key: b"] {
        assert_eq!(keyed(&office.ci(), unfit, &wanted).status, 400, "{unfit}");
    }
}

#[test]
fn a_run_waits_is_approved_and_asked_about_again() {
    let office = Office::new();
    let submitted = office.submit("staging");
    assert_eq!(submitted.status, 201, "{submitted:?}");
    let run = submitted.json();
    let id = run["run"].as_str().unwrap().to_owned();
    assert_eq!(submitted.header("location"), Some(format!("/v1/runs/{id}").as_str()));
    assert_eq!(run["status"], "waiting");
    assert!(run["missing"]["gates"].as_array().unwrap().contains(&json!("plan_approval")), "{run}");
    let waiting = office.get("/v1/approvals", &office.person("rhea")).json();
    assert_eq!(waiting["waiting"][0]["run"], json!(id), "{waiting}");
    assert_eq!(office.get("/v1/approvals", &office.ci()).json()["waiting"], json!([]));
    let approvals = format!("/v1/runs/{id}/approvals");
    let subject = waiting["waiting"][0]["subject"].clone();
    let yes = json!({"gate": "plan_approval", "decision": "approve", "reason": "agreed", "subject": subject});
    assert_eq!(office.post(&approvals, &office.ci(), &yes).status, 403, "nobody approves their own");
    let approved = office.post(&approvals, &office.person("rhea"), &yes);
    assert_eq!(approved.status, 200, "{approved:?}");
    assert_eq!(office.post(&approvals, &office.person("rhea"), &yes).status, 409, "nobody decides twice");
    let again = office.post(&format!("/v1/runs/{id}/gates"), &office.ci(), &json!({})).json();
    let gates = again["decision"]["gates"].as_array().unwrap();
    let of = |name: &str| gates.iter().find(|gate| gate["gate"] == name).unwrap()["effective"].clone();
    assert_eq!(of("plan_approval"), "PASS", "{again}");
    let timeline = office.get(&format!("/v1/runs/{id}/timeline"), &office.ci()).json();
    let kinds: Vec<&str> = timeline["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["header"]["kind"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "run.submitted/1",
            "decision.made/1",
            "run.waiting/1",
            "approval.given/1",
            "decision.made/1",
            "run.waiting/1"
        ]
    );
    let cancelled =
        office.post(&format!("/v1/runs/{id}/cancel"), &office.ci(), &json!({"reason": "not now"}));
    assert_eq!(cancelled.json()["status"], "cancelled");
    assert_eq!(office.post(&format!("/v1/runs/{id}/cancel"), &office.ci(), &json!({})).status, 409);
    office.place.journal.verify_all().unwrap();
}

#[test]
fn lists_hold_what_whoever_asks_may_see_and_no_more() {
    let office = Office::new();
    let ids: Vec<String> =
        (0..3).map(|_| office.submit("dev").json()["run"].as_str().unwrap().to_owned()).collect();
    let stranger = office.token(PrincipalKind::ServiceAccount, "ci", "globex");
    assert_eq!(office.get("/v1/runs", &stranger).json()["runs"], json!([]));
    assert_eq!(office.get("/v1/runs?tenant=acme", &stranger).json()["runs"], json!([]));
    assert_eq!(office.get(&format!("/v1/runs/{}", ids[0]), &stranger).status, 404);
    assert_eq!(office.get(&format!("/v1/runs/{}/timeline", ids[0]), &stranger).status, 404);
    assert_eq!(office.post(&format!("/v1/runs/{}/cancel", ids[0]), &stranger, &json!({})).status, 404);
    assert_eq!(office.get("/v1/journal?tenant=acme", &stranger).status, 403);
    assert_eq!(office.get("/v1/roles?tenant=/", &stranger).status, 403);
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let page = office.get(&format!("/v1/runs?limit=2{after}"), &office.ci());
        assert_eq!(page.status, 200, "{page:?}");
        let page = page.json();
        found.extend(
            page["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(found, ids);
    let journal = office.get("/v1/journal?tenant=acme/payments&limit=2", &office.person("dana")).json();
    assert_eq!((journal["entries"].as_array().unwrap().len(), &journal["next"]), (2, &json!(2)));
    let session = office.get("/v1/session", &office.person("rhea")).json();
    assert_eq!(session["roles"], json!([{"role": "reviewer", "tenant": "/"}]));
}

#[test]
fn what_the_control_plane_cannot_use_is_told() {
    let office = Office::new();
    let run = office.submit("staging").json()["run"].as_str().unwrap().to_owned();
    let dana = office.person("dana");
    let mut told = String::new();
    for (what, path, document) in [
        ("a run without a mode", "/v1/runs", json!({"submission": {"intent": "x"}})),
        ("an unknown mode", "/v1/runs", json!({"mode": "prd", "submission": {"intent": "x"}})),
        (
            "a misspelt member",
            "/v1/runs",
            json!({"mode": "dev", "submission": {"intent": "x"}, "tennant": "acme"}),
        ),
        ("a run that is none", "/v1/runs/run-0/cancel", json!({})),
        ("an act that is none", &format!("/v1/runs/{run}/explode"), json!({})),
        (
            "a gate that is none",
            &format!("/v1/runs/{run}/approvals"),
            json!({"gate": "plan", "decision": "approve"}),
        ),
        (
            "a word that is none",
            &format!("/v1/runs/{run}/approvals"),
            json!({"gate": "plan_approval", "decision": "yes"}),
        ),
        (
            "a span that is none",
            &format!("/v1/runs/{run}/approvals"),
            json!({"gate": "plan_approval", "decision": "approve", "expires": "soon"}),
        ),
        (
            "another subject",
            &format!("/v1/runs/{run}/approvals"),
            json!({"gate": "plan_approval", "decision": "approve", "subject": format!("sha256:{}", "0".repeat(64))}),
        ),
        (
            "a confidence beyond",
            &format!("/v1/runs/{run}/votes"),
            json!({"part": "person", "vote": "approve", "confidence": 2}),
        ),
        (
            "a role that is none",
            "/v1/roles",
            json!({"principal": {"kind": "user", "id": "x", "tenant": "/"}, "role": "reviewr", "tenant": "/", "granted": true}),
        ),
        (
            "the last administrator",
            "/v1/roles",
            json!({"principal": {"kind": "user", "id": "dana", "tenant": "/"}, "role": "admin", "tenant": "/", "granted": false}),
        ),
        ("no principal", "/v1/roles", json!({"role": "reviewer", "tenant": "/", "granted": true})),
        ("a switch without a word", "/v1/killswitch", json!({"tenant": "acme"})),
        ("a freeze that is over", "/v1/freeze", json!({"on": true, "until": "2020-01-01T00:00:00Z"})),
        ("a diff without files", "/v1/diffs", json!({"title": "x"})),
        ("files that are none", "/v1/diffs", json!({"title": "x", "files": {"../x.rego": "package x"}})),
        (
            "a bundle that does not load",
            "/v1/diffs",
            json!({"title": "x", "files": {"bundle.yaml": "name: x"}}),
        ),
        ("a diff that is none", "/v1/diffs/00/approve", json!({"reason": "x"})),
        ("nothing there", "/v1/nothing", json!({})),
        ("a list that is asked with POST", "/v1/journal", json!({})),
    ] {
        told.push_str(&format!("{what}: {}\n", office.post(path, &dana, &document).told()));
    }
    for path in
        ["/v1/runs?limit=x", "/v1/runs?tenant=A%20B", "/v1/runs?limit=1&limit=2", "/v1/events?tenant=A%20B"]
    {
        told.push_str(&format!("{path}: {}\n", office.get(path, &dana).told()));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_switch_holds_for_the_next_decision() {
    let office = Office::new();
    let stop = |on: bool| json!({"on": on, "tenant": "acme", "reason": "drill"});
    assert_eq!(office.post("/v1/killswitch", &office.ci(), &stop(true)).status, 403);
    assert_eq!(office.post("/v1/killswitch", &office.person("sam"), &stop(true)).status, 200);
    assert_eq!(office.submit("dev").json()["status"], "rejected");
    assert_eq!(office.post("/v1/killswitch", &office.person("sam"), &stop(false)).status, 200);
    assert_ne!(office.submit("dev").json()["status"], "rejected");
    assert_eq!(office.grant("rhea", "admin", "rhea").status, 403);
}

/// The files of the baseline with a stricter threshold in staging.
fn stricter() -> BTreeMap<String, String> {
    let bundle = Bundle::load(&repository().join("policies/baseline")).unwrap();
    let files = bundle
        .sources()
        .files()
        .iter()
        .map(|file| (file.path.clone(), file.text.replace("percent = 80% in", "percent = 85% in")));
    files.collect()
}

#[test]
fn a_change_is_proposed_tried_activated_and_taken_back() {
    let office = Office::new();
    let before = office.get("/readyz", "").json()["bundle_revision"].clone();
    let wanted = json!({"title": "Coverage was too low", "files": stricter(), "modes": ["dev"]});
    assert_eq!(office.post("/v1/diffs", &office.ci(), &wanted).status, 403);
    let proposed = office.post("/v1/diffs", &office.person("otto"), &wanted);
    assert_eq!(proposed.status, 201, "{proposed:?}");
    let review = proposed.json();
    assert_eq!(
        (&review["status"], &review["decision"]["verdict"]),
        (&json!("checked"), &json!("PAUSE")),
        "{review}"
    );
    let id = review["id"].as_str().unwrap();
    let act = |verb: &str, who: &str, document: Value| {
        office.post(&format!("/v1/diffs/{id}/{verb}"), &office.person(who), &document)
    };
    assert_eq!(
        act("approve", "rhea", json!({"reason": "ok"})).status,
        400,
        "what was looked at must be named"
    );
    let other = json!({"reason": "ok", "evidence": format!("sha256:{}", "0".repeat(64))});
    assert_eq!(act("approve", "rhea", other).status, 409);
    let evidence = review["evidence_digest"].clone();
    assert_eq!(act("approve", "otto", json!({"reason": "mine", "evidence": evidence})).status, 403);
    let approved = act("approve", "rhea", json!({"reason": "agreed", "evidence": evidence}));
    assert_eq!(approved.json()["decision"]["verdict"], "PASS", "{approved:?}");
    assert_eq!(act("activate", "rhea", json!({})).status, 403);
    let shadow = act("activate", "dana", json!({"stage": "shadow"}));
    assert_eq!(shadow.json()["status"], "shadow", "{shadow:?}");
    let run = office.submit("dev").json();
    assert_eq!(run["decision"]["bundle_revision"], before, "a shadow decides over nothing");
    assert_eq!(
        office.get(&format!("/v1/diffs/{id}"), &office.person("dana")).json()["trial"]["decisions"],
        1
    );
    assert_eq!(act("activate", "dana", json!({"stage": "canary", "share": 0})).status, 400);
    let active = act("activate", "dana", json!({}));
    assert_eq!(active.json()["status"], "active", "{active:?}");
    let after = office.submit("dev").json()["decision"]["bundle_revision"].clone();
    assert_eq!(after, review["revision"], "it holds for the next decision");
    assert_eq!(office.submit("staging").json()["decision"]["bundle_revision"], before, "in its mode alone");
    let bundles = office.get("/v1/bundles", &office.person("dana")).json();
    assert_eq!(bundles["gates"]["active"].as_array().unwrap().len(), 2, "{bundles}");
    assert_eq!(act("rollback", "dana", json!({"reason": "back"})).json()["status"], "rolled back");
    assert_eq!(office.submit("dev").json()["decision"]["bundle_revision"], before);
    assert_eq!(act("rollback", "dana", json!({"reason": "back"})).status, 409);
    office.place.journal.verify_all().unwrap();
}

/// Reads events until there are so many; the ids, in the order in which they came.
fn events(office: &Office, path: &str, headers: &str, wanted: usize) -> Vec<u64> {
    let mut connection = Connection::open(office.place.at());
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes());
    let (mut text, mut piece, begun) = (String::new(), [0; 4_096], Instant::now());
    loop {
        let read = connection.0.read(&mut piece).unwrap_or_else(|e| panic!("{path}: {e}: {text}"));
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
        let ids = text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().unwrap());
        let ids: Vec<u64> = ids.collect();
        if ids.len() >= wanted {
            assert!(text.contains("content-type: text/event-stream"), "{text}");
            return ids;
        }
        assert!(begun.elapsed() < Duration::from_secs(20) && read > 0, "{text}");
    }
}

#[test]
fn events_come_once_each_whatever_happens_to_the_connection() {
    let office = Office::new();
    let dana = office.person("dana");
    office.submit("staging");
    let path = "/v1/events?tenant=acme/payments";
    let from_the_start = format!("{dana}Last-Event-ID: 0\r\n");
    let first = events(&office, path, &from_the_start, 3);
    assert_eq!(first, [1, 2, 3]);
    // The connection was lost in between, and more happened.
    let second = office.submit("staging").json()["run"].as_str().unwrap().to_owned();
    let rest = events(&office, path, &format!("{dana}Last-Event-ID: 2\r\n"), 4);
    assert_eq!(rest, [3, 4, 5, 6], "no gap, no repeat");
    let of_run = events(&office, &format!("{path}&run={second}"), &from_the_start, 3);
    assert_eq!(of_run, [4, 5, 6]);
    // While somebody listens.
    let live = std::thread::scope(|scope| {
        let listens = scope.spawn(|| events(&office, path, &format!("{dana}Last-Event-ID: 6\r\n"), 3));
        office.submit("staging");
        listens.join().unwrap()
    });
    assert_eq!(live, [7, 8, 9]);
    assert_eq!(office.get(path, &office.ci()).status, 403, "the journal is not for everybody");
    assert_eq!(office.get(path, &format!("{dana}Last-Event-ID: x\r\n")).status, 400);
}

#[test]
fn who_waits_for_news_keeps_the_connection_and_who_is_done_does_not() {
    let brief = Duration::from_millis(300);
    let limits = Limits { patience: brief, idle: brief, ..Limits::default() };
    let office = Office::of(Policies::Managed, Config { limits, ..quiet() });
    let mut done = Connection::open(office.place.at());
    done.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(done.receive().unwrap().status, 200);
    let dana = office.person("dana");
    let heard = std::thread::scope(|scope| {
        let listens = scope.spawn(|| {
            events(&office, "/v1/events?tenant=acme/payments", &format!("{dana}Last-Event-ID: 0\r\n"), 3)
        });
        std::thread::sleep(4 * brief);
        office.submit("staging");
        listens.join().unwrap()
    });
    assert_eq!(heard, [1, 2, 3], "one connection, silent for longer than an idle one may be");
    assert!(done.receive().is_none(), "idle for as long");
}

#[test]
fn work_that_pauses_is_requested_approved_and_permitted() {
    let office = Office::new();
    let question = json!({
        "subject": {"type": "service_account", "id": "ci"}, "action": {"name": "run:create"},
        "resource": {"type": "run", "id": "new"}, "context": {"mode": "staging", "run": release()},
    });
    let ask = |question: &Value| office.post("/access/v1/evaluation", &office.ci(), question);
    let mut for_others = question.clone();
    for_others["subject"]["id"] = json!("dana");
    assert_eq!(ask(&for_others).status, 400, "{}", ask(&for_others).body);
    let paused = ask(&question).json();
    assert_eq!(
        (&paused["decision"], &paused["context"]["reason"]),
        (&json!(false), &json!("approval_required"))
    );
    assert_eq!(paused["context"]["gates"].as_array().unwrap().len(), 9);
    let offer = &paused["context"]["access_request"];
    let path =
        offer["endpoint"].as_str().unwrap().rsplit_once("127.0.0.1").unwrap().1.split_once('/').unwrap().1;
    let path = format!("/{path}");
    let wanted = json!({"binding_token": offer["binding_token"], "request": question});
    let mut other = wanted.clone();
    other["request"]["context"]["run"]["intent"] = json!("Something else");
    assert_eq!(office.post(&path, &office.ci(), &other).status, 409, "the token is of one question");
    let accepted = office.post(&path, &office.ci(), &wanted);
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let task = accepted.json()["task"].clone();
    assert_eq!(task["status"], "pending");
    let id = task["id"].as_str().unwrap();
    let status =
        || office.get(&format!("/access/v1/requests/{id}"), &office.ci()).json()["task"]["status"].clone();
    assert_eq!(status(), "pending");
    let mut again = question.clone();
    again["context"]["approval"] = json!({"id": id});
    assert_eq!(ask(&again).json()["decision"], false, "nobody approved");
    // What staging asks of people: an approval of the plan, two voters, and whatever else waits.
    let missing = accepted.json()["missing"].clone();
    for gate in missing["gates"].as_array().unwrap() {
        for who in ["rhea", "dana"] {
            let yes = json!({"gate": gate, "decision": "approve"});
            let said = office.post(&format!("/v1/runs/{id}/approvals"), &office.person(who), &yes);
            assert_eq!(said.status, 200, "{gate}: {said:?}");
        }
    }
    for who in ["rhea", "sam", "dana"] {
        let vote = json!({"part": "person", "vote": "approve"});
        assert_eq!(office.post(&format!("/v1/runs/{id}/votes"), &office.person(who), &vote).status, 200);
    }
    assert_eq!(status(), "approved", "{}", ask(&again).body);
    assert_eq!(ask(&again).json()["decision"], true);
    assert_eq!(ask(&question).json()["decision"], false, "without the approval it waits as before");
    let mut other = again.clone();
    other["context"]["run"]["intent"] = json!("Something else");
    assert_eq!(ask(&other).status, 409, "an approval holds for one thing");
    let stranger = office.token(PrincipalKind::ServiceAccount, "ci", "globex");
    assert_eq!(office.get(&format!("/access/v1/requests/{id}"), &stranger).status, 404);
    office.place.journal.verify_all().unwrap();
}

#[test]
fn a_stream_ends_when_who_may_do_what_changes() {
    let office = Office::new();
    office.submit("staging");
    let mut connection = Connection::open(office.place.at());
    let dana = office.person("dana");
    let path = "/v1/events?tenant=acme/payments";
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{dana}Last-Event-ID: 0\r\n\r\n").as_bytes());
    let (mut text, mut piece, mut granted) = (String::new(), [0; 4_096], false);
    let begun = Instant::now();
    loop {
        let read = connection.0.read(&mut piece).unwrap();
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
        // The last piece of a stream in HTTP/1.1.
        if read == 0 || text.ends_with("0\r\n\r\n") {
            break;
        }
        if !granted && text.contains("id: 3") {
            granted = office.grant("dana", "viewer", "vera").status == 200;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{text}");
    }
    assert!(granted, "{text}");
}

#[test]
fn nobody_writes_into_a_tenant_of_others() {
    let office = Office::new();
    let victim: TenantPath = "victim/x".parse().unwrap();
    let wanted = json!({"tenant": "victim/x", "mode": "dev", "submission": {"intent": "chosen words"}});
    assert_eq!(office.post("/v1/runs", &office.ci(), &wanted).status, 403);
    let question = json!({
        "subject": {"type": "service_account", "id": "ci"}, "action": {"name": "run:create"},
        "resource": {"type": "run", "id": "new"},
        "context": {"mode": "dev", "run": {"intent": "chosen words"}},
    });
    assert_eq!(office.post("/victim/x/access/v1/evaluation", &office.ci(), &question).status, 403);
    let tokens = format!("sha256:{}", "0".repeat(64));
    let request = json!({"binding_token": tokens, "request": question});
    assert!(office.post("/victim/x/access/v1/requests", &office.ci(), &request).status >= 400);
    assert!(office.place.journal.head(&victim).unwrap().is_none(), "its chain holds nothing");
    let denied = office.place.journal.stream(&"acme/payments".parse().unwrap(), "access:service_account:ci");
    assert_eq!(denied.unwrap().len(), 1, "the denial is an entry of whoever asked");
}

#[test]
fn a_learner_beside_the_server_looks_at_what_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("learner.jwt");
    let config = Config { learner_token: Some(token.clone()), ..quiet() };
    // The key of an office is always the same, so that its tokens can be made before it.
    let before = Office::new();
    let header = before.token(PrincipalKind::ServiceAccount, "learner", "/");
    std::fs::write(&token, header.trim().rsplit(' ').next().unwrap()).unwrap();
    let office = Office::of(Policies::Managed, config);
    let begun = Instant::now();
    while !office.get("/metrics", "").body.contains("cku_learner_well 1") {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", office.get("/metrics", "").body);
    }
    assert!(before.get("/metrics", "").body.contains("cku_learner_well 0"), "nobody learns unless asked to");
}

#[test]
fn nobody_writes_into_the_chains_of_others_by_being_denied() {
    let office = Office::new();
    let stranger = office.token(PrincipalKind::Agent, "stranger", "globex");
    let before = office.place.journal.tenants().unwrap();
    for tenant in ["acme/payments", "acme", "nowhere/at/all"] {
        let stop = json!({"on": true, "tenant": tenant, "reason": "mischief"});
        assert_eq!(office.post("/v1/killswitch", &stranger, &stop).status, 403);
    }
    let mut after = office.place.journal.tenants().unwrap();
    after.retain(|tenant| !before.contains(tenant));
    assert_eq!(after, ["globex".parse::<TenantPath>().unwrap()], "the denials are in their own");
}

#[test]
fn the_gates_are_asked_again_by_those_who_may_start_work_and_not_about_what_is_over() {
    let office = Office::new();
    let id = office.submit("staging").json()["run"].as_str().unwrap().to_owned();
    let gates = format!("/v1/runs/{id}/gates");
    let denied = office.post(&gates, &office.person("rhea"), &json!({}));
    assert_eq!(denied.status, 403, "a reviewer may look at it, and no more: {denied:?}");
    assert_eq!(office.post(&gates, &office.ci(), &json!({})).status, 200);
    let cancelled = office.post(&format!("/v1/runs/{id}/cancel"), &office.ci(), &json!({}));
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
    let over = office.post(&gates, &office.ci(), &json!({}));
    assert_eq!(over.status, 409, "{over:?}");
    assert_eq!(office.get(&format!("/v1/runs/{id}"), &office.ci()).json()["status"], "cancelled");
}
