//! Several people: tokens, tenants, roles, keys that are revoked.

use std::time::{Duration, Instant};

use cku_auth::{Claims, SigningKey, TrustedKey};
use cku_authority::{
    BundleActivated, Control, Genesis, KeyRevoked, Modes, Purpose, RoleChange, Stage, draft,
};
use cku_base::{Principal, PrincipalKind, TenantPath, Timestamp};
use cku_engine::{Bundle, access::RoleGrant};
use cku_gates::{Authentication, Submitter};
use cku_journal::{Command, Kind};
use cku_server::Policies;
use serde_json::json;

use crate::{
    client::{Came, Connection, get},
    place::{Place, genesis, now, quiet, repository},
};

const QUESTION: &str = r#"{"subject":{"type":"user","id":"alice"},"action":{"name":"edit"},"resource":{"type":"record","id":"101"}}"#;

struct People {
    place: Place,
    key: SigningKey,
    other: SigningKey,
}

fn principal(kind: PrincipalKind, id: &str, tenant: &str) -> Principal {
    Principal { kind, id: id.parse().unwrap(), tenant: tenant.parse().unwrap() }
}

fn people() -> People {
    under(Control::Files)
}

/// The same, where files say what is active, or change control does.
fn under(control: Control) -> People {
    let kinds = [PrincipalKind::User, PrincipalKind::ServiceAccount, PrincipalKind::Agent];
    let issuer = "https://id.acme.example".to_owned();
    let keys = [[7; 32], [8; 32]].map(|seed| SigningKey::from_seed(&seed));
    let trusted = keys.iter().map(|key| {
        let trusted = TrustedKey::new(key.public_key(), issuer.clone(), TenantPath::root(), kinds);
        serde_json::to_value(trusted).unwrap()
    });
    let bundle = repository().join("testdata/authzen/bundle");
    let genesis = Genesis { control, ..genesis(Authentication::Token, trusted.collect()) };
    let load = {
        let bundle = bundle.clone();
        move || Ok(std::sync::Arc::new(Bundle::load(&bundle).unwrap()))
    };
    let policies = match control {
        Control::Managed => Policies::Managed,
        Control::Files => Policies::Files(std::sync::Arc::new(load)),
    };
    let place = Place::with(policies, &genesis, &bundle, quiet());
    let [key, other] = keys;
    People { place, key, other }
}

fn later(time: Timestamp, seconds: u64) -> Timestamp {
    time.after(Duration::from_secs(seconds)).unwrap()
}

impl People {
    fn token(&self, key: &SigningKey, who: Principal, seconds: u64) -> String {
        key.token(&Claims {
            issuer: "https://id.acme.example".to_owned(),
            audience: "cku".to_owned(),
            principal: who,
            token_id: None,
            issued_at: now(),
            expires_at: later(now(), seconds),
        })
    }

    fn ask(&self, path: &str, authorization: &str) -> Came {
        let header = match authorization {
            "" => String::new(),
            value => format!("Authorization: {value}\r\n"),
        };
        Connection::open(self.place.at()).post(path, &header, QUESTION.as_bytes())
    }

    fn gateway(&self) -> String {
        let who = principal(PrincipalKind::ServiceAccount, "gateway", "acme");
        format!("Bearer {}", self.token(&self.key, who, 600))
    }

    /// Writes an entry as another process would.
    fn note(&self, kind: Kind, subject: &str, body: &impl serde::Serialize) {
        let by = Submitter {
            principal: principal(PrincipalKind::User, "dana", "/"),
            authentication: Authentication::Token,
            token: None,
        };
        let draft = draft((&TenantPath::root(), kind, subject), &by, body).unwrap();
        self.place.journal.append(Command { drafts: vec![draft], ..Command::default() }).unwrap();
    }

    /// Asks until the answer has this status; what was written elsewhere holds within a moment.
    fn until(&self, authorization: &str, status: u16) -> Came {
        let begun = Instant::now();
        loop {
            let came = self.ask("/access/v1/evaluation", authorization);
            if came.status == status || begun.elapsed() > Duration::from_secs(20) {
                assert_eq!(came.status, status, "{came:?}");
                return came;
            }
        }
    }
}

#[test]
fn who_asks_is_known_by_a_token_and_nothing_else() {
    let people = people();
    let mut told = String::new();
    let gateway = people.gateway();
    let stranger = SigningKey::from_seed(&[9; 32]);
    let who = principal(PrincipalKind::User, "dana", "/");
    for (what, authorization) in [
        ("nothing", String::new()),
        ("another scheme", "Basic ZGFuYTpkYW5h".to_owned()),
        ("no token", "Bearer".to_owned()),
        ("no token either", "Bearer x".to_owned()),
        ("a stranger's key", format!("Bearer {}", people.token(&stranger, who.clone(), 600))),
    ] {
        let came = people.ask("/access/v1/evaluation", &authorization);
        assert_eq!(came.header("www-authenticate"), Some("Bearer realm=\"cku\""), "{what}");
        told.push_str(&format!("{what}: {}\n", came.told()));
    }
    insta::assert_snapshot!(told);
    let answer = people.ask("/access/v1/evaluation", &gateway).json();
    assert_eq!(answer["decision"], true);
    assert!(answer["context"]["evaluation_id"].as_str().unwrap().starts_with("acme:"), "in its own tenant");
    let lower = gateway.replace("Bearer", "bearer");
    assert_eq!(people.ask("/access/v1/evaluation", &lower).status, 200, "schemes have no case");
    // What needs nobody's name.
    for path in ["/healthz", "/readyz", "/metrics", "/.well-known/authzen-configuration"] {
        assert_eq!(get(people.place.at(), path, "").status, 200, "{path}");
    }
}

#[test]
fn nobody_asks_or_reads_in_a_tenant_of_others() {
    let people = people();
    let acme = people.gateway();
    let globex = principal(PrincipalKind::ServiceAccount, "gateway", "globex");
    let globex = format!("Bearer {}", people.token(&people.key, globex, 600));
    let denied = people.ask("/globex/access/v1/evaluation", &acme);
    assert_eq!(denied.status, 403, "{denied:?}");
    assert_eq!(people.ask("/acme/payments/access/v1/evaluation", &acme).status, 200, "below its own");
    let answer = people.ask("/access/v1/evaluation", &acme).json();
    let path = format!("/v1/decisions/{}", answer["context"]["evaluation_id"].as_str().unwrap());
    let header = |token: &str| format!("Authorization: {token}\r\n");
    assert_eq!(get(people.place.at(), &path, &header(&acme)).status, 200);
    assert_eq!(get(people.place.at(), &path, &header(&globex)).status, 404, "for others there is nothing");
    assert_eq!(get(people.place.at(), &path, "").status, 401);
    // A user without a role may not ask at all, until one is granted.
    let rhea = principal(PrincipalKind::User, "rhea", "/");
    let token = format!("Bearer {}", people.token(&people.key, rhea.clone(), 600));
    assert_eq!(people.ask("/access/v1/evaluation", &token).status, 403);
    let grant = RoleGrant { principal: rhea, role: "admin".to_owned(), tenant: TenantPath::root() };
    people.note(Kind::RoleGranted, "role:admin", &RoleChange { grant });
    people.until(&token, 200);
}

#[test]
fn a_token_ends_with_its_time_and_with_its_key() {
    let people = people();
    let gateway = principal(PrincipalKind::ServiceAccount, "gateway", "acme");
    let token = format!("Bearer {}", people.token(&people.other, gateway, 600));
    assert_eq!(people.ask("/access/v1/evaluation", &token).status, 200);
    let id = people.other.public_key().id().as_str().to_owned();
    let revoked = KeyRevoked { id, revoked_at: now(), reason: "stolen".to_owned() };
    people.note(Kind::KeyRevoked, "keys", &revoked);
    people.until(&token, 401);
    assert_eq!(people.ask("/access/v1/evaluation", &people.gateway()).status, 200, "the other key holds");
}

#[test]
fn policies_that_cannot_be_loaded_keep_no_key_alive() {
    let people = under(Control::Managed);
    let gateway = principal(PrincipalKind::ServiceAccount, "gateway", "acme");
    let token = format!("Bearer {}", people.token(&people.other, gateway, 600));
    let before = people.ask("/access/v1/evaluation", &token).json()["context"]["bundle_revision"].clone();
    // Nobody kept the bytes of what became active: it cannot be loaded.
    let gone = cku_base::Digest::of(b"gone");
    let activated = |diff, modes, stage| BundleActivated {
        revision: gone,
        files: gone,
        name: "gone".to_owned(),
        purpose: Purpose::Gates,
        diff,
        rollback: false,
        modes,
        stage,
    };
    people.note(Kind::BundleActivated, "bundle", &activated(None, Modes::all(), Stage::Active));
    let begun = Instant::now();
    while get(people.place.at(), "/readyz", "").json()["last_good"] != true {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    let answer = people.ask("/access/v1/evaluation", &token).json();
    assert_eq!(answer["context"]["bundle_revision"], before, "the last good policies decide");
    let id = people.other.public_key().id().as_str().to_owned();
    people.note(Kind::KeyRevoked, "keys", &KeyRevoked { id, revoked_at: now(), reason: "stolen".to_owned() });
    people.until(&token, 401);
    assert_eq!(people.ask("/access/v1/evaluation", &people.gateway()).status, 200);
    let health = get(people.place.at(), "/healthz", "").json();
    assert!(health["policies"].as_str().unwrap().contains("bundle"), "{health}");
}

#[test]
fn a_trial_that_cannot_be_loaded_is_told_and_what_is_active_decides() {
    let people = under(Control::Managed);
    let gone = cku_base::Digest::of(b"gone");
    let shadow = BundleActivated {
        revision: gone,
        files: gone,
        name: "gone".to_owned(),
        purpose: Purpose::Gates,
        diff: Some(gone),
        rollback: false,
        modes: Modes::all(),
        stage: Stage::Shadow,
    };
    people.note(Kind::BundleActivated, "bundle", &shadow);
    let begun = Instant::now();
    while get(people.place.at(), "/readyz", "").json()["last_good"] != true {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    let health = get(people.place.at(), "/healthz", "").json();
    assert!(health["policies"].as_str().unwrap().starts_with("what is tried is left out"), "{health}");
    assert_eq!(people.ask("/access/v1/evaluation", &people.gateway()).status, 200);
}

#[test]
fn where_it_cannot_be_told_who_is_trusted_nobody_is() {
    let people = people();
    let gateway = people.gateway();
    assert_eq!(people.ask("/access/v1/evaluation", &gateway).status, 200);
    let unreadable = json!({"id": "evil", "key": {"id": "evil", "tenant": "/"}});
    people.note(Kind::KeyTrusted, "keys", &unreadable);
    people.until(&gateway, 401);
}

#[test]
fn a_local_journal_takes_no_tokens() {
    let place = Place::authzen();
    let came = Connection::open(place.at()).post(
        "/access/v1/evaluation",
        "Authorization: Bearer x\r\n",
        json!({}).to_string().as_bytes(),
    );
    assert_eq!(came.status, 401, "{came:?}");
}

#[test]
fn who_asks_too_often_is_told_when_to_come_again() {
    let rates = cku_server::Rates { address: None, principal: std::num::NonZeroU32::new(3) };
    let config = cku_server::Config { rates, ..quiet() };
    let place = Place::over(&repository().join("testdata/authzen/bundle"), config);
    let mut connection = Connection::open(place.at());
    let statuses: Vec<u16> = (0..8)
        .map(|_| {
            let came = connection.post("/access/v1/evaluation", "", QUESTION.as_bytes());
            if came.status == 429 {
                assert_eq!(came.header("retry-after"), Some("1"), "{came:?}");
                assert_eq!(came.header("ratelimit-policy"), Some("\"default\";q=3;w=1"));
            }
            came.status
        })
        .collect();
    assert_eq!(statuses[..3], [200; 3]);
    assert!(statuses[3..].contains(&429), "{statuses:?}");
    assert_eq!(get(place.at(), "/healthz", "").status, 200, "who looks after it is not counted");
}
