//! Inputs: the published schema of submissions, and inputs that are damaged.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cku_base::document::{self, Limits};
use cku_engine::{Bundle, Worker};
use cku_gates::{decide, read_submission, simulate, submission_schema};
use proptest::prelude::*;
use serde_json::Value;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn baseline() -> Arc<Bundle> {
    Arc::new(Bundle::load(&repository("policies/baseline")).unwrap())
}

/// Every input of `testdata/`, by its name.
fn inputs() -> Vec<(String, Value)> {
    let files = std::fs::read_dir(repository("testdata/inputs")).unwrap().map(|e| e.unwrap().path());
    let inputs = files.filter(|p| p.extension().is_some_and(|e| e == "yaml")).map(|path| {
        let name = path.display().to_string();
        let bytes = std::fs::read(&path).unwrap();
        (name.clone(), document::read_yaml(&name, &bytes, Limits::default()).unwrap())
    });
    inputs.collect()
}

#[test]
fn the_published_schema_of_submissions_is_that_of_the_code() {
    let path = repository("gates/schema/run-submission.json");
    let current = serde_json::to_string_pretty(&submission_schema()).unwrap() + "\n";
    if std::env::var_os("CKU_UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == current, "gates/schema/run-submission.json is stale; set CKU_UPDATE_SCHEMAS=1");
}

#[test]
fn the_schema_and_the_reader_agree() {
    let schema = jsonschema::validator_for(&submission_schema()).unwrap();
    let submissions = inputs().into_iter().map(|(name, input)| (name, input["submission"].clone()));
    let submissions: Vec<(String, Value)> = submissions.collect();
    assert!(submissions.len() >= 3);
    for (name, submission) in &submissions {
        assert!(schema.is_valid(submission), "{name}");
        assert_eq!(read_submission(submission).unwrap().1, [""; 0], "{name}");
    }
    let damages: [(&str, Value); 7] = [
        ("/intent", 7.into()),
        ("/labels", Value::Array(Vec::new())),
        ("/plan/steps", "build".into()),
        ("/plan/steps/0/id", Value::Null),
        ("/plan/steps/1/estimated_cost", (-1).into()),
        ("/plan/steps/1/targets", "service:acme/api".into()),
        ("/plan/author/kind", "robot".into()),
    ];
    for (pointer, value) in damages {
        let mut damaged = submissions[0].1.clone();
        *damaged.pointer_mut(pointer).unwrap() = value;
        assert!(!schema.is_valid(&damaged), "{pointer}");
        assert!(read_submission(&damaged).is_err(), "{pointer}");
    }
}

/// Every place in a document.
fn places(value: &Value, here: &str, all: &mut Vec<String>) {
    all.push(here.to_owned());
    match value {
        Value::Object(members) => members.iter().for_each(|(name, inner)| {
            places(inner, &format!("{here}/{}", name.replace('~', "~0").replace('/', "~1")), all);
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, inner)| places(inner, &format!("{here}/{at}"), all));
        }
        _ => {}
    }
}

#[test]
fn whatever_stands_in_an_input_it_is_decided_or_refused_and_never_passes_by_accident() {
    let bundle = baseline();
    let document: Value = serde_json::from_str(include_str!("../benches/input.json")).unwrap();
    let mut all = Vec::new();
    places(&document, "", &mut all);
    let odd = prop_oneof![
        Just(Value::Null),
        Just(Value::Bool(true)),
        Just(Value::from(-1)),
        Just(Value::from(u64::MAX)),
        Just(Value::from(0.5)),
        Just(Value::from("")),
        Just(Value::from("x")),
        Just(Value::Array(Vec::new())),
        Just(Value::Object(serde_json::Map::new())),
    ];
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 300, ..ProptestConfig::default() });
    let worker = std::cell::RefCell::new(Worker::new(bundle.clone()));
    let strategy = prop::collection::vec((prop::sample::select(all), odd), 1..3);
    runner
        .run(&strategy, |changes| {
            let mut damaged = document.clone();
            for (pointer, value) in &changes {
                if let Some(place) = damaged.pointer_mut(pointer) {
                    *place = value.clone();
                }
            }
            let Ok((input, _)) = simulate::read(damaged, bundle.revision()) else { return Ok(()) };
            let decided = decide(&mut worker.borrow_mut(), &input, true);
            if let Ok(decision) = decided {
                // Reasons name what happened; an evaluation error is never beside a PASS that counts.
                for gate in &decision.gates {
                    let failed = gate.reasons.iter().any(|r| r.rule == "evaluation_error");
                    prop_assert!(!failed || gate.verdict == Some(cku_gates::Verdict::Reject));
                }
                let again = decide(&mut worker.borrow_mut(), &input, true).unwrap();
                prop_assert_eq!(decision, again);
            }
            Ok(())
        })
        .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_text_is_read_or_refused(at in any::<prop::sample::Index>(), cut in 0usize..9, insert in "\\PC{0,4}") {
        let text = include_str!("../benches/input.json");
        let mut start = at.index(text.len());
        while !text.is_char_boundary(start) { start -= 1; }
        let end = (start + cut).min(text.len());
        prop_assume!(text.is_char_boundary(end));
        let damaged = format!("{}{insert}{}", &text[..start], &text[end..]);
        if let Ok(value) = document::read_json("input.json", damaged.as_bytes(), Limits::default()) {
            let _ = simulate::read(value, cku_base::Digest::of(b""));
        }
    }
}
