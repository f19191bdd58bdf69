//! Issuers whose keys are found at an address: what their claims say here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use cku_auth::{
    GITHUB, Issuer, KeyId, PublicKey, SigningKey, TokenError, Trust, TrustError, TrustedIssuer, TrustedKey,
    read_set, verify,
};
use cku_base::{PrincipalKind, Timestamp};
use jsonwebtoken::{EncodingKey, crypto, jwk::Jwk};
use serde_json::{Value, json};

fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

const NOON: i64 = 1_795_176_000;

/// A key of a test, RSA of 2048 bits.
fn rsa() -> EncodingKey {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../changes/tests/archive/rsa.pem");
    EncodingKey::from_rsa_pem(&std::fs::read(path).unwrap()).unwrap()
}

/// As GitHub publishes one.
fn jwk(kid: &str) -> Value {
    let jwk = Jwk::from_encoding_key(&rsa(), jsonwebtoken::Algorithm::RS256).unwrap();
    let mut jwk = serde_json::to_value(jwk).unwrap();
    for (name, value) in [("kid", kid), ("use", "sig"), ("alg", "RS256")] {
        jwk[name] = json!(value);
    }
    jwk
}

/// A token with the header that GitHub documents.
fn signed(kid: &str, claims: &Value) -> String {
    let header = json!({"typ": "JWT", "alg": "RS256", "x5t": kid, "kid": kid});
    let message = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
    let signature = crypto::sign(message.as_bytes(), &rsa(), jsonwebtoken::Algorithm::RS256).unwrap();
    format!("{message}.{signature}")
}

/// The claims of <https://docs.github.com/en/actions/reference/security/oidc>, for cku.
fn workflow() -> Value {
    json!({
        "jti": "example-id", "sub": "repo:acme/payments:environment:prod", "environment": "prod", "aud": "cku",
        "ref": "refs/heads/main", "sha": "example-sha", "repository": "acme/payments", "repository_owner": "acme",
        "actor_id": "12", "repository_visibility": "private", "repository_id": "74", "repository_owner_id": "65",
        "run_id": "example-run-id", "run_number": "10", "run_attempt": "2",
        "runner_environment": "github-hosted", "actor": "octocat", "workflow": "example-workflow",
        "head_ref": "", "base_ref": "", "event_name": "workflow_dispatch", "ref_type": "branch",
        "job_workflow_ref": "acme/automation/.github/workflows/oidc.yml@refs/heads/main",
        "iss": GITHUB, "nbf": NOON, "iat": NOON, "exp": NOON + 300,
    })
}

fn with(mut claims: Value, name: &str, value: impl Into<Value>) -> Value {
    claims[name] = value.into();
    claims
}

fn github(accounts: Value) -> Value {
    json!({"issuer": GITHUB, "jwks": format!("{GITHUB}/.well-known/jwks"), "accounts": accounts})
}

fn issuer(document: Value) -> TrustedIssuer {
    serde_json::from_value(document).unwrap()
}

/// Trusts these issuers, each with the one key under this name.
fn trusting(issuers: &[(Value, &str)]) -> Result<Trust, TrustError> {
    let own = SigningKey::from_seed(&[7; 32]).public_key();
    let kinds = [PrincipalKind::User, PrincipalKind::ServiceAccount, PrincipalKind::Agent];
    let mut keys = vec![TrustedKey::new(own, "https://id.acme.example", "/".parse().unwrap(), kinds)];
    let mut rows = Vec::new();
    for (place, (document, kid)) in issuers.iter().enumerate() {
        let (read, seq) = (issuer(document.clone()), place as u64 + 1);
        let set = read_set(json!({"keys": [jwk(kid)]}).to_string().as_bytes(), &read).unwrap();
        for (kid, public) in set.keys {
            keys.push(TrustedKey::published(public, kid, &read, seq));
        }
        rows.push(json!({"issuer": document, "seq": seq}));
    }
    Trust::read(json!({"keys": keys, "issuers": rows}), "cku")
}

fn release() -> Value {
    json!([
        {"tenant": "acme/payments", "name": "release", "claims": {
            "repository": "acme/payments", "repository_id": "74", "repository_owner_id": "65",
            "ref": "refs/heads/main", "environment": "prod",
        }},
        {"tenant": "acme/payments", "name": "build", "claims": {
            "repository": "acme/payments", "repository_id": "74", "ref": "refs/tags/v*",
        }},
    ])
}

#[test]
fn a_workflow_is_who_is_declared_for_what_github_says_of_it() {
    let trust = trusting(&[(github(release()), "38826b17-6a30-5f9b-b169-8beb8202f723")]).unwrap();
    let told = |claims: &Value| {
        let verified = verify(&signed("38826b17-6a30-5f9b-b169-8beb8202f723", claims), &trust, noon());
        verified.map_or_else(
            |error| format!("{}: {error}", error.code()),
            |who| format!("{} of {}", who.principal, who.principal.tenant),
        )
    };
    let mut all = String::new();
    for (what, claims) in [
        ("as declared", workflow()),
        ("a tag", with(workflow(), "ref", "refs/tags/v1.2.3")),
        ("another branch", with(workflow(), "ref", "refs/heads/x")),
        ("another environment", with(workflow(), "environment", "staging")),
        ("no environment", with(workflow(), "environment", Value::Null)),
        ("of another repository", with(workflow(), "repository", "evil/payments")),
        ("another repository that took the name", with(workflow(), "repository_id", "75")),
        ("an owner who took the name", with(workflow(), "repository_owner_id", "66")),
        ("an id that is a number", with(workflow(), "repository_id", 74)),
        ("meant for others", with(workflow(), "aud", "https://github.com/acme")),
        ("of another issuer", with(workflow(), "iss", "https://id.acme.example")),
        ("too long", with(workflow(), "exp", NOON + 90_000)),
        ("over", with(with(workflow(), "iat", NOON - 600), "exp", NOON - 300)),
    ] {
        all.push_str(&format!("{what}: {}\n", told(&claims)));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn two_declarations_that_both_fit_are_none() {
    let mut accounts = release();
    accounts[1]["claims"] = json!({"repository_id": "74"});
    let trust = trusting(&[(github(accounts.clone()), "k")]).unwrap();
    let verified = verify(&signed("k", &workflow()), &trust, noon());
    assert!(matches!(verified, Err(TokenError::Unmapped { .. })), "{verified:?}");
    // Of one account they are one.
    accounts[1]["name"] = json!("release");
    let trust = trusting(&[(github(accounts), "k")]).unwrap();
    assert_eq!(verify(&signed("k", &workflow()), &trust, noon()).unwrap().principal.id.as_str(), "release");
}

#[test]
fn a_declared_account_is_nobody_elses() {
    let trust = trusting(&[(github(release()), "k")]).unwrap();
    let key = SigningKey::from_seed(&[7; 32]);
    let says = |sub: &str| {
        let header = json!({"alg": "EdDSA", "kid": key.public_key().id()});
        let claims = json!({
            "iss": "https://id.acme.example", "aud": "cku", "sub": sub, "kind": "service_account",
            "tenant": "acme/payments", "iat": NOON, "exp": NOON + 300,
        });
        let message = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
        let signature = crypto::sign(
            message.as_bytes(),
            &EncodingKey::from_ed_pem(key.to_pem().unwrap().as_bytes()).unwrap(),
            jsonwebtoken::Algorithm::EdDSA,
        );
        verify(&format!("{message}.{}", signature.unwrap()), &trust, noon())
    };
    let refused = says("release").unwrap_err().to_string();
    assert!(refused.ends_with(&format!("; `{GITHUB}` does")), "{refused}");
    assert!(says("other").is_ok());
    // Two issuers for one account are refused, and what an issuer speaks for does not shrink.
    let gitlab = json!({"issuer": "https://gitlab.com", "jwks": "https://gitlab.com/oauth/discovery/keys",
        "accounts": [{"tenant": "acme/payments", "name": "release", "claims": {"project_id": "1"}}]});
    let both = trust.with_issuer(issuer(gitlab.clone()));
    assert!(matches!(both, Err(TrustError::SameAccount { .. })), "{both:?}");
    let names = json!({"issuer": "https://sso.acme.example", "jwks": "https://sso.acme.example/keys",
        "names": {"tenant": "acme", "kinds": ["user"]}});
    let trust = trusting(&[(names.clone(), "k")]).unwrap();
    for (tenant, kinds, may) in [
        ("acme", json!(["user"]), true),
        ("acme/payments", json!(["user"]), false),
        ("acme", json!(["agent"]), false),
    ] {
        let mut other = names.clone();
        other["names"]["tenant"] = json!(tenant);
        other["names"]["kinds"] = kinds;
        assert_eq!(trust.with_issuer(issuer(other)).is_ok(), may, "{tenant}");
    }
    let mut overlapping = names.clone();
    overlapping["issuer"] = json!("https://other.acme.example");
    assert!(matches!(trust.with_issuer(issuer(overlapping)), Err(TrustError::Overlap { .. })));
    // An account that was declared once stays the issuer's, also when it is declared no more.
    let rows: Vec<Value> = vec![json!({"issuer": github(json!([release()[0]])), "seq": 1,
        "before": [{"tenant": "acme/payments", "name": "build"}]})];
    let read: Trust = Trust::read(json!({"issuers": rows}), "cku").unwrap();
    let known: &Issuer = &read.issuers()[0];
    assert_eq!(known.before.len(), 1);
    let mut gitlab = gitlab;
    gitlab["accounts"][0]["name"] = json!("build");
    assert!(matches!(read.with_issuer(issuer(gitlab)), Err(TrustError::SameAccount { .. })));
}

#[test]
fn one_key_that_two_issuers_publish_speaks_for_the_one_that_the_token_names() {
    let of = |issuer: &str, tenant: &str| {
        json!({"issuer": issuer, "jwks": format!("{issuer}/keys"),
            "names": {"tenant": tenant, "kinds": ["user"], "name": "email"}})
    };
    let (one, two) = ("https://one.example", "https://two.example");
    let trust = trusting(&[(of(one, "acme"), "same"), (of(two, "globex"), "same")]).unwrap();
    let says = |issuer: &str| {
        let claims =
            json!({"iss": issuer, "aud": "cku", "email": "rhea@x.example", "iat": NOON, "exp": NOON + 300});
        verify(&signed("same", &claims), &trust, noon())
    };
    assert_eq!(says(one).unwrap().principal.tenant.as_str(), "acme");
    assert_eq!(says(two).unwrap().principal.tenant.as_str(), "globex");
    assert!(says("https://three.example").is_err());
    let public = PublicKey::from_jwk(jwk("same")).unwrap();
    assert_ne!(KeyId::published(one, &public), KeyId::published(two, &public));
}

#[test]
fn a_key_that_was_revoked_counts_under_none_of_its_names() {
    let names = json!({"issuer": "https://sso.acme.example", "jwks": "https://sso.acme.example/keys",
        "names": {"tenant": "acme", "kinds": ["user"]}});
    let (read, public) = (issuer(names.clone()), PublicKey::from_jwk(jwk("k")).unwrap());
    let published = TrustedKey::published(public.clone(), "k".to_owned(), &read, 1);
    let kinds = [PrincipalKind::User];
    let alone = TrustedKey::new(public, "https://sso.acme.example", "acme".parse().unwrap(), kinds);
    let claims = json!({"iss": "https://sso.acme.example", "aud": "cku", "sub": "rhea", "kind": "user",
        "tenant": "acme", "iat": NOON, "exp": NOON + 300});
    let told = |alone_revoked: bool, published_revoked: bool| {
        let revoke =
            |key: &TrustedKey, revoked: bool| TrustedKey { revoked_at: revoked.then(noon), ..key.clone() };
        let keys = [revoke(&alone, alone_revoked), revoke(&published, published_revoked)];
        let document = json!({"keys": keys, "issuers": [{"issuer": names, "seq": 1}]});
        let trust = Trust::read(document, "cku").unwrap();
        ["k", alone.id.as_str()].map(|kid| verify(&signed(kid, &claims), &trust, noon()).is_ok())
    };
    assert_eq!(told(false, false), [true, true]);
    assert_eq!(told(true, false), [false, false]);
    assert_eq!(told(false, true), [false, false]);
}

#[test]
fn a_closed_account_is_proved_by_nobody() {
    let account = json!({"tenant": "acme/payments", "name": "release", "closed_at": "2026-11-19T12:00:00Z"});
    let read = issuer(github(release()));
    let key = TrustedKey::published(PublicKey::from_jwk(jwk("k")).unwrap(), "k".to_owned(), &read, 1);
    let document = |accounts: Vec<Value>| json!({"keys": [key.clone()], "issuers": [{"issuer": github(release()), "seq": 1}], "accounts": accounts});
    let asked = |accounts| {
        let trust = Trust::read(document(accounts), "cku").unwrap();
        verify(&signed("k", &workflow()), &trust, noon())
    };
    assert!(asked(vec![]).is_ok());
    assert_eq!(asked(vec![account]), Err(TokenError::Closed("release".to_owned())));
}

#[test]
fn claims_name_principals_as_they_are_declared_to() {
    let sso = |names: Value| json!({"issuer": "https://sso.acme.example", "jwks": "https://sso.acme.example/keys", "names": names});
    let claims = json!({"iss": "https://sso.acme.example", "aud": "cku", "sub": "00u1", "email": "rhea@acme.example",
        "hd": "acme.example", "email_verified": true, "org": "acme/payments", "type": "agent", "iat": NOON, "exp": NOON + 300});
    let mut all = String::new();
    for (what, names) in [
        ("by the subject", json!({"tenant": "acme", "kinds": ["user"]})),
        ("by an address", json!({"tenant": "acme", "kinds": ["user"], "name": "email"})),
        ("at home where a claim says", json!({"tenant": "acme", "kinds": ["user"], "tenant_claim": "org"})),
        ("at home elsewhere", json!({"tenant": "globex", "kinds": ["user"], "tenant_claim": "org"})),
        (
            "of the kind that a claim says",
            json!({"tenant": "acme", "kinds": ["user", "agent"], "kind_claim": "type"}),
        ),
        ("of another kind", json!({"tenant": "acme", "kinds": ["user"], "kind_claim": "type"})),
        ("no kind", json!({"tenant": "acme", "kinds": ["user"], "kind_claim": "email"})),
        ("of our domain", json!({"tenant": "acme", "kinds": ["user"], "require": {"hd": "acme.example"}})),
        ("of another domain", json!({"tenant": "acme", "kinds": ["user"], "require": {"hd": "acme.org"}})),
        ("verified", json!({"tenant": "acme", "kinds": ["user"], "require": {"email_verified": "true"}})),
        (
            "not verified",
            json!({"tenant": "acme", "kinds": ["user"], "require": {"email_verified": "false"}}),
        ),
        ("of no domain", json!({"tenant": "acme", "kinds": ["user"], "require": {"domain": "acme.org"}})),
        ("by nothing", json!({"tenant": "acme", "kinds": ["user"], "name": "upn"})),
    ] {
        let told = verify(&signed("k", &claims), &trusting(&[(sso(names), "k")]).unwrap(), noon());
        let told = told.map_or_else(
            |error| error.to_string(),
            |who| format!("{} of {}", who.principal, who.principal.tenant),
        );
        all.push_str(&format!("{what}: {told}\n"));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn what_an_unusable_issuer_is_told() {
    let base = || json!({"issuer": "https://id.x", "jwks": "https://id.x/keys", "names": {"tenant": "acme", "kinds": ["user"]}});
    let mut all = String::new();
    let mut say = |what: &str, document: Value| {
        let read = serde_json::from_value::<TrustedIssuer>(document);
        all.push_str(&format!("{what}: {}\n", read.unwrap_err()));
    };
    for (what, name, value) in [
        ("a name", "issuer", json!("acme")),
        ("ourselves", "issuer", json!("urn:cku:service-accounts")),
        ("over a way that others can change", "jwks", json!("http://id.x/keys")),
        ("nearly this machine", "jwks", json!("http://localhost.evil/keys")),
        ("somebody before the host", "jwks", json!("http://127.0.0.1@evil.example/keys")),
        ("a file of nowhere", "jwks", json!("keys.json")),
        ("another scheme", "jwks", json!("file:///etc/passwd")),
        ("blanks", "jwks", json!("https://id.x/a b")),
        ("certificates of nowhere", "ca", json!("ca.pem")),
        ("nobody", "names", Value::Null),
        ("both", "accounts", json!([{"tenant": "acme", "name": "a", "claims": {"x": "1"}}])),
        ("no kinds", "names", json!({"tenant": "acme", "kinds": []})),
        ("several kinds", "names", json!({"tenant": "acme", "kinds": ["user", "agent"]})),
        ("a misspelt member", "audiences", json!("x")),
        ("an unknown algorithm", "algorithms", json!(["none"])),
        ("everybody on GitHub", "issuer", json!(GITHUB)),
        ("everybody of an enterprise", "issuer", json!(format!("{GITHUB}/acme"))),
    ] {
        say(what, with(base(), name, value));
    }
    for (what, claims) in [
        ("no claims", json!({})),
        ("no repository", json!({"ref": "refs/heads/main"})),
        ("any repository", json!({"repository": "acme/*"})),
        ("any owner", json!({"repository": "acme/payments", "repository_owner_id": "*"})),
        ("a star inside", json!({"repository": "acme/payments", "ref": "refs/*/main"})),
    ] {
        say(what, github(json!([{"tenant": "acme", "name": "a", "claims": claims}])));
    }
    let same = json!([{"tenant": "acme", "name": "a", "claims": {"repository_id": "1"}},
        {"tenant": "acme", "name": "b", "claims": {"repository_id": "1"}}]);
    say("two of the same", github(same));
    insta::assert_snapshot!(all);
}
