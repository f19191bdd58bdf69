//! What people may not do, and what they are told.

use std::{path::Path, sync::Arc};

use cku_authority::KeyTrusted;
use cku_base::{Principal, PrincipalKind, TenantPath, Timestamp};
use cku_engine::Worker;
use cku_gates::{Authentication, Submitter};
use cku_journal::{Command, Draft, Journal, Kind, Options};
use cku_runs::Projections;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::installation::{Installation, stable};

const PLAN: &str = "- {id: note, skill: file, with: {op: write, path: note.txt, text: noted}, targets: ['service:acme/payments/api']}\n";

/// An installation with a run of dana's in staging that waits for an approval.
fn waiting() -> (Installation, String) {
    let installation = Installation::of_people();
    installation.plan(PLAN);
    let ci = installation.token("ci@acme.example", "acme/payments", "service_account");
    let ran = installation.run(&["--mode", "staging", "--token", &ci]);
    assert_eq!(ran.code, 4, "{}", ran.shown());
    let run = installation.latest();
    (installation, run)
}

#[test]
fn what_does_not_count_as_an_approval_is_told() {
    let (installation, run) = waiting();
    let of = |sub: &str, tenant: &str, kind: &str| installation.token(sub, tenant, kind);
    let (rhea, ci) =
        (of("rhea@acme.example", "acme", "user"), of("ci@acme.example", "acme/payments", "service_account"));
    let mut told = String::new();
    let mut say = |what: &str, args: &[&str]| {
        let ran = installation.cku(args);
        assert_ne!(ran.code, 0, "{what}");
        told.push_str(&format!("{what}\n{}", stable(&ran, &installation)));
    };
    let approve = ["approve", &run, "plan_approval", "--token"];
    say("no token", &approve[..3]);
    say("its author, a machine", &[&approve[..], &[&ci]].concat());
    say("another machine", &[&approve[..], &[&of("bot", "acme/payments", "service_account")]].concat());
    say("an agent", &[&approve[..], &[&of("planner", "acme/payments", "agent")]].concat());
    say("nobody's role", &[&approve[..], &[&of("eve@acme.example", "acme", "user")]].concat());
    say(
        "the same name in another tenant",
        &[&approve[..], &[&of("rhea@acme.example", "globex", "user")]].concat(),
    );
    say(
        "another subject",
        &[&approve[..], &[&rhea, "--subject", &format!("sha256:{}", "0".repeat(64))]].concat(),
    );
    say("expired at once", &[&approve[..], &[&rhea, "--expires", "0s"]].concat());
    say("a gate that is none", &["approve", &run, "plan", "--token", &rhea]);
    say("a run that is none", &["approve", "run-0", "plan_approval", "--token", &rhea]);
    say("no token at all", &[&approve[..], &["eyJ"]].concat());
    say("a token in a file that is not there", &[&approve[..], &["@none.jwt"]].concat());
    let changed = format!("{}A{}", &rhea[..rhea.len() - 20], &rhea[rhea.len() - 19..]);
    say("a token that was changed", &[&approve[..], &[&changed]].concat());
    insta::assert_snapshot!(told);
    assert_eq!(installation.show(&run)["approvals"], serde_json::json!([]), "nothing is approved");
    assert!(installation.is_intact());
}

#[test]
fn an_approval_by_one_who_may_counts_once() {
    let (installation, run) = waiting();
    let rhea = installation.token("rhea@acme.example", "acme", "user");
    assert_eq!(installation.cku(&["approve", &run, "plan_approval", "--token", &rhea]).code, 0);
    let twice = installation.cku(&["refuse", &run, "plan_approval", "--token", &rhea]);
    assert_eq!(twice.code, 2);
    assert!(twice.stderr.contains("nobody decides twice"), "{}", twice.stderr);
    let sam = installation.token("sam@acme.example", "acme", "user");
    assert_eq!(
        installation.cku(&["refuse", &run, "plan_approval", "--reason", "no", "--token", &sam]).code,
        0
    );
    let ci = installation.token("ci@acme.example", "acme/payments", "service_account");
    let ran = installation.cku(&["run", "--resume", &run, "--token", &ci]);
    assert_eq!(ran.code, 1, "a refusal is never lifted: {}", ran.shown());
    assert_eq!(installation.work("note.txt"), None);
}

#[test]
fn a_change_of_policies_voids_what_was_approved() {
    let installation = Installation::local();
    let bundle = installation.path("bundle");
    let baseline = crate::environment::repository().join("policies/baseline");
    let copied = std::process::Command::new("cp").arg("-r").arg(&baseline).arg(&bundle).status().unwrap();
    assert!(copied.success());
    let init = installation.cku(&[
        "init",
        "--issuer",
        "https://id.acme.example",
        "--admin",
        "dana@acme.example",
        "--bundle",
        "bundle",
    ]);
    assert_eq!(init.code, 0, "{}", init.shown());
    let dana = installation.token("dana@acme.example", "/", "user");
    let rhea = installation.token("rhea@acme.example", "acme", "user");
    let ci = installation.token("ci@acme.example", "acme/payments", "service_account");
    let role =
        ["role", "grant", "reviewer", "rhea@acme.example", "--home", "acme", "--tenant", "acme/payments"];
    assert_eq!(installation.cku(&[&role[..], &["--token", &dana]].concat()).code, 0);
    installation.plan(PLAN);
    installation.run(&["--mode", "staging", "--token", &ci]);
    let run = installation.latest();
    assert_eq!(installation.cku(&["approve", &run, "plan_approval", "--token", &rhea]).code, 0);
    let approvals = || {
        let ran = installation.cku(&["run", "--resume", &run, "--token", &ci, "--format", "json"]);
        let gates = ran.json()["decision"]["gates"].as_array().unwrap().clone();
        gates.iter().find(|g| g["gate"] == "plan_approval").unwrap()["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(approvals(), "PASS");
    let settings = bundle.join("data/cku/settings/policy.yaml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text.replace("min_intent_length: 10", "min_intent_length: 11")).unwrap();
    assert_eq!(approvals(), "PAUSE");
    assert_eq!(installation.cku(&["approve", &run, "plan_approval", "--token", &rhea]).code, 0, "anew");
    assert_eq!(approvals(), "PASS");
}

#[test]
fn a_token_of_a_revoked_key_counts_for_nothing() {
    let (installation, run) = waiting();
    let dana = installation.token("dana@acme.example", "/", "user");
    let rhea = installation.token("rhea@acme.example", "acme", "user");
    // A second key of the same issuer is trusted, the first revoked.
    let second = installation.cku(&["auth", "keygen", "second.pem"]);
    installation.environment.write("second.jwk", second.stdout);
    let trust = [
        "auth",
        "trust",
        "second.jwk",
        "--issuer",
        "https://id.acme.example",
        "--tenant",
        "/",
        "--kinds",
        "user",
    ];
    let denied = installation.cku(&[&trust[..], &["--token", &rhea]].concat());
    assert_eq!(denied.code, 1, "{}", denied.shown());
    let trusted = installation.cku(&[&trust[..], &["--token", &dana]].concat());
    assert_eq!(trusted.code, 0, "{}", trusted.shown());
    let first = installation.cku(&["auth", "keys"]).stdout;
    let second = trusted.stdout.split_whitespace().next().unwrap();
    let first = first.lines().map(|l| l.split_whitespace().next().unwrap()).find(|id| *id != second).unwrap();
    let revoked = installation.cku(&["auth", "revoke", first, "--reason", "lost", "--token", &dana]);
    assert_eq!(revoked.code, 0, "{}", revoked.shown());
    for token in [&dana, &rhea] {
        let ran = installation.cku(&["approve", &run, "plan_approval", "--token", token]);
        assert_eq!(ran.code, 2);
        assert!(
            ran.stderr.contains(&format!("the key `{first}` that signed it was revoked")),
            "{}",
            ran.stderr
        );
    }
    let args = ["auth", "token", "--key", "second.pem", "--sub", "rhea@acme.example", "--tenant", "acme"];
    let rhea = installation.cku(&args).stdout;
    let ran = installation.cku(&["approve", &run, "plan_approval", "--token", rhea.trim_end()]);
    assert_eq!(ran.code, 0, "{}", ran.shown());
}

#[test]
fn a_single_user_cannot_stand_for_several() {
    let installation = Installation::local();
    installation.plan(PLAN);
    let ran = installation.run(&["--mode", "staging"]);
    assert_eq!(ran.code, 1, "{}", ran.shown());
    assert!(ran.stdout.contains("local, single-user: nobody proved who they are"), "{}", ran.shown());
    let ran = installation.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.shown());
    let run = installation.latest();
    for args in [["approve", &run, "release"], ["vote", &run, "approve"]] {
        let ran = installation.cku(&args);
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains("takes a person's token"), "{}", ran.stderr);
    }
}

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

/// What a hand with SQL does to the journal.
fn by_hand(installation: &Installation, sql: &str) {
    Connection::open(installation.path("journal.db")).unwrap().execute_batch(sql).unwrap();
}

/// Changes the intent of the run where it was written first.
const BODY_CHANGED: &str =
    "UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), 'Try something', 'Pry something') AS BLOB)
    WHERE kind = 'run.submitted/1'";

#[test]
fn damage_is_named_by_its_place() {
    let (installation, _) = waiting();
    by_hand(&installation, BODY_CHANGED);
    let ran = installation.cku(&["journal", "verify"]);
    assert_eq!(ran.code, 5);
    insta::assert_snapshot!(stable(&ran, &installation));
    for args in [
        &["journal", "verify", "--format", "json"][..],
        &["journal", "verify", "--tenant", "acme/payments", "--format", "json"],
    ] {
        let json = installation.cku(args).json();
        assert_eq!(
            (&json["intact"], &json["damage"], &json["seq"]),
            (&false.into(), &"changed".into(), &3.into())
        );
    }
    // Where a row was changed too, the entry is what is named.
    by_hand(&installation, "UPDATE projections SET value = '{}' WHERE name = 'runs'");
    let json = installation.cku(&["journal", "verify", "--format", "json"]).json();
    assert_eq!(
        (&json["intact"], &json["damage"], &json["seq"]),
        (&false.into(), &"changed".into(), &3.into())
    );
    let rebuilt = installation.cku(&["journal", "rebuild"]);
    assert_eq!(rebuilt.code, 5);
    assert!(
        rebuilt
            .stderr
            .contains("nothing was computed anew, since the journal is damaged: changed at entry 3"),
        "{}",
        rebuilt.shown()
    );
    std::fs::write(installation.path("cut.db"), "SQLite format 3").unwrap();
    let json = installation.cku(&["journal", "verify", "--journal", "cut.db", "--format", "json"]).json();
    assert_eq!(json["intact"], false);
}

#[test]
fn a_derived_row_that_a_hand_changed_is_named_and_computed_anew() {
    let (installation, _) = waiting();
    by_hand(
        &installation,
        "UPDATE projections SET value = replace(value, 'Try something', 'Pry something') WHERE name = 'runs'",
    );
    for args in [
        &["journal", "verify", "--format", "json"][..],
        &["journal", "verify", "--tenant", "acme/payments", "--format", "json"],
    ] {
        let ran = installation.cku(args);
        let json = ran.json();
        assert_eq!((ran.code, &json["intact"], &json["damage"]), (5, &false.into(), &"derived".into()));
    }
    assert_eq!(installation.cku(&["journal", "rebuild"]).code, 0);
    assert!(installation.is_intact());
}

#[test]
fn a_refusal_whose_body_was_erased_does_not_vanish_from_the_gates() {
    let (installation, run) = waiting();
    let of = |sub: &str| installation.token(sub, "acme", "user");
    let refused = installation.cku(&[
        "refuse",
        &run,
        "plan_approval",
        "--reason",
        "no",
        "--token",
        &of("sam@acme.example"),
    ]);
    assert_eq!(refused.code, 0, "{}", refused.shown());
    // Entries after it, so that it is not among those that are verified whenever a journal is opened.
    let journal = opened(&installation.path("journal.db"));
    journal.append(drills(20)).unwrap();
    drop(journal);
    by_hand(
        &installation,
        "UPDATE entries SET salt = NULL, body = NULL, subject = NULL WHERE kind = 'approval.given/1'",
    );
    let ran = installation.cku(&["journal", "verify", "--format", "json"]);
    assert_eq!((ran.code, &ran.json()["damage"]), (5, &json!("changed")));
    assert!(ran.stderr.contains("its body was erased, without an entry that says so"), "{}", ran.shown());
    let operations = operations(&installation, &run);
    assert_eq!(operations["verdict"], "REJECT", "{operations}");
}

/// The gate `operations` of a run that is asked about once more.
fn operations(installation: &Installation, run: &str) -> Value {
    let ci = installation.token("ci@acme.example", "acme/payments", "service_account");
    let ran = installation.cku(&["run", "--resume", run, "--token", &ci, "--format", "json"]);
    let gates =
        ran.json()["decision"]["gates"].as_array().unwrap_or_else(|| panic!("{}", ran.shown())).clone();
    gates.into_iter().find(|g| g["gate"] == "operations").unwrap()
}

#[test]
fn the_gates_see_that_a_row_does_not_follow_from_the_entries() {
    let (installation, run) = waiting();
    assert_eq!(operations(&installation, &run)["verdict"], "PASS");
    // Of a skill that was never used: the gates ask for the first time it is.
    by_hand(
        &installation,
        "INSERT INTO projections SELECT id, 'skills', 'command', '\"run-0\"' FROM tenants WHERE path = 'acme/payments'",
    );
    let operations = operations(&installation, &run);
    assert_eq!(operations["verdict"], "REJECT", "{operations}");
    assert!(operations.to_string().contains("chain"), "{operations}");
}

#[test]
fn authority_that_a_hand_wrote_is_refused_by_the_next_command() {
    let (installation, run) = waiting();
    let rhea = installation.token("rhea@acme.example", "acme", "user");
    for (written, undone) in [
        (
            "INSERT INTO projections SELECT tenant, name, 'mallory', value FROM projections WHERE name = 'keys'",
            "DELETE FROM projections WHERE key = 'mallory'",
        ),
        (
            "INSERT INTO projections SELECT tenant, name, 'x', replace(value, 'rhea', 'eve') FROM projections WHERE name = 'grants' AND value LIKE '%rhea%'",
            "DELETE FROM projections WHERE key = 'x'",
        ),
    ] {
        by_hand(&installation, written);
        let ran = installation.cku(&["approve", &run, "plan_approval", "--token", &rhea]);
        assert_eq!(ran.code, 5, "{}", ran.shown());
        assert!(ran.stderr.contains("derived in"), "{}", ran.shown());
        by_hand(&installation, undone);
    }
    assert_eq!(installation.cku(&["approve", &run, "plan_approval", "--token", &rhea]).code, 0);
}

#[test]
fn a_second_issuer_names_its_own_as_the_page_on_tokens_shows() {
    let installation = Installation::of_people();
    let dana = installation.token("dana@acme.example", "/", "user");
    installation.environment.write("target/tokens/dana.jwt", &dana);
    let page = std::fs::read_to_string(crate::environment::repository().join("docs/tokens.md")).unwrap();
    let example = page.lines().find(|line| line.starts_with("cku auth trust ")).unwrap();
    let args: Vec<&str> = example.split_whitespace().skip(1).collect();
    let key = installation.cku(&["auth", "keygen", "ci.pem"]);
    installation.environment.write(args[2], key.stdout);
    let grant = |kind: &str, role: &str, sub: &str| {
        let args = ["role", "grant", role, sub, "--tenant", "acme", "--kind", kind, "--token", &dana];
        let granted = installation.cku(&args);
        assert_eq!(granted.code, 0, "{}", granted.shown());
    };
    grant("service_account", "reviewer", "old-bot@acme.example");
    let trusted = installation.cku(&args);
    assert_eq!(trusted.code, 0, "{}", trusted.shown());
    let passed = "https://ci.acme.example names the service_accounts of acme and below from now on, no longer https://id.acme.example";
    assert!(trusted.stdout.contains(passed), "{}", trusted.stdout);
    assert!(
        trusted.stdout.contains("service_account:old-bot@acme.example of acme has the role reviewer"),
        "{}",
        trusted.stdout
    );
    let signed = |key: &str, sub: &str, kind: &str| {
        let token = installation
            .cku(&["auth", "token", "--key", key, "--sub", sub, "--tenant", "acme", "--kind", kind]);
        installation.cku(&["auth", "whoami", "--token", token.stdout.trim_end()])
    };
    let ci = signed("ci.pem", "ci@acme.example", "service_account");
    assert!(
        ci.stdout.starts_with("service_account:ci@acme.example at home in acme\nby https://ci.acme.example"),
        "{}",
        ci.shown()
    );
    let other = signed("issuer.pem", "ci@acme.example", "service_account");
    assert!(
        other.stderr.contains(
            "does not speak for `service_account:ci@acme.example` of acme; `https://ci.acme.example` does"
        ),
        "{}",
        other.shown()
    );
    assert_eq!(signed("issuer.pem", "rhea@acme.example", "user").code, 0);
    assert_eq!(signed("ci.pem", "rhea@acme.example", "user").code, 2);
    // Revoked, it keeps its names: neither the first issuer nor a third one inherits them.
    let id = trusted.stdout.split_whitespace().next().unwrap();
    assert_eq!(installation.cku(&["auth", "revoke", id, "--token", &dana]).code, 0);
    assert_eq!(signed("issuer.pem", "ci@acme.example", "service_account").code, 2);
    let third = installation.cku(&["auth", "keygen", "third.pem"]);
    installation.environment.write(args[2], third.stdout);
    let heir: Vec<&str> = args
        .iter()
        .map(|arg| if arg.starts_with("https:") { "https://third.example" } else { *arg })
        .collect();
    let heir = installation.cku(&heir);
    assert_eq!(heir.code, 2, "{}", heir.shown());
    assert!(heir.stderr.contains("what a revoked key named keeps its roles"), "{}", heir.stderr);
    let again = installation.cku(&["auth", "revoke", id, "--token", &dana]);
    assert!(again.stderr.contains("was revoked at"), "{}", again.shown());
}

#[test]
fn nobody_locks_everybody_out() {
    let installation = Installation::of_people();
    let dana = installation.token("dana@acme.example", "/", "user");
    let key = installation.cku(&["auth", "keys"]).stdout.split_whitespace().next().unwrap().to_owned();
    let revoke_key = installation.cku(&["auth", "revoke", &key, "--token", &dana]);
    assert_eq!(revoke_key.code, 2);
    assert!(revoke_key.stderr.contains("the last key that speaks for users of /"), "{}", revoke_key.stderr);
    let admin = |verb: &str, sub: &str, kind: &str| {
        installation.cku(&["role", verb, "admin", sub, "--tenant", "/", "--kind", kind, "--token", &dana])
    };
    // A machine that holds the role is nobody who could grant it.
    assert_eq!(admin("grant", "bot@acme.example", "service_account").code, 0);
    let last = admin("revoke", "dana@acme.example", "user");
    assert_eq!(last.code, 2);
    assert!(last.stderr.contains("the last person who is `admin` in /"), "{}", last.stderr);
    assert_eq!(admin("revoke", "bot@acme.example", "service_account").code, 0);
    assert_eq!(admin("grant", "rhea@acme.example", "user").code, 0);
    assert_eq!(admin("revoke", "dana@acme.example", "user").code, 0);
    assert!(installation.is_intact());
}

/// Opens the journal here, in the process of the test.
fn opened(path: &Path) -> Journal {
    let noon: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let options =
        Options { clock: Arc::new(move || noon), projector: Arc::new(Projections), ..Options::default() };
    Journal::open(path, options).unwrap()
}

/// Entries of acme/payments that change nothing.
fn drills(count: usize) -> Command {
    let Value::Object(body) =
        json!({"actor": "cku", "subject": "killswitch", "on": false, "reason": "drill"})
    else {
        unreachable!()
    };
    let draft = Draft { tenant: "acme/payments".parse().unwrap(), kind: Kind::KillSwitchSet, body };
    Command { drafts: vec![draft; count], ..Command::default() }
}

#[test]
fn a_key_that_was_revoked_meanwhile_is_not_trusted_again() {
    let installation = Installation::of_people();
    let journal = opened(&installation.path("journal.db"));
    let principal = Principal {
        kind: PrincipalKind::User,
        id: "dana@acme.example".parse().unwrap(),
        tenant: TenantPath::root(),
    };
    let by = Submitter { principal, authentication: Authentication::Token, token: None };
    let mut worker = Worker::new(cku_authority::active(&journal).unwrap());
    let key = |id: &str| {
        let key = json!({"id": id, "issuer": "i", "tenant": "/", "kinds": ["user"], "public_key": {}});
        KeyTrusted { key, id: id.to_owned() }
    };
    let seen = cku_authority::keys_changed_at(&journal).unwrap();
    cku_authority::trust_key(&journal, &mut worker, &by, &key("one"), seen).unwrap();
    // Who looked before that was looking at other keys.
    let error = cku_authority::trust_key(&journal, &mut worker, &by, &key("two"), seen).unwrap_err();
    assert!(error.to_string().contains("somebody else changed the keys meanwhile"), "{error}");
    let revoked = cku_authority::KeyRevoked {
        id: "one".to_owned(),
        revoked_at: "2026-11-20T12:00:00Z".parse().unwrap(),
        reason: "lost".to_owned(),
    };
    cku_authority::revoke_key(&journal, &mut worker, &by, &revoked).unwrap();
    let seen = cku_authority::keys_changed_at(&journal).unwrap();
    let error = cku_authority::trust_key(&journal, &mut worker, &by, &key("one"), seen).unwrap_err();
    assert!(error.to_string().contains("the key one is there already"), "{error}");
    journal.verify_all().unwrap();
}

#[test]
fn all_entries_are_shown_as_json_and_a_mistyped_tenant_is_told() {
    let installation = Installation::of_people();
    let journal = opened(&installation.path("journal.db"));
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
fn half_a_key_is_not_left_behind() {
    let installation = Installation::local();
    // No file may grow here; the signal that says so is ignored, so that it is an error.
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" auth keygen key.pem";
    let ran = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_cku")])
        .current_dir(installation.environment.path())
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(2), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(!installation.path("key.pem").exists());
}

#[test]
fn what_is_no_key_is_told_and_nothing_of_it_is_shown() {
    let installation = Installation::of_people();
    let dana = installation.token("dana@acme.example", "/", "user");
    let pem = std::fs::read_to_string(installation.path("issuer.pem")).unwrap();
    let secret = pem.lines().nth(1).unwrap();
    installation.environment.write("README.md", "# hunter2\n");
    installation.environment.write("secret.json", r#"{"kty": "OKP", "crv": "Ed25519", "d": 77077}"#);
    installation.environment.write("list.json", r#"["hunter2"]"#);
    let mut told = String::new();
    for file in ["issuer.pem", "README.md", "secret.json", "list.json"] {
        let place = ["--issuer", "https://ci.acme.example", "--tenant", "acme", "--kinds", "user"];
        let ran = installation.cku(&[&["auth", "trust", file], &place[..], &["--token", &dana]].concat());
        told.push_str(&stable(&ran, &installation));
        let sign = ["auth", "token", "--key", file, "--sub", "a", "--tenant", "/"];
        if file != "issuer.pem" {
            told.push_str(&stable(&installation.cku(&sign), &installation));
        }
        let at = format!("@{file}");
        told.push_str(&stable(&installation.cku(&["auth", "whoami", "--token", &at]), &installation));
    }
    for shown in [secret, "hunter2", "77077"] {
        assert!(!told.contains(shown), "{told}");
    }
    insta::assert_snapshot!(told);
}

#[test]
fn an_issuer_that_is_no_uri_reserves_no_names() {
    let installation = Installation::of_people();
    let dana = installation.token("dana@acme.example", "/", "user");
    let key = installation.cku(&["auth", "keygen", "ci.pem"]);
    installation.environment.write("ci.json", key.stdout);
    let trust =
        ["auth", "trust", "ci.json", "--tenant", "acme", "--kinds", "user", "--token", &dana, "--issuer"];
    let refused = installation.cku(&[&trust[..], &["not-a-url"]].concat());
    assert_eq!(refused.code, 2, "{}", refused.shown());
    assert!(refused.stderr.contains("an issuer is a URI"), "{}", refused.shown());
    assert!(!refused.stderr.contains(&dana), "{}", refused.shown());
    assert_eq!(installation.cku(&["auth", "keys"]).stdout.lines().count(), 1);
    assert_eq!(installation.cku(&[&trust[..], &["urn:acme:ci"]].concat()).code, 0);
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
fn a_key_that_nobody_named_is_said_to_be_the_default() {
    let ran = Installation::local().cku(&["auth", "token", "--sub", "a", "--tenant", "/"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("no `issuer.pem` here, which is the default of --key"), "{}", ran.stderr);
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
fn of_a_run_that_ended_there_is_nothing_to_decide() {
    let installation = Installation::of_people();
    installation.plan(PLAN);
    let ci = installation.token("ci@acme.example", "acme/payments", "service_account");
    assert_eq!(installation.run(&["--token", &ci]).code, 0);
    let run = installation.latest();
    let rhea = installation.token("rhea@acme.example", "acme", "user");
    let refused = installation.cku(&["refuse", &run, "plan_approval", "--token", &rhea]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("there is nothing to decide"), "{}", refused.stderr);
}

#[test]
fn one_token_is_revoked_and_a_service_account_has_tokens_of_its_own() {
    let installation = Installation::of_people();
    let dana = installation.token("dana@acme.example", "/", "user");
    let [one, other] = [(); 2].map(|()| installation.token("rhea@acme.example", "acme", "user"));
    let run = |args: &[&str]| installation.cku(args);
    let denied = run(&["auth", "revoke-token", &one, "--token", &other]);
    assert_eq!(denied.code, 1, "{}", denied.shown());
    installation.environment.write("one.jwt", &one);
    let revoked = run(&["auth", "revoke-token", "@one.jwt", "--reason", "shown to others", "--token", &dana]);
    assert_eq!(revoked.code, 0, "{}", revoked.shown());
    let ran = run(&["auth", "whoami", "--token", &one]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("the token is refused: it was revoked"), "{}", ran.stderr);
    assert_eq!(run(&["auth", "whoami", "--token", &other]).code, 0, "the other holds");
    let account = |act: &[&str], whom: &[&str]| {
        let more = ["--tenant", "acme", "--token", &dana];
        run(&[&["auth", "service-account"], act, whom, &more].concat())
    };
    let opened = account(&["open", "gateway"], &["--purpose", "asks"]);
    assert_eq!((opened.code, opened.stdout.as_str()), (0, "gateway of acme is open\n"), "{}", opened.shown());
    let issued = account(&["token", "gateway"], &[]);
    assert_eq!(issued.code, 0, "{}", issued.shown());
    let token = issued.stdout.trim_end();
    let who = run(&["auth", "whoami", "--token", token]);
    assert!(who.stdout.starts_with("service_account:gateway at home in acme\n"), "{}", who.shown());
    let rotated = account(&["rotate", "gateway"], &["--grace", "0s"]);
    assert_eq!(rotated.code, 0, "{}", rotated.shown());
    assert_eq!(run(&["auth", "whoami", "--token", token]).code, 2, "replaced");
    let list = run(&["auth", "service-account", "list"]).stdout;
    assert!(list.starts_with("gateway  service_account in acme  asks\n"), "{list}");
    let id = list.lines().last().unwrap().split_whitespace().next().unwrap();
    let new = rotated.stdout.trim_end();
    assert_eq!(run(&["auth", "whoami", "--token", new]).code, 0);
    assert_eq!(account(&["revoke", "gateway", id], &[]).code, 0);
    assert_eq!(run(&["auth", "whoami", "--token", new]).code, 2);
    assert_eq!(account(&["close", "gateway"], &[]).code, 0);
    for entries in [run(&["journal", "show", "--format", "json"]), run(&["journal", "verify"])] {
        assert_eq!(entries.code, 0, "{}", entries.shown());
        assert!(!entries.stdout.contains(token.trim_start_matches("cku_sa_")), "{}", entries.stdout);
    }
}

#[test]
fn an_issuer_is_trusted_with_the_place_of_its_keys() {
    let installation = Installation::of_people();
    let dana = installation.token("dana@acme.example", "/", "user");
    let made = installation.cku(&["auth", "keygen", "sso.pem"]);
    let key: Value = serde_json::from_str(&made.stdout).unwrap();
    let publish = |keys: &[&Value]| {
        let set = serde_json::json!({"keys": keys});
        installation.environment.write("keys.json", set.to_string());
    };
    publish(&[&key]);
    let declared = format!(
        "issuer: https://sso.acme.example\njwks: {}\nnames: {{ tenant: acme, kinds: [user], tenant_claim: tenant }}\n",
        installation.path("keys.json").display()
    );
    installation.environment.write("sso.yaml", &declared);
    let trust = |by: &str| installation.cku(&["auth", "trust-issuer", "sso.yaml", "--token", by]);
    let rhea = installation.token("rhea@acme.example", "acme", "user");
    assert_eq!(trust(&rhea).code, 1, "it takes an administrator of the root");
    let trusted = trust(&dana);
    assert_eq!(trusted.code, 0, "{}", trusted.shown());
    let told = "https://sso.acme.example is trusted\n  https://sso.acme.example names the users of acme and below from now on, no longer https://id.acme.example\n  user:rhea@acme.example of acme has the role reviewer in acme/payments";
    assert!(trusted.stdout.starts_with(told), "{}", trusted.stdout);
    assert!(
        trusted.stdout.ends_with("https://sso.acme.example  1 keys learned, 0 retired\n"),
        "{}",
        trusted.stdout
    );
    let of_sso = || {
        let token = [
            "auth",
            "token",
            "--key",
            "sso.pem",
            "--sub",
            "rhea@acme.example",
            "--tenant",
            "acme/payments",
            "--issuer",
            "https://sso.acme.example",
        ];
        let token = installation.cku(&token).stdout;
        installation.cku(&["auth", "whoami", "--token", token.trim_end()])
    };
    let who = of_sso();
    assert!(who.stdout.starts_with("user:rhea@acme.example at home in acme/payments\n"), "{}", who.shown());
    assert_eq!(installation.cku(&["auth", "whoami", "--token", &rhea]).code, 2, "its names are its own");
    // A key that is gone from the set counts for nothing once it was looked at, and then comes back.
    publish(&[]);
    let learned = installation.cku(&["auth", "learn"]);
    assert_eq!(
        learned.stdout,
        "https://sso.acme.example  0 keys learned, 1 retired\n",
        "{}",
        learned.shown()
    );
    assert_eq!(of_sso().code, 2);
    assert!(installation.cku(&["auth", "keys"]).stdout.contains("not published since"));
    installation.environment.write("keys.json", "<html>");
    let failed = installation.cku(&["auth", "learn"]);
    assert_eq!(failed.code, 5, "{}", failed.shown());
    publish(&[&key]);
    assert_eq!(installation.cku(&["auth", "learn"]).code, 0);
    assert_eq!(of_sso().code, 0);
    let revoke = ["auth", "revoke-issuer", "https://sso.acme.example", "--token", &dana];
    assert_eq!(installation.cku(&revoke).code, 0);
    assert!(of_sso().stderr.contains("was revoked"), "{}", of_sso().shown());
    assert_eq!(installation.cku(&["auth", "whoami", "--token", &rhea]).code, 2, "it keeps its names");
    assert_eq!(installation.cku(&["journal", "verify"]).code, 0);
}
