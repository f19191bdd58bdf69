//! Commands: what they may do, how they end, and what they leave behind.

use std::{
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use cku_skills::{Cancel, Launcher, Tried, find};
use serde_json::{Value, json};

use crate::support::{Place, failure, launcher, members};

fn shell(text: &str) -> Value {
    json!({ "shell": text })
}

#[test]
fn a_command_runs_in_the_workspace_and_is_heard() {
    let place = Place::new();
    place.write("sub/file", "hello");
    let report = place
        .run("command", json!({"argv": ["sh", "-c", "pwd; cat file; echo oh >&2; exit 3"], "dir": "sub"}));
    let root = place.workspace.root().display().to_string();
    assert_eq!(report.stdout.text, format!("{root}/sub\nhello"));
    assert_eq!(report.stderr.text, "oh\n");
    assert_eq!((report.exit_code, report.signal), (Some(3), None));
    assert_eq!(failure(&report), "unknown: exit code 3: oh");
    assert_eq!(failure(&place.run("command", json!({"argv": ["true"]}))), "succeeded");
}

#[test]
fn it_is_given_what_is_said_and_no_secret_of_cku() {
    let place = Place::new();
    let with = json!({"shell": "env; cat", "env": {"GREETING": "hi"}, "stdin": "from the plan", "idempotency": "env:KEY"});
    let report = place.run("command", with);
    let text = &report.stdout.text;
    for line in [
        "GREETING=hi",
        "KEY=run-1/step/1",
        "CKU_STEP_KEY=run-1/step/1",
        "CKU_RUN=run-1",
        "CKU_STEP=step",
        "CKU_ATTEMPT=1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in {text}");
    }
    assert!(text.ends_with("from the plan"), "{text}");
    // Set for every test by cargo.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && !text.contains("CARGO_MANIFEST_DIR"));
    let passed = place.run("command", json!({"shell": "env", "pass_env": ["CARGO_MANIFEST_DIR"]}));
    assert!(passed.stdout.text.contains("CARGO_MANIFEST_DIR="));
}

#[test]
fn it_writes_in_the_workspace_and_nowhere_else() {
    let place = Place::new();
    let outside = place.outside().join("outside");
    std::fs::write(&outside, "before").unwrap();
    let out = outside.display().to_string();
    std::os::unix::fs::symlink(&outside, place.path("link")).unwrap();
    for attempt in [
        format!("echo no > {out}"),
        format!("echo no >> {out}"),
        format!("truncate -s 0 {out}"),
        format!("rm {out}"),
        format!("mv {out} {out}.moved"),
        format!("touch file && ln file {out}.hard"),
        "echo no > link".to_owned(),
        "echo no > ../outside".to_owned(),
        "cd .. && echo no > new".to_owned(),
        format!("mkdir {out}.folder"),
        format!("echo no > {}/x", place.workspace.backups().display()),
        "echo no > /tmp/cku-escape-test".to_owned(),
        "exec 3>/proc/self/oom_score_adj && echo 0 >&3".to_owned(),
    ] {
        let report = place.run("command", shell(&format!("{attempt} 2>/dev/null && echo ESCAPED")));
        assert!(!report.stdout.text.contains("ESCAPED"), "{attempt}");
        assert!(report.failure.is_some(), "{attempt}");
    }
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "before");
    let inside = shell(
        "echo yes > new && mkdir -p a/b && mv new a/b/ && t=$(mktemp) && echo x > $t && echo > /dev/null",
    );
    assert_eq!(failure(&place.run("command", inside)), "succeeded");
    assert_eq!(place.text("a/b/new").as_deref(), Some("yes\n"));
}

#[test]
fn a_place_outside_takes_a_word_in_the_plan() {
    let place = Place::new();
    let cache = place.outside().join("cache");
    std::fs::create_dir(&cache).unwrap();
    let text = format!("echo x > {}/file", cache.display());
    assert!(place.run("command", shell(&text)).failure.is_some());
    let report = place.run("command", json!({"shell": text, "writable": [cache]}));
    assert_eq!(failure(&report), "succeeded");
    let unconfined = Launcher { unconfined: true, ..launcher() };
    let text = format!("echo x > {}/other", place.outside().display());
    assert_eq!(failure(&place.act_with(&unconfined, "command", shell(&text), "k", None)), "succeeded");
}

#[test]
fn modes_times_and_attributes_are_not_confined() {
    // Landlock knows nothing of them: who may chmod a file elsewhere still can. The documentation says so.
    let place = Place::new();
    let outside = place.outside().join("outside");
    std::fs::write(&outside, "before").unwrap();
    let text = format!("chmod 600 {0} && touch -m -d 2001-01-01 {0}", outside.display());
    assert_eq!(failure(&place.run("command", shell(&text))), "succeeded");
    let changed = std::fs::metadata(&outside).unwrap();
    assert_eq!(changed.permissions().mode() & 0o777, 0o600);
    assert!(changed.modified().unwrap() < std::time::SystemTime::now() - Duration::from_secs(86_400));
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "before");
}

#[test]
fn no_word_in_the_plan_opens_what_cku_keeps() {
    let place = Place::new();
    let backups = place.workspace.backups().to_owned();
    let link = place.outside().join("harmless");
    std::os::unix::fs::symlink(&backups, &link).unwrap();
    for writable in ["/".into(), place.outside().to_owned(), backups.clone(), backups.join("tries"), link] {
        let text = format!("echo x > {}/escaped", backups.display());
        let report = place.run("command", json!({"shell": text, "writable": [writable]}));
        let told = failure(&report);
        assert!(told.starts_with("permission: `writable` names `"), "{}: {told}", writable.display());
        assert!(told.ends_with("; name a narrower place") && !report.ran, "{told}");
    }
    assert!(!backups.join("escaped").exists());
    let report = place.run("command", json!({"argv": ["true"], "writable": ["/no/such/place"]}));
    assert_eq!(failure(&report), "succeeded");
}

#[test]
fn what_goes_wrong_is_told_in_one_line() {
    let place = Place::new();
    place.write("script", "not a program");
    place.write("folder/file", "");
    std::os::unix::fs::symlink("/", place.path("root")).unwrap();
    let cases = [
        ("no such program", json!({"argv": ["no-such-program"]})),
        ("not executable", json!({"argv": ["./script"]})),
        ("no such folder", json!({"argv": ["true"], "dir": "none"})),
        ("a folder that is a file", json!({"argv": ["true"], "dir": "script"})),
        ("a folder that leads out", json!({"argv": ["true"], "dir": "root/tmp"})),
        ("killed", shell("kill -9 $$")),
        ("crashed", shell("kill -SEGV $$")),
        ("tempfail", shell("exit 75")),
        ("refused", shell("echo curl: connection refused >&2; exit 7")),
        ("never ends", json!({"shell": "sleep 1000", "timeout": "300ms"})),
        (
            "ignores being asked",
            json!({"shell": "trap '' TERM; while :; do sleep 0.1; done", "timeout": "100ms"}),
        ),
        ("floods", json!({"argv": ["yes"], "output_limit": 100_000})),
        ("expects", json!({"shell": "echo one", "expect": {"stdout_contains": "two"}})),
        ("expects a code", json!({"shell": "exit 1", "expect": {"exit": [0, 1]}})),
        ("daemonises", shell("(sleep 1000 &) ; true")),
        (
            "daemonises and hides",
            shell("setsid env -i sh -c 'sleep 1000' >/dev/null 2>&1 < /dev/null & sleep 0.2; true"),
        ),
    ];
    let told: Vec<String> = cases
        .into_iter()
        .map(|(name, with)| format!("{name}: {}", failure(&place.run("command", with))))
        .collect();
    insta::assert_snapshot!(
        told.join("\n").replace(&place.workspace.root().display().to_string(), "WORKSPACE")
    );
}

/// Processes whose command line holds a text that nobody else uses.
fn alive(mark: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|p| std::fs::read_to_string(p.path().join("cmdline")).is_ok_and(|c| c.contains(mark)))
        .count()
}

#[test]
fn nothing_that_a_command_started_outlives_it() {
    let place = Place::new();
    for (n, text) in [
        "sh -c 'sleep 4MARK' & sleep 0.1",
        "setsid sh -c 'setsid sleep 4MARK & sleep 4MARK' > /dev/null 2>&1 & sleep 0.1; exit 0",
        "env -i setsid sh -c '(trap \"\" TERM HUP; sleep 4MARK) &' & sleep 0.1",
    ]
    .into_iter()
    .enumerate()
    {
        let mark = format!("{}{n}", std::process::id());
        let report = place.run("command", shell(&text.replace("MARK", &mark)));
        let said = failure(&report);
        assert!(said.contains("behind, which were ended"), "{said}");
        assert_eq!(alive(&format!("sleep\u{0}4{mark}")), 0, "{text}");
    }
}

#[test]
fn a_daemon_whose_first_thread_has_ended_is_no_hiding_place() {
    let place = Place::new();
    let mark = format!("9{}", std::process::id());
    let daemon = "import ctypes,threading,time; threading.Thread(target=time.sleep,args=(MARK,)).start(); ctypes.CDLL(None).pthread_exit(None)";
    let text = format!(
        "setsid python3 -c '{}' > /dev/null 2>&1 < /dev/null & p=$!; until grep -q '^State:.Z' /proc/$p/status; do :; done",
        daemon.replace("MARK", &mark)
    );
    let report = place.run("command", json!({"shell": text, "timeout": "20s"}));
    let told = failure(&report);
    assert!(told.contains("it left 1 process behind, which were ended"), "{told}");
    let threads = std::fs::read_dir("/proc").unwrap().flatten().filter(|process| {
        let tasks = std::fs::read_dir(process.path().join("task")).into_iter().flatten().flatten();
        tasks
            .into_iter()
            .any(|task| std::fs::read_to_string(task.path().join("cmdline")).is_ok_and(|c| c.contains(&mark)))
    });
    assert_eq!(threads.count(), 0);
}

#[test]
fn what_is_left_when_the_supervisor_goes_away_is_ended() {
    let place = Place::new();
    let mark = format!("8{}", std::process::id());
    // A supervisor that starts something and ends without a word.
    let script = format!("read line; sleep {mark} > /dev/null 2>&1 < /dev/null & exit 1");
    let launcher = Launcher {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        unconfined: false,
    };
    let report = place.act_with(&launcher, "command", shell("true"), "run-1/step/gone", None);
    assert!(failure(&report).starts_with("unknown: the supervisor of the command ended without a word"));
    assert!(report.ran);
    assert_eq!(alive(&format!("sleep\u{0}{mark}")), 0);
}

#[test]
fn a_flood_ends_soon() {
    let place = Place::new();
    let began = Instant::now();
    let report = place.run("command", json!({"shell": "yes & yes >&2 & yes", "output_limit": 1_000_000}));
    assert!(
        failure(&report).starts_with("resource: it wrote more than 1000000 bytes"),
        "{}",
        failure(&report)
    );
    assert!(report.stdout.text.len() <= 8 << 10);
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn what_is_cancelled_ends() {
    let place = Place::new();
    let cancel: Cancel = place.cancel.clone();
    let started = place.path("started");
    let waiter = std::thread::spawn(move || {
        while !started.exists() {
            std::thread::yield_now();
        }
        cancel.cancel("somebody said stop");
    });
    let report = place.run("command", shell("touch started; sleep 1000"));
    waiter.join().unwrap();
    assert_eq!(failure(&report), "interrupted: it was ended: somebody said stop");
    let late = place.run("command", shell("sleep 1000"));
    assert_eq!(failure(&late), "interrupted: it was ended: somebody said stop");
}

#[test]
fn limits_hold() {
    let place = Place::new();
    let memory = place.run(
        "command",
        json!({
            "shell": "x=$(head -c 600000000 /dev/zero | tr '\\0' a); echo ${#x}", "memory": 268_435_456_u64,
        }),
    );
    assert!(memory.failure.is_some(), "{}", memory.stdout.text);
    let core = place.run("command", shell("ulimit -c"));
    assert_eq!(core.stdout.text, "0\n");
}

#[test]
fn the_limit_of_processes_is_the_users() {
    let place = Place::new();
    let limits = "grep '^Max processes' /proc/self/limits";
    let report = place.run("command", json!({"shell": limits, "processes": 40_000, "stdin": "x"}));
    let numbers: Vec<&str> = report.stdout.text.split_whitespace().skip(2).take(2).collect();
    assert_eq!(numbers, ["40000", "40000"], "{}", failure(&report));
    let report = place.run("command", json!({"argv": ["true"], "processes": 1, "stdin": "x"}));
    let told = match rustix::process::geteuid().is_root() {
        // Root has no limit.
        true => "succeeded",
        false => {
            "resource: `true` cannot be started: Resource temporarily unavailable (os error 11); `processes` is 1, and counts all processes of the user that cku runs as"
        }
    };
    assert_eq!(failure(&report), told);
}

#[test]
fn the_undo_of_a_command_is_another_with_a_key_of_its_own() {
    let place = Place::new();
    let report = place.act("command", shell("echo $CKU_STEP_KEY"), "run-1/step/2", true);
    assert_eq!(report.stdout.text, "run-1/step/2/undo\n");
}

#[test]
fn an_undo_is_told_how_the_try_ended() {
    let place = Place::new();
    for tried in [Tried::Succeeded, Tried::Failed, Tried::Interrupted] {
        let report = place.undo("command", shell("echo $CKU_STEP_STATUS"), "run-1/step/2", tried);
        assert_eq!(report.stdout.text, format!("{}\n", tried.as_str()));
    }
    assert_eq!(place.run("command", shell("echo \"${CKU_STEP_STATUS-none}\"")).stdout.text, "none\n");
}

#[test]
fn nothing_of_a_try_stays_behind() {
    let place = Place::new();
    place.run("command", shell("echo x > $TMPDIR/file; mktemp"));
    assert_eq!(std::fs::read_dir(place.workspace.backups().join("tries")).unwrap().count(), 0);
}

#[test]
fn arguments_are_checked_before_anything_runs() {
    let command = find("command").unwrap();
    let told = |with: Value| match command.check(&members(with), None) {
        Ok(traits) => format!("{traits:?}"),
        Err(error) => error.to_string(),
    };
    let cases = [
        json!({}),
        json!({"argv": []}),
        json!({"argv": [""]}),
        json!({"argv": "ls -l"}),
        json!({"argv": ["ls"], "shell": "ls"}),
        json!({"shell": "  "}),
        json!({"argv": ["ls"], "timout": "1m"}),
        json!({"argv": ["ls"], "timeout": "1 minute"}),
        json!({"argv": ["ls"], "timeout": "0s"}),
        json!({"argv": ["ls"], "timeout": "25h"}),
        json!({"argv": ["ls"], "dir": "../up"}),
        json!({"argv": ["ls"], "dir": "/etc"}),
        json!({"argv": ["ls"], "env": {"A=B": "c"}}),
        json!({"argv": ["ls"], "env": {"CKU_TOKEN": "x"}}),
        json!({"argv": ["ls"], "pass_env": ["CKU_TOKEN"]}),
        json!({"argv": ["ls"], "writable": ["relative"]}),
        json!({"argv": ["ls"], "output_limit": 0}),
        json!({"argv": ["ls"], "memory": 1000}),
        json!({"argv": ["ls"], "idempotency": "KEY"}),
        json!({"argv": ["ls"], "expect": {"exits": [1]}}),
        json!({"argv": ["l\u{0}s"]}),
        json!({"argv": ["ls"]}),
        json!({"argv": ["ls"], "idempotency": "env:CKU_STEP_KEY"}),
    ];
    let told: Vec<String> =
        cases.into_iter().map(|with| format!("{with}\n    {}", told(with.clone()))).collect();
    insta::assert_snapshot!(told.join("\n"));
    let undo = members(json!({"argv": ["rm"], "force": true}));
    let with = members(json!({"argv": ["ls"]}));
    assert_eq!(
        command.check(&with, Some(&undo)).unwrap_err().to_string(),
        "`undo.force` is not known; known: argv, shell, dir, env, pass_env, stdin, timeout, output_limit, memory, processes, writable, idempotency, expect"
    );
}

#[test]
fn it_has_no_terminal_and_cannot_blind_or_end_its_supervisor() {
    let place = Place::new();
    let session = |stat: &str| stat.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap().to_owned();
    let own = session(&std::fs::read_to_string("/proc/self/stat").unwrap());
    let report = place.run("command", shell("cat /proc/self/stat"));
    assert_ne!(session(&report.stdout.text), own, "a session of its own has no terminal");
    for limit in ["--nofile=4:4", "--fsize=0:0", "--cpu=1:1"] {
        let report = place.run("command", shell(&format!("prlimit --pid $PPID {limit}")));
        assert!(report.stderr.text.contains("Operation not permitted"), "{limit}: {}", report.stderr.text);
    }
    // Its own limits are its own.
    assert_eq!(failure(&place.run("command", shell("prlimit --pid $$; ulimit -n 64"))), "succeeded");
}

#[test]
fn processes_that_hand_on_to_one_another_are_left_behind_as_well() {
    let place = Place::new();
    let chain = "import os, signal, time\nsignal.signal(15, signal.SIG_IGN)\nuntil = time.time() + 20\nwhile time.time() < until:\n    if os.fork():\n        os._exit(0)\n    os.setpgrp()\n";
    place.write("chain.py", chain);
    let report = place.run("command", shell("exec env -i $(command -v python3) chain.py"));
    assert!(failure(&report).starts_with("verification: it left "), "{}", failure(&report));
}

#[test]
fn what_a_process_that_is_gone_left_of_its_tries_is_taken_away() {
    let place = Place::new();
    let tries = place.workspace.backups().join("tries");
    std::fs::create_dir_all(tries.join("run-1/1-0123/tmp")).unwrap();
    std::fs::create_dir_all(tries.join("run-2/1-0123/tmp")).unwrap();
    assert_eq!(failure(&place.run("command", shell("true"))), "succeeded");
    assert!(!tries.join("run-1").exists());
    assert!(tries.join("run-2/1-0123").exists(), "another run may be carried out by somebody else");
}
