//! Plan files: what is read, and what each mistake is told.

use cku_base::document::Limits;
use cku_runs::PlanFile;
use proptest::prelude::*;

fn told(plan: &str) -> String {
    match PlanFile::read("plan.yaml", plan.as_bytes(), Limits::default()) {
        Ok(_) => "good".to_owned(),
        Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n    "),
    }
}

#[test]
fn what_each_mistake_is_told() {
    let steps = |text: &str| format!("intent: do it\nsteps:\n{text}");
    let cases = [
        ("empty", String::new()),
        ("a list", "- a".to_owned()),
        ("no intent", "steps: [{id: a, skill: command, with: {argv: [ls]}}]".to_owned()),
        ("no steps", "intent: do it".to_owned()),
        ("steps without end", "intent: do it\nsteps: []".to_owned()),
        ("a key twice", "intent: a\nintent: b\nsteps: []".to_owned()),
        ("a typo at the top", "intent: a\nstep: []".to_owned()),
        ("a typo in a step", steps("- {id: a, skill: command, with: {argv: [ls]}, need: [b]}")),
        ("a typo in an argument", steps("- {id: a, skill: command, with: {args: [ls]}}")),
        ("a tenant that is none", "intent: a\ntenant: A!\nsteps: []".to_owned()),
        ("a mode that is no text", "intent: a\nmode: 1\nsteps: []".to_owned()),
        ("no id", steps("- {skill: command, with: {argv: [ls]}}")),
        (
            "ids that are none",
            steps(
                "- {id: A, skill: command, with: {argv: [ls]}}\n- {id: ../b, skill: command, with: {argv: [ls]}}",
            ),
        ),
        (
            "an id twice",
            steps(
                "- {id: a, skill: command, with: {argv: [ls]}}\n- {id: a, skill: command, with: {argv: [ls]}}",
            ),
        ),
        (
            "an unknown need",
            steps(
                "- {id: build, skill: command, with: {argv: [ls]}}\n- {id: b, skill: command, with: {argv: [ls]}, needs: [biuld]}",
            ),
        ),
        ("needs itself", steps("- {id: a, skill: command, with: {argv: [ls]}, needs: [a]}")),
        (
            "a circle",
            steps(
                "- {id: a, skill: command, with: {argv: [ls]}, needs: [c]}\n- {id: b, skill: command, with: {argv: [ls]}, needs: [a]}\n- {id: c, skill: command, with: {argv: [ls]}, needs: [b]}",
            ),
        ),
        ("an unknown skill", steps("- {id: a, skill: comand, with: {argv: [ls]}}")),
        ("says it can be undone", steps("- {id: a, skill: command, with: {argv: [ls]}, reversible: true}")),
        (
            "says that a file changes nothing",
            steps("- {id: a, skill: file, with: {op: write, path: x, text: y}, effects: false}"),
        ),
        (
            "an undo that is not taken",
            steps("- {id: a, skill: file, with: {op: delete, path: x}, undo: {op: write}}"),
        ),
        ("a wish that is none", steps("- {id: a, skill: command, with: {argv: [ls]}, on_failure: ignore}")),
        (
            "good",
            steps(
                "- {id: a, skill: command, with: {argv: [ls]}, effects: false}\n- {id: b, skill: file, with: {op: delete, path: x}, needs: [a]}",
            ),
        ),
    ];
    let told: Vec<String> = cases.iter().map(|(name, plan)| format!("{name}\n    {}", told(plan))).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn whether_a_step_can_be_undone_follows_from_what_it_says_and_its_skill() {
    let plan = "intent: do it\nsteps:
- {id: plain, skill: command, with: {argv: [ls]}}
- {id: undone, skill: command, with: {argv: [ls]}, undo: {argv: [ls]}}
- {id: denied, skill: command, with: {argv: [ls]}, undo: {argv: [ls]}, reversible: false}
- {id: file, skill: file, with: {op: delete, path: x}}
- {id: harmless, skill: command, with: {argv: [ls]}, effects: false, reversible: true}
";
    let plan = PlanFile::read("plan.yaml", plan.as_bytes(), Limits::default()).unwrap();
    let steps = plan.submission.plan.unwrap().steps;
    let reversible: Vec<_> = steps.iter().map(|s| (s.id.as_str(), s.reversible)).collect();
    let expected =
        [("plain", false), ("undone", true), ("denied", false), ("file", true), ("harmless", true)];
    assert_eq!(reversible, expected);
}

#[test]
fn a_chain_of_a_thousand_steps_is_checked_and_more_are_refused() {
    let chain = |n: usize| {
        let step = |i: usize| {
            let needs = if i == 0 { String::new() } else { format!(", needs: [s{}]", i - 1) };
            format!("- {{id: s{i}, skill: command, with: {{argv: [ls]}}{needs}}}\n")
        };
        format!("intent: do it\nsteps:\n{}", (0..n).map(step).collect::<String>())
    };
    assert_eq!(told(&chain(1_000)), "good");
    assert!(told(&chain(1_001)).contains("more than the 1000"));
}

proptest! {
    #[test]
    fn any_text_is_a_plan_or_a_diagnostic(text in "[a-z:\\[\\]{},\\- \n]{0,120}") {
        told(&text);
    }
}
