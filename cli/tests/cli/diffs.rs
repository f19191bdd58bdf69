//! Changes of policies: from a proposal to an active revision, and back.

use crate::environment::{Ran, repository};
use crate::installation::{Installation, stable};

/// A journal whose control is managed: dana administers, rhea reviews, sam is of security, otto operates.
fn managed() -> Installation {
    let installation = Installation::local();
    let init = [
        "init",
        "--issuer",
        "https://id.acme.example",
        "--admin",
        "dana@acme.example",
        "--control",
        "managed",
    ];
    let init = installation.cku(&init);
    assert_eq!(init.code, 0, "{}", init.shown());
    let dana = installation.token("dana@acme.example", "/", "user");
    for (role, who) in [("reviewer", "rhea"), ("security", "sam"), ("operator", "otto")] {
        let who = format!("{who}@acme.example");
        let granted = installation.cku(&["role", "grant", role, &who, "--tenant", "/", "--token", &dana]);
        assert_eq!(granted.code, 0, "{}", granted.shown());
    }
    copy(&installation, "policies/baseline", "new");
    installation
}

fn copy(installation: &Installation, from: &str, to: &str) {
    let from = repository().join(from);
    let copied = std::process::Command::new("cp").arg("-r").arg(from).arg(installation.path(to)).status();
    assert!(copied.unwrap().success());
}

fn edit(installation: &Installation, file: &str, from: &str, to: &str) {
    let path = installation.path(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} holds no `{from}`");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// Coverage of 85 % in staging; the test of it asks around the limit, wherever it stands.
fn tighten(installation: &Installation) {
    edit(installation, "new/gates/quality.gate", "percent = 80%", "percent = 85%");
}

fn token(installation: &Installation, who: &str) -> String {
    installation.token(&format!("{who}@acme.example"), "/", "user")
}

fn propose(installation: &Installation, title: &str, more: &[&str]) -> Ran {
    let otto = token(installation, "otto");
    let args = ["diff", "propose", "--dir", "new", "--title", title, "--token", &otto];
    installation.cku(&[&args[..], more].concat())
}

fn latest(installation: &Installation) -> String {
    let list = installation.cku(&["diff", "list", "--format", "json"]).json();
    list.as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned()
}

fn act(installation: &Installation, verb: &str, id: &str, who: &str) -> Ran {
    let who = token(installation, who);
    let mut args = vec!["diff", verb, id, "--token", &who];
    if verb != "activate" {
        args.extend(["--reason", "it is as it should be"]);
    }
    installation.cku(&args)
}

fn active(installation: &Installation) -> String {
    let list = installation.cku(&["bundle", "list", "--format", "json"]).json();
    let is = |b: &&serde_json::Value| b["name"] == "baseline" && b["active"] == true;
    list.as_array().unwrap().iter().find(is).unwrap()["revision"].as_str().unwrap().to_owned()
}

/// The revision that decides over a run that begins now.
fn decided_by(installation: &Installation) -> String {
    installation.plan("- {id: note, skill: file, with: {op: write, path: note.txt, text: noted}}\n");
    let ci = installation.token("ci@acme.example", "acme/payments", "service_account");
    let ran = installation.run(&["--token", &ci, "--format", "json"]);
    let revision = ran.json()["decision"]["bundle_revision"].as_str().map(str::to_owned);
    revision.unwrap_or_else(|| panic!("{}", ran.shown()))
}

/// What is shown, without what differs each time: the short names of diffs, and the solver's version.
fn shown(ran: &Ran, installation: &Installation) -> String {
    let text = stable(ran, installation);
    let is_name = |word: &str| word.len() == 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let mut shown = String::new();
    for word in text.split_inclusive([' ', '\n', '`', ':', ')']) {
        let end = word.trim_end_matches([' ', '\n', '`', ':', ')']);
        shown.push_str(if is_name(end) { "DIFF" } else { end });
        shown.push_str(&word[end.len()..]);
    }
    shown
}

#[test]
fn a_tightening_goes_from_a_proposal_to_the_active_revision_and_back() {
    let installation = managed();
    let before = active(&installation);
    tighten(&installation);
    let title = "Coverage was too low in staging";
    let proposed = propose(&installation, title, &[]);
    assert_eq!(proposed.code, 4, "{}", proposed.shown());
    insta::assert_snapshot!("tightening", shown(&proposed, &installation));
    let id = latest(&installation);
    assert_eq!(act(&installation, "activate", &id, "dana").code, 4, "nobody approved it");
    assert_eq!(act(&installation, "approve", &id, "otto").code, 1, "it is their own");
    assert_eq!(act(&installation, "approve", &id, "rhea").code, 0);
    assert_eq!(act(&installation, "approve", &id, "rhea").code, 2, "nobody decides twice");
    assert_eq!(act(&installation, "activate", &id, "dana").code, 4, "one is not enough");
    assert_eq!(active(&installation), before);
    let approved = act(&installation, "approve", &id, "sam");
    assert_eq!(approved.code, 0, "{}", approved.shown());
    assert_eq!(act(&installation, "activate", &id, "rhea").code, 1, "a reviewer does not activate");
    let activated = act(&installation, "activate", &id, "dana");
    assert_eq!(activated.code, 0, "{}", activated.shown());
    let after = active(&installation);
    assert_ne!(after, before);
    assert_eq!(act(&installation, "activate", &id, "dana").code, 2, "it is active");
    assert_eq!(decided_by(&installation), after, "runs are decided by what is active");
    let again = propose(&installation, title, &[]);
    assert!(again.stderr.contains("nothing changes"), "{}", again.shown());
    assert_eq!(act(&installation, "rollback", &id, "sam").code, 1, "security does not roll back");
    let rolled_back = act(&installation, "rollback", &id, "dana");
    assert_eq!(rolled_back.code, 0, "{}", rolled_back.shown());
    assert_eq!(active(&installation), before);
    assert_eq!(decided_by(&installation), before);
    assert_eq!(act(&installation, "rollback", &id, "dana").code, 2, "it was taken back");
    let page = installation.cku(&["diff", "show", &id, "--format", "markdown"]);
    insta::assert_snapshot!("markdown", shown(&page, &installation));
    assert!(installation.is_intact());
}

#[test]
fn without_the_tenant_check_nobody_can_let_it_pass() {
    let installation = managed();
    std::fs::remove_file(installation.path("new/access/tenants.cedar")).unwrap();
    for table in ["access_roles_test.yaml", "access_separation_test.yaml", "security_test.yaml"] {
        std::fs::remove_file(installation.path("new/tests").join(table)).unwrap();
    }
    let proposed = propose(&installation, "Everybody everywhere", &[]);
    assert_eq!(proposed.code, 1, "{}", proposed.shown());
    insta::assert_snapshot!("tenant_check", shown(&proposed, &installation));
    let id = latest(&installation);
    for who in ["rhea", "sam", "dana"] {
        assert_eq!(act(&installation, "approve", &id, who).code, 1);
    }
    let refused = act(&installation, "activate", &id, "dana");
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("invariants do not hold"), "{}", refused.stderr);
}

#[test]
fn nothing_of_a_change_is_out_of_sight() {
    let installation = managed();
    let hidden = format!("# {} the end of it \u{202e}[2K\n", "x".repeat(5_000));
    let path = installation.path("new/gates/quality.rego");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{hidden}{text}")).unwrap();
    let proposed = propose(&installation, "A\n# long line", &["--no-solver"]);
    assert!(proposed.stdout.contains("the end of it \\u{202e}[2K"), "{}", proposed.shown());
    assert!(proposed.stdout.starts_with("A\\n# long line"), "{}", proposed.shown());
}

#[test]
fn what_cannot_be_proposed_is_told() {
    let installation = managed();
    let mut told = String::new();
    let mut say = |what: &str, ran: Ran| {
        assert_ne!(ran.code, 0, "{what}");
        told.push_str(&format!("{what}\n{}", shown(&ran, &installation)));
    };
    say("nothing that changes", propose(&installation, "nothing", &[]));
    tighten(&installation);
    say("no title", propose(&installation, "  ", &[]));
    say("no span of time", propose(&installation, "t", &["--expires", "soon"]));
    say("no range of commits", propose(&installation, "t", &["--from-git", "main"]));
    say("an option for a commit", propose(&installation, "t", &["--from-git", "--exec=x..y"]));
    say("change control that is the baseline", propose(&installation, "t", &["--change-control"]));
    let rhea = token(&installation, "rhea");
    let nobody = token(&installation, "eve");
    let of = |dir: &str, token: &str| {
        installation.cku(&["diff", "propose", "--dir", dir, "--title", "t", "--token", token])
    };
    say("nobody's role", of("new", &nobody));
    say("a folder that is none", of("none", &rhea));
    edit(&installation, "new/bundle.yaml", "name: baseline", "name: other");
    say("another name", of("new", &rhea));
    edit(&installation, "new/bundle.yaml", "name: other", "name: baseline");
    std::fs::write(installation.path("new/gates/quality.gate"), b"\x00\xff binary").unwrap();
    say("a binary", of("new", &rhea));
    say("a diff that is none", installation.cku(&["diff", "show", "0123"]));
    say("an empty name", installation.cku(&["diff", "show", ""]));
    say("a verb that is none", installation.cku(&["diff", "aprove", "0123"]));
    insta::assert_snapshot!("cannot_be_proposed", told);
    assert_eq!(installation.cku(&["diff", "list"]).stdout, "no policy diffs\n");
}

#[test]
fn a_change_of_change_control_takes_two_admins() {
    let installation = managed();
    copy(&installation, "policies/change-control", "control");
    edit(&installation, "control/gates/evidence.gate", "// Is what", "// Now: is what");
    let otto = token(&installation, "otto");
    let propose =
        ["diff", "propose", "--dir", "control", "--change-control", "--title", "A comment", "--token"];
    let proposed = installation.cku(&[&propose[..], &[&otto]].concat());
    assert_eq!(proposed.code, 4, "{}", proposed.shown());
    let id = latest(&installation);
    for who in ["rhea", "sam", "dana"] {
        act(&installation, "approve", &id, who);
    }
    let one = act(&installation, "activate", &id, "dana");
    assert_eq!(one.code, 4, "dana is the only admin: {}", one.shown());
    let dana = token(&installation, "dana");
    let grant = ["role", "grant", "admin", "ada@acme.example", "--tenant", "/", "--token", &dana];
    assert_eq!(installation.cku(&grant).code, 0);
    assert_eq!(act(&installation, "approve", &id, "ada").code, 0);
    let activated = act(&installation, "activate", &id, "dana");
    assert_eq!(activated.code, 0, "{}", activated.shown());
}

#[test]
fn a_range_of_commits_is_proposed_on_its_base() {
    let installation = managed();
    let git = |args: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.arg("-C").arg(installation.path("new")).args(["-c", "user.name=a", "-c", "user.email=a@a"]);
        assert!(git.args(args).output().unwrap().status.success(), "{args:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "one"]);
    tighten(&installation);
    git(&["commit", "-qam", "two"]);
    edit(&installation, "new/gates/quality.gate", "percent = 85%", "percent = 90%");
    git(&["commit", "-qam", "three"]);
    let range = |range: &str| propose(&installation, "t", &["--from-git", range, "--no-solver"]);
    let other_base = range("HEAD~1..HEAD");
    assert_eq!(other_base.code, 2);
    assert!(other_base.stderr.contains("the diff applies to"), "{}", other_base.stderr);
    let good = range("HEAD~2..HEAD~1");
    assert!(good.stdout.contains("80.00 % -> 85.00 %"), "{}", good.shown());
    assert!(good.stdout.contains("REJECT at invariants"), "nothing was proved: {}", good.shown());
    let none = range("HEAD~9..HEAD");
    assert_eq!(none.code, 2);
    let refused = act(&installation, "refuse", &latest(&installation), "rhea");
    assert_eq!(refused.code, 0, "{}", refused.shown());
    let withdrawn = act(&installation, "withdraw", &latest(&installation), "otto");
    assert_eq!(withdrawn.code, 2, "it was refused: {}", withdrawn.shown());
}

/// Carries out a plan that fails, or not; the revision that decided over it.
fn run(installation: &Installation, fails: bool) -> (Ran, String) {
    let step = if fails { "[\"false\"]" } else { "[\"true\"]" };
    installation.plan(&format!("- {{id: go, skill: command, with: {{argv: {step}}}, effects: false}}\n"));
    let ci = installation.token("ci@acme.example", "acme/payments", "service_account");
    let ran = installation.run(&["--token", &ci, "--format", "json"]);
    let revision = ran.json()["decision"]["bundle_revision"].as_str().map(str::to_owned);
    let revision = revision.unwrap_or_else(|| panic!("{}", ran.shown()));
    (ran, revision)
}

#[test]
fn a_change_is_tried_before_it_decides_and_a_canary_that_fails_is_taken_back() {
    let installation = managed();
    let before = active(&installation);
    tighten(&installation);
    assert_eq!(propose(&installation, "Coverage was too low", &["--mode", "dev"]).code, 4);
    let id = latest(&installation);
    let dana = token(&installation, "dana");
    let stage = |more: &[&str]| {
        let activate = ["diff", "activate", &id, "--token", &dana];
        installation.cku(&[&activate[..], more].concat())
    };
    let mut told = String::new();
    let mut say = |what: &str, ran: Ran| told.push_str(&format!("{what}\n{}", shown(&ran, &installation)));
    say("a share that is none", stage(&["--canary", "10%"]));
    say("nothing", stage(&["--canary", "0"]));
    say("two stages", stage(&["--canary", "0.1", "--shadow"]));
    say("not approved", stage(&["--shadow"]));
    assert_eq!(act(&installation, "approve", &id, "rhea").code, 0, "one is enough in dev");
    say("in shadow", stage(&["--shadow"]));
    assert_eq!(run(&installation, false).1, before, "a shadow decides over nothing");
    say("the page", installation.cku(&["diff", "show", &id]));
    say("withdrawn", act(&installation, "withdraw", &id, "otto"));
    say("as a canary", stage(&["--canary", "1", "--stop-after", "2"]));
    say("back to shadow", stage(&["--shadow"]));
    say("what decides", installation.cku(&["bundle", "list"]));
    let (ran, decided) = run(&installation, true);
    assert_ne!(decided, before, "the canary decides over all runs");
    assert!(!ran.stderr.contains("taken back"), "{}", ran.shown());
    let (ran, _) = run(&installation, true);
    assert!(ran.stderr.contains("is taken back: too many of its runs failed"), "{}", ran.shown());
    assert_eq!(run(&installation, false).1, before);
    say("the page at its end", installation.cku(&["diff", "show", &id]));
    say("an activation to come", installation.run(&["--token", &dana, "--at-least", "1000000"]));
    insta::assert_snapshot!("trial", told);
    assert!(installation.is_intact());
}

#[test]
fn a_freeze_holds_for_its_time() {
    let installation = managed();
    let (dana, rhea) = (token(&installation, "dana"), token(&installation, "rhea"));
    let freeze =
        |token: &str, args: &[&str]| installation.cku(&[&["freeze"], args, &["--token", token]].concat());
    let mut told = String::new();
    let mut say = |what: &str, ran: Ran| told.push_str(&format!("{what}\n{}", shown(&ran, &installation)));
    say("a reviewer", freeze(&rhea, &["on"]));
    say("over already", freeze(&dana, &["on", "--until", "2020-01-01T00:00:00Z"]));
    say("off until", freeze(&dana, &["off", "--until", "2999-01-01T00:00:00Z"]));
    say("a window", freeze(&dana, &["on", "--until", "2999-01-01T00:00:00Z", "--reason", "end of year"]));
    tighten(&installation);
    let proposed = propose(&installation, "Coverage was too low", &[]);
    assert_eq!(proposed.code, 4, "{}", proposed.shown());
    let page = installation.cku(&["diff", "show", &latest(&installation)]);
    let waits = page.stdout.lines().find(|line| line.contains("freeze")).unwrap_or_default().to_owned();
    say("the end of it", freeze(&dana, &["off"]));
    told.push_str(&waits);
    insta::assert_snapshot!("freeze", told);
    let page = installation.cku(&["diff", "show", &latest(&installation)]);
    assert!(!page.stdout.contains("freeze is"), "{}", page.shown());
}

#[test]
fn what_a_watched_folder_comes_to_hold_is_proposed_once_it_loads() {
    let installation = managed();
    // A link that is moved to another folder at once, as a ConfigMap is.
    std::os::unix::fs::symlink("new", installation.path("watched")).unwrap();
    let otto = token(&installation, "otto");
    let watch = ["diff", "watch", "--dir", "watched", "--every", "100ms", "--once", "--no-solver"];
    let child = installation.start(&[&watch[..], &["--token", &otto]].concat());
    copy(&installation, "policies/baseline", "broken");
    edit(&installation, "broken/gates/quality.gate", "gate quality", "gate quality {");
    let link = |to: &str| {
        std::os::unix::fs::symlink(to, installation.path("next")).unwrap();
        std::fs::rename(installation.path("next"), installation.path("watched")).unwrap();
    };
    link("broken");
    std::thread::sleep(std::time::Duration::from_millis(800));
    assert_eq!(installation.cku(&["diff", "list"]).stdout, "no policy diffs\n");
    copy(&installation, "policies/baseline", "good");
    edit(&installation, "good/gates/quality.gate", "percent = 80%", "percent = 85%");
    link("good");
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(err.contains("what is active stays active"), "{err}");
    assert!(out.contains("80.00 % -> 85.00 %"), "{out}\n{err}");
    let list = installation.cku(&["diff", "list", "--format", "json"]).json();
    assert_eq!(list.as_array().unwrap().len(), 1);
}
