//! Keys that issuers publish, as the journal keeps them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use cku_authority::{
    AuthorityRows, IssuerRevoked, IssuerTrusted, KeyLearned, KeyRetired, draft_of, issuers, keys_changed_at,
    keys_trusted_at, learn, revoked_keys, trusted_keys,
};
use cku_base::{Digest, TenantPath, Timestamp};
use cku_journal::{Command, Journal, Kind, Options};
use serde_json::{Value, json};

const DAY: i64 = 86_400;
const ISSUER: &str = "https://sso.acme.example";

struct Place {
    journal: Journal,
    day: Arc<AtomicI64>,
    folder: tempfile::TempDir,
}

fn at(day: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + day * DAY).unwrap()
}

impl Place {
    fn new() -> Self {
        let (folder, day) = (tempfile::tempdir().unwrap(), Arc::new(AtomicI64::new(0)));
        let of = day.clone();
        let clock = Arc::new(move || at(of.load(Ordering::SeqCst)));
        let options = Options { projector: Arc::new(AuthorityRows), clock, ..Options::default() };
        let journal = Journal::create(&folder.path().join("journal.db"), options).unwrap();
        Self { journal, day, folder }
    }

    fn note(&self, kind: Kind, body: &impl serde::Serialize) -> u64 {
        let draft = draft_of((&TenantPath::root(), kind, "keys"), &json!("cku"), body).unwrap();
        let written = self.journal.append(Command { drafts: vec![draft], ..Command::default() }).unwrap();
        written.entries[0].header.seq
    }

    fn trust(&self, day: i64, accounts: Value) -> u64 {
        self.day.store(day, Ordering::SeqCst);
        let issuer = json!({"issuer": ISSUER, "accounts": accounts});
        self.note(Kind::IssuerTrusted, &IssuerTrusted { issuer, id: ISSUER.to_owned() })
    }

    fn learn(&self, day: i64, id: &str, under: u64) -> bool {
        self.day.store(day, Ordering::SeqCst);
        let key = json!({"id": id, "issuer": ISSUER, "under": under});
        let (id, issuer) = (id.to_owned(), ISSUER.to_owned());
        let learned = KeyLearned { key, id, issuer, under, set: Digest::of(b"") };
        learn(&self.journal, &[learned], &[], keys_changed_at(&self.journal).unwrap()).is_ok()
    }
}

#[test]
fn a_key_that_is_published_is_as_old_as_what_is_said_of_its_issuer() {
    let place = Place::new();
    let first = place.trust(0, json!([]));
    assert!(place.learn(1, "a", first) && place.learn(30, "b", first));
    assert_eq!(keys_trusted_at(&place.journal).unwrap(), [("a".to_owned(), at(0)), ("b".to_owned(), at(0))]);
    // Another address or mapping is a new trust.
    let second = place.trust(40, json!([]));
    assert!(!place.learn(41, "c", first), "what was said before holds no longer");
    assert!(place.learn(41, "b", second));
    assert_eq!(keys_trusted_at(&place.journal).unwrap().last(), Some(&("b".to_owned(), at(40))));
    place.journal.verify_all().unwrap();
}

#[test]
fn what_was_revoked_is_not_learned_again_and_what_was_retired_is() {
    let place = Place::new();
    let under = place.trust(0, json!([]));
    assert!(place.learn(1, "a", under) && place.learn(1, "b", under));
    let retired = KeyRetired { id: "a".to_owned(), retired_at: at(2), set: Digest::of(b"") };
    learn(&place.journal, &[], &[retired], keys_changed_at(&place.journal).unwrap()).unwrap();
    assert!(revoked_keys(&place.journal).unwrap().is_empty(), "what it approved counts");
    assert!(place.learn(3, "a", under));
    assert!(trusted_keys(&place.journal).unwrap()[0].get("retired_at").is_none());
    let revoked = IssuerRevoked { id: ISSUER.to_owned(), revoked_at: at(4), reason: String::new() };
    place.note(Kind::IssuerRevoked, &revoked);
    assert_eq!(revoked_keys(&place.journal).unwrap().len(), 2, "those of an issuer with it");
    assert!(!place.learn(5, "c", under), "of an issuer that is trusted no longer");
    let again = place.trust(6, json!([]));
    assert!(!place.learn(6, "a", again) && place.learn(6, "c", again));
    place.journal.verify_all().unwrap();
    // Opened anew, all of it follows from the entries.
    let options = Options { projector: Arc::new(AuthorityRows), ..Options::default() };
    let path = place.folder.path().join("journal.db");
    drop(place.journal);
    Journal::open(&path, options).unwrap();
}

#[test]
fn accounts_that_an_issuer_spoke_for_are_remembered() {
    let place = Place::new();
    let account = |name: &str| json!({"tenant": "acme", "name": name, "claims": {"a": "b"}});
    place.trust(0, json!([account("one"), account("two")]));
    place.trust(1, json!([account("two")]));
    place.trust(2, json!([account("three")]));
    let before = &issuers(&place.journal).unwrap()[0].before;
    let names: Vec<&str> = before.iter().map(|account| account["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["one", "two"]);
}
