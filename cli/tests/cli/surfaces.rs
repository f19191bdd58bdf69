//! What each command says to good and to bad arguments, and how it ends.

use serde_json::{Value, json};

use crate::environment::{Ran, TestEnvironment, run, run_into};

const INPUT: &str = "testdata/inputs/update-humanize.yaml";

/// The input of `testdata` with one member changed.
fn changed(pointer: &str, value: Value) -> String {
    let mut document: Value = serde_json::from_str(&run_query("input", INPUT).stdout).unwrap();
    // What cku adds for policies is not part of an input.
    for added in ["bundle_revision", "subject_digest", "submitted_by"] {
        document.as_object_mut().unwrap().remove(added);
    }
    let (above, last) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(above).unwrap() {
        Value::Array(items) => items[last.parse::<usize>().unwrap()] = value,
        members => members[last] = value,
    }
    document.to_string()
}

fn run_query(query: &str, input: &str) -> Ran {
    run(&["eval", "policies/baseline", "--query", query, "--input", input])
}

/// Evaluates an input's text under the baseline.
fn eval(text: &str, more: &[&str]) -> Ran {
    let environment = TestEnvironment::new();
    environment.write("input.json", text);
    let bundle = crate::environment::repository().join("policies/baseline").display().to_string();
    let args = ["eval", &bundle, "--input", "input.json"];
    environment.run(&[&args, more].concat())
}

#[test]
fn what_a_mistyped_argument_is_told() {
    let cases: &[&[&str]] = &[
        &[],
        &["evla"],
        &["eval"],
        &["eval", "policies/baseline"],
        &["eval", "policies/basline", "--input", INPUT],
        &["eval", "testdata", "--input", INPUT],
        &["eval", "policies/baseline", "--input", "testdata/inputs/nothing.yaml"],
        &["eval", "policies/baseline", "--input", INPUT, "--mode", "stagin"],
        &["eval", "policies/baseline", "--input", INPUT, "--now=noon"],
        &["eval", "policies/baseline", "--input", INPUT, "--format", "yaml"],
        &["eval", "policies/baseline", "--input", INPUT, "--evidence", INPUT],
        &["eval", "policies/baseline", "--input", INPUT, "--evidence", "testdata/nothing.json"],
        &["eval", "policies/baseline", "--input", INPUT, "--tests"],
        &["eval", "policies/baseline", "--query", "data.cku.(", "--input", INPUT],
        &["test", "policies/baseline", "--filter", "no such test"],
        &["test", "policies/baselines"],
        &["check", "policies/baselines"],
        &["check", "policies/baseline/gates"],
        &["compile", "policies/baseline", "--emit", "wasm"],
        &["collect", "testdata/nothing"],
        &["collect", "policies/baseline"],
    ];
    let shown: String =
        cases.iter().map(|args| format!("$ cku {}\n{}\n", args.join(" "), run(args).shown())).collect();
    insta::assert_snapshot!(shown);
}

#[test]
fn what_an_unusable_input_is_told() {
    let with = |pointer: &str, value: Value| changed(pointer, value);
    let without = |pointer: &str, member: &str| {
        let mut document: Value = serde_json::from_str(&with("/run_id", json!("r"))).unwrap();
        document.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(member);
        document.to_string()
    };
    let digest = format!("sha256:{}", "0".repeat(64));
    let coverage = |hit: u64, total: u64| {
        json!([{"kind": "coverage", "format": "lcov", "tool": null, "version": null, "digest": digest,
                "data": {"lines": {"hit": hit, "total": total}, "branches": null, "files": []}}])
    };
    let cases: Vec<(&str, String)> = vec![
        ("not JSON", "{\"run_id\": ".to_owned()),
        ("not an object", "[1]".to_owned()),
        ("a duplicate key", "{\"mode\": \"dev\", \"mode\": \"prod\"}".to_owned()),
        ("nested too deeply", "[".repeat(1_000)),
        ("no time", without("", "time")),
        ("no mode", without("", "mode")),
        ("no principal", without("", "principal")),
        ("no state", without("", "state")),
        ("no step id", without("/submission/plan/steps/0", "id")),
        ("a number for a text", with("/submission/intent", json!(7))),
        ("a text for a number", with("/submission/plan/steps/1/estimated_cost", json!("450"))),
        ("a negative cost", with("/submission/plan/steps/1/estimated_cost", json!(-1))),
        ("a list for an object", with("/submission/plan/steps/0", json!([]))),
        ("an unknown kind of principal", with("/principal/kind", json!("robot"))),
        ("a tenant that is none", with("/tenant", json!("acme/../globex"))),
        ("a time that is none", with("/time", json!("yesterday"))),
        ("a time in another zone", with("/time", json!("2026-11-20T12:00:00+01:00"))),
        ("an unknown mode", with("/mode", json!("production"))),
        ("more hit than there is", with("/submission/evidence", coverage(2, 1))),
        (
            "a member nobody knows",
            with("/submission/plan/steps/0", json!({"id": "a", "skill": "command", "efects": false})),
        ),
    ];
    let shown: String =
        cases.iter().map(|(name, text)| format!("## {name}\n{}\n", problems(&eval(text, &[])))).collect();
    insta::assert_snapshot!(shown);
}

/// The code and what standard error says; a decision is not what is looked at here.
fn problems(ran: &Ran) -> String {
    format!("exit {}\n{}", ran.code, ran.stderr)
}

#[test]
fn now_is_a_time_or_the_present() {
    let given = run(&[
        "eval",
        "policies/baseline",
        "--input",
        INPUT,
        "--now=2030-01-01T00:00:00Z",
        "--format",
        "json",
    ]);
    let present = run(&["eval", "policies/baseline", "--input", INPUT, "--now", "--format", "json"]);
    assert_ne!(given.json()["input_digest"], present.json()["input_digest"]);
}

#[test]
fn a_query_gives_its_value_or_undefined() {
    let query = |q: &str, more: &[&str]| run(&[&["eval", "policies/baseline", "--query", q], more].concat());
    let value = run_query("data.cku.change_scope.files_changed", INPUT);
    assert_eq!((value.code, value.stdout.as_str()), (0, "0\n"));
    let none = query("data.cku.quality.line_coverage", &["--input", INPUT]);
    assert_eq!((none.code, none.stdout.as_str()), (0, "undefined\n"));
    let json = query("1 + 1", &["--format", "json"]);
    assert_eq!(json.json(), json!({"result": 2}));
    assert_eq!(query("data.nothing.here", &["--format", "json"]).json(), json!({}));
}

#[test]
fn collect_finds_every_format_and_refuses_what_is_hostile() {
    let environment = TestEnvironment::new();
    let lcov = "SF:a.py\nDA:1,1\nDA:2,0\nend_of_record\n";
    environment.write("reports/lcov.info", lcov);
    environment.write("reports/node_modules/x/lcov.info", "SF:broken\n");
    environment.write("reports/notes.txt", "nothing");
    let good = environment.run(&["collect", "reports"]);
    assert_eq!(good.code, 0, "{}", good.shown());
    assert_eq!(good.json()["evidence"].as_array().unwrap().len(), 1);

    environment.write(
        "reports/junit.xml",
        "<!DOCTYPE t [<!ENTITY a \"b\"><!ENTITY c \"&a;&a;\">]><testsuites>&c;</testsuites>",
    );
    environment.write(
        "reports/coverage.xml",
        "<coverage line-rate=\"1\" lines-valid=\"9\" lines-covered=\"9\"></coverage>",
    );
    environment.write("reports/b/lcov.info", b"SF:a\xff.py\nDA:1,1\nend_of_record\n");
    environment
        .write("reports/big.sarif", format!("{{\"version\": \"2.1.0\", \"runs\": {}", "[".repeat(100)));
    let ran = environment.run(&["collect", "reports", "--output", "evidence.json"]);
    assert!(
        !environment.path().join("evidence.json").exists(),
        "nothing is written when a report is refused"
    );
    insta::assert_snapshot!(ran.shown());
}

#[cfg(unix)]
#[test]
fn collect_says_which_links_it_passes_over() {
    let environment = TestEnvironment::new();
    environment.write("reports/lcov.info", "SF:a.py\nDA:1,1\nend_of_record\n");
    environment.write("elsewhere/junit.xml", "<testsuites/>");
    let link = |to: &str| std::os::unix::fs::symlink("../elsewhere", environment.path().join(to)).unwrap();
    link("reports/linked");
    link("reports/.hidden");
    let ran = environment.run(&["collect", "reports"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, "note: link passed over: linked\n"), "{}", ran.shown());
    assert_eq!(ran.json()["reports"].as_array().unwrap().len(), 1);
}

#[test]
fn a_report_over_the_limit_is_refused_by_its_size() {
    let environment = TestEnvironment::new();
    let path = environment.write("reports/lcov.info", "SF:a.py\n");
    let size = (32 << 20) + 4_096;
    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(size).unwrap();
    let ran = environment.run(&["collect", "reports"]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (
            2,
            "error[E001]: 33558528 bytes are more than the 33554432 that are accepted\n\
             --> reports/lcov.info\n = help: let the tool write several smaller reports\n\n"
        )
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_written_is_no_verdict() {
    let commands: &[&[&str]] = &[
        &["eval", "policies/baseline", "--input", INPUT],
        &["eval", "policies/baseline", "--input", INPUT, "--format", "json"],
        &["eval", "policies/baseline", "--query", "1 + 1"],
        &["check", "policies/baseline"],
        &["compile", "policies/baseline"],
        &["test", "policies/baseline", "--filter", "min_line_coverage"],
        &["collect", "testdata/evidence/humanize"],
    ];
    for args in commands {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran = run_into(full.into(), args);
        assert_eq!(ran.code, 5, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("error: the result cannot be written: No space left"), "{}", ran.stderr);
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_has_gone_away_does_not_change_the_exit_code() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = run_into(writer.into(), &["compile", "policies/baseline"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn collected_evidence_is_as_if_it_stood_in_the_input() {
    let environment = TestEnvironment::new();
    environment.write("reports/lcov.info", "SF:a.py\nDA:1,1\nDA:2,1\nend_of_record\n");
    assert_eq!(environment.run(&["collect", "reports", "-o", "evidence.json"]).code, 0);
    let bundle = crate::environment::repository().join("policies/baseline").display().to_string();
    let input = crate::environment::repository().join(INPUT).display().to_string();
    let ran = environment.run(&[
        "eval",
        &bundle,
        "--input",
        &input,
        "--evidence",
        "evidence.json",
        "--format",
        "json",
    ]);
    let gates = ran.json()["gates"].as_array().unwrap().clone();
    let quality = gates.iter().find(|g| g["gate"] == "quality").unwrap();
    let rules: Vec<&str> =
        quality["reasons"].as_array().unwrap().iter().map(|r| r["rule"].as_str().unwrap()).collect();
    assert!(!rules.contains(&"missing:line_coverage") && !rules.contains(&"coverage"), "{rules:?}");
}

#[test]
fn compile_prints_each_part_and_check_a_summary() {
    let all = run(&["compile", "policies/baseline"]);
    let parts: String = ["schema", "cedar", "rego"]
        .map(|part| run(&["compile", "policies/baseline", "--emit", part]).stdout)
        .join("\n");
    assert_eq!(all.stdout, parts);
    assert!(all.stdout.contains("@id(\"quality.coverage.prod\")"));
    let check = run(&["check", "policies/baseline"]);
    assert_eq!(check.code, 0);
    assert!(
        check.stdout.starts_with("baseline loads: 9 gates in dev, staging, prod; 0 errors, 0 warnings\n")
    );
    assert_eq!(run(&["check", "policies/baseline", "--format", "json"]).json(), json!([]));
}

#[test]
fn a_broken_bundle_shows_its_errors_with_their_lines() {
    let environment = TestEnvironment::new();
    environment.write("b/bundle.yaml", "name: b\nmodes: [dev]\n");
    environment.write("b/f.rego", "package f\n\nlines := coutn(input.lines)\n");
    environment.write(
        "b/g.gate",
        "gate g \"x\" {\n  facts from data.f { lines: count }\n  pause big: when lnes > 3 because \"{lines}\"\n}\nmode dev { g }\n",
    );
    let ran = environment.run(&["check", "b"]);
    assert_eq!(ran.code, 3);
    insta::assert_snapshot!(ran.shown());
    let eval = environment.run(&["eval", "b", "--input", "none.json"]);
    assert_eq!((eval.code, eval.stderr), (3, ran.stderr));
    let json = environment.run(&["check", "b", "--format", "json"]);
    assert_eq!(json.json().as_array().unwrap().len(), 2);
}

#[test]
fn verbose_shows_spans_and_leaves_the_result_alone() {
    let args = ["eval", "policies/baseline", "--input", INPUT];
    let quiet = run(&args);
    let verbose = run(&[&args[..], &["-v"]].concat());
    assert_eq!(quiet.stdout, verbose.stdout);
    assert!(verbose.stderr.contains("µs    facts\n"), "{}", verbose.stderr);
    assert!(verbose.stderr.contains("µs  gate quality\n"), "{}", verbose.stderr);
}

/// The commands below one, and the long options that its help names.
fn told_by_help(command: &[String]) -> (Vec<String>, Vec<String>) {
    let arguments: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
    let help = run(&arguments).stdout;
    let below = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let below = below.take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
    let below = below.filter(|name| *name != "help").map(str::to_owned).collect();
    let option = |line: &str| {
        let words = line.trim_start().split([' ', '[', '=']);
        words.take_while(|word| word.starts_with('-')).find(|word| word.starts_with("--")).map(str::to_owned)
    };
    let options = help.lines().filter_map(option);
    let everywhere = ["--help", "--verbose", "--version"];
    (below, options.filter(|option| !everywhere.contains(&option.as_str())).collect())
}

#[test]
fn every_command_and_every_option_stands_in_the_page_on_commands() {
    let page = std::fs::read_to_string(crate::environment::repository().join("docs/commands.md")).unwrap();
    let (mut missing, mut commands, mut seen) = (Vec::new(), vec![Vec::new()], 0);
    while let Some(command) = commands.pop() {
        let (below, options) = told_by_help(&command);
        commands.extend(below.iter().map(|name| [&command[..], std::slice::from_ref(name)].concat()));
        if !below.is_empty() {
            continue;
        }
        seen += 1;
        let name = format!("cku {}", command.join(" "));
        let heading = |line: &str| line.starts_with('#') && line.trim_start_matches('#').trim() == name;
        let mut section = page.lines().skip_while(|line| !heading(line));
        if section.next().is_none() {
            missing.push(name);
            continue;
        }
        let section: Vec<&str> = section.take_while(|line| !line.starts_with('#')).collect();
        let words: Vec<&str> = section
            .iter()
            .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-'))
            .collect();
        let untold = options.iter().filter(|option| !words.contains(&option.as_str()));
        missing.extend(untold.map(|option| format!("{name}: {option}")));
    }
    assert!(seen > 25, "{seen}");
    assert!(missing.is_empty(), "not in docs/commands.md: {missing:#?}");
}
