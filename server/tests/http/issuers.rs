//! Issuers whose keys are found at an address.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use cku_auth::{PublicKey, SigningKey, TrustedKey};
use cku_authority::{IssuerRevoked, IssuerTrusted, draft, draft_of};
use cku_base::{PrincipalKind, TenantPath};
use cku_gates::{Authentication, Submitter};
use cku_journal::{Command, Kind};
use cku_server::{Config, Issuers, Policies};
use ed25519_dalek::Signer;
use serde_json::{Value, json};

use crate::{
    client::{Came, Connection, get},
    place::{Place, genesis, now, quiet, repository, user},
};

/// What an issuer answers.
#[derive(Clone)]
struct Reply {
    after: Duration,
    status: String,
    headers: String,
    body: Vec<u8>,
}

impl Reply {
    fn of(body: impl Into<Vec<u8>>) -> Self {
        Self { after: Duration::ZERO, status: "200 OK".to_owned(), headers: String::new(), body: body.into() }
    }

    fn set(keys: &[Value]) -> Self {
        Self::of(json!({"keys": keys}).to_string())
    }
}

/// An issuer: a real server that publishes what it is told to.
struct Publisher {
    address: SocketAddr,
    reply: Arc<Mutex<Reply>>,
    asked: Arc<AtomicUsize>,
    /// Looks that go on, and the most that ever did at once.
    at_once: Arc<AtomicUsize>,
}

impl Publisher {
    fn new(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let publisher = Self {
            address: listener.local_addr().unwrap(),
            reply: Arc::new(Mutex::new(reply)),
            asked: Arc::default(),
            at_once: Arc::default(),
        };
        let (reply, asked, at_once) =
            (publisher.reply.clone(), publisher.asked.clone(), publisher.at_once.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let (reply, asked, at_once) = (reply.clone(), asked.clone(), at_once.clone());
                std::thread::spawn(move || {
                    let mut head = [0; 4_096];
                    let _ = stream.read(&mut head);
                    at_once.fetch_add(1, Ordering::SeqCst);
                    asked.fetch_add(1, Ordering::SeqCst);
                    let Reply { after, status, headers, body } = reply.lock().unwrap().clone();
                    std::thread::sleep(after);
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    let length = body.len();
                    let head = format!(
                        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
                    );
                    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
                });
            }
        });
        publisher
    }

    fn url(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    fn publish(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

const ISSUER: &str = "https://sso.acme.example";

fn key(seed: u8) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
}

/// The public half, as its issuer publishes it under a name of its own.
fn jwk(seed: u8, kid: &str) -> Value {
    let x = B64.encode(key(seed).verifying_key().as_bytes());
    json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA"})
}

fn signed(seed: u8, kid: &str, claims: &Value) -> String {
    let header = json!({"alg": "EdDSA", "kid": kid, "typ": "JWT"});
    let message = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
    format!("{message}.{}", B64.encode(key(seed).sign(message.as_bytes()).to_bytes()))
}

fn seconds() -> i64 {
    now().unix_micros() / 1_000_000
}

fn claims(email: &str) -> Value {
    let (from, to) = (seconds(), seconds() + 600);
    json!({"iss": ISSUER, "aud": "cku", "sub": "00u1", "email": email, "iat": from, "exp": to})
}

/// People of `acme`, named by their addresses.
fn people_of(jwks: &str) -> Value {
    json!({
        "issuer": ISSUER, "jwks": jwks,
        "names": {"tenant": "acme", "kinds": ["user"], "name": "email"},
    })
}

struct Trusting {
    place: Place,
    publisher: Publisher,
}

/// Quick enough for a test.
fn looks() -> Issuers {
    Issuers {
        every: Duration::from_secs(3_600),
        at_least: Duration::from_millis(100),
        gather: Duration::from_millis(10),
        patience: Duration::from_secs(2),
        wait: Duration::from_secs(20),
    }
}

impl Trusting {
    fn new(reply: Reply, issuers: Issuers) -> Self {
        let publisher = Publisher::new(reply);
        let own = SigningKey::from_seed(&[7; 32]).public_key();
        let kinds = [PrincipalKind::User, PrincipalKind::ServiceAccount, PrincipalKind::Agent];
        let own = TrustedKey::new(own, "https://id.acme.example", TenantPath::root(), kinds);
        let genesis = genesis(Authentication::Token, vec![serde_json::to_value(own).unwrap()]);
        let bundle = repository().join("testdata/authzen/bundle");
        let load = {
            let bundle = bundle.clone();
            move || Ok(Arc::new(cku_engine::Bundle::load(&bundle).unwrap()))
        };
        let place =
            Place::with(Policies::Files(Arc::new(load)), &genesis, &bundle, Config { issuers, ..quiet() });
        let trusting = Self { place, publisher };
        trusting.trust(people_of(&trusting.publisher.url()));
        trusting
    }

    /// Another process trusts it.
    fn trust(&self, issuer: Value) {
        let id = issuer["issuer"].as_str().unwrap().to_owned();
        let before = now().to_string();
        self.note(Kind::IssuerTrusted, &IssuerTrusted { issuer, id: id.clone() });
        let begun = Instant::now();
        loop {
            let health = get(self.place.at(), "/healthz", "").json();
            let looked = |issuer: &Value| {
                issuer["issuer"] == id.as_str() && issuer["looked_at"].as_str().unwrap() > before.as_str()
            };
            if health["issuers"].as_array().unwrap().iter().any(looked) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{health}");
        }
    }

    fn note(&self, kind: Kind, body: &impl serde::Serialize) {
        let by = Submitter { principal: user("dana"), authentication: Authentication::Token, token: None };
        let draft = draft((&TenantPath::root(), kind, "keys"), &by, body).unwrap();
        self.place.journal.append(Command { drafts: vec![draft], ..Command::default() }).unwrap();
    }

    fn session(&self, token: &str) -> Came {
        get(self.place.at(), "/v1/session", &format!("Authorization: Bearer {token}\r\n"))
    }

    /// Health of the one issuer, once it says this.
    fn health(&self, said: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let health = get(self.place.at(), "/healthz", "").json()["issuers"][0].clone();
            if said(&health) {
                return health;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{health}");
            std::thread::yield_now();
        }
    }

    fn looked(&self) -> Value {
        self.health(|health| health["looked_at"].is_string())
    }

    fn kinds(&self) -> Vec<String> {
        let entries = self.place.journal.stream(&TenantPath::root(), "keys").unwrap();
        entries.iter().map(|entry| entry.kind().to_string()).collect()
    }
}

#[test]
fn an_issuer_names_people_by_keys_that_it_publishes_under_names_of_its_own() {
    let trusting = Trusting::new(Reply::set(&[jwk(1, "2026-a")]), looks());
    let who = trusting.session(&signed(1, "2026-a", &claims("rhea@acme.example")));
    assert_eq!(who.status, 200, "{who:?}");
    let rhea = json!({"kind": "user", "id": "rhea@acme.example", "tenant": "acme"});
    assert_eq!(who.json()["principal"], rhea);
    assert_eq!(trusting.kinds(), ["issuer.trusted/1", "key.learned/1"]);
    // Nothing but the name and the signature of that key will do.
    for (seed, kid) in [(2, "2026-a"), (1, "2026-b")] {
        assert_eq!(trusting.session(&signed(seed, kid, &claims("rhea@acme.example"))).status, 401, "{kid}");
    }
    for (claim, value, told) in [
        ("iss", json!("https://id.acme.example"), "its claim `iss` is not `https://sso.acme.example`"),
        ("aud", json!("other"), "its claim `aud` does not name `cku`"),
        ("email", Value::Null, "its claim `email` is no text"),
        ("email", json!("rhea @acme"), "its claim `email` is unfit"),
        ("exp", json!(seconds() + 200_000), "its claim `exp` is more than 24 hours after `iat`"),
    ] {
        let mut claims = claims("rhea@acme.example");
        claims[claim] = value;
        let came = trusting.session(&signed(1, "2026-a", &claims));
        assert!(came.told().contains(told), "{claim}: {came:?}");
    }
    trusting.place.journal.verify_all().unwrap();
}

#[test]
fn keys_are_rotated_under_load_and_no_request_fails() {
    let trusting = Trusting::new(Reply::set(&[jwk(1, "k1")]), looks());
    assert_eq!(trusting.session(&signed(1, "k1", &claims("rhea@acme.example"))).status, 200);
    let (turn, stop, asked) = (AtomicUsize::new(1), AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let turn = u8::try_from(turn.load(Ordering::SeqCst)).unwrap();
                    let token = signed(turn, &format!("k{turn}"), &claims("rhea@acme.example"));
                    let came = trusting.session(&token);
                    assert_eq!(came.status, 200, "{came:?}");
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for next in 2..8u8 {
            // A new key is published beside the one that is used, and used from then on.
            let keys = [jwk(next - 1, &format!("k{}", next - 1)), jwk(next, &format!("k{next}"))];
            trusting.publisher.publish(Reply::set(&keys));
            turn.store(next.into(), Ordering::SeqCst);
            let before = asked.load(Ordering::SeqCst);
            while asked.load(Ordering::SeqCst) < before + 20 {
                std::thread::yield_now();
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
    // A key that vanished counts for nothing once it was looked: somebody with an unknown one makes it look.
    trusting.publisher.publish(Reply::set(&[jwk(7, "k7")]));
    assert_eq!(trusting.session(&signed(9, "k9", &claims("rhea@acme.example"))).status, 401);
    for (turn, status) in [(6, 401), (7, 200)] {
        let token = signed(turn, &format!("k{turn}"), &claims("rhea@acme.example"));
        assert_eq!(trusting.session(&token).status, status, "k{turn}");
    }
    let learned = trusting.kinds().iter().filter(|kind| *kind == "key.learned/1").count();
    assert_eq!(learned, 7);
    trusting.place.journal.verify_all().unwrap();
}

#[test]
fn fifty_unknown_keys_at_once_make_one_look() {
    // Long enough that all of them have come, however busy the machine is.
    let gather = Duration::from_secs(4);
    let settings = Issuers { gather, at_least: Duration::from_secs(3), ..looks() };
    let trusting = Trusting::new(Reply::set(&[jwk(1, "k1")]), settings);
    let mut connections: Vec<Connection> = (0..50).map(|_| Connection::open(trusting.place.at())).collect();
    let heads = (0..50).map(|number| {
        let token = signed(2, &format!("unknown-{number}"), &claims("rhea@acme.example"));
        format!("GET /v1/session HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n")
    });
    let heads: Vec<String> = heads.collect();
    let asked = trusting.publisher.asked();
    for (connection, head) in connections.iter_mut().zip(&heads) {
        connection.send(head.as_bytes());
    }
    for connection in &mut connections {
        assert_eq!(connection.receive().unwrap().status, 401);
    }
    assert_eq!(trusting.publisher.asked(), asked + 1);
    // Whoever comes again with one of them is refused at once, and makes nobody look.
    assert_eq!(trusting.session(&signed(2, "unknown-7", &claims("rhea@acme.example"))).status, 401);
    assert_eq!(trusting.publisher.asked(), asked + 1);
}

#[test]
fn however_many_ask_looks_are_apart_and_never_two_at_once() {
    let apart = Duration::from_millis(300);
    let trusting = Trusting::new(Reply::set(&[jwk(1, "k1")]), Issuers { at_least: apart, ..looks() });
    trusting.looked();
    let (begun, asked) = (Instant::now(), trusting.publisher.asked());
    let most = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..12 {
            let (trusting, most) = (&trusting, &most);
            scope.spawn(move || {
                for turn in 0..3 {
                    let token = signed(2, &format!("u-{number}-{turn}"), &claims("rhea@acme.example"));
                    assert_eq!(trusting.session(&token).status, 401);
                    most.fetch_max(trusting.publisher.at_once.load(Ordering::SeqCst), Ordering::SeqCst);
                }
            });
        }
    });
    let looks = trusting.publisher.asked() - asked;
    let allowed = begun.elapsed().as_millis() / apart.as_millis() + 1;
    assert!(looks as u128 <= allowed, "{looks} looks in {:?}", begun.elapsed());
    assert!(most.load(Ordering::SeqCst) <= 1);
}

#[test]
fn what_is_no_set_changes_nothing_and_health_says_so() {
    let trusting = Trusting::new(Reply::set(&[jwk(1, "k1")]), looks());
    let good = signed(1, "k1", &claims("rhea@acme.example"));
    assert_eq!(trusting.session(&good).status, 200);
    let elsewhere = Publisher::new(Reply::set(&[jwk(3, "k3")]));
    let slow = Reply { after: Duration::from_secs(4), ..Reply::set(&[jwk(3, "k3")]) };
    let status = |status: &str, headers: String| Reply {
        status: status.to_owned(),
        headers,
        ..Reply::set(&[jwk(3, "k3")])
    };
    let deep = format!("{{\"keys\":{}{}}}", "[".repeat(50), "]".repeat(50));
    let mut told = String::new();
    for (number, (what, reply)) in [
        ("no JSON", Reply::of("<html>")),
        ("nothing", Reply::of("")),
        ("a list", Reply::of("[]")),
        ("no keys", Reply::of("{}")),
        ("keys that are none", Reply::of("{\"keys\":{}}")),
        ("a key twice", Reply::of("{\"keys\":[],\"keys\":[]}")),
        ("nested", Reply::of(deep)),
        ("huge", Reply::of(" ".repeat(300_000))),
        ("many", Reply::set(&vec![jwk(3, "k3"); 65])),
        ("an error", status("500 Oops", String::new())),
        ("elsewhere", status("302 Found", format!("Location: {}\r\n", elsewhere.url()))),
        ("slow", slow),
    ]
    .into_iter()
    .enumerate()
    {
        trusting.publisher.publish(reply);
        let token = signed(3, &format!("none-{number}"), &claims("rhea@acme.example"));
        assert_eq!(trusting.session(&token).status, 401, "{what}");
        let trouble = trusting.looked()["trouble"].as_str().unwrap_or("none").to_owned();
        let trouble = trouble.replace(&trusting.publisher.address.to_string(), "HOST");
        told.push_str(&format!("{what}: {trouble}\n"));
        assert_eq!(trusting.session(&good).status, 200, "{what}");
    }
    assert_eq!(elsewhere.asked(), 0, "nobody goes where a redirect points");
    insta::assert_snapshot!(told);
    assert_eq!(trusting.kinds(), ["issuer.trusted/1", "key.learned/1"]);
    // Mended.
    trusting.publisher.publish(Reply::set(&[jwk(1, "k1"), jwk(4, "k4")]));
    assert_eq!(trusting.session(&signed(4, "k4", &claims("rhea@acme.example"))).status, 200);
    assert_eq!(trusting.looked()["trouble"], Value::Null);
}

#[test]
fn keys_that_cannot_be_used_are_passed_over_with_a_line() {
    let with = |mut key: Value, name: &str, value: Value| {
        key[name] = value;
        key
    };
    let keys = [
        with(jwk(2, "secret"), "d", json!("AAAA")),
        json!({"kty": "oct", "k": "AAAA", "kid": "shared"}),
        json!({"kty": "EC", "crv": "P-521", "x": "AAAA", "y": "AAAA", "kid": "p521"}),
        with(jwk(2, "enc"), "use", json!("enc")),
        with(jwk(2, "other"), "alg", json!("RS512")),
        with(jwk(2, "sign"), "key_ops", json!(["sign"])),
        with(jwk(2, "x"), "x", json!("AAAA")),
        with(jwk(2, "x"), "kid", json!(7)),
        json!("nothing"),
        jwk(1, "k1"),
        jwk(3, "k1"),
    ];
    let trusting = Trusting::new(Reply::set(&keys), looks());
    let health = trusting.looked();
    assert_eq!(health["trouble"], Value::Null);
    let lines: Vec<&str> =
        health["passed_over"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
    insta::assert_snapshot!(lines.join("\n"));
    assert_eq!(trusting.session(&signed(1, "k1", &claims("rhea@acme.example"))).status, 200);
    for (seed, kid) in [(2, "secret"), (2, "enc"), (2, "other"), (2, "sign"), (3, "k1")] {
        assert_eq!(trusting.session(&signed(seed, kid, &claims("rhea@acme.example"))).status, 401, "{kid}");
    }
}

#[test]
fn what_was_revoked_here_stays_so_whatever_its_issuer_publishes() {
    let trusting = Trusting::new(Reply::set(&[jwk(1, "k1"), jwk(2, "k2")]), looks());
    let [one, two] =
        [(1, "k1"), (2, "k2")].map(|(seed, kid)| signed(seed, kid, &claims("rhea@acme.example")));
    assert_eq!((trusting.session(&one).status, trusting.session(&two).status), (200, 200));
    let public = PublicKey::from_jwk(jwk(1, "k1")).unwrap();
    let id = cku_auth::KeyId::published(ISSUER, &public).to_string();
    let revoked = cku_authority::KeyRevoked { id, revoked_at: now(), reason: "stolen".to_owned() };
    trusting.note(Kind::KeyRevoked, &revoked);
    let begun = Instant::now();
    while trusting.session(&one).status != 401 {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    // Looked at again, also under what is said of the issuer anew.
    trusting.trust(people_of(&format!("{}?again", trusting.publisher.url())));
    assert_eq!(trusting.session(&two).status, 200);
    assert!(
        trusting.session(&one).told().contains("is not trusted here"),
        "{}",
        trusting.session(&one).told()
    );
    let revoked = IssuerRevoked { id: ISSUER.to_owned(), revoked_at: now(), reason: "left".to_owned() };
    trusting.note(Kind::IssuerRevoked, &revoked);
    let begun = Instant::now();
    while trusting.session(&two).status != 401 {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    assert!(trusting.session(&two).told().contains("was revoked"), "{}", trusting.session(&two).told());
    trusting.place.journal.verify_all().unwrap();
}

#[test]
fn a_key_that_nobody_published_cannot_be_said_to_be_learned() {
    let trusting = Trusting::new(Reply::set(&[jwk(1, "k1")]), looks());
    trusting.looked();
    let key = json!({"id": "x", "issuer": "https://other.example"});
    let learned = json!({"key": key, "id": "x", "issuer": "https://other.example", "under": 4, "set": cku_base::Digest::of(b"")});
    let draft = draft_of((&TenantPath::root(), Kind::KeyLearned, "keys"), &json!("cku"), &learned).unwrap();
    let refused = trusting.place.journal.append(Command { drafts: vec![draft], ..Command::default() });
    assert!(refused.is_err(), "{refused:?}");
}

#[test]
fn a_workflow_is_the_service_account_that_is_declared_for_its_repository() {
    let github = "https://token.actions.githubusercontent.com";
    let trusting = Trusting::new(Reply::set(&[jwk(1, "k1")]), looks());
    trusting.trust(json!({
        "issuer": github, "jwks": trusting.publisher.url(), "audience": "https://cku.acme.example",
        "accounts": [{
            "tenant": "acme/payments", "name": "release",
            "claims": {"repository": "acme/payments", "repository_id": "74", "ref": "refs/heads/main"},
        }],
    }));
    let claims = |repository: &str, reference: &str| {
        json!({
            "iss": github, "aud": "https://cku.acme.example", "jti": "example-id",
            "sub": format!("repo:{repository}:ref:{reference}"), "ref": reference, "sha": "example-sha",
            "repository": repository, "repository_owner": "acme", "actor_id": "12", "repository_visibility": "private",
            "repository_id": "74", "repository_owner_id": "65", "run_id": "example-run-id", "run_number": "10",
            "run_attempt": "2", "runner_environment": "github-hosted", "actor": "octocat",
            "workflow": "example-workflow", "head_ref": "", "base_ref": "", "event_name": "push", "ref_type": "branch",
            "job_workflow_ref": format!("{repository}/.github/workflows/release.yml@{reference}"),
            "nbf": seconds(), "iat": seconds(), "exp": seconds() + 300,
        })
    };
    let who = trusting.session(&signed(1, "k1", &claims("acme/payments", "refs/heads/main")));
    let release = json!({"kind": "service_account", "id": "release", "tenant": "acme/payments"});
    assert_eq!(who.json()["principal"], release, "{who:?}");
    let other = trusting.session(&signed(1, "k1", &claims("evil/payments", "refs/heads/main")));
    assert_eq!(
        other.told(),
        "401 the token is refused: no account is declared for what `https://token.actions.githubusercontent.com` says in it: ref `refs/heads/main`, repository `evil/payments`, repository_id `74`; an administrator declares it in the `accounts` of that issuer"
    );
    let branch = trusting.session(&signed(1, "k1", &claims("acme/payments", "refs/heads/x")));
    assert_eq!(branch.status, 401);
}

/// A program that makes certificates; none where it is not installed, which in CI is a failure.
fn openssl(folder: &std::path::Path, args: &str) -> bool {
    let args: Vec<&str> = args.split(' ').collect();
    match std::process::Command::new("openssl").args(&args).current_dir(folder).output() {
        Ok(output) => {
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(_) => {
            assert!(std::env::var_os("CI").is_none(), "openssl is not installed");
            false
        }
    }
}

/// An issuer that speaks HTTPS.
fn over_tls(folder: &std::path::Path, set: String) -> SocketAddr {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let chain = vec![CertificateDer::from_pem_file(folder.join("leaf.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.join("leaf.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            // Whoever does not trust the certificate hangs up.
            if stream.read(&mut [0; 4_096]).is_err() {
                continue;
            }
            let length = set.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{set}");
            let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
        }
    });
    address
}

#[test]
fn keys_come_over_https_from_whom_the_declared_certificates_vouch_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    std::fs::write(at.join("leaf.ext"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n").unwrap();
    let made = openssl(at, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"))
        && openssl(at, &format!("req {key} -keyout leaf.key -out leaf.csr -subj /CN=localhost"))
        && openssl(
            at,
            "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -out leaf.pem -days 2 -extfile leaf.ext",
        );
    if !made {
        return;
    }
    let trusting = Trusting::new(Reply::set(&[]), looks());
    let set = json!({"keys": [jwk(1, "k1")]}).to_string();
    let mut issuer = people_of(&format!("https://localhost:{}/keys", over_tls(at, set).port()));
    trusting.trust(issuer.clone());
    let trouble = trusting.looked()["trouble"].as_str().unwrap().to_owned();
    assert!(trouble.contains("certificate"), "{trouble}");
    let token = signed(1, "k1", &claims("rhea@acme.example"));
    assert_eq!(trusting.session(&token).status, 401);
    issuer["ca"] = json!(at.join("ca.pem"));
    trusting.trust(issuer);
    assert_eq!(trusting.looked()["trouble"], Value::Null);
    // Who came with it before is told once more after a while, or as soon as somebody looks.
    let begun = Instant::now();
    while trusting.session(&token).status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
