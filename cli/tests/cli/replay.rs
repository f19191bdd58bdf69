//! `cku bundle replay`: what is recorded, decided anew.

use std::path::Path;

use serde_json::Value;

use crate::{
    environment::{Ran, repository},
    installation::{Installation, stable},
};

/// Two runs in `dev`, one of which ended well; and a copy of the baseline that wants more coverage.
fn recorded() -> Installation {
    let installation = Installation::local();
    installation.plan("- {id: hello, skill: command, with: {argv: [echo, hello]}, effects: false}\n");
    assert_eq!(installation.run(&[]).code, 0);
    installation.plan("- {id: fails, skill: command, with: {argv: ['false']}, effects: false}\n");
    assert_eq!(installation.run(&[]).code, 1);
    copy(&repository().join("policies/baseline"), &installation.path("new"));
    let gate = installation.path("new/gates/quality.gate");
    let text = std::fs::read_to_string(&gate).unwrap();
    assert!(text.contains("60%..98%") && text.contains("dev  = 60%"));
    let text = text.replace("60%..98%", "60%..100%").replace("dev  = 60%", "dev  = 100%");
    std::fs::write(gate, text).unwrap();
    installation
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn replay(installation: &Installation, more: &[&str]) -> Ran {
    let old = repository().join("policies/baseline").display().to_string();
    let arguments = ["bundle", "replay", &old, "new"];
    installation.cku(&[&arguments[..], more].concat())
}

/// Replaces all digests, and all that depends on the run's id or the time.
fn steady(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match name.as_str() {
                    "run" | "time" | "median_micros" | "p99_micros" | "seq" => *value = Value::from("…"),
                    _ => steady(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(steady),
        Value::String(text) if text.starts_with("sha256:") => *value = Value::from("DIGEST"),
        _ => {}
    }
}

#[test]
fn what_comes_out_differently_is_shown_with_what_became_of_it() {
    let installation = recorded();
    let mut shown = replay(&installation, &[]);
    // The two flips are shown in the order of their lots, which depend on the time.
    let mut lines: Vec<&str> = shown.stdout.lines().filter(|line| !line.contains("µs")).collect();
    let samples = lines.iter().position(|line| line.starts_with("run-")).unwrap();
    assert_eq!(lines.iter().filter(|line| line.starts_with("run-")).count(), 2, "{}", shown.shown());
    lines[samples..samples + 4].sort_by_key(|line| (!line.contains("ended well"), !line.starts_with("run-")));
    shown.stdout = lines.join("\n") + "\n";
    insta::assert_snapshot!(stable(&shown, &installation));
    assert_eq!(shown.code, 0);
}

#[test]
fn programs_are_given_all_that_was_found() {
    let installation = recorded();
    let ran = replay(&installation, &["--format", "json", "--limit", "10", "--mode", "dev"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let mut found = ran.json();
    assert_eq!(found["flips"], 2);
    let samples = found["samples"].as_array_mut().unwrap();
    samples.sort_by_key(|sample| sample["outcome"].to_string());
    steady(&mut found);
    insta::assert_snapshot!(serde_json::to_string_pretty(&found).unwrap());
}

#[test]
fn what_does_not_load_and_what_is_no_time_is_told() {
    let installation = recorded();
    std::fs::write(installation.path("new/gates/quality.gate"), "gate quality {").unwrap();
    assert_eq!(replay(&installation, &[]).code, 3);
    assert_eq!(replay(&installation, &["--since", "yesterday"]).code, 2);
    assert_eq!(replay(&installation, &["--limit", "0"]).code, 2);
    assert_eq!(replay(&installation, &["--journal", "none.db"]).code, 3, "the bundle is looked at first");
}
