//! Issuers beside the first, and service accounts: whom each speaks for.

use serde_json::Value;

use crate::installation::Installation;

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
fn an_account_is_kept_here_or_an_issuer_declares_it_and_never_both() {
    let installation = Installation::of_people();
    let dana = installation.token("dana@acme.example", "/", "user");
    installation.environment.write("keys.json", r#"{"keys": []}"#);
    let trust = |names: &[&str]| {
        let account = |name: &&str| {
            format!("  - {{ tenant: acme, name: {name}, claims: {{ project_id: '7', job: {name} }} }}\n")
        };
        let accounts: String = names.iter().map(account).collect();
        let jwks = installation.path("keys.json");
        let declared = format!("issuer: https://ci.example\njwks: {}\naccounts:\n{accounts}", jwks.display());
        installation.environment.write("ci.yaml", declared);
        installation.cku(&["auth", "trust-issuer", "ci.yaml", "--token", &dana])
    };
    let account = |act: &str, name: &str, tenant: &str| {
        installation.cku(&["auth", "service-account", act, name, "--tenant", tenant, "--token", &dana])
    };
    let refused = |ran: crate::environment::Ran, said: &str| {
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.shown());
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    };
    let trusted = trust(&["release", "build"]);
    assert_eq!(trusted.code, 0, "{}", trusted.shown());
    let declared = "`https://ci.example` declares the service account `release` of acme, or did";
    refused(account("open", "release", "acme"), declared);
    assert_eq!(account("open", "release", "acme/payments").code, 0, "in another tenant it is another");
    assert_eq!(account("open", "gateway", "acme").code, 0);
    let kept = "`gateway` of acme is a service account that is kept here, and keeps its name";
    refused(trust(&["release", "build", "gateway"]), kept);
    assert_eq!(account("close", "gateway", "acme").code, 0);
    refused(trust(&["release", "build", "gateway"]), kept);
    // What it declares no longer stays its own.
    assert_eq!(trust(&["build"]).code, 0);
    refused(account("open", "release", "acme"), declared);
    let revoke = ["auth", "revoke-issuer", "https://ci.example", "--token", &dana];
    assert_eq!(installation.cku(&revoke).code, 0);
    refused(account("open", "build", "acme"), "declares the service account `build` of acme");
    assert!(installation.is_intact());
}
