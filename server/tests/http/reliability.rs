//! Reliability over HTTP, and decisions that follow it.

use std::time::{Duration, Instant};

use cku_authority::with_actor;
use cku_base::{PrincipalKind, TenantPath};
use cku_journal::{Command, Draft, Journal, Kind, Options};
use cku_runs::{Event, Failure, StepFinished, StepStarted, subject};
use cku_skills::FailureClass;
use serde_json::{Value, json};

use crate::{client::Came, control::Office, place::release};

fn payments() -> TenantPath {
    "acme/payments".parse().unwrap()
}

fn draft(run: &str, kind: Kind, members: serde_json::Map<String, Value>) -> Draft {
    Draft { tenant: payments(), kind, body: with_actor(members, &json!("cku"), &subject(run)) }
}

impl Office {
    /// Tries of a skill that fail, as whoever carries out the run records them.
    fn fail(&self, run: &str, skill: &str, tries: u32) {
        let mut drafts = Vec::new();
        for attempt in 1..=tries {
            let step = "build".to_owned();
            let failure = Failure {
                class: FailureClass::Timeout,
                message: String::new(),
                exit_code: None,
                signal: None,
            };
            let (skill, key) = (skill.to_owned(), String::new());
            for event in [
                Event::StepStarted(StepStarted { step: step.clone(), skill, attempt, key }),
                Event::StepFinished(StepFinished { step, attempt, failure: Some(failure), report: None }),
            ] {
                drafts.push(draft(run, event.kind(), event.members().unwrap()));
            }
        }
        self.place.journal.append(Command { drafts, ..Command::default() }).unwrap();
    }

    fn reliability(&self, query: &str, header: &str) -> Came {
        self.get(&format!("/v1/reliability{query}"), header)
    }

    /// What the gates say of a release in dev that cannot be undone.
    fn decide(&self) -> Came {
        let mut submission = release();
        submission["plan"]["steps"][1]["reversible"] = json!(false);
        let wanted = json!({"tenant": "acme/payments", "mode": "dev", "submission": submission});
        self.post("/v1/decide", &self.ci(), &wanted)
    }
}

/// What the gate of operations makes of the risk.
fn risk(decided: &Value) -> String {
    let gates = decided["decision"]["gates"].as_array().unwrap();
    gates.iter().find(|gate| gate["gate"] == "operations").unwrap().to_string()
}

#[test]
fn tries_that_fail_are_told_and_decisions_follow_them() {
    let office = Office::new();
    let dana = office.person("dana");
    let nothing = office.reliability("?tenant=acme", &dana);
    assert_eq!((nothing.status, &nothing.json()["tenants"]), (200, &json!([])), "{nothing:?}");
    let before = office.decide();
    assert_eq!((before.status, &before.json()["verdict"]), (200, &json!("PASS")), "{before:?}");
    let run = office.submit("staging").json()["run"].as_str().unwrap().to_owned();
    office.fail(&run, "command", 40);
    let told = office.reliability("?tenant=acme&kind=skills", &dana);
    assert_eq!(told.status, 200, "{told:?}");
    let told = told.json();
    assert_eq!(told["tenants"][0]["tenant"], "acme/payments");
    let skill = &told["subjects"]["skills"][0];
    assert_eq!(
        (&skill["name"], &skill["outcomes"], &skill["given"]),
        (&json!("command"), &json!(40), &json!(0))
    );
    // Read to the end for that answer, and known to the next decision.
    let after = office.decide();
    assert_eq!((after.status, &after.json()["verdict"]), (200, &json!("REJECT")), "{after:?}");
    assert!(risk(&after.json()).contains("unreliable skills 0.5000"), "{}", risk(&after.json()));
    let all = office.reliability("", &dana).json();
    assert_eq!(all["tenants"].as_array().unwrap().len(), 1, "dana is at home in the root: {all}");
}

#[test]
fn what_is_recorded_is_read_on_without_being_asked_for() {
    let office = Office::new();
    assert_eq!(office.decide().json()["verdict"], "PASS");
    let run = office.submit("staging").json()["run"].as_str().unwrap().to_owned();
    office.fail(&run, "command", 40);
    let until = Instant::now() + Duration::from_secs(20);
    while office.decide().json()["verdict"] == "PASS" {
        assert!(Instant::now() < until, "nothing was read on");
        std::thread::yield_now();
    }
}

#[test]
fn it_takes_the_right_to_read_the_journal_and_what_is_asked_wrongly_is_told() {
    let office = Office::new();
    let run = office.submit("staging").json()["run"].as_str().unwrap().to_owned();
    office.fail(&run, "command", 1);
    let agent = office.token(PrincipalKind::Agent, "planner", "acme/payments");
    let mut told = Vec::new();
    for (query, header) in [
        ("", String::new()),
        ("?tenant=acme/payments", agent),
        ("?tenant=acme/payments", office.person("nobody")),
        ("?kind=skils", office.person("dana")),
        ("?tenant=Acme", office.person("dana")),
    ] {
        told.push(office.reliability(query, &header).told());
    }
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(office.reliability("?tenant=acme/payments", &office.person("rhea")).status, 200);
    assert_eq!(office.post("/v1/reliability", &office.person("dana"), &json!({})).status, 405);
}

#[test]
fn nothing_is_decided_where_an_entry_cannot_be_read() {
    let office = Office::new();
    assert_eq!(office.decide().json()["verdict"], "PASS");
    let run = office.submit("staging").json()["run"].as_str().unwrap().to_owned();
    // No version of cku writes it, and who derives rows of it would refuse it.
    let other = Journal::open(office.place.journal.path(), Options::default()).unwrap();
    let drafts = vec![draft(&run, Kind::StepFinished, serde_json::Map::new())];
    other.append(Command { drafts, ..Command::default() }).unwrap();
    let told = office.reliability("?tenant=acme/payments", &office.person("dana"));
    assert!(told.told().contains("(`step.finished/1`) cannot be read"), "{}", told.told());
    let decided = office.decide();
    assert!(decided.told().contains("(`step.finished/1`) cannot be read"), "{}", decided.told());
    assert_eq!(decided.status, 503);
}
