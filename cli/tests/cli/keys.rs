//! Keys: how they are made, trusted and revoked.

use cku_authority::KeyTrusted;
use cku_base::{Principal, PrincipalKind, TenantPath};
use cku_engine::Worker;
use cku_gates::{Authentication, Submitter};
use serde_json::json;

use crate::installation::{Installation, stable};

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
fn a_key_that_nobody_named_is_said_to_be_the_default() {
    let ran = Installation::local().cku(&["auth", "token", "--sub", "a", "--tenant", "/"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("no `issuer.pem` here, which is the default of --key"), "{}", ran.stderr);
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

#[test]
fn a_key_that_was_revoked_meanwhile_is_not_trusted_again() {
    let installation = Installation::of_people();
    let journal = installation.opened();
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
