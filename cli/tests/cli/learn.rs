//! The learner, from outcomes to a decision that is another one, as its users see it.

use crate::environment::TestEnvironment;

/// The text with digests and times that every journal has anew.
fn masked(text: &str) -> String {
    let mask = |word: &str| {
        let end = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let rest = &word[end.len()..];
        match end {
            _ if end.starts_with("sha256:") => format!("sha256:…{rest}"),
            _ if end.ends_with('Z') && end.contains('T') && end.contains(':') => format!("TIME{rest}"),
            _ => word.to_owned(),
        }
    };
    text.lines().map(|line| line.split(' ').map(mask).collect::<Vec<_>>().join(" ") + "\n").collect()
}

#[test]
fn outcomes_become_a_diff_that_people_approve_and_take_back() {
    let environment = TestEnvironment::new();
    let ran = environment.run(&["learn", "simulate", "--keep", "kept"]);
    assert_eq!(ran.code, 0, "{}", ran.shown());
    let mut shown = masked(&ran.stdout);
    let journal = ["--journal", "kept/journal.db"];
    let cku = |args: &[&str]| environment.run(&[args, &journal[..]].concat());
    for args in [
        &["learn", "status"][..],
        &["learn", "explain", "quality.min_line_coverage", "--mode", "dev"],
        &["learn", "history", "quality.min_line_coverage", "--mode", "dev", "--svg", "plot.svg"],
    ] {
        shown.push_str(&format!("\n$ cku {}\n{}", args.join(" "), masked(&cku(args).stdout)));
    }
    insta::assert_snapshot!("shown", shown);
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
    insta::assert_snapshot!("told", told);
}
