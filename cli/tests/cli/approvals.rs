//! What counts as an approval, and what does not.

use crate::installation::{Installation, PLAN, stable, waiting};

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
