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

/// The kinds of the entries about the steps of a run, without their version.
fn kinds(installation: &Installation, run: &str) -> Vec<String> {
    let kinds = installation.entries(run).into_iter().map(|(kind, _)| kind.trim_end_matches("/1").to_owned());
    kinds.filter(|kind| kind.starts_with("step.") || kind.starts_with("healing.")).collect()
}

#[test]
fn a_step_that_fails_while_others_are_rolled_back_is_undone_and_nobody_is_asked() {
    let installation = Installation::local();
    installation.plan(
        "- {id: one, skill: command, with: {shell: 'touch one'}, undo: {argv: [rm, one]}, targets: ['service:acme/payments/api']}
- {id: bad, skill: command, with: {shell: 'until test -e slow; do sleep 0.02; done; exit 9'}, effects: false, needs: [one]}
- {id: slow, skill: command, with: {shell: 'touch slow; until test -e go; do sleep 0.02; done; exit 9'}, undo: {shell: 'echo $CKU_STEP_STATUS > told; rm slow'}, targets: ['service:acme/payments/api'], needs: [one]}
",
    );
    let running = installation.start_run();
    installation.wait_for("slow");
    let run = installation.latest();
    let healed = || kinds(&installation, &run).iter().filter(|kind| *kind == "healing.chosen").count();
    while healed() == 0 {
        std::thread::yield_now();
    }
    installation.environment.write("work/go", "");
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    let shown = installation.show(&run);
    assert_eq!(shown["status"], "rolled_back", "{shown}");
    let of_steps: Vec<_> = shown["steps"].as_array().unwrap().iter().map(|s| s["status"].clone()).collect();
    assert_eq!(of_steps, ["undone", "failed", "undone"]);
    assert_eq!((installation.work("one"), installation.work("slow")), (None, None));
    assert_eq!(installation.work("told").as_deref(), Some("failed\n"));
    assert_eq!(healed(), 1, "what failed beside it needs no answer");
    assert!(installation.is_intact());
}

#[test]
fn what_failed_and_may_have_had_an_effect_is_undone_or_named() {
    let installation = Installation::local();
    let target = "targets: ['service:acme/payments/api']";
    installation.plan(&format!(
        "- {{id: one, skill: command, with: {{shell: 'touch made; exit 9'}}, undo: {{argv: [rm, made]}}, {target}}}\n"
    ));
    assert_eq!(installation.run(&[]).code, 1);
    let shown = installation.show(&installation.latest());
    assert_eq!((&shown["status"], installation.work("made")), (&"rolled_back".into(), None), "{shown}");
    installation
        .plan(&format!("- {{id: one, skill: command, with: {{shell: 'touch made; exit 9'}}, {target}}}\n"));
    assert_eq!(installation.run(&[]).code, 1);
    let shown = installation.show(&installation.latest());
    let cause = "step `one` failed: exit code 9; begun and not undone: `one`";
    assert_eq!((&shown["status"], &shown["ended"]["cause"]), (&"failed".into(), &cause.into()));
    // What never ran has no effect.
    installation.plan(&format!(
        "- {{id: one, skill: command, with: {{argv: [no-such-program]}}, undo: {{argv: [rm, none]}}, {target}}}\n"
    ));
    assert_eq!(installation.run(&[]).code, 1);
    assert_eq!(installation.show(&installation.latest())["status"], "rolled_back");
}

#[test]
fn what_can_be_undone_and_not_repeated_is_undone_before_it_is_tried_again() {
    let installation = Installation::local();
    installation.plan(
        "- {id: one, skill: command, with: {shell: 'cat ledger >> seen; echo x >> ledger; sleep 100', timeout: 1s}, undo: {argv: [rm, ledger]}, targets: ['service:acme/payments/api']}\n",
    );
    assert_eq!(installation.run(&[]).code, 1);
    let run = installation.latest();
    assert_eq!(installation.show(&run)["status"], "rolled_back");
    assert_eq!(
        (installation.work("seen").as_deref(), installation.work("ledger")),
        (Some(""), None),
        "nothing of the first try was there when the second began"
    );
    let (tried, undone) =
        (["step.started", "step.finished", "healing.chosen"], ["step.undo_started", "step.undone"]);
    assert_eq!(kinds(&installation, &run), [&tried[..], &undone, &tried, &undone].concat());
}

#[test]
fn an_undo_takes_the_rights_that_the_step_took() {
    let installation = Installation::of_people();
    let dana = installation.token("dana@acme.example", "/", "user");
    let olga = installation.token("olga@acme.example", "acme", "user");
    let role = |verb: &str| {
        let of_olga = ["operator", "olga@acme.example", "--home", "acme", "--tenant", "acme/payments"];
        let changed = installation.cku(&[&["role", verb][..], &of_olga, &["--token", &dana]].concat());
        assert_eq!(changed.code, 0, "{}", changed.shown());
    };
    role("grant");
    installation.plan(
        "- {id: one, skill: file, with: {op: write, path: one, text: x}, targets: ['service:acme/payments/api']}
- {id: two, skill: command, with: {shell: 'touch began; until test -e go; do sleep 0.02; done; exit 9'}, effects: false, needs: [one]}
",
    );
    let arguments = installation.run_arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["--token", &olga]).collect();
    let running = installation.start(&arguments);
    installation.wait_for("began");
    role("revoke");
    installation.environment.write("work/go", "");
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    let told = "the undo of step `one` failed: `user:olga@acme.example` may not touch `service:acme/payments/api` (run:touch)";
    assert!(said.contains(told), "{said}");
    let run = installation.latest();
    assert!(!kinds(&installation, &run).contains(&"step.undo_started".to_owned()));
    assert_eq!(installation.work("one").as_deref(), Some("x"));
}

#[test]
fn no_step_is_let_into_what_cku_keeps() {
    let installation = Installation::local();
    let folder = installation.environment.path().display().to_string();
    for writable in ["/", &folder, &format!("{folder}/journal.db"), &format!("{folder}/journal.db-backups")] {
        installation.plan(&format!(
            "- {{id: one, skill: command, with: {{argv: ['true'], writable: ['{writable}']}}, effects: false}}\n"
        ));
        let ran = installation.run(&[]);
        assert_eq!(ran.code, 1, "{}", ran.shown());
        let told = format!("`writable` names `{writable}`, where cku keeps `{folder}/journal.db");
        assert!(ran.stdout.contains(&told), "{}", ran.shown());
    }
}

#[test]
fn claims_and_backups_are_the_same_by_whatever_name_the_journal_is_reached() {
    let installation = Installation::local();
    installation.plan(
        "- {id: one, skill: file, with: {op: write, path: one, text: x}, targets: ['service:acme/payments/api']}
- {id: two, skill: command, with: {shell: 'touch began; until test -e go; do sleep 0.02; done; exit 9'}, effects: false, needs: [one]}
",
    );
    let running = installation.start_run();
    installation.wait_for("began");
    let run = installation.latest();
    std::os::unix::fs::symlink(installation.path("journal.db"), installation.path("link.db")).unwrap();
    let by_link = ["run", "--resume", &run, "--journal", "link.db"];
    let second = installation.cku(&by_link);
    assert!(second.stderr.contains("is being carried out"), "{}", second.shown());
    let mut running = running;
    running.kill().unwrap();
    running.wait().unwrap();
    installation.environment.write("work/go", "");
    let resumed = installation.cku(&by_link);
    assert_eq!(installation.show(&run)["status"], "rolled_back", "{}", resumed.shown());
    assert_eq!(installation.work("one"), None);
    assert!(!installation.path("link.db-backups").exists() && !installation.path("link.db-claims").exists());
}

#[test]
fn interruptions_use_up_no_tries() {
    let installation = Installation::local();
    installation.plan(
        "- {id: one, skill: command, with: {shell: 'touch began; until test -e go; do sleep 0.02; done'}, effects: false}\n",
    );
    let mut running = installation.start_run();
    for _ in 0..4 {
        installation.wait_for("began");
        running.kill().unwrap();
        running.wait().unwrap();
        std::fs::remove_file(installation.path("work/began")).unwrap();
        running = installation.start(&["run", "--resume", &installation.latest()]);
    }
    installation.wait_for("began");
    installation.environment.write("work/go", "");
    let output = running.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(installation.show(&installation.latest())["steps"][0]["attempts"], 5);
}

#[test]
fn a_run_that_nobody_carries_out_any_more_is_shown_as_interrupted() {
    let installation = Installation::local();
    installation.plan(
        "- {id: one, skill: command, with: {shell: 'touch began; until test -e go; do sleep 0.02; done'}, effects: false}\n",
    );
    let mut running = installation.start_run();
    installation.wait_for("began");
    let run = installation.latest();
    assert_eq!(installation.show(&run)["interrupted"], false, "somebody carries it out");
    running.kill().unwrap();
    running.wait().unwrap();
    std::os::unix::fs::symlink(installation.path("journal.db"), installation.path("link.db")).unwrap();
    let told: String = [
        installation.cku(&["runs", "show", &run]),
        installation.cku(&["runs", "show", &run, "--journal", "link.db"]),
        installation.cku(&["runs", "list"]),
        installation.cku(&["heal", &run, "one", "retry"]),
    ]
    .iter()
    .map(|ran| stable(ran, &installation))
    .collect();
    insta::assert_snapshot!("interrupted", told);
    let shown = installation.show(&run);
    assert_eq!((&shown["status"], &shown["interrupted"]), (&"running".into(), &true.into()));
    assert!(!installation.path("link.db-claims").exists());
    installation.environment.write("work/go", "");
    assert_eq!(installation.cku(&["run", "--resume", &run]).code, 0);
    assert_eq!(installation.show(&run)["interrupted"], false);
}

#[test]
fn a_run_that_is_shown_says_why_its_gates_let_it_go_and_which_vote_counts() {
    let installation = Installation::of_people();
    installation.plan("- {id: note, skill: file, with: {op: write, path: note.txt, text: noted}, targets: ['service:acme/payments/api']}\n");
    let ci = installation.token("ci@acme.example", "acme/payments", "service_account");
    let (rhea, sam) = (
        installation.token("rhea@acme.example", "acme", "user"),
        installation.token("sam@acme.example", "acme", "user"),
    );
    assert_eq!(installation.run(&["--mode", "staging", "--token", &ci]).code, 4);
    let run = installation.latest();
    for act in [
        &["approve", &run, "plan_approval", "--reason", "looked at it", "--token", &rhea][..],
        &["vote", &run, "reject", "--token", &rhea],
        &["vote", &run, "approve", "--token", &sam],
        &["vote", &run, "approve", "--token", &rhea],
    ] {
        let done = installation.cku(act);
        assert_eq!(done.code, 0, "{}", done.shown());
    }
    let resumed = installation.cku(&["run", "--resume", &run, "--token", &ci]);
    assert_eq!(resumed.code, 0, "{}", resumed.shown());
    insta::assert_snapshot!("let_go", stable(&installation.cku(&["runs", "show", &run]), &installation));
}

#[test]
fn no_journal_is_made_for_a_plan_that_is_refused() {
    let installation = Installation::local();
    installation.plan("- {id: one, skill: command, with: {argv: ['true']}, effects: false}\n");
    installation.environment.write("bad.yaml", "intent: [");
    let journal = ["--journal", "new/x.db"];
    let told: String = [
        &["run", "bad.yaml"][..],
        &["run", "plan.yaml", "--workspace", "none"],
        &["run", "plan.yaml", "--workspace", "plan.yaml"],
        &["run", "plan.yaml"],
        &["run", "plan.yaml", "--workspace", "work", "--mode", "stagin"],
        &["run", "plan.yaml", "--workspace", "work", "--evidence", "none"],
    ]
    .iter()
    .map(|args| stable(&installation.cku(&[args, &journal[..]].concat()), &installation))
    .collect();
    insta::assert_snapshot!("refused_before_a_journal", told);
    assert!(!installation.path("new").exists());
}

#[test]
fn what_the_submitter_may_not_do_is_told_before_people_approve_it() {
    let installation = Installation::of_people();
    installation.plan("- {id: gone, skill: command, with: {argv: ['true']}, targets: ['service:acme/payments/api']}\n- {id: kept, skill: command, with: {argv: ['true']}, effects: false}\n");
    let ci = installation.token("ci@acme.example", "acme/payments", "service_account");
    let ran = installation.run(&["--mode", "staging", "--token", &ci]);
    assert_eq!(ran.code, 4, "{}", ran.shown());
    let told = "warning: the step `gone` will fail, whatever the gates say: `service_account:ci@acme.example` may not do what cannot be undone (execution:high_risk): no policy permits it; let somebody submit the plan who may\n";
    assert_eq!(ran.stderr, told);
}

#[test]
fn a_run_without_a_plan_is_told_of_resume() {
    let ran = Installation::local().cku(&["run"]);
    let told = "error: name a plan, or a run that goes on: `cku run PLAN` or `cku run --resume RUN`; `cku run --help` says more\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (2, told));
}

#[test]
fn a_mistyped_tenant_is_told_and_runs_below_one_are_listed() {
    let installation = Installation::local();
    installation.plan("- {id: one, skill: command, with: {argv: ['true']}, effects: false}\n");
    assert_eq!(installation.run(&[]).code, 0);
    let list = |tenant: &str| installation.cku(&["runs", "list", "--tenant", tenant]);
    for above in ["/", "acme", "acme/payments"] {
        assert!(list(above).stdout.starts_with("run-"), "{above}");
    }
    let ran = list("acme/paymnts");
    let told = "error: the journal has no entries of acme/paymnts, but of /, acme/payments; did you mean `acme/payments`?\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (2, told));
}

#[test]
fn what_is_held_for_missing_facts_without_evidence_is_told_of_the_option() {
    let installation = Installation::local();
    installation.plan("- {id: one, skill: command, with: {argv: ['true']}, effects: false}\n");
    let told = "no evidence was given; `--evidence DIR` takes reports\n";
    let without = installation.cku(&["run", "plan.yaml", "--workspace", "work"]);
    assert_eq!(without.code, 1, "{}", without.shown());
    assert!(without.stdout.contains(told), "{}", without.shown());
    assert!(!installation.run(&[]).stdout.contains(told));
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
        .plan("- {id: one, skill: command, with: {shell: 'touch began; sleep 1000'}, targets: ['service:acme/payments/api']}\n");
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
    assert_eq!(shown["ended"]["outcome"], "failure", "what was begun counts");
    // What ran is recorded, after the end.
    let entries = installation.entries(&run);
    let kinds: Vec<&str> = entries.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds[kinds.len() - 2..], ["run.ended/1", "step.finished/1"]);
    assert_eq!(entries.last().unwrap().1["failure"]["class"], "interrupted");
    assert_eq!(shown["steps"][0]["status"], "failed");
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
    let otherwise: String = [
        installation.cku(&["run", "--resume", &run, "--unconfined"]),
        installation.cku(&["run", "--resume", &run, "--workspace", "."]),
    ]
    .iter()
    .map(|ran| stable(ran, &installation))
    .collect();
    insta::assert_snapshot!("resumed_otherwise", otherwise);
    let resumed = installation.cku(&["run", "--resume", &run, "--workspace", "work"]);
    assert_eq!(resumed.code, 0, "{}", resumed.shown());
    assert_eq!(installation.show(&run)["steps"][0]["attempts"], 2);
}

#[test]
fn a_run_that_waits_for_its_gates_goes_on_as_it_was_submitted() {
    let installation = Installation::of_people();
    installation.plan("- {id: one, skill: command, with: {argv: ['true']}, effects: false}\n");
    let ci = installation.token("ci@acme.example", "acme/payments", "service_account");
    for (given, then) in [(&["--unconfined"][..], &[][..]), (&[], &["--unconfined"])] {
        let ran = installation.run(&[&["--mode", "staging", "--token", &ci], given].concat());
        assert_eq!(ran.code, 4, "{}", ran.shown());
        let run = installation.latest();
        let resume = ["run", "--resume", &run, "--token", &ci];
        assert_eq!(installation.entries(&run)[0].1["confined"], given.is_empty());
        assert_eq!(installation.cku(&[&resume, then].concat()).code, 2);
        assert_eq!(installation.cku(&[&resume, given].concat()).code, 4);
    }
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
        let lines = random.below(40);
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

#[test]
fn a_bundle_without_an_administrator_founds_nothing_and_one_without_healing_says_so() {
    let installation = Installation::local();
    installation.plan("- {id: a, skill: command, with: {argv: ['false']}, effects: false}\n");
    let path = |name: &str| installation.path(name);
    let write = |name: &str, text: &str| {
        std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        std::fs::write(path(name), text).unwrap();
    };
    let run = |bundle: &str, journal: &str| {
        installation.cku(&[
            "run",
            "plan.yaml",
            "--workspace",
            "work",
            "--bundle",
            bundle,
            "--journal",
            journal,
        ])
    };
    let gates = "gate a \"A\" {\n  decide by rego data.a.decision\n}\n\nmode dev {\n  a\n}\n";
    let rego = "package a\n\ndecision := {\"verdict\": \"PASS\", \"reasons\": []}\n";
    write("nobody/bundle.yaml", "name: nobody\nmodes: [dev]\n");
    write("nobody/a.gate", gates);
    write("nobody/a.rego", rego);
    let ran = run("nobody", "nobody.db");
    assert_eq!(ran.code, 3, "{}", ran.shown());
    assert!(ran.stderr.contains("the bundle `nobody` has no role `admin`"), "{}", ran.shown());

    for (from, to) in [("access", "some/access"), ("data/entities.yaml", "some/data/entities.yaml")] {
        let from = crate::environment::repository().join("policies/baseline").join(from);
        if from.is_dir() {
            for entry in std::fs::read_dir(from).unwrap() {
                let entry = entry.unwrap().path();
                let name = format!("{to}/{}", entry.file_name().unwrap().to_str().unwrap());
                write(&name, &std::fs::read_to_string(&entry).unwrap());
            }
        } else {
            write(to, &std::fs::read_to_string(from).unwrap());
        }
    }
    let manifest = crate::environment::repository().join("policies/baseline/bundle.yaml");
    let manifest =
        std::fs::read_to_string(manifest).unwrap().replace("modes: [dev, staging, prod]", "modes: [dev]");
    write("some/bundle.yaml", &manifest);
    write("some/a.gate", gates);
    write("some/a.rego", rego);
    let ran = run("some", "some.db");
    assert_eq!(ran.code, 4, "{}", ran.shown());
    assert!(ran.stdout.contains("the bundle says nothing at `data.cku.healing.strategy`"), "{}", ran.shown());
}

#[test]
fn a_key_of_draws_that_was_named_is_read_or_nothing_begins() {
    let installation = Installation::local();
    installation.plan("- {id: hello, skill: command, with: {argv: [echo, hello]}, effects: false}\n");
    let named = installation.path("draws.key");
    let key = named.to_str().unwrap();
    let refused = installation.run(&["--exploration-key", key]);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{}", refused.shown());
    assert!(refused.stderr.contains("draws.key cannot be had"), "{}", refused.stderr);
    assert!(!named.exists(), "none is made in its place");
    std::fs::write(&named, [7; 32]).unwrap();
    std::fs::set_permissions(&named, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(installation.run(&["--exploration-key", key]).code, 0);
}
