//! Evidence as JSON: the members of the contract, and nothing that contradicts itself.

use cku_gates::evidence::Evidence;
use serde_json::{Value, json};

use crate::real::read;

fn refusal(mut document: Value, changes: &[(&str, Value)]) -> String {
    for (pointer, value) in changes {
        *document.pointer_mut(pointer).unwrap() = value.clone();
    }
    serde_json::from_value::<Evidence>(document).unwrap_err().to_string()
}

#[test]
fn the_members_are_those_of_the_contract() {
    let evidence = read("semver/junit.xml");
    let document = serde_json::to_value(&evidence).unwrap();
    let members: Vec<&String> = document.as_object().unwrap().keys().collect();
    assert_eq!(members.len(), 6);
    assert_eq!(
        json!([document["kind"], document["format"], document["tool"], document["version"]]),
        json!(["tests", "junit", "pytest", null])
    );
    assert_eq!(document["data"]["total"], 288);
    assert_eq!(serde_json::from_value::<Evidence>(document).unwrap(), evidence);
}

#[test]
fn coverage_that_contradicts_itself_is_refused() {
    let good = serde_json::to_value(read("semver/lcov.info")).unwrap();
    for (changes, expected) in [
        (vec![("/data/lines/hit", json!(366))], "data.lines: 366 of 372, but the files sum up to 365 of 372"),
        (vec![("/data/lines/hit", json!(373))], "data.lines: 373 hit are more than 372 in total"),
        (
            vec![("/data/files/0/lines/hit", json!(500))],
            "data.files[0].lines: 500 hit are more than 372 in total",
        ),
        (vec![("/data/branches/hit", json!(87))], "data.branches: 87 hit are more than 86 in total"),
        (
            vec![("/data/lines/total", json!(u64::MAX))],
            "data.lines: 18446744073709551615 is more than 900719925474",
        ),
        (vec![("/data/lines/hit", json!(-1))], "data.lines.hit: invalid value: integer `-1`, expected u64"),
        (
            vec![("/data/lines/hit", json!(1.5))],
            "data.lines.hit: invalid type: floating point `1.5`, expected u64",
        ),
        (vec![("/kind", json!("tests"))], "data: missing field `total`"),
    ] {
        assert_eq!(refusal(good.clone(), &changes), expected);
    }
    let file = good.pointer("/data/files/0").unwrap().clone();
    let mut twice = good.clone();
    twice.pointer_mut("/data/files").unwrap().as_array_mut().unwrap().push(file);
    assert_eq!(refusal(twice, &[]), "data.files[1].path: `semver.py` stands twice");
    let wrong = refusal(good, &[("/format", json!("sarif"))]);
    assert_eq!(wrong, "kind: `coverage`, but the format `sarif` gives `findings`");
}

#[test]
fn counts_that_contradict_their_lists_are_refused() {
    let tests = serde_json::to_value(read("semver/junit.xml")).unwrap();
    assert_eq!(
        refusal(tests.clone(), &[("/data/failed", json!(0))]),
        "data.total: 288, but the outcomes sum up to 287"
    );
    assert_eq!(
        refusal(tests, &[("/data/failed", json!(0)), ("/data/passed", json!(288))]),
        "data.failures: lists 1 of 0 failures and errors"
    );
    let findings = serde_json::to_value(read("minimist/eslint.sarif")).unwrap();
    assert_eq!(
        refusal(findings, &[("/data/counts/warning", json!(0))]),
        "data.counts: the list holds 0 errors, 3 warnings, 0 notes and 0 of level none"
    );
    let change = serde_json::to_value(read("semver/change.numstat")).unwrap();
    for (changes, expected) in [
        (vec![("/data/added", json!(1))], "data.added: 1, but the files sum up to 1340"),
        (vec![("/data/files/0/binary", json!(true))], "data.files[0]: a binary file has no lines"),
        (vec![("/data/files/0/added", json!(null))], "data.files[0]: a file of text has lines"),
        (vec![("/data/files/0/path", json!("/etc/passwd"))], "data.files[0].path: `/etc/passwd` is absolute"),
        (vec![("/data/files/0/from", json!("a/../b"))], "data.files[0].from: `a/../b` leaves the repository"),
        (vec![("/data/files/0/path", json!("a//b"))], "data.files[0].path: `a//b` is not in its plain form"),
    ] {
        assert_eq!(refusal(change.clone(), &changes), expected);
    }
}
