//! How reliable skills, agents, gates, voters and tenants have been, and what gates make of it.

use crate::installation::Installation;

/// Steps that cannot be undone.
fn steps(argv: &str, number: usize) -> String {
    let step = |n| {
        format!(
            "- {{id: s{n}, skill: command, with: {{argv: ['{argv}']}}, targets: ['service:acme/payments/api'], on_failure: skip}}\n"
        )
    };
    (0..number).map(step).collect()
}

/// Steps without any effect.
fn harmless(argv: &str, number: usize) -> String {
    let step = |n| {
        format!(
            "- {{id: s{n}, skill: command, with: {{argv: ['{argv}']}}, effects: false, on_failure: skip}}\n"
        )
    };
    (0..number).map(step).collect()
}

/// What the gate of operations says of the latest run, and why.
fn operations(installation: &Installation) -> (String, String) {
    let decided = installation.entries(&installation.latest());
    let (_, body) = decided.into_iter().find(|(kind, _)| kind == "decision.made/1").unwrap();
    let gates = body["decision"]["gates"].as_array().unwrap();
    let gate = gates.iter().find(|gate| gate["gate"] == "operations").unwrap();
    (gate["verdict"].as_str().unwrap().to_owned(), gate["reasons"].to_string())
}

#[test]
fn a_skill_that_fails_a_lot_raises_the_risk_until_its_record_is_better() {
    let installation = Installation::local();
    let shown = |args: &[&str]| installation.cku(&[&["reliability"], args].concat()).shown();
    installation.plan(&steps("true", 2));
    assert_eq!(installation.run(&[]).code, 0);
    assert_eq!(operations(&installation).0, "PASS");
    insta::assert_snapshot!("two_tries", shown(&[]));
    installation.plan(&harmless("false", 30));
    assert_eq!(installation.run(&[]).code, 0, "what fails is left out");
    insta::assert_snapshot!("thirty_failures", shown(&["skills"]));
    // The same plan as before.
    installation.plan(&steps("true", 2));
    let ran = installation.run(&[]);
    assert_eq!(ran.code, 1, "{}", ran.shown());
    let (verdict, why) = operations(&installation);
    assert_eq!(verdict, "REJECT", "{why}");
    assert!(why.contains("unreliable skills 0.4999"), "{why}");
    assert!(installation.is_intact());
    // What does no harm passes all the same, so that its record can become better.
    installation.plan(&harmless("true", 30));
    assert_eq!(installation.run(&[]).code, 0);
    let known = installation.cku(&["reliability", "skills", "--format", "json"]).json();
    let command = &known["subjects"]["skills"][0];
    assert_eq!((command["outcomes"].as_u64(), command["failures"].as_f64()), (Some(62), Some(30.0)));
    assert_eq!(command["given"], command["lower_bound"]);
}

#[test]
fn a_skill_that_fails_where_others_do_not_is_a_pattern() {
    let installation = Installation::local();
    installation.plan(
        "- {id: note, skill: file, with: {op: write, path: note.txt, text: noted}, targets: ['service:acme/payments/api']}
- {id: look, skill: command, with: {shell: 'exit 124'}, effects: false, needs: [note], on_failure: skip}
",
    );
    for _ in 0..12 {
        let ran = installation.run(&[]);
        assert_eq!(ran.code, 0, "{}", ran.shown());
    }
    insta::assert_snapshot!("pattern", installation.cku(&["reliability", "patterns"]).shown());
    let all = installation.cku(&["reliability"]).stdout;
    assert!(all.contains("1 pattern: `cku reliability patterns`"), "{all}");
}

#[test]
fn an_incident_that_is_found_later_is_told_of_all_who_let_the_run_go() {
    let installation = Installation::local();
    installation.plan(&harmless("true", 1));
    assert_eq!(installation.run(&[]).code, 0);
    let failures = || {
        let known = installation.cku(&["reliability", "--format", "json"]).json();
        let kinds = known["subjects"].as_object().unwrap().iter();
        let of = kinds.map(|(kind, known)| {
            let failures = known.as_array().unwrap().iter().map(|known| known["failures"].as_f64().unwrap());
            (kind.clone(), failures.sum::<f64>())
        });
        of.collect::<std::collections::BTreeMap<_, _>>()
    };
    assert!(failures().values().all(|failures| *failures < 0.5), "{:?}", failures());
    let run = installation.latest();
    let done = installation.cku(&["outcome", &run, "--label", "incident"]);
    assert_eq!(done.code, 0, "{}", done.shown());
    let failures = failures();
    assert!(failures["agents"] > 0.5 && failures["tenants"] > 0.5 && failures["gates"] > 5.5, "{failures:?}");
    assert!(failures["skills"] < 0.5, "{failures:?}");
}

#[test]
fn what_cannot_be_shown_is_told() {
    let installation = Installation::local();
    let shown = |args: &[&str]| {
        let shown = installation.cku(&[&["reliability"], args].concat()).shown();
        shown.replace(&installation.environment.path().display().to_string(), "FOLDER")
    };
    let nothing = shown(&[]);
    installation.plan(&harmless("true", 1));
    assert_eq!(installation.run(&["--mode", "staging"]).code, 1, "nobody proved who they are");
    let mut told = format!("no journal\n{nothing}");
    for args in [
        &[][..],
        &["voters"],
        &["patterns"],
        &["skils"],
        &["--tenant", "acme/paymets"],
        &["--tenant", "Acme"],
        &["agents", "--format", "table"],
    ] {
        told.push_str(&format!("\n{}\n{}", args.join(" "), shown(args)));
    }
    insta::assert_snapshot!(told);
}
