//! Gate files at the command line: checked, mended, formatted, and how well they are tested.

use std::process::Stdio;

use crate::environment::{TestEnvironment, repository, run};

const MANIFEST: &str = "name: small\nmodes: [dev, prod]\n";
const REGO: &str = "package cku.size\n\nlines := input.submission.change.lines\n\nlarge if lines > 100\n\nseven if {\n\tlines == 7\n\tinput.submission.change.said\n}\n";
const GATE: &str = "gate size \"Size\" {\n  facts from data.cku.size {\n    lines: count\n  }\n  threshold most: count = 10 in 0..100 step 1 stricter down learn {\n    prod = 5\n  }\n  pause large: when lines > most because \"{lines} lines, at most {most}\"\n}\n\nmode dev {\n  size\n}\n\nmode prod {\n  size\n}\n";

fn bundle(gate: &str) -> TestEnvironment {
    let environment = TestEnvironment::new();
    environment.write("small/bundle.yaml", MANIFEST);
    environment.write("small/size.rego", REGO);
    environment.write("small/size.gate", gate);
    environment
}

fn broken() -> TestEnvironment {
    let text = std::fs::read_to_string(repository().join("lang/tests/broken/ten.gate")).unwrap();
    let environment = TestEnvironment::new();
    environment.write("small/bundle.yaml", MANIFEST);
    environment.write("small/size.rego", REGO);
    environment.write("small/ten.gate", text);
    environment
}

#[test]
fn ten_mistakes_are_shown_with_their_lines() {
    let ran = broken().run(&["check", "small"]);
    assert_eq!(ran.code, 3);
    insta::assert_snapshot!(ran.shown());
}

#[test]
fn findings_are_annotations_on_github() {
    let ran = broken().run(&["check", "small", "--format", "github"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stdout.lines().all(|line| line.starts_with("::error ") || line.starts_with("::warning ")));
    insta::assert_snapshot!(ran.shown());
}

#[test]
fn findings_are_sarif() {
    let ran = broken().run(&["check", "small", "--format", "sarif"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (3, ""));
    let log = ran.json();
    assert_eq!(log["version"], "2.1.0");
    let results = log["runs"][0]["results"].as_array().unwrap();
    let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    for result in results {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(rule["shortDescription"]["text"].as_str().unwrap().len() > 10, "{rule}");
    }
    let fixed = results.iter().find(|result| result["ruleId"] == "G013").unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(fixed).unwrap());
    // Our own reader of SARIF takes it: what a tool would collect.
    let environment = TestEnvironment::new();
    environment.write("reports/cku.sarif", &ran.stdout);
    let collected = environment.run(&["collect", "reports"]);
    assert_eq!(collected.code, 0, "{}", collected.shown());
    let evidence = &collected.json()["evidence"][0];
    assert_eq!(evidence["tool"], "cku");
    assert_eq!(evidence["data"]["findings"].as_array().unwrap().len(), results.len());
}

#[test]
fn what_is_declared_for_the_learner_and_cannot_be_used_is_told() {
    let environment = bundle(GATE);
    let mut told = String::new();
    for declared in [
        "defualts: { epsilon: 0.1 }",
        "defaults: { epsilom: 0.1 }\nmodes: { dev: { delta: often } }",
        "thresholds: { size.most: { partial: 10001, left_out: -1 } }",
        "defaults: { epsilon: 0.9 }",
        "modes: { dev: { cool_down: 10000 } }",
        "modes: { prd: { epsilon: 0.1 } }",
        "thresholds: { size.moast: { epsilon: 0.1 } }",
    ] {
        environment.write("small/data/cku/learner.yaml", declared);
        let ran = environment.run(&["check", "small"]);
        assert_eq!(ran.code, 3, "{declared}: {}", ran.shown());
        told.push_str(&format!("{declared}\n{}\n", ran.stderr));
    }
    insta::assert_snapshot!(told);
    // What is out of range alone and fits together with the rest is no mistake.
    environment.write(
        "small/data/cku/learner.yaml",
        "defaults: { window: 50000 }\nmodes: { dev: { cool_down: 20000 } }",
    );
    assert_eq!(environment.run(&["check", "small"]).code, 0);
}

#[test]
fn what_is_certain_is_mended_and_the_rest_shown() {
    let environment = broken();
    let ran = environment.run(&["check", "small", "--fix", "--format", "json"]);
    assert_eq!(ran.code, 3);
    assert_eq!(ran.stderr, "small/ten.gate: 4 mistakes mended\n");
    let codes: Vec<String> =
        ran.json().as_array().unwrap().iter().map(|d| d["code"].as_str().unwrap().to_owned()).collect();
    assert!(!codes.contains(&"G013".to_owned()) && codes.contains(&"G007".to_owned()), "{codes:?}");
    let text = std::fs::read_to_string(environment.path().join("small/ten.gate")).unwrap();
    assert!(text.contains("when 1 < lint_errors and lint_errors < 3 because"), "{text}");
    // Nothing is left to mend, and nothing more is written.
    let again = environment.run(&["check", "small", "--fix", "--format", "json"]);
    assert_eq!(again.stderr, "nothing to mend without asking\n");
}

#[test]
fn files_are_formatted_and_only_those_that_are_not() {
    let environment = bundle(&GATE.replace("  pause large:", "pause   large  :"));
    environment.write("small/more/other.gate", "mode   dev{}\n");
    environment.write("small/.hidden/other.gate", "mode   dev{}\n");
    environment.write("small/good.gate", "// nothing yet\n");
    let check = environment.run(&["fmt", "small", "--check"]);
    assert_eq!((check.code, check.stdout.as_str()), (1, "small/more/other.gate\nsmall/size.gate\n"));
    let diff = environment.run(&["fmt", "small", "--diff", "--check"]);
    assert_eq!(diff.code, 1);
    insta::assert_snapshot!(diff.shown());
    let ran = environment.run(&["fmt", "small"]);
    assert_eq!(ran.code, 0, "{}", ran.shown());
    assert_eq!(ran.stderr, "2 files formatted, 1 as they should be\n");
    assert_eq!(std::fs::read_to_string(environment.path().join("small/size.gate")).unwrap(), GATE);
    let hidden = std::fs::read_to_string(environment.path().join("small/.hidden/other.gate")).unwrap();
    assert_eq!(hidden, "mode   dev{}\n");
    assert_eq!(environment.run(&["fmt", "small", "--check"]).code, 0);
}

#[test]
fn permissions_and_links_stay() {
    use std::os::unix::fs::PermissionsExt;
    let environment = TestEnvironment::new();
    let file = environment.write("real/a.gate", "mode   dev{}\n");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real/a.gate", environment.path().join("link.gate")).unwrap();
    assert_eq!(environment.run(&["fmt", "link.gate"]).code, 0);
    assert!(std::fs::symlink_metadata(environment.path().join("link.gate")).unwrap().is_symlink());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mode dev {\n}\n");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn standard_input_is_formatted_to_standard_output() {
    let fmt = |args: &[&str], text: &str| {
        use std::io::Write as _;
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cku"));
        command.arg("fmt").args(args).env_clear();
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(fmt(&["-"], "mode   dev{}"), (0, "mode dev {\n}\n".to_owned(), String::new()));
    assert_eq!(fmt(&["-", "--check"], "mode   dev{}"), (1, String::new(), String::new()));
    assert_eq!(fmt(&["-", "--check"], "mode dev {\n}\n"), (0, String::new(), String::new()));
    let (code, out, told) = fmt(&["-"], "mode dev {\n");
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(told.contains("expected `}` or a name, found the end of the file"), "{told}");
}

#[test]
fn what_cannot_be_formatted_is_told_and_left() {
    let environment = bundle("gate size \"Size\" { treshold }\n");
    environment.write("empty/readme.txt", "");
    environment.write("latin.gate", b"// \xe9\n");
    let mut told = String::new();
    for args in [
        ["fmt", "small"].as_slice(),
        &["fmt", "none.gate"],
        &["fmt", "empty"],
        &["fmt", "latin.gate"],
        &["fmt", "-", "small"],
        &["fmt"],
        &["fmt", "small", "--chek"],
    ] {
        told.push_str(&format!("$ cku {}\n{}\n", args.join(" "), environment.run(args).shown()));
    }
    insta::assert_snapshot!(told);
    let text = std::fs::read_to_string(environment.path().join("small/size.gate")).unwrap();
    assert_eq!(text, "gate size \"Size\" { treshold }\n");
}

#[test]
fn tests_say_what_they_do_not_touch() {
    let environment = bundle(GATE);
    let untested = environment.run(&["test", "small", "--coverage"]);
    assert!(untested.stdout.contains("size.rego: nothing was evaluated"), "{}", untested.stdout);
    environment.write(
        "small/size_test.rego",
        "package cku.size_test\n\nimport data.cku.size\n\ntest_lines if {\n\tsize.lines == 3 with input as {\"submission\": {\"change\": {\"lines\": 3}}}\n\tnot size.large with input as {\"submission\": {\"change\": {\"lines\": 3}}}\n}\n",
    );
    let ran = environment.run(&["eval", "small", "--tests", "--coverage"]);
    assert_eq!(ran.code, 0, "{}", ran.shown());
    insta::assert_snapshot!(ran.shown());
    let json = environment.run(&["test", "small", "--format", "json"]).json();
    assert_eq!(json["coverage"]["rego"]["size.rego"]["not_covered"], serde_json::json!([9]));
    assert_eq!(json["coverage"]["rules"]["never"].as_array().unwrap().len(), 3);
}

#[test]
fn every_line_and_access_policy_of_the_baseline_is_tested() {
    // What no input brings about: facts that the Rego always gives, and a threshold of nothing.
    assert_all_is_tested("policies/baseline", |id| {
        id.contains(".missing:") || id == "plan_approval.unapproved.dev"
    });
}

#[test]
fn change_control_passes_its_own_tests_and_all_of_it_is_tested() {
    let ran = run(&["test", "policies/change-control"]);
    assert_eq!(ran.code, 0, "{}", ran.shown());
    let summary = ran.stdout.lines().next().unwrap();
    assert!(summary.ends_with("passed, 0 failed"), "{summary}");
    assert_all_is_tested("policies/change-control", |id| id.contains(".missing:"));
}

/// Each line of Rego, each access policy and each gate policy of a bundle decides in a test, but for
/// the gate policies that no input brings about.
fn assert_all_is_tested(bundle: &str, unreachable: impl Fn(&str) -> bool) {
    let json = run(&["test", bundle, "--format", "json"]).json();
    for (file, lines) in json["coverage"]["rego"].as_object().unwrap() {
        assert_eq!(lines["not_covered"], serde_json::json!([]), "{file}");
        assert_eq!(lines["untouched"], false, "{file}");
    }
    assert_eq!(json["coverage"]["access"]["never"], serde_json::json!([]));
    for policy in json["coverage"]["rules"]["never"].as_array().unwrap() {
        let id = policy["id"].as_str().unwrap();
        assert!(unreachable(id), "{id} fires in no test");
    }
}
