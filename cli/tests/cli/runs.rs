//! Runs through the binary: failures, people, other processes, and cku going away.

use std::{
    io::{BufRead, BufReader},
    process::Command,
};

use crate::installation::{Installation, stable};

#[test]
fn a_plan_is_carried_out_and_recorded() {
    let installation = Installation::local();
    installation.plan(
        "- {id: hello, skill: command, with: {argv: [echo, hello]}, effects: false}
- {id: note, skill: file, with: {op: write, path: note.txt, text: noted}, targets: ['service:acme/payments/api'], needs: [hello]}
",
    );
    let ran = installation.run(&["--follow"]);
    insta::assert_snapshot!(stable(&ran, &installation));
    assert_eq!(installation.work("note.txt").as_deref(), Some("noted"));
    let run = installation.latest();
    let kinds: Vec<String> = installation.entries(&run).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(
        kinds,
        [
            "run.submitted/1",
            "decision.made/1",
            "run.started/1",
            "step.started/1",
            "step.finished/1",
            "step.started/1",
            "step.finished/1",
            "run.ended/1"
        ]
    );
    assert!(installation.is_intact());
    insta::assert_snapshot!("shown_later", stable(&installation.cku(&["runs", "show", &run]), &installation));
}

#[test]
fn failures_are_tried_again_left_out_or_undone() {
    let installation = Installation::local();
    installation.plan(
        "- {id: flaky, skill: command, with: {shell: 'echo x >> tries; test $(wc -l < tries) -ge 2 || exit 75'}, effects: false}
- {id: extra, skill: command, with: {argv: ['false']}, effects: false, on_failure: skip, needs: [flaky]}
- {id: after, skill: command, with: {argv: ['true']}, effects: false, needs: [extra]}
",
    );
    insta::assert_snapshot!("again_and_left_out", stable(&installation.run(&[]), &installation));
    let installation = Installation::local();
    installation.environment.write("work/kept.txt", "before");
    installation.plan(
        "- {id: one, skill: file, with: {op: append, path: kept.txt, text: ' and after'}, targets: ['service:acme/payments/api']}
- {id: two, skill: command, with: {shell: 'echo 2 > two'}, undo: {argv: [rm, two]}, targets: ['service:acme/payments/api'], needs: [one]}
- {id: three, skill: command, with: {shell: 'echo went wrong >&2; exit 9'}, effects: false, needs: [two]}
",
    );
    insta::assert_snapshot!("undone", stable(&installation.run(&[]), &installation));
    assert_eq!(installation.work("kept.txt").as_deref(), Some("before"));
    assert_eq!(installation.work("two"), None);
    assert!(installation.is_intact());
}

#[test]
fn an_undo_that_fails_waits_for_a_person() {
    let installation = Installation::local();
    installation.plan(
        "- {id: one, skill: command, with: {shell: 'echo 1 > one'}, undo: {shell: 'test -e allowed && rm one'}, targets: ['service:acme/payments/api']}
- {id: two, skill: command, with: {argv: ['false']}, effects: false, needs: [one]}
",
    );
    let ran = installation.run(&[]);
    insta::assert_snapshot!("waits", stable(&ran, &installation));
    let run = installation.latest();
    let wrong = [
        installation.cku(&["heal", &run, "two", "retry"]),
        installation.cku(&["heal", &run, "tow", "retry"]),
        installation.cku(&["heal", &run, "one", "rollback"]),
        installation.cku(&["heal", &run, "one", "retyr"]),
    ];
    let wrong: String = wrong.iter().map(|ran| stable(ran, &installation)).collect();
    insta::assert_snapshot!("healed_wrongly", wrong);
    installation.environment.write("work/allowed", "");
    assert_eq!(installation.cku(&["heal", &run, "one", "retry", "--reason", "made room"]).code, 0);
    let ran = installation.cku(&["run", "--resume", &run]);
    assert_eq!(ran.code, 1, "{}", ran.shown());
    assert_eq!(installation.show(&run)["status"], "rolled_back");
    assert_eq!(installation.work("one"), None);
    let again = installation.cku(&["run", "--resume", &run]);
    assert_eq!((again.code, again.stdout.as_str()), (2, ""));
}

#[test]
fn the_kill_switch_stops_what_is_under_way_and_what_comes() {
    let installation = Installation::local();
    installation.plan(
        "- {id: one, skill: command, with: {shell: 'touch began; until test -e go; do sleep 0.02; done'}, effects: false}
- {id: two, skill: command, with: {shell: 'touch second'}, effects: false, needs: [one]}
",
    );
    let running = installation.start_run();
    installation.wait_for("began");
    assert_eq!(installation.cku(&["killswitch", "on", "--tenant", "acme", "--reason", "drill"]).code, 0);
    installation.environment.write("work/go", "");
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("the kill switch of acme is on: drill"), "{said}");
    assert_eq!(installation.work("second"), None);
    let waiting = installation.latest();
    let rejected = installation.run(&[]);
    assert_eq!(rejected.code, 1);
    assert!(rejected.stdout.contains("the kill switch is on: nothing goes ahead"), "{}", rejected.shown());
    assert_eq!(installation.cku(&["killswitch", "off", "--tenant", "acme"]).code, 0);
    let resumed = installation.cku(&["run", "--resume", &waiting]);
    assert_eq!(resumed.code, 0, "{}", resumed.shown());
    assert!(installation.work("second").is_some() && installation.is_intact());
}

#[test]
fn nobody_else_carries_out_a_run_and_anybody_may_cancel_it() {
    let installation = Installation::local();
    installation
        .plan("- {id: one, skill: command, with: {shell: 'touch began; sleep 1000'}, effects: false}\n");
    let running = installation.start_run();
    installation.wait_for("began");
    let run = installation.latest();
    let second = installation.cku(&["run", "--resume", &run]);
    let told = format!("error: {run} is being carried out: it is held by process {}\n", running.id());
    assert_eq!((second.code, second.stderr), (2, told));
    // Others use the journal meanwhile.
    assert!(installation.is_intact());
    let cancelled = installation.cku(&["cancel", &run, "--reason", "not today"]);
    assert_eq!(cancelled.code, 0, "{}", cancelled.shown());
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    let shown = installation.show(&run);
    assert_eq!((&shown["status"], &shown["ended"]["cause"]), (&"cancelled".into(), &"not today".into()));
    assert!(installation.is_intact());
}

#[test]
fn what_is_asked_to_end_leaves_a_run_that_goes_on() {
    let installation = Installation::local();
    installation.plan(
        "- {id: one, skill: command, with: {shell: 'touch began; until test -e go; do sleep 0.02; done'}, effects: false}\n",
    );
    let running = installation.start_run();
    installation.wait_for("began");
    assert!(Command::new("kill").args(["-TERM", &running.id().to_string()]).status().unwrap().success());
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    let run = installation.latest();
    assert!(said.contains(&format!("`cku run --resume {run}` goes on")), "{said}");
    installation.environment.write("work/go", "");
    let resumed = installation.cku(&["run", "--resume", &run]);
    assert_eq!(resumed.code, 0, "{}", resumed.shown());
    assert_eq!(installation.show(&run)["steps"][0]["attempts"], 2);
}

/// Numbers that look like chance and are the same each time (Marsaglia's xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// What must hold of the entries of a run, however often cku went away.
fn no_finished_step_is_done_twice(installation: &Installation, run: &str) {
    let mut finished = Vec::new();
    for (kind, body) in installation.entries(run) {
        let step = body["step"].as_str().unwrap_or_default().to_owned();
        match kind.as_str() {
            "step.started/1" => assert!(!finished.contains(&step), "{step} of {run} is done twice"),
            "step.finished/1" if body["failure"].is_null() => finished.push(step),
            _ => {}
        }
    }
}

#[test]
fn fifty_kills_lose_nothing_and_do_nothing_twice() {
    let installation = Installation::local();
    let step = |id: &str, needs: &str| {
        format!(
            "- {{id: {id}, skill: command, with: {{shell: 'echo began {id} >> log; sleep 0.01; echo done {id} >> log'}}, effects: false, needs: [{needs}]}}\n"
        )
    };
    let write = "- {id: write, skill: file, with: {op: append, path: total, text: x}, targets: ['service:acme/payments/api'], needs: [b]}\n";
    let steps = [
        step("a", ""),
        step("b", "a"),
        step("c", "a"),
        write.to_owned(),
        step("d", "b, c, write"),
        step("e", "d"),
    ];
    installation.plan(&steps.concat());
    let (mut random, mut open, mut runs, mut resumed) = (Random(0x9e37_79b9_7f4a_7c15), None::<String>, 0, 0);
    for _ in 0..50 {
        let mut child = match &open {
            Some(run) => {
                resumed += 1;
                installation.start(&["run", "--resume", run])
            }
            None => {
                runs += 1;
                let _ = std::fs::remove_dir_all(installation.path("work"));
                std::fs::create_dir(installation.path("work")).unwrap();
                installation.start_run()
            }
        };
        // Killed when it has said so many lines: at another point of its course each time.
        let lines = random.below(if open.is_some() { 24 } else { 40 });
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        for _ in 0..lines {
            let Some(Ok(_)) = output.next() else { break };
        }
        child.kill().unwrap();
        let code = child.wait().unwrap().code();
        assert!(installation.is_intact());
        let list = installation.cku(&["runs", "list", "--format", "json"]).json();
        let latest = list.as_array().and_then(|list| list.last().cloned());
        let ended = |status: &str| matches!(status, "succeeded" | "failed" | "partial" | "rolled_back");
        open = latest
            .filter(|run| !ended(run["is"]["status"].as_str().unwrap()))
            .map(|r| r["run"].as_str().unwrap().to_owned());
        if let Some(run) = &open {
            no_finished_step_is_done_twice(&installation, run);
        }
        assert!(code.is_none() || code == Some(0), "{code:?}");
    }
    if let Some(run) = &open {
        let last = installation.cku(&["run", "--resume", run]);
        assert_eq!(last.code, 0, "{}", last.shown());
    }
    assert!(runs >= 3 && resumed >= 10, "{runs} runs, {resumed} resumed");
    let list = installation.cku(&["runs", "list", "--format", "json"]).json();
    for run in list.as_array().unwrap() {
        assert_eq!(run["is"]["status"], "succeeded", "{run}");
        no_finished_step_is_done_twice(&installation, run["run"].as_str().unwrap());
    }
    // Appended once in the last run, however often it was begun.
    assert_eq!(installation.work("total").as_deref(), Some("x"));
    assert!(installation.is_intact());
}
