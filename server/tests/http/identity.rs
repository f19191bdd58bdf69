//! Single tokens that are revoked, and service accounts.

use std::time::{Duration, Instant};

use cku_auth::Claims;
use cku_authority::{TokenRevoked, draft};
use cku_base::{Principal, PrincipalKind, TenantPath};
use cku_gates::{Authentication, Submitter};
use cku_journal::{Command, Kind};
use serde_json::{Value, json};

use crate::{
    client::Came,
    control::Office,
    place::{Place, now},
};

/// A person's token of this name.
fn token(office: &Office, who: &str, tenant: &str, id: &str) -> String {
    let tenant = tenant.parse().unwrap();
    office.key.token(&Claims {
        issuer: "https://id.acme.example".to_owned(),
        audience: "cku".to_owned(),
        principal: Principal { kind: PrincipalKind::User, id: who.parse().unwrap(), tenant },
        token_id: Some(id.to_owned()),
        issued_at: now(),
        expires_at: now().after(Duration::from_secs(600)).unwrap(),
    })
}

fn header(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn session(office: &Office, token: &str) -> Came {
    office.get("/v1/session", &header(token))
}

#[test]
fn a_token_that_was_revoked_by_its_name_is_refused_at_once_and_others_are_not() {
    let office = Office::new();
    let (one, other) = (token(&office, "rhea", "/", "one"), token(&office, "rhea", "/", "other"));
    assert_eq!(session(&office, &one).status, 200);
    let revoke = |by: &str, body: Value| office.post("/v1/sessions/revoke", &office.person(by), &body);
    assert_eq!(revoke("rhea", json!({"token": one})).status, 403, "it takes `session:revoke`");
    assert_eq!(session(&office, &one).status, 200);
    let done = revoke("dana", json!({"token": one, "reason": "in a chat"}));
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(
        session(&office, &one).told(),
        "401 the token is refused: it was revoked (`one`); ask for a new one"
    );
    assert_eq!(session(&office, &other).status, 200);
    // By its name alone, where nobody has the token.
    let named = json!({"issuer": "https://id.acme.example", "token_id": "other"});
    assert_eq!(revoke("dana", named).status, 200);
    assert_eq!(session(&office, &other).status, 401);
    // For principals of a tenant only those of it.
    let root = token(&office, "rhea", "/", "same");
    let acme = token(&office, "rhea", "acme", "same");
    let named = json!({"issuer": "https://id.acme.example", "token_id": "same", "tenant": "acme"});
    assert_eq!(revoke("dana", named).status, 200);
    assert_eq!((session(&office, &root).status, session(&office, &acme).status), (200, 401));
    office.place.journal.verify_all().unwrap();
}

#[test]
fn a_token_that_another_process_revoked_is_refused_within_a_moment() {
    let office = Office::new();
    let one = token(&office, "rhea", "/", "one");
    assert_eq!(session(&office, &one).status, 200);
    let principal =
        Principal { kind: PrincipalKind::User, id: "dana".parse().unwrap(), tenant: TenantPath::root() };
    let by = Submitter { principal, authentication: Authentication::Token, token: None };
    let revoked = TokenRevoked {
        issuer: "https://id.acme.example".to_owned(),
        token_id: "one".to_owned(),
        until: now(),
        reason: String::new(),
    };
    let draft = draft((&TenantPath::root(), Kind::SessionRevoked, "sessions"), &by, &revoked).unwrap();
    office.place.journal.append(Command { drafts: vec![draft], ..Command::default() }).unwrap();
    let begun = Instant::now();
    while session(&office, &one).status != 401 {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

/// Opens `gateway` in `acme`.
fn opened() -> Office {
    let office = Office::new();
    let account = json!({"name": "gateway", "tenant": "acme", "purpose": "asks"});
    let opened = office.post("/v1/service-accounts", &office.person("dana"), &account);
    assert_eq!(opened.status, 201, "{opened:?}");
    assert_eq!(opened.header("location"), Some("/v1/service-accounts/gateway?tenant=acme"));
    office
}

fn issue(office: &Office, mut wanted: Value) -> Value {
    wanted["tenant"] = json!("acme");
    let issued = office.post("/v1/service-accounts/gateway/tokens", &office.person("dana"), &wanted);
    assert_eq!(issued.status, 201, "{issued:?}");
    assert_eq!(issued.header("cache-control"), Some("no-store"));
    issued.json()
}

#[test]
fn a_service_account_is_known_by_its_token_and_the_token_is_nowhere() {
    let office = opened();
    let issued = issue(&office, json!({}));
    let token = issued["token"].as_str().unwrap();
    assert!(token.starts_with("cku_sa_") && token.len() == 50, "{token}");
    let who = session(&office, token).json();
    assert_eq!(who["principal"], json!({"kind": "service_account", "id": "gateway", "tenant": "acme"}));
    assert_eq!(who["expires_at"], issued["expires_at"]);
    let shown = office.get("/v1/service-accounts/gateway?tenant=acme", &office.person("dana"));
    assert_eq!(shown.json()["tokens"][0]["id"], issued["id"]);
    assert_eq!(shown.json()["tokens"][0]["holds"], true);
    let list = office.get("/v1/service-accounts", &office.person("dana"));
    assert_eq!(list.json()["service_accounts"][0], shown.json());
    // Whoever does not manage them sees none, and issues none.
    assert_eq!(office.get("/v1/service-accounts/gateway?tenant=acme", &office.person("rhea")).status, 404);
    let denied = office.post(
        "/v1/service-accounts/gateway/tokens",
        &office.person("rhea"),
        &json!({"tenant": "acme"}),
    );
    assert_eq!(denied.status, 403);
    // Neither the answer of lists nor the file of the journal has the token, or what it was made from.
    assert!(!shown.body.contains(token));
    let secret = token.strip_prefix("cku_sa_").unwrap().as_bytes();
    for file in ["journal.db", "journal.db-wal"] {
        let bytes = std::fs::read(office.place.folder.path().join(file)).unwrap_or_default();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{file}");
    }
    office.place.journal.verify_all().unwrap();
}

#[test]
fn a_token_that_is_replaced_holds_for_its_grace_and_one_that_is_revoked_not_at_all() {
    let office = opened();
    let first = issue(&office, json!({}));
    let second = issue(&office, json!({"rotate": true, "grace": "1h"}));
    assert_eq!(second["replaces"], json!([first["id"]]));
    let [first_token, second_token] = [&first, &second].map(|t| t["token"].as_str().unwrap().to_owned());
    assert_eq!(session(&office, &first_token).status, 200, "its grace is not over");
    assert_eq!(session(&office, &first_token).json()["expires_at"], second["replaced_until"]);
    let third = issue(&office, json!({"rotate": true, "grace": "0s"}));
    assert!(session(&office, &first_token).told().starts_with("401 the token is refused: it expired at"));
    assert_eq!(session(&office, &second_token).status, 401);
    let third_token = third["token"].as_str().unwrap();
    assert_eq!(session(&office, third_token).status, 200);
    let path = format!("/v1/service-accounts/gateway/tokens/{}/revoke", third["id"].as_str().unwrap());
    let revoke = || office.post(&path, &office.person("dana"), &json!({"tenant": "acme", "reason": "lost"}));
    assert_eq!(revoke().status, 200);
    assert_eq!(session(&office, third_token).status, 401);
    assert_eq!(revoke().status, 409, "once");
    let fourth = issue(&office, json!({"expires": "1s"}));
    let fourth_token = fourth["token"].as_str().unwrap();
    let begun = Instant::now();
    while session(&office, fourth_token).status != 401 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it ends with its time");
    }
    office.place.journal.verify_all().unwrap();
}

#[test]
fn nobody_else_has_the_name_of_a_service_account_not_even_when_it_is_closed() {
    let office = opened();
    let jwt = office.token(PrincipalKind::ServiceAccount, "gateway", "acme");
    let elsewhere = office.token(PrincipalKind::ServiceAccount, "gateway", "globex");
    assert_eq!(
        office.get("/v1/session", &jwt).told(),
        "401 the token is refused: the issuer `https://id.acme.example` does not speak for `service_account:gateway` of acme; `urn:cku:service-accounts` does"
    );
    assert_eq!(office.get("/v1/session", &elsewhere).status, 200);
    let token = issue(&office, json!({}))["token"].as_str().unwrap().to_owned();
    let close = json!({"tenant": "acme", "reason": "gone"});
    assert_eq!(office.post("/v1/service-accounts/gateway/close", &office.person("dana"), &close).status, 200);
    assert_eq!(
        session(&office, &token).told(),
        "401 the token is refused: the service account `gateway` was closed"
    );
    assert_eq!(office.get("/v1/session", &jwt).status, 401);
    let again = office.post(
        "/v1/service-accounts",
        &office.person("dana"),
        &json!({"name": "gateway", "tenant": "acme"}),
    );
    assert_eq!(again.status, 409, "{again:?}");
    office.place.journal.verify_all().unwrap();
}

#[test]
fn an_account_does_not_take_a_role_that_its_name_holds_above() {
    let office = Office::new();
    let principal = json!({"kind": "service_account", "id": "deployer", "tenant": "acme"});
    let grant = json!({"principal": principal, "role": "operator", "tenant": "/", "granted": true});
    let granted = office.post("/v1/roles", &office.person("dana"), &grant);
    assert_eq!(granted.status, 200, "{granted:?}");
    let open = json!({"name": "deployer", "tenant": "acme"});
    let refused = office.post("/v1/service-accounts", &office.person("dana"), &open);
    assert_eq!(refused.status, 409);
    insta::assert_snapshot!(
        refused.told(),
        @"409 `deployer` holds the role `operator` in /, which the account would take; have it revoked there, or take another name"
    );
}

#[test]
fn what_an_unusable_request_about_identity_is_told() {
    let office = opened();
    let dana = office.person("dana");
    let id = issue(&office, json!({}))["id"].as_str().unwrap().to_owned();
    let mut told = String::new();
    for (what, path, body) in [
        ("no name", "service-accounts", json!({})),
        ("a name that is none", "service-accounts", json!({"name": "a/b"})),
        ("an empty name", "service-accounts", json!({"name": ""})),
        ("a tenant that is none", "service-accounts", json!({"name": "a", "tenant": "A B"})),
        ("twice", "service-accounts", json!({"name": "gateway", "tenant": "acme"})),
        ("unread", "service-accounts", json!({"name": "a", "roles": ["admin"]})),
        ("no account", "service-accounts/nobody/tokens", json!({"tenant": "acme"})),
        ("no account there", "service-accounts/gateway/tokens", json!({})),
        ("no span", "service-accounts/gateway/tokens", json!({"tenant": "acme", "expires": "soon"})),
        ("too long", "service-accounts/gateway/tokens", json!({"tenant": "acme", "expires": "367d"})),
        ("no time at all", "service-accounts/gateway/tokens", json!({"tenant": "acme", "expires": "0s"})),
        ("no yes or no", "service-accounts/gateway/tokens", json!({"tenant": "acme", "rotate": "yes"})),
        ("grace for nothing", "service-accounts/gateway/tokens", json!({"tenant": "acme", "grace": "1h"})),
        ("no such token", "service-accounts/gateway/tokens/sat-0/revoke", json!({"tenant": "acme"})),
        ("of another", "service-accounts/nobody/tokens/sat-0/revoke", json!({"tenant": "acme"})),
        ("nothing to revoke", "sessions/revoke", json!({})),
        ("no name of it", "sessions/revoke", json!({"issuer": "https://id.acme.example"})),
        ("an issuer of nobody", "sessions/revoke", json!({"issuer": "https://x.example", "token_id": "1"})),
        ("no token", "sessions/revoke", json!({"token": "cku_sa_x"})),
        ("a token without a name", "sessions/revoke", json!({"token": dana[22..].trim_end()})),
        (
            "a token and more",
            "sessions/revoke",
            json!({"token": token(&office, "x", "/", "y"), "issuer": "z"}),
        ),
    ] {
        let came = office.post(&format!("/v1/{path}"), &dana, &body);
        told.push_str(&format!("{what}: {}\n", came.told().replace(&id, "ID")));
    }
    let local = Place::authzen();
    let came = crate::client::post(local.at(), "/v1/service-accounts", &json!({"name": "a"}));
    told.push_str(&format!("a single user's journal: {}\n", came.told()));
    insta::assert_snapshot!(told);
}
