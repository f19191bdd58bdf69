//! A key that was stolen, used, and revoked.

use crate::installation::{Installation, PLAN};

/// A second key of the issuer, in `second.pem`; its id.
fn second_key(installation: &Installation, dana: &str) -> String {
    let public = installation.cku(&["auth", "keygen", "second.pem"]).stdout;
    installation.environment.write("second.jwk", public);
    let issuer = "https://id.acme.example";
    let kinds = "user,service_account,agent";
    let trust = ["auth", "trust", "second.jwk", "--issuer", issuer, "--tenant", "/", "--kinds", kinds];
    let trusted = installation.cku(&[&trust[..], &["--token", dana]].concat());
    assert_eq!(trusted.code, 0, "{}", trusted.shown());
    trusted.stdout.split_whitespace().next().unwrap().to_owned()
}

fn of_second_key(installation: &Installation, sub: &str, tenant: &str, kind: &str) -> String {
    let args = ["auth", "token", "--key", "second.pem", "--sub", sub, "--tenant", tenant, "--kind", kind];
    installation.cku(&args).stdout.trim_end().to_owned()
}

#[test]
fn what_was_approved_with_a_stolen_key_counts_no_more_once_it_is_revoked() {
    let installation = Installation::of_people();
    let dana = installation.token("dana@acme.example", "/", "user");
    let ci = installation.token("ci@acme.example", "acme/payments", "service_account");
    let key = second_key(&installation, &dana);
    installation.plan(PLAN);
    assert_eq!(installation.run(&["--mode", "staging", "--token", &ci]).code, 4);
    let run = installation.latest();
    let forged = of_second_key(&installation, "rhea@acme.example", "acme", "user");
    assert_eq!(installation.cku(&["approve", &run, "plan_approval", "--token", &forged]).code, 0);
    assert_eq!(installation.cku(&["auth", "revoke", &key, "--token", &dana]).code, 0);
    let again = installation.cku(&["run", "--resume", &run, "--token", &ci]);
    assert_eq!(again.code, 4, "{}", again.shown());
    assert!(again.stdout.contains("0 of 1 approvals of the plan"), "{}", again.stdout);
    // Rhea herself may still say what she thinks.
    let rhea = installation.token("rhea@acme.example", "acme", "user");
    assert_eq!(installation.cku(&["refuse", &run, "plan_approval", "--token", &rhea]).code, 0);
    let again = installation.cku(&["run", "--resume", &run, "--token", &ci]);
    assert_eq!(again.code, 1, "{}", again.shown());
    assert_eq!(installation.work("note.txt"), None);
    assert!(installation.is_intact());
}

#[test]
fn a_run_that_was_submitted_with_a_stolen_key_is_rejected_once_it_is_revoked() {
    let installation = Installation::of_people();
    let dana = installation.token("dana@acme.example", "/", "user");
    let key = second_key(&installation, &dana);
    installation.plan(PLAN);
    let forged = of_second_key(&installation, "ci@acme.example", "acme/payments", "service_account");
    assert_eq!(installation.run(&["--mode", "staging", "--token", &forged]).code, 4);
    let run = installation.latest();
    assert_eq!(installation.cku(&["auth", "revoke", &key, "--token", &dana]).code, 0);
    let ci = installation.token("ci@acme.example", "acme/payments", "service_account");
    let again = installation.cku(&["run", "--resume", &run, "--token", &ci]);
    assert_eq!(again.code, 1, "{}", again.shown());
    assert!(again.stdout.contains("no valid token of a trusted issuer"), "{}", again.stdout);
}

#[test]
fn the_id_of_a_key_may_begin_with_a_hyphen() {
    // One in 64 does: they are base64url.
    let installation = Installation::of_people();
    let dana = installation.token("dana@acme.example", "/", "user");
    for args in [["auth", "revoke", "-zk"].as_slice(), &["auth", "revoke", "--reason", "lost", "-zk"]] {
        let ran = installation.cku(&[args, &["--token", &dana]].concat());
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains("`-zk`") && !ran.stderr.contains("unexpected"), "{}", ran.stderr);
    }
}
