//! Journals that somebody changed by hand.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::installation::{Installation, drills, stable, waiting};

/// What a hand with SQL does to the journal.
fn by_hand(installation: &Installation, sql: &str) {
    Connection::open(installation.path("journal.db")).unwrap().execute_batch(sql).unwrap();
}

/// Changes the intent of the run where it was written first.
const BODY_CHANGED: &str =
    "UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), 'Try something', 'Pry something') AS BLOB)
    WHERE kind = 'run.submitted/1'";

#[test]
fn damage_is_named_by_its_place() {
    let (installation, _) = waiting();
    by_hand(&installation, BODY_CHANGED);
    let ran = installation.cku(&["journal", "verify"]);
    assert_eq!(ran.code, 5);
    insta::assert_snapshot!(stable(&ran, &installation));
    for args in [
        &["journal", "verify", "--format", "json"][..],
        &["journal", "verify", "--tenant", "acme/payments", "--format", "json"],
    ] {
        let json = installation.cku(args).json();
        assert_eq!(
            (&json["intact"], &json["damage"], &json["seq"]),
            (&false.into(), &"changed".into(), &3.into())
        );
    }
    // Where a row was changed too, the entry is what is named.
    by_hand(&installation, "UPDATE projections SET value = '{}' WHERE name = 'runs'");
    let json = installation.cku(&["journal", "verify", "--format", "json"]).json();
    assert_eq!(
        (&json["intact"], &json["damage"], &json["seq"]),
        (&false.into(), &"changed".into(), &3.into())
    );
    let rebuilt = installation.cku(&["journal", "rebuild"]);
    assert_eq!(rebuilt.code, 5);
    assert!(
        rebuilt
            .stderr
            .contains("nothing was computed anew, since the journal is damaged: changed at entry 3"),
        "{}",
        rebuilt.shown()
    );
    std::fs::write(installation.path("cut.db"), "SQLite format 3").unwrap();
    let json = installation.cku(&["journal", "verify", "--journal", "cut.db", "--format", "json"]).json();
    assert_eq!(json["intact"], false);
}

#[test]
fn a_derived_row_that_a_hand_changed_is_named_and_computed_anew() {
    let (installation, _) = waiting();
    by_hand(
        &installation,
        "UPDATE projections SET value = replace(value, 'Try something', 'Pry something') WHERE name = 'runs'",
    );
    for args in [
        &["journal", "verify", "--format", "json"][..],
        &["journal", "verify", "--tenant", "acme/payments", "--format", "json"],
    ] {
        let ran = installation.cku(args);
        let json = ran.json();
        assert_eq!((ran.code, &json["intact"], &json["damage"]), (5, &false.into(), &"derived".into()));
    }
    assert_eq!(installation.cku(&["journal", "rebuild"]).code, 0);
    assert!(installation.is_intact());
}

#[test]
fn a_refusal_whose_body_was_erased_does_not_vanish_from_the_gates() {
    let (installation, run) = waiting();
    let of = |sub: &str| installation.token(sub, "acme", "user");
    let refused = installation.cku(&[
        "refuse",
        &run,
        "plan_approval",
        "--reason",
        "no",
        "--token",
        &of("sam@acme.example"),
    ]);
    assert_eq!(refused.code, 0, "{}", refused.shown());
    // Entries after it, so that it is not among those that are verified whenever a journal is opened.
    let journal = installation.opened();
    journal.append(drills(20)).unwrap();
    drop(journal);
    by_hand(
        &installation,
        "UPDATE entries SET salt = NULL, body = NULL, subject = NULL WHERE kind = 'approval.given/1'",
    );
    let ran = installation.cku(&["journal", "verify", "--format", "json"]);
    assert_eq!((ran.code, &ran.json()["damage"]), (5, &json!("changed")));
    assert!(ran.stderr.contains("its body was erased, without an entry that says so"), "{}", ran.shown());
    let operations = operations(&installation, &run);
    assert_eq!(operations["verdict"], "REJECT", "{operations}");
}

/// The gate `operations` of a run that is asked about once more.
fn operations(installation: &Installation, run: &str) -> Value {
    let ci = installation.token("ci@acme.example", "acme/payments", "service_account");
    let ran = installation.cku(&["run", "--resume", run, "--token", &ci, "--format", "json"]);
    let gates =
        ran.json()["decision"]["gates"].as_array().unwrap_or_else(|| panic!("{}", ran.shown())).clone();
    gates.into_iter().find(|g| g["gate"] == "operations").unwrap()
}

#[test]
fn the_gates_see_that_a_row_does_not_follow_from_the_entries() {
    let (installation, run) = waiting();
    assert_eq!(operations(&installation, &run)["verdict"], "PASS");
    // Of a skill that was never used: the gates ask for the first time it is.
    by_hand(
        &installation,
        "INSERT INTO projections SELECT id, 'skills', 'command', '\"run-0\"' FROM tenants WHERE path = 'acme/payments'",
    );
    let operations = operations(&installation, &run);
    assert_eq!(operations["verdict"], "REJECT", "{operations}");
    assert!(operations.to_string().contains("chain"), "{operations}");
}

#[test]
fn authority_that_a_hand_wrote_is_refused_by_the_next_command() {
    let (installation, run) = waiting();
    let rhea = installation.token("rhea@acme.example", "acme", "user");
    for (written, undone) in [
        (
            "INSERT INTO projections SELECT tenant, name, 'mallory', value FROM projections WHERE name = 'keys'",
            "DELETE FROM projections WHERE key = 'mallory'",
        ),
        (
            "INSERT INTO projections SELECT tenant, name, 'x', replace(value, 'rhea', 'eve') FROM projections WHERE name = 'grants' AND value LIKE '%rhea%'",
            "DELETE FROM projections WHERE key = 'x'",
        ),
    ] {
        by_hand(&installation, written);
        let ran = installation.cku(&["approve", &run, "plan_approval", "--token", &rhea]);
        assert_eq!(ran.code, 5, "{}", ran.shown());
        assert!(ran.stderr.contains("derived in"), "{}", ran.shown());
        by_hand(&installation, undone);
    }
    assert_eq!(installation.cku(&["approve", &run, "plan_approval", "--token", &rhea]).code, 0);
}
