//! The learner, from outcomes to a decision that is another one, as its users see it.

use crate::environment::TestEnvironment;

#[test]
fn outcomes_become_a_diff_that_people_approve_and_take_back() {
    let environment = TestEnvironment::new();
    let ran = environment.run(&["learn", "simulate", "--keep", "kept"]);
    assert_eq!(ran.code, 0, "{}", ran.shown());
    let said = ["their outcomes raise: quality.min_line_coverage from 60 %", "the learner proposed sha256:"];
    let then =
        ["rhea@acme.example approved it", "was PASS, and is PAUSE now", "is PASS again", "bit for bit"];
    let mut rest = ran.stdout.as_str();
    for line in said.iter().chain(&then) {
        let at = rest.find(line).unwrap_or_else(|| panic!("{line}: {}", ran.stdout));
        rest = &rest[at..];
    }
    let journal = ["--journal", "kept/journal.db"];
    let cku = |args: &[&str]| environment.run(&[args, &journal[..]].concat());
    let shown = cku(&["learn", "status"]);
    assert!(shown.stdout.contains("quality.min_line_coverage"), "{}", shown.shown());
    let explained = cku(&["learn", "explain", "quality.min_line_coverage", "--mode", "dev"]);
    assert!(explained.stdout.contains("nothing is explored in this mode"), "{}", explained.shown());
    let history =
        cku(&["learn", "history", "quality.min_line_coverage", "--mode", "dev", "--svg", "plot.svg"]);
    let lines: Vec<&str> = history.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "first, learned, taken back: {}", history.shown());
    assert!(lines[2].contains("by service_account:learner") && lines[3].contains("taken back"), "{lines:?}");
    let plot = std::fs::read_to_string(environment.path().join("plot.svg")).unwrap();
    assert!(plot.starts_with("<svg") && plot.contains("60.00 %"), "{plot}");
    // What is mistyped is told, and nothing is guessed.
    let mut told = String::new();
    for args in [
        &["learn", "explain", "quality.min_line_coverag"][..],
        &["learn", "history", "min_line_coverage"],
        &["learn", "history", "quality.nothing"],
        &["learn", "status", "--tenant", "acme/paymets"],
        &["learn", "verify", "sha256:00"],
    ] {
        let ran = cku(args);
        assert_eq!(ran.code, 2, "{}", ran.shown());
        told.push_str(&format!("{}\n{}", args.join(" "), ran.stderr));
    }
    insta::assert_snapshot!(told);
}
