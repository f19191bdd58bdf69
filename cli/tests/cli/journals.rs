//! Journals: how they are made, what is none, and what is shown of one.

use cku_journal::{Journal, Options};

use crate::installation::{Installation, PLAN, drills, stable, waiting};

#[test]
fn what_a_journal_that_cannot_be_used_is_told() {
    let installation = Installation::of_people();
    let mut told = String::new();
    let mut say = |what: &str, args: &[&str]| {
        let ran = installation.cku(args);
        assert!(ran.code == 2 || ran.code == 5, "{what}: {}", ran.shown());
        told.push_str(&format!("{what}\n{}", stable(&ran, &installation)));
    };
    say("made twice", &["init", "--issuer", "urn:acme:i", "--admin", "a"]);
    say("none", &["runs", "list", "--journal", "none.db"]);
    installation.environment.write("text.db", "hello\n".repeat(500));
    say("a text", &["runs", "list", "--journal", "text.db"]);
    std::fs::copy(installation.path("journal.db"), installation.path("later.db")).unwrap();
    let mut bytes = std::fs::read(installation.path("later.db")).unwrap();
    // The user version stands at offset 60 of an SQLite file.
    bytes[63] = 9;
    std::fs::write(installation.path("later.db"), bytes).unwrap();
    say("of another version", &["runs", "list", "--journal", "later.db"]);
    installation.plan(PLAN);
    let token = installation.token("ci@acme.example", "acme/payments", "service_account");
    say("where steps work", &["run", "plan.yaml", "--workspace", ".", "--token", &token]);
    say("another bundle", &["run", "plan.yaml", "--workspace", "work", "--bundle", ".", "--token", &token]);
    say("no token", &["run", "plan.yaml", "--workspace", "work"]);
    say("an unknown mode", &["run", "plan.yaml", "--workspace", "work", "--mode", "pord", "--token", &token]);
    say("a workspace that is not there", &["run", "plan.yaml", "--workspace", "none", "--token", &token]);
    say("a plan that is not there", &["run", "none.yaml", "--token", &token]);
    say("an unknown status", &["runs", "list", "--status", "suceeded"]);
    insta::assert_snapshot!(told);
    assert!(installation.cku(&["runs", "list"]).stdout.contains("no runs"), "nothing was recorded");
}

#[test]
fn a_journal_is_made_once_and_finished_where_it_was_not() {
    let installation = Installation::local();
    let init = |more: &[&str]| {
        let args = ["init", "--issuer", "https://id.acme.example", "--admin", "dana@acme.example"];
        installation.cku(&[&args[..], more].concat())
    };
    installation
        .environment
        .write("bundle/bundle.yaml", "name: tiny\nmodes: [dev]\nroles: {reader: readers}\n");
    let refused = init(&["--bundle", "bundle"]);
    assert_ne!(refused.code, 0);
    assert!(
        !installation.path("issuer.pem").exists() && !installation.path("journal.db").exists(),
        "nothing was made"
    );
    // Its making was broken off by a version of before.
    drop(Journal::create(&installation.path("journal.db"), Options::default()).unwrap());
    assert_eq!(init(&[]).code, 0);
    assert_eq!(init(&[]).code, 2);
    assert!(installation.is_intact());
}

#[test]
fn of_two_first_runs_at_once_one_makes_the_journal_and_both_end() {
    let installation = Installation::local();
    // It writes nothing, since all of them work in one place.
    installation.plan("- {id: look, skill: command, with: {argv: ['true']}, effects: false}\n");
    let children: Vec<_> = (0..4).map(|_| installation.start_run()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(installation.is_intact());
    let list = installation.cku(&["runs", "list", "--format", "json"]).json();
    assert_eq!(list.as_array().unwrap().len(), 4);
}

#[test]
fn what_is_no_journal_and_no_number_is_wrong_usage() {
    let installation = Installation::of_people();
    installation.environment.write("README.md", "# Not a journal\n".repeat(100));
    for command in ["verify", "show"] {
        let ran = installation.cku(&["journal", command, "--journal", "README.md"]);
        assert_eq!(ran.code, 2, "{}", ran.shown());
        assert!(ran.stderr.contains("it is not a journal of cku"), "{}", ran.stderr);
    }
    let ran = installation.cku(&["journal", "show", "--limit", "x"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("write a whole number, like `20`"), "{}", ran.stderr);
}

#[test]
fn all_entries_are_shown_as_json_and_a_mistyped_tenant_is_told() {
    let installation = Installation::of_people();
    let journal = installation.opened();
    for _ in 0..2 {
        journal.append(drills(600)).unwrap();
    }
    drop(journal);
    let shown = |args: &[&str]| {
        let ran = installation.cku(&[&["journal", "show", "--tenant", "acme/payments"], args].concat());
        (ran.stdout.lines().count(), ran.stderr)
    };
    let all = shown(&["--format", "json"]);
    assert_eq!(all, (1_202, String::new()));
    assert_eq!(shown(&["--format", "json", "--limit", "1001"]).0, 1_001);
    assert_eq!(shown(&["--subject", "killswitch", "--format", "json"]).0, 1_200);
    let some = shown(&[]);
    assert_eq!(some.0, 1_000);
    assert!(
        some.1.contains("has entries up to 1202; `--tenant acme/payments --after 1000` shows"),
        "{}",
        some.1
    );
    let typed = installation.cku(&["journal", "verify", "--tenant", "acme/payment"]);
    assert_eq!(typed.code, 2);
    assert!(
        typed
            .stderr
            .contains("no entries of acme/payment, but of /, acme/payments; did you mean `acme/payments`?"),
        "{}",
        typed.stderr
    );
    assert_eq!(installation.cku(&["journal", "verify", "--tenant", "acme/payments"]).code, 0);
}

#[test]
fn the_entries_about_a_run_are_lined_up_and_say_what_was_denied() {
    let (installation, run) = waiting();
    let rhea = installation.token("rhea@acme.example", "acme", "user");
    let ci = installation.token("ci@acme.example", "acme/payments", "service_account");
    assert_eq!(installation.cku(&["approve", &run, "plan_approval", "--token", &ci]).code, 1);
    assert_eq!(installation.cku(&["approve", &run, "plan_approval", "--token", &rhea]).code, 0);
    assert_eq!(installation.cku(&["vote", &run, "approve", "--token", &rhea]).code, 0);
    assert_eq!(installation.cku(&["refuse", &run, "plan_approval", "--token", &rhea]).code, 2);
    let shown = |args: &[&str]| {
        let ran = installation.cku(&[&["journal", "show"], args].concat());
        stable(&ran, &installation)
    };
    let mut told = shown(&["--subject", &format!("run:{run}")]);
    assert_eq!(installation.run(&["--token", &ci]).code, 0);
    told.push_str(&shown(&["--subject", &format!("run:{}", installation.latest())]));
    told.push_str(&shown(&["--limit", "3"]));
    insta::assert_snapshot!(told.replace(&run, "RUN").replace(&installation.latest(), "LATEST"));
    let none = installation.cku(&["journal", "show", "--subject", "run:nope"]);
    assert_eq!(none.code, 2);
    assert!(none.stderr.contains("no entries about `run:nope`; `cku runs list`"), "{}", none.stderr);
}

#[test]
fn a_tenant_that_nobody_knows_is_told_and_a_switch_that_was_not_on() {
    let installation = Installation::of_people();
    let dana = installation.token("dana@acme.example", "/", "user");
    let said = |args: &[&str]| {
        let ran = installation.cku(&[args, &["--token", &dana]].concat());
        assert_eq!(ran.code, 0, "{}", ran.shown());
        format!("{}{}", ran.stdout, ran.stderr)
    };
    let text = [
        said(&["killswitch", "on", "--tenant", "acem"]),
        said(&["killswitch", "off", "--tenant", "acem"]),
        said(&["killswitch", "off", "--tenant", "acme"]),
        said(&["killswitch", "on", "--tenant", "acme"]),
        said(&["killswitch", "off", "--tenant", "acme/payments"]),
        said(&["role", "grant", "reviewer", "eve@acme.example", "--tenant", "acmee"]),
        said(&["role", "grant", "reviewer", "eve@globex.example", "--tenant", "globex"]),
        said(&["role", "grant", "reviewer", "eve@acme.example", "--tenant", "acme"]),
    ];
    insta::assert_snapshot!(text.concat());
}

#[test]
fn a_label_near_one_that_counts_is_refused_and_others_count_as_nothing() {
    let installation = Installation::local();
    installation.plan(PLAN);
    assert_eq!(installation.run(&[]).code, 0);
    let run = installation.latest();
    let label = |word: &str| installation.cku(&["outcome", &run, "--label", word]);
    let near = label("incdent");
    assert_eq!(near.code, 2);
    assert!(
        near.stderr.contains("`incdent` would count as nothing; did you mean `incident`?"),
        "{}",
        near.stderr
    );
    let other = label("praised");
    assert_eq!(other.code, 0, "{}", other.shown());
    assert!(other.stdout.contains("counts as nothing, only incident and revert"), "{}", other.stdout);
    let counted = label("revert");
    assert!(counted.code == 0 && !counted.stdout.contains("nothing"), "{}", counted.shown());
}
