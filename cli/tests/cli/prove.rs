//! In which direction a bundle differs, as it is shown.

use crate::environment::{Ran, TestEnvironment, repository};

/// The baseline, and the baseline with texts replaced, as `old` and `new`.
fn baselines(edits: &[(&str, &str, &str)]) -> TestEnvironment {
    let environment = TestEnvironment::new();
    let baseline = repository().join("policies/baseline");
    let mut folders = vec![baseline.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&baseline).unwrap().to_str().unwrap().to_owned();
            let mut text = std::fs::read_to_string(&path).unwrap();
            environment.write(&format!("old/{name}"), &text);
            for (_, old, new) in edits.iter().filter(|(file, ..)| *file == name) {
                assert!(text.contains(old), "`{old}` is not in {name}");
                text = text.replace(old, new);
            }
            environment.write(&format!("new/{name}"), &text);
        }
    }
    environment
}

fn prove(environment: &TestEnvironment, more: &[&str]) -> Ran {
    environment.run(&[&["bundle", "prove", "old", "new"], more].concat())
}

#[test]
fn what_loosens_comes_first_and_what_is_alike_is_told_once() {
    let environment = baselines(&[
        ("gates/quality.gate", "prod = 85%", "prod = 90%"),
        ("gates/quality.gate", "when tests_failed > 0 ", "when tests_failed > 1 "),
        ("healing/healing.rego", "input.budget.retries_left > 0", "input.budget.retries_left > 1"),
        ("access/separation.cedar", "unless { principal is User }", "when { principal is Agent }"),
        ("pipeline.gate", "tenant_scope\n  quality ", "tenant_scope advise\n  quality "),
    ]);
    insta::assert_snapshot!(prove(&environment, &["--no-solver"]).shown());
}

#[test]
fn what_does_not_differ_is_neutral_in_every_mode() {
    insta::assert_snapshot!(prove(&baselines(&[]), &["--no-solver"]).shown());
}

#[test]
fn a_gate_that_was_enforced_has_to_stay() {
    let environment = TestEnvironment::new();
    let gate = |name: &str| {
        format!(
            "gate {name} \"Small?\" {{\n  facts from data.f {{ lines: count }}\n  pause big: when lines > 3 because \"{{lines}} lines\"\n}}\n"
        )
    };
    for (bundle, gates) in [("old", "a b"), ("new", "a")] {
        environment.write(&format!("{bundle}/bundle.yaml"), "name: tiny\nmodes: [dev, prod]\n");
        environment.write(&format!("{bundle}/f.rego"), "package f\n\nlines := 3\n");
        let mut text: String = gates.split(' ').map(gate).collect();
        for mode in ["dev", "prod"] {
            text.push_str(&format!("mode {mode} {{ {gates} }}\n"));
        }
        environment.write(&format!("{bundle}/g.gate"), text);
    }
    insta::assert_snapshot!(prove(&environment, &["--no-solver"]).shown());
}

#[test]
fn no_cache_and_a_cache_exclude_each_other() {
    let ran = TestEnvironment::new().run(&["bundle", "prove", "a", "b", "--cache", "c", "--no-cache"]);
    assert_eq!(ran.code, 2, "{ran:?}");
}
